/*
 * pktap.c: DLT_PKTAP, the further link type of every device of ours: a header
 * with the process, and behind it the packet that the device's own link type
 * gives. The plain device beside it says what packets there are.
 */
#include "api.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER 108

/* Offsets in the header. */
#define LENGTH	  0
#define TYPE	  4
#define DLT	  8
#define INTERFACE 12
#define FLAGS	  36
#define LINK_SIZE 44

/* Flags. */
#define IN  1
#define OUT 2

#define PACKETS 9 /* of a mix */
#define SNAPLEN 120

static unsigned
le32(const u_char *b)
{
	return b[0] | (unsigned)b[1] << 8 | (unsigned)b[2] << 16 |
	       (unsigned)b[3] << 24;
}

/* --- the same packets ----------------------------------------------------- */

/* What a handle delivered, without the header. */
struct heard {
	unsigned header;
	unsigned count; /* of the mix that is compared */
	struct packet {
		unsigned times, caplen, len;
		u_char bytes[SNAPLEN];
	} packets[2 * PACKETS];
};

static void
hear(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct heard *heard = (struct heard *)user;
	struct pcap_pkthdr inner = *h;
	struct packet *packet;
	int seq;

	inner.caplen -= heard->header;
	inner.len -= heard->header;
	bytes += heard->header;
	seq = frame_seq(&inner, bytes);
	if (seq < 0)
		return;
	require(seq < 2 * PACKETS, "datagram %d", seq);
	require(inner.caplen <= SNAPLEN, "caplen %u", inner.caplen);
	packet = &heard->packets[seq];
	packet->times++;
	packet->caplen = inner.caplen;
	packet->len = inner.len;
	memcpy(packet->bytes, bytes, inner.caplen);
	if (seq < PACKETS)
		heard->count++;
}

/* One of each kind, from number `first` on. */
static void
send_mix(int fd, unsigned first)
{
	static const unsigned vids[] = { 7, 9, 0 };
	u_char frame[PACKET_MAX];
	unsigned i, len;

	send_seq(IN4, first);
	send_seq(IN4_ALT, first + 1);
	send_seq(IN6, first + 2);
	send_seq(OUT4, first + 3);
	send_seq(OUT6, first + 4);
	for (i = 0; i < 3; i++) {
		len = make_frame(frame, vids[i], 4719, first + 5 + i);
		require(send(fd, frame, len, 0) == (ssize_t)len, "send");
	}
	send_len(IN4, first + 8, 1000);
}

static void
hear_all(pcap_t *p, struct heard *heard)
{
	require(pcap_dispatch(p, -1, hear, (u_char *)heard) >= 0,
		"pcap_dispatch: %s", pcap_geterr(p));
}

/* Until both have as many, and then whether one gets more. */
static void
hear_both(pcap_t *p, struct heard *a, pcap_t *q, struct heard *b)
{
	long end = now_ms() + 3000, quiet = 0;

	while (now_ms() < end && (quiet == 0 || now_ms() < quiet)) {
		hear_all(p, a);
		hear_all(q, b);
		if (a->count != b->count || a->count == 0)
			quiet = 0;
		else if (quiet == 0)
			quiet = now_ms() + 100;
		pause_ms(1);
	}
}

static void
require_same(const char *filter, const struct heard *want,
	     const struct heard *got)
{
	unsigned i;

	require(want->count > 0, "\"%s\": nothing passes", filter);
	for (i = 0; i < PACKETS; i++) {
		const struct packet *a = &want->packets[i];
		const struct packet *b = &got->packets[i];

		require(a->times == b->times,
			"\"%s\": packet %u comes %u times, not %u", filter, i,
			b->times, a->times);
		require(a->caplen == b->caplen && a->len == b->len,
			"\"%s\": packet %u is %u of %u, not %u of %u", filter,
			i, b->caplen, b->len, a->caplen, a->len);
		require(memcmp(a->bytes, b->bytes, a->caplen) == 0,
			"\"%s\": packet %u has other bytes", filter, i);
	}
}

/* The plain device may not run the filter in the kernel at once. */
static void
warm_up(pcap_t *p, int fd)
{
	struct heard heard = { 0 };
	long end = now_ms() + 5000;
	int status;

	do {
		require(now_ms() < end, "no packet passes the filter");
		send_mix(fd, PACKETS);
		status = pcap_dispatch(p, -1, hear, (u_char *)&heard);
		require(status >= 0, "pcap_dispatch: %s", pcap_geterr(p));
	} while (status == 0);
}

