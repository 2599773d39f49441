/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is at the other end of a connection, and what that may see. */
#ifndef AGENT_PEER_H
#define AGENT_PEER_H

#include <stdbool.h>
#include <sys/types.h>

#include "events.h"

struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* when it connected; NULL: they cannot be had */
	size_t count;
};

/* Returns 0 or a negative errno. */
int peer_of(int sock, struct peer *peer);

/*
 * What the peer at the other end of `sock` may be told of processes: of which
 * it gets secrets, and whether others are hidden from it, as by "hidepid".
 */
struct ebpftls_caller peer_limits(int sock, const struct peer *peer);

/*
 * Makes a process of the agent one of the peer's, with no capability, that the
 * peer cannot look into. False: it is not, and must not go on.
 */
bool peer_become(const struct peer *peer);

/*
 * As open() with these flags and O_PATH, where `root` is the root directory,
 * and with the rights of the peer. Returns a descriptor or a negative errno.
 */
int peer_open(const struct peer *peer, int root, const char *path, int flags);

void peer_free(struct peer *peer);

#endif
