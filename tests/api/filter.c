/*
 * filter.c: which packets a handle delivers (filter, direction), how it
 * counts them, and what it sends itself.
 */
#include "api.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* --- filters ------------------------------------------------------------ */

/*
 * The plain device runs a new filter in userland for the blocks that may be
 * in its ring already, and there refuses every packet when the filter asks
 * for Linux metadata: go past these blocks first. An ebpftls device has no
 * excuse.
 */
static void
warm_up(pcap_t *p, enum path path)
{
	struct seen s = { 0 };
	long end = now_ms() + 5000;

	if (ours)
		return;
	while (s.count == 0) {
		require(now_ms() < end, "no packet passes the filter");
		send_seq(path, 0);
		collect(p, &s, 1, 150);
	}
}

/*
 * Send datagram 1 the one way and 2 the other, then 3 the one way again:
 * the filter accepts the one and refuses the other.
 */
static void
tells_apart(pcap_t *p, const char *what, enum path accept, enum path refuse)
{
	struct seen s = { 0 };

	send_seq(accept, 1);
	send_seq(refuse, 2);
	send_seq(accept, 3);
	collect(p, &s, 2, 3000);
	require(s.times[1] == 1 && s.times[2] == 0 && s.times[3] == 1 &&
		    s.count == 2,
		"%s: wanted %u, refused %u, wanted %u", what, s.times[1],
		s.times[2], s.times[3]);
	pcap_close(p);
}

static void
try_metadata(const char *ifname, int dlt, const char *filter, enum path accept,
	     enum path refuse)
{
	pcap_t *p = open_dev(dev(ifname), .dlt = dlt, .filter = filter);

	warm_up(p, accept);
	tells_apart(p, filter, accept, refuse);
}

static void
filter_ordinary(void)
{
	static const struct {
		const char *text;
		enum path yes, no;
	} tries[] = {
		{ "udp dst port 4711", IN4, IN4_ALT },
		{ "not udp port 4711", IN4_ALT, IN4 },
		{ "ip6", IN6, IN4 },
		{ "ip and not ip6", IN4, IN6 },
		{ "udp and dst host 10.91.0.2", OUT4, IN4 },
		{ "ether src 02:00:00:00:91:01", OUT4, IN4 },
		{ "ip6 and ip6[40:4] & 0xffff = 4711", IN6, OUT6 },
		{ "less 4000 and udp[8:4] = 0x65627074 and dst port 4711", IN4,
		  IN4_ALT },
	};
	unsigned i;

	for (i = 0; i < sizeof(tries) / sizeof(*tries); i++)
		tells_apart(open_dev(dev(IF_A), .filter = tries[i].text),
			    tries[i].text, tries[i].yes, tries[i].no);
}

static void
filter_inbound(void)
{
	static const int dlts[] = { DLT_LINUX_SLL, DLT_LINUX_SLL2 };
	unsigned i;

	try_metadata(IF_A, 0, "inbound", IN4, OUT4);
	try_metadata(IF_A, 0, "outbound", OUT4, IN4);
	try_metadata(IF_A, 0, "udp and outbound", OUT6, IN6);
	for (i = 0; i < 2; i++) {
		try_metadata("any", dlts[i], "inbound and udp", IN4, OUT4);
		try_metadata("any", dlts[i], "outbound and udp", OUT4, IN4);
	}
}

static void
filter_ifindex(void)
{
	static const int dlts[] = { DLT_LINUX_SLL, DLT_LINUX_SLL2 };
	char text[64];
	unsigned i;

	for (i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "ifindex %u and udp",
			 if_nametoindex(IF_A));
		try_metadata("any", dlts[i], text, IN4, LO4);
		snprintf(text, sizeof(text), "not ifindex %u and udp",
			 if_nametoindex(IF_A));
		try_metadata("any", dlts[i], text, LO4, IN4);
	}
}

/* Datagram seq in a frame with a VLAN tag (0: none), from the far end. */
static void
send_tagged(int fd, unsigned vid, unsigned seq)
{
	u_char buf[PACKET_MAX];
	unsigned len = make_frame(buf, vid, 4719, seq);

	require(send(fd, buf, len, 0) == (ssize_t)len, "send: %s",
		strerror(errno));
}

