// SPDX-License-Identifier: BSD-3-Clause
/*
 * Records, the few handshake messages that matter, and which keys protect what
 * follows them. Where messages are missing, what opens a record tells.
 */
#define _GNU_SOURCE
#include "conversation.h"

#include <stdlib.h>
#include <string.h>

#include "records.h"

#define RECORD_CCS	 20
#define RECORD_ALERT	 21
#define RECORD_HANDSHAKE 22
#define RECORD_DATA	 23
#define RECORD_LAST	 24

#define CLIENT_HELLO   1
#define SERVER_HELLO   2
#define END_EARLY_DATA 5
#define FINISHED       20
#define KEY_UPDATE     24

#define EXTENSION_ENCRYPT_THEN_MAC   22
#define EXTENSION_EARLY_DATA	     42
#define EXTENSION_SUPPORTED_VERSIONS 43

#define VERSION_12 0x0303
#define VERSION_13 0x0304

/* As much of a message as is kept: a ServerHello is far shorter. */
#define MESSAGE_MAX 2048

/* How many records may have been lost at once, for the next to be opened. */
#define TRIES_MAX 64

/* The shortest record that is encrypted. */
#define RECORD_MIN (RECORD_HEADER + 17)

/* What keys are in use; those of TLS 1.2 are from the first to the last. */
enum epoch {
	EPOCH_CLEAR,
	EPOCH_EARLY,
	EPOCH_HANDSHAKE,
	EPOCH_DATA, /* also after each KeyUpdate */
	EPOCHS,
};

struct side {
	/* the record that has begun */
	uint8_t *record;
	uint32_t have;
	uint32_t room;
	uint32_t skip; /* bytes of one that cannot be had as a whole */
	bool lost;     /* it is not known where the next one begins */
	bool begun;

	uint32_t slack; /* as many records may have been missed */
	uint64_t sequence;
	enum epoch epoch;
	struct record_keys *keys[EPOCHS];
	struct record_keys *prepared; /* for after a ChangeCipherSpec */
	bool tried[EPOCHS];	      /* where nothing had been missed */
	bool fits[EPOCHS];	      /* a record could be opened */

	/* the handshake message that has begun */
	uint8_t message[MESSAGE_MAX];
	uint32_t message_have;
	bool message_lost; /* it is not known where the next one begins */
};

struct conversation {
	struct keylog *log;
	struct side sides[2];
	struct conversation_result result;
	struct record_master master;
	bool early;	/* the client may send early data */
	bool encrypted; /* of TLS 1.2: a ChangeCipherSpec was there */
	bool over;
};

/* A record on its way through this file. */
struct look {
	struct conversation *conversation;
	enum conversation_side from;
	struct side *side;
	const uint8_t *record;
	uint32_t size; /* its header included */
	uint8_t plain[RECORD_CONTENT_MAX];
};

static const enum ebpftls_label labels[2][EPOCHS] = {
	[SIDE_CLIENT] = {
		[EPOCH_EARLY] = EBPFTLS_CLIENT_EARLY_TRAFFIC_SECRET,
		[EPOCH_HANDSHAKE] = EBPFTLS_CLIENT_HANDSHAKE_TRAFFIC_SECRET,
		[EPOCH_DATA] = EBPFTLS_CLIENT_TRAFFIC_SECRET_0,
	},
	[SIDE_SERVER] = {
		[EPOCH_HANDSHAKE] = EBPFTLS_SERVER_HANDSHAKE_TRAFFIC_SECRET,
		[EPOCH_DATA] = EBPFTLS_SERVER_TRAFFIC_SECRET_0,
	},
};

static uint16_t
be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static bool
is_13(const struct conversation *conversation)
{
	return conversation->result.version == VERSION_13;
}

struct conversation *
conversation_new(struct keylog *log)
{
	struct conversation *new = calloc(1, sizeof(*new));

	if (new != NULL)
		new->log = log;
	return new;
}

void
conversation_free(struct conversation *conversation)
{
	if (conversation == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < EPOCHS; j++)
			record_keys_free(conversation->sides[i].keys[j]);
		record_keys_free(conversation->sides[i].prepared);
		free(conversation->sides[i].record);
	}
	explicit_bzero(conversation, sizeof(*conversation));
	free(conversation);
}

