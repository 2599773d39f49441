/* SPDX-License-Identifier: BSD-3-Clause */
/* Follows a connection of QUIC and opens its packets. */
#ifndef TOOL_QUIC_H
#define TOOL_QUIC_H

#include "conversation.h"
#include "ebpftls-quic.h"

struct quic;

/* The random is that of its ClientHello. NULL: no memory. */
struct quic *quic_new(struct keylog *log, const uint8_t random[KEYLOG_RANDOM]);
void quic_free(struct quic *quic);

/* From now on, what the keys of Initial packets are made of. */
void quic_set_origin(struct quic *quic,
		     const struct ebpftls_quic_origin *origin);

/*
 * A packet that a side has sent; NULL or the one before it in its datagram.
 * `cut`: it was not captured as a whole.
 */
void quic_packet(struct quic *quic, enum conversation_side side,
		 const struct ebpftls_quic_packet *packet, bool cut,
		 const struct ebpftls_quic_packet *before);

/* So far. */
struct conversation_result quic_result(const struct quic *quic);

#endif
