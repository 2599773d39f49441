/* SPDX-License-Identifier: BSD-3-Clause */
/* What AppArmor lets a program do. */
#ifndef TOOL_APPARMOR_H
#define TOOL_APPARMOR_H

#include <stdbool.h>

enum apparmor_state {
	APPARMOR_FREE,	  /* the program is not confined */
	APPARMOR_TOLD,	  /* it is, but what it needs is allowed */
	APPARMOR_UNKNOWN, /* may be confined: only root can tell */
	APPARMOR_CONFINED,
};

/*
 * Whether the profile for the program lets it use `needed`, the path of an
 * agent or of a service's socket. `profile` becomes the name of the profile's
 * file in /etc/apparmor.d.
 */
enum apparmor_state apparmor_ask(const char *program, const char *needed,
				 const char **profile);

#endif