bool
conversation_is_over(const struct conversation *conversation)
{
	return conversation->over;
}

/* --- keys ---------------------------------------------------------------- */

/*
 * For what a side sends in an epoch of TLS 1.3, as the file has them now. Where
 * that is when a reader needs them, they are missing for good without.
 */
static struct record_keys *
keys_13(struct conversation *conversation, enum ebpftls_label label,
	const struct suite *suite, bool needed)
{
	struct conversation_result *result = &conversation->result;
	const struct keylog_secret *secret;
	struct record_keys *keys;

	if (!result->client_hello || suite == NULL)
		return NULL;
	secret = keylog_find(conversation->log, result->random, label);
	if (secret == NULL) {
		if (needed)
			result->missing |= 1u << label;
		return NULL;
	}
	keys = record_keys_13(suite, secret->bytes, secret->size);
	if (keys == NULL && needed)
		result->wrong |= 1u << label;
	return keys;
}

static void
find_keys(struct conversation *conversation, enum conversation_side from,
	  enum epoch epoch, bool needed)
{
	struct side *side = &conversation->sides[from];

	if (side->keys[epoch] == NULL)
		side->keys[epoch] = keys_13(conversation, labels[from][epoch],
					    conversation->result.suite, needed);
}

/* For both sides of TLS 1.2; looked for once in each handshake. */
static void
find_keys_12(struct conversation *conversation)
{
	struct conversation_result *result = &conversation->result;
	struct record_master *master = &conversation->master;
	const struct keylog_secret *secret;

	conversation->encrypted = true;
	if (!result->client_hello || result->suite == NULL)
		return;
	secret = keylog_find(conversation->log, result->random,
			     EBPFTLS_CLIENT_RANDOM);
	if (secret == NULL || secret->size != RECORD_SECRET_MAX) {
		result->missing |= 1u << EBPFTLS_CLIENT_RANDOM;
		return;
	}
	memcpy(master->secret, secret->bytes, secret->size);
	memcpy(master->client_random, result->random, RECORD_RANDOM);
	for (int i = 0; i < 2; i++) {
		struct side *side = &conversation->sides[i];

		record_keys_free(side->prepared);
		side->prepared =
		    record_keys_12(result->suite, master, i == SIDE_SERVER);
	}
}

static void
enter(struct side *side, enum epoch epoch)
{
	side->epoch = epoch;
	side->sequence = 0;
	side->message_have = 0;
	side->message_lost = false;
}

/* --- messages ------------------------------------------------------------ */

struct view {
	const uint8_t *at;
	uint32_t left;
};

static bool
advance(struct view *view, uint32_t bytes)
{
	if (view->left < bytes)
		return false;
	view->at += bytes;
	view->left -= bytes;
	return true;
}

static void
take_extensions(struct conversation *conversation, struct view view)
{
	while (view.left >= 4) {
		const uint8_t *head = view.at;
		const uint16_t size = be16(head + 2);

		if (!advance(&view, 4u + size))
			return;
		if (be16(head) == EXTENSION_ENCRYPT_THEN_MAC)
			conversation->master.encrypt_then_mac = true;
		if (be16(head) == EXTENSION_SUPPORTED_VERSIONS && size == 2)
			conversation->result.version = be16(head + 4);
	}
}

/* The SHA-256 of "HelloRetryRequest" (RFC 8446, 4.1.3) begins so. */
static bool
is_retry(const uint8_t *random)
{
	static const uint8_t retry[] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a,
					 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02 };

	return memcmp(random, retry, sizeof(retry)) == 0;
}

