// SPDX-License-Identifier: BSD-3-Clause
/*
 * Packets are opened each by itself, whatever was lost before. Of what is in
 * them only the ServerHello matters, which tells the cipher.
 */
#define _GNU_SOURCE
#include "quic.h"

#include <stdlib.h>
#include <string.h>

#include "packet.h"
#include "pieces.h"
#include "terms.h"

#define SERVER_HELLO   2
#define MESSAGE_HEADER 4

#define INITIAL_SUITE 0x1301

/* What is longer and has no length of its own may be several packets, which
 * the sender has left to its network interface to take apart. */
#define ONE_PACKET_MAX 1500

/*
 * Where many packets are missing the shortest numbers tell too little: so many
 * times as much as these count is searched, as long as it is worth it.
 */
#define SHORTEST_NUMBER 256
#define SEARCHED_MAX	16
#define TRIES_FIRST	256

/* What keys are for. */
enum level {
	LEVEL_EARLY,
	LEVEL_HANDSHAKE,
	LEVEL_DATA,
	LEVELS,
};

struct side {
	uint8_t cid_size;	   /* of packets to it */
	uint64_t expected[LEVELS]; /* number of the next packet */
	struct packet_keys *keys[LEVELS];
	struct packet_keys *before; /* of data, before a key update */
	uint32_t tries;		    /* that may be made yet */
	bool tried[LEVELS];
	bool fits[LEVELS];
};

struct quic {
	struct keylog *log;
	struct ebpftls_quic_origin origin;
	uint32_t version; /* that the server speaks */
	struct side sides[2];
	struct conversation_result result;
	struct pieces pieces; /* of the server's first messages */
};

/* A packet on its way through this file. */
struct look {
	struct quic *quic;
	enum conversation_side from;
	struct side *side;
	struct ebpftls_quic_packet packet;
	enum level level;
	uint8_t *room;
	uint64_t number; /* that was tried last */
};

static const enum ebpftls_label labels[2][LEVELS] = {
	[SIDE_CLIENT] = {
		[LEVEL_EARLY] = EBPFTLS_CLIENT_EARLY_TRAFFIC_SECRET,
		[LEVEL_HANDSHAKE] = EBPFTLS_CLIENT_HANDSHAKE_TRAFFIC_SECRET,
		[LEVEL_DATA] = EBPFTLS_CLIENT_TRAFFIC_SECRET_0,
	},
	[SIDE_SERVER] = {
		[LEVEL_HANDSHAKE] = EBPFTLS_SERVER_HANDSHAKE_TRAFFIC_SECRET,
		[LEVEL_DATA] = EBPFTLS_SERVER_TRAFFIC_SECRET_0,
	},
};

struct quic *
quic_new(struct keylog *log, const uint8_t random[KEYLOG_RANDOM])
{
	struct quic *new = calloc(1, sizeof(*new));

	if (new == NULL)
		return NULL;
	new->log = log;
	new->result.client_hello = true;
	memcpy(new->result.random, random, KEYLOG_RANDOM);
	new->sides[SIDE_CLIENT].tries = TRIES_FIRST;
	new->sides[SIDE_SERVER].tries = TRIES_FIRST;
	return new;
}

void
quic_free(struct quic *quic)
{
	if (quic == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < LEVELS; j++)
			packet_keys_free(quic->sides[i].keys[j]);
		packet_keys_free(quic->sides[i].before);
	}
	explicit_bzero(quic, sizeof(*quic));
	free(quic);
}

void
quic_set_origin(struct quic *quic, const struct ebpftls_quic_origin *origin)
{
	quic->origin = *origin;
}

/* --- the server's first messages ----------------------------------------- */

static void
take_crypto(void *context, uint64_t at, const uint8_t *bytes, uint32_t size)
{
	struct quic *quic = context;

	pieces_add(&quic->pieces, at, bytes, size);
}

/* It is the first message, or follows a HelloRetryRequest. */
static void
find_server_hello(struct quic *quic)
{
	const uint8_t *at = quic->pieces.bytes;
	uint32_t left = quic->pieces.front;
	struct record_master unused;

	while (left >= MESSAGE_HEADER && at[0] == SERVER_HELLO) {
		const uint32_t size =
		    (uint32_t)at[1] << 16 | at[2] << 8 | at[3];

		if (size > left - MESSAGE_HEADER ||
		    terms_take_server(&quic->result, &unused,
				      at + MESSAGE_HEADER, size))
			return;
		at += MESSAGE_HEADER + size;
		left -= MESSAGE_HEADER + size;
	}
}

