/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose the sockets are that are older than the capture. */
#ifndef AGENT_OLDSOCKETS_H
#define AGENT_OLDSOCKETS_H

#include <stddef.h>

#include "events.h"

/* Descriptors. */
struct oldsockets_maps {
	int owners;  /* storage of sockets */
	int holders; /* pids */
};

/*
 * Takes a copy of each socket of these processes for a moment and writes into
 * its storage whose it is, and who has any, for kernels whose programs cannot.
 * Processes that do not let us are left out.
 */
void oldsockets_scan(const struct oldsockets_maps *maps,
		     const struct ebpftls_owner *processes, size_t count);

#endif
