/*
 * options.c: what is set between pcap_create() and pcap_activate(), and what
 * a handle tells about itself afterwards.
 */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#define UDP4_HEADERS (14 + 20 + 8)

/* One datagram through a new handle; returns what the handle said of it. */
static struct seen
one_packet(pcap_t *p, enum path path, unsigned len)
{
	struct seen s = { 0 };

	send_len(path, 1, len);
	require(collect(p, &s, 1, 3000) == 1, "%u datagrams instead of 1",
		s.count);
	return s;
}

static void
cut_at(int snaplen)
{
	pcap_t *p = open_dev(dev(IF_A), .snaplen = snaplen);
	struct seen s;

	require(pcap_snapshot(p) == snaplen, "snapshot is %d, asked %d",
		pcap_snapshot(p), snaplen);
	s = one_packet(p, IN4, 400);
	require(s.hdr.caplen == (unsigned)snaplen &&
		    s.hdr.len == UDP4_HEADERS + 400,
		"snaplen %d: caplen %u len %u", snaplen, s.hdr.caplen,
		s.hdr.len);
	pcap_close(p);
}

static void
snaplen_cuts(void)
{
	cut_at(64);
	cut_at(100);
	cut_at(301);
}

static void
snaplen_is_clamped(void)
{
	static const struct {
		int ask, get;
	} tries[] = {
		{ 0, 262144 },		{ -5, 262144 },	    { 262145, 262144 },
		{ 2147483647, 262144 }, { 262144, 262144 }, { 96, 96 },
	};
	unsigned i;
	pcap_t *p;

	for (i = 0; i < sizeof(tries) / sizeof(*tries); i++) {
		p = create_dev(dev(IF_A));
		pcap_set_snaplen(p, tries[i].ask);
		pcap_set_timeout(p, 100);
		require(pcap_activate(p) == 0, "activate: %s", pcap_geterr(p));
		require(pcap_snapshot(p) == tries[i].get,
			"asked %d: snapshot %d", tries[i].ask,
			pcap_snapshot(p));
		pcap_close(p);
	}
}

/* A cooked header and one byte are always kept (setup_socket). */
static void
snaplen_any(void)
{
	pcap_t *p = open_dev(dev("any"), .snaplen = 1);

	require(pcap_snapshot(p) == 21, "snapshot %d", pcap_snapshot(p));
	pcap_close(p);
}

static void
delivered_within(int to_ms, int immediate, int limit_ms)
{
	pcap_t *p =
	    open_dev(dev(IF_A), .timeout = to_ms, .immediate = immediate,
		     .blocking = 1, .filter = "udp");
	struct seen s = { 0 };
	long start;
	int n;

	path_open(IN4);
	start = now_ms();
	send_seq(IN4, 5);
	n = pcap_loop(p, 1, see, (u_char *)&s);
	require(n == 0 && s.times[5] == 1, "pcap_loop: %d, %s", n,
		pcap_geterr(p));
	require(now_ms() - start < limit_ms,
		"timeout %d, immediate %d: delivered after %ld ms", to_ms,
		immediate, now_ms() - start);
	pcap_close(p);
}

static void
timeout_bounds_the_wait(void)
{
	delivered_within(10, 0, 1000);
	delivered_within(300, 0, 1300);
	delivered_within(1000, 0, 2000);
}

static void
immediate_mode(void)
{
	int i;

	for (i = 0; i < 3; i++)
		delivered_within(10000, 1, 500);
	delivered_within(UNSET, 1, 500);
}

static void *
send_refused_then_wanted(void *done)
{
	unsigned i;

	for (i = 0; i < 15; i++) {
		send_seq(IN4_ALT, 1);
		pause_ms(20);
	}
	for (i = 2; i < SEQ_MAX && !*(atomic_int *)done; i++)
		send_len(IN4, i, 1400);
	return NULL;
}

/*
 * Timeout 0 means that a read does not return before a packet has passed.
 * It may be given to the program only when much more has followed: without
 * a timeout and immediate mode, a block is delivered when it is full.
 */
static void
timeout_zero_waits(void)
{
	pcap_t *p = open_dev(dev(IF_A), .timeout = UNSET, .blocking = 1,
			     .filter = "udp dst port 4711");
	atomic_int done = 0;
	struct seen s = { 0 };
	pthread_t sender;
	int n;

	path_open(IN4);
	path_open(IN4_ALT);
	thread_start(&sender, send_refused_then_wanted, &done);
	n = pcap_dispatch(p, -1, see, (u_char *)&s);
	done = 1;
	require(n >= 1 && s.times[1] == 0 && s.times[2] == 1,
		"pcap_dispatch: %d", n);
	thread_join(sender, "sender");
	pcap_close(p);
}

