// SPDX-License-Identifier: BSD-3-Clause
/* Decides who may capture, by what the kernel says of the peer. */
#include "policy.h"

#include <grp.h>
#include <pwd.h>
#include <stddef.h>

static bool
is_member(const struct peer *peer, gid_t wanted)
{
	bool found = peer->gid == wanted;

	for (size_t i = 0; !found && i < peer->count; i++)
		found = peer->groups[i] == wanted;
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
policy_admit(const struct peer *peer, const char *group,
	     struct failure *failure)
{
	const struct group *entry;

	if (peer->uid == 0)
		return 0;
	if (group == NULL) {
		fail(failure, EBPFTLS_REASON_NO_PERMISSION,
		     "this ebpftls service serves only root - the "
		     "administrator can name a group with ebpftls-agent "
		     "--group");
		return fail_remedy(
		    failure, "sudo systemctl edit ebpftls-agent@.service, "
			     "as ebpftls-agent(8) says of --group; or capture "
			     "as root");
	}
	entry = getgrnam(group);
	if (entry == NULL) {
		fail(failure, EBPFTLS_REASON_NO_PERMISSION,
		     "the group '%s' that this ebpftls service is to serve "
		     "does not exist",
		     group);
		return fail_remedy(failure, "sudo groupadd --system %s", group);
	}
	if (is_member(peer, entry->gr_gid))
		return 0;
	fail(failure, EBPFTLS_REASON_NO_PERMISSION,
	     "this ebpftls service serves root and the members of the group "
	     "'%s', and you are neither",
	     group);
	return admit_remedy(failure, group, peer->uid);
}
