/* SPDX-License-Identifier: BSD-3-Clause */
/* What hello messages of TLS say of keys. */
#ifndef TOOL_HELLO_H
#define TOOL_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#include "records.h"

struct hello_client {
	uint8_t random[RECORD_RANDOM];
	bool early; /* early data may follow */
};

struct hello_server {
	uint8_t random[RECORD_RANDOM];
	uint16_t version;
	uint16_t suite;
	bool encrypt_then_mac;
};

/* Each takes the message behind its type and length. False: it is none. */

bool hello_read_client(struct hello_client *hello, const uint8_t *bytes,
		       uint32_t size);

/* Nor is a HelloRetryRequest. */
bool hello_read_server(struct hello_server *hello, const uint8_t *bytes,
		       uint32_t size);

#endif
