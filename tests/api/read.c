/*
 * read.c: getting packets: the read calls, their counts, how a loop is ended,
 * and that nothing is lost, doubled or out of order on the way.
 */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* --- completeness ------------------------------------------------------- */

static void
bulk(const char *device, enum path path, unsigned n, unsigned len)
{
	pcap_t *p = open_dev(device, .timeout = 10, .buffer = 16 << 20);
	unsigned i;

	for (i = 0; i < n; i++)
		send_len(path, i, len);
	expect(p, 0, n);
	pcap_close(p);
}

static void
all_once_in_order(void)
{
	bulk(dev(IF_A), IN4, 4000, 200);
	bulk(dev(IF_A), IN6, 1000, 1200);
	bulk(dev(IF_A), OUT4, 4000, 200);
	bulk(dev(IF_A), OUT6, 1000, 1200);
	bulk(dev("any"), IN4, 1000, 100);
	bulk(dev("any"), OUT4, 1000, 100);
}

static void
loopback_once(void)
{
	bulk(dev("lo"), LO4, 2000, 1000);
}

/* An interface that did not exist when "any" was opened; and its end. */
static void
any_new_interface(void)
{
	pcap_t *p = open_dev(dev("any"), .dlt = DLT_LINUX_SLL,
			     .filter = "inbound and udp");
	struct seen s = { 0 };

	spare_make();
	spare_up();
	/* Attaching to the new interface may take a moment. */
	while (s.count == 0) {
		send_seq(SPARE_IN, 1);
		collect(p, &s, 1, 50);
	}
	collect(p, &s, SEQ_MAX, 300);
	send_many(SPARE_IN, 2, 5);
	expect(p, 2, 5);
	sh("ip link del " IF_SPARE);
	send_many(IN4, 10, 5);
	expect(p, 10, 5);
	pcap_close(p);
}

/* --- the calls ---------------------------------------------------------- */

static void
next(void)
{
	pcap_t *p = open_dev(dev(IF_A), .filter = "udp");
	struct pcap_pkthdr h;
	const u_char *bytes = NULL;
	unsigned i;

	require(pcap_next(p, &h) == NULL, "a packet without traffic");
	send_many(IN4, 0, 3);
	for (i = 0; i < 3; i++) {
		wait_for((bytes = pcap_next(p, &h)) != NULL, 3000);
		require(bytes != NULL, "packet %u does not come", i);
		require(frame_seq(&h, bytes) == (int)i, "packet %d",
			frame_seq(&h, bytes));
	}
	require(pcap_next(p, &h) == NULL, "a packet too many");
	pcap_close(p);
}

static int
next_ex_within(pcap_t *p, struct pcap_pkthdr **h, const u_char **bytes)
{
	int n = 0;

	wait_for((n = pcap_next_ex(p, h, bytes)) != 0, 3000);
	return n;
}

/* The packet stays as it is until the next call, whatever arrives. */
static void
next_ex_pointer_stays(void)
{
	pcap_t *p = open_dev(dev(IF_A), .filter = "udp", .timeout = 10,
			     .buffer = 1 << 20);
	struct pcap_pkthdr *h = NULL, h_then;
	const u_char *bytes = NULL;
	u_char then[2000];
	unsigned i;

	require(pcap_next_ex(p, &h, &bytes) == 0, "a packet without traffic");
	send_len(IN4, 1, 900);
	require(next_ex_within(p, &h, &bytes) == 1, "%s", pcap_geterr(p));
	h_then = *h;
	memcpy(then, bytes, h->caplen);
	for (i = 2; i < 4000; i++)
		send_len(IN4, i, 1400);
	require(memcmp(h, &h_then, sizeof(h_then)) == 0, "header changed");
	require(memcmp(bytes, then, h->caplen) == 0, "bytes changed");
	require(next_ex_within(p, &h, &bytes) == 1 && frame_seq(h, bytes) == 2,
		"the next one is another");
	pcap_close(p);
}

static void
next_ex_blocks(void)
{
	pcap_t *p = open_dev(dev(IF_A), .filter = "udp", .blocking = 1);
	struct pcap_pkthdr *h;
	const u_char *bytes;
	int i, n;

	send_many(IN4, 0, 3);
	for (i = 0; i < 3; i++) {
		n = pcap_next_ex(p, &h, &bytes);
		require(n == 1 && frame_seq(h, bytes) == i,
			"pcap_next_ex: %d, %s", n, pcap_geterr(p));
	}
	pcap_close(p);
}

