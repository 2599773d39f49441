/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tells of CPUs that come on line. The perf events that a CPU has when it goes
 * off line are of no use any more, not even when it is back.
 */
#ifndef AGENT_CPUS_H
#define AGENT_CPUS_H

#include <stdint.h>

/* Called with its number, or with CPUS_ANY where that was missed. */
typedef void cpus_handler(void *context, uint32_t cpu);

#define CPUS_ANY UINT32_MAX

/* A socket that hears of each from now on, or -1: that cannot be known. */
int cpus_watch(void);

/* Tells of those that have come. */
void cpus_read(int fd, cpus_handler *came, void *context);

#endif
