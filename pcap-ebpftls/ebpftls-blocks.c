// SPDX-License-Identifier: BSD-3-Clause
/*
 * Writes pcapng blocks. Lengths are filled in when a block ends; a block that
 * did not find its memory is taken back as a whole.
 */
#include "ebpftls-blocks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define PACKET_MAX INT32_MAX

/* A block that is being written. */
struct block {
	struct ebpftls_blocks *blocks;
	size_t start;
	bool failed;
};

struct timestamp {
	uint32_t high;
	uint32_t low;
};

struct packet_header {
	uint32_t type;
	uint32_t length;
	uint32_t interface;
	struct timestamp time;
	uint32_t caplen;
	uint32_t len;
};

static size_t
padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

static struct timestamp
timestamp(uint64_t time, bool nanoseconds)
{
	if (!nanoseconds)
		time /= 1000;
	return (struct timestamp){ (uint32_t)(time >> 32), (uint32_t)time };
}

/* The memory that is left behind may have held secrets. */
static bool
grow(struct ebpftls_blocks *blocks, size_t size)
{
	size_t room = blocks->size + size;
	uint8_t *bytes = malloc(room);

	if (bytes == NULL)
		return false;
	if (blocks->size > 0)
		memcpy(bytes, blocks->bytes, blocks->size);
	size = blocks->size;
	ebpftls_blocks_free(blocks);
	*blocks = (struct ebpftls_blocks){ bytes, size, room };
	return true;
}

bool
ebpftls_blocks_reserve(struct ebpftls_blocks *blocks, size_t size)
{
	return size <= blocks->room - blocks->size || grow(blocks, size);
}

void
ebpftls_blocks_free(struct ebpftls_blocks *blocks)
{
	if (blocks->bytes != NULL)
		explicit_bzero(blocks->bytes, blocks->size);
	free(blocks->bytes);
	*blocks = (struct ebpftls_blocks){ .size = 0 };
}

/* Room for `size` bytes and padding, which is zero; or NULL. */
static uint8_t *
extend(struct block *block, size_t size)
{
	struct ebpftls_blocks *blocks = block->blocks;
	uint8_t *at;

	if (block->failed || !ebpftls_blocks_reserve(blocks, padded(size))) {
		block->failed = true;
		return NULL;
	}
	at = blocks->bytes + blocks->size;
	memset(at + size, 0, padded(size) - size);
	blocks->size += padded(size);
	return at;
}

static void
put(struct block *block, const void *bytes, size_t size)
{
	uint8_t *at = extend(block, size);

	if (at != NULL && size > 0)
		memcpy(at, bytes, size);
}

static void
put_number(struct block *block, uint32_t number)
{
	put(block, &number, sizeof(number));
}

static void
put_option(struct block *block, enum ebpftls_option_code code,
	   const void *bytes, size_t size)
{
	const uint16_t head[] = { (uint16_t)code, (uint16_t)size };

	put(block, head, sizeof(head));
	put(block, bytes, size);
}

/* One that is longer than an option can be is left out. */
static void
put_text(struct block *block, enum ebpftls_option_code code, const char *text)
{
	const size_t length = strlen(text);

	if (length <= UINT16_MAX)
		put_option(block, code, text, length);
}

static void
put_time(struct block *block, enum ebpftls_option_code code,
	 struct timestamp time)
{
	put_option(block, code, &time, sizeof(time));
}

static void
put_count(struct block *block, enum ebpftls_option_code code, uint64_t count)
{
	put_option(block, code, &count, sizeof(count));
}

static struct block
begin(struct ebpftls_blocks *blocks, enum ebpftls_block_type type)
{
	struct block block = { .blocks = blocks, .start = blocks->size };

	put_number(&block, type);
	put_number(&block, 0);
	return block;
}

static bool
end(struct block *block)
{
	struct ebpftls_blocks *blocks = block->blocks;
	uint32_t length;

	put_number(block, 0);
	if (block->failed) {
		blocks->size = block->start;
		return false;
	}
	length = (uint32_t)(blocks->size - block->start);
	memcpy(blocks->bytes + block->start + 4, &length, 4);
	memcpy(blocks->bytes + blocks->size - 4, &length, 4);
	return true;
}

