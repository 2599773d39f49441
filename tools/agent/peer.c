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
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "privileges.h"

/* Not in the headers of older libcs; a number of the kernel's ABI. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define NOBODY_AT_ALL UINT32_MAX /* no process has it */

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

bool
peer_become(const struct peer *peer)
{
	return setgroups(peer->count, peer->groups) == 0 &&
	       setresgid(peer->gid, peer->gid, peer->gid) == 0 &&
	       setresuid(peer->uid, peer->uid, peer->uid) == 0 &&
	       privileges_keep(0) == 0 &&
	       prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

/* Where the kernel cannot tell, its pid may be another's by now. */
static bool
is_there(int sock)
{
	struct pollfd end = { .events = POLLIN };
	socklen_t size = sizeof(end.fd);
	bool there;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &end.fd, &size) != 0)
		return errno == ENOPROTOOPT;
	there = poll(&end, 1, 0) == 0;
	close(end.fd);
	return there;
}

/* In a user namespace its ids do not let it do what they do outside. */
static bool
is_in_our_namespace(int sock, const struct peer *peer)
{
	struct stat here, there;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)peer->pid);
	return stat("/proc/self/ns/user", &here) == 0 &&
	       stat(path, &there) == 0 && here.st_dev == there.st_dev &&
	       here.st_ino == there.st_ino && is_there(sock);
}

/* Asked as the peer, of a process that is not the peer's: this one. */
static bool
are_others_hidden(const struct peer *peer)
{
	char path[64];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)getpid());
	pid = fork();
	if (pid == 0)
		_exit(peer_become(peer) && access(path, R_OK) == 0
			  ? EXIT_SUCCESS
			  : EXIT_FAILURE);
	return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

struct ebpftls_caller
peer_limits(int sock, const struct peer *peer)
{
	struct ebpftls_caller caller = { .uid = peer->uid, .gid = peer->gid };

	if (peer->uid == 0)
		return caller;
	caller.limited = 1;
	caller.hidden = are_others_hidden(peer);
	if (!is_in_our_namespace(sock, peer))
		caller.uid = NOBODY_AT_ALL;
	return caller;
}

void
peer_free(struct peer *peer)
{
	free(peer->groups);
	peer->groups = NULL;
}
