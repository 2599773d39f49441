// SPDX-License-Identifier: BSD-3-Clause
/*
 * Makes packets of frames: what pcap-linux.c does to the frames of a packet
 * socket, for frames that come from TC. Most are delivered where they lie.
 */
#include "ebpftls-frame.h"

#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <pcap/sll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "ebpftls-pktap.h"

#define VLAN_TAG_SIZE 4

_Static_assert(EBPFTLS_PKTAP_SIZE + SLL2_HDR_LEN + VLAN_TAG_SIZE <=
		   EBPFTLS_HEADROOM,
	       "headroom");

struct vlan_tag {
	uint16_t tpid;
	uint16_t tci;
};

/*
 * The sender's link-layer address, as much as a packet socket tells of it.
 * Returns its length.
 */
static uint8_t
sender_address(const struct ebpftls_frame *frame, const uint8_t *bytes,
	       uint8_t address[SLL_ADDRLEN])
{
	memset(address, 0, SLL_ADDRLEN);
	if ((frame->hatype != ARPHRD_ETHER &&
	     frame->hatype != ARPHRD_LOOPBACK) ||
	    frame->caplen < ETH_HLEN)
		return 0;
	memcpy(address, bytes + ETH_ALEN, ETH_ALEN);
	return ETH_ALEN;
}

static void
write_sll(uint8_t *to, const struct ebpftls_frame *frame, uint8_t address_len,
	  const uint8_t *address)
{
	struct sll_header header = {
		.sll_pkttype = htons(frame->pkttype),
		.sll_hatype = htons(frame->hatype),
		.sll_halen = htons(address_len),
		.sll_protocol = frame->protocol,
	};

	memcpy(header.sll_addr, address, SLL_ADDRLEN);
	memcpy(to, &header, sizeof(header));
}

static void
write_sll2(uint8_t *to, const struct ebpftls_frame *frame, uint8_t address_len,
	   const uint8_t *address)
{
	struct sll2_header header = {
		.sll2_protocol = frame->protocol,
		.sll2_if_index = htonl(frame->ifindex),
		.sll2_hatype = htons(frame->hatype),
		.sll2_pkttype = frame->pkttype,
		.sll2_halen = address_len,
	};

	memcpy(header.sll2_addr, address, SLL_ADDRLEN);
	memcpy(to, &header, sizeof(header));
}

static bool
is_tag(uint16_t protocol_be)
{
	return protocol_be == htons(ETH_P_8021Q) ||
	       protocol_be == htons(ETH_P_8021AD);
}

/*
 * Tags may stand in the frame's bytes: a program sent it so, or it had two.
 * Then, as a cooked packet socket since Linux 6.11: the protocol is the one
 * after all tags, and the first counts as metadata if no other does.
 */
static void
read_tags(struct ebpftls_packet *packet, const struct ebpftls_frame *frame,
	  const uint8_t *bytes)
{
	uint32_t end = ETH_HLEN;

	if (frame->hatype != ARPHRD_ETHER)
		return;
	while (is_tag(packet->protocol_be) &&
	       end + VLAN_TAG_SIZE <= frame->caplen) {
		uint16_t tci;

		memcpy(&tci, bytes + end, sizeof(tci));
		if (packet->tpid_be == 0) {
			packet->tpid_be = packet->protocol_be;
			packet->tci = ntohs(tci);
		}
		memcpy(&packet->protocol_be, bytes + end + 2,
		       sizeof(packet->protocol_be));
		end += VLAN_TAG_SIZE;
	}
}

uint32_t
ebpftls_frame_link_size(enum ebpftls_link link)
{
	switch (link) {
	case EBPFTLS_LINK_ETHERNET:
		return ETH_HLEN;
	case EBPFTLS_LINK_SLL:
		return SLL_HDR_LEN;
	case EBPFTLS_LINK_SLL2:
		return SLL2_HDR_LEN;
	default:
		return 0;
	}
}