static void
dispatch_count(void)
{
	pcap_t *p = open_dev(dev(IF_A), .filter = "udp");
	struct seen s = { 0 };
	unsigned before;
	int n, first;

	send_many(IN4, 0, 10);
	wait_readable(p, 3000);
	for (first = 1; s.count < 7; first = 0) {
		before = s.count;
		n = pcap_dispatch(p, 3, see, (u_char *)&s);
		require(n <= 3 && n == (int)(s.count - before),
			"dispatch(3) is %d, callbacks %u", n, s.count - before);
		require(!first || n > 0, "readable, and nothing to read");
		if (n == 0)
			wait_readable(p, 3000);
	}
	collect(p, &s, 10, 3000);
	require(s.count == 10 && s.disorder == 0, "%u of 10 seen", s.count);
	send_many(IN4, 10, 10);
	wait_readable(p, 3000);
	n = pcap_dispatch(p, 0, see, (u_char *)&s);
	require(n > 0 && n <= 10, "dispatch(0) is %d", n);
	pcap_close(p);
}

static void
loop_count(void)
{
	pcap_t *p = open_dev(dev(IF_A), .filter = "udp", .blocking = 1);
	struct seen s = { 0 };
	unsigned i;

	send_many(IN4, 0, 20);
	for (i = 5; i <= 20; i += 5) {
		require(pcap_loop(p, 5, see, (u_char *)&s) == 0,
			"pcap_loop: "
			"%s",
			pcap_geterr(p));
		require(s.count == i && s.last == i - 1 && s.disorder == 0,
			"loop(5): %u in all, the last is %u", s.count, s.last);
	}
	pcap_close(p);
}

/* --- breakloop ---------------------------------------------------------- */

static pcap_t *to_break;

static void
break_handler(int sig)
{
	(void)sig;
	pcap_breakloop(to_break);
}

static void
break_by_alarm(int flags)
{
	struct sigaction sa = { .sa_handler = break_handler,
				.sa_flags = flags };
	struct itimerval soon = { { 0, 0 }, { 0, 300000 } };
	struct seen s = { 0 };
	long start;
	int n;

	to_break = open_dev(dev(IF_A), .filter = "udp", .blocking = 1);
	sigaction(SIGALRM, &sa, NULL);
	start = now_ms();
	setitimer(ITIMER_REAL, &soon, NULL);
	n = pcap_loop(to_break, -1, see, (u_char *)&s);
	require(n == PCAP_ERROR_BREAK, "pcap_loop: %d", n);
	require(now_ms() - start < 800, "it took %ld ms", now_ms() - start);
	/* The handle goes on. */
	send_many(IN4, 0, 3);
	n = pcap_loop(to_break, 3, see, (u_char *)&s);
	require(n == 0 && s.count == 3, "afterwards: %d, %u seen", n, s.count);
	pcap_close(to_break);
}

static void
break_from_signal(void)
{
	break_by_alarm(0);
	break_by_alarm(SA_RESTART);
}

static void
break_from_thread(void)
{
	static const struct {
		int timeout, immediate;
	} hows[] = {
		{ 1000, 0 }, { 10, 0 }, { UNSET, 0 }, { 1000, 1 }, { UNSET, 1 },
	};
	struct loop l;
	unsigned i;
	long start;
	pcap_t *p;

	for (i = 0; i < sizeof(hows) / sizeof(*hows); i++) {
		p = open_dev(dev(IF_A), .filter = "udp", .blocking = 1,
			     .timeout = hows[i].timeout,
			     .immediate = hows[i].immediate);
		loop_start(&l, p, -1);
		wait_blocked(l.tid);
		start = now_ms();
		pcap_breakloop(p);
		require(loop_join(&l) == PCAP_ERROR_BREAK, "pcap_loop: %d",
			l.result);
		require(now_ms() - start < 500, "it took %ld ms",
			now_ms() - start);
		pcap_close(p);
	}
}

struct breaker {
	struct seen seen;
	unsigned at;
};