static void
buffer_sizes(void)
{
	static const int sizes[] = { 1,	     100,     4096,	65536,
				     100001, 2 << 20, 64 << 20, -1 };
	unsigned i;
	int immediate;
	pcap_t *p;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (immediate = 0; immediate < 2; immediate++) {
			p = open_dev(dev(IF_A), .buffer = sizes[i],
				     .immediate = immediate, .filter = "udp");
			one_packet(p, IN4, 200);
			one_packet(p, OUT4, 1400);
			pcap_close(p);
		}
	}
}

static long
promiscuity(void)
{
	return sh_number("promiscuity ", "ip -d link show dev " IF_A);
}

static void
promisc(void)
{
	long before = promiscuity();
	pcap_t *p, *q;

	p = open_dev(dev(IF_A), .promisc = 0);
	require(promiscuity() == before, "set although nobody asked");
	pcap_close(p);
	p = open_dev(dev(IF_A), .promisc = 1);
	require(promiscuity() == before + 1,
		"count is %ld with promisc, "
		"%ld without",
		promiscuity(), before);
	q = open_dev(dev(IF_A), .promisc = 1);
	require(promiscuity() == before + 2, "the second does not count");
	pcap_close(p);
	require(wait_for(promiscuity() == before + 1, 1000),
		"the first close takes both away, or none");
	one_packet(q, IN4, 64);
	pcap_close(q);
	require(wait_for(promiscuity() == before, 1000),
		"count is %ld after close", promiscuity());
}

static int
activate_any_promisc(const char *device, char *text)
{
	pcap_t *p = create_dev(device);
	int status;

	pcap_set_promisc(p, 1);
	pcap_set_timeout(p, 100);
	status = pcap_activate(p);
	snprintf(text, PCAP_ERRBUF_SIZE, "%s", pcap_geterr(p));
	pcap_close(p);
	return status;
}

/*
 * The status is whatever the plain device of this library returns: its ring
 * setup in 1.10.3 replaces PCAP_WARNING_PROMISC_NOTSUP by 0, and programs
 * that end at any warning depend on that.
 */
static void
promisc_any(void)
{
	char text[PCAP_ERRBUF_SIZE];
	int plain = activate_any_promisc("any", text);
	int status = activate_any_promisc(dev("any"), text);

	require(plain == 0 || plain == PCAP_WARNING_PROMISC_NOTSUP,
		"plain any: %d", plain);
	require(status == plain, "activate: %d, plain any %d", status, plain);
	require(strcmp(text, "Promiscuous mode not supported on the \"any\" "
			     "device") == 0,
		"text: %s", text);
}

static void
rfmon(void)
{
	static const char *const names[] = { IF_A, "lo", "any" };
	unsigned i;
	pcap_t *p;
	int n;

	for (i = 0; i < 3; i++) {
		p = create_dev(dev(names[i]));
		n = pcap_can_set_rfmon(p);
		require(n == 0, "%s: can_set_rfmon %d", names[i], n);
		require(pcap_set_rfmon(p, 1) == 0, "set_rfmon");
		n = pcap_activate(p);
		require(n == PCAP_ERROR_RFMON_NOTSUP, "%s: activate %d",
			names[i], n);
		require(strcmp(pcap_geterr(p), pcap_statustostr(n)) == 0,
			"text: %s", pcap_geterr(p));
		pcap_close(p);
	}
}

static void
tstamp_types(void)
{
	pcap_t *p = create_dev(dev(IF_A));
	int *list = NULL, n = pcap_list_tstamp_types(p, &list), i;

	require(n >= 0, "list: %d", n);
	for (i = 0; i < n; i++)
		require(list[i] == PCAP_TSTAMP_HOST ||
			    (!ours &&
			     (list[i] == PCAP_TSTAMP_ADAPTER ||
			      list[i] == PCAP_TSTAMP_ADAPTER_UNSYNCED)),
			"type %d in the list", list[i]);
	pcap_free_tstamp_types(list);
	require(pcap_set_tstamp_type(p, PCAP_TSTAMP_ADAPTER) ==
		    PCAP_WARNING_TSTAMP_TYPE_NOTSUP,
		"adapter accepted");
	require(pcap_set_tstamp_type(p, PCAP_TSTAMP_ADAPTER_UNSYNCED) ==
		    PCAP_WARNING_TSTAMP_TYPE_NOTSUP,
		"adapter_unsynced accepted");
	require(pcap_set_tstamp_type(p, -1) == PCAP_WARNING_TSTAMP_TYPE_NOTSUP,
		"-1 accepted");
	require(pcap_set_tstamp_type(p, PCAP_TSTAMP_HOST) == 0, "host refused");
	pcap_set_timeout(p, 100);
	require(pcap_activate(p) == 0, "activate: %s", pcap_geterr(p));
	pcap_close(p);
}