/* The body of a ServerHello: version, random, session id, suite, ... */
static void
take_server_hello(struct conversation *conversation, struct view view)
{
	struct conversation_result *result = &conversation->result;
	const uint8_t *body = view.at;

	if (!advance(&view, 2 + RECORD_RANDOM + 1) ||
	    !advance(&view, body[2 + RECORD_RANDOM]) || view.left < 3 ||
	    is_retry(body + 2))
		return;
	result->server_hello = true;
	result->version = be16(body);
	result->number = be16(view.at);
	result->suite = suite_find(result->number);
	memcpy(conversation->master.server_random, body + 2, RECORD_RANDOM);
	conversation->master.encrypt_then_mac = false;
	conversation->encrypted = false;
	if (advance(&view, 5))
		take_extensions(conversation, view);
	if (result->version != VERSION_12 && !is_13(conversation))
		result->suite = NULL;
	if (!is_13(conversation))
		return;
	find_keys(conversation, SIDE_CLIENT, EPOCH_HANDSHAKE, true);
	find_keys(conversation, SIDE_SERVER, EPOCH_HANDSHAKE, true);
}

/* Behind a length of one or two bytes. */
static bool
skip_vector(struct view *view, uint32_t length_size)
{
	const uint8_t *at = view->at;

	return advance(view, length_size) &&
	       advance(view, length_size == 1 ? at[0] : be16(at));
}

/* What is too long to be looked at to its end may offer it as well. */
static bool
offers_early_data(struct view view)
{
	if (!advance(&view, 2 + RECORD_RANDOM) || !skip_vector(&view, 1) ||
	    !skip_vector(&view, 2) || !skip_vector(&view, 1) ||
	    !advance(&view, 2))
		return false;
	while (view.left >= 4) {
		if (be16(view.at) == EXTENSION_EARLY_DATA)
			return true;
		advance(&view, 2);
		if (!skip_vector(&view, 2))
			return true;
	}
	return false;
}

static void
take_client_hello(struct conversation *conversation, struct view view)
{
	struct conversation_result *result = &conversation->result;

	if (view.left < 2 + RECORD_RANDOM)
		return;
	result->client_hello = true;
	memcpy(result->random, view.at + 2, RECORD_RANDOM);
	conversation->early = offers_early_data(view);
}

/* A KeyUpdate's keys take the place of those before. */
static void
update_keys(struct side *side)
{
	struct record_keys *next = record_keys_next(side->keys[EPOCH_DATA]);

	record_keys_free(side->keys[EPOCH_DATA]);
	side->keys[EPOCH_DATA] = next;
	enter(side, EPOCH_DATA);
}

/* What changes the keys of TLS 1.3. */
static void
take_turn(struct look *look, uint8_t type)
{
	struct side *side = look->side;

	if (type == FINISHED && side->epoch == EPOCH_HANDSHAKE) {
		find_keys(look->conversation, look->from, EPOCH_DATA, true);
		enter(side, EPOCH_DATA);
	} else if (type == END_EARLY_DATA && side->epoch == EPOCH_EARLY) {
		enter(side, EPOCH_HANDSHAKE);
	} else if (type == KEY_UPDATE && side->epoch == EPOCH_DATA &&
		   side->keys[EPOCH_DATA] != NULL) {
		update_keys(side);
	}
}

static void
take_message(struct look *look)
{
	struct conversation *conversation = look->conversation;
	const uint8_t *message = look->side->message;
	const uint32_t length = (uint32_t)message[1] << 16 | be16(message + 2);
	struct view view = { message + 4, length < MESSAGE_MAX - 4
					      ? length
					      : MESSAGE_MAX - 4 };

	if (message[0] == CLIENT_HELLO && look->from == SIDE_CLIENT)
		take_client_hello(conversation, view);
	else if (message[0] == SERVER_HELLO && look->from == SIDE_SERVER)
		take_server_hello(conversation, view);
	else if (is_13(conversation))
		take_turn(look, message[0]);
}

/* How long the message is, as far as it tells. */
static uint32_t
message_size(const struct side *side)
{
	if (side->message_have < 4)
		return 4;
	return 4 + ((uint32_t)side->message[1] << 16 | be16(side->message + 2));
}

