// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads whole frames out of one perf ring.
 *
 * A sample is { perf_event_header, u32 size, data }, padded to 8 bytes; the
 * data is never 8-byte aligned and the size includes the padding, so headers
 * are copied out and the lengths inside them are trusted, once checked.
 */
#include "ebpftls-ring.h"

#include <linux/perf_event.h>
#include <stdbool.h>
#include <string.h>

#define SAMPLE_HEADER (sizeof(struct perf_event_header) + sizeof(uint32_t))

/* So much may be read before the kernel is told that it is free. */
#define RELEASE_PARTS 8

void
ebpftls_ring_start(struct ebpftls_ring *ring)
{
	ring->state = EBPFTLS_RING_EMPTY;
	ring->assembled = 0;
	ring->released = ring->needed = ring->next = *ring->tail;
	ring->end = ring->next;
}

void
ebpftls_ring_look(struct ebpftls_ring *ring)
{
	ring->end = __atomic_load_n(ring->head, __ATOMIC_ACQUIRE);
}

int
ebpftls_ring_unread(const struct ebpftls_ring *ring)
{
	return __atomic_load_n(ring->head, __ATOMIC_ACQUIRE) != ring->next;
}

void
ebpftls_ring_release(struct ebpftls_ring *ring)
{
	if (ring->released == ring->needed)
		return;
	ring->released = ring->needed;
	__atomic_store_n(ring->tail, ring->released, __ATOMIC_RELEASE);
}

/* Copies out of the ring, around its end where need be. */
static void
copy_out(const struct ebpftls_ring *ring, void *to, uint64_t at, size_t length)
{
	uint64_t offset = at & (ring->size - 1);
	size_t first = length;

	if (first > ring->size - offset)
		first = (size_t)(ring->size - offset);
	memcpy(to, ring->data + offset, first);
	memcpy((uint8_t *)to + first, ring->data, length - first);
}

enum record { RECORD_FRAME, RECORD_OTHER, RECORD_BROKEN };

/* Reads the record at `at`: its length and, of a sample, the header. */
static enum record
read_record(const struct ebpftls_ring *ring, uint64_t at, uint64_t *length,
	    struct ebpftls_frame *frame)
{
	struct perf_event_header header;
	uint64_t there = ring->end - at;

	if (there < sizeof(header) || there > ring->size)
		return RECORD_BROKEN;
	copy_out(ring, &header, at, sizeof(header));
	if (header.size < sizeof(header) || header.size % 8 != 0 ||
	    header.size > there)
		return RECORD_BROKEN;
	*length = header.size;
	if (header.type != PERF_RECORD_SAMPLE)
		return RECORD_OTHER;
	if (header.size < SAMPLE_HEADER + sizeof(*frame))
		return RECORD_BROKEN;
	copy_out(ring, frame, at + SAMPLE_HEADER, sizeof(*frame));
	if ((frame->here == 0 && frame->caplen != 0) ||
	    frame->here > header.size - SAMPLE_HEADER - sizeof(*frame) ||
	    frame->caplen > ring->capacity || frame->caplen > frame->len ||
	    frame->offset > frame->caplen ||
	    frame->here > frame->caplen - frame->offset)
		return RECORD_BROKEN;
	return RECORD_FRAME;
}

static void
append(struct ebpftls_ring *ring, uint64_t at, uint32_t length)
{
	copy_out(ring, ring->assembly + EBPFTLS_HEADROOM + ring->assembled,
		 at + SAMPLE_HEADER + sizeof(struct ebpftls_frame), length);
	ring->assembled += length;
}

static void
take_assembled(struct ebpftls_ring *ring)
{
	ring->assembled = 0;
	ring->bytes = ring->assembly + EBPFTLS_HEADROOM;
	ring->needed = ring->next;
}

/* The frame in the record at `at` is whole: in place if it does not wrap. */
static void
take_whole(struct ebpftls_ring *ring, uint64_t at)
{
	uint64_t start = at & (ring->size - 1);
	uint64_t length =
	    SAMPLE_HEADER + sizeof(struct ebpftls_frame) + ring->frame.caplen;

	if (start + length <= ring->size) {
		ring->bytes = ring->data + start + SAMPLE_HEADER +
			      sizeof(struct ebpftls_frame);
		ring->needed = at;
		return;
	}
	append(ring, at, ring->frame.caplen);
	take_assembled(ring);
}

static bool
continues(const struct ebpftls_ring *ring, const struct ebpftls_frame *part)
{
	return ring->assembled > 0 && part->time == ring->frame.time &&
	       part->caplen == ring->frame.caplen &&
	       part->offset == ring->assembled;
}

/*
 * One sample more. A frame whose rest does not come was counted as dropped
 * by the program that could not write it, so its beginning goes unsaid.
 */
static bool
take_sample(struct ebpftls_ring *ring, uint64_t at,
	    const struct ebpftls_frame *part)
{
	if (part->offset == 0) {
		ring->assembled = 0;
		ring->frame = *part;
		if (part->here == part->caplen) {
			take_whole(ring, at);
			return true;
		}
	} else if (!continues(ring, part)) {
		ring->assembled = 0;
		return false;
	}
	append(ring, at, part->here);
	if (ring->assembled < ring->frame.caplen)
		return false;
	take_assembled(ring);
	return true;
}

/*
 * The ring ends within a frame. Either its rest is being written, or it will
 * never come: the program clears `writing` after its last attempt, so what
 * is not there when the head is read after that was lost.
 */
static bool
rest_will_come(struct ebpftls_ring *ring)
{
	if (__atomic_load_n(ring->writing, __ATOMIC_ACQUIRE) != 0)
		return true;
	ebpftls_ring_look(ring);
	if (ring->next == ring->end)
		ring->assembled = 0;
	return false;
}

uint8_t *
ebpftls_ring_own(struct ebpftls_ring *ring)
{
	uint8_t *own = ring->assembly + EBPFTLS_HEADROOM;

	if (ring->bytes != own)
		memcpy(own, ring->bytes, ring->frame.caplen);
	ring->bytes = own;
	return own;
}

enum ebpftls_ring_state
ebpftls_ring_next(struct ebpftls_ring *ring)
{
	ring->needed = ring->next;
	if (ring->needed - ring->released >= ring->size / RELEASE_PARTS)
		ebpftls_ring_release(ring);
	ring->state = EBPFTLS_RING_EMPTY;
	for (;;) {
		struct ebpftls_frame part;
		uint64_t at = ring->next, length;

		if (at == ring->end) {
			if (ring->assembled == 0)
				break;
			if (rest_will_come(ring)) {
				ring->state = EBPFTLS_RING_PARTIAL;
				break;
			}
			continue;
		}
		switch (read_record(ring, at, &length, &part)) {
		case RECORD_BROKEN:
			return ring->state = EBPFTLS_RING_BROKEN;
		case RECORD_OTHER:
			ring->next += length;
			break;
		case RECORD_FRAME:
			ring->next += length;
			if (take_sample(ring, at, &part))
				return ring->state = EBPFTLS_RING_FRAME;
			break;
		}
		ring->needed = ring->next;
	}
	return ring->state;
}
