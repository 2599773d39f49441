// SPDX-License-Identifier: BSD-3-Clause
/* Decides about colours, as other tools do. */
#include "colour.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool
colour_is_wanted(void)
{
	const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");

	return isatty(1) && (plain == NULL || *plain == '\0') &&
	       (term == NULL || strcmp(term, "dumb") != 0);
}