/* The messages in a handshake record; one may begin or go on in it. */
static void
take_messages(struct look *look, const uint8_t *bytes, uint32_t count)
{
	struct side *side = look->side;

	while (count > 0 && !side->message_lost) {
		const uint32_t have = side->message_have;
		uint32_t take = message_size(side) - have;

		if (take > count)
			take = count;
		for (uint32_t i = 0; i < take && have + i < MESSAGE_MAX; i++)
			side->message[have + i] = bytes[i];
		side->message_have += take;
		bytes += take;
		count -= take;
		if (side->message_have < 4 ||
		    side->message_have < message_size(side))
			continue;
		side->message_have = 0;
		take_message(look);
	}
}

/* --- encrypted records --------------------------------------------------- */

/* Whether this may still be early data, for which there are no keys. */
static bool
may_be_early(const struct look *look, enum epoch epoch)
{
	const struct conversation_result *result = &look->conversation->result;
	const unsigned int early = 1u << EBPFTLS_CLIENT_EARLY_TRAFFIC_SECRET;

	return look->from == SIDE_CLIENT && epoch == EPOCH_HANDSHAKE &&
	       !look->side->fits[epoch] &&
	       ((result->missing | result->wrong) & early) != 0;
}

/* Tries some sequence numbers from this on; returns the size, -1: none is it.
 */
static int
try_keys(struct look *look, enum epoch epoch, uint64_t sequence, uint8_t *type)
{
	struct side *side = look->side;
	int size;

	if (side->keys[epoch] == NULL)
		return -1;
	if (epoch == side->epoch && side->slack == 0 &&
	    !may_be_early(look, epoch))
		side->tried[epoch] = true;
	for (uint32_t i = 0; i <= side->slack && i <= TRIES_MAX; i++) {
		size = record_open(side->keys[epoch], sequence + i,
				   look->record, look->size, look->plain, type);
		if (size < 0)
			continue;
		if (epoch != side->epoch)
			enter(side, epoch);
		side->sequence = sequence + i + 1;
		side->slack = 0;
		side->fits[epoch] = true;
		return size;
	}
	return -1;
}

/* The keys of another epoch, if messages that change them were missed. */
static int
try_later(struct look *look, uint8_t *type)
{
	struct side *side = look->side;
	int size = -1;

	for (enum epoch epoch = side->epoch + 1; size < 0 && epoch < EPOCHS;
	     epoch++) {
		if (epoch == EPOCH_DATA)
			find_keys(look->conversation, look->from, epoch, false);
		size = try_keys(look, epoch, 0, type);
	}
	return size;
}

/* After one KeyUpdate that was missed. */
static int
try_next_update(struct look *look, uint8_t *type)
{
	struct side *side = look->side;
	struct record_keys *now = side->keys[EPOCH_DATA];
	int size;

	if (side->epoch != EPOCH_DATA || now == NULL || side->slack == 0)
		return -1;
	side->keys[EPOCH_DATA] = record_keys_next(now);
	size = try_keys(look, EPOCH_DATA, 0, type);
	if (size >= 0) {
		record_keys_free(now);
		return size;
	}
	record_keys_free(side->keys[EPOCH_DATA]);
	side->keys[EPOCH_DATA] = now;
	return -1;
}

static void
take_ccs(struct look *look)
{
	struct conversation *conversation = look->conversation;
	struct side *side = look->side;

	if (!conversation->result.server_hello || is_13(conversation))
		return;
	if (!conversation->encrypted)
		find_keys_12(conversation);
	record_keys_free(side->keys[EPOCH_HANDSHAKE]);
	side->keys[EPOCH_HANDSHAKE] = side->prepared;
	side->prepared = NULL;
	enter(side, EPOCH_HANDSHAKE);
}

static void
open_record(struct look *look)
{
	struct conversation_result *result = &look->conversation->result;
	struct side *side = look->side;
	uint8_t type = 0;
	int size;

	result->records++;
	size = try_keys(look, side->epoch, side->sequence, &type);
	if (size < 0 && is_13(look->conversation)) {
		size = try_later(look, &type);
		if (size < 0)
			size = try_next_update(look, &type);
	}
	if (size < 0) {
		side->sequence += !may_be_early(look, side->epoch);
		return;
	}
	result->opened++;
	if (type == RECORD_HANDSHAKE)
		take_messages(look, look->plain, (uint32_t)size);
	else if (type == RECORD_CCS)
		take_ccs(look);
}

