/* SPDX-License-Identifier: BSD-3-Clause */
/* What lies under a file of an overlay. */
#ifndef AGENT_OVERLAY_H
#define AGENT_OVERLAY_H

#include <limits.h>

#include "mapping.h"

/*
 * A file that was written to after it had been mapped is another one by now,
 * and neither its name nor the mapping leads to what runs. Finds that in the
 * layer where it still is; false if it cannot be found.
 */
bool overlay_find_lower(const struct mapping *mapping, char path[PATH_MAX]);

/*
 * Takes a line of /proc/PID/mountinfo, which it cuts up. False if it is not
 * one of an overlay, or has not what there should be. Escapes are resolved;
 * `layers` is a list with colons.
 */
struct overlay {
	char *root;   /* folder of the overlay that is mounted */
	char *point;  /* where */
	char *layers; /* folders, the uppermost first */
};

bool overlay_parse(char *line, struct overlay *overlay);

#endif
