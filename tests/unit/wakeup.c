// SPDX-License-Identifier: BSD-3-Clause
/*
 * Can a frame be there without the consumer waking? Programs on several CPUs
 * and a consumer take turns at random, in a time that is made up: whenever
 * the descriptor is not readable, no frame may have waited for longer than
 * two intervals, and with immediate delivery none at all.
 */
#define _GNU_SOURCE

#include "ebpftls-wait.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "unit/check.h"

#define SECOND	    UINT64_C(1000000000)
#define SLACK	    50000 /* see pcap-ebpftls.c */
#define STEPS	    300000
#define CPUS	    3
#define WAITING_MAX 4096
#define PATIENCE    2 /* intervals */

/* Where a program is. */
enum progress {
	IDLE,
	STAMPED, /* has taken its time stamp */
	WRITTEN, /* its frame can be seen, unless it was dropped */
	ASKED,	 /* has found that the consumer waits */
	CLEARED, /* has said that it does not any more */
};

struct frame {
	uint64_t time;
	uint64_t done; /* when its program had ended; 0: it has not */
	int cpu;
};

static struct ebpftls_wait waiter;
static struct {
	__u64 waiting;
	__u64 rung;
	__u64 heard;
} words;
static int doorbell;

static uint64_t now;
static uint64_t timer_due, timer_interval;

static struct {
	enum progress progress;
	uint64_t time;
} programs[CPUS];

/* Written and not yet read. */
static struct frame frames[WAITING_MAX];
static size_t frame_count;

static bool silence;
static unsigned int rings, rests, kicks, drops, reads;

/* --- the timer ----------------------------------------------------------- */

static void
drain(int fd)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
}

static void
raise_fd(int fd)
{
	uint64_t one = 1;

	check(write(fd, &one, sizeof(one)) == sizeof(one));
}

static void programs_go_on(void);

