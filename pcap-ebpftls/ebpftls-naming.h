/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one file says of processes: with each packet whose it is, and once what
 * is known of each process, as soon as it is.
 */
#ifndef EBPFTLS_NAMING_H
#define EBPFTLS_NAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-blocks.h"
#include "ebpftls-people.h"
#include "events.h"

/* How packets say whose they are; none: not at all. */
#define EBPFTLS_BY_COMMENT 1
#define EBPFTLS_BY_BLOCK   2

/* So much may be put into the blocks for one packet. */
#define EBPFTLS_NAMING_BLOCKS_MAX 256

struct ebpftls_naming;

/*
 * For a new file. `boot` is the wall clock time of the machine's start, in
 * nanoseconds. NULL: no memory.
 */
struct ebpftls_naming *ebpftls_naming_new(unsigned int by, uint64_t boot);

void ebpftls_naming_free(struct ebpftls_naming *naming);

/*
 * Adds to a packet's record what there is to be said of its owners, which is
 * valid until the next call. Blocks that have to stand before the packet are
 * put into `blocks`.
 */
void ebpftls_naming_packet(struct ebpftls_naming *naming,
			   struct ebpftls_people *people,
			   struct ebpftls_record *record,
			   struct ebpftls_blocks *blocks);

/*
 * What has become known of processes after their last packet, in whole
 * options for the end of the file. To be freed; NULL: nothing has.
 */
uint8_t *ebpftls_naming_rest(struct ebpftls_naming *naming,
			     struct ebpftls_people *people, size_t *size);

#endif
