/*
 * traffic.c: the interfaces of the API cases, datagrams over them, and the
 * handles that capture these (see api.h).
 */
#define _GNU_SOURCE
#include "api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- namespaces and interfaces ------------------------------------------ */

const char *
dev(const char *ifname)
{
	char *name;

	if (!ours)
		return ifname;
	require(asprintf(&name, "ebpftls:%s", ifname) != -1, "no memory");
	return name;
}

const char *
ns_other(void)
{
	const char *name = getenv("API_NS_OTHER");

	require(name != NULL, "API_NS_OTHER is not set (use run-api)");
	return name;
}

static void
ns_enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	require(fd != -1 && setns(fd, CLONE_NEWNET) == 0, "setns %s: %s", path,
		strerror(errno));
	close(fd);
}

void
ns_enter_other(void)
{
	char path[256];

	snprintf(path, sizeof(path), "/run/netns/%s", ns_other());
	ns_enter(path);
}

void
ns_leave_other(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)harness);
	ns_enter(path);
}

void
spare_up(void)
{
	sh("ip link set " IF_SPARE " up && "
	   "ip neigh replace 10.92.0.2 dev " IF_SPARE
	   " lladdr 02:00:00:00:92:02 nud permanent && "
	   "ip -n %s neigh replace 10.92.0.1 dev hkD "
	   "lladdr 02:00:00:00:92:01 nud permanent",
	   ns_other());
}

void
spare_make(void)
{
	sh("ip link del " IF_SPARE " 2>/dev/null; "
	   "ip link add " IF_SPARE " address 02:00:00:00:92:01 type veth "
	   "peer name hkD address 02:00:00:00:92:02 netns %s && "
	   "ip addr add 10.92.0.1/24 dev " IF_SPARE " && "
	   "ip -n %s addr add 10.92.0.2/24 dev hkD && "
	   "ip -n %s link set hkD up",
	   ns_other(), ns_other(), ns_other());
}

unsigned long
traffic(const char *ifname)
{
	static const char *const counters[] = { "rx_packets", "tx_packets" };
	unsigned long sum = 0, n;
	char path[128];
	FILE *f;
	int i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s",
			 ifname, counters[i]);
		f = fopen(path, "re");
		require(f != NULL && fscanf(f, "%lu", &n) == 1, "%s: %s", path,
			strerror(errno));
		fclose(f);
		sum += n;
	}
	return sum;
}

void
wait_quiet(const char *ifname)
{
	unsigned long before = traffic(ifname), now;
	long since = now_ms(), end = since + 20000;

	while (now_ms() - since < 500) {
		require(now_ms() < end, "%s is never quiet", ifname);
		pause_ms(20);
		now = traffic(ifname);
		if (now != before)
			since = now_ms();
		before = now;
	}
}

/* --- traffic ------------------------------------------------------------ */

enum side { A, B };

static const struct road {
	enum side tx, rx;
	const char *to;
	int port;
} roads[PATHS] = {
	[IN4] = { B, A, "10.91.0.1", 4711 },
	[IN4_ALT] = { B, A, "10.91.0.1", 4712 },
	[IN6] = { B, A, "fd91::1", 4711 },
	[OUT4] = { A, B, "10.91.0.2", 4713 },
	[OUT6] = { A, B, "fd91::2", 4713 },
	[LO4] = { A, A, "127.0.0.1", 4714 },
	[SPARE_IN] = { B, A, "10.92.0.1", 4717 },
};

static struct {
	int open, tx, rx;
} sockets[PATHS];

/* What a datagram starts with; the rest is filled with a known pattern. */
struct mark {
	char magic[8];
	uint32_t seq;
	uint32_t len;
};
static const char magic[8] = "ebptlsAP";

int
port_of(enum path path)
{
	return roads[path].port;
}

static socklen_t
address(const struct road *r, struct sockaddr_storage *ss)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, r->to, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)r->port);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)r->port);
	inet_pton(AF_INET6, r->to, &in6->sin6_addr);
	return sizeof(*in6);
}

