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
	for (int i = 0; i < EBPFTLS_STEPS; i++) {
		now.steps[i].since =
		    __atomic_load_n(&shared->steps[i].since, __ATOMIC_RELAXED);
		now.steps[i].offset =
		    __atomic_load_n(&shared->steps[i].offset, __ATOMIC_RELAXED);
	}
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&shared->sequence, __ATOMIC_RELAXED) ==
	    now.sequence)
		*copy = now;
}

uint64_t
ebpftls_clock_wall(const struct ebpftls_clock *clock, uint64_t time)
{
	const struct ebpftls_step *step = clock->steps;

	while (time < step->since && step < &clock->steps[EBPFTLS_STEPS - 1])
		step++;
	return time + (uint64_t)step->offset;
}