/* The suite of early data is not told before it: what opens the first record
 * is the one. */
static void
guess_early_keys(struct look *look)
{
	const enum ebpftls_label label = labels[SIDE_CLIENT][EPOCH_EARLY];
	struct conversation *conversation = look->conversation;
	struct side *side = look->side;
	struct record_keys **keys = &side->keys[EPOCH_EARLY];
	const struct suite *suite;
	uint8_t type;

	for (unsigned int i = 0; (suite = suite_of_13(i)) != NULL; i++) {
		*keys = keys_13(conversation, label, suite, false);
		if (try_keys(look, EPOCH_EARLY, 0, &type) >= 0)
			break;
		record_keys_free(*keys);
		*keys = NULL;
	}
	side->sequence = 0;
	if (suite != NULL)
		return;
	if (keylog_find(conversation->log, conversation->result.random,
			label) != NULL)
		conversation->result.wrong |= 1u << label;
	else
		conversation->result.missing |= 1u << label;
}

/* --- records ------------------------------------------------------------- */

/* The first encrypted record of a side of TLS 1.3 begins an epoch. */
static void
begin_epoch(const struct conversation *conversation, struct side *side)
{
	if (side->epoch == EPOCH_CLEAR && is_13(conversation))
		enter(side, EPOCH_HANDSHAKE);
}

static void
take_data_13(struct look *look)
{
	if (look->side->epoch == EPOCH_CLEAR && look->from == SIDE_CLIENT &&
	    !look->conversation->result.server_hello &&
	    look->conversation->early)
		guess_early_keys(look);
	begin_epoch(look->conversation, look->side);
	open_record(look);
}

static void
take_record(struct look *look)
{
	const uint8_t type = look->record[0];
	const bool maybe_13 = !look->conversation->result.server_hello ||
			      is_13(look->conversation);

	if (!maybe_13 && look->side->epoch != EPOCH_CLEAR)
		open_record(look);
	else if (type == RECORD_CCS)
		take_ccs(look);
	else if (maybe_13 && type == RECORD_DATA)
		take_data_13(look);
	else if (type == RECORD_HANDSHAKE)
		take_messages(look, look->record + RECORD_HEADER,
			      look->size - RECORD_HEADER);
}

/* --- the stream ---------------------------------------------------------- */

static bool
is_header(const uint8_t *header)
{
	return header[0] >= RECORD_CCS && header[0] <= RECORD_LAST &&
	       header[1] == 3 && header[2] <= 4 &&
	       be16(header + 3) <= RECORD_CONTENT_MAX;
}

static void
drop_record(struct side *side)
{
	free(side->record);
	side->record = NULL;
	side->have = 0;
	side->room = 0;
}

static void
lose(struct conversation *conversation, struct side *side)
{
	drop_record(side);
	side->lost = true;
	side->message_lost = side->epoch != EPOCH_DATA;
	side->message_have = 0;
	if (!side->begun)
		conversation->over = true;
}

/* Keeps a part of a record. False: no memory. */
static bool
keep(struct side *side, const uint8_t *bytes, uint32_t count)
{
	if (side->have + count > side->room) {
		const uint32_t room = 2 * (side->have + count);
		uint8_t *record = realloc(side->record, room);

		if (record == NULL)
			return false;
		side->record = record;
		side->room = room;
	}
	memcpy(side->record + side->have, bytes, count);
	side->have += count;
	return true;
}

/* How much of this there is to the end of the record, or of its header. */
static uint32_t
wanted(const struct side *side)
{
	if (side->have < RECORD_HEADER)
		return RECORD_HEADER - side->have;
	return RECORD_HEADER + be16(side->record + 3) - side->have;
}

static uint32_t
take_part(struct look *look, const uint8_t *bytes, uint32_t count)
{
	struct side *side = look->side;
	uint32_t take = wanted(side) < count ? wanted(side) : count;

	if (!keep(side, bytes, take)) {
		lose(look->conversation, side);
		return take;
	}
	if (side->have < RECORD_HEADER)
		return take;
	if (!is_header(side->record)) {
		lose(look->conversation, side);
		return take;
	}
	look->conversation->result.begun |= side->record[0] == RECORD_HANDSHAKE;
	side->begun = true;
	if (wanted(side) > 0)
		return take;
	look->record = side->record;
	look->size = side->have;
	side->record = NULL;
	drop_record(side);
	take_record(look);
	free((uint8_t *)look->record);
	return take;
}

