// SPDX-License-Identifier: BSD-3-Clause
/*
 * Do the rings of several CPUs come out as one stream in time order, each
 * frame once and whole, however writing and reading alternate?
 */
#include "ebpftls-order.h"

#include "unit/check.h"
#include "unit/perf.h"

#define RINGS_MAX  9
#define RING_SIZE  4096u
#define CAPLEN_MAX 300u
#define PARTS_MAX  4
#define FRAMES_MAX 200000u

/* A frame as it was sent; its bytes follow from its time. */
struct sent {
	uint64_t time;
	uint32_t caplen;
};

/* A program between its time stamp and its last record. */
struct writer {
	struct ebpftls_frame frame;
	uint8_t bytes[CAPLEN_MAX];
	uint32_t offset;
	bool busy;
};

static struct perf rings[RINGS_MAX];
static struct ebpftls_ring ordered[RINGS_MAX];
static struct ebpftls_order order;
static struct writer writers[RINGS_MAX];
static struct sent *sent;
static uint32_t sent_count;
static uint32_t got_count;
static uint32_t lost_count;

static void
make(unsigned int count)
{
	memset(writers, 0, sizeof(writers));
	for (unsigned int i = 0; i < count; i++) {
		uint64_t start = check_random(RING_SIZE) / 8 * 8;

		perf_make(&rings[i], RING_SIZE, start, CAPLEN_MAX);
		ordered[i] = rings[i].ring;
	}
	if (!ebpftls_order_open(&order, ordered, count))
		abort();
	sent_count = got_count = lost_count = 0;
}

static void
unmake(void)
{
	for (unsigned int i = 0; i < order.count; i++)
		perf_free(&rings[i]);
	ebpftls_order_close(&order);
}

static void
send(unsigned int ring, uint64_t time)
{
	struct ebpftls_frame frame = perf_describe(time, 40);
	uint8_t bytes[40];

	perf_fill(bytes, sizeof(bytes), time);
	check(perf_frame(&rings[ring], &frame, bytes));
}

static bool
holds(const struct ebpftls_ring *ring, uint64_t time, uint32_t caplen)
{
	uint8_t bytes[CAPLEN_MAX];

	perf_fill(bytes, caplen, time);
	return check(ring->frame.time == time) &&
	       check(ring->frame.caplen == caplen) &&
	       check_bytes(ring->bytes, bytes, caplen);
}

/* The next frame in this pass is of this time; 0: there is none. */
static bool
next_is(uint64_t time)
{
	struct ebpftls_ring *ring = ebpftls_order_next(&order);

	if (time == 0 || ring == NULL)
		return check((time == 0) == (ring == NULL));
	return holds(ring, time, 40);
}

static void
merge(void)
{
	make(3);
	send(0, 10);
	send(2, 11);
	send(0, 12);
	send(0, 13);
	send(1, 14);
	send(2, 15);
	ebpftls_order_begin(&order, UINT64_MAX);
	for (uint64_t time = 10; time <= 15; time++)
		next_is(time);
	next_is(0);
	ebpftls_order_end(&order);
	check(!ebpftls_order_more(&order));
	check(!order.broken);
	for (int i = 0; i < 3; i++)
		check(rings[i].tail == rings[i].head);
	unmake();
}

static void
no_rings(void)
{
	make(0);
	ebpftls_order_begin(&order, UINT64_MAX);
	next_is(0);
	ebpftls_order_end(&order);
	check(!ebpftls_order_more(&order));
	unmake();
}

/* What lies behind the limit waits for a later pass, and that is said. */
static void
limit(void)
{
	make(2);
	send(0, 10);
	send(1, 20);
	send(0, 21);
	for (uint64_t l = 9; l < 22; l++) {
		ebpftls_order_begin(&order, l);
		if (l == 10 || l == 20 || l == 21)
			next_is(l);
		next_is(0);
		ebpftls_order_end(&order);
		check(ebpftls_order_more(&order) == (l < 21));
	}
	unmake();
}

/* What comes during a pass is for the next one. */
static void
later_frames(void)
{
	make(2);
	check(!ebpftls_order_more(&order));
	send(0, 10);
	check(ebpftls_order_more(&order));
	ebpftls_order_begin(&order, UINT64_MAX);
	send(0, 20);
	send(1, 15);
	next_is(10);
	next_is(0);
	ebpftls_order_end(&order);
	check(ebpftls_order_more(&order));
	ebpftls_order_begin(&order, UINT64_MAX);
	next_is(15);
	next_is(20);
	next_is(0);
	ebpftls_order_end(&order);
	check(!ebpftls_order_more(&order));
	unmake();
}

