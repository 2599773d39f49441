// SPDX-License-Identifier: BSD-3-Clause
/* Are the blocks those of the pcapng specification, byte for byte? */
#define _GNU_SOURCE
#include "ebpftls-blocks.h"

#include <sys/utsname.h>

#include "unit/check.h"

const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/* All fields as numbers of 32 bits, in the byte order of the machine. */
static void
check_words(const struct ebpftls_blocks *blocks, const uint32_t *words,
	    size_t count)
{
	if (check(blocks->size == count * 4))
		check_bytes(blocks->bytes, words, blocks->size);
}

/* Two numbers of 16 bits as they lie in memory. */
static uint32_t
pair(uint16_t first, uint16_t second)
{
	const uint16_t numbers[] = { first, second };
	uint32_t word;

	memcpy(&word, numbers, sizeof(word));
	return word;
}

/* The halves of a small number of 64 bits as they lie in memory. */
#define LITTLE	(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#define LOW(n)	(LITTLE ? (n) : 0)
#define HIGH(n) (LITTLE ? 0 : (n))

static uint32_t
text(const char *four)
{
	uint32_t word;

	memcpy(&word, four, sizeof(word));
	return word;
}

static void
bare_packet(void)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	const struct ebpftls_record record = {
		.time = UINT64_C(0x123456789),
		.caplen = 5,
		.len = 1500,
	};
	const uint32_t words[] = {
		6,  40, 0, 1, 0x23456789, 5, 1500, text("abcd"), text("e\0\0"),
		40,
	};

	check(ebpftls_blocks_packet_size(&record) == 40);
	check(ebpftls_blocks_packet(&blocks, &record, true,
				    (const uint8_t *)"abcdefgh"));
	check_words(&blocks, words, sizeof(words) / 4);
	ebpftls_blocks_free(&blocks);
}

/* Each alone and both together, as their lengths differ. */
static void
packet_options(void)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	struct ebpftls_record record = { .time = 7999, .direction = 2 };
	const uint32_t words[] = {
		6,	    44,	     0, 0,  7,		0,	0,
		pair(2, 4), 2,	     0, 44, 6,		56,	0,
		0,	    7,	     0, 0,  pair(2, 4), 2,	pair(4, 8),
		LOW(3),	    HIGH(3), 0, 56, 6,		48,	0,
		0,	    7,	     0, 0,  pair(4, 8), LOW(3), HIGH(3),
		0,	    48,
	};
	size_t size = ebpftls_blocks_packet_size(&record);

	check(ebpftls_blocks_packet(&blocks, &record, false, NULL));
	record.dropped = 3;
	size += ebpftls_blocks_packet_size(&record);
	check(ebpftls_blocks_packet(&blocks, &record, false, NULL));
	record.direction = 0;
	size += ebpftls_blocks_packet_size(&record);
	check(ebpftls_blocks_packet(&blocks, &record, false, NULL));
	check(blocks.size == size);
	check_words(&blocks, words, sizeof(words) / 4);
	ebpftls_blocks_free(&blocks);
}

/* As they were made, after the others. */
static void
more_options(void)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	uint8_t options[20];
	uint8_t *at = options;
	struct ebpftls_record record = { .time = 7, .options = options };
	const uint32_t both[] = {
		6,
		56,
		0,
		0,
		7,
		0,
		0,
		pair(1, 5),
		text("pid="),
		text("1\0\0"),
		pair(32769, 4),
		3,
		0,
		56,
		6,
		76,
		0,
		0,
		7,
		0,
		0,
		pair(2, 4),
		1,
		pair(4, 8),
		LOW(2),
		HIGH(2),
		pair(1, 5),
		text("pid="),
		text("1\0\0"),
		pair(32769, 4),
		3,
		0,
		76,
	};

	at = ebpftls_blocks_option(at, EBPFTLS_COMMENT, "pid=1", 5);
	check(at == options + 12);
	at = ebpftls_blocks_option(at, EBPFTLS_EPB_PROCESS, (uint32_t[]){ 3 },
				   4);
	check(at == options + 20);
	record.options_size = 20;
	check(ebpftls_blocks_packet_size(&record) == 56);
	check(ebpftls_blocks_packet(&blocks, &record, true, NULL));
	record.direction = 1;
	record.dropped = 2;
	check(ebpftls_blocks_packet_size(&record) == 76);
	check(ebpftls_blocks_packet(&blocks, &record, true, NULL));
	check_words(&blocks, both, sizeof(both) / 4);
	ebpftls_blocks_free(&blocks);
}

static void
process(void)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	const uint32_t words[] = {
		0x80000001, 28, 4711, pair(2, 4), text("curl"), 0, 28,
	};

	check(ebpftls_blocks_process(&blocks, 4711, "curl-not", 4));
	check_words(&blocks, words, sizeof(words) / 4);
	ebpftls_blocks_free(&blocks);
}

static void
secrets(void)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	const uint32_t words[] = {
		10, 28, 0x544c534b, 5, text("A B\n"), text("\n\0\0"), 28,
	};

	check(ebpftls_blocks_secrets(&blocks, "A B\n\n", 5));
	check_words(&blocks, words, sizeof(words) / 4);
	ebpftls_blocks_free(&blocks);
}