static void
open_initial(struct look *look)
{
	struct quic *quic = look->quic;
	struct ebpftls_quic_origin origin = quic->origin;
	uint8_t secret[EBPFTLS_SHA256_SIZE];
	struct packet_content content;
	struct packet_keys *keys;

	if (look->from == SIDE_CLIENT || quic->result.server_hello)
		return;
	origin.version = look->packet.to.version;
	ebpftls_quic_initial_secret(&origin, true, secret);
	keys = packet_keys_new(suite_find(INITIAL_SUITE), secret,
			       sizeof(secret), origin.version);
	if (keys != NULL &&
	    packet_open(keys, &look->packet, 0, look->room, &content)) {
		ebpftls_quic_frames(content.bytes, content.size, false,
				    take_crypto, quic);
		find_server_hello(quic);
	}
	packet_keys_free(keys);
}

/* --- keys ---------------------------------------------------------------- */

static struct packet_keys *
make_keys(struct quic *quic, enum ebpftls_label label,
	  const struct suite *suite, uint32_t version)
{
	struct conversation_result *result = &quic->result;
	const struct keylog_secret *secret =
	    terms_find(result, quic->log, label, true);
	struct packet_keys *keys;

	if (secret == NULL)
		return NULL;
	keys = packet_keys_new(suite, secret->bytes, secret->size, version);
	if (keys == NULL)
		result->wrong |= 1u << label;
	return keys;
}

static void
find_keys(struct look *look, enum conversation_side side)
{
	struct quic *quic = look->quic;
	struct packet_keys **keys = &quic->sides[side].keys[look->level];

	if (*keys == NULL && quic->result.suite != NULL)
		*keys = make_keys(quic, labels[side][look->level],
				  quic->result.suite, quic->version);
}

/* --- encrypted packets --------------------------------------------------- */

/* Early data are counted with what follows them. */
static uint64_t *
expected_of(const struct look *look)
{
	return &look->side->expected[look->level == LEVEL_EARLY ? LEVEL_DATA
								: look->level];
}

/* With the number next to one that is `ahead` of what is expected. */
static bool
try_ahead(struct look *look, const struct packet_keys *keys, uint64_t ahead)
{
	uint64_t *expected = expected_of(look);
	struct packet_content content = { .size = 0 };
	const bool opened = packet_open(keys, &look->packet, *expected + ahead,
					look->room, &content);

	look->number = content.number;
	if (!opened)
		return false;
	if (content.number >= *expected)
		*expected = content.number + 1;
	look->side->fits[look->level] = true;
	look->side->tries++;
	return true;
}

static bool
try_keys(struct look *look, const struct packet_keys *keys)
{
	return keys != NULL && try_ahead(look, keys, 0);
}

/* Longer numbers are the same there: that is not tried twice. */
static bool
search_ahead(struct look *look)
{
	struct side *side = look->side;

	for (uint64_t i = 1; i <= SEARCHED_MAX && side->tries > 0; i++) {
		const uint64_t before = look->number;

		side->tries--;
		if (try_ahead(look, side->keys[look->level],
			      i * SHORTEST_NUMBER))
			return true;
		if (look->number == before)
			return false;
	}
	return false;
}

/* Those that follow a key update that came now, or were before the last. */
static bool
try_other_phase(struct look *look)
{
	struct side *side = look->side;
	struct packet_keys *next;

	if (look->level != LEVEL_DATA || !side->fits[LEVEL_DATA])
		return false;
	if (try_keys(look, side->before))
		return true;
	next = packet_keys_next(side->keys[LEVEL_DATA]);
	if (!try_keys(look, next)) {
		packet_keys_free(next);
		return false;
	}
	packet_keys_free(side->before);
	side->before = side->keys[LEVEL_DATA];
	side->keys[LEVEL_DATA] = next;
	return true;
}

