// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does the descriptor that applications wait on become readable when it must,
 * and at no other time? With real timers and descriptors; the words that the
 * programs share with the consumer are ours here.
 */
#define _GNU_SOURCE

#include "ebpftls-wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "unit/check.h"

#define SECOND	    UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)

#define LONG_MS	 100000 /* an interval that does not pass during a test */
#define SHORT_MS 1
#define SOON_MS	 5000 /* what does not happen in this time never does */
#define MARK	 4u

static struct ebpftls_wait waiter;
static struct {
	__u64 waiting;
	__u64 rung;
	__u64 heard;
	__u64 head; /* frames written */
	__u64 fence;
} words;

/* Readable as long as not all was heard, as a BPF ring buffer is. */
static int doorbell;
static pthread_mutex_t bell = PTHREAD_MUTEX_INITIALIZER;

static uint64_t
monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void
open_waiter(int timeout_ms, bool immediate)
{
	memset(&words, 0, sizeof(words));
	memset(&waiter, 0xff, sizeof(waiter));
	check(ebpftls_wait_open(&waiter, timeout_ms, immediate) == 0);
	doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	check(ebpftls_wait_watch(&waiter, doorbell, 0) == 0);
	waiter.waiting = &words.waiting;
	waiter.bell_rung = &words.rung;
	waiter.bell_heard = &words.heard;
}

static void
start(int timeout_ms, bool immediate)
{
	open_waiter(timeout_ms, immediate);
	ebpftls_wait_start(&waiter, monotonic());
}

static void
finish(void)
{
	ebpftls_wait_close(&waiter);
	close(doorbell);
}

static void
ring(void)
{
	uint64_t one = 1;

	pthread_mutex_lock(&bell);
	__atomic_fetch_add(&words.rung, 16, __ATOMIC_RELEASE);
	check(write(doorbell, &one, sizeof(one)) == sizeof(one));
	pthread_mutex_unlock(&bell);
}

/* What the consumer does after each reading. */
static void
prepare(bool got_frames, bool more)
{
	uint64_t count;

	ebpftls_wait_prepare(&waiter, monotonic(), got_frames, more);
	pthread_mutex_lock(&bell);
	if (words.heard == words.rung)
		(void)!read(doorbell, &count, sizeof(count));
	pthread_mutex_unlock(&bell);
}

static bool
readable(int timeout_ms)
{
	struct pollfd wait = { .fd = waiter.epoll, .events = POLLIN };

	return poll(&wait, 1, timeout_ms) == 1;
}

static void
intervals(void)
{
	static const struct {
		int timeout_ms;
		bool immediate;
		uint64_t interval;
	} settings[] = {
		{ 1, false, MILLISECOND },
		{ 1000, false, SECOND },
		{ 0, false, 10 * MILLISECOND },
		{ -1, false, 10 * MILLISECOND },
		{ 1000, true, 10 * MILLISECOND },
		{ 0, true, 10 * MILLISECOND },
		{ INT32_MAX, false, INT32_MAX * MILLISECOND },
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		uint64_t before = monotonic();

		start(settings[i].timeout_ms, settings[i].immediate);
		check(waiter.interval == settings[i].interval);
		check(waiter.due >= before + waiter.interval);
		check(waiter.due <= monotonic() + waiter.interval);
		finish();
	}
}

static void
first_frame(void)
{
	start(LONG_MS, false);
	check(words.waiting == 1 && waiter.quiet == 1);
	check(!readable(0) && !ebpftls_wait_ready(&waiter));
	words.waiting = 0;
	ring();
	check(readable(0) && ebpftls_wait_ready(&waiter));
	check(ebpftls_wait_poll(&waiter, -1) == 0);
	prepare(true, false);
	check(words.waiting == 0 && words.heard == words.rung);
	check(waiter.due != 0 && !readable(0));
	finish();
}

/* As long as frames come, it is the timer that wakes, and no doorbell. */
static void
busy(void)
{
	start(SHORT_MS, false);
	for (int i = 0; i < 20; i++) {
		prepare(true, false);
		check(words.waiting == 0 && waiter.quiet == 0);
		check(waiter.due != 0);
		if (!check(readable(SOON_MS)))
			break;
	}
	finish();
}

/* Reads without a frame until so many intervals were quiet. */
static void
be_quiet(unsigned int intervals_long)
{
	while (waiter.quiet < intervals_long && check(readable(SOON_MS)))
		prepare(false, false);
}

/* One interval: the doorbell is asked for. One more: nothing wakes. */
static void
quiet(void)
{
	start(SHORT_MS, false);
	prepare(true, false);
	check(words.waiting == 0);
	be_quiet(1);
	check(words.waiting == 1 && waiter.due != 0);
	be_quiet(2);
	check(words.waiting == 1 && waiter.due == 0);
	check(!readable(5 * SHORT_MS));
	/* to look once more without a reason changes nothing */
	prepare(false, false);
	check(words.waiting == 1 && waiter.due == 0);
	/* and then the next frame */
	words.waiting = 0;
	ring();
	check(readable(0));
	prepare(true, false);
	check(waiter.due != 0 && waiter.quiet == 0);
	check(readable(SOON_MS));
	finish();
}

