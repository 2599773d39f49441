// SPDX-License-Identifier: BSD-3-Clause
/*
 * Each record tells its number, so that it opens whatever was lost before it.
 * What is lost on the way stays so, and is not missed here.
 */
#define _GNU_SOURCE
#include "dtls.h"

#include <stdlib.h>
#include <string.h>

#include "ebpftls-tls.h"
#include "framing.h"
#include "pieces.h"
#include "records.h"
#include "terms.h"

#define VERSION_DTLS_13 0xfefc
#define TYPE_WITH_ID	25

#define CLIENT_HELLO 1
#define SERVER_HELLO 2

/* Of a fragment of a handshake message (RFC 6347, 4.2.2). */
#define FRAGMENT_HEADER 12
#define MESSAGE_AT	4
#define OFFSET_AT	6
#define LENGTH_AT	9

struct side {
	uint16_t epoch;		  /* of the last keys */
	struct record_keys *keys; /* NULL: there are none */
	bool tried;
	bool fits;

	/* the hello message of which fragments have come: each handshake
	 * numbers its own, and the next one is in another epoch */
	uint16_t message;
	uint16_t message_epoch;
	struct pieces pieces;
};

struct dtls {
	struct keylog *log;
	struct side sides[2];
	struct conversation_result result;
	struct record_master master;
	struct record_keys *prepared[2]; /* for the next epoch */
	bool encrypted;			 /* keys were looked for */
};

/* A datagram on its way through this file. */
struct look {
	struct dtls *dtls;
	enum conversation_side from;
	struct side *side;
	uint16_t epoch;
};

static uint16_t
be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t
be24(const uint8_t *at)
{
	return (uint32_t)at[0] << 16 | be16(at + 1);
}

struct dtls *
dtls_new(struct keylog *log, const uint8_t random[KEYLOG_RANDOM])
{
	struct dtls *new = calloc(1, sizeof(*new));

	if (new == NULL)
		return NULL;
	new->log = log;
	new->result.client_hello = true;
	memcpy(new->result.random, random, KEYLOG_RANDOM);
	return new;
}

void
dtls_free(struct dtls *dtls)
{
	if (dtls == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		record_keys_free(dtls->sides[i].keys);
		record_keys_free(dtls->prepared[i]);
	}
	explicit_bzero(dtls, sizeof(*dtls));
	free(dtls);
}

/* --- messages ------------------------------------------------------------ */

static void
take_hello(struct look *look, uint8_t type, uint32_t size)
{
	struct dtls *dtls = look->dtls;
	const uint8_t *bytes = look->side->pieces.bytes;
	bool early;

	if (type == CLIENT_HELLO)
		terms_take_client(&dtls->result, bytes, size, &early);
	else if (terms_take_server(&dtls->result, &dtls->master, bytes, size))
		dtls->encrypted = false;
}

/* A message is taken when all of it is there, or all that there is room for. */
static void
take_fragment(struct look *look, const uint8_t *fragment, uint32_t count)
{
	struct side *side = look->side;
	const uint32_t size = be24(fragment + 1);
	const uint32_t wanted = size < PIECES_MAX ? size : PIECES_MAX;
	const uint16_t message = be16(fragment + MESSAGE_AT);

	if (message != side->message || look->epoch != side->message_epoch) {
		side->message = message;
		side->message_epoch = look->epoch;
		memset(&side->pieces, 0, sizeof(side->pieces));
	}
	if (side->pieces.front >= wanted)
		return;
	pieces_add(&side->pieces, be24(fragment + OFFSET_AT),
		   fragment + FRAGMENT_HEADER, count);
	if (side->pieces.front >= wanted)
		take_hello(look, fragment[0], wanted);
}

static void
take_fragments(struct look *look, const uint8_t *bytes, uint32_t size)
{
	const uint8_t hello =
	    look->from == SIDE_CLIENT ? CLIENT_HELLO : SERVER_HELLO;

	while (size >= FRAGMENT_HEADER) {
		const uint32_t count = be24(bytes + LENGTH_AT);

		if (count > size - FRAGMENT_HEADER)
			return;
		if (bytes[0] == hello)
			take_fragment(look, bytes, count);
		bytes += FRAGMENT_HEADER + count;
		size -= FRAGMENT_HEADER + count;
	}
}

