// SPDX-License-Identifier: BSD-3-Clause
/* Looks at the profiles that AppArmor has, and at what was added to them. */
#define _GNU_SOURCE

#include "apparmor.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROFILES "/sys/kernel/security/apparmor/profiles"
#define ENABLED	 "/sys/module/apparmor/parameters/enabled"
#define FOLDER	 "/etc/apparmor.d"

/* Whether a line begins with `text`; -1 if the file cannot be read. */
static int
has_line(const char *path, const char *text)
{
	FILE *file = fopen(path, "re");
	char line[1024];
	int found = 0;

	if (file == NULL)
		return -1;
	while (!found && fgets(line, sizeof(line), file) != NULL)
		found = strncmp(line + strspn(line, " \t"), text,
				strlen(text)) == 0;
	fclose(file);
	return found;
}

/* By the path, or by a name, which is the program's; -1: it does not say. */
static int
is_enforced(const char *program)
{
	char line[PATH_MAX];
	int found;

	snprintf(line, sizeof(line), "%s (enforce)", program);
	found = has_line(PROFILES, line);
	if (found != 0)
		return found;
	return has_line(PROFILES, strrchr(line, '/') + 1);
}

/* "/usr/bin/tcpdump" is confined by usr.bin.tcpdump. */
static bool
find_profile(const char *program, char *name, size_t size)
{
	char path[PATH_MAX];

	snprintf(name, size, "%s", program + 1);
	for (char *at = name; (at = strchr(at, '/')) != NULL;)
		*at = '.';
	snprintf(path, sizeof(path), FOLDER "/%s", name);
	return access(path, F_OK) == 0;
}

enum apparmor_state
apparmor_ask(const char *program, const char *needed, const char **profile)
{
	static char name[NAME_MAX];
	char path[PATH_MAX];
	bool has_profile = find_profile(program, name, sizeof(name));
	int enforced = is_enforced(program);

	*profile = name;
	if (enforced == 0)
		return APPARMOR_FREE;
	if (enforced < 0 && (!has_profile || has_line(ENABLED, "Y") != 1))
		return APPARMOR_FREE;
	snprintf(path, sizeof(path), FOLDER "/local/%s", name);
	if (has_line(path, needed) == 1)
		return APPARMOR_TOLD;
	return enforced == 1 ? APPARMOR_CONFINED : APPARMOR_UNKNOWN;
}