static void
sees_tagged(int fd, const char *filter, const char *want)
{
	static const unsigned vids[] = { 7, 9, 0 };
	pcap_t *p = open_dev(dev(IF_A), .filter = filter);
	char got[] = "---";
	struct seen s = { 0 };
	unsigned i, n = 0;

	for (i = 0; i < 3; i++) {
		send_tagged(fd, vids[i], i);
		n += want[i] != '-';
	}
	collect(p, &s, n, 3000);
	collect(p, &s, n + 1, 300);
	for (i = 0; i < 3; i++)
		if (s.times[i] != 0)
			got[i] = "79u"[i];
	require(strcmp(got, want) == 0 && s.count == n,
		"\"%s\" lets %s through instead of %s", filter, got, want);
	pcap_close(p);
}

/*
 * 7, 9: the frames with that VLAN; u: the untagged one. The tag is metadata
 * when a filter runs, so that "udp" finds the datagram in tagged frames too,
 * and after "vlan" offsets do not move.
 */
static void
filter_vlan(void)
{
	int fd = far_socket();

	sees_tagged(fd, "vlan", "79-");
	sees_tagged(fd, "vlan 7", "7--");
	sees_tagged(fd, "vlan 9", "-9-");
	sees_tagged(fd, "vlan 8", "---");
	sees_tagged(fd, "not vlan", "--u");
	sees_tagged(fd, "vlan and udp dst port 4719", "79-");
	sees_tagged(fd, "udp dst port 4719", "79u");
	sees_tagged(fd, "udp dst port 4719 and not vlan 7", "-9u");
}

static void
vlan_tag_is_restored(void)
{
	pcap_t *p = open_dev(dev(IF_A), .filter = "vlan 7");
	u_char sent[PACKET_MAX];
	unsigned len = make_frame(sent, 7, 4719, 3);
	struct seen s = { 0 };

	send_tagged(far_socket(), 7, 3);
	require(collect(p, &s, 1, 3000) == 1, "not seen");
	require(s.hdr.len == len && s.hdr.caplen == len,
		"sent %u, captured %u of %u", len, s.hdr.caplen, s.hdr.len);
	require(memcmp(sent, s.bytes, len) == 0, "not the same bytes");
	pcap_close(p);
}

/* A filter of more instructions than the kernel takes works all the same. */
static void
filter_long(void)
{
	pcap_t *p = open_dev(dev(IF_A));
	char *text = malloc(100000), *at = text;
	struct bpf_program code;
	int port;

	require(text != NULL, "no memory");
	for (port = 10000; port < 11000; port++)
		at += sprintf(at, "udp dst port %d or ", port);
	strcpy(at, "udp dst port 4711");
	require(pcap_compile(p, &code, text, 0, PCAP_NETMASK_UNKNOWN) == 0,
		"pcap_compile: %s", pcap_geterr(p));
	require(code.bf_len > 4096, "only %u instructions", code.bf_len);
	require(pcap_setfilter(p, &code) == 0, "pcap_setfilter: %s",
		pcap_geterr(p));
	tells_apart(p, "long filter", IN4, IN4_ALT);
	pcap_freecode(&code);
	free(text);
}

/* Fill the queue with even numbers one way, odd ones the other. */
static void
queue_both(unsigned first, unsigned n)
{
	unsigned i;

	for (i = first; i < first + n; i++)
		send_seq(i % 2 == 0 ? IN4 : IN4_ALT, i);
}

/* Read until that datagram has come. */
static void
collect_to(pcap_t *p, struct seen *s, unsigned seq)
{
	long end = now_ms() + 5000;

	while (s->times[seq] == 0) {
		require(now_ms() < end, "datagram %u does not come", seq);
		collect(p, s, s->count + 1, 1000);
	}
}

/* Of these n, each of one parity is there once, and none of the other. */
static void
require_half(const struct seen *s, unsigned first, unsigned n, unsigned parity)
{
	unsigned i;

	for (i = first; i < first + n; i++)
		require(s->times[i] == (i % 2 == parity),
			"datagram %u is delivered %u times", i, s->times[i]);
}

/* From no filter to one, while packets wait. */
static void
filter_set_while_queued(void)
{
	static const int immediate[] = { 0, 1 };
	struct seen s;
	unsigned i;
	pcap_t *p;

	for (i = 0; i < 2; i++) {
		memset(&s, 0, sizeof(s));
		p = open_dev(dev(IF_A), .immediate = immediate[i],
			     .snaplen = 2000);
		queue_both(0, 40);
		set_filter(p, "udp dst port 4711");
		queue_both(40, 40);
		collect_to(p, &s, 78);
		require_half(&s, 0, 80, 0);
		pcap_close(p);
	}
}