static int
udp_socket(const struct road *r, enum side side,
	   int (*join)(int, const struct sockaddr *, socklen_t))
{
	struct timeval limit = { 3, 0 };
	struct sockaddr_storage ss;
	socklen_t len = address(r, &ss);
	int fd;

	if (side == B)
		ns_enter_other();
	fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	require(fd != -1 && join(fd, (struct sockaddr *)&ss, len) == 0,
		"socket for %s port %d: %s", r->to, r->port, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (side == B)
		ns_leave_other();
	return fd;
}

void
path_open(enum path path)
{
	const struct road *r = &roads[path];

	if (sockets[path].open)
		return;
	sockets[path].rx = udp_socket(r, r->rx, bind);
	sockets[path].tx = udp_socket(r, r->tx, connect);
	sockets[path].open = 1;
}

static u_char
fill_byte(unsigned seq, unsigned i)
{
	return (u_char)(seq * 7 + i);
}

static ssize_t
send_datagram(enum path path, unsigned seq, unsigned len)
{
	u_char buf[2048];
	struct mark mark = { .seq = seq, .len = len };
	unsigned i;

	path_open(path);
	require(len >= sizeof(mark) && len <= sizeof(buf) && seq < SEQ_MAX,
		"no such datagram");
	memcpy(mark.magic, magic, sizeof(magic));
	memcpy(buf, &mark, sizeof(mark));
	for (i = sizeof(mark); i < len; i++)
		buf[i] = fill_byte(seq, i);
	return send(sockets[path].tx, buf, len, 0);
}

void
send_len(enum path path, unsigned seq, unsigned len)
{
	struct mark got;

	require(send_datagram(path, seq, len) == (ssize_t)len,
		"send to port %d: %s", port_of(path), strerror(errno));
	do {
		require(recv(sockets[path].rx, &got, sizeof(got), 0) ==
			    sizeof(got),
			"datagram %u to port %d did not arrive: %s", seq,
			port_of(path), strerror(errno));
	} while (got.seq != seq);
}

void
send_seq(enum path path, unsigned seq)
{
	send_len(path, seq, 64);
}

void
send_many(enum path path, unsigned first, unsigned n)
{
	for (; n > 0; n--)
		send_seq(path, first++);
}

unsigned
make_packet(u_char *buf, int port, unsigned seq)
{
	static const u_char head[28] = {
		0x45, 0,
		0,    28 + sizeof(struct mark),
		0,    1,
		0,    0,
		64,   17,
		0,    0,
		10,   91,
		0,    2,
		10,   91,
		0,    1,
		0x12, 0x34,
		0,    0,
		0,    8 + sizeof(struct mark),
	};
	struct mark mark = { .seq = seq, .len = sizeof(mark) };

	memcpy(mark.magic, magic, sizeof(magic));
	memcpy(buf, head, sizeof(head));
	buf[22] = (u_char)(port >> 8);
	buf[23] = (u_char)port;
	memcpy(buf + sizeof(head), &mark, sizeof(mark));
	return sizeof(head) + sizeof(mark);
}

unsigned
make_frame(u_char *buf, unsigned vid, int port, unsigned seq)
{
	static const u_char addresses[12] = { 2, 0, 0, 0, 0x91, 1,
					      2, 0, 0, 0, 0x91, 2 };
	const u_char tag[4] = { 0x81, 0, (u_char)(vid >> 8), (u_char)vid };
	unsigned len = sizeof(addresses);

	memcpy(buf, addresses, sizeof(addresses));
	if (vid != 0) {
		memcpy(buf + len, tag, sizeof(tag));
		len += sizeof(tag);
	}
	buf[len++] = 8;
	buf[len++] = 0;
	return len + make_packet(buf + len, port, seq);
}

int
far_socket(void)
{
	struct timeval limit = { 3, 0 };
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL) };
	int fd;

	ns_enter_other();
	ll.sll_ifindex = (int)if_nametoindex(IF_B);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	require(fd != -1 && bind(fd, (struct sockaddr *)&ll, sizeof(ll)) == 0,
		"packet socket on " IF_B ": %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ns_leave_other();
	return fd;
}

/* --- recognising it ----------------------------------------------------- */

static const u_char *
find_mark(const struct pcap_pkthdr *h, const u_char *bytes, struct mark *mark)
{
	const u_char *at = memmem(bytes, h->caplen, magic, sizeof(magic));

	if (at == NULL || (size_t)(bytes + h->caplen - at) < sizeof(*mark))
		return NULL;
	memcpy(mark, at, sizeof(*mark));
	return mark->seq < SEQ_MAX ? at : NULL;
}

int
frame_seq(const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct mark mark;

	return find_mark(h, bytes, &mark) != NULL ? (int)mark.seq : -1;
}

static int
whole(const struct mark *mark, const u_char *at, const u_char *end)
{
	unsigned i;

	if ((size_t)(end - at) < mark->len)
		return 0;
	for (i = sizeof(*mark); i < mark->len; i++)
		if (at[i] != fill_byte(mark->seq, i))
			return 0;
	return 1;
}