/* Instead of the C library's. An eventfd counts as a timerfd does. */
int
timerfd_create(int clock, int flags)
{
	(void)clock;
	(void)flags;
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

int
timerfd_settime(int fd, int flags, const struct itimerspec *new,
		struct itimerspec *old)
{
	(void)flags;
	(void)old;
	programs_go_on();
	drain(fd);
	timer_due = (uint64_t) new->it_value.tv_sec *SECOND +
		    (uint64_t) new->it_value.tv_nsec;
	timer_interval = (uint64_t) new->it_interval.tv_sec *SECOND +
			 (uint64_t) new->it_interval.tv_nsec;
	rests += timer_due == 0;
	programs_go_on();
	return 0;
}

static void
pass_time(uint64_t time)
{
	now += time;
	while (timer_due != 0 && now >= timer_due) {
		raise_fd(waiter.timer);
		timer_due += timer_interval;
	}
}

/* --- the programs -------------------------------------------------------- */

static void
write_frame(int cpu)
{
	if (check_random(10) == 0 || frame_count == WAITING_MAX)
		drops++;
	else
		frames[frame_count++] = (struct frame){
			.time = programs[cpu].time,
			.cpu = cpu,
		};
}

static void
end_program(int cpu)
{
	for (size_t i = 0; i < frame_count; i++)
		if (frames[i].cpu == cpu && frames[i].done == 0)
			frames[i].done = now;
	programs[cpu].progress = IDLE;
}

static void
ring(void)
{
	words.rung += 16;
	raise_fd(doorbell);
	rings++;
}

/* One step of capture() in bpf/capture.bpf.c. */
static void
program_goes_on(int cpu)
{
	switch (programs[cpu].progress) {
	case IDLE:
		if (silence && check_random(5000) != 0)
			return;
		programs[cpu].time = now;
		programs[cpu].progress = STAMPED;
		break;
	case STAMPED:
		write_frame(cpu);
		programs[cpu].progress = WRITTEN;
		break;
	case WRITTEN:
		programs[cpu].progress = ASKED;
		if (words.waiting == 0)
			end_program(cpu);
		break;
	case ASKED:
		words.waiting = 0;
		programs[cpu].progress = CLEARED;
		break;
	case CLEARED:
		ring();
		end_program(cpu);
		break;
	}
}

static void
programs_go_on(void)
{
	while (check_random(3) != 0)
		program_goes_on((int)check_random(CPUS));
}

/* A program is never held up for long: nothing interrupts it. */
static void
finish_programs(void)
{
	for (int cpu = 0; cpu < CPUS; cpu++)
		while (programs[cpu].progress != IDLE)
			program_goes_on(cpu);
}

/* --- the consumer -------------------------------------------------------- */

static bool
readable(void)
{
	struct pollfd wait = { .fd = waiter.epoll, .events = POLLIN };

	return poll(&wait, 1, 0) == 1;
}

static bool
take_frames(uint64_t limit)
{
	size_t left = 0, before = frame_count;

	for (size_t i = 0; i < before; i++)
		if (frames[i].time > limit)
			frames[left++] = frames[i];
	frame_count = left;
	return left < before;
}

/* What ebpftls_read() does, programs being at work all the while. */
static void
read_once(void)
{
	uint64_t time = now;
	bool got, more;

	reads++;
	programs_go_on();
	got = take_frames(waiter.immediate ? UINT64_MAX : time - SLACK);
	programs_go_on();
	more = frame_count != 0;
	programs_go_on();
	ebpftls_wait_prepare(&waiter, time, got, more);
	programs_go_on();
	if (waiter.immediate && !more && frame_count != 0) {
		programs_go_on();
		ebpftls_wait_prepare(&waiter, time, false, true);
	}
	if (words.heard == words.rung)
		drain(doorbell);
	if (check_random(2) == 0)
		ebpftls_wait_poll(&waiter, 0);
}

/* --- in turns ------------------------------------------------------------ */

/* A program on its way to the doorbell rings for all. */
static bool
will_ring(void)
{
	for (int cpu = 0; cpu < CPUS; cpu++)
		if (programs[cpu].progress == CLEARED)
			return true;
	return false;
}

/* A frame that has waited for too long. */
static bool
one_is_late(void)
{
	uint64_t patience = PATIENCE * waiter.interval;

	for (size_t i = 0; i < frame_count; i++)
		if (frames[i].done != 0 &&
		    (waiter.immediate || now - frames[i].done > patience))
			return true;
	return false;
}

/* Time goes on by little while programs run, by a lot in a silence. */
static void
let_time_pass(void)
{
	if (check_random(silence ? 20 : 200) == 0) {
		finish_programs();
		pass_time(check_random((uint32_t)(2 * waiter.interval)));
	} else {
		pass_time(check_random(SLACK / 10));
	}
}

static void
step(void)
{
	if (check_random(400) == 0)
		silence = !silence;
	switch (check_random(8)) {
	case 0:
	case 1:
		let_time_pass();
		break;
	case 2:
		if (readable())
			read_once();
		break;
	case 3:
		if (check_random(100) == 0) {
			ebpftls_wait_kick(&waiter);
			kicks++;
		}
		break;
	default:
		programs_go_on();
		break;
	}
}

static void
start(bool immediate)
{
	memset(&words, 0, sizeof(words));
	memset(programs, 0, sizeof(programs));
	frame_count = 0;
	rings = rests = kicks = drops = reads = 0;
	silence = false;
	now = SECOND;
	check(ebpftls_wait_open(&waiter, 0, immediate) == 0);
	doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	check(ebpftls_wait_watch(&waiter, doorbell, 0) == 0);
	waiter.waiting = &words.waiting;
	waiter.bell_rung = &words.rung;
	waiter.bell_heard = &words.heard;
	ebpftls_wait_start(&waiter, now);
}

static void
take_turns(bool immediate)
{
	start(immediate);
	for (int i = 0; i < STEPS && !check_failed; i++) {
		step();
		check(readable() || will_ring() || !one_is_late());
	}
	/* all that can happen did */
	check(rings > 100 && rests > 100 && kicks > 100);
	check(drops > 100 && reads > 1000);
	ebpftls_wait_close(&waiter);
	close(doorbell);
}

static void
nothing_is_lost(void)
{
	take_turns(false);
}

static void
nothing_is_late(void)
{
	take_turns(true);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "no frame is lost", nothing_is_lost },
		{ "no frame waits with immediate delivery", nothing_is_late },
		{ NULL, NULL },
	};

	return check_main(cases);
}
