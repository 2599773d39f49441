// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does a ring give back every frame that the kernel wrote into it, byte for
 * byte, leave the kernel what is free, and survive what is no record?
 */
#include "ebpftls-ring.h"

#include <stddef.h>

#include "unit/check.h"
#include "unit/perf.h"

#define SMALL	512u
#define LARGE	(512u * 1024)
#define SNAPLEN 262144u
#define RECORD	88u /* of a frame that fill_up() writes */

static uint8_t bytes[SNAPLEN];

static enum ebpftls_ring_state
look_and_read(struct perf *perf)
{
	ebpftls_ring_look(&perf->ring);
	return ebpftls_ring_next(&perf->ring);
}

/* The frame in hand says that this is the owner at one of its ends. */
static bool
has_owner(const struct ebpftls_frame *frame, uint8_t end,
	  const struct ebpftls_owner *owner)
{
	const struct ebpftls_owner want = perf_owner(frame->time, end);

	if ((frame->owners & end) == 0)
		return check(owner == NULL);
	return check(owner != NULL) && check_bytes(owner, &want, sizeof(want));
}

/* The next frame is this one. */
static bool
gives(struct perf *perf, const struct ebpftls_frame *frame)
{
	if (!check(look_and_read(perf) == EBPFTLS_RING_FRAME))
		return false;
	return check(perf->ring.frame.time == frame->time) &&
	       check(perf->ring.frame.len == frame->len) &&
	       check(perf->ring.frame.caplen == frame->caplen) &&
	       has_owner(frame, EBPFTLS_SENDER, perf->ring.sender) &&
	       has_owner(frame, EBPFTLS_RECEIVER, perf->ring.receiver) &&
	       check_bytes(perf->ring.bytes, bytes, frame->caplen);
}

/* Nothing more comes, and all room is the kernel's. */
static bool
is_drained(struct perf *perf)
{
	if (!check(look_and_read(perf) == EBPFTLS_RING_EMPTY))
		return false;
	ebpftls_ring_release(&perf->ring);
	return check(perf->tail == perf->head) &&
	       check(!ebpftls_ring_unread(&perf->ring));
}

/* A frame of this length, whose record begins at `start`. */
static void
one_frame(uint64_t start, uint32_t length, uint32_t extra, uint8_t owners)
{
	struct ebpftls_frame frame = perf_describe(start, length);
	struct perf perf;

	frame.owners = owners;
	perf_make(&perf, SMALL, start, SMALL);
	perf_fill(bytes, length, start + length);
	frame.here = length;
	check(perf_sample(&perf, &frame, bytes, extra));
	check(ebpftls_ring_unread(&perf.ring));
	if (gives(&perf, &frame))
		is_drained(&perf);
	perf_free(&perf);
}

static void
every_place(void)
{
	for (uint64_t start = 0; start < SMALL; start += 8)
		for (uint32_t length = 1; length <= 80; length++)
			one_frame(start, length, 0, 0);
}

/* Every place of the ring's end: in the header, in each owner, behind them. */
static void
with_owners(void)
{
	for (uint64_t start = 0; start < SMALL; start += 8)
		for (uint32_t length = 0; length <= 24; length++)
			for (uint8_t owners = 1; owners <= 3; owners++)
				one_frame(start, length, 0, owners);
}

