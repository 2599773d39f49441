/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TLS secrets that came, by the client random of their connection: each
 * once, and gone from memory when it is no longer needed.
 */
#ifndef EBPFTLS_KEYS_H
#define EBPFTLS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-libraries.h"
#include "events.h"

#define EBPFTLS_RANDOM_SIZE 32

/* "LABEL RANDOM SECRET\n" in hexadecimal, terminated. */
#define EBPFTLS_LINE_SIZE 256

/*
 * "# RANDOM pid=PID library=PATH\n", for people and our own tools: who reads
 * secrets passes over it. The words are as in comments.
 */
#define EBPFTLS_GIVER_SIZE 1280

/* What one connection has, and is known to need: bits 1 << ebpftls_label. */
struct ebpftls_keys_entry {
	uint8_t random[EBPFTLS_RANDOM_SIZE];
	uint16_t have;
	bool captured;	/* its ClientHello is among the packets */
	bool written;	/* the savefiles have what it has: theirs to set */
	uint8_t givers; /* who gave secrets: each process and file once */
	uint8_t named;	/* of them, in the savefiles: theirs to set */
};

struct ebpftls_keys;

/*
 * A table for `connections` at most, at least one, that have secrets, and as
 * many that have none: of either the one unused longest gives way to another
 * of its kind. Memory is taken at once. NULL: there is none.
 */
struct ebpftls_keys *ebpftls_keys_new(size_t connections);

/* Wipes everything. */
void ebpftls_keys_free(struct ebpftls_keys *keys);

/*
 * Keeps a secret. Returns its connection, or NULL if it is there already or
 * is no secret. One that differs takes the place of the one with its label: a
 * KeyUpdate made it, or another connection with the same client random. The
 * pointer is valid until the next call.
 */
const struct ebpftls_keys_entry *
ebpftls_keys_add(struct ebpftls_keys *keys,
		 const struct ebpftls_secret *secret);

/* The connection, which is made if it is not known. */
struct ebpftls_keys_entry *
ebpftls_keys_get(struct ebpftls_keys *keys,
		 const uint8_t random[EBPFTLS_RANDOM_SIZE]);

/* The connection, or NULL if it is not known. */
struct ebpftls_keys_entry *
ebpftls_keys_find(struct ebpftls_keys *keys,
		  const uint8_t random[EBPFTLS_RANDOM_SIZE]);

/*
 * Calls `line` with the key log line of each secret of a connection, in the
 * order in which they came.
 */
typedef void ebpftls_keys_line(void *context, const char *line, size_t length);
void ebpftls_keys_lines(const struct ebpftls_keys_entry *entry,
			ebpftls_keys_line *line, void *context);

/*
 * Writes the line about one who gave a connection's secrets, the first is 0;
 * returns its length, 0: the file is not known.
 */
size_t ebpftls_keys_giver(const struct ebpftls_keys_entry *entry, uint8_t which,
			  const struct ebpftls_libraries *libraries,
			  char line[EBPFTLS_GIVER_SIZE]);

/* What one gave fits a connection that was captured, the first is 0. */
void ebpftls_keys_fit(const struct ebpftls_keys_entry *entry, uint8_t which,
		      struct ebpftls_libraries *libraries);

/*
 * Who gives secrets and has connections without: the path of a file from which
 * such a process got them, and which never gave any that fit; or NULL.
 * `lacks`: whether a process has connections without secrets.
 */
typedef bool ebpftls_keys_lacks(const void *context, uint32_t pid);
const char *ebpftls_keys_unfit(const struct ebpftls_keys *keys,
			       const struct ebpftls_libraries *libraries,
			       ebpftls_keys_lacks *lacks, const void *context);

/* Writes the key log line of one secret; returns its length, 0: it is none. */
size_t ebpftls_keys_format(const struct ebpftls_secret *secret,
			   char line[EBPFTLS_LINE_SIZE]);

#endif
