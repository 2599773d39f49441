/* SPDX-License-Identifier: BSD-3-Clause */
/* The TLS secrets of a file, as far as it has been read. */
#ifndef TOOL_KEYLOG_H
#define TOOL_KEYLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "events.h"

#define KEYLOG_RANDOM 32

struct keylog_secret {
	uint8_t size; /* 32 or 48; 0: it is not there */
	uint8_t bytes[48];
};

struct keylog;

/*
 * For so many connections; the one unused longest gives way to another. NULL:
 * no memory.
 */
struct keylog *keylog_new(size_t connections);

/* Wipes everything. */
void keylog_free(struct keylog *log);

/*
 * Adds the lines of a block of secrets; what is no secret is passed over. One
 * takes the place of an earlier one with its name and client random.
 */
void keylog_add(struct keylog *log, const uint8_t *lines, size_t size);

/* The secret, valid until the next call, or NULL. */
const struct keylog_secret *keylog_find(struct keylog *log,
					const uint8_t random[KEYLOG_RANDOM],
					enum ebpftls_label label);

/*
 * The file whose code gave a process this connection's secrets: visible ASCII,
 * as in the capture's comments; NULL: it is not told. Valid as long as `log`.
 */
const char *keylog_library(struct keylog *log,
			   const uint8_t random[KEYLOG_RANDOM], uint32_t pid);

/* Which secrets this connection has: bits 1 << ebpftls_label. */
unsigned int keylog_have(struct keylog *log,
			 const uint8_t random[KEYLOG_RANDOM]);

/* Of how many connections there have been secrets. */
size_t keylog_count(const struct keylog *log);

const char *keylog_name(enum ebpftls_label label);

#endif
