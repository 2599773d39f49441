/* SPDX-License-Identifier: BSD-3-Clause */
/* Why there is no capture: goes to the application as it stands. */
#ifndef AGENT_FAILURE_H
#define AGENT_FAILURE_H

#include "ebpftls-control.h"

struct failure {
	enum ebpftls_reason reason;
	char text[EBPFTLS_TEXT_SIZE];
};

/* Says why; returns -1 for the caller to return. */
__attribute__((format(printf, 3, 4))) int fail(struct failure *failure,
					       enum ebpftls_reason reason,
					       const char *format, ...);

/*
 * The kernel refused `what` with `error`: says which privilege, setting or
 * feature is missing, as far as that can be found out.
 */
int fail_refused(struct failure *failure, int error, const char *what);

#endif
