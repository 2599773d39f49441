/* SPDX-License-Identifier: BSD-3-Clause */
/* What the hello messages of a connection settle, and the secrets for that. */
#ifndef TOOL_TERMS_H
#define TOOL_TERMS_H

#include <stdbool.h>
#include <stdint.h>

#include "conversation.h"
#include "records.h"

/* Each takes a message behind its type and length. False: it is none. */

/* Sets whether early data may follow. */
bool terms_take_client(struct conversation_result *result, const uint8_t *bytes,
		       uint32_t size, bool *early);

/* Sets, for TLS 1.2, what keys are made of besides the secret. */
bool terms_take_server(struct conversation_result *result,
		       struct record_master *master, const uint8_t *bytes,
		       uint32_t size);

/*
 * The secret, as the file has it now; or NULL. Where a reader `needs` it now it
 * is missing for good then.
 */
const struct keylog_secret *terms_find(struct conversation_result *result,
				       struct keylog *log,
				       enum ebpftls_label label, bool needs);

/* Replaces the keys of both sides by those of TLS 1.2, if they are needed now;
 * without its secret that is missing for good. */
void terms_make_12(struct conversation_result *result, struct keylog *log,
		   struct record_master *master, struct record_keys *keys[2]);

#endif
