/* SPDX-License-Identifier: BSD-3-Clause */
/* Random frames, most of them like those on a network. */
#ifndef FRAMES_H
#define FRAMES_H

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "cbpf/kernel.h"
#include "unit/check.h"

#define FRAMES_LONGEST 3000u /* that every kernel takes for a test run */
#define FRAMES_PAYLOAD 200u

struct frames_buffer {
	uint8_t bytes[FRAMES_LONGEST];
	uint32_t len;
};

static inline bool
frames_chance(uint32_t percent)
{
	return check_random(100) < percent;
}

static inline void
frames_put(struct frames_buffer *to, uint32_t size, uint64_t value)
{
	while (size-- > 0 && to->len < FRAMES_LONGEST)
		to->bytes[to->len++] =
		    (uint8_t)(size < 8 ? value >> (8 * size) : 0);
}

static inline void
frames_fill(struct frames_buffer *to, uint32_t size)
{
	while (size-- > 0)
		frames_put(to, 1, check_random(256));
}

static inline uint32_t
frames_pick(const uint32_t *values, size_t count)
{
	return values[check_random((uint32_t)count)];
}

#define FRAMES_PICK(...)                               \
	frames_pick((const uint32_t[]){ __VA_ARGS__ }, \
		    sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

static inline void
frames_address(struct frames_buffer *to)
{
	frames_put(to, 4,
		   FRAMES_PICK(0x0a000001, 0x0a000002, 0x7f000001, 0xc0a80101,
			       0xc0a80202, 0xe0000001, 0xefffff01, 0xffffffff,
			       0x08080808, 0x0a4d0001,
			       check_random(0xffffffff)));
}

static inline void
frames_address6(struct frames_buffer *to)
{
	switch (check_random(4)) {
	case 0: /* 2001:db8::1 to ::3 */
		frames_put(to, 8, 0x20010db800000000);
		break;
	case 1:
		frames_put(to, 8, 0xfe80000000000000);
		break;
	case 2:
		frames_put(to, 8, 0xff02000000000000);
		break;
	default:
		frames_put(to, 8, 0);
	}
	frames_put(to, 8, check_random(4));
}

static inline uint32_t
frames_port(void)
{
	return FRAMES_PICK(22, 25, 53, 67, 80, 123, 443, 1000, 4444, 4789, 6081,
			   8080, 53000, check_random(65536));
}

static inline void
frames_transport(struct frames_buffer *to, uint32_t protocol)
{
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ||
	    protocol == IPPROTO_IGMP) {
		frames_put(to, 1,
			   FRAMES_PICK(0, 3, 5, 8, 11, 128, 129, 135, 136));
		frames_put(to, 1, check_random(5));
		return;
	}
	frames_put(to, 2, frames_port());
	frames_put(to, 2, frames_port());
	if (protocol != IPPROTO_TCP)
		return;
	frames_fill(to, 8);
	frames_put(to, 1, (5 + check_random(frames_chance(70) ? 1 : 11)) << 4);
	frames_put(to, 1,
		   frames_chance(70) ? 1u << check_random(8)
				     : check_random(256));
	frames_fill(to, 6);
	if (frames_chance(30))
		frames_put(to, 4, FRAMES_PICK(0x47455420, 0x16030100));
}

static inline void
frames_ip(struct frames_buffer *to)
{
	uint32_t protocol =
	    FRAMES_PICK(6, 6, 6, 17, 17, 17, 1, 2, 4, 41, 47, 50, 51, 89, 103,
			108, 112, 132, check_random(256));
	uint32_t words = frames_chance(75) ? 5 : check_random(16);

	frames_put(to, 1, 0x40 | words);
	frames_put(to, 1, FRAMES_PICK(0, 0, 0x10, 0xb8));
	frames_put(to, 2, 20 + check_random(1500));
	frames_fill(to, 2);
	frames_put(to, 2,
		   FRAMES_PICK(0, 0, 0x4000, 0x4000, 0x2000, 0x2001, 0x0010,
			       0x1fff));
	frames_put(to, 1, FRAMES_PICK(1, 64, 255));
	frames_put(to, 1, protocol);
	frames_fill(to, 2);
	frames_address(to);
	frames_address(to);
	frames_fill(to, words > 5 ? 4 * (words - 5) : 0);
	frames_transport(to, protocol);
}

static inline void
frames_ip6(struct frames_buffer *to)
{
	uint32_t next = FRAMES_PICK(6, 6, 17, 17, 58, 44, 0, 60, 43, 51, 132,
				    check_random(256));

	frames_put(to, 4, 0x60000000 | check_random(0x100000));
	frames_put(to, 2, check_random(1500));
	frames_put(to, 1, next);
	frames_put(to, 1, FRAMES_PICK(1, 64, 255));
	frames_address6(to);
	frames_address6(to);
	if (next == 44 || next == 0 || next == 60 || next == 43) {
		next = FRAMES_PICK(6, 17, 58);
		frames_put(to, 1, next);
		frames_put(to, 7, FRAMES_PICK(0, 1));
	}
	frames_transport(to, next);
}

