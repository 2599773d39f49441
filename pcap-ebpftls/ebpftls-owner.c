// SPDX-License-Identifier: BSD-3-Clause
/*
 * Makes the comments that say whose a packet is. They are written for every
 * packet, and so without printf.
 */
#include "ebpftls-owner.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)

#define LENGTH(array) (sizeof(array) - 1)

/* All values at their longest. */
_Static_assert(LENGTH("pid=4294967295 comm= uid=4294967295") +
		       LENGTH(" to-pid=4294967295 to-comm= to-uid="
			      "4294967295") +
		       2 * 4 * 15 <=
		   EBPFTLS_OWNERS_SIZE,
	       "room for a comment");
_Static_assert(4 * (sizeof(struct ebpftls_process) + 64) <= EBPFTLS_FACTS_SIZE,
	       "room for all facts");

_Static_assert(4 * (EBPFTLS_TEXT_SIZE - 1) + 1 <= EBPFTLS_NOTE_SIZE,
	       "room for a text");
_Static_assert(LENGTH("pid=4294967295 library=") +
		       4 * (EBPFTLS_TEXT_SIZE - 1) <=
		   EBPFTLS_LIBRARY_SIZE,
	       "room for a path");

static char *
put_text(char *to, const char *text)
{
	const size_t length = strlen(text);

	memcpy(to, text, length);
	return to + length;
}

/* A name with its number; of at least so many digits. */
static char *
put_number(char *to, const char *name, uint32_t number, int digits)
{
	char text[10];
	int at = sizeof(text);

	to = put_text(to, name);
	do {
		text[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0 || (int)sizeof(text) - at < digits);
	memcpy(to, text + at, sizeof(text) - (size_t)at);
	return to + sizeof(text) - at;
}

/* `plain` are characters that need not be escaped although others would. */
static char *
put_escaped(char *to, const char *value, const char *plain)
{
	static const char digits[] = "0123456789abcdef";

	for (; *value != '\0'; value++) {
		const unsigned char c = (unsigned char)*value;

		if ((c > 0x20 && c < 0x7f && c != '\\' && c != '=') ||
		    strchr(plain, c) != NULL) {
			*to++ = *value;
			continue;
		}
		*to++ = '\\';
		*to++ = 'x';
		*to++ = digits[c >> 4];
		*to++ = digits[c & 15];
	}
	return to;
}

static char *
put_value(char *to, const char *name, const char *value)
{
	return put_escaped(put_text(to, name), value, "");
}

static const char *
comm_of(const struct ebpftls_owner *owner)
{
	return owner->kind == EBPFTLS_OF_KERNEL ? "kernel" : owner->comm;
}

static char *
put_owner(char *to, const struct ebpftls_owner *owner, const char *pid,
	  const char *comm, const char *uid)
{
	if (owner->kind != EBPFTLS_OF_PROCESS &&
	    owner->kind != EBPFTLS_OF_KERNEL)
		return put_text(put_text(to, pid), "unknown");
	to = put_number(to, pid, owner->pid, 1);
	to = put_value(to, comm, comm_of(owner));
	return put_number(to, uid, owner->uid, 1);
}

size_t
ebpftls_owner_comment(const struct ebpftls_owner *sender,
		      const struct ebpftls_owner *receiver,
		      char text[EBPFTLS_OWNERS_SIZE])
{
	const struct ebpftls_owner *first = sender != NULL ? sender : receiver;
	char *to = put_owner(text, first, "pid=", " comm=", " uid=");

	if (sender != NULL && receiver != NULL)
		to = put_owner(to, receiver,
			       " to-pid=", " to-comm=", " to-uid=");
	return (size_t)(to - text);
}

/* 2026-11-21T08:42:00.123456789Z */
static char *
put_time(char *to, uint64_t time)
{
	const time_t seconds = (time_t)(time / SECOND);
	struct tm date;

	gmtime_r(&seconds, &date);
	to = put_number(to, " start=", (uint32_t)date.tm_year + 1900, 4);
	to = put_number(to, "-", (uint32_t)date.tm_mon + 1, 2);
	to = put_number(to, "-", (uint32_t)date.tm_mday, 2);
	to = put_number(to, "T", (uint32_t)date.tm_hour, 2);
	to = put_number(to, ":", (uint32_t)date.tm_min, 2);
	to = put_number(to, ":", (uint32_t)date.tm_sec, 2);
	to = put_number(to, ".", (uint32_t)(time % SECOND), 9);
	return put_text(to, "Z");
}

static char *
put_known(char *to, const char *name, const char *value)
{
	return value[0] != '\0' ? put_value(to, name, value) : to;
}

size_t
ebpftls_owner_facts(const struct ebpftls_owner *owner,
		    const struct ebpftls_process *facts, uint64_t boot,
		    char text[EBPFTLS_FACTS_SIZE])
{
	const bool known = facts != NULL;
	char *to = put_number(text, "process pid=", owner->pid, 1);

	if (known && facts->parent != 0)
		to = put_number(to, " parent=", facts->parent, 1);
	if (owner->start != 0)
		to = put_time(to, boot + owner->start);
	to = put_number(to, " uid=", known ? facts->uid : owner->uid, 1);
	to = put_known(to, " comm=",
		       known && facts->comm[0] != '\0' ? facts->comm
						       : owner->comm);
	if (known) {
		to = put_known(to, " exe=", facts->exe);
		to = put_known(to, " cgroup=", facts->cgroup);
		to = put_known(to, " container=", facts->container);
		to = put_known(to, " cmd=", facts->command);
	}
	return (size_t)(to - text);
}

size_t
ebpftls_owner_library(uint32_t pid, const char *path,
		      char text[EBPFTLS_LIBRARY_SIZE])
{
	char *to = put_number(text, "pid=", pid, 1);

	return (size_t)(put_value(to, " library=", path) - text);
}

void
ebpftls_owner_line(const char *text, char line[EBPFTLS_NOTE_SIZE])
{
	*put_escaped(line, text, " =") = '\0';
}

size_t
ebpftls_owner_comm(const struct ebpftls_owner *owner,
		   char text[EBPFTLS_COMM_SIZE])
{
	return (size_t)(put_escaped(text, comm_of(owner), " =") - text);
}