static bool
end_options(struct block *block)
{
	put_option(block, EBPFTLS_END_OF_OPTIONS, NULL, 0);
	return end(block);
}

bool
ebpftls_blocks_section(struct ebpftls_blocks *blocks, const char *name)
{
	struct block block = begin(blocks, EBPFTLS_BLOCK_SECTION);
	const uint16_t version[] = { 1, 0 };
	const int64_t unspecified = -1;
	struct utsname system;
	char os[sizeof(system.sysname) + sizeof(system.release)];

	put_number(&block, EBPFTLS_BYTE_ORDER_MAGIC);
	put(&block, version, sizeof(version));
	put(&block, &unspecified, sizeof(unspecified));
	if (uname(&system) == 0) {
		put_text(&block, EBPFTLS_SHB_HARDWARE, system.machine);
		stpcpy(stpcpy(stpcpy(os, system.sysname), " "), system.release);
		put_text(&block, EBPFTLS_SHB_OS, os);
	}
	put_text(&block, EBPFTLS_SHB_USERAPPL, name);
	return end_options(&block);
}

/* The first byte says that it is a program, not an expression. */
static void
put_filter(struct block *block, const void *filter, size_t size)
{
	const uint16_t head[] = { EBPFTLS_IF_FILTER, (uint16_t)(size + 1) };
	uint8_t *at;

	if (size >= UINT16_MAX)
		return;
	put(block, head, sizeof(head));
	at = extend(block, size + 1);
	if (at != NULL) {
		*at = 1;
		memcpy(at + 1, filter, size);
	}
}

bool
ebpftls_blocks_interface(struct ebpftls_blocks *blocks,
			 const struct ebpftls_interface *interface)
{
	struct block block = begin(blocks, EBPFTLS_BLOCK_INTERFACE);
	const uint16_t linktype[] = { (uint16_t)interface->linktype, 0 };
	const uint8_t digits = interface->nanoseconds ? 9 : 6;
	struct utsname system;

	put(&block, linktype, sizeof(linktype));
	put_number(&block, interface->snaplen);
	put_text(&block, EBPFTLS_IF_NAME, interface->name);
	put_text(&block, EBPFTLS_IF_DESCRIPTION, interface->description);
	put_option(&block, EBPFTLS_IF_TSRESOL, &digits, sizeof(digits));
	if (interface->filter != NULL)
		put_filter(&block, interface->filter, interface->filter_size);
	if (uname(&system) == 0)
		put_text(&block, EBPFTLS_IF_OS, system.sysname);
	return end_options(&block);
}

static size_t
options_size(const struct ebpftls_record *record)
{
	size_t size = record->options_size;

	if (record->direction != 0)
		size += 8;
	if (record->dropped != 0)
		size += 12;
	return size > 0 ? size + 4 : 0;
}

size_t
ebpftls_blocks_packet_size(const struct ebpftls_record *record)
{
	if (record->mark != NULL)
		return sizeof(struct ebpftls_mark_block) +
		       record->options_size + 4;
	return sizeof(struct packet_header) + padded(record->caplen) +
	       options_size(record) + 4;
}

uint8_t *
ebpftls_blocks_option(uint8_t *at, enum ebpftls_option_code code,
		      const void *bytes, size_t size)
{
	memcpy(at, (uint16_t[]){ (uint16_t)code, (uint16_t)size }, 4);
	memcpy(at + 4, bytes, size);
	memset(at + 4 + size, 0, padded(size) - size);
	return at + 4 + padded(size);
}

/* Writes what options_size() counts. */
static void
packet_options(uint8_t *at, const struct ebpftls_record *record)
{
	const uint32_t flags[] = { record->direction };
	const uint64_t dropped[] = { record->dropped };

	if (options_size(record) == 0)
		return;
	if (record->direction != 0) {
		memcpy(at, (uint16_t[]){ EBPFTLS_EPB_FLAGS, sizeof(flags) }, 4);
		memcpy(at + 4, flags, sizeof(flags));
		at += 8;
	}
	if (record->dropped != 0) {
		memcpy(at,
		       (uint16_t[]){ EBPFTLS_EPB_DROPCOUNT, sizeof(dropped) },
		       4);
		memcpy(at + 4, dropped, sizeof(dropped));
		at += 12;
	}
	if (record->options_size > 0)
		memcpy(at, record->options, record->options_size);
	memset(at + record->options_size, 0, 4);
}

