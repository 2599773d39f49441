// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads the comments that ebpftls-owner.c writes, and else the numbers of
 * process blocks.
 */
#include "claims.h"

#include <stdlib.h>
#include <string.h>

#define DIRECTION_MASK 3
#define DIRECTION_IN   1

/* The same in a PKTAP header: a byte, as it is little-endian. */
#define PKTAP_FLAGS_AT 36
#define PKTAP_IN       1

/* What of a packet's options matters. */
struct found {
	const uint8_t *comment;
	uint16_t comment_size;
	uint32_t flags;
	const struct end *process;
	const struct end *to_process;
};

static const struct end nobody = { .pid = END_NO_PROCESS };

/* --- process blocks ------------------------------------------------------ */

bool
claims_add_process(struct claims_processes *processes,
		   const struct ebpftls_reader *reader,
		   const struct ebpftls_block *block)
{
	struct ebpftls_option_read name;
	struct end *end;

	if (processes->count == processes->room) {
		const size_t room = processes->room * 2 + 64;
		struct end *list =
		    realloc(processes->list, room * sizeof(*list));

		if (list == NULL)
			return false;
		processes->list = list;
		processes->room = room;
	}
	end = &processes->list[processes->count++];
	*end = nobody;
	if (!ebpftls_block_option(reader, block, EBPFTLS_PROCESS_NAME, &name))
		return true;
	end->pid = ebpftls_reader_u32(reader, block->bytes + 8);
	memcpy(end->name, name.value,
	       name.size < ENDS_NAME_SIZE ? name.size : ENDS_NAME_SIZE);
	return true;
}

void
claims_forget(struct claims_processes *processes)
{
	free(processes->list);
	*processes = (struct claims_processes){ .list = NULL };
}

static const struct end *
process_of(const struct claims_processes *processes,
	   const struct ebpftls_reader *reader,
	   const struct ebpftls_option_read *option)
{
	uint32_t number;

	if (option->size != sizeof(number))
		return NULL;
	number = ebpftls_reader_u32(reader, option->value);
	return number < processes->count ? &processes->list[number] : NULL;
}

/* --- comments ------------------------------------------------------------ */

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A value of the comment, which ends with a blank or the comment. */
struct value {
	const uint8_t *at;
	size_t size;
};

static bool
find_value(const struct found *found, const char *name, struct value *value)
{
	const size_t length = strlen(name);
	const uint8_t *at = found->comment;
	const uint8_t *end = at + found->comment_size;

	while (at < end) {
		const uint8_t *blank = memchr(at, ' ', (size_t)(end - at));
		const size_t size =
		    (size_t)((blank != NULL ? blank : end) - at);

		if (size >= length && memcmp(at, name, length) == 0) {
			value->at = at + length;
			value->size = size - length;
			return true;
		}
		at += size + 1;
	}
	return false;
}

static void
set_name(struct end *end, const struct value *value)
{
	size_t have = 0;

	for (size_t i = 0; i < value->size && have < ENDS_NAME_SIZE; i++) {
		const uint8_t *at = value->at + i;

		if (at[0] == '\\' && value->size - i >= 4 && at[1] == 'x' &&
		    digit(at[2]) >= 0 && digit(at[3]) >= 0) {
			end->name[have++] =
			    (char)(digit(at[2]) << 4 | digit(at[3]));
			i += 3;
		} else {
			end->name[have++] = (char)at[0];
		}
	}
}

/* "pid=1 comm=a", "pid=unknown"; or nothing of the kind. */
static void
read_end(const struct found *found, const char *pid, const char *comm,
	 struct end *end)
{
	struct value value;
	uint64_t number = 0;

	if (!find_value(found, pid, &value))
		return;
	for (size_t i = 0; i < value.size && number < END_NO_PROCESS; i++)
		number = value.at[i] < '0' || value.at[i] > '9'
			     ? END_NO_PROCESS
			     : number * 10 + (value.at[i] - '0');
	end->pid = number < END_NO_PROCESS ? (uint32_t)number : END_NO_PROCESS;
	if (end->pid == END_NO_PROCESS)
		end->name[0] = '?';
	else if (find_value(found, comm, &value))
		set_name(end, &value);
}

/* ------------------------------------------------------------------------- */

static bool
is_of_owners(const struct ebpftls_option_read *option)
{
	return option->size > 4 && memcmp(option->value, "pid=", 4) == 0;
}

static void
look(struct found *found, const struct claims_processes *processes,
     const struct ebpftls_reader *reader,
     const struct ebpftls_option_read *option)
{
	switch (option->code) {
	case EBPFTLS_COMMENT:
		if (found->comment == NULL && is_of_owners(option)) {
			found->comment = option->value;
			found->comment_size = option->size;
		}
		break;
	case EBPFTLS_EPB_FLAGS:
		if (option->size == 4)
			found->flags =
			    ebpftls_reader_u32(reader, option->value);
		break;
	case EBPFTLS_EPB_PROCESS:
		found->process = process_of(processes, reader, option);
		break;
	case EBPFTLS_EPB_TO_PROCESS:
		found->to_process = process_of(processes, reader, option);
		break;
	default:
		break;
	}
}

/* One that stands alone is this machine's end: which, the direction says. */
static void
settle(struct claims *claims, const struct end *first, const struct end *second,
       bool incoming)
{
	if (incoming && second->pid == END_NO_PROCESS &&
	    second->name[0] == '\0')
		*claims = (struct claims){ nobody, *first };
	else
		*claims = (struct claims){ *first, *second };
}

void
claims_read(struct claims *claims, const struct claims_processes *processes,
	    const struct ebpftls_reader *reader,
	    const struct ebpftls_block *block)
{
	const size_t offset = ebpftls_block_options(reader, block);
	const uint8_t *at = block->bytes + offset;
	const uint8_t *end = block->bytes + block->size - 4;
	struct ebpftls_option_read option;
	struct found found = { .comment = NULL };
	struct end first = nobody, second = nobody;

	for (; offset > 0 && ebpftls_option_read(reader, at, end, &option);
	     at = option.next)
		look(&found, processes, reader, &option);
	if (found.comment != NULL) {
		read_end(&found, "pid=", "comm=", &first);
		read_end(&found, "to-pid=", "to-comm=", &second);
	} else {
		if (found.process != NULL)
			first = *found.process;
		if (found.to_process != NULL)
			second = *found.to_process;
	}
	settle(claims, &first, &second,
	       (found.flags & DIRECTION_MASK) == DIRECTION_IN);
}

void
claims_read_pktap(struct claims *claims, const uint8_t *packet, size_t size)
{
	struct ends ends;

	if (ends_read(packet, size, &ends) > 0)
		settle(claims, &ends.first, &ends.second,
		       (packet[PKTAP_FLAGS_AT] & PKTAP_IN) != 0);
}
