/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads whole frames out of one perf ring: one CPU's pages, which the kernel
 * fills and this side empties. Works on memory alone, so recorded pages do as
 * well as live ones.
 */
#ifndef EBPFTLS_RING_H
#define EBPFTLS_RING_H

#include <stddef.h>
#include <stdint.h>

#include "events.h"

/* Room before a frame of one's own, for headers and a tag to be added. */
#define EBPFTLS_HEADROOM 136

enum ebpftls_ring_state {
	EBPFTLS_RING_EMPTY,   /* nothing up to the head last looked at */
	EBPFTLS_RING_FRAME,   /* `frame` and `bytes` hold a frame */
	EBPFTLS_RING_PARTIAL, /* `frame` is known, the rest is being written */
	EBPFTLS_RING_BROKEN,  /* what is there is not what the kernel writes */
};

struct ebpftls_ring {
	/* set by the owner */
	const uint64_t *head; /* written by the kernel */
	uint64_t *tail;	      /* ours */
	const uint8_t *data;
	uint64_t size;		 /* a power of two */
	const uint64_t *writing; /* ebpftls_counters of this CPU */
	uint8_t *assembly;	 /* EBPFTLS_HEADROOM + capacity bytes */
	uint32_t capacity;	 /* the longest frame */

	/* the frame that was read last */
	enum ebpftls_ring_state state;
	struct ebpftls_frame frame;
	const uint8_t *bytes; /* in pages that cannot be written, or own */
	uint64_t start;	      /* where its first record begins */
	const struct ebpftls_owner *sender;   /* NULL: nobody here */
	const struct ebpftls_owner *receiver; /* in `owners`, likewise */

	uint64_t needed;    /* first byte that is still in use */
	uint64_t next;	    /* first byte not looked at */
	uint64_t end;	    /* the head last looked at */
	uint64_t released;  /* what the kernel knows to be free */
	uint32_t assembled; /* bytes of `frame`, while it is partial */
	uint64_t judged;    /* all from here on the kernel's filter selects */
	struct ebpftls_owner owners[2];
};

/* Takes up reading where the consumer before us stopped. */
void ebpftls_ring_start(struct ebpftls_ring *ring);

/* Looks how far the kernel has got. */
void ebpftls_ring_look(struct ebpftls_ring *ring);

/*
 * Gives up the current frame, if there is one, and finds the next; sets and
 * returns `state`. A frame's bytes and owners stay valid until the next call.
 */
enum ebpftls_ring_state ebpftls_ring_next(struct ebpftls_ring *ring);

/*
 * Copies the current frame to where its bytes, and EBPFTLS_HEADROOM bytes
 * before them, may be written. Valid as long as the frame.
 */
uint8_t *ebpftls_ring_own(struct ebpftls_ring *ring);

/* Gives the kernel all the room that no frame in hand needs. */
void ebpftls_ring_release(struct ebpftls_ring *ring);

/*
 * What the kernel writes from now on its filter has selected; or, it has not
 * until this is said again. May be called while another thread reads.
 */
void ebpftls_ring_trust(struct ebpftls_ring *ring);
void ebpftls_ring_doubt(struct ebpftls_ring *ring);

/* Whether the kernel's filter has selected the current frame. */
int ebpftls_ring_trusted(const struct ebpftls_ring *ring);

/* Whether the kernel has written what was not looked at yet. */
int ebpftls_ring_unread(const struct ebpftls_ring *ring);

#endif