/* They come with the first sample; the others only repeat the bits. */
static void
owners_of_parts(void)
{
	struct ebpftls_frame lost = perf_describe(5, 30);
	struct ebpftls_frame frame = perf_describe(6, 30);
	struct ebpftls_frame nobody = perf_describe(7, 30);
	struct perf perf;

	lost.owners = EBPFTLS_SENDER | EBPFTLS_RECEIVER;
	frame.owners = EBPFTLS_RECEIVER;
	perf_fill(bytes, 30, 6);
	for (uint64_t start = 0; start < 2 * SMALL; start += 8) {
		perf_make(&perf, 2 * SMALL, start, SMALL);
		perf_part(&perf, &lost, bytes, 0, 10);
		perf.writing = 1;
		check(look_and_read(&perf) == EBPFTLS_RING_PARTIAL);
		perf_part(&perf, &frame, bytes, 0, 10);
		perf_part(&perf, &frame, bytes, 10, 15);
		check(look_and_read(&perf) == EBPFTLS_RING_PARTIAL);
		perf_part(&perf, &frame, bytes, 25, 5);
		perf.writing = 0;
		gives(&perf, &frame);
		perf_frame(&perf, &nobody, bytes);
		gives(&perf, &nobody);
		is_drained(&perf);
		perf_free(&perf);
	}
}

/* The longest first sample that the program writes. */
static void
longest_sample(void)
{
	struct ebpftls_frame frame = perf_describe(3, EBPFTLS_FIRST_MAX);
	struct perf perf;

	frame.owners = EBPFTLS_SENDER | EBPFTLS_RECEIVER;
	perf_fill(bytes, frame.caplen, 3);
	for (uint64_t back = 0; back < 65536; back += 6552) {
		perf_make(&perf, LARGE, LARGE - back, SNAPLEN);
		check(perf_frame(&perf, &frame, bytes));
		check(perf.head - perf.tail == 65528);
		gives(&perf, &frame);
		is_drained(&perf);
		perf_free(&perf);
	}
}

/* A name that is not ended is not read past its end. */
static void
unterminated_name(void)
{
	struct ebpftls_frame frame = perf_describe(1, 4);
	struct perf perf;

	frame.owners = EBPFTLS_SENDER;
	perf_make(&perf, SMALL, 0, SMALL);
	perf_frame(&perf, &frame, bytes);
	memset(perf.data + 12 + sizeof(frame) +
		   offsetof(struct ebpftls_owner, comm),
	       'x', sizeof(perf.ring.sender->comm));
	check(look_and_read(&perf) == EBPFTLS_RING_FRAME);
	check(perf.ring.sender != NULL &&
	      strcmp(perf.ring.sender->comm, "xxxxxxxxxxxxxxx") == 0);
	perf_free(&perf);
}

static void
counter_overflow(void)
{
	for (uint64_t back = 8; back <= 128; back += 8)
		for (uint32_t length = 1; length <= 16; length++)
			one_frame(0 - back, length, 0, 0);
}

static void
padding(void)
{
	for (uint64_t start = 0; start < SMALL; start += 56)
		for (uint32_t length = 1; length <= 16; length++)
			for (uint32_t extra = 0; extra < 8; extra++)
				one_frame(start, length, extra, 0);
}

static void
empty_frame(void)
{
	for (uint64_t start = 0; start < SMALL; start += 8)
		one_frame(start, 0, 0, 0);
}

/* Fills the ring until a frame is lost; returns how many were not. */
static uint32_t
fill_up(struct perf *perf, uint64_t first)
{
	struct ebpftls_frame frame = perf_describe(first, 21);

	for (;; frame.time++) {
		perf_fill(bytes, frame.caplen, frame.time);
		if (!perf_frame(perf, &frame, bytes))
			return (uint32_t)(frame.time - first);
	}
}

/* What fill_up() wrote, and one frame that follows the news of the loss. */
static void
other_records(void)
{
	struct ebpftls_frame frame = perf_describe(0, 21);
	struct perf perf;

	perf_make(&perf, SMALL, 0, SMALL);
	for (int round = 0; round < 100; round++) {
		uint32_t count = fill_up(&perf, frame.time);

		check(count > 0);
		for (uint32_t i = 0; i < count; i++, frame.time++) {
			perf_fill(bytes, frame.caplen, frame.time);
			gives(&perf, &frame);
		}
		is_drained(&perf);
		perf_fill(bytes, frame.caplen, frame.time);
		check(perf.lost && perf_frame(&perf, &frame, bytes));
		gives(&perf, &frame);
		is_drained(&perf);
		frame.time++;
	}
	perf_free(&perf);
}

