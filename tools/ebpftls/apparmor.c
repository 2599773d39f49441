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

/* A line that has `text` in it, but is no comment. */
static bool
has_line(const char *path, const char *text)
{
	FILE *file = fopen(path, "re");
	char line[1024];
	bool found = false;

	if (file == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), file) != NULL)
		found = line[strspn(line, " \t")] != '#' &&
			strstr(line, text) != NULL;
	fclose(file);
	return found;
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
	char path[PATH_MAX], rule[PATH_MAX];
	bool has_profile = find_profile(program, name, sizeof(name));

	*profile = name;
	if (access(PROFILES, R_OK) == 0) {
		snprintf(rule, sizeof(rule), "%s (enforce)", program);
		if (!has_line(PROFILES, rule))
			return APPARMOR_FREE;
	} else if (!has_profile || !has_line(ENABLED, "Y")) {
		return APPARMOR_FREE;
	}
	snprintf(path, sizeof(path), FOLDER "/local/%s", name);
	if (has_line(path, needed))
		return APPARMOR_TOLD;
	return access(PROFILES, R_OK) == 0 ? APPARMOR_CONFINED
					   : APPARMOR_UNKNOWN;
}
