// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the kernel says of the process at the other end of a connection. A path
 * that it names is looked up with its rights and not with ours: the answer
 * would tell of what it may not see.
 */
#define _GNU_SOURCE

#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
find_groups(int sock, struct peer *peer)
{
	socklen_t size = 0;

	peer->groups = NULL;
	peer->count = 0;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 ||
	    errno != ERANGE)
		return;
	peer->groups = malloc(size);
	if (peer->groups == NULL)
		return;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &size) ==
	    0)
		peer->count = size / sizeof(gid_t);
}

int
peer_of(int sock, struct peer *peer)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
		return -errno;
	peer->pid = credentials.pid;
	peer->uid = credentials.uid;
	peer->gid = credentials.gid;
	find_groups(sock, peer);
	return 0;
}

/* These tell what was, and not whether it is another now. */
static bool
set_user(uid_t uid, gid_t gid)
{
	setfsgid(gid);
	setfsuid(uid);
	return setfsgid((gid_t)-1) == (int)gid &&
	       setfsuid((uid_t)-1) == (int)uid;
}

static int
open_in_root(int root, const char *path, int flags)
{
	const struct open_how how = {
		.flags = (uint64_t)(O_PATH | O_CLOEXEC | flags),
		.resolve = RESOLVE_IN_ROOT,
	};
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/*
 * Only for files it is the peer: then the kernel does not let us have the
 * capabilities for them either. What is not its own again must not go on.
 */
int
peer_open(const struct peer *peer, int root, const char *path, int flags)
{
	gid_t groups[NGROUPS_MAX];
	int count, fd = -EPERM;

	if (peer->uid == geteuid())
		return open_in_root(root, path, flags);
	count = getgroups(NGROUPS_MAX, groups);
	if (count < 0 || setgroups(peer->count, peer->groups) != 0)
		return -errno;
	if (set_user(peer->uid, peer->gid))
		fd = open_in_root(root, path, flags);
	if (!set_user(geteuid(), getegid()) ||
	    setgroups((size_t)count, groups) != 0)
		abort();
	return fd;
}

void
peer_free(struct peer *peer)
{
	free(peer->groups);
	peer->groups = NULL;
}
