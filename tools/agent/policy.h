/* SPDX-License-Identifier: BSD-3-Clause */
/* Who may capture. */
#ifndef AGENT_POLICY_H
#define AGENT_POLICY_H

#include "failure.h"
#include "peer.h"

/*
 * Whether the peer may capture: root, and the members of `group` if that is not
 * NULL. Returns 0 or -1.
 */
int policy_admit(const struct peer *peer, const char *group,
		 struct failure *failure);

#endif
