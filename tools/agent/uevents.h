/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tells what comes to the kernel while a capture runs: CPUs on line, as the
 * perf events that one has when it goes off line are of no use any more, not
 * even when it is back; and modules.
 */
#ifndef AGENT_UEVENTS_H
#define AGENT_UEVENTS_H

#include <stdint.h>

/* What is called with a CPU's number, or with CPUS_ANY where that was missed;
 * and with a module's name, or NULL likewise. */
struct uevents_handlers {
	void (*cpu_came)(void *context, uint32_t cpu);
	void (*module_came)(void *context, const char *name);
};

#define CPUS_ANY UINT32_MAX

/* A socket that hears of each from now on, or -1: that cannot be known. */
int uevents_watch(void);

/* Tells of those that have come. */
void uevents_read(int fd, const struct uevents_handlers *handlers,
		  void *context);

#endif
