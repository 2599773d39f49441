// SPDX-License-Identifier: BSD-3-Clause
/* From what could be opened, and what was missing, to words. */
#include "verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *
verdict_word(enum verdict verdict)
{
	static const char *const words[] = {
		[VERDICT_OK] = "ok",
		[VERDICT_PLAIN] = "plain",
		[VERDICT_UNVERIFIED] = "unverified",
		[VERDICT_LOST] = "lost",
		[VERDICT_CUT] = "cut",
		[VERDICT_LATE] = "late",
		[VERDICT_WRONG] = "wrong",
		[VERDICT_MISSING] = "missing",
		[VERDICT_OLDER] = "older",
	};

	return words[verdict];
}

bool
verdict_is_good(enum verdict verdict)
{
	return verdict == VERDICT_OK || verdict == VERDICT_PLAIN ||
	       verdict == VERDICT_UNVERIFIED;
}

/* What is not looked into, or cannot be: whether there are keys. */
static enum verdict
by_presence(const struct connection *connection)
{
	return connection->have != 0 ? VERDICT_UNVERIFIED : VERDICT_MISSING;
}

enum verdict
verdict_of(const struct connection *connection)
{
	const struct conversation_result *result = &connection->result;

	if (!result->client_hello) {
		if (result->cut > 0)
			return VERDICT_CUT;
		return connection->begun ? VERDICT_LOST : VERDICT_OLDER;
	}
	if (result->records == 0 && result->cut == 0 && result->lost == 0)
		return VERDICT_PLAIN;
	if (result->server_hello && result->suite == NULL)
		return by_presence(connection);
	if (result->wrong != 0)
		return VERDICT_WRONG;
	if (result->missing & connection->have)
		return VERDICT_LATE;
	if (result->missing != 0)
		return VERDICT_MISSING;
	if (result->cut > 0)
		return VERDICT_CUT;
	if (result->lost > 0 || result->opened < result->records)
		return VERDICT_LOST;
	return VERDICT_OK;
}

/* --- words --------------------------------------------------------------- */

struct text {
	char *at;
	size_t left;
};

static void
add(struct text *text, const char *what)
{
	const int size = snprintf(text->at, text->left, "%s", what);

	if (size < 0 || (size_t)size >= text->left)
		return;
	text->at += size;
	text->left -= (size_t)size;
}

static void
add_labels(struct text *text, unsigned int labels)
{
	const char *comma = "";

	for (unsigned int i = 0; i < EBPFTLS_LABELS; i++) {
		if (!(labels & 1u << i))
			continue;
		add(text, comma);
		add(text, keylog_name((enum ebpftls_label)i));
		comma = ", ";
	}
}

static void
add_records(struct text *text, const struct connection *connection,
	    const char *before)
{
	const struct conversation_result *result = &connection->result;
	char count[64];

	snprintf(count, sizeof(count), "%s%" PRIu32 " of %" PRIu32 " %s",
		 before, result->opened, result->records,
		 connection->kind == CONNECTION_QUIC ? "packets" : "records");
	add(text, count);
}

void
verdict_explain(const struct connection *connection, enum verdict verdict,
		char buffer[VERDICT_TEXT_SIZE])
{
	const struct conversation_result *result = &connection->result;
	struct text text = { buffer, VERDICT_TEXT_SIZE };

	buffer[0] = '\0';
	switch (verdict) {
	case VERDICT_OK:
	case VERDICT_PLAIN:
	case VERDICT_UNVERIFIED:
		return;
	case VERDICT_OLDER:
		add(&text, "no ClientHello: it began before the capture");
		return;
	case VERDICT_WRONG:
		add_labels(&text, result->wrong);
		break;
	case VERDICT_LATE:
		add_labels(&text, result->missing & connection->have);
		add(&text, " behind the packets");
		break;
	case VERDICT_MISSING:
		if (connection->have == 0) {
			add(&text, "no keys in the file");
			return;
		}
		add(&text, "no ");
		add_labels(&text, result->missing);
		break;
	default:
		if (!result->client_hello) {
			add(&text, "no ClientHello");
			return;
		}
		if (!result->server_hello) {
			add(&text, "no ServerHello");
			return;
		}
		add_records(&text, connection, "");
		return;
	}
	add_records(&text, connection, ": ");
}
