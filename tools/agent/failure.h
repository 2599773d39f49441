/* SPDX-License-Identifier: BSD-3-Clause */
/* Why there is no capture: goes to the application as it stands. */
#ifndef AGENT_FAILURE_H
#define AGENT_FAILURE_H

#include <stdbool.h>

#include "ebpftls-control.h"

struct failure {
	enum ebpftls_reason reason;
	char text[EBPFTLS_TEXT_SIZE];
	char remedy[EBPFTLS_TEXT_SIZE]; /* a command, or what to do; or "" */
};

/* Says why, and clears the remedy; returns -1 for the caller to return. */
__attribute__((format(printf, 3, 4))) int fail(struct failure *failure,
					       enum ebpftls_reason reason,
					       const char *format, ...);

/* Says what helps; returns -1 as well. */
__attribute__((format(printf, 2, 3))) int fail_remedy(struct failure *failure,
						      const char *format, ...);

/* Bits 1 << CAP_* of which one is enough, and how the first is called. */
struct failure_capability {
	const char *name;
	unsigned long long any_of;
};

/* Whether this process has it, and else how it would get it. */
bool failure_is_capable(const struct failure_capability *capability);
int fail_capability(struct failure *failure,
		    const struct failure_capability *capability);

/*
 * What this process has now is what it was started with, of which it may give
 * up some later on.
 */
void failure_begin(void);

/*
 * The kernel refused `what` with `error`: says which privilege, setting or
 * feature is missing, as far as that can be found out.
 */
int fail_refused(struct failure *failure, int error, const char *what);

#endif
