// SPDX-License-Identifier: BSD-3-Clause
/* Decides who may capture, by what the kernel says of the peer. */
#define _GNU_SOURCE

#include "policy.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Its groups when it connected. NULL: they cannot be had. */
static gid_t *
peer_groups(int sock, size_t *count)
{
	socklen_t size = 0;
	gid_t *groups;

	*count = 0;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 ||
	    errno != ERANGE)
		return NULL;
	groups = malloc(size);
	if (groups == NULL ||
	    getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0) {
		free(groups);
		return NULL;
	}
	*count = size / sizeof(gid_t);
	return groups;
}

static bool
is_member(int sock, const struct ucred *peer, gid_t wanted)
{
	size_t count;
	gid_t *groups = peer_groups(sock, &count);
	bool found = peer->gid == wanted;

	for (size_t i = 0; !found && i < count; i++)
		found = groups[i] == wanted;
	free(groups);
	return found;
}

static int
admit_remedy(struct failure *failure, const char *group, uid_t uid)
{
	const struct passwd *user = getpwuid(uid);

	return fail_remedy(failure, "sudo usermod -aG %s %s, and log in again",
			   group, user != NULL ? user->pw_name : "USER");
}

int
policy_admit(int sock, const char *group, bool *is_root,
	     struct failure *failure)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	const struct group *entry;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return fail(failure, EBPFTLS_REASON_NO_PERMISSION,
			    "cannot tell who asks: %s", strerror(errno));
	*is_root = peer.uid == 0;
	if (*is_root)
		return 0;
	if (group == NULL) {
		fail(failure, EBPFTLS_REASON_NO_PERMISSION,
		     "this ebpftls service serves only root - the "
		     "administrator can name a group with ebpftls-agent "
		     "--group");
		return fail_remedy(
		    failure, "sudo systemctl edit ebpftls-agent@.service, "
			     "as /lib/systemd/system/ebpftls-agent@."
			     "service says; or capture as root");
	}
	entry = getgrnam(group);
	if (entry == NULL) {
		fail(failure, EBPFTLS_REASON_NO_PERMISSION,
		     "the group '%s' that this ebpftls service is to serve "
		     "does not exist",
		     group);
		return fail_remedy(failure, "sudo groupadd --system %s", group);
	}
	if (is_member(sock, &peer, entry->gr_gid))
		return 0;
	fail(failure, EBPFTLS_REASON_NO_PERMISSION,
	     "this ebpftls service serves root and the members of the group "
	     "'%s', and you are neither",
	     group);
	return admit_remedy(failure, group, peer.uid);
}
