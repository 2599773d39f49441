// SPDX-License-Identifier: BSD-3-Clause
/* Is a TCP stream put together again, whatever happened to its segments? */
#include "streams.h"

#include "unit/check.h"

#define SIZE 4096

static uint8_t sent[SIZE];

/* What came, and which of it was a gap. */
static uint8_t got[2 * SIZE];
static bool missing[2 * SIZE];
static size_t got_size;
static size_t cuts, holes;

static void
take_bytes(void *context, const uint8_t *bytes, uint32_t count)
{
	(void)context;
	if (!check(got_size + count <= sizeof(got)))
		return;
	memcpy(got + got_size, bytes, count);
	got_size += count;
}

static void
take_gap(void *context, uint32_t count, bool cut)
{
	(void)context;
	if (!check(got_size + count <= sizeof(got)))
		return;
	memset(missing + got_size, true, count);
	got_size += count;
	cuts += cut;
	holes += !cut;
}

static const struct stream_taker taker = { NULL, take_bytes, take_gap };

static void
reset(struct stream *stream)
{
	memset(stream, 0, sizeof(*stream));
	memset(missing, 0, sizeof(missing));
	got_size = cuts = holes = 0;
	for (size_t i = 0; i < SIZE; i++)
		sent[i] = (uint8_t)check_random(256);
}

/* Bytes from `at` on, behind a sequence number; `caplen` of them captured. */
static void
give_cut(struct stream *stream, uint32_t first, uint32_t at, uint32_t len,
	 uint32_t caplen)
{
	uint8_t *copy = malloc(caplen + 1);
	const struct ebpftls_segment segment = {
		.sequence = first + at,
		.payload = copy,
		.caplen = caplen,
		.len = len,
	};

	memcpy(copy, sent + at, caplen);
	stream_add(stream, &segment, &taker);
	free(copy);
}

static void
give(struct stream *stream, uint32_t first, uint32_t at, uint32_t len)
{
	give_cut(stream, first, at, len, len);
}

/* As much as this has come, and all that is no gap is right. */
static void
came(size_t size)
{
	check(got_size == size);
	for (size_t i = 0; i < got_size && i < SIZE; i++)
		if (!missing[i] && !check(got[i] == sent[i]))
			return;
}

static void
in_order(void)
{
	struct stream stream;

	reset(&stream);
	stream_start(&stream, 1000);
	for (uint32_t i = 0; i < SIZE; i += 64)
		give(&stream, 1000, i, 64);
	came(SIZE);
	stream_end(&stream, &taker);
	came(SIZE);
	check(cuts == 0 && holes == 0);
}

/* Each piece several times, longer or shorter, in any order, over the end of
 * the sequence numbers. */
static void
any_order(void)
{
	struct stream stream;

	for (int round = 0; round < 200; round++) {
		const uint32_t first = UINT32_MAX - check_random(SIZE);

		reset(&stream);
		stream_start(&stream, first);
		for (int i = 0; i < 100; i++) {
			const uint32_t at = check_random(SIZE);

			give(&stream, first, at, check_random(SIZE - at) / 8);
		}
		for (uint32_t i = 0; i < SIZE; i += 32)
			give(&stream, first, (SIZE - 32) - i, 32);
		came(SIZE);
		check(cuts == 0 && holes == 0);
		stream_end(&stream, &taker);
		came(SIZE);
	}
}

static void
lost(void)
{
	struct stream stream;

	reset(&stream);
	stream_start(&stream, 0);
	give(&stream, 0, 0, 100);
	give(&stream, 0, 150, 100);
	give(&stream, 0, 300, 100);
	came(100);
	stream_end(&stream, &taker);
	came(400);
	check(holes == 2 && cuts == 0 && missing[100] && missing[149] &&
	      !missing[150] && missing[250]);
}

/* It does not wait longer than there is room. */
static void
given_up(void)
{
	struct stream stream;

	reset(&stream);
	stream_start(&stream, 0);
	for (uint32_t i = 0; i < STREAM_PIECES_MAX; i++)
		give(&stream, 0, 1 + i, 1);
	came(0);
	give(&stream, 0, 1 + STREAM_PIECES_MAX, 1);
	came(2 + STREAM_PIECES_MAX);
	check(holes == 1 && missing[0] && !missing[1]);
	stream_end(&stream, &taker);
}

/* The snap length takes the ends of packets away. */
static void
cut(void)
{
	struct stream stream;

	reset(&stream);
	stream_start(&stream, 0);
	give_cut(&stream, 0, 0, 100, 40);
	give_cut(&stream, 0, 200, 100, 40);
	give_cut(&stream, 0, 100, 100, 0);
	came(300);
	check(cuts == 3 && holes == 0 && !missing[39] && missing[40] &&
	      missing[199] && !missing[200] && missing[240]);
	stream_end(&stream, &taker);
}

static void
begun_anywhere(void)
{
	struct stream stream;

	reset(&stream);
	give(&stream, 77, 0, 10);
	give(&stream, 77, 10, 10);
	came(20);
	give(&stream, 77, 50, 10);
	stream_start(&stream, 4000);
	stream_end(&stream, &taker);
	came(20);
}

static const struct check_case cases[] = {
	{ "in order", in_order },
	{ "in any order, several times", any_order },
	{ "lost segments", lost },
	{ "a hole is given up", given_up },
	{ "cut segments", cut },
	{ "a stream that is met in the middle", begun_anywhere },
	{ NULL, NULL },
};

int
main(void)
{
	return check_main(cases);
}
