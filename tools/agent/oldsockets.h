/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose the sockets are that are older than the capture. */
#ifndef AGENT_OLDSOCKETS_H
#define AGENT_OLDSOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "events.h"

/*
 * Takes a copy of each socket of each process for a moment and writes into
 * its storage `map` whose it is, for kernels whose programs cannot. Those of
 * processes that do not let us are left out. `chosen` are the pids of those
 * that the capture is for, in ascending order.
 */
void oldsockets_scan(int map, const uint32_t *chosen, size_t count);

/* The owner that a process is, by its folder in /proc. False if it is gone. */
bool oldsockets_describe(int process, uint32_t pid, bool chosen,
			 struct ebpftls_owner *owner);

#endif