static void
write_mark(uint8_t *at, const struct ebpftls_record *record, size_t size)
{
	const struct ebpftls_mark_block head = {
		.type = EBPFTLS_BLOCK_MARK,
		.length = (uint32_t)size,
		.time = record->time,
		.caplen = record->caplen,
		.len = record->len,
		.mark = *record->mark,
	};

	memcpy(at, &head, sizeof(head));
	if (record->options_size > 0)
		memcpy(at + sizeof(head), record->options,
		       record->options_size);
	memcpy(at + size - 4, &head.length, 4);
}

/* For each packet of a capture, and so not made of the parts above. */
bool
ebpftls_blocks_packet(struct ebpftls_blocks *blocks,
		      const struct ebpftls_record *record, bool nanoseconds,
		      const uint8_t *bytes)
{
	const size_t size = ebpftls_blocks_packet_size(record);
	const struct packet_header header = {
		.type = EBPFTLS_BLOCK_PACKET,
		.length = (uint32_t)size,
		.time = timestamp(record->time, nanoseconds),
		.caplen = record->caplen,
		.len = record->len,
	};
	uint8_t *at;

	if (size > PACKET_MAX || !ebpftls_blocks_reserve(blocks, size))
		return false;
	at = blocks->bytes + blocks->size;
	if (record->mark != NULL) {
		write_mark(at, record, size);
		blocks->size += size;
		return true;
	}
	memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	if (record->caplen > 0)
		memcpy(at, bytes, record->caplen);
	/* what is no padding of these four bytes is written over */
	memset(at + record->caplen, 0, 4);
	packet_options(at + padded(record->caplen), record);
	memcpy(blocks->bytes + blocks->size + size - 4, &header.length, 4);
	blocks->size += size;
	return true;
}

bool
ebpftls_blocks_process(struct ebpftls_blocks *blocks, uint32_t pid,
		       const char *name, size_t length)
{
	struct block block = begin(blocks, EBPFTLS_BLOCK_PROCESS);

	put_number(&block, pid);
	put_option(&block, EBPFTLS_PROCESS_NAME, name, length);
	return end_options(&block);
}

static struct block
begin_secrets(struct ebpftls_blocks *blocks, size_t length)
{
	struct block block = begin(blocks, EBPFTLS_BLOCK_SECRETS);

	put_number(&block, EBPFTLS_SECRETS_TLS_LOG);
	put_number(&block, (uint32_t)length);
	return block;
}

bool
ebpftls_blocks_secrets(struct ebpftls_blocks *blocks, const char *lines,
		       size_t length)
{
	struct block block = begin_secrets(blocks, length);

	put(&block, lines, length);
	return end(&block);
}

size_t
ebpftls_blocks_empty_secrets(struct ebpftls_blocks *blocks, size_t length)
{
	struct block block = begin_secrets(blocks, length);
	const size_t at = blocks->size;
	uint8_t *lines = extend(&block, length);

	if (lines != NULL)
		memset(lines, '\n', length);
	return end(&block) ? at : 0;
}

bool
ebpftls_blocks_statistics(struct ebpftls_blocks *blocks, uint64_t from,
			  uint64_t to, bool nanoseconds,
			  const struct ebpftls_totals *totals)
{
	struct block block = begin(blocks, EBPFTLS_BLOCK_STATISTICS);
	const struct timestamp time = timestamp(to, nanoseconds);

	put_number(&block, 0);
	put(&block, &time, sizeof(time));
	if (totals->comment != NULL)
		put_text(&block, EBPFTLS_COMMENT, totals->comment);
	put(&block, totals->options, totals->options_size);
	put_time(&block, EBPFTLS_ISB_STARTTIME, timestamp(from, nanoseconds));
	put_time(&block, EBPFTLS_ISB_ENDTIME, time);
	put_count(&block, EBPFTLS_ISB_IFRECV, totals->received);
	put_count(&block, EBPFTLS_ISB_IFDROP,
		  totals->dropped + totals->if_dropped);
	return end_options(&block);
}
