/* SPDX-License-Identifier: BSD-3-Clause */
/* Follows a connection of DTLS up to 1.2 and opens its records. */
#ifndef TOOL_DTLS_H
#define TOOL_DTLS_H

#include "conversation.h"

struct dtls;

/* Its ClientHello, with this random, comes next. NULL: no memory. */
struct dtls *dtls_new(struct keylog *log, const uint8_t random[KEYLOG_RANDOM]);
void dtls_free(struct dtls *dtls);

/* A datagram that a side has sent, of which less may have been captured. */
void dtls_datagram(struct dtls *dtls, enum conversation_side side,
		   const uint8_t *bytes, uint32_t caplen);

/* So far. */
struct conversation_result dtls_result(const struct dtls *dtls);

#endif
