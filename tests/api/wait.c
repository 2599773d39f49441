/*
 * wait.c: waiting for packets outside of libpcap: the descriptor that select,
 * poll and epoll programs watch, and what a capture costs that has nothing to
 * do.
 */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

/* Each of these is not zero when the descriptor is readable within ms. */
typedef int (*waiter)(int fd, int ms);

static int
by_select(int fd, int ms)
{
	struct timeval t = { ms / 1000, ms % 1000 * 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &t) == 1 && FD_ISSET(fd, &set);
}

static int
by_poll(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1 && (p.revents & POLLIN) != 0;
}

static int
by_epoll(int fd, int ms)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC), n;

	require(ep != -1 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0,
		"epoll_ctl: %s", strerror(errno));
	n = epoll_wait(ep, &ev, 1, ms);
	close(ep);
	return n == 1 && (ev.events & EPOLLIN) != 0;
}

/* The ways to buffer; a block that is not full waits for its timeout. */
static const struct mode {
	int timeout, immediate;
} modes[] = {
	{ 1000, 0 }, { 10, 0 }, { UNSET, 0 }, { 1000, 1 }, { UNSET, 1 },
};
#define MODES (sizeof(modes) / sizeof(*modes))

/* No timeout and not immediate: a block is delivered when it is full. */
static int
waits_for_full_block(const struct mode *m)
{
	return m->timeout == UNSET && !m->immediate;
}

static pcap_t *
open_mode(const struct mode *m)
{
	return open_dev(dev(IF_A), .timeout = m->timeout,
			.immediate = m->immediate, .snaplen = 2000,
			.filter = "udp");
}

static pcap_t *
open_mode_blocking(const struct mode *m)
{
	return open_dev(dev(IF_A), .timeout = m->timeout,
			.immediate = m->immediate, .snaplen = 2000,
			.blocking = 1, .filter = "udp");
}

static void
traffic_for(const struct mode *m)
{
	unsigned i;

	if (!waits_for_full_block(m)) {
		send_seq(IN4, 0);
		return;
	}
	for (i = 0; i < 3000; i++)
		send_len(IN4, i, 1400);
}

struct later {
	const struct mode *mode;
	pid_t waiting;
};

static void *
send_later(void *arg)
{
	struct later *l = arg;

	wait_blocked(l->waiting);
	traffic_for(l->mode);
	return NULL;
}

/* The program has never read when it waits, and it may wait already. */
static void
becomes_readable(waiter w, int (*fd_of)(pcap_t *))
{
	struct later later = { .waiting = gettid() };
	struct seen s;
	pthread_t t;
	unsigned i;
	pcap_t *p;

	path_open(IN4);
	for (i = 0; i < 2 * MODES; i++) {
		memset(&s, 0, sizeof(s));
		later.mode = &modes[i / 2];
		p = open_mode(later.mode);
		if (i % 2 == 0)
			traffic_for(later.mode);
		else
			thread_start(&t, send_later, &later);
		require(w(fd_of(p), 4000),
			"timeout %d, immediate %d, %s: not readable",
			later.mode->timeout, later.mode->immediate,
			i % 2 ? "waiting already" : "sent before");
		require(collect(p, &s, 1, 3000) >= 1 && s.times[0] == 1,
			"readable, and the packet is not there");
		if (i % 2 != 0)
			thread_join(t, "sender");
		pcap_close(p);
	}
}

static void
select_readable(void)
{
	becomes_readable(by_select, pcap_get_selectable_fd);
}

static void
poll_readable(void)
{
	becomes_readable(by_poll, pcap_get_selectable_fd);
}

static void
epoll_readable(void)
{
	becomes_readable(by_epoll, pcap_get_selectable_fd);
}

static void
fileno_readable(void)
{
	becomes_readable(by_select, pcap_fileno);
	becomes_readable(by_poll, pcap_fileno);
}

static void
stays_readable(waiter w, int (*fd_of)(pcap_t *), const struct mode *m)
{
	pcap_t *p = open_mode(m);
	struct seen s = { 0 };
	int n;

	send_many(IN4, 0, 5);
	while (s.count < 5) {
		require(w(fd_of(p), m->immediate ? 500 : m->timeout + 1000),
			"timeout %d, immediate %d: not readable with %u unread",
			m->timeout, m->immediate, 5 - s.count);
		n = pcap_dispatch(p, 1, see, (u_char *)&s);
		require(n >= 0 && n <= 1, "dispatch(1): %d", n);
	}
	require(s.last == 4 && s.disorder == 0, "not in order");
	pcap_close(p);
}

