// SPDX-License-Identifier: BSD-3-Clause
/*
 * The difference between wall clock and monotonic clock. Both are slewed
 * alike, so it changes only when the wall clock is set, a leap second comes,
 * or the machine slept; of all these the kernel tells.
 */
#define _GNU_SOURCE

#include "clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND	INT64_C(1000000000)
#define ROUNDS	20
#define FOREVER INT32_MAX /* seconds since 1970; when it is over, again */

int64_t
clock_read(clockid_t id)
{
	struct timespec now = { 0, 0 };

	clock_gettime(id, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

/* The reading that was least disturbed between its two halves. */
static int64_t
measure_offset(int64_t *when)
{
	int64_t best = INT64_MAX, offset = 0;

	for (int i = 0; i < ROUNDS; i++) {
		int64_t before = clock_read(CLOCK_MONOTONIC);
		int64_t wall = clock_read(CLOCK_REALTIME);
		int64_t after = clock_read(CLOCK_MONOTONIC);

		if (i == 0)
			*when = before;
		if (after - before < best) {
			best = after - before;
			offset = wall - (before + after) / 2;
		}
	}
	return offset;
}

static int
arm(int fd)
{
	const struct itimerspec when = {
		.it_value.tv_sec = time(NULL) + FOREVER / 2,
	};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
			       &when, NULL);
}

static void
publish(struct ebpftls_clock *clock, uint64_t since, int64_t offset)
{
	uint64_t sequence = clock->sequence;

	__atomic_store_n(&clock->sequence, sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memmove(&clock->steps[1], &clock->steps[0],
		sizeof(clock->steps) - sizeof(clock->steps[0]));
	clock->steps[0] = (struct ebpftls_step){ since, offset };
	__atomic_store_n(&clock->sequence, sequence + 2, __ATOMIC_RELEASE);
}

int
clock_watch(struct ebpftls_clock *clock)
{
	int64_t when;
	int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (arm(fd) != 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	publish(clock, 0, measure_offset(&when));
	return fd;
}

void
clock_stepped(int fd, struct ebpftls_clock *clock)
{
	int64_t when, offset;

	/* makes it unreadable, and what it says does not matter; first, as a
	 * step that comes after this line is told of again */
	arm(fd);
	offset = measure_offset(&when);
	publish(clock, (uint64_t)when, offset);
}