static void
equal_times(void)
{
	make(4);
	for (unsigned int i = 0; i < 8; i++)
		send(i % 4, 5);
	ebpftls_order_begin(&order, 5);
	for (unsigned int i = 0; i < 8; i++)
		next_is(5);
	next_is(0);
	unmake();
}

/* Only what is older than a frame that is being written may pass it. */
static void
partial_blocks(void)
{
	struct ebpftls_frame frame = perf_describe(20, 40);
	uint8_t bytes[40];

	make(2);
	perf_fill(bytes, sizeof(bytes), 20);
	rings[0].writing = 1;
	perf_part(&rings[0], &frame, bytes, 0, 10);
	send(1, 10);
	send(1, 30);
	for (int i = 0; i < 2; i++) {
		ebpftls_order_begin(&order, UINT64_MAX);
		if (i == 0)
			next_is(10);
		next_is(0);
		ebpftls_order_end(&order);
		check(ebpftls_order_more(&order));
	}
	perf_part(&rings[0], &frame, bytes, 10, 30);
	rings[0].writing = 0;
	ebpftls_order_begin(&order, UINT64_MAX);
	next_is(20);
	next_is(30);
	next_is(0);
	check(!ebpftls_order_more(&order));
	unmake();
}

/* The frame being written comes right behind the one just handed out. */
static void
partial_after_frame(void)
{
	struct ebpftls_frame frame = perf_describe(20, 40);
	uint8_t bytes[40];

	make(2);
	perf_fill(bytes, sizeof(bytes), 20);
	send(0, 10);
	rings[0].writing = 1;
	perf_part(&rings[0], &frame, bytes, 0, 10);
	send(1, 15);
	send(1, 30);
	ebpftls_order_begin(&order, UINT64_MAX);
	next_is(10);
	next_is(15);
	next_is(0);
	rings[0].writing = 0; /* its rest was lost */
	ebpftls_order_begin(&order, UINT64_MAX);
	next_is(30);
	next_is(0);
	check(!ebpftls_order_more(&order));
	unmake();
}

/* One at a time, and each stays whole while the kernel writes all it can. */
static void
frame_in_hand(void)
{
	struct ebpftls_ring *hand = NULL;
	uint64_t written[2] = { 100, 101 }, read = 100;

	make(2);
	for (int i = 0; i < 2000; i++) {
		for (unsigned int r = 0; r < 2; r++) {
			perf_guard(&rings[r]);
			while (perf_has_room(&rings[r], 96)) {
				send(r, written[r]);
				written[r] += 2;
			}
		}
		if (hand != NULL)
			holds(hand, read++, 40);
		check(ebpftls_order_more(&order));
		ebpftls_order_begin(&order, UINT64_MAX);
		hand = ebpftls_order_next(&order);
		ebpftls_order_end(&order);
		if (!check(hand != NULL) || !holds(hand, read, 40))
			break;
	}
	unmake();
}

/* The frame in hand is not one that waits. */
static void
more_but_in_hand(void)
{
	make(2);
	send(0, 10);
	send(1, 11);
	ebpftls_order_begin(&order, UINT64_MAX);
	next_is(10);
	ebpftls_order_end(&order);
	check(ebpftls_order_more(&order));
	ebpftls_order_begin(&order, UINT64_MAX);
	next_is(11);
	ebpftls_order_end(&order);
	check(!ebpftls_order_more(&order));
	unmake();
}

static void
broken(void)
{
	make(2);
	send(0, 10);
	send(1, 11);
	rings[1].head += 4;
	ebpftls_order_begin(&order, UINT64_MAX);
	next_is(10);
	next_is(11);
	next_is(0);
	check(order.broken);
	unmake();
}

/* --- against a plain sort ------------------------------------------------ */

/* A program begins: it takes its time stamp. */
static void
begin_frame(struct writer *writer, uint64_t now)
{
	uint32_t caplen = 1 + check_random(CAPLEN_MAX);

	writer->frame = perf_describe(now, caplen);
	perf_fill(writer->bytes, caplen, now);
	writer->offset = 0;
	writer->busy = true;
}