static void
passes_the_same(int fd, const char *ifname, int dlt, const char *filter)
{
	struct heard want = { 0 }, got = { .header = HEADER };
	pcap_t *p = open_dev(ifname, .dlt = dlt, .filter = filter,
			     .snaplen = SNAPLEN, .immediate = 1);
	pcap_t *q = open_dev(dev(ifname), .dlt = DLT_PKTAP, .filter = filter,
			     .snaplen = SNAPLEN, .immediate = 1);

	require(pcap_snapshot(q) == SNAPLEN + HEADER, "snapshot length %d",
		pcap_snapshot(q));
	warm_up(p, fd);
	send_mix(fd, 0);
	hear_both(p, &want, q, &got);
	require_same(filter, &want, &got);
	pcap_close(p);
	pcap_close(q);
}

static void
filters_on_ethernet(void)
{
	static const char *const filters[] = {
		"",
		"udp dst port 4711",
		"not udp port 4711",
		"ip6",
		"ether src 02:00:00:00:91:01",
		"ether[12:2] = 0x86dd",
		"greater 500",
		"len <= 200",
		"udp and ip[8] > 1 and src net 10.91.0.0/24",
		"udp[8:4] = 0x65627074",
		"inbound",
		"outbound and ip6",
		"vlan",
		"vlan 7 and udp dst port 4719",
		"not vlan",
	};
	int fd = far_socket();
	size_t i;

	for (i = 0; i < sizeof(filters) / sizeof(*filters); i++)
		passes_the_same(fd, IF_A, DLT_EN10MB, filters[i]);
}

static void
filters_on_any(void)
{
	static const char *const filters[] = {
		"udp dst port 4711", "ip6",	     "inbound and udp",
		"outbound",	     "link[10] = 4", "greater 500",
	};
	int fd = far_socket();
	char text[64];
	size_t i;

	for (i = 0; i < sizeof(filters) / sizeof(*filters); i++)
		passes_the_same(fd, "any", DLT_LINUX_SLL2, filters[i]);
	snprintf(text, sizeof(text), "ifindex %u and udp",
		 if_nametoindex(IF_A));
	passes_the_same(fd, "any", DLT_LINUX_SLL2, text);
}

/* For a handle that has none, the compiler still says so. */
static void
filters_elsewhere(void)
{
	static const char want[] = "link-layer type filtering not implemented";
	pcap_t *p = pcap_open_dead(DLT_PKTAP, 65535);
	struct bpf_program code;

	require(pcap_compile(p, &code, "udp", 1, 0) == -1 &&
		    strstr(pcap_geterr(p), want) != NULL,
		"text: %s", pcap_geterr(p));
	pcap_close(p);
}

/* A program may run the filter itself, on what is behind the header. */
static void
offline_filter(void)
{
	pcap_t *p = open_dev(dev(IF_A), .dlt = DLT_PKTAP);
	struct pcap_pkthdr inner;
	struct bpf_program code;
	struct seen s = { 0 };
	unsigned i;

	require(pcap_compile(p, &code, "udp dst port 4711", 1, 0) == 0,
		"pcap_compile: %s", pcap_geterr(p));
	for (i = 0; i < 2; i++) {
		send_seq(i == 0 ? IN4 : IN4_ALT, i);
		require(collect(p, &s, i + 1, 3000) == i + 1, "not seen");
		inner = s.hdr;
		inner.caplen -= HEADER;
		inner.len -= HEADER;
		require((pcap_offline_filter(&code, &inner, s.bytes + HEADER) !=
			 0) == (i == 0),
			"datagram %u is judged wrongly", i);
	}
	pcap_freecode(&code);
	pcap_close(p);
}

/* --- the header ------------------------------------------------------------
 */

static void
check_header(pcap_t *p, enum path path, int dlt, const char *interface,
	     unsigned flags)
{
	const unsigned link = dlt == DLT_EN10MB ? 14 : 20;
	struct seen s = { 0 };
	const u_char *b = s.bytes;

	send_seq(path, 1);
	require(collect(p, &s, 1, 3000) == 1, "not seen");
	require(s.hdr.len == HEADER + link + 28 + 64 &&
		    s.hdr.caplen == s.hdr.len,
		"length %u of %u", s.hdr.caplen, s.hdr.len);
	require(le32(b + LENGTH) == HEADER && le32(b + TYPE) == 1, "header");
	require(le32(b + DLT) == (unsigned)dlt && le32(b + LINK_SIZE) == link,
		"link type %u with %u bytes", le32(b + DLT),
		le32(b + LINK_SIZE));
	require(le32(b + FLAGS) == flags, "flags %x", le32(b + FLAGS));
	require(strcmp((const char *)b + INTERFACE, interface) == 0,
		"interface \"%s\"", (const char *)b + INTERFACE);
}

