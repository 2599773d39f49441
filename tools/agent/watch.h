/* SPDX-License-Identifier: BSD-3-Clause */
/* Tells of every file that any process maps as code, as it happens. */
#ifndef AGENT_WATCH_H
#define AGENT_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "mapping.h"

struct watch;

/* Returns NULL and says why not. */
struct watch *watch_start(struct failure *failure);

/* Readable when there is news. To look at it takes that back: then read. */
int watch_fd(const struct watch *watch);

/*
 * Calls `found` for all that has been mapped since; its path is gone after
 * that. False if some of it was lost, or never seen.
 */
bool watch_read(struct watch *watch,
		void (*found)(void *context, const struct mapping *mapping),
		void *context);

/* A CPU is there, or there again: see uevents.h. */
void watch_cpu_came(struct watch *watch, uint32_t cpu);

/* NULL is allowed. */
void watch_close(struct watch *watch);

#endif
