/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether standard output is where colours are seen and wanted. */
#ifndef TOOL_COLOUR_H
#define TOOL_COLOUR_H

#include <stdbool.h>

bool colour_is_wanted(void);

#endif
