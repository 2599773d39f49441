// SPDX-License-Identifier: BSD-3-Clause
/* Reads the ends of a packet from its PKTAP header and writes them as text. */
#include "ends.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

/* Where what is read stands in the header, which is little-endian. */
#define AT_LENGTH	  0
#define AT_PID		  52
#define AT_NAME		  56
#define AT_EFFECTIVE_PID  84
#define AT_EFFECTIVE_NAME 88
#define HEADER_SIZE	  108

#define COLOUR_ON  "\033[1;36m"
#define COLOUR_OFF "\033[m"

/* Two names of nothing but bytes to escape, pids, brackets, and an arrow. */
_Static_assert(2 * (4 * ENDS_NAME_SIZE + 12) + 3 + sizeof(COLOUR_ON) +
		       sizeof(COLOUR_OFF) <=
		   ENDS_TEXT_SIZE,
	       "there is no room for the longest text");

static uint32_t
number_at(const uint8_t *bytes)
{
	uint32_t number;

	memcpy(&number, bytes, sizeof(number));
	return le32toh(number);
}

size_t
ends_read(const uint8_t *packet, size_t size, struct ends *ends)
{
	size_t length;

	if (size < HEADER_SIZE)
		return 0;
	length = number_at(packet + AT_LENGTH);
	if (length < HEADER_SIZE || length > size)
		return 0;
	ends->first.pid = number_at(packet + AT_PID);
	memcpy(ends->first.name, packet + AT_NAME, ENDS_NAME_SIZE);
	ends->second.pid = number_at(packet + AT_EFFECTIVE_PID);
	memcpy(ends->second.name, packet + AT_EFFECTIVE_NAME, ENDS_NAME_SIZE);
	return length;
}

/* Each returns where the text ends that it has added. */

static char *
add(char *to, const char *text)
{
	return stpcpy(to, text);
}

static char *
add_name(char *to, const char name[ENDS_NAME_SIZE])
{
	for (size_t i = 0; i < ENDS_NAME_SIZE && name[i] != '\0'; i++) {
		uint8_t byte = (uint8_t)name[i];

		if (byte > ' ' && byte <= '~' && byte != '\\')
			*to++ = (char)byte;
		else
			to += sprintf(to, "\\x%02x", byte);
	}
	*to = '\0';
	return to;
}

static bool
is_nobody(const struct end *end)
{
	return end->pid == END_NO_PROCESS && end->name[0] == '\0';
}

static char *
add_end(char *to, const struct end *end)
{
	if (end->pid == END_NO_PROCESS)
		return add(to, is_nobody(end) ? "" : "?");
	if (end->pid == 0)
		return add(to, "kernel");
	to = add_name(to, end->name);
	return to + sprintf(to, "[%u]", end->pid);
}

void
ends_show(const struct ends *ends, bool colour, int *width,
	  char text[ENDS_TEXT_SIZE])
{
	char *start = add(text, colour ? COLOUR_ON : "");
	char *end = add_end(start, &ends->first);
	int wide;

	if (!is_nobody(&ends->second))
		end = add_end(add(end, " > "), &ends->second);
	wide = (int)(end - start);
	if (wide > *width)
		*width = wide;
	sprintf(end, "%s%*s", colour ? COLOUR_OFF : "", *width - wide, "");
}
