/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Follows TLS, DTLS and QUIC handshakes in the packets, just far enough to
 * say which secrets have to stand before a packet.
 */
#ifndef EBPFTLS_FLOW_H
#define EBPFTLS_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-keys.h"

/* Who is at one end of a packet or connection, as far as is known. */
struct ebpftls_end {
	uint64_t start; /* of the process */
	uint32_t pid;	/* 0: not known */
	uint32_t here;	/* 0: nobody on this machine */
};

/* What a packet needs before it: for a reader that goes through once. */
struct ebpftls_need {
	uint8_t random[EBPFTLS_RANDOM_SIZE];
	uint16_t labels; /* bits 1 << ebpftls_label; 0: nothing */
	bool older; /* it is the first of a connection without a handshake */
	struct ebpftls_end ends[2]; /* of the connection, as they were last */
};

struct ebpftls_flows;

/*
 * Follows at most `flows` handshakes at once, at least one; the oldest gives
 * way. Memory is taken here and nowhere else. NULL: there is none.
 */
struct ebpftls_flows *ebpftls_flows_new(size_t flows);
void ebpftls_flows_free(struct ebpftls_flows *flows);

/*
 * Looks at the next packet, of this LINKTYPE_ (1, 101, 113, 276), between
 * sender and receiver in `ends`. Marks the connections whose ClientHello it
 * sees as `captured` in `keys`. Fills in what the packet needs, whether or not
 * it is there already; returns whether it needs anything. `time` is in
 * nanoseconds of any clock that goes on.
 */
bool ebpftls_flows_packet(struct ebpftls_flows *flows,
			  struct ebpftls_keys *keys, int linktype,
			  const uint8_t *bytes, uint32_t caplen,
			  const struct ebpftls_end ends[2], uint64_t time,
			  struct ebpftls_need *need);

/*
 * Whether all that is needed is there, or can no longer come: the early
 * secret of a connection whose later ones are there.
 */
bool ebpftls_flows_satisfied(struct ebpftls_keys *keys,
			     const struct ebpftls_need *need);

/*
 * How many TLS connections over TCP there were without a handshake: older than
 * the capture. An estimate: of very many it forgets which it has counted.
 */
uint64_t ebpftls_flows_older(const struct ebpftls_flows *flows);

/*
 * Calls `open` with the client random of each handshake that is not over,
 * beginning with the oldest: a new file begins with their secrets.
 */
void ebpftls_flows_open(struct ebpftls_flows *flows,
			void (*open)(void *context,
				     const uint8_t random[EBPFTLS_RANDOM_SIZE]),
			void *context);

#endif