static void
readable_while_unread(void)
{
	unsigned i;

	for (i = 0; i < MODES; i++) {
		if (waits_for_full_block(&modes[i]))
			continue;
		stays_readable(by_select, pcap_get_selectable_fd, &modes[i]);
		stays_readable(by_poll, pcap_fileno, &modes[i]);
		stays_readable(by_epoll, pcap_get_selectable_fd, &modes[i]);
	}
}

/* How often it is readable in half a second although all is read. */
static unsigned
idle_wakeups(pcap_t *p, waiter w, int (*fd_of)(pcap_t *), struct seen *s)
{
	long end = now_ms() + 500;
	unsigned n = 0;

	while (now_ms() < end)
		if (w(fd_of(p), (int)(end - now_ms()))) {
			n++;
			require(pcap_dispatch(p, -1, see, (u_char *)s) >= 0,
				"dispatch: %s", pcap_geterr(p));
		}
	return n;
}

static void
quiet_when_drained(void)
{
	static const waiter ways[] = { by_select, by_poll, by_epoll };
	unsigned long before;
	struct seen s;
	unsigned i, n;
	pcap_t *p;

	wait_quiet(IF_A);
	for (i = 0; i < 3 * MODES; i++) {
		if (waits_for_full_block(&modes[i / 3]))
			continue;
		memset(&s, 0, sizeof(s));
		p = open_mode(&modes[i / 3]);
		send_many(IN4, 0, 20);
		collect(p, &s, 20, 3000);
		require(s.count == 20, "%u of 20 seen", s.count);
		before = traffic(IF_A);
		n = idle_wakeups(p, ways[i % 3],
				 i % 2 ? pcap_fileno : pcap_get_selectable_fd,
				 &s);
		require(n <= 5 + traffic(IF_A) - before,
			"timeout %d, immediate %d: %u times readable with "
			"nothing to read",
			modes[i / 3].timeout, modes[i / 3].immediate, n);
		pcap_close(p);
	}
}

/* An epoll instance that lives on, as event loops have it. */
static void
looked_at_by_one_epoll(pcap_t *p)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC), i;

	require(ep != -1 && epoll_ctl(ep, EPOLL_CTL_ADD,
				      pcap_get_selectable_fd(p), &ev) == 0,
		"epoll_ctl: %s", strerror(errno));
	for (i = 0; i < 3; i++)
		require(epoll_wait(ep, &ev, 1, 3000) == 1,
			"epoll_wait number %d finds nothing", i + 1);
	close(ep);
}

/* Readiness is not used up by asking for it. */
static void
looking_takes_nothing(void)
{
	int (*const fds[])(pcap_t *) = { pcap_get_selectable_fd, pcap_fileno };
	struct seen s;
	unsigned i, j;
	pcap_t *p;

	for (i = 0; i < MODES; i++) {
		memset(&s, 0, sizeof(s));
		p = open_mode(&modes[i]);
		traffic_for(&modes[i]);
		for (j = 0; j < 8; j++) {
			require(by_poll(fds[j % 2](p), 3000), "poll %u", j);
			require(by_select(fds[j % 2](p), 3000), "select %u", j);
			require(by_epoll(fds[j % 2](p), 3000), "epoll %u", j);
		}
		looked_at_by_one_epoll(p);
		require(collect(p, &s, 1, 3000) >= 1 && s.times[0] == 1,
			"looked at often, and the packet is gone");
		pcap_close(p);
	}
}

/*
 * A program that only reads when select() says so, a few packets at a time,
 * while more arrive: nothing may be left behind.
 */
static void
select_loop_gets_all(const struct mode *m)
{
	const unsigned n = 800;
	unsigned sent = 0;
	struct seen s = { 0 };
	pcap_t *p = open_mode(m);

	while (s.count < n) {
		if (sent < n) {
			send_many(IN4, sent, 20);
			sent += 20;
		}
		if (by_select(pcap_get_selectable_fd(p), sent < n ? 0 : 3000))
			pcap_dispatch(p, 7, see, (u_char *)&s);
		else
			require(sent < n,
				"timeout %d, immediate %d: not "
				"readable with %u of %u delivered",
				m->timeout, m->immediate, s.count, n);
	}
	require(s.count == n && s.disorder == 0, "%u seen", s.count);
	pcap_close(p);
}

static void
select_loop(void)
{
	unsigned i;

	for (i = 0; i < MODES; i++)
		if (!waits_for_full_block(&modes[i]))
			select_loop_gets_all(&modes[i]);
}

