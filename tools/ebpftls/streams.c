// SPDX-License-Identifier: BSD-3-Clause
/* Keeps segments that come too early, in a list, until it is their turn. */
#include "streams.h"

#include <stdlib.h>
#include <string.h>

/* A segment, or its rest. */
struct span {
	uint32_t sequence;
	uint32_t len;
	uint32_t caplen;
	const uint8_t *bytes;
};

struct stream_piece {
	struct stream_piece *next;
	struct span span;
	uint8_t bytes[];
};

static bool
is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* Takes the front off that has been there. False: that was all. */
static bool
trim(const struct stream *stream, struct span *span)
{
	const uint32_t again = stream->next - span->sequence;
	const uint32_t have = again < span->caplen ? again : span->caplen;

	if (!is_before(span->sequence, stream->next))
		return span->len > 0;
	if (again >= span->len)
		return false;
	span->sequence += again;
	span->len -= again;
	span->caplen -= have;
	span->bytes += have;
	return true;
}

/* It is this one's turn. */
static void
pass_on(struct stream *stream, const struct span *span,
	const struct stream_taker *taker)
{
	stream->next = span->sequence + span->len;
	if (span->caplen > 0)
		taker->bytes(taker->context, span->bytes, span->caplen);
	if (span->len > span->caplen)
		taker->gap(taker->context, span->len - span->caplen, true);
}

/* Those whose turn it has become; with `force` also behind one hole. */
static void
drain(struct stream *stream, const struct stream_taker *taker, bool force)
{
	struct stream_piece *piece;

	while ((piece = stream->pieces) != NULL &&
	       (force || !is_before(stream->next, piece->span.sequence))) {
		const uint32_t hole = piece->span.sequence - stream->next;

		if (is_before(stream->next, piece->span.sequence)) {
			force = false;
			stream->next = piece->span.sequence;
			taker->gap(taker->context, hole, false);
		}
		stream->pieces = piece->next;
		stream->bytes -= piece->span.caplen;
		stream->count--;
		if (trim(stream, &piece->span))
			pass_on(stream, &piece->span, taker);
		free(piece);
	}
}

static bool
has_room(const struct stream *stream, const struct span *span)
{
	return stream->bytes + span->caplen <= STREAM_BYTES_MAX &&
	       stream->count < STREAM_PIECES_MAX;
}

static void
keep(struct stream *stream, const struct span *span)
{
	struct stream_piece **at = &stream->pieces;
	struct stream_piece *piece = malloc(sizeof(*piece) + span->caplen);

	if (piece == NULL)
		return;
	piece->span = *span;
	piece->span.bytes = piece->bytes;
	memcpy(piece->bytes, span->bytes, span->caplen);
	while (*at != NULL && !is_before(span->sequence, (*at)->span.sequence))
		at = &(*at)->next;
	piece->next = *at;
	*at = piece;
	stream->bytes += span->caplen;
	stream->count++;
}

void
stream_start(struct stream *stream, uint32_t sequence)
{
	struct stream_piece *piece;

	while ((piece = stream->pieces) != NULL) {
		stream->pieces = piece->next;
		free(piece);
	}
	*stream = (struct stream){ .started = true, .next = sequence };
}

void
stream_add(struct stream *stream, const struct ebpftls_segment *segment,
	   const struct stream_taker *taker)
{
	struct span span = { segment->sequence, segment->len, segment->caplen,
			     segment->payload };

	if (segment->len == 0)
		return;
	if (!stream->started)
		stream_start(stream, span.sequence);
	while (is_before(stream->next, span.sequence) &&
	       !has_room(stream, &span) && stream->pieces != NULL)
		drain(stream, taker, true);
	if (!trim(stream, &span))
		return;
	if (span.sequence != stream->next) {
		keep(stream, &span);
		return;
	}
	pass_on(stream, &span, taker);
	drain(stream, taker, false);
}

void
stream_end(struct stream *stream, const struct stream_taker *taker)
{
	while (stream->pieces != NULL)
		drain(stream, taker, true);
}
