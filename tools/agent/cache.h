/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What earlier scans found, in this run or one before. A file is known by its
 * inode and the time that it was last changed, which nobody can forge for
 * another's file.
 */
#ifndef AGENT_CACHE_H
#define AGENT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "scan.h"

struct file_id {
	uint64_t dev;
	uint64_t ino;
	uint64_t size;
	int64_t changed; /* ctime, nanoseconds */
};

struct file_id file_id(const struct stat *st);
bool file_id_equal(const struct file_id *a, const struct file_id *b);

struct cache;

/* Reads what there is. NULL: out of memory. */
struct cache *cache_open(void);

/* Whether that file is known to have no hooks. */
bool cache_is_barren(struct cache *cache, const struct file_id *id);

/*
 * The hooks of the file behind the descriptor, if they are known: what was
 * found is still there to be seen in it.
 */
bool cache_find(struct cache *cache, int fd, const struct stat *st,
		struct scan_result *result);

/* Notes that a file was met, as what was met in no run is not kept for ever. */
void cache_met(struct cache *cache, const struct stat *st);

/* Remembers the result for a file, and where it may be found again. */
void cache_add(struct cache *cache, const struct stat *st, const char *path,
	       const struct scan_result *result);

/* The path of the index-th file with hooks, or ""; NULL: there are no more. */
const char *cache_path(const struct cache *cache, size_t index);

/* Writes down what is new, if anything. */
void cache_save(struct cache *cache);

/* NULL is allowed. */
void cache_close(struct cache *cache);

/* For tests: takes the content of a cache file, or nothing if it is wrong. */
struct cache *cache_new(void);
bool cache_load(struct cache *cache, const uint8_t *bytes, size_t size);

#endif
