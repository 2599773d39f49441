/* SPDX-License-Identifier: BSD-3-Clause */
/* Maps the pages that the agent shares, and again after a fork(). */
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
	uint32_t ring_count;
	uint8_t *assembly; /* of all rings */

	uint32_t *witness; /* a page that a fork() wipes */
	size_t counters_size;
	size_t ring_size; /* of data, without the first page */
};

/*
 * Maps everything; `snaplen` bounds a frame. Returns 0 or a negative errno,
 * and then nothing is mapped.
 */
int ebpftls_pages_map(struct ebpftls_pages *pages,
		      const struct ebpftls_client *client, uint32_t snaplen);

/* Whether this process is a child of the one that mapped the rings. */
bool ebpftls_pages_forked(const struct ebpftls_pages *pages);

/* Perf pages are not inherited: maps them again in the child. */
int ebpftls_pages_remap(struct ebpftls_pages *pages,
			const struct ebpftls_client *client);

void ebpftls_pages_unmap(struct ebpftls_pages *pages);

#endif