static long long
wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* Returns the stamp's fraction of a second after checking its value. */
static long
stamp_fraction(pcap_t *p, int unit_ns)
{
	const long long slack_ns = 50 * 1000000LL;
	long long before, stamp;
	struct seen s;

	before = wall_ns();
	s = one_packet(p, IN4, 64);
	stamp = s.hdr.ts.tv_sec * 1000000000LL +
		(long long)s.hdr.ts.tv_usec * unit_ns;
	require(s.hdr.ts.tv_usec >= 0 &&
		    s.hdr.ts.tv_usec < 1000000000 / unit_ns,
		"fraction %ld", (long)s.hdr.ts.tv_usec);
	require(stamp > before - slack_ns && stamp < wall_ns() + slack_ns,
		"stamped %lld ms after it was sent",
		(stamp - before) / 1000000);
	return s.hdr.ts.tv_usec;
}

static void
tstamp_precision(void)
{
	pcap_t *p = open_dev(dev(IF_A), .timeout = 10);
	int i, fine = 0;

	require(pcap_get_tstamp_precision(p) == PCAP_TSTAMP_PRECISION_MICRO,
		"micro is not the default");
	for (i = 0; i < 10; i++)
		stamp_fraction(p, 1000);
	pcap_close(p);
	p = open_dev(dev(IF_A), .timeout = 10, .nano = 1);
	require(pcap_get_tstamp_precision(p) == PCAP_TSTAMP_PRECISION_NANO,
		"nano was set and is not there");
	for (i = 0; i < 10; i++)
		fine += stamp_fraction(p, 1) % 1000 != 0;
	require(fine >= 5, "%d of 10 stamps have nanoseconds", fine);
	pcap_close(p);
	p = create_dev(dev(IF_A));
	require(pcap_set_tstamp_precision(p, 7) ==
		    PCAP_ERROR_TSTAMP_PRECISION_NOTSUP,
		"precision 7 accepted");
	pcap_close(p);
}

/* Exactly these, the first as the default; ours have PKTAP besides, at last. */
static void
lists_dlts(pcap_t *p, int first, int second)
{
	int want[] = { first, second, DLT_PKTAP };
	int *list = NULL, n = pcap_list_datalinks(p, &list), i, wanted = 1;

	if (second >= 0)
		wanted++;
	else
		want[1] = DLT_PKTAP;
	require(n == wanted + ours, "%d link types, not %d", n, wanted + ours);
	for (i = 0; i < n; i++)
		require(list[i] == want[i], "DLT %d, not %d", list[i], want[i]);
	require(pcap_datalink(p) == first, "DLT %d is the default",
		pcap_datalink(p));
	pcap_free_datalinks(list);
}

static void
refuses_dlt(pcap_t *p, int dlt, const char *text)
{
	int before = pcap_datalink(p);

	require(pcap_set_datalink(p, dlt) == -1, "DLT %d accepted", dlt);
	require(strcmp(pcap_geterr(p), text) == 0, "text: %s", pcap_geterr(p));
	require(pcap_datalink(p) == before, "DLT changed all the same");
}

static void
datalinks_ethernet(void)
{
	pcap_t *p = open_dev(dev(IF_A));

	lists_dlts(p, DLT_EN10MB, DLT_DOCSIS);
	require(pcap_set_datalink(p, DLT_EN10MB) == 0, "%s", pcap_geterr(p));
	refuses_dlt(p, DLT_PPP,
		    "PPP is not one of the DLTs supported by this device");
	refuses_dlt(
	    p, DLT_LINUX_SLL2,
	    "LINUX_SLL2 is not one of the DLTs supported by this device");
	refuses_dlt(p, 9999,
		    "DLT 9999 is not one of the DLTs supported by this device");
	require(one_packet(p, IN4, 64).hdr.len == UDP4_HEADERS + 64,
		"frame has another length");
	pcap_close(p);
	p = open_dev(dev("lo"));
	lists_dlts(p, DLT_EN10MB, -1);
	pcap_close(p);
}

static unsigned
be16(const u_char *b)
{
	return (unsigned)b[0] << 8 | b[1];
}

