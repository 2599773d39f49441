/* SPDX-License-Identifier: BSD-3-Clause */
/* What a fuzz target expects of what it calls. */
#ifndef TESTS_FUZZ_REQUIRE_H
#define TESTS_FUZZ_REQUIRE_H

#include <stdbool.h>
#include <stdlib.h>

/* Ends the target if it does not hold: the input is a finding. */
static inline void
require(bool holds)
{
	if (!holds)
		abort();
}

#endif
