// SPDX-License-Identifier: BSD-3-Clause
/*
 * Records, the few handshake messages that matter, and which keys protect what
 * follows them. Where messages are missing, what opens a record tells.
 */
#define _GNU_SOURCE
#include "conversation.h"

#include <stdlib.h>
#include <string.h>

#include "framing.h"
#include "records.h"
#include "terms.h"

#define CLIENT_HELLO   1
#define SERVER_HELLO   2
#define END_EARLY_DATA 5
#define FINISHED       20
#define KEY_UPDATE     24

#define VERSION_13 0x0304

/* As much of a message as is kept: a ServerHello is far shorter. */
#define MESSAGE_MAX 2048

/*
 * Where bytes are missing, the number of the next record has to be searched
 * for: from what it is if all were of the usual size up, some with each record,
 * and not for longer than the records that can be opened are worth.
 */
#define RECORD_USUAL (RECORD_HEADER + 16384 + 17)
#define RECORD_MIN   (RECORD_HEADER + 17)
#define TRIES	     32
#define TRIES_FIRST  1024

/* What keys are in use; those of TLS 1.2 are from the first to the last. */
enum epoch {
	EPOCH_CLEAR,
	EPOCH_EARLY,
	EPOCH_HANDSHAKE,
	EPOCH_DATA, /* also after each KeyUpdate */
	EPOCHS,
};

struct side {
	struct framing framing;
	uint64_t sequence; /* of the next record, if none was missed */
	uint64_t missed;   /* bytes of whole records, since the last one */
	uint64_t searched; /* so many that may have been missed were tried */
	uint32_t tries;	   /* that may be made yet */
	enum epoch epoch;
	struct record_keys *keys[EPOCHS];
	bool tried[EPOCHS]; /* where nothing had been missed */
	bool fits[EPOCHS];  /* a record could be opened */

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
	struct record_keys *prepared[2]; /* for after a ChangeCipherSpec */
	bool early;			 /* the client may send early data */
	bool encrypted; /* of TLS 1.2: a ChangeCipherSpec was there */
};

/* A record on its way through this file. */
struct look {
	struct conversation *conversation;
	enum conversation_side from;
	struct side *side;
	const uint8_t *record;
	uint32_t size;	/* its header included */
	uint8_t *plain; /* room for its content */
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

	if (new == NULL)
		return NULL;
	new->log = log;
	new->sides[SIDE_CLIENT].tries = TRIES_FIRST;
	new->sides[SIDE_SERVER].tries = TRIES_FIRST;
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
		record_keys_free(conversation->prepared[i]);
		framing_free(&conversation->sides[i].framing);
	}
	explicit_bzero(conversation, sizeof(*conversation));
	free(conversation);
}

