/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens packets of QUIC (RFC 9001, 9369). */
#ifndef TOOL_PACKET_H
#define TOOL_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-quic.h"
#include "suites.h"

/* A datagram has no more. */
#define PACKET_MAX 65535

/* For one direction and one kind of packets of a connection. */
struct packet_keys;

/*
 * Of a secret, in a version of QUIC. NULL: the suite has secrets of another
 * length, or none of TLS 1.3, or there is no memory.
 */
struct packet_keys *packet_keys_new(const struct suite *suite,
				    const uint8_t *secret, size_t size,
				    uint32_t version);

/* Those of the next key phase; NULL likewise. */
struct packet_keys *packet_keys_next(const struct packet_keys *keys);

/* Wipes and frees. */
void packet_keys_free(struct packet_keys *keys);

/* What was in a packet, up to the next one that goes into the same room. */
struct packet_content {
	const uint8_t *bytes;
	uint32_t size;
	uint64_t number;
};

/*
 * Opens a packet that is there as a whole, in which the place of the number is
 * known. `expected` is one more than the largest number before it. `room` is
 * for as many bytes as it has. False: the keys do not fit.
 */
bool packet_open(const struct packet_keys *keys,
		 const struct ebpftls_quic_packet *packet, uint64_t expected,
		 uint8_t *room, struct packet_content *content);

#endif
