/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides when the consumer wakes, and gives the application one descriptor
 * that is readable as long as there is something to read.
 *
 * A wake-up per frame is what capturing costs most, so it is asked for only
 * after a silence: then the program rings the doorbell for the first frame.
 * While frames keep coming, a timer with the application's timeout (or a ring
 * a quarter full, by the kernel) is what wakes. After an interval without a
 * frame the doorbell is asked for again, after one more the timer rests.
 */
#ifndef EBPFTLS_WAIT_H
#define EBPFTLS_WAIT_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>

struct ebpftls_wait {
	int epoll; /* what the application may select on */
	int timer;
	int kick;
	int deadline;	   /* a timer as well */
	uint64_t interval; /* nanoseconds */
	bool immediate;

	/* shared with the programs; set by the owner */
	__u64 *waiting;
	const __u64 *bell_rung;
	__u64 *bell_heard;

	uint64_t until;	    /* when the deadline is */
	uint64_t due;	    /* when the timer expires; 0: it rests */
	unsigned int quiet; /* intervals without a frame */
	bool kicked;
};

/* All descriptors are made here. Returns 0 or a negative errno. */
int ebpftls_wait_open(struct ebpftls_wait *wait, int timeout_ms,
		      bool immediate);

/* Makes a descriptor wake; `mark` comes back from ebpftls_wait_poll(). */
int ebpftls_wait_watch(struct ebpftls_wait *wait, int fd, uint32_t mark);

/* The pages are there: wakes for the first frame. */
void ebpftls_wait_start(struct ebpftls_wait *wait, uint64_t now);

/* After the rings were read: whether they gave frames, and hold more. */
void ebpftls_wait_prepare(struct ebpftls_wait *wait, uint64_t now,
			  bool got_frames, bool more);

/* Wakes at the monotonic time `due` too; UINT64_MAX: at no time. */
void ebpftls_wait_until(struct ebpftls_wait *wait, uint64_t due);

/* Whether the descriptor is readable, which a kick makes it only once. */
bool ebpftls_wait_ready(struct ebpftls_wait *wait);

/*
 * Waits for a wake-up, at most `timeout_ms`, for ever if that is negative.
 * Returns the marks, or'ed, of the watched descriptors that are ready, or a
 * negative errno.
 */
int ebpftls_wait_poll(struct ebpftls_wait *wait, int timeout_ms);

/* Makes the descriptor readable. Safe in signal handlers and threads. */
void ebpftls_wait_kick(const struct ebpftls_wait *wait);

void ebpftls_wait_close(struct ebpftls_wait *wait);

#endif
