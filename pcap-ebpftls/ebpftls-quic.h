/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the packets in a datagram of QUIC (RFC 9000, 9369), the random of the
 * ClientHello in Initial packets, and what of a handshake there is in opened
 * ones.
 */
#ifndef EBPFTLS_QUIC_H
#define EBPFTLS_QUIC_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpftls-crypto.h"

#define EBPFTLS_QUIC_VERSION_1 0x00000001u
#define EBPFTLS_QUIC_VERSION_2 0x6b3343cfu

#define EBPFTLS_QUIC_CID_MAX	20
#define EBPFTLS_QUIC_HELLO_SIZE (4 + 2 + 32) /* up to the random's end */

enum ebpftls_quic_kind {
	EBPFTLS_QUIC_INITIAL,
	EBPFTLS_QUIC_EARLY,
	EBPFTLS_QUIC_HANDSHAKE,
	EBPFTLS_QUIC_RETRY,
	EBPFTLS_QUIC_SHORT,
};

/* What the keys of Initial packets are made of. */
struct ebpftls_quic_origin {
	uint32_t version;
	uint8_t cid_size;
	uint8_t cid[EBPFTLS_QUIC_CID_MAX];
};

struct ebpftls_quic_packet {
	enum ebpftls_quic_kind kind;
	struct ebpftls_quic_origin to; /* but not of a short header */
	const uint8_t *bytes;
	uint32_t size;	    /* that was captured */
	uint32_t len;	    /* that was sent */
	uint32_t number_at; /* where the packet number is; likewise */
	uint8_t from_size;  /* of its sender's connection id; likewise */
};

/* What has been seen of the ClientHello. */
struct ebpftls_quic_hello {
	uint64_t have; /* a bit for each byte */
	uint8_t bytes[EBPFTLS_QUIC_HELLO_SIZE];
};

/* Whether a packet with a long header, of a known version, begins here. */
bool ebpftls_quic_begins(const uint8_t *bytes, uint32_t caplen);

/* Takes the next packet off a datagram. False: no (other) one. */
bool ebpftls_quic_next(struct ebpftls_quic_packet *packet,
		       const uint8_t **bytes, uint32_t *caplen);

/*
 * Adds what an Initial packet has of the ClientHello. False: it was not
 * encrypted by a client with the keys of that origin, or has nothing of it.
 */
bool ebpftls_quic_collect(struct ebpftls_quic_hello *hello,
			  const struct ebpftls_quic_packet *packet,
			  const struct ebpftls_quic_origin *origin);

bool ebpftls_quic_same(const struct ebpftls_quic_origin *a,
		       const struct ebpftls_quic_origin *b);

/* The secret of the Initial packets of a client, or of its server. */
void ebpftls_quic_initial_secret(const struct ebpftls_quic_origin *origin,
				 bool from_server,
				 uint8_t secret[EBPFTLS_SHA256_SIZE]);

/* Gets `size` bytes of the handshake, which have their place at `at`. */
typedef void ebpftls_quic_taker(void *context, uint64_t at,
				const uint8_t *bytes, uint32_t size);

/*
 * Goes through the content of an Initial or Handshake packet. Returns whether
 * all frames were such as these may have; of one that was cut, up to there.
 */
bool ebpftls_quic_frames(const uint8_t *bytes, uint32_t size, bool cut,
			 ebpftls_quic_taker *take, void *context);

/* The random, or NULL if it is not there yet. */
const uint8_t *ebpftls_quic_random(const struct ebpftls_quic_hello *hello);

#endif