/*
 * From one filter to another, again and again, while packets wait. What the
 * old filter refused may come when the new one accepts it: the plain device
 * has lost it by then, one that filters when it reads has not.
 */
static void
filter_changed_while_queued(void)
{
	static const char *const filters[] = { "udp dst port 4711",
					       "udp dst port 4712" };
	pcap_t *p = open_dev(dev(IF_A), .filter = filters[1]);
	struct seen s = { 0 };
	unsigned turn, first, i;

	for (turn = 0; turn < 6; turn++) {
		first = turn * 40;
		queue_both(first, 20);
		set_filter(p, filters[turn % 2]);
		queue_both(first + 20, 20);
		collect_to(p, &s, first + 38 + turn % 2);
		require_half(&s, first + 20, 20, turn % 2);
		for (i = first; i < first + 20; i++)
			require(s.times[i] <= (i % 2 == turn % 2),
				"datagram %u, from before the change, is "
				"delivered %u times",
				i, s.times[i]);
	}
	pcap_close(p);
}

/* --- direction ---------------------------------------------------------- */

static void
one_direction(pcap_direction_t d, int in, int out)
{
	pcap_t *p = open_dev(dev(IF_A), .filter = "udp");
	struct seen s = { 0 };
	unsigned i, n = 0;

	require(pcap_setdirection(p, d) == 0, "%s", pcap_geterr(p));
	for (i = 0; i < 20; i += 4) {
		send_seq(IN4, i);
		send_seq(OUT4, i + 1);
		send_seq(IN6, i + 2);
		send_seq(OUT6, i + 3);
	}
	n = 10 * (unsigned)(in + out);
	collect(p, &s, n, 3000);
	collect(p, &s, n + 1, 300);
	for (i = 0; i < 20; i++)
		require(s.times[i] == (i % 2 == 0 ? in : out),
			"direction %d: datagram %u seen %u times", d, i,
			s.times[i]);
	pcap_close(p);
}

static void
direction(void)
{
	pcap_t *p;

	one_direction(PCAP_D_INOUT, 1, 1);
	one_direction(PCAP_D_IN, 1, 0);
	one_direction(PCAP_D_OUT, 0, 1);
	p = open_dev(dev(IF_A));
	require(pcap_setdirection(p, (pcap_direction_t)7) == -1 &&
		    strcmp(pcap_geterr(p), "Invalid direction") == 0,
		"7: %s", pcap_geterr(p));
	pcap_close(p);
}

/* A packet on lo is one that comes in, and only that. */
static void
direction_loopback(void)
{
	static const struct {
		pcap_direction_t d;
		unsigned n;
	} tries[] = {
		{ PCAP_D_INOUT, 5 },
		{ PCAP_D_IN, 5 },
		{ PCAP_D_OUT, 0 },
	};
	struct seen s;
	unsigned i;
	pcap_t *p;

	for (i = 0; i < 3; i++) {
		memset(&s, 0, sizeof(s));
		p = open_dev(dev("lo"));
		require(pcap_setdirection(p, tries[i].d) == 0, "%s",
			pcap_geterr(p));
		send_many(LO4, 1, 5);
		collect(p, &s, tries[i].n, 3000);
		collect(p, &s, tries[i].n + 1, 300);
		require(s.count == tries[i].n,
			"direction %d on lo: 5 sent, %u seen", tries[i].d,
			s.count);
		pcap_close(p);
	}
}

static void
direction_set_while_queued(void)
{
	pcap_t *p = open_dev(dev(IF_A));
	struct seen s = { 0 };

	send_many(OUT4, 1, 10);
	send_many(IN4, 11, 10);
	require(pcap_setdirection(p, PCAP_D_IN) == 0, "%s", pcap_geterr(p));
	send_seq(IN4, 21);
	collect(p, &s, 11, 3000);
	require(s.count == 11 && s.times[1] == 0 && s.times[11] == 1 &&
		    s.times[21] == 1,
		"%u seen", s.count);
	pcap_close(p);
}

