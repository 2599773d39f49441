/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is at the other end of a connection, and what that may see. */
#ifndef AGENT_PEER_H
#define AGENT_PEER_H

#include <stdbool.h>
#include <sys/types.h>

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
 * As open() with these flags and O_PATH, where `root` is the root directory,
 * and with the rights of the peer. Returns a descriptor or a negative errno.
 */
int peer_open(const struct peer *peer, int root, const char *path, int flags);

void peer_free(struct peer *peer);

#endif
