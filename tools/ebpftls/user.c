// SPDX-License-Identifier: BSD-3-Clause
/* Becomes a user who may do nothing, as tcpdump does. */
#define _GNU_SOURCE

#include "user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

int
user_drop(void)
{
	const struct passwd *user;

	if (geteuid() != 0)
		return 0;
	user = getpwnam("tcpdump");
	if (user == NULL)
		user = getpwnam("nobody");
	if (user == NULL)
		return complain("there is no user tcpdump or nobody");
	if (setgroups(0, NULL) != 0 ||
	    setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0)
		return complain("cannot become %s: %s", user->pw_name,
				strerror(errno));
	return 0;
}