void
see(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct seen *s = (struct seen *)user;
	struct mark mark;
	const u_char *at = find_mark(h, bytes, &mark);

	if (at == NULL) {
		s->other++;
		return;
	}
	if (h->caplen == h->len && !whole(&mark, at, bytes + h->caplen))
		s->damaged++;
	if (s->count > 0 && mark.seq < s->last)
		s->disorder++;
	s->last = mark.seq;
	s->times[mark.seq]++;
	s->hdr = *h;
	memcpy(s->bytes, bytes,
	       h->caplen < sizeof(s->bytes) ? h->caplen : sizeof(s->bytes));
	s->count++;
}

/* --- handles ------------------------------------------------------------ */

pcap_t *
create_dev(const char *device)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_create(device, errbuf);

	require(p != NULL, "pcap_create %s: %s", device, errbuf);
	return p;
}

void
set_filter(pcap_t *p, const char *text)
{
	struct bpf_program code;

	require(pcap_compile(p, &code, text, 1, PCAP_NETMASK_UNKNOWN) == 0,
		"pcap_compile \"%.60s\": %s", text, pcap_geterr(p));
	require(pcap_setfilter(p, &code) == 0, "pcap_setfilter \"%.60s\": %s",
		text, pcap_geterr(p));
	pcap_freecode(&code);
}

static void
set_options(pcap_t *p, const struct how *how)
{
	if (how->snaplen != UNSET)
		pcap_set_snaplen(p, how->snaplen ? how->snaplen : 65535);
	if (how->timeout != UNSET)
		pcap_set_timeout(p, how->timeout ? how->timeout : 100);
	pcap_set_immediate_mode(p, how->immediate);
	pcap_set_promisc(p, how->promisc);
	if (how->buffer != 0)
		require(pcap_set_buffer_size(p, how->buffer) == 0,
			"pcap_set_buffer_size(%d)", how->buffer);
	if (how->nano)
		require(pcap_set_tstamp_precision(p,
						  PCAP_TSTAMP_PRECISION_NANO) ==
			    0,
			"no nanoseconds");
}

pcap_t *
open_how(const char *device, const struct how *how)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *p = create_dev(device);
	int status;

	set_options(p, how);
	status = pcap_activate(p);
	require(status == 0, "pcap_activate %s: %d, %s", device, status,
		pcap_geterr(p));
	if (!how->blocking)
		require(pcap_setnonblock(p, 1, errbuf) == 0,
			"pcap_setnonblock: %s", errbuf);
	if (how->dlt != 0)
		require(pcap_set_datalink(p, how->dlt) == 0,
			"pcap_set_datalink %d: %s", how->dlt, pcap_geterr(p));
	if (how->filter != NULL)
		set_filter(p, how->filter);
	return p;
}

int
wait_readable(pcap_t *p, int ms)
{
	const struct timeval *most = pcap_get_required_select_timeout(p);
	struct pollfd fd = { .fd = pcap_get_selectable_fd(p),
			     .events = POLLIN };
	int most_ms;

	require(fd.fd != -1, "no selectable descriptor");
	if (most != NULL) {
		most_ms =
		    (int)(most->tv_sec * 1000 + (most->tv_usec + 999) / 1000);
		ms = most_ms < ms ? most_ms : ms;
	}
	return poll(&fd, 1, ms);
}

unsigned
collect(pcap_t *p, struct seen *s, unsigned want, int ms)
{
	long end = now_ms() + ms;
	int n;

	while (s->count < want) {
		n = pcap_dispatch(p, -1, see, (u_char *)s);
		require(n >= 0, "pcap_dispatch: %d, %s", n, pcap_geterr(p));
		if (n > 0)
			continue;
		if (now_ms() >= end)
			break;
		wait_readable(p, (int)(end - now_ms()) + 1);
	}
	return s->count;
}

void
expect(pcap_t *p, unsigned first, unsigned n)
{
	struct seen s = { 0 };
	unsigned i;

	collect(p, &s, n, 3000);
	for (i = first; i < first + n; i++)
		require(s.times[i] == 1,
			"datagram %u seen %u times (of %u "
			"from %u on, %u seen, the last %u)",
			i, s.times[i], n, first, s.count, s.last);
	require(s.count == n, "%u datagrams seen, sent %u", s.count, n);
	require(s.disorder == 0, "%u out of order", s.disorder);
	require(s.damaged == 0, "%u damaged", s.damaged);
}
