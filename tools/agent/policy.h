/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may capture. */
#ifndef AGENT_POLICY_H
#define AGENT_POLICY_H

#include <stdbool.h>

#include "failure.h"

/*
 * Whether the process at the other end of `sock` may capture: root, and the
 * members of `group` if that is not NULL. Returns 0 or -1; `is_root` says
 * whether it may also send.
 */
int policy_admit(int sock, const char *group, bool *is_root,
		 struct failure *failure);

#endif
