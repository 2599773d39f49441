/* SPDX-License-Identifier: BSD-3-Clause */
/* Which processes a capture is for, in the kernel's terms. */
#ifndef AGENT_SELECT_H
#define AGENT_SELECT_H

#include <stdbool.h>
#include <stddef.h>

#include "ebpftls-control.h"
#include "events.h"
#include "failure.h"

/* A container may have several cgroups. */
#define SELECT_WANTED_MAX 256

struct selection {
	struct ebpftls_selection settings; /* kinds 0: all processes */
	struct ebpftls_wanted wanted[SELECT_WANTED_MAX];
	size_t count;
	int files[EBPFTLS_WANTS_MAX]; /* of `exe=`, see select_close() */
	size_t file_count;
};

/*
 * Finds what the request names: files as the peer behind `sock` sees them,
 * cgroups below `cgroup`, a descriptor of the root or a negative errno.
 * Returns 0, or -1 with the reason.
 */
int select_resolve(struct selection *selection,
		   const struct ebpftls_wants *wants, int sock, int cgroup,
		   struct failure *failure);

/*
 * Leaves of what is chosen only the caller's own, where more would tell what
 * /proc does not tell it: the programs of others, or who there is at all.
 * Returns 0, or -1 with the reason.
 */
int select_limit(struct selection *selection,
		 const struct ebpftls_caller *caller, struct failure *failure);

/* Whether the capture is chosen by this, among others. */
bool select_has(const struct selection *selection, enum ebpftls_want kind);

/*
 * As long as the capture lasts, the files that were named are kept, for else
 * others could get their numbers.
 */
void select_close(struct selection *selection);

/* Fills the map `wanted`. Returns 0 or a negative errno. */
int select_fill(const struct selection *selection, int map);

/* Whether the kernel has found a process for each pid in the map. */
int select_check_pids(const struct selection *selection, int map,
		      struct failure *failure);

#endif
