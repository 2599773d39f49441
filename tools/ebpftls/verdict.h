/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a connection decrypts, and what it is that it does not. */
#ifndef TOOL_VERDICT_H
#define TOOL_VERDICT_H

#include <stddef.h>

#include "connections.h"

enum verdict {
	VERDICT_OK,
	VERDICT_PLAIN,
	VERDICT_UNVERIFIED,
	VERDICT_LOST,
	VERDICT_CUT,
	VERDICT_LATE,
	VERDICT_WRONG,
	VERDICT_MISSING,
	VERDICT_OLDER,
	VERDICTS,
};

enum verdict verdict_of(const struct connection *connection);

/* Whether nothing is wrong with that. */
bool verdict_is_good(enum verdict verdict);

/* One word for a table, and a part of a sentence for a sum. */
const char *verdict_word(enum verdict verdict);
const char *verdict_phrase(enum verdict verdict);

#define VERDICT_TEXT_SIZE 256

/* What else there is to say of one connection: "" if nothing. */
void verdict_explain(const struct connection *connection, enum verdict verdict,
		     char text[VERDICT_TEXT_SIZE]);

#endif