/* Replaces what stands before the network header. */
static void
cook(struct ebpftls_packet *packet, struct ebpftls_ring *ring,
     enum ebpftls_link link)
{
	const struct ebpftls_frame *frame = &ring->frame;
	uint8_t *bytes = ebpftls_ring_own(ring);
	uint8_t address[SLL_ADDRLEN];
	uint8_t address_len = sender_address(frame, bytes, address);
	uint32_t size = ebpftls_frame_link_size(link);
	/* a sender that never set it: the kernel takes the frame's start */
	uint32_t skip = frame->network <= frame->len ? frame->network : 0;

	packet->filter_len = frame->len - skip;
	packet->len = packet->filter_len + size;
	read_tags(packet, frame, bytes);
	if (skip > frame->caplen)
		skip = frame->caplen;
	packet->caplen = frame->caplen - skip + size;
	bytes += skip;
	bytes -= size;
	if (link == EBPFTLS_LINK_SLL)
		write_sll(bytes, frame, address_len, address);
	else
		write_sll2(bytes, frame, address_len, address);
	packet->bytes = bytes;
}

void
ebpftls_frame_link(struct ebpftls_packet *packet, struct ebpftls_ring *ring,
		   enum ebpftls_link link)
{
	packet->bytes = ring->bytes;
	packet->caplen = ring->frame.caplen;
	packet->len = ring->frame.len;
	packet->filter_len = ring->frame.len;
	packet->protocol_be = ring->frame.protocol;
	packet->tpid_be = ring->frame.vlan_tpid;
	packet->tci = ring->frame.vlan_tci;
	if (link == EBPFTLS_LINK_SLL || link == EBPFTLS_LINK_SLL2)
		cook(packet, ring, link);
}

/* The bytes of a packet that was made of the ring's own copy. */
static uint8_t *
own_bytes(const struct ebpftls_packet *packet, struct ebpftls_ring *ring)
{
	ptrdiff_t start = packet->bytes - ring->bytes; /* negative if cooked */

	return ebpftls_ring_own(ring) + start;
}

static void
set_protocol(const struct ebpftls_packet *packet, struct ebpftls_ring *ring,
	     uint32_t offset)
{
	memcpy(own_bytes(packet, ring) + offset, &packet->protocol_be,
	       sizeof(packet->protocol_be));
}

static void
restore_tag(struct ebpftls_packet *packet, struct ebpftls_ring *ring,
	    uint32_t offset)
{
	struct vlan_tag tag = { packet->tpid_be, htons(packet->tci) };
	uint8_t *bytes = own_bytes(packet, ring) - VLAN_TAG_SIZE;

	memmove(bytes, bytes + VLAN_TAG_SIZE, offset);
	memcpy(bytes + offset, &tag, sizeof(tag));
	packet->bytes = bytes;
	packet->caplen += VLAN_TAG_SIZE;
	packet->len += VLAN_TAG_SIZE;
}

void
ebpftls_frame_finish(struct ebpftls_packet *packet, struct ebpftls_ring *ring,
		     enum ebpftls_link link, uint32_t snaplen)
{
	uint32_t tag_at = UINT32_MAX; /* SLL2 has no place for it */

	switch (link) {
	case EBPFTLS_LINK_ETHERNET:
		tag_at = 2 * ETH_ALEN;
		break;
	case EBPFTLS_LINK_SLL:
		tag_at = offsetof(struct sll_header, sll_protocol);
		set_protocol(packet, ring, tag_at);
		break;
	case EBPFTLS_LINK_SLL2:
		set_protocol(packet, ring,
			     offsetof(struct sll2_header, sll2_protocol));
		break;
	case EBPFTLS_LINK_AS_IS:
		break;
	}
	if (packet->tpid_be != 0 && packet->caplen >= tag_at)
		restore_tag(packet, ring, tag_at);
	if (packet->caplen > snaplen)
		packet->caplen = snaplen;
}

uint8_t *
ebpftls_frame_prepend(struct ebpftls_packet *packet, struct ebpftls_ring *ring,
		      uint32_t size)
{
	uint8_t *bytes = own_bytes(packet, ring) - size;

	packet->bytes = bytes;
	packet->caplen += size;
	packet->len += size;
	return bytes;
}
