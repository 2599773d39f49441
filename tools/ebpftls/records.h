/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens TLS 1.2 and 1.3 records (RFC 5246, 5288, 6655, 7366, 7905, 8446). */
#ifndef TOOL_RECORDS_H
#define TOOL_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "suites.h"

#define RECORD_HEADER	   5
#define RECORD_CONTENT_MAX (16384 + 2048)
#define RECORD_RANDOM	   32
#define RECORD_SECRET_MAX  48

/* For one direction of a connection, from when it has them. */
struct record_keys;

/*
 * Of a traffic secret of TLS 1.3. NULL: the suite has secrets of another
 * length, or there is no memory.
 */
struct record_keys *record_keys_13(const struct suite *suite,
				   const uint8_t *secret, size_t size);

/* Those that follow them after a KeyUpdate; NULL likewise. */
struct record_keys *record_keys_next(const struct record_keys *keys);

/* What the keys of TLS 1.2 are made of. */
struct record_master {
	uint8_t secret[RECORD_SECRET_MAX];
	uint8_t client_random[RECORD_RANDOM];
	uint8_t server_random[RECORD_RANDOM];
	bool encrypt_then_mac;
};

/* For what the client sends, or the server. NULL: there is no memory. */
struct record_keys *record_keys_12(const struct suite *suite,
				   const struct record_master *master,
				   bool from_server);

/* Wipes and frees. */
void record_keys_free(struct record_keys *keys);

/*
 * Opens a record of `size` bytes, its header included: `sequence` were sent
 * with the keys before it. Puts what is in it into `plain`, where there is room
 * for as much, and its type. Returns how much that is; -1: the keys do not fit.
 */
int record_open(const struct record_keys *keys, uint64_t sequence,
		const uint8_t *record, size_t size, uint8_t *plain,
		uint8_t *type);

#endif
