/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts one direction of a TCP connection in order: each byte once, and where
 * bytes are not to be had, how many.
 */
#ifndef TOOL_STREAMS_H
#define TOOL_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-packet.h"

/* So much of what is ahead is kept, in so many pieces, until a hole is given
 * up. */
#define STREAM_BYTES_MAX  ((size_t)1 << 20)
#define STREAM_PIECES_MAX 256

struct stream_piece;

/* All zero: it begins with whatever comes first. */
struct stream {
	bool started;
	uint32_t next;		     /* sequence number */
	struct stream_piece *pieces; /* ahead, by sequence number */
	size_t bytes;
	size_t count;
};

/* What is done with a stream. */
struct stream_taker {
	void *context;
	void (*bytes)(void *context, const uint8_t *bytes, uint32_t count);

	/* `cut`: the packet was captured without them; else it is lost */
	void (*gap)(void *context, uint32_t count, bool cut);
};

/* Begins the stream at a sequence number; forgets what there was. */
void stream_start(struct stream *stream, uint32_t sequence);

void stream_add(struct stream *stream, const struct ebpftls_segment *segment,
		const struct stream_taker *taker);

/* Nothing comes any more: gives up all holes, and frees. */
void stream_end(struct stream *stream, const struct stream_taker *taker);

#endif
