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
	bool pending;	/* it will be known soon whether it gets some */
	int failures;	/* scans that came to no end */
	bool again;	/* scan it when it is seen again */
	uint32_t look;	/* at all, in which it was last seen */
};

struct files;

/* NULL: out of memory. */
struct files *files_open(void);

/* Whether the two are of one state of a file, as far as its content goes. */
bool files_same(const struct stat *a, const struct stat *b);

/* The file, as it is now, or NULL. What it returns lasts until files_add(). */
struct file *files_find(const struct files *files, const struct stat *st,
			bool overlay);

/*
 * What this inode was before somebody wrote into it, or NULL. In an overlay,
 * it may be another inode that was there.
 */
struct file *files_find_stale(const struct files *files, const struct stat *st,
			      bool overlay);

/* Forgets a file, whose hooks are off. */
void files_remove(struct files *files, struct file *file);

/* One that has hooks and is such a one; NULL: there is none. */
struct file *files_find_hooked(const struct files *files,
			       bool (*is_it)(const struct file *file,
					     const void *context),
			       const void *context);

/* From now on each mapping needs a look again. */
void files_forget_mappings(struct files *files);

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