static void
unknown_records(void)
{
	struct ebpftls_frame frame = perf_describe(1, 30);
	struct perf perf;

	perf_make(&perf, SMALL, 440, SMALL);
	perf_fill(bytes, frame.caplen, 1);
	ASAN_UNPOISON_MEMORY_REGION(perf.data, SMALL);
	perf_other(&perf, PERF_RECORD_THROTTLE, 32);
	perf_other(&perf, 0xffff, 8);
	perf_frame(&perf, &frame, bytes);
	ASAN_UNPOISON_MEMORY_REGION(perf.data, SMALL);
	perf_other(&perf, PERF_RECORD_LOST_SAMPLES, 64);
	perf_guard(&perf);
	gives(&perf, &frame);
	is_drained(&perf);
	perf_free(&perf);
}

/* Frames of one to eight samples, the ring's end in each of them. */
static void
several_samples(void)
{
	static const uint32_t lengths[] = {
		EBPFTLS_FIRST_MAX,
		EBPFTLS_FIRST_MAX + 1,
		EBPFTLS_FIRST_MAX + 7,
		EBPFTLS_FIRST_MAX + PERF_CHUNK,
		70000,
		EBPFTLS_FIRST_MAX + PERF_CHUNK + 1,
		SNAPLEN - 1,
		SNAPLEN,
	};
	struct perf perf;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct ebpftls_frame frame = perf_describe(i, lengths[i]);

		perf_fill(bytes, lengths[i], i);
		for (uint64_t back = 0; back < lengths[i]; back += 31992) {
			perf_make(&perf, LARGE, LARGE - back, SNAPLEN);
			check(perf_frame(&perf, &frame, bytes));
			gives(&perf, &frame);
			is_drained(&perf);
			perf_free(&perf);
		}
	}
}

/* All ways to cut a frame into three, read after each sample. */
static void
being_written(void)
{
	struct ebpftls_frame frame = perf_describe(7, 12);
	struct perf perf;

	perf_fill(bytes, frame.caplen, 7);
	for (uint32_t a = 1; a < 11; a++) {
		for (uint32_t b = a + 1; b < 12; b++) {
			perf_make(&perf, SMALL, 448, SMALL);
			perf.writing = 1;
			perf_part(&perf, &frame, bytes, 0, a);
			check(look_and_read(&perf) == EBPFTLS_RING_PARTIAL);
			check(perf.ring.frame.time == 7);
			check(look_and_read(&perf) == EBPFTLS_RING_PARTIAL);
			perf_part(&perf, &frame, bytes, a, b - a);
			check(look_and_read(&perf) == EBPFTLS_RING_PARTIAL);
			ebpftls_ring_release(&perf.ring);
			check(perf.tail == perf.head);
			perf_part(&perf, &frame, bytes, b, 12 - b);
			perf.writing = check_random(2);
			gives(&perf, &frame);
			is_drained(&perf);
			perf_free(&perf);
		}
	}
}

/* The reader sees that nothing is being written after the rest came. */
static void
written_meanwhile(void)
{
	struct ebpftls_frame frame = perf_describe(7, 20);
	struct perf perf;

	perf_make(&perf, SMALL, 0, SMALL);
	perf_fill(bytes, frame.caplen, 7);
	perf_part(&perf, &frame, bytes, 0, 8);
	ebpftls_ring_look(&perf.ring);
	perf_part(&perf, &frame, bytes, 8, 12);
	check(ebpftls_ring_next(&perf.ring) == EBPFTLS_RING_FRAME);
	check_bytes(perf.ring.bytes, bytes, frame.caplen);
	is_drained(&perf);
	perf_free(&perf);
}

