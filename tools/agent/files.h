/* SPDX-License-Identifier: BSD-3-Clause */
/* The files that were looked at in this run, and the mappings they have. */
#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "mapping.h"

struct file {
	struct file *next;
	struct stat st;
	bool overlay;	/* seen through an overlay, which has its own devices */
	int attachment; /* of its hooks, or -1 */
	int failures;	/* scans that came to no end */
	bool again;	/* scan it when it is seen again */
};

struct files;

/* NULL: out of memory. */
struct files *files_open(void);

/* Whether the two are of one state of a file, as far as its content goes. */
bool files_same(const struct stat *a, const struct stat *b);

/* The file, as it is now, or NULL. What it returns lasts until files_add(). */
struct file *files_find(const struct files *files, const struct stat *st,
			bool overlay);

/* What this inode was before somebody wrote into it, or NULL. */
struct file *files_find_stale(const struct files *files, const struct stat *st);

/* NULL: out of memory. */
struct file *files_add(struct files *files, const struct stat *st,
		       bool overlay);

/*
 * Notes that this mapping is of this file, and tells later that another one
 * needs no look; `now` in nanoseconds.
 */
void files_saw(struct files *files, const struct mapping *mapping, bool hooked,
	       int64_t now);
/*
 * The same for a mapping whose file could not be opened. It tells nothing of
 * what other processes have of that file.
 */
void files_missed(struct files *files, const struct mapping *mapping,
		  int64_t now);

bool files_is_fresh(const struct files *files, const struct mapping *mapping,
		    int64_t now);

/* NULL is allowed. */
void files_close(struct files *files);

#endif
