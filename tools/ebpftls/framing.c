// SPDX-License-Identifier: BSD-3-Clause
/*
 * Follows the lengths in the headers. A record is copied only if it does not
 * come in one piece, and no more is kept than has come.
 */
#include "framing.h"

#include <stdlib.h>
#include <string.h>

#include "ebpftls-tls.h"
#include "records.h"

static uint32_t
size_of(const uint8_t *header)
{
	return RECORD_HEADER + (uint32_t)(header[3] << 8 | header[4]);
}

static void
drop(struct framing *framing)
{
	free(framing->record);
	framing->record = NULL;
	framing->have = 0;
	framing->room = 0;
}

void
framing_free(struct framing *framing)
{
	drop(framing);
}

static void
lose(struct framing *framing, const struct framing_taker *taker, uint32_t count)
{
	count += framing->have;
	drop(framing);
	framing->lost = true;
	taker->lost(taker->context, count);
}

/* Keeps a part of a record. False: no memory. */
static bool
keep(struct framing *framing, const uint8_t *bytes, uint32_t count)
{
	if (framing->have + count > framing->room) {
		const uint32_t room = 2 * (framing->have + count);
		uint8_t *record = realloc(framing->record, room);

		if (record == NULL)
			return false;
		framing->record = record;
		framing->room = room;
	}
	memcpy(framing->record + framing->have, bytes, count);
	framing->have += count;
	return true;
}

/* How much of this there is to the end of the record, or of its header. */
static uint32_t
wanted(const struct framing *framing)
{
	if (framing->have < RECORD_HEADER)
		return RECORD_HEADER - framing->have;
	return size_of(framing->record) - framing->have;
}

/* The header is there. False: it is none. */
static bool
begin(struct framing *framing, const uint8_t *header)
{
	if (!ebpftls_tls_is_header(header)) {
		framing->alien = framing->first == 0;
		return false;
	}
	if (framing->first == 0)
		framing->first = header[0];
	return true;
}

/* Each returns how much of the bytes it has taken. */

static uint32_t
take_part(struct framing *framing, const struct framing_taker *taker,
	  const uint8_t *bytes, uint32_t count)
{
	const uint32_t take = wanted(framing) < count ? wanted(framing) : count;
	uint8_t *record;

	if (!keep(framing, bytes, take)) {
		lose(framing, taker, take);
		return take;
	}
	if (framing->have < RECORD_HEADER)
		return take;
	if (!begin(framing, framing->record)) {
		lose(framing, taker, 0);
		return take;
	}
	if (wanted(framing) > 0)
		return take;
	record = framing->record;
	framing->record = NULL;
	drop(framing);
	taker->record(taker->context, record, size_of(record));
	free(record);
	return take;
}

/* A record that is there as a whole; 0: it is not. */
static uint32_t
take_whole(struct framing *framing, const struct framing_taker *taker,
	   const uint8_t *bytes, uint32_t count)
{
	if (framing->have > 0 || count < RECORD_HEADER ||
	    size_of(bytes) > count || !begin(framing, bytes))
		return 0;
	taker->record(taker->context, bytes, size_of(bytes));
	return size_of(bytes);
}

static uint32_t
take_rest(struct framing *framing, uint32_t count)
{
	const uint32_t take = framing->skip < count ? framing->skip : count;

	framing->skip -= take;
	return take;
}

void
framing_bytes(struct framing *framing, const struct framing_taker *taker,
	      const uint8_t *bytes, uint32_t count)
{
	if (framing->lost && count >= RECORD_HEADER &&
	    ebpftls_tls_is_header(bytes))
		framing->lost = false;
	while (count > 0 && !framing->lost) {
		uint32_t took = take_rest(framing, count);

		if (took == 0)
			took = take_whole(framing, taker, bytes, count);
		if (took == 0)
			took = take_part(framing, taker, bytes, count);
		bytes += took;
		count -= took;
	}
	if (count > 0)
		taker->lost(taker->context, count);
}

void
framing_gap(struct framing *framing, const struct framing_taker *taker,
	    uint32_t count)
{
	uint8_t type;

	count -= take_rest(framing, count);
	if (count == 0)
		return;
	if (framing->have < RECORD_HEADER || count > wanted(framing)) {
		lose(framing, taker, count);
		return;
	}
	framing->skip = wanted(framing) - count;
	type = framing->record[0];
	drop(framing);
	taker->missed(taker->context, type);
}