/* A frame in the second interval, whether its doorbell rang or not. */
static void
frame_before_rest(void)
{
	start(SHORT_MS, false);
	for (int rings = 0; rings < 2; rings++) {
		prepare(true, false);
		be_quiet(1);
		if (rings)
			ring();
		prepare(true, false);
		check(waiter.quiet == 0 && waiter.due != 0);
		check(words.waiting == 0 && words.heard == words.rung);
	}
	be_quiet(1);
	check(words.waiting == 1 && waiter.due != 0);
	finish();
}

/* The frame was dropped; its successor may find room. */
static void
doorbell_without_frame(void)
{
	start(SHORT_MS, false);
	be_quiet(2);
	words.waiting = 0;
	ring();
	check(readable(0));
	prepare(false, false);
	check(words.heard == words.rung);
	check(waiter.due != 0 && waiter.quiet == 0);
	check(readable(SOON_MS));
	finish();
}

static void
more(void)
{
	start(LONG_MS, false);
	for (int i = 0; i < 3; i++) {
		prepare(true, true);
		check(readable(0) && ebpftls_wait_ready(&waiter));
		check(ebpftls_wait_poll(&waiter, -1) == 0);
		check(readable(0));
	}
	prepare(true, false);
	check(!readable(0));
	finish();
}

/* Before there are any pages: so that the first reading takes place. */
static void
more_before_start(void)
{
	open_waiter(0, false);
	waiter.waiting = waiter.bell_heard = NULL;
	waiter.bell_rung = NULL;
	check(!readable(0));
	ebpftls_wait_prepare(&waiter, 0, false, true);
	check(readable(0));
	finish();
}

/* Also while there is more: then that still has to be seen to. */
static void
kick(void)
{
	start(LONG_MS, false);
	for (int i = 0; i < 3; i++) {
		ebpftls_wait_kick(&waiter);
		ebpftls_wait_kick(&waiter);
		check(readable(0));
		check(ebpftls_wait_poll(&waiter, -1) == 0);
		check(!readable(0));
	}
	prepare(true, true);
	ebpftls_wait_kick(&waiter);
	check(ebpftls_wait_poll(&waiter, -1) == 0);
	check(readable(0));
	prepare(true, false);
	check(!readable(0));
	finish();
}

/* However often: it does not block, and once is enough to calm it. */
static void
many_kicks(void)
{
	uint64_t most = UINT64_MAX - 1;

	start(LONG_MS, false);
	check(write(waiter.kick, &most, sizeof(most)) == sizeof(most));
	ebpftls_wait_kick(&waiter);
	check(ebpftls_wait_poll(&waiter, -1) == 0);
	check(!readable(0));
	finish();
}

static void
marks(void)
{
	uint64_t one = 1;
	int a = eventfd(0, EFD_CLOEXEC), b = eventfd(0, EFD_CLOEXEC);

	start(LONG_MS, false);
	check(ebpftls_wait_watch(&waiter, a, 1) == 0);
	check(ebpftls_wait_watch(&waiter, b, MARK) == 0);
	check(ebpftls_wait_watch(&waiter, b, MARK) == -EEXIST);
	check(ebpftls_wait_poll(&waiter, 0) == 0);
	check(write(b, &one, sizeof(one)) == sizeof(one));
	check(ebpftls_wait_poll(&waiter, -1) == (int)MARK);
	check(write(a, &one, sizeof(one)) == sizeof(one));
	ebpftls_wait_kick(&waiter);
	check(ebpftls_wait_poll(&waiter, -1) == (int)(MARK | 1));
	close(a);
	close(b);
	finish();
}

static void
deadline(void)
{
	uint64_t soon;

	start(LONG_MS, false);
	ebpftls_wait_until(&waiter, monotonic() + LONG_MS * MILLISECOND);
	check(!readable(0));
	soon = monotonic() + 20 * MILLISECOND;
	ebpftls_wait_until(&waiter, soon);
	check(readable(SOON_MS) && monotonic() >= soon);
	check(ebpftls_wait_poll(&waiter, -1) == 0);
	/* as long as there is no other */
	check(readable(0));
	ebpftls_wait_until(&waiter, soon);
	check(readable(0));
	ebpftls_wait_until(&waiter, UINT64_MAX);
	check(!readable(0));
	ebpftls_wait_until(&waiter, 1);
	check(readable(SOON_MS));
	finish();
}

static void
ignore(int number)
{
	(void)number;
}