static inline void
frames_arp(struct frames_buffer *to)
{
	frames_put(to, 6, 0x000108000604);
	frames_put(to, 2, 1 + check_random(4));
	frames_fill(to, 6);
	frames_address(to);
	frames_fill(to, 6);
	frames_address(to);
}

static inline void
frames_llc(struct frames_buffer *to)
{
	frames_put(to, 2,
		   FRAMES_PICK(0x4242, 0xfefe, 0xaaaa, 0xe0e0, 0xf0f0, 0xffff,
			       0x0001));
	frames_put(to, 1, FRAMES_PICK(3, 3, 0, 1, 5, 9, 0x7f, 0xe3));
	frames_put(to, 5, FRAMES_PICK(0x0800, 0x809b, 0x80f3, 0x83));
}

static inline void
frames_network(struct frames_buffer *to, uint32_t protocol)
{
	switch (protocol) {
	case ETH_P_IP:
		frames_ip(to);
		break;
	case ETH_P_IPV6:
		frames_ip6(to);
		break;
	case ETH_P_ARP:
	case ETH_P_RARP:
		frames_arp(to);
		break;
	case ETH_P_MPLS_UC:
		frames_put(to, 4,
			   check_random(64) << 12 | check_random(2) << 8 | 64);
		frames_ip(to);
		break;
	case ETH_P_PPP_SES:
		frames_put(to, 6,
			   0x110000000000 | (uint64_t)check_random(9) << 16);
		frames_put(to, 2, FRAMES_PICK(0x21, 0x57, 0xc021));
		frames_ip(to);
		break;
	default:
		if (protocol <= 1500)
			frames_llc(to);
	}
}

static inline void
frames_link(struct frames_buffer *to)
{
	static const uint64_t addresses[] = {
		0,
		0,
		0xffffffffffff,
		0x01005e000001,
		0x0180c2000000,
		0x333300000001,
		0x020000000001,
		0x020000000002,
	};

	frames_put(to, 6, addresses[check_random(8)]);
	frames_put(to, 6, addresses[check_random(8)]);
	while (frames_chance(15)) {
		frames_put(to, 2, FRAMES_PICK(0x8100, 0x8100, 0x88a8, 0x9100));
		frames_put(to, 2, check_random(8) << 13 | check_random(10));
	}
}

static inline uint32_t
frames_protocol(void)
{
	return FRAMES_PICK(ETH_P_IP, ETH_P_IP, ETH_P_IP, ETH_P_IP, ETH_P_IPV6,
			   ETH_P_IPV6, ETH_P_ARP, ETH_P_RARP, ETH_P_MPLS_UC,
			   ETH_P_PPP_DISC, ETH_P_PPP_SES, 0x88cc, 0x88b5,
			   0x6000, 0x809b, 0x9000, check_random(1501),
			   check_random(65536));
}

/* What is on the network, or almost; `link`: with a header of Ethernet. */
static inline void
frames_build(struct frames_buffer *to, bool link)
{
	uint32_t protocol = frames_protocol();

	to->len = 0;
	if (link) {
		frames_link(to);
		frames_put(to, 2, protocol);
		frames_network(to, protocol);
	} else {
		frames_network(to, frames_chance(60) ? ETH_P_IP : ETH_P_IPV6);
	}
	if (frames_chance(3))
		frames_fill(to, FRAMES_LONGEST);
	else if (frames_chance(80))
		frames_fill(to, check_random(FRAMES_PAYLOAD));
	if (frames_chance(12))
		to->len = check_random(to->len);
	while (to->len < ETH_HLEN) /* no kernel runs a test with less */
		frames_fill(to, 1);
}

static inline uint16_t
frames_network_offset(uint32_t len)
{
	if (frames_chance(85))
		return ETH_HLEN;
	return (uint16_t)(frames_chance(50) ? check_random(len + 20)
					    : check_random(65536));
}

/* A tag in the bytes would take the place of one that is taken away. */
static inline bool
frames_has_tag(const struct sample *sample)
{
	uint16_t protocol;

	memcpy(&protocol, sample->bytes + 2 * ETH_ALEN, sizeof(protocol));
	return protocol == htons(ETH_P_8021Q) ||
	       protocol == htons(ETH_P_8021AD);
}

/* With a tag beside it and the rest of its metadata. */
static inline void
frames_dress(struct sample *sample, const void *bytes, uint32_t len)
{
	memset(sample, 0, sizeof(*sample));
	sample->bytes = malloc(len);
	if (sample->bytes == NULL)
		abort();
	memcpy(sample->bytes, bytes, len);
	sample->len = len;
	sample->type = (uint8_t)check_random(4);
	sample->network = frames_network_offset(len);
	if (frames_chance(35)) {
		sample->tpid = frames_chance(70) ? ETH_P_8021Q : ETH_P_8021AD;
		sample->tci =
		    (uint16_t)(frames_chance(70) ? check_random(10)
						 : check_random(65536));
		sample->untagged = frames_chance(20) && !frames_has_tag(sample);
	}
}

static inline void
frames_make(struct sample *sample, bool link)
{
	struct frames_buffer frame;

	frames_build(&frame, link);
	frames_dress(sample, frame.bytes, frame.len);
}

#endif
