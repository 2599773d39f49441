// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does a frame become the packet that pcap-linux.c would deliver? What is
 * expected is written out byte for byte.
 */
#include "ebpftls-frame.h"

#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>

#include "unit/check.h"
#include "unit/perf.h"

#define RING_SIZE 512u

/* An Ethernet frame of 20 bytes; its network header is after 14. */
static const uint8_t ethernet[] = {
	0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00,
	0x00, 0x02, 0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
};

/* The IP packet of a device without a link-layer header. */
static const uint8_t raw[] = { 0x45, 0x11, 0x22, 0x33, 0x44, 0x55 };

/* One frame in a ring that begins at `start`, and the packet made of it. */
struct fixture {
	struct perf perf;
	struct ebpftls_packet packet;
	uint64_t start;
};

static struct ebpftls_frame
describe(uint32_t caplen)
{
	struct ebpftls_frame frame = perf_describe(1, caplen);

	frame.ifindex = 0x01020304;
	frame.protocol = htons(0x0800);
	frame.hatype = ARPHRD_ETHER;
	frame.network = 14;
	frame.pkttype = PACKET_HOST;
	return frame;
}

/* What the glue does, with a filter that lets `keep` bytes pass. */
static void
make_packet(struct fixture *f, const struct ebpftls_frame *frame,
	    const uint8_t *bytes, enum ebpftls_link link, uint32_t keep,
	    uint32_t snaplen)
{
	perf_make(&f->perf, RING_SIZE, f->start, frame->caplen);
	check(perf_frame(&f->perf, frame, bytes));
	ebpftls_ring_look(&f->perf.ring);
	if (!check(ebpftls_ring_next(&f->perf.ring) == EBPFTLS_RING_FRAME))
		return;
	ebpftls_frame_link(&f->packet, &f->perf.ring, link);
	if (f->packet.caplen > keep)
		f->packet.caplen = keep;
	ebpftls_frame_finish(&f->packet, &f->perf.ring, link, snaplen);
}

static void
expect(const struct ebpftls_packet *packet, const void *bytes, uint32_t caplen,
       uint32_t len)
{
	if (check(packet->caplen == caplen))
		check_bytes(packet->bytes, bytes, caplen);
	check(packet->len == len);
}

/* The packet made of the frame, with its record at every place of a ring. */
static void
becomes(const struct ebpftls_frame *frame, const uint8_t *bytes,
	enum ebpftls_link link, uint32_t snaplen, const void *want,
	uint32_t caplen, uint32_t len)
{
	struct fixture f;

	for (f.start = 0; f.start < RING_SIZE; f.start += 8) {
		make_packet(&f, frame, bytes, link, UINT32_MAX, snaplen);
		expect(&f.packet, want, caplen, len);
		perf_free(&f.perf);
	}
}

static void
ethernet_as_it_is(void)
{
	struct ebpftls_frame frame = describe(20);
	struct fixture f = { .start = 0 };

	becomes(&frame, ethernet, EBPFTLS_LINK_ETHERNET, 100, ethernet, 20, 20);
	becomes(&frame, ethernet, EBPFTLS_LINK_AS_IS, 100, ethernet, 20, 20);
	/* not even copied */
	make_packet(&f, &frame, ethernet, EBPFTLS_LINK_ETHERNET, 100, 100);
	check(f.packet.bytes == f.perf.data + 60);
	check(f.packet.filter_len == 20);
	perf_free(&f.perf);
}

