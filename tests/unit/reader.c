// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does the reader return the blocks of a file, in both byte orders, and what
 * does it say of files that are none? What the tool leaves of each block is
 * looked at here as well.
 */
#define _GNU_SOURCE
#include "ebpftls-reader.h"

#include <byteswap.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bare.h"
#include "ebpftls-blocks.h"
#include "unit/check.h"

static struct ebpftls_blocks made;
static bool swapped; /* files are made of the other byte order */

/* --- files ---------------------------------------------------------------- */

static void
put32(uint32_t number)
{
	check(ebpftls_blocks_reserve(&made, 4));
	number = swapped ? bswap_32(number) : number;
	memcpy(made.bytes + made.size, &number, 4);
	made.size += 4;
}

static void
put_option(uint16_t code, const char *text)
{
	const uint16_t size = (uint16_t)strlen(text);
	const uint16_t head[] = { swapped ? bswap_16(code) : code,
				  swapped ? bswap_16(size) : size };
	const size_t room = (size + 3u) / 4 * 4;

	check(ebpftls_blocks_reserve(&made, 4 + room));
	memcpy(made.bytes + made.size, head, 4);
	memset(made.bytes + made.size + 4, 0, room);
	memcpy(made.bytes + made.size + 4, text, size);
	made.size += 4 + room;
}

static size_t
begin(uint32_t type)
{
	put32(type);
	put32(0);
	return made.size - 8;
}

static void
end(size_t start)
{
	uint32_t size = (uint32_t)(made.size + 4 - start);

	put32(size);
	size = swapped ? bswap_32(size) : size;
	memcpy(made.bytes + start + 4, &size, 4);
}

static void
put_section(void)
{
	const size_t start = begin(EBPFTLS_BLOCK_SECTION);

	put32(EBPFTLS_BYTE_ORDER_MAGIC);
	put32(swapped ? 0x00010000 : 1);
	put32(1234);
	put32(0);
	put_option(EBPFTLS_SHB_USERAPPL, "somebody");
	put32(0);
	end(start);
}

/* With a comment of somebody's, and those of ours. */
static void
put_packet(const char *bytes, const char *comment)
{
	const size_t start = begin(EBPFTLS_BLOCK_PACKET);

	for (int i = 0; i < 3; i++)
		put32(0);
	put32((uint32_t)strlen(bytes));
	put32((uint32_t)strlen(bytes));
	check(ebpftls_blocks_reserve(&made, strlen(bytes)));
	memcpy(made.bytes + made.size, bytes, strlen(bytes));
	made.size += strlen(bytes);
	if (comment[0] != '\0')
		put_option(EBPFTLS_COMMENT, comment);
	put_option(EBPFTLS_COMMENT, "pid=1 comm=a uid=0");
	put_option(EBPFTLS_COMMENT, "process pid=1 exe=/a");
	put_option(EBPFTLS_EPB_THREAD, "12345678");
	put_option(EBPFTLS_EPB_PROCESS, "1234");
	put32(0);
	end(start);
}

static void
put_plain(uint32_t type, const char *body)
{
	const size_t start = begin(type);

	check(ebpftls_blocks_reserve(&made, strlen(body)));
	memcpy(made.bytes + made.size, body, strlen(body));
	made.size += strlen(body);
	end(start);
}

static void
put_file(void)
{
	put_section();
	put_plain(EBPFTLS_BLOCK_INTERFACE, "1234abcd");
	put_plain(EBPFTLS_BLOCK_SECRETS, "TLSKlen.secret..");
	put_plain(EBPFTLS_BLOCK_PROCESS, "pid.");
	put_packet("abcdefgh", "a comment");
	put_packet("abcd", "");
	put_plain(0x12345, "unknown.");
}

/* --- reading -------------------------------------------------------------- */

/* What has been made, or so much of it, to read. */
static bool
open_made(struct ebpftls_reader *reader, size_t size)
{
	const int fd = memfd_create("file", 0);

	return check(fd >= 0) &&
	       check(write(fd, made.bytes, size) == (ssize_t)size) &&
	       check(lseek(fd, 0, SEEK_SET) == 0) &&
	       check(ebpftls_reader_init(reader, fd));
}

