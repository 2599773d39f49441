// SPDX-License-Identifier: BSD-3-Clause
/* A bit for each byte tells whether it is there. */
#include "pieces.h"

void
pieces_add(struct pieces *pieces, uint64_t at, const uint8_t *bytes,
	   uint32_t count)
{
	for (uint32_t i = 0; i < count && at + i < PIECES_MAX; i++) {
		pieces->bytes[at + i] = bytes[i];
		pieces->have[(at + i) / 8] |= (uint8_t)(1u << (at + i) % 8);
	}
	while (pieces->front < PIECES_MAX &&
	       (pieces->have[pieces->front / 8] & 1u << pieces->front % 8))
		pieces->front++;
}