static void
ethernet_tag(void)
{
	static const uint8_t q[] = {
		0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00,
		0x00, 0x00, 0x00, 0x02, 0x81, 0x00, 0xe1, 0x23,
		0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	static const uint8_t ad[] = {
		0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00,
		0x00, 0x00, 0x00, 0x02, 0x88, 0xa8, 0x00, 0x00,
		0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	struct ebpftls_frame frame = describe(20);

	frame.vlan_tpid = htons(0x8100);
	frame.vlan_tci = 0xe123;
	becomes(&frame, ethernet, EBPFTLS_LINK_ETHERNET, 100, q, 24, 24);
	frame.len = 1000;
	becomes(&frame, ethernet, EBPFTLS_LINK_ETHERNET, 100, q, 24, 1004);
	/* the tag of priority 0 and no VLAN is one as well */
	frame.vlan_tpid = htons(0x88a8);
	frame.vlan_tci = 0;
	becomes(&frame, ethernet, EBPFTLS_LINK_ETHERNET, 100, ad, 24, 1004);
	/* what is no Ethernet has no place for it */
	becomes(&frame, ethernet, EBPFTLS_LINK_AS_IS, 100, ethernet, 20, 1000);
}

static void
snaplen(void)
{
	static const uint8_t tagged[] = {
		0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00,
		0x00, 0x00, 0x00, 0x02, 0x81, 0x00, 0x00, 0x07,
		0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	struct ebpftls_frame frame = describe(20);

	for (uint32_t length = 0; length <= 20; length++)
		becomes(&frame, ethernet, EBPFTLS_LINK_ETHERNET, length,
			ethernet, length, 20);
	frame.vlan_tpid = htons(0x8100);
	frame.vlan_tci = 7;
	for (uint32_t length = 0; length <= 24; length++)
		becomes(&frame, ethernet, EBPFTLS_LINK_ETHERNET, length, tagged,
			length, 24);
}

/* Without both addresses there is no place for the tag. */
static void
tiny_caplen(void)
{
	struct ebpftls_frame frame = describe(20);
	static const uint8_t tagged[] = {
		0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00,
		0x00, 0x00, 0x02, 0x81, 0x00, 0x00, 0x07, 0x08, 0x00,
	};

	frame.len = 1000;
	frame.vlan_tpid = htons(0x8100);
	frame.vlan_tci = 7;
	for (uint32_t length = 1; length < 12; length++) {
		frame.caplen = length;
		becomes(&frame, ethernet, EBPFTLS_LINK_ETHERNET, 100, ethernet,
			length, 1000);
	}
	for (uint32_t length = 12; length <= 14; length++) {
		frame.caplen = length;
		becomes(&frame, ethernet, EBPFTLS_LINK_ETHERNET, 100, tagged,
			length + 4, 1004);
	}
}

/* The filter has its say before the tag comes back, as in the kernel. */
static void
kept_by_filter(void)
{
	struct ebpftls_frame frame = describe(20);
	struct fixture f = { .start = 0 };

	frame.vlan_tpid = htons(0x8100);
	make_packet(&f, &frame, ethernet, EBPFTLS_LINK_ETHERNET, 15, 100);
	check(f.packet.caplen == 19 && f.packet.len == 24);
	perf_free(&f.perf);
	make_packet(&f, &frame, ethernet, EBPFTLS_LINK_ETHERNET, 11, 100);
	expect(&f.packet, ethernet, 11, 20);
	perf_free(&f.perf);
}

static void
sll(void)
{
	static const uint8_t want[] = {
		0x00, 0x04, 0x00, 0x01, 0x00, 0x06, 0x02, 0x00,
		0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x08, 0x00,
		0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	static const uint8_t tagged[] = {
		0x00, 0x04, 0x00, 0x01, 0x00, 0x06, 0x02, 0x00, 0x00,
		0x00, 0x00, 0x02, 0x00, 0x00, 0x88, 0xa8, 0x30, 0x05,
		0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	struct ebpftls_frame frame = describe(20);

	frame.pkttype = PACKET_OUTGOING;
	becomes(&frame, ethernet, EBPFTLS_LINK_SLL, 100, want, 22, 22);
	frame.len = 1014;
	becomes(&frame, ethernet, EBPFTLS_LINK_SLL, 100, want, 22, 1016);
	becomes(&frame, ethernet, EBPFTLS_LINK_SLL, 17, want, 17, 1016);
	frame.vlan_tpid = htons(0x88a8);
	frame.vlan_tci = 0x3005;
	becomes(&frame, ethernet, EBPFTLS_LINK_SLL, 100, tagged, 26, 1020);
	becomes(&frame, ethernet, EBPFTLS_LINK_SLL, 17, tagged, 17, 1020);
}

static void
sll2(void)
{
	static const uint8_t want[] = {
		0x08, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x00,
		0x01, 0x01, 0x06, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02,
		0x00, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	struct ebpftls_frame frame = describe(20);

	frame.pkttype = PACKET_BROADCAST;
	becomes(&frame, ethernet, EBPFTLS_LINK_SLL2, 100, want, 26, 26);
	becomes(&frame, ethernet, EBPFTLS_LINK_SLL2, 21, want, 21, 26);
	frame.len = 2014;
	frame.vlan_tpid = htons(0x8100); /* lost, as in pcap-linux.c */
	becomes(&frame, ethernet, EBPFTLS_LINK_SLL2, 100, want, 26, 2020);
}

/*
 * A tag that is in the frame, and not in metadata: packet sockets tell the
 * innermost protocol, and of the outermost tag as if it were in metadata.
 */
static void
tag_in_frame(void)
{
	static const uint8_t frame_bytes[] = {
		0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00,
		0x00, 0x00, 0x00, 0x02, 0x81, 0x00, 0x20, 0x05,
		0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	static const uint8_t want[] = {
		0x08, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x00,
		0x01, 0x04, 0x06, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02,
		0x00, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	static const uint8_t want_sll[] = {
		0x00, 0x04, 0x00, 0x01, 0x00, 0x06, 0x02, 0x00, 0x00,
		0x00, 0x00, 0x02, 0x00, 0x00, 0x81, 0x00, 0x20, 0x05,
		0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	struct ebpftls_frame frame = describe(sizeof(frame_bytes));

	frame.pkttype = PACKET_OUTGOING;
	frame.protocol = htons(0x8100);
	frame.network = 18;
	becomes(&frame, frame_bytes, EBPFTLS_LINK_SLL2, 100, want, 26, 26);
	becomes(&frame, frame_bytes, EBPFTLS_LINK_SLL, 100, want_sll, 26, 26);
	becomes(&frame, frame_bytes, EBPFTLS_LINK_ETHERNET, 100, frame_bytes,
		24, 24);
}

/* One in metadata, one in the frame, which came in: the latter stays there. */
static void
two_tags(void)
{
	static const uint8_t frame_bytes[] = {
		0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00,
		0x00, 0x00, 0x00, 0x02, 0x81, 0x00, 0x20, 0x05,
		0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	static const uint8_t want[] = {
		0x08, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x00, 0x01,
		0x00, 0x06, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00,
		0x20, 0x05, 0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	static const uint8_t want_sll[] = {
		0x00, 0x00, 0x00, 0x01, 0x00, 0x06, 0x02, 0x00, 0x00, 0x00,
		0x00, 0x02, 0x00, 0x00, 0x88, 0xa8, 0x00, 0x07, 0x08, 0x00,
		0x20, 0x05, 0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	struct ebpftls_frame frame = describe(sizeof(frame_bytes));

	frame.protocol = htons(0x8100);
	frame.vlan_tpid = htons(0x88a8);
	frame.vlan_tci = 7;
	becomes(&frame, frame_bytes, EBPFTLS_LINK_SLL2, 100, want, 30, 30);
	becomes(&frame, frame_bytes, EBPFTLS_LINK_SLL, 100, want_sll, 30, 30);
}

/* The frame ends, or was cut, within its tags: nobody reads on. */
static void
tags_without_end(void)
{
	uint8_t tags[60];
	struct ebpftls_frame frame = describe(sizeof(tags));

	for (size_t i = 0; i < sizeof(tags); i++)
		tags[i] = i % 4 == 0 ? 0x81 : 0;
	frame.protocol = htons(0x8100);
	for (frame.caplen = 1; frame.caplen <= 60; frame.caplen++) {
		struct fixture f = { .start = 256 };

		make_packet(&f, &frame, tags, EBPFTLS_LINK_SLL2, UINT32_MAX,
			    UINT32_MAX);
		check(f.packet.len == 60 - 14 + 20);
		check(f.packet.caplen >= 20 && f.packet.bytes[9] == 1);
		perf_free(&f.perf);
	}
}

/* A device that has no link-layer header, or one that is not known. */
static void
no_sender(void)
{
	static const uint8_t cooked[] = {
		0xdd, 0x86, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0xff,
		0xfe, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	static const uint8_t sll_cooked[] = {
		0x00, 0x00, 0xff, 0xfe, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xdd, 0x86,
		0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	struct ebpftls_frame frame = describe(sizeof(raw));

	frame.hatype = ARPHRD_NONE;
	frame.protocol = htons(0xdd86);
	frame.network = 0;
	becomes(&frame, raw, EBPFTLS_LINK_SLL2, 100, cooked, 26, 26);
	becomes(&frame, raw, EBPFTLS_LINK_SLL, 100, sll_cooked, 22, 22);
	becomes(&frame, raw, EBPFTLS_LINK_AS_IS, 100, raw, 6, 6);
	becomes(&frame, raw, EBPFTLS_LINK_AS_IS, 4, raw, 4, 6);
}

/* A tag on a raw device cannot be shown; nothing else is changed for it. */
static void
raw_tag(void)
{
	struct ebpftls_frame frame = describe(sizeof(raw));

	frame.hatype = ARPHRD_NONE;
	frame.vlan_tpid = htons(0x8100);
	becomes(&frame, raw, EBPFTLS_LINK_AS_IS, 100, raw, 6, 6);
}

static void
loopback(void)
{
	static const uint8_t bytes[15] = { [12] = 0x08, [14] = 0x45 };
	static const uint8_t want[] = {
		0x08, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03,
		0x04, 0x03, 0x04, 0x00, 0x06, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x45,
	};
	struct ebpftls_frame frame = describe(sizeof(bytes));

	frame.hatype = ARPHRD_LOOPBACK;
	becomes(&frame, bytes, EBPFTLS_LINK_SLL2, 100, want, 21, 21);
}

/* So little of the frame is there that it holds no whole header. */
static void
cut_header(void)
{
	static const uint8_t want[] = {
		0x08, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x00, 0x01,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	};
	struct ebpftls_frame frame = describe(20);

	for (uint32_t length = 1; length < 14; length++) {
		frame.caplen = length;
		becomes(&frame, ethernet, EBPFTLS_LINK_SLL2, 100, want, 20, 26);
	}
}

/* Wherever the sender says the network header is, it is in the frame. */
static void
network_offset(void)
{
	struct ebpftls_frame frame = describe(20);
	struct fixture f;

	frame.len = 1000;
	for (uint32_t network = 0; network <= UINT16_MAX; network += 5) {
		uint32_t skip = network <= 1000 ? network : 0;
		uint32_t there = skip < 20 ? 20 - skip : 0;

		frame.network = (uint16_t)network;
		f.start = network / 5 % 64 * 8;
		make_packet(&f, &frame, ethernet, EBPFTLS_LINK_SLL2, UINT32_MAX,
			    UINT32_MAX);
		check(f.packet.filter_len == 1000 - skip);
		check(f.packet.len == 1020 - skip);
		if (check(f.packet.caplen == 20 + there))
			check_bytes(f.packet.bytes + 20, ethernet + skip,
				    there);
		perf_free(&f.perf);
	}
}

/* A filter sees no tag, and as length the one without a header of ours. */
static void
seen_by_filter(void)
{
	static const enum ebpftls_link links[] = {
		EBPFTLS_LINK_AS_IS,
		EBPFTLS_LINK_ETHERNET,
		EBPFTLS_LINK_SLL,
		EBPFTLS_LINK_SLL2,
	};
	static const uint32_t lengths[] = { 20, 20, 6 + 16, 6 + 20 };
	struct ebpftls_frame frame = describe(20);
	struct ebpftls_packet packet;
	struct perf perf;

	frame.vlan_tpid = htons(0x8100);
	perf_make(&perf, RING_SIZE, 0, 20);
	perf_frame(&perf, &frame, ethernet);
	ebpftls_ring_look(&perf.ring);
	check(ebpftls_ring_next(&perf.ring) == EBPFTLS_RING_FRAME);
	for (int i = 0; i < 4; i++) {
		ebpftls_frame_link(&packet, &perf.ring, links[i]);
		check(packet.caplen == lengths[i]);
		check(packet.len == lengths[i]);
		check(packet.filter_len == (i < 2 ? 20 : 6));
		check_bytes(packet.bytes + lengths[i] - 6, ethernet + 14, 6);
	}
	perf_free(&perf);
}

/* As in the kernel, a filter takes the tag in the bytes for the protocol. */
static void
tag_seen_by_filter(void)
{
	static const uint8_t frame_bytes[] = {
		0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00,
		0x00, 0x00, 0x00, 0x02, 0x81, 0x00, 0x20, 0x05,
		0x08, 0x00, 0x45, 0x11, 0x22, 0x33, 0x44, 0x55,
	};
	static const uint8_t before[] = { 0x81, 0x00 }, after[] = { 0x08, 0 };
	struct ebpftls_frame frame = describe(sizeof(frame_bytes));
	struct ebpftls_packet packet;
	struct perf perf;

	frame.protocol = htons(0x8100);
	frame.network = 18;
	perf_make(&perf, RING_SIZE, 0, sizeof(frame_bytes));
	perf_frame(&perf, &frame, frame_bytes);
	ebpftls_ring_look(&perf.ring);
	check(ebpftls_ring_next(&perf.ring) == EBPFTLS_RING_FRAME);
	ebpftls_frame_link(&packet, &perf.ring, EBPFTLS_LINK_SLL2);
	check_bytes(packet.bytes, before, 2);
	check(perf.ring.frame.protocol == htons(0x8100));
	check(perf.ring.frame.vlan_tpid == 0);
	ebpftls_frame_finish(&packet, &perf.ring, EBPFTLS_LINK_SLL2, 100);
	check_bytes(packet.bytes, after, 2);
	perf_free(&perf);
}

/* Whatever the packet was made of, there is room for PKTAP's before it. */
static void
prepended(void)
{
	static const enum ebpftls_link links[] = {
		EBPFTLS_LINK_AS_IS,
		EBPFTLS_LINK_ETHERNET,
		EBPFTLS_LINK_SLL,
		EBPFTLS_LINK_SLL2,
	};
	static const uint32_t lengths[] = { 20, 20 + 4, 6 + 16 + 4, 6 + 20 };
	static const uint32_t sizes[] = { 0, 14, 16, 20 };
	struct ebpftls_frame frame = describe(20);
	struct fixture f;

	frame.vlan_tpid = htons(0x8100);
	for (f.start = 0; f.start < RING_SIZE; f.start += 8)
		for (int i = 0; i < 4; i++) {
			uint8_t *header, before[26];

			make_packet(&f, &frame, ethernet, links[i], UINT32_MAX,
				    100);
			memcpy(before, f.packet.bytes, lengths[i]);
			header =
			    ebpftls_frame_prepend(&f.packet, &f.perf.ring, 108);
			memset(header, 0xaa, 108);
			check(header == f.packet.bytes);
			check_bytes(header + 108, before, lengths[i]);
			check(f.packet.caplen == 108 + lengths[i]);
			check(f.packet.len == 108 + lengths[i]);
			check(ebpftls_frame_link_size(links[i]) == sizes[i]);
			perf_free(&f.perf);
		}
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "an Ethernet frame is delivered where it lies",
		  ethernet_as_it_is },
		{ "the tag comes back into an Ethernet header", ethernet_tag },
		{ "no more than the snapshot length", snaplen },
		{ "too little of a frame for a tag", tiny_caplen },
		{ "what the filter keeps", kept_by_filter },
		{ "a cooked header", sll },
		{ "a cooked header of version 2", sll2 },
		{ "a tag within a cooked frame", tag_in_frame },
		{ "a tag within, and one in metadata", two_tags },
		{ "tags without an end", tags_without_end },
		{ "a device without addresses", no_sender },
		{ "a tag on a raw device", raw_tag },
		{ "the loopback device", loopback },
		{ "a cooked header for half a header", cut_header },
		{ "any offset of the network header", network_offset },
		{ "what a filter sees", seen_by_filter },
		{ "what a filter sees of a tag within", tag_seen_by_filter },
		{ "a header before a finished packet", prepended },
		{ NULL, NULL },
	};

	return check_main(cases);
}