/* The next sample of its frame; what is cut up in many is rare. */
static void
go_on(struct writer *writer, struct perf *ring)
{
	uint32_t rest = writer->frame.caplen - writer->offset;
	uint32_t length = rest;
	bool written;

	if (rest > 1 && check_random(4) == 0)
		length = 1 + check_random(rest - 1);
	ring->writing = length < rest || writer->offset > 0;
	perf_guard(ring);
	written = perf_part(ring, &writer->frame, writer->bytes, writer->offset,
			    length);
	writer->offset += length;
	if (written && length < rest)
		return;
	ring->writing = 0;
	writer->busy = false;
	if (!written)
		lost_count++;
	else
		sent[sent_count++] = (struct sent){
			writer->frame.time,
			writer->frame.caplen,
		};
}

/* Before the oldest frame under way, or of those that do not show yet. */
static uint64_t
before_busy(uint64_t now, bool hidden)
{
	uint64_t time = now;

	for (unsigned int i = 0; i < order.count; i++)
		if (writers[i].busy && writers[i].frame.time <= time &&
		    !(hidden && writers[i].offset > 0))
			time = writers[i].frame.time - 1;
	return time;
}

static int
by_time(const void *a, const void *b)
{
	const struct sent *x = a, *y = b;

	return (x->time > y->time) - (x->time < y->time);
}

/* What was got so far is the beginning of what was sent, when sorted. */
static bool
read_some(uint64_t pass_limit, uint32_t max)
{
	struct ebpftls_ring *ring;

	ebpftls_order_begin(&order, pass_limit);
	qsort(sent + got_count, sent_count - got_count, sizeof(*sent), by_time);
	while (max-- > 0 && (ring = ebpftls_order_next(&order)) != NULL) {
		if (!check(got_count < sent_count) ||
		    !check(ring->frame.time <= pass_limit) ||
		    !holds(ring, sent[got_count].time, sent[got_count].caplen))
			return false;
		got_count++;
	}
	ebpftls_order_end(&order);
	return check(!order.broken);
}

/* All up to this time was got. */
static void
nothing_is_left(uint64_t time)
{
	check(got_count == sent_count || sent[got_count].time > time);
}

static void
write_some(uint64_t *now)
{
	uint32_t most = check_random(20) == 0 ? 400 : 40;

	for (uint32_t i = check_random(most); i > 0; i--) {
		unsigned int ring = check_random(order.count);
		struct writer *writer = &writers[ring];

		if (sent_count == FRAMES_MAX)
			return;
		if (!writer->busy)
			begin_frame(writer, ++*now);
		else
			go_on(writer, &rings[ring]);
	}
}

static void
finish_writing(void)
{
	for (unsigned int i = 0; i < order.count; i++)
		while (writers[i].busy)
			go_on(&writers[i], &rings[i]);
}

/*
 * Random writing and reading in turns. The limit is what a time stamp taken
 * long enough ago stands for: what began before it shows, at least in part.
 */
static void
alternate(unsigned int count, int rounds)
{
	uint64_t now = 1;

	make(count);
	for (int i = 0; i < rounds && !check_failed; i++) {
		uint64_t pass_limit;
		bool all = check_random(3) != 0;

		write_some(&now);
		pass_limit = before_busy(now, true);
		read_some(pass_limit, all ? UINT32_MAX : check_random(10));
		if (all)
			nothing_is_left(before_busy(pass_limit, false));
	}
	finish_writing();
	read_some(UINT64_MAX, UINT32_MAX);
	check(got_count == sent_count);
	check(!ebpftls_order_more(&order));
	check(sent_count > (uint32_t)rounds && lost_count > 100);
	unmake();
}

static void
plain_sort(void)
{
	sent = malloc(FRAMES_MAX * sizeof(*sent));
	if (!check(sent != NULL))
		return;
	for (unsigned int count = 1; count <= RINGS_MAX; count++)
		alternate(count, 10000);
	free(sent);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "rings are merged by time", merge },
		{ "no rings, no frames", no_rings },
		{ "nothing beyond the limit", limit },
		{ "frames that come during a pass", later_frames },
		{ "frames of the same time", equal_times },
		{ "a frame being written holds up later ones", partial_blocks },
		{ "a frame being written after one", partial_after_frame },
		{ "a frame in hand stays valid", frame_in_hand },
		{ "a frame in hand does not wait", more_but_in_hand },
		{ "a broken ring is told of", broken },
		{ "what comes out is what a sort gives", plain_sort },
		{ NULL, NULL },
	};

	return check_main(cases);
}
