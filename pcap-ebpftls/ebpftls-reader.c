// SPDX-License-Identifier: BSD-3-Clause
/* Takes a pcapng file apart. No length in it is believed. */
#define _GNU_SOURCE
#include "ebpftls-reader.h"

#include <byteswap.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_ROOM  ((size_t)256 << 10)
#define BLOCK_MIN   12
#define SECTION_MIN 28
#define PACKET_HEAD 28
#define OPTION_HEAD 4

static size_t
padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

bool
ebpftls_reader_init(struct ebpftls_reader *reader, int fd)
{
	*reader = (struct ebpftls_reader){ .fd = fd, .room = FIRST_ROOM };
	reader->bytes = malloc(reader->room);
	return reader->bytes != NULL;
}

void
ebpftls_reader_free(struct ebpftls_reader *reader)
{
	if (reader->bytes != NULL)
		explicit_bzero(reader->bytes, reader->end);
	free(reader->bytes);
	reader->bytes = NULL;
}

uint16_t
ebpftls_reader_u16(const struct ebpftls_reader *reader, const uint8_t *at)
{
	uint16_t number;

	memcpy(&number, at, sizeof(number));
	return reader->swapped ? bswap_16(number) : number;
}

uint32_t
ebpftls_reader_u32(const struct ebpftls_reader *reader, const uint8_t *at)
{
	uint32_t number;

	memcpy(&number, at, sizeof(number));
	return reader->swapped ? bswap_32(number) : number;
}

/* Moves what there is to the front of a place for `size` bytes. */
static bool
make_room(struct ebpftls_reader *reader, size_t size)
{
	const size_t have = reader->end - reader->start;
	uint8_t *bytes;

	if (size <= reader->room) {
		memmove(reader->bytes, reader->bytes + reader->start, have);
	} else {
		bytes = malloc(size);
		if (bytes == NULL)
			return false;
		memcpy(bytes, reader->bytes + reader->start, have);
		ebpftls_reader_free(reader);
		reader->bytes = bytes;
		reader->room = size;
	}
	reader->start = 0;
	reader->end = have;
	return true;
}

/* Makes so many bytes be there, if the file has them. */
static enum ebpftls_read
fill(struct ebpftls_reader *reader, size_t size)
{
	if (reader->end - reader->start >= size)
		return EBPFTLS_READ_BLOCK;
	if (!make_room(reader, size))
		return EBPFTLS_READ_FAILED;
	while (reader->end < size) {
		const ssize_t got =
		    read(reader->fd, reader->bytes + reader->end,
			 reader->room - reader->end);

		if (got == 0)
			return reader->end > 0 ? EBPFTLS_READ_CUT
					       : EBPFTLS_READ_END;
		if (got < 0 && errno != EINTR)
			return EBPFTLS_READ_FAILED;
		if (got > 0)
			reader->end += (size_t)got;
	}
	return EBPFTLS_READ_BLOCK;
}

/* A section's header says in which byte order its own length is. */
static enum ebpftls_read
begin_section(struct ebpftls_reader *reader)
{
	const enum ebpftls_read status = fill(reader, BLOCK_MIN);
	uint32_t magic;

	if (status != EBPFTLS_READ_BLOCK)
		return status;
	memcpy(&magic, reader->bytes + reader->start + 8, sizeof(magic));
	if (magic != EBPFTLS_BYTE_ORDER_MAGIC &&
	    bswap_32(magic) != EBPFTLS_BYTE_ORDER_MAGIC)
		return EBPFTLS_READ_BROKEN;
	reader->swapped = magic != EBPFTLS_BYTE_ORDER_MAGIC;
	reader->begun = true;
	return EBPFTLS_READ_BLOCK;
}

enum ebpftls_read
ebpftls_reader_next(struct ebpftls_reader *reader, struct ebpftls_block *block)
{
	enum ebpftls_read status = fill(reader, 8);
	const uint8_t *at;

	if (status != EBPFTLS_READ_BLOCK)
		return status;
	at = reader->bytes + reader->start;
	block->type = ebpftls_reader_u32(reader, at);
	if (block->type == EBPFTLS_BLOCK_SECTION)
		status = begin_section(reader);
	else if (!reader->begun)
		status = EBPFTLS_READ_BROKEN;
	if (status != EBPFTLS_READ_BLOCK)
		return status;
	at = reader->bytes + reader->start;
	block->size = ebpftls_reader_u32(reader, at + 4);
	if (block->size < BLOCK_MIN || block->size % 4 != 0 ||
	    block->size > EBPFTLS_BLOCK_MAX ||
	    (block->type == EBPFTLS_BLOCK_SECTION && block->size < SECTION_MIN))
		return EBPFTLS_READ_BROKEN;
	status = fill(reader, block->size);
	if (status != EBPFTLS_READ_BLOCK)
		return status;
	block->bytes = reader->bytes + reader->start;
	if (ebpftls_reader_u32(reader, block->bytes + block->size - 4) !=
	    block->size)
		return EBPFTLS_READ_BROKEN;
	reader->start += block->size;
	return EBPFTLS_READ_BLOCK;
}

size_t
ebpftls_reader_rest(const struct ebpftls_reader *reader)
{
	return reader->end - reader->start;
}

uint32_t
ebpftls_block_caplen(const struct ebpftls_reader *reader,
		     const struct ebpftls_block *block)
{
	return ebpftls_reader_u32(reader, block->bytes + 20);
}

/* Where the part of a block ends that is always there. */
static size_t
fixed_size(const struct ebpftls_reader *reader,
	   const struct ebpftls_block *block)
{
	switch (block->type) {
	case EBPFTLS_BLOCK_SECTION:
		return 24;
	case EBPFTLS_BLOCK_INTERFACE:
		return 16;
	case EBPFTLS_BLOCK_STATISTICS:
		return 20;
	case EBPFTLS_BLOCK_PROCESS:
		return 12;
	case EBPFTLS_BLOCK_PACKET:
		if (block->size < PACKET_HEAD + 4)
			return SIZE_MAX;
		return PACKET_HEAD +
		       padded(ebpftls_block_caplen(reader, block));
	default:
		return SIZE_MAX;
	}
}

size_t
ebpftls_block_options(const struct ebpftls_reader *reader,
		      const struct ebpftls_block *block)
{
	const size_t offset = fixed_size(reader, block);

	return offset <= block->size - 4 ? offset : 0;
}

bool
ebpftls_option_read(const struct ebpftls_reader *reader, const uint8_t *at,
		    const uint8_t *end, struct ebpftls_option_read *option)
{
	if (end - at < OPTION_HEAD)
		return false;
	option->code = ebpftls_reader_u16(reader, at);
	option->size = ebpftls_reader_u16(reader, at + 2);
	option->value = at + OPTION_HEAD;
	if (option->code == 0 ||
	    (size_t)(end - option->value) < padded(option->size))
		return false;
	option->next = option->value + padded(option->size);
	return true;
}

bool
ebpftls_block_option(const struct ebpftls_reader *reader,
		     const struct ebpftls_block *block,
		     enum ebpftls_option_code code,
		     struct ebpftls_option_read *option)
{
	const size_t offset = ebpftls_block_options(reader, block);
	const uint8_t *at = block->bytes + offset;
	const uint8_t *end = block->bytes + block->size - 4;

	for (; offset > 0 && ebpftls_option_read(reader, at, end, option);
	     at = option->next) {
		if (option->code == code)
			return true;
	}
	return false;
}