bool
conversation_is_over(const struct conversation *conversation)
{
	return conversation->sides[SIDE_CLIENT].framing.alien ||
	       conversation->sides[SIDE_SERVER].framing.alien;
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

	if (suite == NULL)
		return NULL;
	secret = terms_find(result, conversation->log, label, needed);
	if (secret == NULL)
		return NULL;
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

static void
enter(struct side *side, enum epoch epoch)
{
	side->epoch = epoch;
	side->sequence = 0;
	side->message_have = 0;
	side->message_lost = false;
}

/* --- messages ------------------------------------------------------------ */

static void
take_server_hello(struct conversation *conversation, const uint8_t *bytes,
		  uint32_t size)
{
	if (!terms_take_server(&conversation->result, &conversation->master,
			       bytes, size))
		return;
	conversation->encrypted = false;
	if (!is_13(conversation))
		return;
	find_keys(conversation, SIDE_CLIENT, EPOCH_HANDSHAKE, true);
	find_keys(conversation, SIDE_SERVER, EPOCH_HANDSHAKE, true);
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
	const uint32_t size =
	    length < MESSAGE_MAX - 4 ? length : MESSAGE_MAX - 4;

	if (message[0] == CLIENT_HELLO && look->from == SIDE_CLIENT)
		terms_take_client(&conversation->result, message + 4, size,
				  &conversation->early);
	else if (message[0] == SERVER_HELLO && look->from == SIDE_SERVER)
		take_server_hello(conversation, message + 4, size);
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

/* Tries keys with one number. Returns the content's size, or -1. */
static int
try_number(struct look *look, enum epoch epoch, uint64_t number, uint8_t *type)
{
	struct side *side = look->side;
	const int size = record_open(side->keys[epoch], number, look->record,
				     look->size, look->plain, type);

	if (size < 0)
		return -1;
	if (epoch != side->epoch)
		enter(side, epoch);
	side->sequence = number + 1;
	side->missed = 0;
	side->searched = 0;
	side->tries++;
	side->fits[epoch] = true;
	return size;
}

/* The keys of an epoch, whose next record has this number or a later one. */
static int
try_keys(struct look *look, enum epoch epoch, uint64_t number, uint8_t *type)
{
	struct side *side = look->side;
	const uint64_t most = side->missed / RECORD_MIN;
	int size;

	if (side->keys[epoch] == NULL)
		return -1;
	if (epoch == side->epoch && side->missed == 0 &&
	    !may_be_early(look, epoch))
		side->tried[epoch] = true;
	size = try_number(look, epoch, number, type);
	for (uint64_t i = side->searched;
	     size < 0 && i <= most && i < side->searched + TRIES &&
	     side->tries > 0;
	     i++) {
		side->tries--;
		size = try_number(look, epoch, number + i, type);
	}
	return size;
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

	if (side->epoch != EPOCH_DATA || now == NULL || side->missed == 0)
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
	/* looked for once in each handshake */
	if (!conversation->encrypted)
		terms_make_12(&conversation->result, conversation->log,
			      &conversation->master, conversation->prepared);
	conversation->encrypted = true;
	record_keys_free(side->keys[EPOCH_HANDSHAKE]);
	side->keys[EPOCH_HANDSHAKE] = conversation->prepared[look->from];
	conversation->prepared[look->from] = NULL;
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
		side->searched += side->missed > 0 ? TRIES : 0;
		return;
	}
	result->opened++;
	if (type == FRAMING_HANDSHAKE)
		take_messages(look, look->plain, (uint32_t)size);
	else if (type == FRAMING_CCS)
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
take_record(void *context, const uint8_t *record, uint32_t size)
{
	struct look *look = context;
	const bool maybe_13 = !look->conversation->result.server_hello ||
			      is_13(look->conversation);

	look->record = record;
	look->size = size;
	if (!maybe_13 && look->side->epoch != EPOCH_CLEAR)
		open_record(look);
	else if (record[0] == FRAMING_CCS)
		take_ccs(look);
	else if (maybe_13 && record[0] == FRAMING_DATA)
		take_data_13(look);
	else if (record[0] == FRAMING_HANDSHAKE)
		take_messages(look, record + RECORD_HEADER,
			      size - RECORD_HEADER);
}

/* What is in handshake records that are missing is not made up for. */
static void
lose_messages(struct side *side)
{
	if (side->epoch != EPOCH_DATA)
		side->message_lost = true;
	side->message_have = 0;
}

static void
take_missed(void *context, uint8_t type)
{
	struct look *look = context;
	struct side *side = look->side;

	if (type == FRAMING_DATA)
		begin_epoch(look->conversation, side);
	if (side->epoch != EPOCH_CLEAR && type != FRAMING_CCS)
		side->sequence++;
	lose_messages(side);
}

static void
take_lost(void *context, uint32_t count)
{
	struct look *look = context;
	struct side *side = look->side;
	uint64_t usual;

	side->missed += count;
	usual = side->missed / RECORD_USUAL;
	/* some records are a little longer */
	side->searched = usual - usual / 32;
	lose_messages(side);
}

void
conversation_bytes(struct conversation *conversation,
		   enum conversation_side from, const uint8_t *bytes,
		   uint32_t count)
{
	struct side *side = &conversation->sides[from];
	uint8_t plain[RECORD_CONTENT_MAX];
	struct look look = { .conversation = conversation,
			     .from = from,
			     .side = side,
			     .plain = plain };
	const struct framing_taker taker = { &look, take_record, take_missed,
					     take_lost };

	framing_bytes(&side->framing, &taker, bytes, count);
}

void
conversation_gap(struct conversation *conversation, enum conversation_side from,
		 uint32_t count, bool cut)
{
	struct side *side = &conversation->sides[from];
	struct look look = { .conversation = conversation,
			     .from = from,
			     .side = side };
	const struct framing_taker taker = { &look, take_record, take_missed,
					     take_lost };

	conversation->result.lost += !cut;
	conversation->result.cut += cut;
	framing_gap(&side->framing, &taker, count);
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

	result.begun =
	    conversation->sides[SIDE_CLIENT].framing.first ==
		FRAMING_HANDSHAKE ||
	    conversation->sides[SIDE_SERVER].framing.first == FRAMING_HANDSHAKE;
	result.wrong |= is_13(conversation) ? wrong_13(conversation)
					    : wrong_12(conversation);
	return result;
}
