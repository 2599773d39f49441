/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes of a frame as the kernel has it the packet that libpcap delivers. */
#ifndef EBPFTLS_FRAME_H
#define EBPFTLS_FRAME_H

#include <stdint.h>

#include "ebpftls-ring.h"

/* What stands before the network header of a delivered packet. */
enum ebpftls_link {
	EBPFTLS_LINK_AS_IS, /* whatever the device uses, or nothing */
	EBPFTLS_LINK_ETHERNET,
	EBPFTLS_LINK_SLL,
	EBPFTLS_LINK_SLL2,
};

struct ebpftls_packet {
	const uint8_t *bytes;
	uint32_t caplen;
	uint32_t len;
	uint32_t filter_len; /* what a filter takes for the packet's length */

	/* what the finished packet has, of a cooked header and a tag */
	uint16_t protocol_be;
	uint16_t tpid_be; /* 0: no tag */
	uint16_t tci;
};

/*
 * The packet as a filter has to see the ring's frame: with its link-layer
 * header, but with a VLAN tag still in metadata, as the kernel's own filters
 * do.
 */
void ebpftls_frame_link(struct ebpftls_packet *packet,
			struct ebpftls_ring *ring, enum ebpftls_link link);

/* Puts the VLAN tag back and keeps no more than `snaplen` bytes. */
void ebpftls_frame_finish(struct ebpftls_packet *packet,
			  struct ebpftls_ring *ring, enum ebpftls_link link,
			  uint32_t snaplen);

/* The size of the link-layer header, without tags. */
uint32_t ebpftls_frame_link_size(enum ebpftls_link link);

/* Room for a header before the finished packet, which it is now part of. */
uint8_t *ebpftls_frame_prepend(struct ebpftls_packet *packet,
			       struct ebpftls_ring *ring, uint32_t size);

#endif
