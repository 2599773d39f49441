/* SPDX-License-Identifier: BSD-3-Clause */
/* Wall-clock time of the frames' monotonic time stamps. */
#ifndef EBPFTLS_CLOCK_H
#define EBPFTLS_CLOCK_H

#include <stdint.h>

#include "events.h"

/*
 * Copies what the agent keeps in the shared page. While it is being changed
 * `copy` stays what it was: right for all but the last microseconds.
 */
void ebpftls_clock_read(struct ebpftls_clock *copy,
			const struct ebpftls_clock *shared);

/* Nanoseconds since 1970 at the monotonic time `time`. */
uint64_t ebpftls_clock_wall(const struct ebpftls_clock *clock, uint64_t time);

#endif