static void
close_made(struct ebpftls_reader *reader)
{
	close(reader->fd);
	ebpftls_reader_free(reader);
}

/* How many blocks there are before it returns something else. */
static int
count(size_t size, enum ebpftls_read *last)
{
	struct ebpftls_reader reader;
	struct ebpftls_block block;
	int blocks = 0;

	open_made(&reader, size);
	while ((*last = ebpftls_reader_next(&reader, &block)) ==
	       EBPFTLS_READ_BLOCK)
		blocks++;
	close_made(&reader);
	return blocks;
}

static void
forget(void)
{
	ebpftls_blocks_free(&made);
	swapped = false;
}

static void
look_at_blocks(void)
{
	static const uint32_t types[] = {
		EBPFTLS_BLOCK_SECTION,
		EBPFTLS_BLOCK_INTERFACE,
		EBPFTLS_BLOCK_SECRETS,
		EBPFTLS_BLOCK_PROCESS,
		EBPFTLS_BLOCK_PACKET,
		EBPFTLS_BLOCK_PACKET,
		0x12345,
	};
	struct ebpftls_option_read option;
	struct ebpftls_reader reader;
	struct ebpftls_block block;
	size_t at = 0;

	put_file();
	open_made(&reader, made.size);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		check(ebpftls_reader_next(&reader, &block) ==
		      EBPFTLS_READ_BLOCK);
		check(block.type == types[i]);
		check_bytes(block.bytes, made.bytes + at, block.size);
		at += block.size;
		if (i == 0) {
			check(ebpftls_block_option(&reader, &block,
						   EBPFTLS_SHB_USERAPPL,
						   &option));
			check(option.size == 8);
			check_bytes(option.value, "somebody", 8);
		}
		if (i == 4)
			check(ebpftls_block_caplen(&reader, &block) == 8);
	}
	check(ebpftls_reader_next(&reader, &block) == EBPFTLS_READ_END);
	check(reader.swapped == swapped);
	close_made(&reader);
	forget();
}

static void
test_native(void)
{
	look_at_blocks();
}

static void
test_swapped(void)
{
	swapped = true;
	look_at_blocks();
}

/* Wherever a file ends, whole blocks are returned and nothing else. */
static void
test_cut(void)
{
	enum ebpftls_read last;
	int before = 0, blocks;

	put_file();
	for (size_t size = 0; size <= made.size; size++) {
		blocks = count(size, &last);
		check(blocks == before || blocks == before + 1);
		check(last == (blocks > before || size == 0
				   ? EBPFTLS_READ_END
				   : EBPFTLS_READ_CUT));
		before = blocks;
	}
	check(before == 7);
	forget();
}

/* A length that cannot be one, in the second block. */
static void
test_lengths(void)
{
	static const uint32_t lengths[] = { 0,		 8,	     11,  13,
					    1 << 24 | 4, UINT32_MAX, ~3u, 24 };
	enum ebpftls_read last;
	size_t first;

	put_section();
	first = made.size;
	put_plain(0x12345, "12345678");
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memcpy(made.bytes + first + 4, &lengths[i], 4);
		check(count(made.size, &last) == 1);
		check(last == (lengths[i] == 24 ? EBPFTLS_READ_CUT
						: EBPFTLS_READ_BROKEN));
	}
	forget();
}

static void
test_two_lengths(void)
{
	enum ebpftls_read last;

	put_section();
	put_plain(0x12345, "12345678");
	made.bytes[made.size - 4]++;
	check(count(made.size, &last) == 1);
	check(last == EBPFTLS_READ_BROKEN);
	forget();
}

static void
test_no_section(void)
{
	enum ebpftls_read last;

	put_plain(EBPFTLS_BLOCK_INTERFACE, "1234abcd");
	check(count(made.size, &last) == 0);
	check(last == EBPFTLS_READ_BROKEN);
	forget();
	put_section();
	made.bytes[8]++;
	check(count(made.size, &last) == 0);
	check(last == EBPFTLS_READ_BROKEN);
	forget();
}