static void
rest_never_comes(void)
{
	struct ebpftls_frame lost = perf_describe(7, 40);
	struct ebpftls_frame frame = perf_describe(8, 40);
	struct perf perf;

	perf_fill(bytes, 40, 8);
	for (int late = 0; late < 2; late++) {
		perf_make(&perf, SMALL, 448, SMALL);
		perf_part(&perf, &lost, bytes, 0, 10);
		perf_part(&perf, &lost, bytes, 10, 10);
		if (late)
			is_drained(&perf);
		perf_frame(&perf, &frame, bytes);
		gives(&perf, &frame);
		is_drained(&perf);
		perf_free(&perf);
	}
}

/* The rest was lost, and what comes next comes in parts as well. */
static void
rest_of_another(void)
{
	struct ebpftls_frame lost = perf_describe(7, 40);
	struct ebpftls_frame frame = perf_describe(8, 40);
	struct perf perf;

	perf_make(&perf, SMALL, 0, SMALL);
	perf_fill(bytes, 40, 8);
	perf.writing = 1;
	perf_part(&perf, &lost, bytes, 0, 10);
	check(look_and_read(&perf) == EBPFTLS_RING_PARTIAL);
	perf_part(&perf, &frame, bytes, 0, 10);
	check(look_and_read(&perf) == EBPFTLS_RING_PARTIAL);
	check(perf.ring.frame.time == 8);
	perf_part(&perf, &frame, bytes, 10, 30);
	perf.writing = 0;
	gives(&perf, &frame);
	is_drained(&perf);
	perf_free(&perf);
}

/* Parts that continue nothing: nothing before, another's, a hole, twice. */
static void
orphans(void)
{
	struct ebpftls_frame frame = perf_describe(7, 40);
	struct ebpftls_frame other = perf_describe(8, 40);
	struct ebpftls_frame longer = perf_describe(7, 41);
	struct ebpftls_frame next = perf_describe(9, 40);
	struct perf perf;

	perf_make(&perf, 4 * SMALL, 4 * SMALL - 64, SMALL);
	perf_fill(bytes, sizeof(bytes), 7);
	perf_part(&perf, &frame, bytes, 20, 20);
	perf_part(&perf, &frame, bytes, 0, 20);
	perf_part(&perf, &other, bytes, 20, 20);
	perf_part(&perf, &frame, bytes, 20, 20);
	perf_part(&perf, &frame, bytes, 0, 20);
	perf_part(&perf, &frame, bytes, 21, 19);
	perf_part(&perf, &frame, bytes, 0, 20);
	perf_part(&perf, &longer, bytes, 20, 20);
	perf_part(&perf, &frame, bytes, 0, 20);
	perf_part(&perf, &frame, bytes, 20, 10);
	perf_part(&perf, &frame, bytes, 20, 20);
	perf_frame(&perf, &next, bytes);
	perf_part(&perf, &next, bytes, 20, 20);
	gives(&perf, &next);
	is_drained(&perf);
	perf_free(&perf);
}

/* News of a loss may come between the parts of a frame that was not lost. */
static void
interrupted(void)
{
	struct ebpftls_frame frame = perf_describe(7, 40);
	struct perf perf;

	perf_make(&perf, SMALL, 448, SMALL);
	perf_fill(bytes, 40, 7);
	perf_part(&perf, &frame, bytes, 0, 20);
	perf.lost = true;
	perf_part(&perf, &frame, bytes, 20, 20);
	gives(&perf, &frame);
	is_drained(&perf);
	perf_free(&perf);
}

/* Of fill_up()'s frames: whether the ring's end is inside the one that ends
 * here. */
static bool
wraps(uint64_t end)
{
	return ((end - RECORD) & (SMALL - 1)) > SMALL - (RECORD - 7);
}

/*
 * With a frame in hand all but its record is the kernel's, which then writes
 * all over that. The poison, and what was copied before, show what is wrong.
 */