static void
header(void)
{
	char name[64];
	pcap_t *p = open_dev(dev(IF_A), .dlt = DLT_PKTAP);

	check_header(p, IN4, DLT_EN10MB, IF_A, IN);
	check_header(p, OUT4, DLT_EN10MB, IF_A, OUT);
	pcap_close(p);
	p = open_dev(dev("any"), .dlt = DLT_PKTAP);
	check_header(p, IN4, DLT_LINUX_SLL2, IF_A, IN);
	check_header(p, OUT4, DLT_LINUX_SLL2, IF_A, OUT);
	check_header(p, LO4, DLT_LINUX_SLL2, "lo", IN);
	pcap_close(p);

	/* the name of one that was asked for is known in any namespace */
	snprintf(name, sizeof(name), IF_B "@%s", ns_other());
	p = open_dev(dev(name), .dlt = DLT_PKTAP, .filter = "inbound");
	check_header(p, OUT4, DLT_EN10MB, IF_B, IN);
	pcap_close(p);
}

/* Rather no name than that of an interface here with the same number. */
static void
no_wrong_names(void)
{
	char name[64];
	struct seen s = { 0 };
	pcap_t *p;

	snprintf(name, sizeof(name), "any@%s", ns_other());
	p = open_dev(dev(name), .dlt = DLT_PKTAP);
	send_seq(IN4, 1);
	require(collect(p, &s, 1, 3000) == 1, "not seen");
	require(s.bytes[INTERFACE] == 0, "interface \"%s\"",
		(const char *)s.bytes + INTERFACE);
	pcap_close(p);
}

static void
renamed(void)
{
	struct seen s = { 0 };
	const char *name = (const char *)s.bytes + INTERFACE;
	pcap_t *p = open_dev(dev("any"), .dlt = DLT_PKTAP);
	long end = now_ms() + 5000;

	spare_make();
	spare_up();
	send_seq(SPARE_IN, 1);
	require(collect(p, &s, 1, 3000) == 1 && strcmp(name, IF_SPARE) == 0,
		"interface \"%s\"", name);
	sh("ip link set " IF_SPARE " name other0");
	while (strcmp(name, "other0") != 0) {
		require(now_ms() < end, "interface \"%s\"", name);
		send_seq(SPARE_IN, 2);
		collect(p, &s, s.count + 1, 1000);
	}
	pcap_close(p);
}

/* --- the rest of the handle ------------------------------------------------
 */

static void
switch_to(pcap_t *p, int dlt, unsigned header, int snaplen)
{
	struct seen s = { 0 };

	require(pcap_set_datalink(p, dlt) == 0, "pcap_set_datalink: %s",
		pcap_geterr(p));
	require(pcap_datalink(p) == dlt, "link type %d", pcap_datalink(p));
	require(pcap_snapshot(p) == snaplen + (int)header, "snapshot length %d",
		pcap_snapshot(p));
	set_filter(p, "udp dst port 4711");
	send_seq(IN4_ALT, 1);
	send_len(IN4, 2, 400);
	require(collect(p, &s, 1, 3000) == 1 && s.times[2] == 1,
		"DLT %d: the wrong datagram", dlt);
	require(s.hdr.caplen == (unsigned)snaplen + header &&
		    s.hdr.len == header + 14 + 28 + 400,
		"DLT %d: %u of %u", dlt, s.hdr.caplen, s.hdr.len);
}

static void
there_and_back(void)
{
	pcap_t *p = open_dev(dev(IF_A), .snaplen = 100);

	switch_to(p, DLT_EN10MB, 0, 100);
	switch_to(p, DLT_PKTAP, HEADER, 100);
	switch_to(p, DLT_PKTAP, HEADER, 100);
	switch_to(p, DLT_EN10MB, 0, 100);
	pcap_close(p);
}

