/* SPDX-License-Identifier: BSD-3-Clause */
/* Merges the rings of all CPUs into one stream of frames in time order. */
#ifndef EBPFTLS_ORDER_H
#define EBPFTLS_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpftls-ring.h"

/* A ring that holds a frame, and of what time that is. */
struct ebpftls_turn {
	uint64_t time;
	struct ebpftls_ring *ring;
};

struct ebpftls_order {
	struct ebpftls_ring *rings;
	unsigned int count;

	struct ebpftls_turn *heap;    /* the earliest first */
	unsigned int held;	      /* frames, of as many rings */
	struct ebpftls_ring *current; /* whose frame was handed out */
	uint64_t limit;
	uint64_t others; /* no other ring has a frame before this time */
	bool broken;	 /* a ring holds what is not a record */
};

/* Takes over the rings, which stay the caller's. False: no memory. */
bool ebpftls_order_open(struct ebpftls_order *order, struct ebpftls_ring *rings,
			unsigned int count);

/* Allowed when nothing is open. */
void ebpftls_order_close(struct ebpftls_order *order);

/*
 * Begins a pass that hands out frames up to the time `limit`. It must have
 * been taken before this call, and lie as far back as a program may need
 * from its time stamp to its record: then no earlier frame can appear.
 */
void ebpftls_order_begin(struct ebpftls_order *order, uint64_t limit);

/*
 * The ring whose `frame` is next, NULL at the end of the pass. The frame is
 * valid until the next call of either function.
 */
struct ebpftls_ring *ebpftls_order_next(struct ebpftls_order *order);

/* Ends the pass: the kernel gets its room back, but for the last frame's. */
void ebpftls_order_end(struct ebpftls_order *order);

/* Whether a frame waits, or one that was cut short by the limit. */
bool ebpftls_order_more(const struct ebpftls_order *order);

#endif