static void
release(void)
{
	uint8_t copy[21];
	struct perf perf;

	perf_make(&perf, SMALL, 0, SMALL);
	fill_up(&perf, 0);
	for (uint64_t i = 0; i < 3000; i++) {
		uint64_t end;

		if (!check(look_and_read(&perf) == EBPFTLS_RING_FRAME))
			break;
		end = perf.ring.next;
		memcpy(copy, perf.ring.bytes, sizeof(copy));
		ebpftls_ring_release(&perf.ring);
		check(perf.tail == (wraps(end) ? end : end - RECORD));
		perf_guard(&perf);
		fill_up(&perf, i);
		check_bytes(perf.ring.bytes, copy, sizeof(copy));
	}
	perf_free(&perf);
}

/* The kernel is told of an eighth of a ring at once, without being asked. */
static void
release_in_parts(void)
{
	const uint64_t part = 8 * SMALL / 8;
	uint64_t before = 0, told = 0;
	struct perf perf;

	perf_make(&perf, 8 * SMALL, 0, SMALL);
	fill_up(&perf, 0);
	while (look_and_read(&perf) == EBPFTLS_RING_FRAME) {
		check(perf.ring.next - RECORD - perf.tail < part);
		check(perf.tail == before || perf.tail - before >= part);
		check(perf.tail <= perf.ring.next - RECORD);
		told += perf.tail != before;
		before = perf.tail;
	}
	check(told == 6 || told == 7);
	is_drained(&perf);
	perf_free(&perf);
}

/* A second consumer goes on where the first one left off. */
static void
start_at_tail(void)
{
	struct ebpftls_frame first = perf_describe(1, 30);
	struct ebpftls_frame second = perf_describe(2, 30);
	struct perf perf;

	perf_make(&perf, SMALL, 480, SMALL);
	perf_fill(bytes, 30, 2);
	perf_frame(&perf, &first, bytes);
	gives(&perf, &first);
	is_drained(&perf);
	perf_frame(&perf, &second, bytes);
	perf.ring.state = EBPFTLS_RING_PARTIAL;
	perf.ring.assembled = 12;
	perf.ring.next = perf.ring.needed = perf.ring.end = 12345;
	ebpftls_ring_start(&perf.ring);
	check(ebpftls_ring_next(&perf.ring) == EBPFTLS_RING_EMPTY);
	gives(&perf, &second);
	is_drained(&perf);
	perf_free(&perf);
}

#define HEADER(field) offsetof(struct perf_event_header, field)
#define FRAME(field)  (12 + offsetof(struct ebpftls_frame, field))

/* What is wrong with a record of 120 bytes that holds a frame of 60. */
static const struct {
	size_t at;
	size_t size;
	uint32_t value;
} faults[] = {
	{ HEADER(size), 2, 0 },	    { HEADER(size), 2, 4 },
	{ HEADER(size), 2, 7 },	    { HEADER(size), 2, 12 },
	{ HEADER(size), 2, 119 },   { HEADER(size), 2, 128 },
	{ HEADER(size), 2, 65528 }, { HEADER(size), 2, 8 },
	{ HEADER(size), 2, 48 },    { HEADER(size), 2, 104 },
	{ FRAME(here), 4, 0 },	    { FRAME(here), 4, 61 },
	{ FRAME(here), 4, 64 },	    { FRAME(here), 4, UINT32_MAX },
	{ FRAME(caplen), 4, 0 },    { FRAME(caplen), 4, 59 },
	{ FRAME(caplen), 4, 100 },  { FRAME(caplen), 4, SMALL + 1 },
	{ FRAME(len), 4, 59 },	    { FRAME(len), 4, 0 },
	{ FRAME(offset), 4, 1 },    { FRAME(offset), 4, 60 },
	{ FRAME(offset), 4, 61 },   { FRAME(offset), 4, UINT32_MAX },
	{ FRAME(owners), 1, 1 },    { FRAME(owners), 1, 2 },
	{ FRAME(owners), 1, 3 },    { FRAME(owners), 1, 4 },
	{ FRAME(owners), 1, 128 },  { FRAME(owners), 1, 255 },
};

