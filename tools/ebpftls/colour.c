// SPDX-License-Identifier: BSD-3-Clause
/* A terminal that is not a dumb one, and a user who has not refused. */
#include "colour.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool
colour_wanted(void)
{
	const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) &&
	       (term == NULL || strcmp(term, "dumb") != 0) &&
	       (plain == NULL || plain[0] == '\0');
}
