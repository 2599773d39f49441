/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A perf ring and the kernel's side of it: does to head and pages what perf
 * and the capture program do. What lies outside of what was written and not
 * released yet is poisoned, so a reader that looks there is found out.
 */
#ifndef PERF_H
#define PERF_H

#include <linux/perf_event.h>
#include <sanitizer/asan_interface.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ebpftls-ring.h"

#define PERF_LOST_SIZE 24u
#define PERF_CHUNK     32000u /* of a frame, after its first sample */

struct perf {
	struct ebpftls_ring ring; /* the reader */
	uint64_t head;
	uint64_t tail;
	uint64_t writing;
	uint8_t *data;
	uint64_t size;
	bool lost; /* the reader is still to be told */
};

/* Poisons what the reader has no business with. */
static inline void
perf_guard(struct perf *perf)
{
	uint64_t used = perf->head - perf->tail;
	uint64_t start = perf->tail & (perf->size - 1);
	uint64_t first = used < perf->size - start ? used : perf->size - start;

	ASAN_POISON_MEMORY_REGION(perf->data, perf->size);
	ASAN_UNPOISON_MEMORY_REGION(perf->data + start, first);
	ASAN_UNPOISON_MEMORY_REGION(perf->data, used - first);
}

/* Memory of exactly the size that the ring is told, all else is not ours. */
static inline void
perf_make(struct perf *perf, uint64_t size, uint64_t start, uint32_t capacity)
{
	memset(perf, 0, sizeof(*perf));
	perf->head = perf->tail = start;
	perf->size = size;
	perf->data = malloc(size);
	perf->ring.assembly = malloc(EBPFTLS_HEADROOM + (size_t)capacity);
	if (perf->data == NULL || perf->ring.assembly == NULL)
		abort();
	memset(perf->data, 0xee, size);
	perf->ring.head = &perf->head;
	perf->ring.tail = &perf->tail;
	perf->ring.data = perf->data;
	perf->ring.size = size;
	perf->ring.writing = &perf->writing;
	perf->ring.capacity = capacity;
	ebpftls_ring_start(&perf->ring);
	perf_guard(perf);
}

static inline void
perf_free(struct perf *perf)
{
	ASAN_UNPOISON_MEMORY_REGION(perf->data, perf->size);
	free(perf->data);
	free(perf->ring.assembly);
}

/* Writes at the head, around the ring's end where need be. */
static inline void
perf_put(struct perf *perf, const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		perf->data[perf->head++ & (perf->size - 1)] =
		    ((const uint8_t *)bytes)[i];
}

/* Perf never fills the last byte of a ring. */
static inline bool
perf_has_room(const struct perf *perf, uint32_t size)
{
	return ((perf->tail - (perf->head + 1)) & (perf->size - 1)) >= size;
}

/* A record without a meaning for us; its body is what was there before. */
static inline void
perf_other(struct perf *perf, uint32_t type, uint16_t size)
{
	struct perf_event_header header = { .type = type, .size = size };

	perf_put(perf, &header, sizeof(header));
	perf->head += size - sizeof(header);
}

/* Makes room, and tells of what was lost since there was some. */
static inline bool
perf_begin(struct perf *perf, uint32_t size)
{
	if (!perf_has_room(perf, size + (perf->lost ? PERF_LOST_SIZE : 0))) {
		perf->lost = true;
		return false;
	}
	ASAN_UNPOISON_MEMORY_REGION(perf->data, perf->size);
	if (perf->lost)
		perf_other(perf, PERF_RECORD_LOST, PERF_LOST_SIZE);
	perf->lost = false;
	return true;
}

/* The owner at one end of the frame of that time. */
static inline struct ebpftls_owner
perf_owner(uint64_t time, uint8_t end)
{
	struct ebpftls_owner owner = {
		.start = time * 1000 + end,
		.cgroup = time + 77,
		.pid = (uint32_t)time + end,
		.tid = (uint32_t)time + end + 5,
		.uid = end,
		.kind = EBPFTLS_OF_PROCESS,
	};

	strcpy(owner.comm, end == EBPFTLS_SENDER ? "sender" : "receiver");
	owner.comm[sizeof(owner.comm) - 2] = (char)time;
	return owner;
}

/* How many bytes of owners a sample has. */
static inline uint32_t
perf_owners_size(const struct ebpftls_frame *frame)
{
	return frame->offset != 0
		   ? 0
		   : (uint32_t)__builtin_popcount(frame->owners) *
			 (uint32_t)sizeof(struct ebpftls_owner);
}

static inline void
perf_put_owners(struct perf *perf, const struct ebpftls_frame *frame)
{
	for (uint8_t end = EBPFTLS_SENDER; end <= EBPFTLS_RECEIVER; end++) {
		struct ebpftls_owner owner = perf_owner(frame->time, end);

		if (frame->offset == 0 && (frame->owners & end) != 0)
			perf_put(perf, &owner, sizeof(owner));
	}
}

/*
 * One sample with `extra` bytes more than are needed, and what it takes to
 * the next multiple of 8 - which perf skips, and does not clear.
 */
static inline bool
perf_sample(struct perf *perf, const struct ebpftls_frame *frame,
	    const uint8_t *bytes, uint32_t extra)
{
	uint32_t raw = (uint32_t)sizeof(*frame) + perf_owners_size(frame) +
		       frame->here + extra;
	uint32_t size = (8 + 4 + raw + 7) / 8 * 8;
	struct perf_event_header header = {
		.type = PERF_RECORD_SAMPLE,
		.misc = PERF_RECORD_MISC_KERNEL,
		.size = (uint16_t)size,
	};
	uint64_t end;

	if (!perf_begin(perf, size))
		return false;
	end = perf->head + size;
	raw = size - 8 - 4;
	perf_put(perf, &header, sizeof(header));
	perf_put(perf, &raw, sizeof(raw));
	perf_put(perf, frame, sizeof(*frame));
	perf_put_owners(perf, frame);
	perf_put(perf, bytes, frame->here);
	perf->head = end;
	perf_guard(perf);
	return true;
}

/* The sample with the bytes of the frame from `offset` on. */
static inline bool
perf_part(struct perf *perf, const struct ebpftls_frame *frame,
	  const uint8_t *bytes, uint32_t offset, uint32_t length)
{
	struct ebpftls_frame part = *frame;

	part.offset = offset;
	part.here = length;
	return perf_sample(perf, &part, bytes + offset, 0);
}

/* A frame as the capture program sends it; false: it was dropped. */
static inline bool
perf_frame(struct perf *perf, const struct ebpftls_frame *frame,
	   const uint8_t *bytes)
{
	uint32_t offset = 0, length = EBPFTLS_FIRST_MAX;
	bool sent;

	if (frame->caplen <= length)
		return perf_part(perf, frame, bytes, 0, frame->caplen);
	perf->writing = 1;
	do {
		sent = perf_part(perf, frame, bytes, offset, length);
		offset += length;
		length = frame->caplen - offset;
		if (length > PERF_CHUNK)
			length = PERF_CHUNK;
	} while (sent && offset < frame->caplen);
	perf->writing = 0;
	return sent;
}

static inline struct ebpftls_frame
perf_describe(uint64_t time, uint32_t caplen)
{
	return (struct ebpftls_frame){
		.time = time,
		.len = caplen,
		.caplen = caplen,
		.ifindex = 1,
	};
}

/* Bytes that differ from place to place and from frame to frame. */
static inline void
perf_fill(uint8_t *bytes, size_t length, uint64_t frame)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8) + frame * 131 +
				     (frame >> 8) * 17);
}

#endif
