// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for owners of packets and facts of processes, and looks at
 * what a file says of them: whole options, comments of the allowed characters,
 * numbers of blocks that are there.
 *
 * The input: how to say it; then packets, a byte below 128 whose low bits say
 * which owners follow, and facts: 128, the pid, two bytes of start, the number
 * of texts, and each with its length before it.
 */
#include "ebpftls-naming.h"

#include <stdlib.h>
#include <string.h>

#include "require.h"

struct input {
	const uint8_t *next;
	size_t left;
};

static uint32_t blocks_seen;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool
take(struct input *input, void *to, size_t length)
{
	if (input->left < length)
		return false;
	memcpy(to, input->next, length);
	input->next += length;
	input->left -= length;
	return true;
}

/* A text of at most `size` bytes, the end included. */
static bool
take_text(struct input *input, char *to, size_t size)
{
	uint8_t length;

	return take(input, &length, 1) && length < size &&
	       take(input, to, length);
}

static bool
learn(struct input *input, struct ebpftls_people *people)
{
	struct ebpftls_process facts;
	uint8_t head[4];
	bool whole;

	memset(&facts, 0, sizeof(facts));
	if (!take(input, head, sizeof(head)))
		return false;
	facts.pid = head[0];
	facts.start = (uint64_t)head[0] * 10 * (head[1] | head[2] << 8);
	whole =
	    (head[3] < 1 || take_text(input, facts.comm, sizeof(facts.comm))) &&
	    (head[3] < 2 || take_text(input, facts.exe, sizeof(facts.exe))) &&
	    (head[3] < 3 ||
	     take_text(input, facts.command, sizeof(facts.command))) &&
	    (head[3] < 4 ||
	     take_text(input, facts.cgroup, sizeof(facts.cgroup))) &&
	    (head[3] < 5 ||
	     take_text(input, facts.container, sizeof(facts.container)));
	ebpftls_people_learn(people, &facts);
	return whole;
}

static void
look_at_option(uint16_t code, const uint8_t *value, uint16_t size)
{
	uint32_t number;

	switch (code) {
	case EBPFTLS_COMMENT:
		require(size > 8);
		for (uint16_t i = 0; i < size; i++)
			require(value[i] >= 0x20 && value[i] < 0x7f);
		break;
	case EBPFTLS_EPB_THREAD:
		require(size == 8);
		break;
	case EBPFTLS_EPB_PROCESS:
	case EBPFTLS_EPB_TO_PROCESS:
		require(size == 4);
		memcpy(&number, value, sizeof(number));
		require(number < blocks_seen);
		break;
	default:
		abort();
	}
}

static void
look_at_options(const uint8_t *at, size_t size)
{
	const uint8_t *end = at + size;
	uint16_t head[2];

	for (; at < end; at += 4 + (head[1] + 3) / 4 * 4) {
		require(end - at >= 4);
		memcpy(head, at, sizeof(head));
		require(end - at >= 4 + (head[1] + 3) / 4 * 4);
		look_at_option(head[0], at + 4, head[1]);
	}
}

static void
look_at_blocks(struct ebpftls_blocks *blocks)
{
	uint32_t length;

	require(blocks->size <= EBPFTLS_NAMING_BLOCKS_MAX);
	for (size_t at = 0; at < blocks->size; at += length) {
		memcpy(&length, blocks->bytes + at + 4, sizeof(length));
		require(length >= 24 && length <= blocks->size - at);
		blocks_seen++;
	}
	blocks->size = 0;
}

static bool
say(struct input *input, struct ebpftls_naming *naming,
    struct ebpftls_people *people, struct ebpftls_blocks *blocks, uint8_t ends)
{
	struct ebpftls_owner owners[2];
	struct ebpftls_record record = { .time = 0 };

	for (int i = 0; i < 2; i++) {
		if ((ends & 1 << i) == 0)
			continue;
		if (!take(input, &owners[i], sizeof(owners[i])))
			return false;
		/* as a ring hands them out */
		owners[i].kind = 1 + owners[i].kind % 3;
		owners[i].comm[sizeof(owners[i].comm) - 1] = '\0';
	}
	record.sender = ends & 1 ? &owners[0] : NULL;
	record.receiver = ends & 2 ? &owners[1] : NULL;
	ebpftls_naming_packet(naming, people, &record, blocks);
	look_at_blocks(blocks);
	if (record.options_size > 0)
		look_at_options(record.options, record.options_size);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = { bytes, size };
	struct ebpftls_blocks blocks = { .size = 0 };
	struct ebpftls_people *people;
	struct ebpftls_naming *naming;
	uint8_t what, *rest;
	size_t rest_size;

	if (!take(&input, &what, 1))
		return 0;
	people = ebpftls_people_new(4);
	naming = ebpftls_naming_new(what & 3, UINT64_MAX / 3);
	blocks_seen = 0;
	while (take(&input, &what, 1) &&
	       (what < 128 ? say(&input, naming, people, &blocks, what)
			   : learn(&input, people)))
		;
	rest = ebpftls_naming_rest(naming, people, &rest_size);
	if (rest != NULL)
		look_at_options(rest, rest_size);
	free(rest);
	ebpftls_naming_free(naming);
	ebpftls_people_free(people);
	ebpftls_blocks_free(&blocks);
	return 0;
}
