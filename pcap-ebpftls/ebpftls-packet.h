/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the payload of TCP and UDP in a packet. What is in a tunnel, or in an
 * IP fragment that is not the first, is not found.
 */
#ifndef EBPFTLS_PACKET_H
#define EBPFTLS_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#define EBPFTLS_TCP 6
#define EBPFTLS_UDP 17

#define EBPFTLS_TCP_FIN 0x01
#define EBPFTLS_TCP_SYN 0x02
#define EBPFTLS_TCP_RST 0x04
#define EBPFTLS_TCP_ACK 0x10

struct ebpftls_segment {
	const uint8_t *source; /* address, in the packet */
	const uint8_t *destination;
	uint8_t address_size; /* 4 or 16 */
	uint8_t protocol;     /* EBPFTLS_TCP or EBPFTLS_UDP */
	uint8_t flags;	      /* of TCP */
	uint16_t source_port;
	uint16_t destination_port;
	uint32_t sequence; /* of TCP: of the first byte of the payload */
	uint32_t acknowledged;
	const uint8_t *payload;
	uint32_t caplen; /* of the payload */
	uint32_t len;
};

/* A connection whichever way its packets go: the lower end first. */
struct ebpftls_tuple {
	uint8_t address[2][16];
	uint16_t port[2];
	uint8_t address_size;
	uint8_t protocol;
	uint8_t reserved[2];
};

/* False: there is no payload of TCP or UDP in it, nor room for one. */
bool ebpftls_packet_parse(struct ebpftls_segment *segment, int linktype,
			  const uint8_t *bytes, uint32_t caplen);

/* The segment's connection. Returns which end of it has sent it: 0 or 1. */
uint8_t ebpftls_packet_tuple(const struct ebpftls_segment *segment,
			     struct ebpftls_tuple *tuple);

#endif