static void
check_cooked(int dlt, enum path path, unsigned pkttype)
{
	pcap_t *p = open_dev(dev("any"), .dlt = dlt, .filter = "udp");
	struct seen s = one_packet(p, path, 64);
	const u_char *b = s.bytes;

	require(pcap_datalink(p) == dlt, "DLT %d", pcap_datalink(p));
	if (dlt == DLT_LINUX_SLL2) {
		require(s.hdr.len == 20 + 28 + 64 && s.hdr.caplen == s.hdr.len,
			"SLL2: len %u", s.hdr.len);
		require(be16(b) == 0x0800 && b[10] == pkttype,
			"SLL2: protocol %04x type %u", be16(b), b[10]);
		require((be16(b + 4) << 16 | be16(b + 6)) ==
			    if_nametoindex(IF_A),
			"SLL2: wrong ifindex");
		require(be16(b + 8) == 1 && b[11] == 6 && b[12] == 2,
			"SLL2: hatype %u halen %u", be16(b + 8), b[11]);
	} else {
		require(s.hdr.len == 16 + 28 + 64 && s.hdr.caplen == s.hdr.len,
			"SLL: len %u", s.hdr.len);
		require(be16(b + 14) == 0x0800 && be16(b) == pkttype,
			"SLL: protocol %04x type %u", be16(b + 14), be16(b));
		require(be16(b + 2) == 1 && be16(b + 4) == 6 && b[6] == 2,
			"SLL: hatype %u halen %u", be16(b + 2), be16(b + 4));
	}
	pcap_close(p);
}

static void
datalinks_any(void)
{
	pcap_t *p = open_dev(dev("any"));

	if (ours)
		lists_dlts(p, DLT_LINUX_SLL2, DLT_LINUX_SLL);
	else
		lists_dlts(p, DLT_LINUX_SLL, DLT_LINUX_SLL2);
	refuses_dlt(p, DLT_EN10MB,
		    "EN10MB is not one of the DLTs supported by this device");
	pcap_close(p);
	check_cooked(DLT_LINUX_SLL, IN4, PACKET_HOST);
	check_cooked(DLT_LINUX_SLL, OUT4, PACKET_OUTGOING);
	check_cooked(DLT_LINUX_SLL2, IN4, PACKET_HOST);
	check_cooked(DLT_LINUX_SLL2, OUT4, PACKET_OUTGOING);
}

static int
tun_make(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd == -1)
		skip("/dev/net/tun: %s", strerror(errno));
	strcpy(ifr.ifr_name, "hkT");
	require(ioctl(fd, TUNSETIFF, &ifr) == 0, "TUNSETIFF: %s",
		strerror(errno));
	sh("ip addr add 10.93.0.1/24 dev hkT && ip link set hkT up");
	return fd;
}

static void
datalink_tun(void)
{
	int tun = tun_make();
	pcap_t *p = open_dev(dev("hkT"));
	struct seen s = { 0 };
	u_char buf[PACKET_MAX];
	unsigned len = make_packet(buf, 4718, 9);

	lists_dlts(p, DLT_RAW, -1);
	refuses_dlt(p, DLT_EN10MB,
		    "EN10MB is not one of the DLTs supported by this device");
	require(write(tun, buf, len) == (ssize_t)len, "write to tun: %s",
		strerror(errno));
	require(collect(p, &s, 1, 3000) == 1 && s.times[9] == 1,
		"the received packet is not there");
	require(s.hdr.len == len && s.hdr.caplen == len &&
		    memcmp(s.bytes, buf, len) == 0,
		"not the same bytes (len %u)", s.hdr.len);
	pcap_close(p);
}

static void
descriptors(void)
{
	pcap_t *p = create_dev(dev(IF_A));

	require(pcap_fileno(p) == -1 && pcap_get_selectable_fd(p) == -1,
		"descriptors before activation: %d %d", pcap_fileno(p),
		pcap_get_selectable_fd(p));
	pcap_set_timeout(p, 100);
	pcap_set_snaplen(p, 2000);
	require(pcap_activate(p) == 0, "activate: %s", pcap_geterr(p));
	require(fcntl(pcap_fileno(p), F_GETFD) != -1, "pcap_fileno %d: %s",
		pcap_fileno(p), strerror(errno));
	require(fcntl(pcap_get_selectable_fd(p), F_GETFD) != -1,
		"selectable_fd %d: %s", pcap_get_selectable_fd(p),
		strerror(errno));
	require(ours || pcap_get_required_select_timeout(p) == NULL,
		"a timeout is required");
	pcap_close(p);
}

