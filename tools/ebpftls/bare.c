// SPDX-License-Identifier: BSD-3-Clause
/* Takes blocks and options out. What remains keeps its bytes and its order. */
#include "bare.h"

#include <string.h>

/* How our comments begin: see ebpftls-owner.h. */
#define OF_PACKET  "pid="
#define OF_PROCESS "process pid="

static bool
begins(const struct ebpftls_option_read *option, const char *text)
{
	const size_t length = strlen(text);

	return option->size >= length &&
	       memcmp(option->value, text, length) == 0;
}

static bool
is_ours(uint32_t type, const struct ebpftls_option_read *option)
{
	if (type != EBPFTLS_BLOCK_PACKET && type != EBPFTLS_BLOCK_STATISTICS)
		return false;
	if (option->code == EBPFTLS_COMMENT)
		return begins(option, OF_PACKET) || begins(option, OF_PROCESS);
	return type == EBPFTLS_BLOCK_PACKET &&
	       (option->code == EBPFTLS_EPB_THREAD ||
		option->code == EBPFTLS_EPB_PROCESS ||
		option->code == EBPFTLS_EPB_TO_PROCESS);
}

static void
put_u32(const struct ebpftls_reader *reader, uint8_t *to, uint32_t number)
{
	const uint8_t *bytes = (const uint8_t *)&number;

	number = ebpftls_reader_u32(reader, bytes);
	memcpy(to, &number, sizeof(number));
}

/* Its options without ours; none at all if there were only these. */
static size_t
without_processes(const struct ebpftls_reader *reader,
		  const struct ebpftls_block *block, uint8_t *to)
{
	const size_t offset = ebpftls_block_options(reader, block);
	const uint8_t *at = block->bytes + offset;
	const uint8_t *end = block->bytes + block->size - 4;
	struct ebpftls_option_read option;
	size_t size = offset;
	bool any = false;

	memcpy(to, block->bytes, offset);
	for (; ebpftls_option_read(reader, at, end, &option);
	     at = option.next) {
		if (is_ours(block->type, &option))
			continue;
		memcpy(to + size, at, (size_t)(option.next - at));
		size += (size_t)(option.next - at);
	}
	any = size > offset;
	if (!any && block->type == EBPFTLS_BLOCK_STATISTICS)
		return 0;
	/* their end, and whatever could not be read as an option */
	if (any) {
		memcpy(to + size, at, (size_t)(end - at));
		size += (size_t)(end - at);
	}
	size += 4;
	put_u32(reader, to + 4, (uint32_t)size);
	put_u32(reader, to + size - 4, (uint32_t)size);
	return size;
}

/* Whether there is an option of ours in it. */
static bool
says_processes(const struct ebpftls_reader *reader,
	       const struct ebpftls_block *block)
{
	const size_t offset = ebpftls_block_options(reader, block);
	const uint8_t *at = block->bytes + offset;
	const uint8_t *end = block->bytes + block->size - 4;
	struct ebpftls_option_read option;

	for (; offset > 0 && ebpftls_option_read(reader, at, end, &option);
	     at = option.next) {
		if (is_ours(block->type, &option))
			return true;
	}
	return false;
}

size_t
bare_block(const struct ebpftls_reader *reader,
	   const struct ebpftls_block *block, bool processes, uint8_t *to)
{
	if (block->type == EBPFTLS_BLOCK_SECRETS ||
	    (processes && block->type == EBPFTLS_BLOCK_PROCESS))
		return 0;
	if (processes && says_processes(reader, block))
		return without_processes(reader, block, to);
	memcpy(to, block->bytes, block->size);
	/* the length of the section is another now: it need not be given */
	if (block->type == EBPFTLS_BLOCK_SECTION)
		memset(to + 16, 0xff, 8);
	return block->size;
}