/* --- statistics --------------------------------------------------------- */

static struct pcap_stat
stats_of(pcap_t *p)
{
	struct pcap_stat st = { 0 };

	require(pcap_stats(p, &st) == 0, "pcap_stats: %s", pcap_geterr(p));
	return st;
}

static void
stats_count_what_passed(void)
{
	pcap_t *p =
	    open_dev(dev(IF_A), .promisc = 1, .filter = "udp dst port 4711");
	struct pcap_stat before = stats_of(p), after;
	struct seen s = { 0 };

	send_many(IN4, 0, 20);
	send_many(IN4_ALT, 20, 20);
	send_many(IN4, 40, 20);
	collect(p, &s, 40, 3000);
	require(s.count == 40, "%u seen", s.count);
	after = stats_of(p);
	require(after.ps_recv - before.ps_recv == 40,
		"40 passed the filter, ps_recv %u",
		after.ps_recv - before.ps_recv);
	require(after.ps_drop == 0 && after.ps_ifdrop == 0,
		"ps_drop %u ps_ifdrop %u", after.ps_drop, after.ps_ifdrop);
	after = stats_of(p);
	require(after.ps_recv - before.ps_recv == 40,
		"asking again changes ps_recv to %u", after.ps_recv);
	pcap_close(p);
}

static void
stats_count_what_waits(void)
{
	pcap_t *p = open_dev(dev(IF_A));
	struct pcap_stat before = stats_of(p), after;

	send_many(IN4, 0, 20);
	after = stats_of(p);
	require(after.ps_recv - before.ps_recv >= 20,
		"20 wait to be read, ps_recv %u",
		after.ps_recv - before.ps_recv);
	expect(p, 0, 20);
	pcap_close(p);
}

/* More than the buffer holds: what is not delivered is in ps_drop. */
static void
stats_count_drops(void)
{
	const unsigned n = 4000;
	pcap_t *p = open_dev(dev(IF_A), .buffer = 65536, .snaplen = 2000,
			     .filter = "udp dst port 4711");
	struct pcap_stat before = stats_of(p), st;
	struct seen s = { 0 };
	unsigned i;

	for (i = 0; i < n; i++)
		send_len(IN4, i, 1400);
	collect(p, &s, n, 1000);
	st = stats_of(p);
	require(s.count < n && st.ps_drop > 0, "%u of %u delivered, ps_drop %u",
		s.count, n, st.ps_drop);
	require(s.count + st.ps_drop == n,
		"sent %u = delivered %u + ps_drop %u is not true", n, s.count,
		st.ps_drop);
	require(st.ps_recv - before.ps_recv == n,
		"ps_recv %u does not count the dropped",
		st.ps_recv - before.ps_recv);
	pcap_close(p);
}

static pcap_t *stormed;
static volatile sig_atomic_t storm_calls, storm_wrong;

static void
storm_handler(int sig)
{
	static u_int last;
	struct pcap_stat st = { 0 };

	(void)sig;
	if (pcap_stats(stormed, &st) != 0 || st.ps_recv < last)
		storm_wrong++;
	last = st.ps_recv;
	storm_calls++;
}

static void *
send_bulk(void *n)
{
	unsigned i, end = *(unsigned *)n;

	for (i = 0; i < end; i++) {
		send_seq(IN4, i);
		if (i % 16 == 0)
			pause_ms(1);
	}
	return NULL;
}

static void
storm(int on)
{
	struct itimerval t = { { 0, 500 * on }, { 0, 500 * on } };

	setitimer(ITIMER_REAL, &t, NULL);
}

/* The handler runs in the reading thread: the others block the signal. */
static void
storm_begin(pcap_t *p, pthread_t *sender, unsigned *n)
{
	struct sigaction sa = { .sa_handler = storm_handler };
	sigset_t alrm;

	stormed = p;
	path_open(IN4);
	sigemptyset(&alrm);
	sigaddset(&alrm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alrm, NULL);
	thread_start(sender, send_bulk, n);
	pthread_sigmask(SIG_UNBLOCK, &alrm, NULL);
	sigaction(SIGALRM, &sa, NULL);
	storm(1);
}