/* A capture that blocks without traffic sleeps. */
static void
idle_sleeps(void)
{
	unsigned long before, after, stray;
	struct loop l;
	unsigned i;
	char state;
	pcap_t *p;

	for (i = 0; i < MODES; i++) {
		p = open_dev(dev(IF_A), .timeout = modes[i].timeout,
			     .immediate = modes[i].immediate, .blocking = 1,
			     .filter = "udp");
		loop_start(&l, p, -1);
		wait_blocked(l.tid);
		stray = traffic(IF_A);
		task_status(l.tid, &state, &before);
		pause_ms(1500);
		task_status(l.tid, &state, &after);
		stray = traffic(IF_A) - stray;
		require(after - before <= 3 + stray,
			"timeout %d, immediate "
			"%d: %lu wakeups in 1.5 s, %lu packets",
			modes[i].timeout, modes[i].immediate, after - before,
			stray);
		pcap_breakloop(p);
		loop_join(&l);
		pcap_close(p);
	}
}

/* The reader goes round its loop this often, although nothing comes. */
struct rounds {
	pcap_t *p;
	unsigned count;
	int end;
};

static void *
select_and_read(void *arg)
{
	struct rounds *r = arg;
	struct seen s = { 0 };

	while (!__atomic_load_n(&r->end, __ATOMIC_RELAXED)) {
		if (by_select(pcap_get_selectable_fd(r->p), 50))
			pcap_dispatch(r->p, 1, see, (u_char *)&s);
		__atomic_add_fetch(&r->count, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static unsigned
rounds_of(struct rounds *r)
{
	return __atomic_load_n(&r->count, __ATOMIC_RELAXED);
}

static void
goes_round(const struct mode *m, pcap_direction_t direction, unsigned packets)
{
	struct rounds r = { .count = 0 };
	unsigned before, i;
	pthread_t t;

	r.p = open_mode_blocking(m);
	require(pcap_setdirection(r.p, direction) == 0, "setdirection: %s",
		pcap_geterr(r.p));
	thread_start(&t, select_and_read, &r);
	for (i = 0; i < packets; i++)
		send_len(IN4, i, 1400);
	/* the timeout of the longest passes twice */
	pause_ms(2500);
	before = rounds_of(&r);
	wait_for(rounds_of(&r) > before + 2, 3000);
	require(rounds_of(&r) > before + 2,
		"timeout %d, immediate %d, %u packets: blocked after select()",
		m->timeout, m->immediate, packets);
	r.end = 1;
	thread_join(t, "reader");
	pcap_close(r.p);
}

/*
 * What made select() return may be something else than a packet, or packets of
 * which none is wanted: so many that they fill a block before its timeout.
 */
static void
select_then_read(void)
{
	unsigned i;

	path_open(IN4);
	for (i = 0; i < MODES; i++) {
		if (waits_for_full_block(&modes[i]))
			continue;
		goes_round(&modes[i], PCAP_D_INOUT, 5);
		goes_round(&modes[i], PCAP_D_OUT, 5000);
	}
}

/* It was to end a read, and has. */
static void
breakloop_is_over(void)
{
	struct seen s = { 0 };
	unsigned long before;
	unsigned i, n;
	pcap_t *p;

	for (i = 0; i < MODES; i++) {
		p = open_dev(dev(IF_A), .timeout = modes[i].timeout,
			     .immediate = modes[i].immediate, .blocking = 1,
			     .filter = "udp port 9");
		require(pcap_get_selectable_fd(p) >= 0, "no descriptor");
		pcap_breakloop(p);
		require(pcap_dispatch(p, -1, see, (u_char *)&s) ==
			    PCAP_ERROR_BREAK,
			"the loop was not broken");
		before = traffic(IF_A);
		n = idle_wakeups(p, by_select, pcap_get_selectable_fd, &s);
		require(n <= 5 + traffic(IF_A) - before,
			"timeout %d, immediate %d: %u times readable after "
			"pcap_breakloop()",
			modes[i].timeout, modes[i].immediate, n);
		pcap_close(p);
	}
}

static const struct api_case cases[] = {
	{ "select-readable", select_readable, BOTH },
	{ "poll-readable", poll_readable, BOTH },
	{ "epoll-readable", epoll_readable, BOTH },
	{ "fileno-readable", fileno_readable, BOTH },
	{ "readable-while-unread", readable_while_unread, BOTH },
	{ "quiet-when-drained", quiet_when_drained, BOTH },
	{ "looking-takes-nothing", looking_takes_nothing, BOTH },
	{ "select-loop", select_loop, BOTH },
	{ "select-then-read", select_then_read, BOTH },
	{ "breakloop-is-over", breakloop_is_over, BOTH },
	{ "idle-sleeps", idle_sleeps, BOTH },
	{ NULL, NULL, 0 },
};

int
main(int argc, char **argv)
{
	return api_main(argc, argv, cases);
}
