// SPDX-License-Identifier: BSD-3-Clause
/* Decides when the consumer wakes. */
#define _GNU_SOURCE

#include "ebpftls-wait.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND	    UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)

/* For timeout 0, which leaves it to us, and for immediate delivery. */
#define DEFAULT_INTERVAL_MS 10

#define MARK_KICK  0x10000u
#define EVENTS_MAX 8

static int
watch(const struct ebpftls_wait *wait, int fd, uint32_t mark)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = mark };

	if (epoll_ctl(wait->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		return -errno;
	return 0;
}

int
ebpftls_wait_open(struct ebpftls_wait *wait, int timeout_ms, bool immediate)
{
	int error;

	if (timeout_ms <= 0 || immediate)
		timeout_ms = DEFAULT_INTERVAL_MS;
	wait->interval = (uint64_t)timeout_ms * MILLISECOND;
	wait->immediate = immediate;
	wait->due = 0;
	wait->quiet = 0;
	wait->kicked = false;
	wait->until = UINT64_MAX;
	wait->timer = wait->deadline = wait->kick = -1;
	wait->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (wait->epoll >= 0)
		wait->timer =
		    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (wait->timer >= 0)
		wait->deadline =
		    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (wait->deadline >= 0)
		wait->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wait->kick < 0) {
		error = -errno;
	} else {
		error = watch(wait, wait->timer, 0);
		if (error == 0)
			error = watch(wait, wait->deadline, 0);
		if (error == 0)
			error = watch(wait, wait->kick, MARK_KICK);
	}
	if (error != 0)
		ebpftls_wait_close(wait);
	return error;
}

int
ebpftls_wait_watch(struct ebpftls_wait *wait, int fd, uint32_t mark)
{
	return watch(wait, fd, mark);
}

void
ebpftls_wait_close(struct ebpftls_wait *wait)
{
	int *fds[] = { &wait->kick, &wait->deadline, &wait->timer,
		       &wait->epoll };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

void
ebpftls_wait_kick(const struct ebpftls_wait *wait)
{
	uint64_t one = 1;

	/* fails only when the count is at its end, and then it is readable */
	(void)!write(wait->kick, &one, sizeof(one));
}

static void
calm(struct ebpftls_wait *wait)
{
	uint64_t count;

	(void)!read(wait->kick, &count, sizeof(count));
	wait->kicked = false;
}

static struct timespec
timespec(uint64_t time)
{
	return (struct timespec){ (time_t)(time / SECOND),
				  (long)(time % SECOND) };
}

/* A time of 0 makes it rest. */
static void
set_timer(struct ebpftls_wait *wait, uint64_t due)
{
	struct itimerspec when = { timespec(due != 0 ? wait->interval : 0),
				   timespec(due) };

	wait->due = due;
	timerfd_settime(wait->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

void
ebpftls_wait_until(struct ebpftls_wait *wait, uint64_t due)
{
	struct itimerspec when = { { 0, 0 },
				   timespec(due != UINT64_MAX ? due : 0) };

	if (due == wait->until)
		return;
	wait->until = due;
	timerfd_settime(wait->deadline, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Whether an interval has passed; the timer is unreadable afterwards. */
static bool
interval_passed(struct ebpftls_wait *wait, uint64_t now)
{
	uint64_t count;

	if (wait->due == 0 || now < wait->due ||
	    read(wait->timer, &count, sizeof(count)) != sizeof(count))
		return false;
	wait->due += count * wait->interval;
	return true;
}

/* The fence is for immediate delivery; see wake_consumer() in bpf/. */
static void
ask_for_doorbell(struct ebpftls_wait *wait)
{
	__atomic_store_n(wait->waiting, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool
hear_doorbell(struct ebpftls_wait *wait)
{
	uint64_t rung = __atomic_load_n(wait->bell_rung, __ATOMIC_ACQUIRE);

	if (*wait->bell_heard == rung)
		return false;
	__atomic_store_n(wait->bell_heard, rung, __ATOMIC_RELEASE);
	return true;
}

void
ebpftls_wait_start(struct ebpftls_wait *wait, uint64_t now)
{
	wait->quiet = 1;
	ask_for_doorbell(wait);
	set_timer(wait, now + wait->interval);
}

void
ebpftls_wait_prepare(struct ebpftls_wait *wait, uint64_t now, bool got_frames,
		     bool more)
{
	bool passed = interval_passed(wait, now);

	if (more) {
		if (!wait->kicked)
			ebpftls_wait_kick(wait);
		wait->kicked = true;
		return;
	}
	if (wait->kicked)
		calm(wait);
	/* a doorbell without a frame: it was dropped, but others will follow */
	if (hear_doorbell(wait) || got_frames) {
		wait->quiet = 0;
		if (wait->due == 0)
			set_timer(wait, now + wait->interval);
		__atomic_store_n(wait->waiting, 0, __ATOMIC_RELAXED);
	} else if (passed && ++wait->quiet > 1) {
		set_timer(wait, 0);
	}
	if (wait->immediate || wait->quiet == 1)
		ask_for_doorbell(wait);
}

/* Returns how many descriptors are ready, or a negative errno. */
static int
look(struct ebpftls_wait *wait, int timeout_ms, uint32_t *marks)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(wait->epoll, events, EVENTS_MAX, timeout_ms);

	*marks = 0;
	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++)
		*marks |= events[i].data.u32;
	/* kicked by a pcap_breakloop() that has been seen to, or now will be */
	if ((*marks & MARK_KICK) && !wait->kicked)
		calm(wait);
	return count;
}

bool
ebpftls_wait_ready(struct ebpftls_wait *wait)
{
	uint32_t marks;

	return wait->kicked || look(wait, 0, &marks) > 0;
}

int
ebpftls_wait_poll(struct ebpftls_wait *wait, int timeout_ms)
{
	uint32_t marks;
	int count = look(wait, timeout_ms, &marks);

	return count < 0 ? count : (int)(marks & ~MARK_KICK);
}