/* A record that is there as a whole. 0: it is not. */
static uint32_t
take_whole(struct look *look, const uint8_t *bytes, uint32_t count)
{
	if (look->side->have > 0 || count < RECORD_HEADER ||
	    !is_header(bytes) ||
	    RECORD_HEADER + (uint32_t)be16(bytes + 3) > count)
		return 0;
	look->side->begun = true;
	look->record = bytes;
	look->size = RECORD_HEADER + be16(bytes + 3);
	take_record(look);
	return look->size;
}

void
conversation_bytes(struct conversation *conversation,
		   enum conversation_side from, const uint8_t *bytes,
		   uint32_t count)
{
	struct side *side = &conversation->sides[from];
	struct look look = { .conversation = conversation,
			     .from = from,
			     .side = side };

	/* a segment often begins with a record */
	if (side->lost && count >= RECORD_HEADER && is_header(bytes))
		side->lost = false;
	if (side->lost)
		side->slack += count / RECORD_MIN + 1;
	while (count > 0 && !side->lost) {
		uint32_t took = side->skip < count ? side->skip : count;

		side->skip -= took;
		if (took == 0)
			took = take_whole(&look, bytes, count);
		if (took == 0)
			took = take_part(&look, bytes, count);
		bytes += took;
		count -= took;
	}
}

/* The record that has begun is not to be had. */
static void
miss(struct conversation *conversation, struct side *side, bool cut)
{
	const uint8_t type = side->record[0];

	if (type == RECORD_DATA)
		begin_epoch(conversation, side);
	if (side->epoch != EPOCH_CLEAR && type != RECORD_CCS)
		side->sequence++;
	conversation->result.cut += cut;
	if (side->epoch != EPOCH_DATA)
		side->message_lost = true;
	side->message_have = 0;
	drop_record(side);
}

void
conversation_gap(struct conversation *conversation, enum conversation_side from,
		 uint32_t count, bool cut)
{
	struct side *side = &conversation->sides[from];
	uint32_t take = side->skip < count ? side->skip : count;

	conversation->result.lost += !cut;
	side->skip -= take;
	count -= take;
	if (count == 0 || side->lost) {
		side->slack += count / RECORD_MIN;
		return;
	}
	if (side->have >= RECORD_HEADER && count <= wanted(side)) {
		side->skip = wanted(side) - count;
		miss(conversation, side, cut);
		return;
	}
	conversation->result.cut += cut;
	side->slack += count / RECORD_MIN + 1;
	side->begun = true;
	lose(conversation, side);
}

/* ------------------------------------------------------------------------- */

/* Where nothing was missed and still no record could be opened. */
static unsigned int
wrong_13(const struct conversation *conversation)
{
	unsigned int wrong = 0;

	for (int i = 0; i < 2; i++)
		for (int j = EPOCH_EARLY; j < EPOCHS; j++)
			if (conversation->sides[i].tried[j] &&
			    !conversation->sides[i].fits[j])
				wrong |= 1u << labels[i][j];
	return wrong;
}

static unsigned int
wrong_12(const struct conversation *conversation)
{
	const struct side *client = &conversation->sides[SIDE_CLIENT];
	const struct side *server = &conversation->sides[SIDE_SERVER];

	if (client->fits[EPOCH_HANDSHAKE] || server->fits[EPOCH_HANDSHAKE] ||
	    !(client->tried[EPOCH_HANDSHAKE] || server->tried[EPOCH_HANDSHAKE]))
		return 0;
	return 1u << EBPFTLS_CLIENT_RANDOM;
}

struct conversation_result
conversation_result(const struct conversation *conversation)
{
	struct conversation_result result = conversation->result;

	result.wrong |= is_13(conversation) ? wrong_13(conversation)
					    : wrong_12(conversation);
	return result;
}
