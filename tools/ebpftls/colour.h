/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether what is written to the standard output may have colours. */
#ifndef TOOL_COLOUR_H
#define TOOL_COLOUR_H

#include <stdbool.h>

bool colour_wanted(void);

#endif