static void
see_and_break(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct breaker *b = (struct breaker *)user;

	see((u_char *)&b->seen, h, bytes);
	if (b->seen.count == b->at)
		pcap_breakloop(to_break);
}

static void
break_from_callback(void)
{
	struct breaker b = { .at = 3 };
	int n;

	to_break = open_dev(dev(IF_A), .filter = "udp", .blocking = 1);
	send_many(IN4, 0, 10);
	n = pcap_loop(to_break, -1, see_and_break, (u_char *)&b);
	require(n == PCAP_ERROR_BREAK && b.seen.count == 3,
		"pcap_loop: %d after %u packets", n, b.seen.count);
	n = pcap_loop(to_break, 7, see_and_break, (u_char *)&b);
	require(n == 0 && b.seen.count == 10 && b.seen.last == 9 &&
		    b.seen.disorder == 0,
		"the rest: %d, %u seen, the last %u", n, b.seen.count,
		b.seen.last);
	pcap_close(to_break);
}

static void
break_before_loop(void)
{
	pcap_t *p = open_dev(dev(IF_A), .filter = "udp", .blocking = 1);
	struct seen s = { 0 };
	int n;

	pcap_breakloop(p);
	n = pcap_loop(p, -1, see, (u_char *)&s);
	require(n == PCAP_ERROR_BREAK, "without packets: %d", n);
	send_many(IN4, 0, 5);
	wait_readable(p, 3000);
	pcap_breakloop(p);
	n = pcap_dispatch(p, -1, see, (u_char *)&s);
	require(n == PCAP_ERROR_BREAK && s.count == 0,
		"with packets: %d, %u seen", n, s.count);
	n = pcap_loop(p, 5, see, (u_char *)&s);
	require(n == 0 && s.count == 5 && s.disorder == 0,
		"afterwards: %d, %u seen", n, s.count);
	pcap_close(p);
}

static void
break_next_ex(void)
{
	pcap_t *p = open_dev(dev(IF_A), .filter = "udp", .blocking = 1);
	struct pcap_pkthdr *h;
	const u_char *bytes;
	int n;

	pcap_breakloop(p);
	n = pcap_next_ex(p, &h, &bytes);
	require(n == PCAP_ERROR_BREAK, "pcap_next_ex: %d", n);
	send_seq(IN4, 1);
	n = pcap_next_ex(p, &h, &bytes);
	require(n == 1 && frame_seq(h, bytes) == 1, "afterwards: %d", n);
	pcap_close(p);
}

/* --- not blocking ------------------------------------------------------- */

/* Filters keep stray packets out, so that there is nothing to read here. */
static void
returns_at_once(pcap_t *p)
{
	struct seen s = { 0 };
	long start = now_ms();
	int i, n;

	for (i = 0; i < 20; i++) {
		n = pcap_dispatch(p, -1, see, (u_char *)&s);
		require(n == 0, "pcap_dispatch: %d, %s", n, pcap_geterr(p));
	}
	require(now_ms() - start < 200, "20 reads took %ld ms",
		now_ms() - start);
}

static void
nonblock_before_activate(void)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *p = create_dev(dev(IF_A));

	require(pcap_setnonblock(p, 1, errbuf) == 0, "set: %s", errbuf);
	pcap_set_timeout(p, 1000);
	pcap_set_snaplen(p, 2000);
	require(pcap_activate(p) == 0, "activate: %s", pcap_geterr(p));
	require(pcap_getnonblock(p, errbuf) == 1, "getnonblock is %d",
		pcap_getnonblock(p, errbuf));
	set_filter(p, "udp");
	returns_at_once(p);
	send_many(IN4, 1, 3);
	expect(p, 1, 3);
	pcap_close(p);
}

