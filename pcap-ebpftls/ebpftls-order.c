// SPDX-License-Identifier: BSD-3-Clause
/*
 * Merges the rings by time. Frames come in bursts per CPU, so the ring that
 * was earliest is read on while it stays so; which one is next says a heap, as
 * a large machine has many.
 */
#include "ebpftls-order.h"

#include <stddef.h>
#include <stdlib.h>

/* Memory for one more, as that for none may be NULL. */
bool
ebpftls_order_open(struct ebpftls_order *order, struct ebpftls_ring *rings,
		   unsigned int count)
{
	*order = (struct ebpftls_order){
		.rings = rings,
		.count = count,
		.heap = calloc(count + 1u, sizeof(*order->heap)),
	};
	return order->heap != NULL;
}

void
ebpftls_order_close(struct ebpftls_order *order)
{
	free(order->heap);
	*order = (struct ebpftls_order){ .count = 0 };
}

static bool
holds_frame(const struct ebpftls_ring *ring)
{
	return ring->state == EBPFTLS_RING_FRAME ||
	       ring->state == EBPFTLS_RING_PARTIAL;
}

/* Puts a ring into the place of the heap where it belongs, from `at` down. */
static void
sink(struct ebpftls_order *order, unsigned int at, struct ebpftls_turn turn)
{
	struct ebpftls_turn *heap = order->heap;
	unsigned int next;

	while ((next = 2 * at + 1) < order->held) {
		if (next + 1 < order->held &&
		    heap[next + 1].time < heap[next].time)
			next++;
		if (turn.time <= heap[next].time)
			break;
		heap[at] = heap[next];
		at = next;
	}
	heap[at] = turn;
}

void
ebpftls_order_begin(struct ebpftls_order *order, uint64_t limit)
{
	order->limit = limit;
	order->held = 0;
	for (unsigned int i = 0; i < order->count; i++) {
		struct ebpftls_ring *ring = &order->rings[i];

		ebpftls_ring_look(ring);
		if (ring == order->current || ring->state != EBPFTLS_RING_FRAME)
			ebpftls_ring_next(ring);
		if (holds_frame(ring))
			order->heap[order->held++] =
			    (struct ebpftls_turn){ ring->frame.time, ring };
		else if (ring->state == EBPFTLS_RING_BROKEN)
			order->broken = true;
	}
	for (unsigned int i = order->held / 2; i > 0; i--)
		sink(order, i - 1, order->heap[i - 1]);
	order->current = NULL;
}

/* Puts the ring that was first where it belongs with what it holds now. */
static void
put_back(struct ebpftls_order *order)
{
	struct ebpftls_ring *ring = order->heap->ring;

	if (holds_frame(ring)) {
		sink(order, 0, (struct ebpftls_turn){ ring->frame.time, ring });
		return;
	}
	if (ring->state == EBPFTLS_RING_BROKEN)
		order->broken = true;
	order->held--;
	sink(order, 0, order->heap[order->held]);
}

/* The ring with the earliest frame, and the time of the one after it. */
static struct ebpftls_ring *
earliest(struct ebpftls_order *order)
{
	const struct ebpftls_turn *heap = order->heap;

	if (order->held > 0)
		put_back(order);
	order->others = UINT64_MAX;
	for (unsigned int i = 1; i < order->held && i <= 2; i++)
		if (heap[i].time < order->others)
			order->others = heap[i].time;
	return order->held > 0 ? heap->ring : NULL;
}

struct ebpftls_ring *
ebpftls_order_next(struct ebpftls_order *order)
{
	struct ebpftls_ring *ring = order->current;

	if (ring != NULL)
		ebpftls_ring_next(ring);
	order->current = NULL;
	if (ring == NULL || !holds_frame(ring) ||
	    ring->frame.time > order->others)
		ring = earliest(order);
	/* nothing may pass a frame that is still being written */
	if (ring == NULL || ring->state == EBPFTLS_RING_PARTIAL ||
	    ring->frame.time > order->limit)
		return NULL;
	return order->current = ring;
}

void
ebpftls_order_end(struct ebpftls_order *order)
{
	for (unsigned int i = 0; i < order->count; i++)
		ebpftls_ring_release(&order->rings[i]);
}

bool
ebpftls_order_more(const struct ebpftls_order *order)
{
	for (unsigned int i = 0; i < order->count; i++) {
		const struct ebpftls_ring *ring = &order->rings[i];

		if (ring != order->current && holds_frame(ring))
			return true;
		if (ebpftls_ring_unread(ring))
			return true;
	}
	return false;
}
