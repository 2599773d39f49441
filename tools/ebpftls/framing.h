/* SPDX-License-Identifier: BSD-3-Clause */
/* Cuts one direction of a TLS connection into records. */
#ifndef TOOL_FRAMING_H
#define TOOL_FRAMING_H

#include <stdbool.h>
#include <stdint.h>

#define FRAMING_CCS	  20
#define FRAMING_HANDSHAKE 22
#define FRAMING_DATA	  23

/* All zero: a record comes first. */
struct framing {
	uint8_t first; /* type of the first record of which the header came */
	bool alien;    /* what came first is no record: nothing will be cut */

	/* the record that has begun */
	uint8_t *record;
	uint32_t have;
	uint32_t room;
	uint32_t skip; /* bytes of one that cannot be had as a whole */
	bool lost;     /* it is not known where the next one begins */
};

/* What is done with records. */
struct framing_taker {
	void *context;

	/* a whole one, its header included */
	void (*record)(void *context, const uint8_t *record, uint32_t size);

	/* one of this type that has begun, and cannot be had */
	void (*missed)(void *context, uint8_t type);

	/* bytes of records nothing is known of; whole ones in the end */
	void (*lost)(void *context, uint32_t count);
};

/* What comes next; each time maybe a segment, at which a record may begin. */
void framing_bytes(struct framing *framing, const struct framing_taker *taker,
		   const uint8_t *bytes, uint32_t count);

/* What comes next cannot be had. */
void framing_gap(struct framing *framing, const struct framing_taker *taker,
		 uint32_t count);

void framing_free(struct framing *framing);

#endif
