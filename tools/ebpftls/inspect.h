/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads a pcapng file for what it has of TLS. */
#ifndef TOOL_INSPECT_H
#define TOOL_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connections.h"
#include "keylog.h"

/* What the capture itself has said, in the statistics, as it stands there. */
struct note {
	struct note *next;
	size_t size;
	char text[];
};

struct inspection {
	const struct connection *list;
	size_t secrets; /* connections that there are secrets of */
	struct note *notes;
	bool cut; /* the file ends inside of a block */

	/* ours */
	struct keylog *log;
	struct connections *connections;
};

/*
 * Reads all of the file. Follows at most `limit` connections at once. `ended`,
 * if it is not NULL, gets those that end on the way. Returns NULL, or why the
 * file could not be read to its end: what there was of it is there
 * nevertheless.
 */
const char *inspect(struct inspection *inspection, int fd, size_t limit,
		    connections_taker *ended, void *context);

void inspection_free(struct inspection *inspection);

#endif
