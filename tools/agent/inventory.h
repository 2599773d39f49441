/* SPDX-License-Identifier: BSD-3-Clause */
/* Which files processes have mapped as code, read once. */
#ifndef AGENT_INVENTORY_H
#define AGENT_INVENTORY_H

#include <stdbool.h>

#include "mapping.h"

struct inventory;

/* How many processes could not be looked at. */
struct inventory_missed {
	uint32_t later; /* for want of something that may be there later */
	uint32_t never; /* this is not allowed, or finds no end */
};

/* Of all processes. NULL when there is no /proc, or no room for it. */
struct inventory *inventory_open(void);

/*
 * Of one, whose open /proc/PID/maps this is: that is closed at the end, or
 * here if there is no room, and then NULL is returned.
 */
struct inventory *inventory_of(uint32_t pid, int maps);

/*
 * Goes on a bit, and calls `found` for each mapping; its path is gone after
 * that. False when there is nothing more.
 */
bool inventory_step(struct inventory *inventory,
		    void (*found)(void *context, const struct mapping *mapping),
		    void *context);

const struct inventory_missed *
inventory_missed(const struct inventory *inventory);

/* NULL is allowed. */
void inventory_close(struct inventory *inventory);

#endif