static void
interrupted(void)
{
	const struct sigaction handle = { .sa_handler = ignore };
	const struct itimerval soon = { { 0, 10000 }, { 0, 10000 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };

	start(LONG_MS, false);
	check(sigaction(SIGALRM, &handle, NULL) == 0);
	check(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	check(ebpftls_wait_poll(&waiter, SOON_MS) == -EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	finish();
}

/* The application was away for a while: that counts as one interval. */
static void
late_consumer(void)
{
	uint64_t now;

	start(SHORT_MS, false);
	prepare(true, false);
	poll(NULL, 0, 10 * SHORT_MS);
	now = monotonic();
	prepare(false, false);
	check(waiter.quiet == 1 && waiter.due > now);
	check(waiter.due <= monotonic() + waiter.interval);
	check(words.waiting == 1);
	finish();
}

/* Every frame is to ring. */
static void
immediate(void)
{
	start(0, true);
	for (int i = 0; i < 5; i++) {
		check(words.waiting == 1);
		words.waiting = 0;
		ring();
		check(readable(0));
		prepare(true, false);
	}
	be_quiet(2);
	check(words.waiting == 1 && waiter.due == 0);
	words.waiting = 0;
	ring();
	check(readable(0));
	finish();
}

static void
closing(void)
{
	start(LONG_MS, false);
	check(fcntl(waiter.epoll, F_GETFD) == FD_CLOEXEC);
	check(fcntl(waiter.timer, F_GETFD) == FD_CLOEXEC);
	check(fcntl(waiter.kick, F_GETFD) == FD_CLOEXEC);
	ebpftls_wait_close(&waiter);
	check(waiter.epoll == -1 && waiter.timer == -1 && waiter.kick == -1);
	ebpftls_wait_close(&waiter);
	close(doorbell);
}

/* Each of the descriptors in turn cannot be had; none stays. */
static void
no_descriptors(void)
{
	struct rlimit before, limit;
	int used = dup(0); /* the first that is free */

	close(used);
	check(getrlimit(RLIMIT_NOFILE, &before) == 0);
	for (int left = 0; left < 3; left++) {
		limit = before;
		limit.rlim_cur = (rlim_t)(used + left);
		check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
		check(ebpftls_wait_open(&waiter, 0, false) == -EMFILE);
		check(waiter.epoll == -1 && waiter.timer == -1 &&
		      waiter.kick == -1);
		setrlimit(RLIMIT_NOFILE, &before);
		check(dup(0) == used);
		close(used);
	}
}

/* --- against a program on another CPU ------------------------------------ */

#define FRAMES 1000

static unsigned int thread_seed;

/* wake_consumer() in bpf/capture.bpf.c, after a frame was written. */
static void
write_frame(void)
{
	__atomic_fetch_add(&words.head, 1, __ATOMIC_RELEASE);
	if (waiter.immediate)
		__atomic_fetch_add(&words.fence, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&words.waiting, __ATOMIC_RELAXED) == 0)
		return;
	__atomic_store_n(&words.waiting, 0, __ATOMIC_RELAXED);
	ring();
}

/* Bursts, and silences of up to four intervals. */
static void *
write_frames(void *unused)
{
	const long longest = 4 * SHORT_MS * (long)MILLISECOND;

	for (int i = 0; i < FRAMES; i++) {
		struct timespec pause = { 0, 0 };

		if (rand_r(&thread_seed) % 8 == 0)
			pause.tv_nsec = rand_r(&thread_seed) % longest;
		if (rand_r(&thread_seed) % 2 == 0)
			nanosleep(&pause, NULL);
		write_frame();
	}
	return unused;
}

static uint64_t
look(void)
{
	return __atomic_load_n(&words.head, __ATOMIC_ACQUIRE);
}

/* One reading, as read_rings() does it. Returns how many frames it saw. */
static uint64_t
read_frames(uint64_t seen)
{
	uint64_t head = look();
	bool left = look() != head;

	prepare(head != seen, left);
	if (waiter.immediate && !left && look() != head)
		prepare(false, true);
	return head;
}

static void
against_thread(bool at_once)
{
	uint64_t seen = 0;
	pthread_t thread;

	start(SHORT_MS, at_once);
	thread_seed = 1;
	if (!check(pthread_create(&thread, NULL, write_frames, NULL) == 0))
		return;
	while (seen < FRAMES && check(readable(SOON_MS)))
		seen = read_frames(seen);
	pthread_join(thread, NULL);
	finish();
}

static void
no_frame_is_lost(void)
{
	against_thread(false);
}

static void
immediate_from_thread(void)
{
	against_thread(true);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "the interval is the timeout", intervals },
		{ "the first frame rings", first_frame },
		{ "while frames come the timer wakes", busy },
		{ "after a silence the timer rests", quiet },
		{ "a frame before the timer rests", frame_before_rest },
		{ "a doorbell without a frame", doorbell_without_frame },
		{ "more to read", more },
		{ "more to read before the start", more_before_start },
		{ "a kick wakes once", kick },
		{ "as many kicks as can be counted", many_kicks },
		{ "marks of watched descriptors", marks },
		{ "a deadline", deadline },
		{ "a signal while waiting", interrupted },
		{ "an application that is late", late_consumer },
		{ "immediate delivery", immediate },
		{ "closing, twice", closing },
		{ "no descriptors to be had", no_descriptors },
		{ "a thread writes, none is lost", no_frame_is_lost },
		{ "a thread writes, immediate delivery",
		  immediate_from_thread },
		{ NULL, NULL },
	};

	return check_main(cases);
}
