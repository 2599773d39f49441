/* SPDX-License-Identifier: BSD-3-Clause */
/* Puts together what comes in pieces, each with its place: in any order. */
#ifndef TOOL_PIECES_H
#define TOOL_PIECES_H

#include <stdint.h>

/* What is behind this is not kept: hello messages of servers are shorter. */
#define PIECES_MAX 2048

/* All zero: nothing has come. */
struct pieces {
	uint32_t front; /* so many bytes are there from the first one on */
	uint8_t bytes[PIECES_MAX];
	uint8_t have[PIECES_MAX / 8]; /* bits */
};

void pieces_add(struct pieces *pieces, uint64_t at, const uint8_t *bytes,
		uint32_t count);

#endif
