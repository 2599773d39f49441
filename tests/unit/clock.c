// SPDX-License-Identifier: BSD-3-Clause
/* Does a time stamp get the offset of the wall clock that held when it was
 * taken, and never one that is being written? */
#include "ebpftls-clock.h"

#include "unit/check.h"

#define SECOND	INT64_C(1000000000)
#define YEAR_50 (50 * 365 * 86400 * SECOND)

static void
no_step(void)
{
	const struct ebpftls_clock clock = {
		.sequence = 2,
		.offset = YEAR_50,
		.previous = YEAR_50,
	};

	check(ebpftls_clock_wall(&clock, 0) == YEAR_50);
	check(ebpftls_clock_wall(&clock, 123456789) == YEAR_50 + 123456789);
}

/* Forward or back, the step is at `since`, that instant included. */
static void
step(void)
{
	static const int64_t steps[] = { 1, -1, 3600 * SECOND, -3600 * SECOND };

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct ebpftls_clock clock = {
			.sequence = 4,
			.since = 1000,
			.offset = YEAR_50 + steps[i],
			.previous = YEAR_50,
		};
		const uint64_t after = (uint64_t)(YEAR_50 + steps[i]);

		check(ebpftls_clock_wall(&clock, 0) == YEAR_50);
		check(ebpftls_clock_wall(&clock, 999) == YEAR_50 + 999);
		check(ebpftls_clock_wall(&clock, 1000) == after + 1000);
		check(ebpftls_clock_wall(&clock, 1001) == after + 1001);
	}
}

/* A machine whose wall clock says less than it has been up. */
static void
negative_offset(void)
{
	const struct ebpftls_clock clock = {
		.sequence = 2,
		.offset = -5 * SECOND,
		.previous = -5 * SECOND,
	};

	check(ebpftls_clock_wall(&clock, 7 * SECOND) == 2 * SECOND);
}

static void
first_reading(void)
{
	const struct ebpftls_clock shared = {
		.sequence = 2,
		.since = 1,
		.offset = 2,
		.previous = 3,
	};
	struct ebpftls_clock copy = { .sequence = 0 };

	ebpftls_clock_read(&copy, &shared);
	check(copy.sequence == 2 && copy.since == 1);
	check(copy.offset == 2 && copy.previous == 3);
}

/* What an odd sequence says is half written is not taken. */
static void
being_written(void)
{
	struct ebpftls_clock shared = { .sequence = 2, .offset = 20 };
	struct ebpftls_clock copy = { .sequence = 0 };

	ebpftls_clock_read(&copy, &shared);
	shared.sequence = 3;
	shared.offset = 30;
	ebpftls_clock_read(&copy, &shared);
	check(copy.sequence == 2 && copy.offset == 20);
	shared.sequence = 4;
	ebpftls_clock_read(&copy, &shared);
	check(copy.sequence == 4 && copy.offset == 30);
}

/* Without a new sequence there is nothing to read. */
static void
unchanged(void)
{
	struct ebpftls_clock shared = { .sequence = 2, .offset = 20 };
	struct ebpftls_clock copy = { .sequence = 2, .offset = 10 };

	ebpftls_clock_read(&copy, &shared);
	check(copy.offset == 10);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "a clock that was never set", no_step },
		{ "time stamps from before and after a step", step },
		{ "a wall clock behind the machine's start", negative_offset },
		{ "the first reading", first_reading },
		{ "nothing is read while it is written", being_written },
		{ "nothing is read twice", unchanged },
		{ NULL, NULL },
	};

	return check_main(cases);
}
