/* SPDX-License-Identifier: BSD-3-Clause */
/* Maps the pages that the agent shares, also for the child of a fork(). */
#ifndef EBPFTLS_PAGES_H
#define EBPFTLS_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-client.h"
#include "ebpftls-ring.h"

struct ebpftls_pages {
	struct ebpftls_shared *shared;
	const struct ebpftls_counters *counters;
	__u64 *bell_heard;
	const __u64 *bell_rung;
	struct ebpftls_ring *rings;
	uint32_t ring_count; /* that are mapped */
	uint8_t *assembly;   /* of all rings */

	const struct ebpftls_client *client;
	struct ebpftls_pages *next;
	size_t counters_size;
	size_t ring_size; /* of data, without the first page */
};

/*
 * Maps everything; `snaplen` bounds a frame. Returns 0 or a negative errno,
 * and then nothing is mapped. Both structs stay where they are until
 * ebpftls_pages_unmap().
 */
int ebpftls_pages_map(struct ebpftls_pages *pages,
		      const struct ebpftls_client *client, uint32_t snaplen);

/* False: in this child of a fork() the rings could not be mapped again. */
bool ebpftls_pages_whole(const struct ebpftls_pages *pages);

void ebpftls_pages_unmap(struct ebpftls_pages *pages);

#endif
