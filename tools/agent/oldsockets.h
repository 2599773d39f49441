/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose the sockets are that are older than the capture. */
#ifndef AGENT_OLDSOCKETS_H
#define AGENT_OLDSOCKETS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Takes a copy of each socket of each process for a moment and writes into
 * its storage `map` whose it is, for kernels whose programs cannot. Those of
 * processes that do not let us are left out. `chosen` are the pids of those
 * that the capture is for, in ascending order.
 */
void oldsockets_scan(int map, const uint32_t *chosen, size_t count);

#endif