static void
nonblock_after_activate(void)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *p = open_dev(dev(IF_A), .timeout = 1000, .blocking = 1,
			     .filter = "udp");
	struct loop l;

	require(pcap_getnonblock(p, errbuf) == 0, "not blocking by itself");
	require(pcap_setnonblock(p, 1, errbuf) == 0, "set: %s", errbuf);
	require(pcap_getnonblock(p, errbuf) == 1, "set, and not there");
	returns_at_once(p);
	send_many(IN4, 1, 3);
	expect(p, 1, 3);
	require(pcap_setnonblock(p, 0, errbuf) == 0, "unset: %s", errbuf);
	require(pcap_getnonblock(p, errbuf) == 0, "unset, and still there");
	loop_start(&l, p, 3);
	wait_blocked(l.tid);
	send_many(IN4, 4, 3);
	require(loop_join(&l) == 0 && l.seen.count == 3 && l.seen.last == 6,
		"blocking again: %d, %u seen", l.result, l.seen.count);
	/* breakloop still works after the change. */
	loop_start(&l, p, -1);
	wait_blocked(l.tid);
	pcap_breakloop(p);
	require(loop_join(&l) == PCAP_ERROR_BREAK, "break: %d", l.result);
	pcap_close(p);
}

/* --- several handles ---------------------------------------------------- */

struct lane {
	const char *ifname;
	enum path path;
};

static void
two_threads(const struct lane *one, const struct lane *two)
{
	const struct lane *lanes[] = { one, two };
	struct loop l[2];
	unsigned i, n = 1000;

	for (i = 0; i < 2; i++)
		loop_start(&l[i],
			   open_dev(dev(lanes[i]->ifname), .blocking = 1,
				    .filter = "udp", .timeout = 10),
			   (int)n);
	for (i = 0; i < n; i++) {
		send_seq(one->path, i);
		if (two->path != one->path)
			send_seq(two->path, i);
	}
	for (i = 0; i < 2; i++) {
		require(loop_join(&l[i]) == 0, "handle %u: %d, %s", i,
			l[i].result, pcap_geterr(l[i].p));
		require(l[i].seen.count == n && l[i].seen.last == n - 1 &&
			    l[i].seen.disorder == 0,
			"handle %u: %u seen, last %u", i, l[i].seen.count,
			l[i].seen.last);
		pcap_close(l[i].p);
	}
}

static void
threads_same_interface(void)
{
	const struct lane lane = { IF_A, IN4 };

	two_threads(&lane, &lane);
}

static void
threads_two_interfaces(void)
{
	two_threads(&(struct lane){ IF_A, IN4 }, &(struct lane){ "lo", LO4 });
}

static void *
open_and_close(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < 10; i++)
		pcap_close(open_dev(dev(IF_A)));
	return NULL;
}

/* Opening and closing in one thread leaves a capture in another alone. */
static void
threads_open_while_reading(void)
{
	struct loop l;
	pthread_t t;
	unsigned n = 500;

	loop_start(&l, open_dev(dev(IF_A), .blocking = 1, .filter = "udp"),
		   (int)n);
	path_open(IN4);
	thread_start(&t, open_and_close, NULL);
	send_many(IN4, 0, n);
	thread_join(t, "opener");
	require(loop_join(&l) == 0 && l.seen.count == n && l.seen.disorder == 0,
		"%d, %u seen", l.result, l.seen.count);
	pcap_close(l.p);
}

static const struct api_case cases[] = {
	{ "all-once-in-order", all_once_in_order, BOTH },
	{ "loopback-once", loopback_once, BOTH },
	{ "any-new-interface", any_new_interface, BOTH },
	{ "next", next, BOTH },
	{ "next-ex-pointer-stays", next_ex_pointer_stays, BOTH },
	{ "next-ex-blocks", next_ex_blocks, BOTH },
	{ "dispatch-count", dispatch_count, BOTH },
	{ "loop-count", loop_count, BOTH },
	{ "break-from-signal", break_from_signal, BOTH },
	{ "break-from-thread", break_from_thread, BOTH },
	{ "break-from-callback", break_from_callback, BOTH },
	{ "break-before-loop", break_before_loop, BOTH },
	{ "break-next-ex", break_next_ex, BOTH },
	{ "nonblock-before-activate", nonblock_before_activate, BOTH },
	{ "nonblock-after-activate", nonblock_after_activate, BOTH },
	{ "threads-same-interface", threads_same_interface, BOTH },
	{ "threads-two-interfaces", threads_two_interfaces, BOTH },
	{ "threads-open-while-reading", threads_open_while_reading, BOTH },
	{ NULL, NULL, 0 },
};

int
main(int argc, char **argv)
{
	return api_main(argc, argv, cases);
}
