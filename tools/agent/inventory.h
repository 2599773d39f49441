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

enum inventory_step {
	INVENTORY_DONE,
	INVENTORY_MORE,	   /* perhaps at once */
	INVENTORY_NOT_YET, /* wait for the descriptor */
};

/* NULL when there is no room for it. `proc`: where /proc is. */
struct inventory *inventory_open(const char *proc);

/* Wait for this to be readable when there is more to come. */
int inventory_fd(const struct inventory *inventory);

/* Begins with all processes. */
void inventory_all(struct inventory *inventory);

/* Begins with one, whose folder of /proc this is: that is closed. */
void inventory_one(struct inventory *inventory, uint32_t pid, int folder);

/*
 * Goes on a bit, and calls `found` for each mapping; its path is gone after
 * that.
 */
enum inventory_step inventory_step(struct inventory *inventory,
				   void (*found)(void *context,
						 const struct mapping *mapping),
				   void *context);

/* Since it began. */
const struct inventory_missed *
inventory_missed(const struct inventory *inventory);

/* NULL is allowed. */
void inventory_close(struct inventory *inventory);

#endif