static void
stats_in_signal_handler(void)
{
	unsigned n = 4000, i;
	pcap_t *p = open_dev(dev(IF_A), .timeout = 10, .blocking = 1,
			     .filter = "udp dst port 4711");
	u_int before = stats_of(p).ps_recv;
	struct seen s = { 0 };
	pthread_t sender;
	int status;

	storm_begin(p, &sender, &n);
	status = pcap_loop(p, (int)n, see, (u_char *)&s);
	storm(0);
	thread_join(sender, "sender");
	require(status == 0, "pcap_loop: %d, %s", status, pcap_geterr(p));
	for (i = 0; i < n; i++)
		require(s.times[i] == 1, "datagram %u seen %u times", i,
			s.times[i]);
	require(storm_calls > 50, "only %d signals", (int)storm_calls);
	require(storm_wrong == 0, "pcap_stats wrong in %d of %d calls",
		(int)storm_wrong, (int)storm_calls);
	require(stats_of(p).ps_recv - before == n, "ps_recv %u at the end",
		stats_of(p).ps_recv - before);
	pcap_close(p);
}

/* --- sending ------------------------------------------------------------ */

static int
arrives(int fd, const u_char *frame, unsigned len)
{
	u_char got[2048];
	ssize_t n;

	while ((n = recv(fd, got, sizeof(got), 0)) > 0)
		if ((size_t)n == len && memcmp(got, frame, len) == 0)
			return 1;
	return 0;
}

/* The sender itself does not see the frame, other handles do. */
static void
inject(void)
{
	pcap_t *p = open_dev(dev(IF_A)), *q = open_dev(dev(IF_A));
	int far = far_socket();
	u_char frame[PACKET_MAX];
	unsigned len;

	len = make_frame(frame, 0, 4720, 100);
	require(pcap_inject(p, frame, len) == (int)len, "pcap_inject: %s",
		pcap_geterr(p));
	require(arrives(far, frame, len), "the frame did not arrive");
	len = make_frame(frame, 0, 4720, 101);
	require(pcap_sendpacket(p, frame, (int)len) == 0, "pcap_sendpacket: %s",
		pcap_geterr(p));
	require(arrives(far, frame, len), "the second frame did not arrive");
	send_seq(OUT4, 102);
	expect(p, 102, 1);
	expect(q, 100, 3);
	pcap_close(p);
	pcap_close(q);
}

static void
inject_refused(void)
{
	static u_char big[70000];
	pcap_t *p = open_dev(dev("any"));
	u_char frame[PACKET_MAX];
	unsigned len = make_frame(frame, 0, 4720, 100);

	require(pcap_inject(p, frame, len) == -1, "sent on any");
	require(
	    strcmp(pcap_geterr(p),
		   "Sending packets isn't supported on the \"any\" device") ==
		0,
	    "text: %s", pcap_geterr(p));
	require(pcap_sendpacket(p, frame, (int)len) == -1, "sent on any");
	pcap_close(p);
	p = open_dev(dev(IF_A));
	require(pcap_inject(p, big, sizeof(big)) == -1, "70000 bytes sent");
	require(strcmp(pcap_geterr(p), "send: Message too long") == 0,
		"text: %s", pcap_geterr(p));
	pcap_close(p);
}

static const struct api_case cases[] = {
	{ "filter-ordinary", filter_ordinary, BOTH },
	{ "filter-inbound", filter_inbound, BOTH },
	{ "filter-ifindex", filter_ifindex, BOTH },
	{ "filter-vlan", filter_vlan, BOTH },
	{ "vlan-tag-is-restored", vlan_tag_is_restored, BOTH },
	{ "filter-long", filter_long, BOTH },
	{ "filter-set-while-queued", filter_set_while_queued, BOTH },
	{ "filter-changed-while-queued", filter_changed_while_queued, BOTH },
	{ "direction", direction, BOTH },
	{ "direction-loopback", direction_loopback, BOTH },
	{ "direction-set-while-queued", direction_set_while_queued, BOTH },
	{ "stats-count-what-passed", stats_count_what_passed, BOTH },
	{ "stats-count-what-waits", stats_count_what_waits, BOTH },
	{ "stats-count-drops", stats_count_drops, BOTH },
	{ "stats-in-signal-handler", stats_in_signal_handler, BOTH },
	{ "inject", inject, BOTH },
	{ "inject-refused", inject_refused, BOTH },
	{ NULL, NULL, 0 },
};

int
main(int argc, char **argv)
{
	return api_main(argc, argv, cases);
}