static void
empty_secrets(void)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	const uint32_t words[] = {
		10, 24, 0x544c534b, 4, text("\n\n\n\n"), 24,
		10, 24, 0x544c534b, 4, text("\n\n\n\n"), 24,
	};

	check(ebpftls_blocks_empty_secrets(&blocks, 4) == 16);
	check(ebpftls_blocks_empty_secrets(&blocks, 4) == 24 + 16);
	check_words(&blocks, words, sizeof(words) / 4);
	ebpftls_blocks_free(&blocks);
}

static void
interface(void)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	const struct ebpftls_interface wanted = {
		.name = "ebpftls:eth0",
		.description = "eth0",
		.filter = "tcp",
		.filter_size = 3,
		.linktype = 276,
		.snaplen = 262144,
		.nanoseconds = true,
	};
	const uint32_t words[] = {
		1,
		76,
		pair(276, 0),
		262144,
		pair(2, 12),
		text("ebpf"),
		text("tls:"),
		text("eth0"),
		pair(3, 4),
		text("eth0"),
		pair(9, 1),
		text("\x09\0\0"),
		pair(11, 4),
		text("\1tcp"),
		pair(12, 5),
		text("Linu"),
		text("x\0\0"),
		0,
		76,
	};

	check(ebpftls_blocks_interface(&blocks, &wanted));
	check_words(&blocks, words, sizeof(words) / 4);
	ebpftls_blocks_free(&blocks);
}

static void
section(void)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	const uint32_t head[] = { 0x0a0d0d0a, 0,	  0x1a2b3c4d,
				  pair(1, 0), UINT32_MAX, UINT32_MAX };
	const uint32_t tail[] = { pair(4, 7), text("ebpf"), text("tls"), 0 };
	struct utsname system;
	uint32_t length;

	check(ebpftls_blocks_section(&blocks, "ebpftls"));
	memcpy(&length, blocks.bytes + 4, 4);
	check(length == blocks.size);
	memcpy(&length, blocks.bytes + blocks.size - 4, 4);
	check(length == blocks.size);
	check_bytes(blocks.bytes, head, 4);
	check_bytes(blocks.bytes + 8, head + 2, sizeof(head) - 8);
	check_bytes(blocks.bytes + blocks.size - 4 - sizeof(tail), tail,
		    sizeof(tail));
	check(uname(&system) == 0);
	check(memmem(blocks.bytes, blocks.size, system.release,
		     strlen(system.release)) != NULL);
	ebpftls_blocks_free(&blocks);
}

static void
statistics(void)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	const struct ebpftls_totals totals = {
		.received = 10,
		.dropped = 3,
		.if_dropped = 4,
		.comment = "ok",
	};
	const uint32_t words[] = {
		5,
		84,
		0,
		0,
		9,
		pair(1, 2),
		text("ok\0"),
		pair(2, 8),
		0,
		2,
		pair(3, 8),
		0,
		9,
		pair(4, 8),
		LOW(10),
		HIGH(10),
		pair(5, 8),
		LOW(7),
		HIGH(7),
		0,
		84,
	};

	check(ebpftls_blocks_statistics(&blocks, 2000, 9999, false, &totals));
	check_words(&blocks, words, sizeof(words) / 4);
	ebpftls_blocks_free(&blocks);
}

/* An option has 16 bits for its length. */
static void
long_texts(void)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	char *name = malloc(65537);
	struct ebpftls_interface wanted = { .name = name,
					    .description = "",
					    .filter = name,
					    .filter_size = 65535 };
	size_t with;

	memset(name, 'x', 65535);
	name[65535] = '\0';
	check(ebpftls_blocks_interface(&blocks, &wanted));
	with = blocks.size;
	check(with > 65536 && with < 2 * 65536); /* the name fits */
	blocks.size = 0;
	wanted.filter_size = 65534;
	check(ebpftls_blocks_interface(&blocks, &wanted));
	check(blocks.size > 2 * 65536); /* and now the filter */
	blocks.size = 0;
	wanted.filter_size = 65535;
	memcpy(name + 65534, "xx", 3);
	check(ebpftls_blocks_interface(&blocks, &wanted));
	check(blocks.size < 200);
	ebpftls_blocks_free(&blocks);
	free(name);
}

/* What cannot be made leaves what is there as it was. */
static void
no_memory(void)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	const struct ebpftls_record record = { .caplen = UINT32_MAX };
	uint8_t before[28];

	check(ebpftls_blocks_secrets(&blocks, "A B\n\n", 5));
	memcpy(before, blocks.bytes, sizeof(before));
	check(!ebpftls_blocks_packet(&blocks, &record, true, NULL));
	check(!ebpftls_blocks_reserve(&blocks, SIZE_MAX / 4));
	check(!ebpftls_blocks_empty_secrets(&blocks, SIZE_MAX / 4));
	if (check(blocks.size == sizeof(before)))
		check_bytes(blocks.bytes, before, sizeof(before));
	ebpftls_blocks_free(&blocks);
}

static const struct check_case cases[] = {
	{ "a packet", bare_packet },
	{ "a packet's direction and losses", packet_options },
	{ "a packet's further options", more_options },
	{ "a process", process },
	{ "secrets", secrets },
	{ "empty lines", empty_secrets },
	{ "interface", interface },
	{ "section", section },
	{ "statistics", statistics },
	{ "what is too long for an option is left out", long_texts },
	{ "no memory", no_memory },
	{ NULL, NULL },
};

int
main(void)
{
	return check_main(cases);
}
