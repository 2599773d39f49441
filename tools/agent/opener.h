/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opens other people's files in a process that can be left behind: who serves
 * a filesystem can keep whoever touches a file of it waiting for ever.
 */
#ifndef AGENT_OPENER_H
#define AGENT_OPENER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "cache.h"
#include "mapping.h"

struct opener;

enum opener_answer {
	OPENER_DONE,
	OPENER_GONE,  /* it cannot be reached */
	OPENER_LATER, /* something was short: ask again */
	OPENER_HUNG,  /* no answer in time */
};

struct opened {
	struct stat st;
	bool overlay;	   /* as mapping_is_overlay() */
	bool other_device; /* as mapping_has_other_device() */
	bool code;  /* of this machine: only then there is a descriptor */
	bool known; /* the cache had this for it: */
	struct scan_result result;
	char lower[PATH_MAX]; /* what lies below, or "" */
};

/* What the cache holds by now will be used. NULL: out of memory. */
struct opener *opener_open(const struct cache *cache);

/*
 * Opens a mapping, or the path of one with pid 0; asks also for what lies
 * below it in an overlay. The descriptor, or -1, is the caller's. Returns
 * within a second.
 */
enum opener_answer opener_ask(struct opener *opener,
			      const struct mapping *mapping, bool lower,
			      struct opened *opened, int *fd);

/* The state of a descriptor, as far as that is known without asking. */
bool opener_stat(int fd, struct stat *st);

/* NULL is allowed. */
void opener_close(struct opener *opener);

#endif
