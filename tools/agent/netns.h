/* SPDX-License-Identifier: BSD-3-Clause */
/* Other network namespaces. */
#ifndef AGENT_NETNS_H
#define AGENT_NETNS_H

#include "failure.h"

/*
 * Moves this process into a network namespace, named as `ip netns` does, by
 * a path or by the pid of a process in it, and gives it that namespace's
 * /sys. An empty name leaves it where it is. Returns 0 or -1.
 */
int netns_enter(const char *name, struct failure *failure);

/* The same for the one in which the other end of a connection was made. */
int netns_enter_peer(int sock, struct failure *failure);

/* Whether this process could do that: 0 or a negative errno. */
int netns_try(void);

#endif