/* Longer than what is read at once, and as long as can be. */
static void
test_long(void)
{
	static const size_t sizes[] = { 300000, EBPFTLS_BLOCK_MAX - 12 };
	enum ebpftls_read last;
	char *body;

	for (size_t i = 0; i < 2; i++) {
		body = malloc(sizes[i] + 1);
		memset(body, 'x', sizes[i]);
		body[sizes[i]] = '\0';
		put_section();
		put_plain(0x12345, body);
		put_plain(0x12345, "12345678");
		check(count(made.size, &last) == 3);
		check(last == EBPFTLS_READ_END);
		free(body);
		forget();
	}
}

/* A captured length that leads out of its block. */
static void
test_caplen(void)
{
	struct ebpftls_reader reader;
	struct ebpftls_block block;
	uint32_t length;

	put_section();
	length = (uint32_t)made.size;
	put_packet("abcd", "");
	memset(made.bytes + length + 20, 0xff, 4);
	open_made(&reader, made.size);
	ebpftls_reader_next(&reader, &block);
	check(ebpftls_reader_next(&reader, &block) == EBPFTLS_READ_BLOCK);
	check(ebpftls_block_options(&reader, &block) == 0);
	close_made(&reader);
	forget();
}

/* --- what the tool leaves ---------------------------------------------------
 */

/* All that is left of what has been made. */
static size_t
strip(bool processes, uint8_t *to)
{
	struct ebpftls_reader reader;
	struct ebpftls_block block;
	size_t size = 0;

	open_made(&reader, made.size);
	while (ebpftls_reader_next(&reader, &block) == EBPFTLS_READ_BLOCK)
		size += bare_block(&reader, &block, processes, to + size);
	close_made(&reader);
	return size;
}

static bool
has(const uint8_t *bytes, size_t size, const char *text)
{
	return memmem(bytes, size, text, strlen(text)) != NULL;
}

static void
look_at_bare(void)
{
	uint8_t bytes[4096];
	size_t size;

	put_file();
	size = strip(false, bytes);
	check(size == made.size - 28);
	check(!has(bytes, size, "secret"));
	check(has(bytes, size, "pid=1") && has(bytes, size, "unknown."));
	check(!memcmp(bytes + 16, "\xff\xff\xff\xff\xff\xff\xff\xff", 8));
	size = strip(true, bytes);
	check(!has(bytes, size, "secret") && !has(bytes, size, "pid"));
	check(!has(bytes, size, "12345678"));
	check(has(bytes, size, "a comment") && has(bytes, size, "abcdefgh"));
	/* the second packet has no options left, not even their end */
	ebpftls_blocks_free(&made);
	check(ebpftls_blocks_reserve(&made, size));
	memcpy(made.bytes, bytes, size);
	made.size = size;
	check(strip(true, bytes) == size);
	check_bytes(bytes, made.bytes, size);
	forget();
}

static void
test_bare(void)
{
	look_at_bare();
	swapped = true;
	look_at_bare();
}

/* Statistics that say nothing but of processes were not there before. */
static void
test_bare_statistics(void)
{
	uint8_t bytes[4096];
	size_t before, size;

	put_section();
	before = made.size;
	for (int i = 0; i < 2; i++) {
		size = begin(EBPFTLS_BLOCK_STATISTICS);
		for (int j = 0; j < 3; j++)
			put32(0);
		if (i == 1)
			put_option(EBPFTLS_COMMENT, "counters");
		put_option(EBPFTLS_COMMENT, "process pid=1 exe=/a");
		put32(0);
		end(size);
	}
	size = strip(true, bytes);
	check(size == before + 24 + 12 + 4);
	check(!has(bytes, size, "pid") && has(bytes, size, "counters"));
	forget();
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "reader: blocks", test_native },
		{ "reader: the other byte order", test_swapped },
		{ "reader: cut anywhere", test_cut },
		{ "reader: wrong lengths", test_lengths },
		{ "reader: lengths that differ", test_two_lengths },
		{ "reader: no section", test_no_section },
		{ "reader: long blocks", test_long },
		{ "reader: wrong captured length", test_caplen },
		{ "strip: secrets and processes", test_bare },
		{ "strip: statistics", test_bare_statistics },
		{ NULL, NULL },
	};

	return check_main(cases);
}
