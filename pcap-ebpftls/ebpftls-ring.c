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
	ring->sender = ring->receiver = NULL;
	ring->released = ring->needed = ring->next = *ring->tail;
	ring->end = ring->next;
	ebpftls_ring_doubt(ring);
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
ebpftls_ring_trust(struct ebpftls_ring *ring)
{
	uint64_t head = __atomic_load_n(ring->head, __ATOMIC_ACQUIRE);

	__atomic_store_n(&ring->judged, head, __ATOMIC_RELEASE);
}

void
ebpftls_ring_doubt(struct ebpftls_ring *ring)
{
	__atomic_store_n(&ring->judged, UINT64_MAX, __ATOMIC_RELEASE);
}

int
ebpftls_ring_trusted(const struct ebpftls_ring *ring)
{
	return ring->start >= __atomic_load_n(&ring->judged, __ATOMIC_ACQUIRE);
}

void
ebpftls_ring_release(struct ebpftls_ring *ring)
{
	if (ring->released == ring->needed)
		return;
	ring->released = ring->needed;
	__atomic_store_n(ring->tail, ring->released, __ATOMIC_RELEASE);
}

/* What lies around the ring's end: `first` bytes are before it. */
static void
copy_around(const struct ebpftls_ring *ring, uint8_t *to, size_t first,
	    size_t length)
{
	memcpy(to, ring->data + ring->size - first, first);
	memcpy(to + first, ring->data, length - first);
}

/* Copies out of the ring. Inline, so that of few bytes it is no call. */
static inline void
copy_out(const struct ebpftls_ring *ring, void *to, uint64_t at, size_t length)
{
	const uint64_t offset = at & (ring->size - 1);

	if (length <= ring->size - offset)
		memcpy(to, ring->data + offset, length);
	else
		copy_around(ring, to, (size_t)(ring->size - offset), length);
}

/* How much stands between the header of a sample and its part of the frame. */
static uint32_t
owners_size(const struct ebpftls_frame *frame)
{
	uint32_t size = 0;

	if (frame->offset != 0)
		return 0;
	if (frame->owners & EBPFTLS_SENDER)
		size += sizeof(struct ebpftls_owner);
	if (frame->owners & EBPFTLS_RECEIVER)
		size += sizeof(struct ebpftls_owner);
	return size;
}

/* Where that part begins in the record at `at`. */
static uint64_t
part_of(uint64_t at, const struct ebpftls_frame *part)
{
	return at + SAMPLE_HEADER + sizeof(*part) + owners_size(part);
}

enum record { RECORD_FRAME, RECORD_OTHER, RECORD_BROKEN };

/* Reads the record at `at`: its length and, of a sample, the header. */
static enum record
read_record(const struct ebpftls_ring *ring, uint64_t at, uint64_t *length,
	    struct ebpftls_frame *frame)
{
	struct perf_event_header header;
	uint64_t there = ring->end - at;
	uint32_t owners;

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
	owners = owners_size(frame);
	if ((frame->owners & ~(EBPFTLS_SENDER | EBPFTLS_RECEIVER)) != 0 ||
	    header.size < SAMPLE_HEADER + sizeof(*frame) + owners ||
	    (frame->here == 0 && frame->caplen != 0) ||
	    frame->here >
		header.size - SAMPLE_HEADER - sizeof(*frame) - owners ||
	    frame->caplen > ring->capacity || frame->caplen > frame->len ||
	    frame->offset > frame->caplen ||
	    frame->here > frame->caplen - frame->offset)
		return RECORD_BROKEN;
	return RECORD_FRAME;
}

/* What comes out of here is one of the kinds, and its name ends. */
static const struct ebpftls_owner *
take_owner(const struct ebpftls_ring *ring, struct ebpftls_owner *owner,
	   uint64_t at)
{
	copy_out(ring, owner, at, sizeof(*owner));
	if (owner->kind < EBPFTLS_OF_PROCESS ||
	    owner->kind > EBPFTLS_OF_UNKNOWN)
		owner->kind = EBPFTLS_OF_UNKNOWN;
	owner->comm[sizeof(owner->comm) - 1] = '\0';
	return owner;
}

/* The owners of the frame whose first sample is at `at`. */
static void
take_owners(struct ebpftls_ring *ring, uint64_t at)
{
	const uint8_t owners = ring->frame.owners;

	ring->sender = ring->receiver = NULL;
	at += SAMPLE_HEADER + sizeof(struct ebpftls_frame);
	if (owners & EBPFTLS_SENDER) {
		ring->sender = take_owner(ring, &ring->owners[0], at);
		at += sizeof(struct ebpftls_owner);
	}
	if (owners & EBPFTLS_RECEIVER)
		ring->receiver = take_owner(ring, &ring->owners[1], at);
}

/* Takes over `length` bytes that are at `from`. */
static void
append(struct ebpftls_ring *ring, uint64_t from, uint32_t length)
{
	copy_out(ring, ring->assembly + EBPFTLS_HEADROOM + ring->assembled,
		 from, length);
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
	uint64_t from = part_of(at, &ring->frame);
	uint64_t start = at & (ring->size - 1);

	if (start + (from - at) + ring->frame.caplen <= ring->size) {
		ring->bytes = ring->data + start + (from - at);
		ring->needed = at;
		return;
	}
	append(ring, from, ring->frame.caplen);
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
		ring->start = at;
		take_owners(ring, at);
		if (part->here == part->caplen) {
			take_whole(ring, at);
			return true;
		}
	} else if (!continues(ring, part)) {
		ring->assembled = 0;
		return false;
	}
	append(ring, part_of(at, part), part->here);
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
