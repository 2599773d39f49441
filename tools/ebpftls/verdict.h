/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether a connection decrypts, and what it is that it does not. */
#ifndef TOOL_VERDICT_H
#define TOOL_VERDICT_H

#include <stddef.h>

#include "connections.h"

enum verdict {
	VERDICT_OK,	    /* every record could be opened */
	VERDICT_PLAIN,	    /* nothing was encrypted */
	VERDICT_UNVERIFIED, /* there are keys, but they cannot be tried */
	VERDICT_LOST,	    /* packets are missing */
	VERDICT_CUT,	    /* the snap length has cut packets */
	VERDICT_MISSING,    /* keys are not in the file */
	VERDICT_LATE,	    /* keys stand behind packets that need them */
	VERDICT_WRONG,	    /* keys open nothing */
	VERDICT_OLDER,	    /* than the capture */
	VERDICTS,
};

enum verdict verdict_of(const struct connection *connection);

/* Whether nothing is wrong with that. */
bool verdict_is_good(enum verdict verdict);

/* In one word. */
const char *verdict_word(enum verdict verdict);

#define VERDICT_TEXT_SIZE 256

/* What else there is to say of one connection: "" if nothing. */
void verdict_explain(const struct connection *connection, enum verdict verdict,
		     char text[VERDICT_TEXT_SIZE]);

#endif
