// SPDX-License-Identifier: BSD-3-Clause
/* Hello messages of whatever transport, and keys by what they say. */
#include "terms.h"

#include <string.h>

#include "hello.h"

#define VERSION_12	0x0303
#define VERSION_13	0x0304
#define VERSION_DTLS_12 0xfefd

bool
terms_take_client(struct conversation_result *result, const uint8_t *bytes,
		  uint32_t size, bool *early)
{
	struct hello_client hello;

	if (!hello_read_client(&hello, bytes, size))
		return false;
	result->client_hello = true;
	memcpy(result->random, hello.random, RECORD_RANDOM);
	*early = hello.early;
	return true;
}

bool
terms_take_server(struct conversation_result *result,
		  struct record_master *master, const uint8_t *bytes,
		  uint32_t size)
{
	struct hello_server hello;

	if (!hello_read_server(&hello, bytes, size))
		return false;
	result->server_hello = true;
	result->version = hello.version;
	result->number = hello.suite;
	result->suite = NULL;
	if (hello.version == VERSION_12 || hello.version == VERSION_13 ||
	    hello.version == VERSION_DTLS_12)
		result->suite = suite_find(hello.suite);
	memcpy(master->server_random, hello.random, RECORD_RANDOM);
	master->encrypt_then_mac = hello.encrypt_then_mac;
	return true;
}

const struct keylog_secret *
terms_find(struct conversation_result *result, struct keylog *log,
	   enum ebpftls_label label, bool needs)
{
	const struct keylog_secret *secret;

	if (!result->client_hello)
		return NULL;
	secret = keylog_find(log, result->random, label);
	if (secret == NULL && needs)
		result->missing |= 1u << label;
	return secret;
}

void
terms_make_12(struct conversation_result *result, struct keylog *log,
	      struct record_master *master, struct record_keys *keys[2])
{
	const struct keylog_secret *secret;

	if (!result->client_hello || result->suite == NULL)
		return;
	secret = terms_find(result, log, EBPFTLS_CLIENT_RANDOM, true);
	if (secret == NULL)
		return;
	if (secret->size != RECORD_SECRET_MAX) {
		result->missing |= 1u << EBPFTLS_CLIENT_RANDOM;
		return;
	}
	memcpy(master->secret, secret->bytes, secret->size);
	memcpy(master->client_random, result->random, RECORD_RANDOM);
	for (int i = 0; i < 2; i++) {
		record_keys_free(keys[i]);
		keys[i] =
		    record_keys_12(result->suite, master, i == SIDE_SERVER);
	}
}