/* And stays so. */
static void
is_broken(struct perf *perf)
{
	for (int i = 0; i < 3; i++) {
		check(look_and_read(perf) == EBPFTLS_RING_BROKEN);
		ebpftls_ring_release(&perf->ring);
	}
}

/* A good frame, then the record with a fault in it, at every place. */
static void
one_fault(size_t at, size_t size, uint32_t value, uint64_t start)
{
	struct ebpftls_frame good = perf_describe(1, 12);
	struct ebpftls_frame bad = perf_describe(2, 60);
	const uint16_t narrow = (uint16_t)value;
	const uint8_t byte = (uint8_t)value;
	uint64_t record, end;
	struct perf perf;

	perf_make(&perf, SMALL, start, SMALL);
	perf_frame(&perf, &good, bytes);
	record = perf.head;
	perf_frame(&perf, &bad, bytes);
	end = perf.head;
	perf.head = record + at;
	perf_put(&perf,
		 size == 4   ? (const void *)&value
		 : size == 2 ? (const void *)&narrow
			     : &byte,
		 size);
	perf.head = end;
	gives(&perf, &good);
	is_broken(&perf);
	check(perf.tail <= record);
	perf_free(&perf);
}

static void
broken_records(void)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		for (uint64_t start = 0; start < SMALL; start += 8)
			one_fault(faults[i].at, faults[i].size, faults[i].value,
				  start);
}

/* Not even a record that means nothing may have such a length. */
static void
broken_lengths(void)
{
	static const uint16_t lengths[] = { 0, 4, 7, 9, 12, 28, 72, 65528 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const struct perf_event_header header = {
			.type = PERF_RECORD_LOST,
			.size = lengths[i],
		};
		struct perf perf;

		perf_make(&perf, SMALL, 8 * i, SMALL);
		ASAN_UNPOISON_MEMORY_REGION(perf.data, SMALL);
		perf_put(&perf, &header, sizeof(header));
		perf.head += 64 - sizeof(header);
		perf_guard(&perf);
		is_broken(&perf);
		perf_free(&perf);
	}
}

/* One byte more than the consumer asked for. */
static void
frame_too_long(void)
{
	struct ebpftls_frame frame = perf_describe(1, 60);
	struct perf perf;

	for (int parts = 1; parts <= 2; parts++) {
		perf_make(&perf, SMALL, 0, 59);
		perf_part(&perf, &frame, bytes, 0, 60 / (uint32_t)parts);
		is_broken(&perf);
		perf_free(&perf);
	}
}

/* A head that no kernel can have written, over pages full of frames. */
static void
broken_head(void)
{
	static const uint64_t ahead[] = {
		4, 7, SMALL + 8, 2 * SMALL, (uint64_t)0 - 8, (uint64_t)1 << 63,
	};
	struct perf perf;

	for (size_t i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
		perf_make(&perf, SMALL, 0, SMALL);
		fill_up(&perf, 0);
		perf.head = perf.tail + ahead[i];
		if (ahead[i] < SMALL)
			perf_guard(&perf);
		is_broken(&perf);
		check(perf.tail == 0);
		perf_free(&perf);
	}
}

/* What may be written without harm to the ring or to what follows. */
static void
own_frame(uint64_t start)
{
	struct ebpftls_frame frame = perf_describe(1, 30);
	struct ebpftls_frame next = perf_describe(2, 30);
	uint8_t ring[SMALL], *own;
	struct perf perf;

	perf_make(&perf, SMALL, start, 30);
	perf_fill(bytes, 30, 1);
	perf_frame(&perf, &frame, bytes);
	perf_frame(&perf, &next, bytes);
	ASAN_UNPOISON_MEMORY_REGION(perf.data, SMALL);
	memcpy(ring, perf.data, SMALL);
	gives(&perf, &frame);
	own = ebpftls_ring_own(&perf.ring);
	check(own == perf.ring.bytes);
	check_bytes(own, bytes, 30);
	memset(own - EBPFTLS_HEADROOM, 'x', EBPFTLS_HEADROOM + 10);
	check(ebpftls_ring_own(&perf.ring) == own);
	check(own[9] == 'x' && own[10] == bytes[10]);
	check_bytes(perf.data, ring, SMALL);
	gives(&perf, &next);
	is_drained(&perf);
	perf_free(&perf);
}

