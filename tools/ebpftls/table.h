/* SPDX-License-Identifier: BSD-3-Clause */
/* What a report looks like. */
#ifndef TOOL_TABLE_H
#define TOOL_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "inspect.h"

/*
 * Writes a line for each connection, and what there is to say of all. Returns
 * whether all is well with all of them.
 */
bool table_write(FILE *to, const struct inspection *inspection, bool colour);

#endif
