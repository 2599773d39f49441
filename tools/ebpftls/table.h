/* SPDX-License-Identifier: BSD-3-Clause */
/* What a report looks like. */
#ifndef TOOL_TABLE_H
#define TOOL_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "inspect.h"

struct table {
	FILE *to;
	bool colour;

	/* of columns: as wide as the longest text in them */
	struct {
		int pair;
		int cipher;
		int ends;
		int libraries;
	} widths;
};

/* Writes the line of one connection, and flushes. */
void table_line(struct table *table, const struct connection *connection);

/*
 * Writes the lines of the connections that have not been told, and what there
 * is to say of all. Returns whether all is well with all of them.
 */
bool table_write(struct table *table, const struct inspection *inspection);

#endif
