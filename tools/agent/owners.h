/* SPDX-License-Identifier: BSD-3-Clause */
/* The hooks that note whose each socket is. */
#ifndef AGENT_OWNERS_H
#define AGENT_OWNERS_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "select.h"

struct owners {
	struct owners_bpf *skeleton;
	bool task_btf;	     /* programs may look into the current task */
	uint32_t task_type;  /* as in bpf/owner.bpf.h */
	bool cgroup;	     /* and ask for its cgroup */
	uint32_t stack_size; /* of a task in the kernel */
	bool sends;	     /* in all network namespaces are noted */
	bool apart;	     /* who uses sockets is in the map "users" */
	struct ebpftls_selection selection;
};

/*
 * A descriptor of the root of the unified hierarchy, for owners_load(), or a
 * negative errno. To be called before this process enters namespaces in which
 * it cannot be seen.
 */
int owners_open_cgroup(void);

/*
 * Loads and attaches the hooks, as many as the kernel has, and then finds the
 * owners of the sockets that are there already, and which of them are chosen.
 * `near`: what processes in other network namespaces send may be captured.
 * Returns 0, or -1 with the reason; either way owners_close() frees.
 */
int owners_load(struct owners *owners, int cgroup, bool near,
		const struct selection *selection, struct failure *failure);

/*
 * The descriptor of the map that the capture programs call `name` too, or
 * -1 if it is not one of those.
 */
int owners_map_fd(const struct owners *owners, const char *name);

/* Whether the kernel has taken the hook of this name. */
bool owners_has(const struct owners *owners, const char *program);

/* Ring buffer map of struct ebpftls_newcomer. */
int owners_events_fd(const struct owners *owners);

void owners_close(struct owners *owners);

#endif
