// SPDX-License-Identifier: BSD-3-Clause
/* Wall-clock time of the frames' monotonic time stamps. */
#include "ebpftls-clock.h"

void
ebpftls_clock_read(struct ebpftls_clock *copy,
		   const struct ebpftls_clock *shared)
{
	struct ebpftls_clock now = {
		.sequence =
		    __atomic_load_n(&shared->sequence, __ATOMIC_ACQUIRE),
	};

	if (now.sequence == copy->sequence || now.sequence % 2 != 0)
		return;
	now.since = __atomic_load_n(&shared->since, __ATOMIC_RELAXED);
	now.offset = __atomic_load_n(&shared->offset, __ATOMIC_RELAXED);
	now.previous = __atomic_load_n(&shared->previous, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&shared->sequence, __ATOMIC_RELAXED) ==
	    now.sequence)
		*copy = now;
}

uint64_t
ebpftls_clock_wall(const struct ebpftls_clock *clock, uint64_t time)
{
	int64_t offset = time >= clock->since ? clock->offset : clock->previous;

	return time + (uint64_t)offset;
}
