/* SPDX-License-Identifier: BSD-3-Clause */
/* A journal as it is read, and as it is taken away. See docs/sealing.md. */
#ifndef EBPFTLS_SOURCE_H
#define EBPFTLS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ebpftls-mark.h"
#include "ebpftls-reader.h"

/* Interfaces of a file that can have journals: the first. */
#define EBPFTLS_SOURCES_MAX 64

struct ebpftls_source {
	char *path;
	int fd; /* -1: there is no journal */
	struct ebpftls_reader reader;
	struct ebpftls_slots *slots;
	struct ebpftls_marked marked; /* the mark that was read last */
	uint64_t end;		      /* time of the latest mark up to here */
	bool whole;		      /* it has its statistics */
	uint8_t *told;		      /* comments of these, as options */
	size_t told_size;
};

/* The name of the journal for an interface of a file; to be freed. */
char *ebpftls_source_path(const char *path, uint32_t interface);

/*
 * Opens the journal for an interface of a file of this owner's, if there is
 * one. Returns 0 or a negative errno: -EPERM, others could have written it;
 * -EBUSY, its capture is going on. It is to be closed in any case.
 */
int ebpftls_source_open(struct ebpftls_source *source, const char *path,
			uint32_t interface, uid_t owner);

/* Also of one that is all zero but for its descriptor, -1. */
void ebpftls_source_close(struct ebpftls_source *source);

/* The next block, of which marks and statistics have been taken in. */
enum ebpftls_read ebpftls_source_next(struct ebpftls_source *source,
				      struct ebpftls_block *block);

/* Begins again from the front. Returns 0 or a negative errno. */
int ebpftls_source_rewind(struct ebpftls_source *source);

/* Overwrites and removes it. */
void ebpftls_source_discard(const struct ebpftls_source *source);

/*
 * Does that to all journals of a file that has gone, or that another has taken
 * the place of: but not to somebody else's. False: one is still in use.
 */
bool ebpftls_sources_clear(const char *path);

/* Whether a file has any. */
bool ebpftls_sources_exist(const char *path);

#endif
