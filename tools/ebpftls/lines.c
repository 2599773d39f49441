// SPDX-License-Identifier: BSD-3-Clause
/* Finds where each packet begins in what tcpdump prints. */
#include "lines.h"

#include <stdio.h>
#include <string.h>

#define SELF "tcpdump: "

char *
lines_room(struct lines *lines, size_t *size)
{
	*size = LINES_SIZE - lines->used;
	return lines->bytes + lines->used;
}

void
lines_added(struct lines *lines, size_t size)
{
	lines->used += size;
}

/* How long the first line is; 0 if it has no end yet. */
static size_t
length_of(const struct lines *lines)
{
	const char *end = memchr(lines->bytes, '\n', lines->used);

	if (end != NULL)
		return (size_t)(end - lines->bytes) + 1;
	return lines->used == LINES_SIZE ? LINES_SIZE : 0;
}

/* The length of the number that begins the packet, if it is the one due. */
static size_t
number_of(const struct lines *lines, size_t length)
{
	char number[16];
	size_t size =
	    (size_t)snprintf(number, sizeof(number), "%5u  ", lines->seen + 1);

	return length > size && memcmp(lines->bytes, number, size) == 0 ? size
									: 0;
}

static bool
is_message(const struct lines *lines, size_t length)
{
	return lines->seen == 0 ||
	       (length > strlen(SELF) &&
		memcmp(lines->bytes, SELF, strlen(SELF)) == 0);
}

enum line_kind
lines_first(struct lines *lines, unsigned int written, const char **text,
	    size_t *size)
{
	size_t length = length_of(lines), number;

	*text = lines->bytes;
	*size = length;
	if (length == 0)
		return LINE_NONE;
	if (lines->inside)
		return LINE_MORE;
	number = written == lines->seen ? 0 : number_of(lines, length);
	if (number == 0)
		return is_message(lines, length) ? LINE_MESSAGE : LINE_MORE;
	lines->seen++;
	*text += number;
	*size -= number;
	return LINE_FIRST;
}

void
lines_next(struct lines *lines)
{
	size_t length = length_of(lines);

	lines->inside = length != 0 && lines->bytes[length - 1] != '\n';
	lines->used -= length;
	memmove(lines->bytes, lines->bytes + length, lines->used);
}