/* The suite of early data is not told before it: what opens them is the one. */
static bool
guess_early_keys(struct look *look)
{
	const enum ebpftls_label label = labels[SIDE_CLIENT][LEVEL_EARLY];
	struct packet_keys **keys = &look->side->keys[LEVEL_EARLY];
	struct quic *quic = look->quic;
	const struct keylog_secret *secret =
	    terms_find(&quic->result, quic->log, label, true);
	const struct suite *suite;

	look->side->tried[LEVEL_EARLY] |= secret != NULL;
	for (unsigned int i = 0;
	     secret != NULL && (suite = suite_of_13(i)) != NULL; i++) {
		*keys = packet_keys_new(suite, secret->bytes, secret->size,
					look->packet.to.version);
		if (try_keys(look, *keys))
			return true;
		packet_keys_free(*keys);
		*keys = NULL;
	}
	return false;
}

static bool
open_early(struct look *look)
{
	const struct packet_keys *keys = look->side->keys[LEVEL_EARLY];

	if (look->from == SIDE_SERVER)
		return false;
	return keys != NULL ? try_keys(look, keys) : guess_early_keys(look);
}

static bool
open_packet(struct look *look)
{
	struct side *side = look->side;

	find_keys(look, look->from);
	/* readers look for both, for either */
	if (look->level == LEVEL_DATA)
		find_keys(look, look->from == SIDE_CLIENT ? SIDE_SERVER
							  : SIDE_CLIENT);
	if (side->keys[look->level] == NULL)
		return false;
	if (look->packet.size <= ONE_PACKET_MAX)
		side->tried[look->level] = true;
	return try_keys(look, side->keys[look->level]) ||
	       try_other_phase(look) || search_ahead(look);
}

static void
take_encrypted(struct look *look, enum level level)
{
	struct conversation_result *result = &look->quic->result;

	look->level = level;
	result->records++;
	result->opened +=
	    level == LEVEL_EARLY ? open_early(look) : open_packet(look);
}

/* --- packets ------------------------------------------------------------- */

/*
 * Whether what is behind another packet is none itself, but fills the datagram
 * up: all packets in one go to the same connection id (RFC 9000, 12.2).
 */
static bool
is_padding(const struct ebpftls_quic_packet *packet,
	   const struct ebpftls_quic_packet *before)
{
	const uint8_t size = before->to.cid_size;

	if (size == 0)
		return packet->bytes[0] == 0;
	return packet->size < 1u + size ||
	       memcmp(packet->bytes + 1, before->to.cid, size) != 0;
}

static void
take_short(struct look *look)
{
	const struct side *to = &look->quic->sides[look->from == SIDE_CLIENT];

	look->packet.number_at = 1u + to->cid_size;
	take_encrypted(look, LEVEL_DATA);
}

static void
take_header(struct look *look)
{
	look->side->cid_size = look->packet.from_size;
	if (look->from == SIDE_SERVER)
		look->quic->version = look->packet.to.version;
}

void
quic_packet(struct quic *quic, enum conversation_side from,
	    const struct ebpftls_quic_packet *packet, bool cut,
	    const struct ebpftls_quic_packet *before)
{
	uint8_t room[PACKET_MAX];
	struct look look = { .quic = quic,
			     .from = from,
			     .side = &quic->sides[from],
			     .packet = *packet,
			     .room = room };

	if (packet->kind == EBPFTLS_QUIC_RETRY)
		return;
	if (packet->kind == EBPFTLS_QUIC_SHORT && before != NULL &&
	    is_padding(packet, before))
		return;
	if (packet->kind != EBPFTLS_QUIC_SHORT)
		take_header(&look);
	if (cut)
		quic->result.cut++;
	else if (packet->kind == EBPFTLS_QUIC_INITIAL)
		open_initial(&look);
	else if (packet->kind == EBPFTLS_QUIC_EARLY)
		take_encrypted(&look, LEVEL_EARLY);
	else if (packet->kind == EBPFTLS_QUIC_HANDSHAKE)
		take_encrypted(&look, LEVEL_HANDSHAKE);
	else
		take_short(&look);
}

struct conversation_result
quic_result(const struct quic *quic)
{
	struct conversation_result result = quic->result;

	for (int i = 0; i < 2; i++)
		for (int j = 0; j < LEVELS; j++)
			if (quic->sides[i].tried[j] && !quic->sides[i].fits[j])
				result.wrong |= 1u << labels[i][j];
	return result;
}
