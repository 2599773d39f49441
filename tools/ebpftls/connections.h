/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds the TLS connections in the packets of a file. */
#ifndef TOOL_CONNECTIONS_H
#define TOOL_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "claims.h"
#include "conversation.h"
#include "ebpftls-packet.h"
#include "keylog.h"

enum connection_kind { CONNECTION_TLS, CONNECTION_DTLS, CONNECTION_QUIC };

struct connection {
	struct connection *next; /* by their beginning in the file */
	enum connection_kind kind;
	struct ebpftls_tuple tuple;
	uint8_t client;	  /* which end of the tuple, as far as can be told */
	bool begun;	  /* its first packets are in the file */
	struct ends ends; /* processes: client, server */
	struct conversation_result result;
	unsigned int have; /* secrets in the whole file: 1 << ebpftls_label */
	const char *libraries[2]; /* of the ends, as keylog_library() has it */
	bool told;		  /* what is known of it now is not news */
};

/* Gets a connection when both ends have said that they end it. */
typedef void connections_taker(void *context,
			       const struct connection *connection);

struct connections;

/*
 * Follows at most `limit` at once, at least one: the one that was quiet longest
 * is taken to be over then. NULL: no memory.
 */
struct connections *connections_new(struct keylog *log, size_t limit);

/* From now on, `ended` gets each connection that ends, which is `told` then. */
void connections_tell(struct connections *connections, connections_taker *ended,
		      void *context);

void connections_free(struct connections *connections);

/* The next packet of the file. False: no memory. */
bool connections_packet(struct connections *connections, int linktype,
			const uint8_t *bytes, uint32_t caplen,
			const struct claims *claims);

/* After the last packet: all of them. */
const struct connection *connections_end(struct connections *connections);

#endif