/* --- encrypted records --------------------------------------------------- */

/* Looked for once in each handshake. */
static void
find_keys(struct dtls *dtls)
{
	if (!dtls->result.server_hello || dtls->encrypted)
		return;
	dtls->encrypted = true;
	terms_make_12(&dtls->result, dtls->log, &dtls->master, dtls->prepared);
}

/* The ChangeCipherSpec may be lost: the first record tells, too. */
static void
begin_epoch(struct look *look)
{
	struct side *side = look->side;

	find_keys(look->dtls);
	record_keys_free(side->keys);
	side->keys = look->dtls->prepared[look->from];
	look->dtls->prepared[look->from] = NULL;
	side->epoch++;
}

/* As a record of TLS, whose header has no number. */
static int
open_record(const struct record_keys *keys,
	    const struct ebpftls_dtls_record *record, uint8_t *plain,
	    uint8_t *type)
{
	const uint32_t size = record->len - EBPFTLS_DTLS_HEADER_SIZE;
	uint8_t bytes[RECORD_HEADER + RECORD_CONTENT_MAX];

	if (size > RECORD_CONTENT_MAX)
		return -1;
	memcpy(bytes, record->bytes, 3);
	bytes[3] = (uint8_t)(size >> 8);
	bytes[4] = (uint8_t)size;
	memcpy(bytes + RECORD_HEADER, record->bytes + EBPFTLS_DTLS_HEADER_SIZE,
	       size);
	return record_open(keys, record->sequence, bytes, RECORD_HEADER + size,
			   plain, type);
}

static void
take_encrypted(struct look *look, const struct ebpftls_dtls_record *record)
{
	struct conversation_result *result = &look->dtls->result;
	struct side *side = look->side;
	uint8_t plain[RECORD_CONTENT_MAX], type = 0;
	int size;

	result->records++;
	if (result->server_hello && record->epoch == side->epoch + 1)
		begin_epoch(look);
	if (record->epoch != side->epoch || side->keys == NULL)
		return;
	side->tried = true;
	size = open_record(side->keys, record, plain, &type);
	if (size < 0)
		return;
	side->fits = true;
	result->opened++;
	if (type == FRAMING_HANDSHAKE)
		take_fragments(look, plain, (uint32_t)size);
}

/* --- records ------------------------------------------------------------- */

static void
take_record(struct look *look, const struct ebpftls_dtls_record *record)
{
	look->epoch = record->epoch;
	if (record->size < record->len)
		look->dtls->result.cut++;
	else if (record->epoch > 0)
		take_encrypted(look, record);
	else if (record->bytes[0] == FRAMING_HANDSHAKE)
		take_fragments(look, record->bytes + EBPFTLS_DTLS_HEADER_SIZE,
			       record->len - EBPFTLS_DTLS_HEADER_SIZE);
	else if (record->bytes[0] == FRAMING_CCS)
		find_keys(look->dtls);
}

/* Whether it is a record that is not known here: with a connection id (RFC
 * 9146), or of DTLS 1.3. Of these it is known only whether there are keys. */
static bool
is_other(const struct dtls *dtls, uint8_t type)
{
	if (!dtls->result.server_hello)
		return false;
	return dtls->result.version == VERSION_DTLS_13 ? (type & 0xe0) == 0x20
						       : type == TYPE_WITH_ID;
}

void
dtls_datagram(struct dtls *dtls, enum conversation_side from,
	      const uint8_t *bytes, uint32_t caplen)
{
	struct look look = { .dtls = dtls,
			     .from = from,
			     .side = &dtls->sides[from] };
	struct ebpftls_dtls_record record;

	while (ebpftls_dtls_next(&record, &bytes, &caplen))
		take_record(&look, &record);
	if (caplen > 0 && is_other(dtls, bytes[0])) {
		dtls->result.records++;
		dtls->result.suite = NULL;
	}
}

struct conversation_result
dtls_result(const struct dtls *dtls)
{
	const struct side *client = &dtls->sides[SIDE_CLIENT];
	const struct side *server = &dtls->sides[SIDE_SERVER];
	struct conversation_result result = dtls->result;

	if ((client->tried || server->tried) && !client->fits && !server->fits)
		result.wrong |= 1u << EBPFTLS_CLIENT_RANDOM;
	return result;
}
