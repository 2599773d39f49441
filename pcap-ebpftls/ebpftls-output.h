/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A FILE that gets whole blocks only, and rooms in it: empty lines that stand
 * before a packet and become secrets when those come after all.
 */
#ifndef EBPFTLS_OUTPUT_H
#define EBPFTLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "ebpftls-blocks.h"
#include "ebpftls-flow.h"
#include "ebpftls-keys.h"

/* So much is written at once. */
#define EBPFTLS_OUTPUT_SIZE 65536

/* A connection whose secrets did not come in time. */
struct ebpftls_room {
	struct ebpftls_need need; /* of all packets that it is for */
	uint64_t since;		  /* when the last label of these was added */
	int64_t offset; /* in the file, of the lines; -1: there are none */
	bool vain;	/* nobody gives secrets, as far as is known */
	size_t used;
};

struct ebpftls_output {
	FILE *file;	 /* NULL: closed but for its rooms; `fd` is ours */
	int fd;		 /* the FILE's, or -1: it has none */
	uint64_t device; /* what that is, as numbers are used again */
	uint64_t inode;
	bool seekable; /* can be written to at any place */
	bool secret;   /* something in `blocks` is */
	int error;     /* errno, after which nothing is written any more */
	struct ebpftls_blocks blocks;
	int64_t offset; /* in the file, of `blocks` */
	uint64_t since; /* when the first of them came */

	/* of one that has ended, how it was left */
	int64_t size;
	struct timespec changed;
	bool continued; /* another output of ours has begun behind it */

	struct ebpftls_room *rooms;
	size_t room_count; /* ever; only the last are kept */
};

/*
 * Takes over a FILE, which stays the caller's. One that has a descriptor is
 * not touched after that but by ebpftls_output_report(): its program may have
 * closed it. False: no memory.
 */
bool ebpftls_output_open(struct ebpftls_output *output, FILE *file);

/*
 * Makes sure that there is memory for blocks of this size, by writing those
 * that are there if need be.
 */
void ebpftls_output_prepare(struct ebpftls_output *output, size_t size,
			    uint64_t now);

/* Writes all blocks. After an error nothing is written any more. */
void ebpftls_output_write(struct ebpftls_output *output);

/* Lets ferror() tell of an error. The FILE must be open. */
void ebpftls_output_report(const struct ebpftls_output *output);

void ebpftls_output_secret(struct ebpftls_output *output, const char *line,
			   size_t length, uint64_t now);

/* How many rooms there are. */
size_t ebpftls_output_rooms(const struct ebpftls_output *output);

/* The room of a connection, or NULL. */
struct ebpftls_room *
ebpftls_output_room(const struct ebpftls_output *output,
		    const uint8_t random[EBPFTLS_RANDOM_SIZE]);

/*
 * Gives a connection a room here, in the place of the oldest if there are too
 * many: in a file that is written from front to back an empty one.
 */
struct ebpftls_room *
ebpftls_output_add_room(struct ebpftls_output *output,
			const uint8_t random[EBPFTLS_RANDOM_SIZE],
			uint64_t now);

/*
 * Puts a line into a room, or returns false. Of an ended output whose file
 * somebody has changed the rooms are gone: it is not seekable any more.
 */
bool ebpftls_output_fill_room(struct ebpftls_output *output,
			      struct ebpftls_room *room, const char *line,
			      size_t length);

/*
 * Gives back the FILE but keeps the rooms, until ebpftls_output_close(); or
 * closes and returns false, if there are none.
 */
bool ebpftls_output_keep_rooms(struct ebpftls_output *output);

/*
 * An output that has just been opened. If it is where `ended` is, of which the
 * rooms were kept, and not behind it, these are gone: it is not seekable. If it
 * is behind it, they remain, though the file is written to again.
 */
void ebpftls_output_displace(const struct ebpftls_output *output,
			     struct ebpftls_output *ended);

/* For one that has ended, which any output that is opened may displace. */
bool ebpftls_output_is_seekable(const struct ebpftls_output *output);

/* Frees all; blocks that were not written are lost. */
void ebpftls_output_close(struct ebpftls_output *output);

#endif
