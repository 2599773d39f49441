/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Follows a TLS connection and opens its records with the keys that stand in
 * the file so far, as a reader does that goes through it once.
 */
#ifndef TOOL_CONVERSATION_H
#define TOOL_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keylog.h"
#include "suites.h"

enum conversation_side { SIDE_CLIENT, SIDE_SERVER };

/* What has come of it; labels are bits 1 << ebpftls_label. */
struct conversation_result {
	bool begun; /* a handshake, or a part of one */
	bool client_hello;
	bool server_hello;
	uint8_t random[KEYLOG_RANDOM]; /* if there was a ClientHello */
	uint16_t version;	       /* if there was a ServerHello: 0x0304 */
	uint16_t number;	       /* of the cipher suite */
	const struct suite *suite;     /* NULL: it cannot be verified */
	uint32_t records; /* or packets that are encrypted and were whole */
	uint32_t opened;
	uint32_t cut;	      /* not captured as a whole */
	uint32_t lost;	      /* holes in the streams */
	unsigned int missing; /* when they were needed */
	unsigned int wrong;   /* nothing could be opened with these */
};

struct conversation;

/* Its ClientHello, or at least a ServerHello, comes next. NULL: no memory. */
struct conversation *conversation_new(struct keylog *log);
void conversation_free(struct conversation *conversation);

/* What a side has sent. */
void conversation_bytes(struct conversation *conversation,
			enum conversation_side side, const uint8_t *bytes,
			uint32_t count);

/* What a side has sent that is not there; `cut`: it was not captured. */
void conversation_gap(struct conversation *conversation,
		      enum conversation_side side, uint32_t count, bool cut);

/* So far; what of it is an end of something can still change. */
struct conversation_result
conversation_result(const struct conversation *conversation);

/* Whether what came cannot be TLS: nothing more is of use. */
bool conversation_is_over(const struct conversation *conversation);

#endif