static void
own(void)
{
	for (uint64_t start = 0; start < SMALL; start += 8)
		own_frame(start);
}

/* Whatever is written before the kernel judges is not trusted, and all after.
 */
static void
trust(void)
{
	struct ebpftls_frame frame = perf_describe(1, 21);
	struct perf perf;

	perf_fill(bytes, 21, 1);
	for (uint64_t start = 0; start < SMALL; start += 8) {
		perf_make(&perf, SMALL, start, SMALL);
		perf_frame(&perf, &frame, bytes);
		gives(&perf, &frame);
		check(!ebpftls_ring_trusted(&perf.ring));
		perf_frame(&perf, &frame, bytes);
		ebpftls_ring_trust(&perf.ring);
		perf_frame(&perf, &frame, bytes);
		/* the one in hand as well as the one that waits */
		check(!ebpftls_ring_trusted(&perf.ring));
		gives(&perf, &frame);
		check(!ebpftls_ring_trusted(&perf.ring));
		gives(&perf, &frame);
		check(ebpftls_ring_trusted(&perf.ring));
		ebpftls_ring_own(&perf.ring);
		check(ebpftls_ring_trusted(&perf.ring));
		ebpftls_ring_doubt(&perf.ring);
		check(!ebpftls_ring_trusted(&perf.ring));
		is_drained(&perf);
		perf_free(&perf);
	}
}

/* Of several samples the first one counts: then it was judged. */
static void
trust_in_parts(void)
{
	struct ebpftls_frame frame = perf_describe(7, 40);
	struct perf perf;

	perf_make(&perf, SMALL, 448, SMALL);
	perf_fill(bytes, 40, 7);
	perf_part(&perf, &frame, bytes, 0, 20);
	ebpftls_ring_trust(&perf.ring);
	perf_part(&perf, &frame, bytes, 20, 20);
	gives(&perf, &frame);
	check(!ebpftls_ring_trusted(&perf.ring));
	perf_part(&perf, &frame, bytes, 0, 20);
	perf_part(&perf, &frame, bytes, 20, 20);
	gives(&perf, &frame);
	check(ebpftls_ring_trusted(&perf.ring));
	is_drained(&perf);
	perf_free(&perf);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "a frame at every place and of every length", every_place },
		{ "owners at every place", with_owners },
		{ "owners of a frame of several samples", owners_of_parts },
		{ "owners in the longest sample", longest_sample },
		{ "an owner whose name does not end", unterminated_name },
		{ "the counters pass 2^64", counter_overflow },
		{ "padding is no part of a frame", padding },
		{ "an empty frame is a frame", empty_frame },
		{ "news of lost records is passed over", other_records },
		{ "unknown records are passed over", unknown_records },
		{ "frames of several samples", several_samples },
		{ "a frame that is being written", being_written },
		{ "a frame that is written meanwhile", written_meanwhile },
		{ "a frame whose rest never comes", rest_never_comes },
		{ "a frame instead of another's rest", rest_of_another },
		{ "parts that continue nothing", orphans },
		{ "other records between a frame's samples", interrupted },
		{ "only the frame in hand is kept", release },
		{ "room is given back in parts", release_in_parts },
		{ "reading is taken up where it stopped", start_at_tail },
		{ "broken records", broken_records },
		{ "broken lengths", broken_lengths },
		{ "a frame longer than it may be", frame_too_long },
		{ "a broken head", broken_head },
		{ "a frame may be changed", own },
		{ "frames that the kernel has judged", trust },
		{ "samples before and after that", trust_in_parts },
		{ NULL, NULL },
	};

	return check_main(cases);
}