/* All there is means no more than readers of files take. */
static void
snapshot_length(void)
{
	pcap_t *p = open_dev(dev(IF_A), .snaplen = 1, .dlt = DLT_PKTAP);
	struct seen s = { 0 };
	struct pcap_pkthdr *h;
	const u_char *bytes;
	int status;

	require(pcap_snapshot(p) == HEADER + 1, "%d", pcap_snapshot(p));
	send_seq(IN4, 1);
	require(wait_for((status = pcap_next_ex(p, &h, &bytes)) != 0, 3000) &&
		    status == 1,
		"not seen");
	require(h->caplen == HEADER + 1, "caplen %u", h->caplen);
	pcap_close(p);
	p = open_dev(dev(IF_A), .snaplen = UNSET, .dlt = DLT_PKTAP);
	require(pcap_snapshot(p) == 262144, "%d", pcap_snapshot(p));
	send_len(IN4, 1, 1400);
	require(collect(p, &s, 1, 3000) == 1 && s.damaged == 0 &&
		    s.hdr.caplen == s.hdr.len,
		"not whole");
	pcap_close(p);
}

static void
inject_refused(void)
{
	pcap_t *p = open_dev(dev(IF_A), .dlt = DLT_PKTAP);
	u_char frame[PACKET_MAX];
	unsigned len = make_frame(frame, 0, 4720, 100);

	require(pcap_inject(p, frame, len) == -1, "sent");
	require(strcmp(pcap_geterr(p),
		       "Sending packets isn't supported with PKTAP headers") ==
		    0,
		"text: %s", pcap_geterr(p));
	require(pcap_set_datalink(p, DLT_EN10MB) == 0 &&
		    pcap_inject(p, frame, len) == (int)len,
		"pcap_inject: %s", pcap_geterr(p));
	pcap_close(p);
}

/* What is in the savefile is what was delivered, and can be read again. */
static void
in_a_savefile(const char *options)
{
	char path[] = "/tmp/api-pktap-XXXXXX", errbuf[PCAP_ERRBUF_SIZE];
	char device[64];
	struct pcap_pkthdr *h;
	const u_char *bytes;
	pcap_dumper_t *d;
	int fd = mkstemp(path), status;
	pcap_t *p;

	require(fd >= 0, "mkstemp");
	close(fd);
	snprintf(device, sizeof(device), IF_A "%s", options);
	p = open_dev(dev(device), .dlt = DLT_PKTAP, .snaplen = 60,
		     .filter = "udp dst port 4711");
	d = pcap_dump_open(p, path);
	require(d != NULL, "pcap_dump_open: %s", pcap_geterr(p));
	send_seq(IN4_ALT, 1);
	send_seq(IN4, 2);
	require(wait_for((status = pcap_dispatch(p, -1, pcap_dump,
						 (u_char *)d)) != 0,
			 3000) &&
		    status == 1,
		"%d packets", status);
	pcap_dump_close(d);
	pcap_close(p);
	p = pcap_open_offline(path, errbuf);
	unlink(path);
	require(p != NULL, "pcap_open_offline: %s", errbuf);
	require(pcap_datalink(p) == DLT_PKTAP, "DLT %d", pcap_datalink(p));
	require(pcap_next_ex(p, &h, &bytes) == 1, "%s", pcap_geterr(p));
	require(h->caplen == HEADER + 60 && h->len == HEADER + 42 + 64 &&
		    le32(bytes) == HEADER,
		"%u of %u", h->caplen, h->len);
	require(pcap_next_ex(p, &h, &bytes) == PCAP_ERROR_BREAK, "one more");
	pcap_close(p);
}

static void
savefiles(void)
{
	in_a_savefile("");
	in_a_savefile(",savefile=pcap");
}

static const struct api_case cases[] = {
	{ "pktap-filters-on-ethernet", filters_on_ethernet, OURS },
	{ "pktap-filters-on-any", filters_on_any, OURS },
	{ "pktap-filters-elsewhere", filters_elsewhere, BOTH },
	{ "pktap-offline-filter", offline_filter, OURS },
	{ "pktap-header", header, OURS },
	{ "pktap-no-wrong-names", no_wrong_names, OURS },
	{ "pktap-renamed", renamed, OURS },
	{ "pktap-there-and-back", there_and_back, OURS },
	{ "pktap-snapshot-length", snapshot_length, OURS },
	{ "pktap-inject-refused", inject_refused, OURS },
	{ "pktap-savefile", savefiles, OURS },
	{ NULL, NULL, 0 },
};

int
main(int argc, char **argv)
{
	return api_main(argc, argv, cases);
}
