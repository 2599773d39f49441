// SPDX-License-Identifier: BSD-3-Clause
/*
 * Merges the rings by time. Frames come in bursts per CPU, so the ring that
 * was smallest is read on while it stays so; only then are all looked at.
 */
#include "ebpftls-order.h"

#include <stddef.h>

static bool
holds_frame(const struct ebpftls_ring *ring)
{
	return ring->state == EBPFTLS_RING_FRAME ||
	       ring->state == EBPFTLS_RING_PARTIAL;
}

void
ebpftls_order_begin(struct ebpftls_order *order, uint64_t limit)
{
	order->limit = limit;
	for (unsigned int i = 0; i < order->count; i++) {
		struct ebpftls_ring *ring = &order->rings[i];

		ebpftls_ring_look(ring);
		if (ring == order->current || ring->state != EBPFTLS_RING_FRAME)
			ebpftls_ring_next(ring);
	}
	order->current = NULL;
}

/* The ring with the earliest frame, and the time of the one after it. */
static struct ebpftls_ring *
earliest(struct ebpftls_order *order)
{
	struct ebpftls_ring *first = NULL;
	uint64_t time = UINT64_MAX;

	order->others = UINT64_MAX;
	for (unsigned int i = 0; i < order->count; i++) {
		struct ebpftls_ring *ring = &order->rings[i];

		if (ring->state == EBPFTLS_RING_BROKEN)
			order->broken = true;
		if (!holds_frame(ring))
			continue;
		if (ring->frame.time < time) {
			order->others = time;
			time = ring->frame.time;
			first = ring;
		} else if (ring->frame.time < order->others) {
			order->others = ring->frame.time;
		}
	}
	return first;
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