static void
not_activated(void)
{
	pcap_t *p = create_dev(dev(IF_A));
	struct bpf_program code = { 0 };
	struct pcap_stat st;
	struct seen s;
	char errbuf[PCAP_ERRBUF_SIZE];
	const int no = PCAP_ERROR_NOT_ACTIVATED;

	require(pcap_dispatch(p, 1, see, (u_char *)&s) == no, "dispatch");
	require(pcap_loop(p, 1, see, (u_char *)&s) == no, "loop");
	require(pcap_setfilter(p, &code) == no, "setfilter");
	require(pcap_setdirection(p, PCAP_D_IN) == no, "setdirection");
	require(pcap_stats(p, &st) == no, "stats");
	require(pcap_inject(p, &s, 60) == no, "inject");
	require(pcap_datalink(p) == no, "datalink");
	require(pcap_snapshot(p) == no, "snapshot");
	require(pcap_getnonblock(p, errbuf) == no, "getnonblock");
	pcap_close(p);
}

static void
already_activated(void)
{
	pcap_t *p = open_dev(dev(IF_A));
	const int no = PCAP_ERROR_ACTIVATED;

	require(pcap_set_snaplen(p, 100) == no, "snaplen");
	require(pcap_set_promisc(p, 1) == no, "promisc");
	require(pcap_set_rfmon(p, 1) == no, "rfmon");
	require(pcap_set_timeout(p, 1) == no, "timeout");
	require(pcap_set_immediate_mode(p, 1) == no, "immediate");
	require(pcap_set_buffer_size(p, 1 << 20) == no, "buffer size");
	require(pcap_set_tstamp_type(p, PCAP_TSTAMP_HOST) == no, "tstamp");
	require(pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO) == no,
		"precision");
	require(pcap_activate(p) == no, "activate");
	one_packet(p, IN4, 64);
	pcap_close(p);
}

static void
open_live(void)
{
	char errbuf[PCAP_ERRBUF_SIZE] = "", want[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_open_live(dev(IF_A), 200, 0, 100, errbuf);
	struct seen s = { 0 };

	require(p != NULL && errbuf[0] == '\0', "open: %s", errbuf);
	send_len(IN4, 1, 400);
	require(pcap_loop(p, 1, see, (u_char *)&s) == 0, "loop");
	require(pcap_snapshot(p) == 200 && s.hdr.caplen <= 200, "snaplen");
	pcap_close(p);
	p = pcap_open_live(dev("nosuch0"), 200, 0, 100, errbuf);
	require(p == NULL, "nosuch0 opened");
	snprintf(want, sizeof(want), "%s: No such device exists",
		 dev("nosuch0"));
	require(strncmp(errbuf, want, strlen(want)) == 0, "text: %s", errbuf);
}

static void
lookupnet(void)
{
	bpf_u_int32 net = 0, mask = 0;
	char errbuf[PCAP_ERRBUF_SIZE];

	require(pcap_lookupnet(dev(IF_A), &net, &mask, errbuf) == 0, "%s",
		errbuf);
	require(memcmp(&net, "\x0a\x5b\x00\x00", 4) == 0 &&
		    memcmp(&mask, "\xff\xff\xff\x00", 4) == 0,
		"net %08x mask %08x", net, mask);
}

static const struct api_case cases[] = {
	{ "snaplen-cuts", snaplen_cuts, BOTH },
	{ "snaplen-is-clamped", snaplen_is_clamped, BOTH },
	{ "snaplen-any", snaplen_any, BOTH },
	{ "timeout-bounds-the-wait", timeout_bounds_the_wait, BOTH },
	{ "timeout-zero-waits", timeout_zero_waits, BOTH },
	{ "immediate-mode", immediate_mode, BOTH },
	{ "buffer-sizes", buffer_sizes, BOTH },
	{ "promisc", promisc, BOTH },
	{ "promisc-any", promisc_any, BOTH },
	{ "rfmon", rfmon, BOTH },
	{ "tstamp-types", tstamp_types, BOTH },
	{ "tstamp-precision", tstamp_precision, BOTH },
	{ "datalinks-ethernet", datalinks_ethernet, BOTH },
	{ "datalinks-any", datalinks_any, BOTH },
	{ "datalink-tun", datalink_tun, BOTH },
	{ "descriptors", descriptors, BOTH },
	{ "not-activated", not_activated, BOTH },
	{ "already-activated", already_activated, BOTH },
	{ "open-live", open_live, BOTH },
	{ "lookupnet", lookupnet, BOTH },
	{ NULL, NULL, 0 },
};

int
main(int argc, char **argv)
{
	return api_main(argc, argv, cases);
}
