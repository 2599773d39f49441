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
		.steps = { { 0, YEAR_50 } },
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
			.steps = { { 1000, YEAR_50 + steps[i] },
				   { 0, YEAR_50 } },
		};
		const uint64_t after = (uint64_t)(YEAR_50 + steps[i]);

		check(ebpftls_clock_wall(&clock, 0) == YEAR_50);
		check(ebpftls_clock_wall(&clock, 999) == YEAR_50 + 999);
		check(ebpftls_clock_wall(&clock, 1000) == after + 1000);
		check(ebpftls_clock_wall(&clock, 1001) == after + 1001);
	}
}

/* Forward, further and back; two of them at the same time. */
static void
several_steps(void)
{
	const struct ebpftls_clock clock = {
		.sequence = 10,
		.steps = { { 3000, YEAR_50 + 3 },
			   { 2000, YEAR_50 + 10 },
			   { 2000, YEAR_50 + 50 },
			   { 1000, YEAR_50 + 20 },
			   { 0, YEAR_50 } },
	};

	check(ebpftls_clock_wall(&clock, 999) == YEAR_50 + 999);
	check(ebpftls_clock_wall(&clock, 1000) == YEAR_50 + 20 + 1000);
	check(ebpftls_clock_wall(&clock, 1999) == YEAR_50 + 20 + 1999);
	check(ebpftls_clock_wall(&clock, 2000) == YEAR_50 + 10 + 2000);
	check(ebpftls_clock_wall(&clock, 2999) == YEAR_50 + 10 + 2999);
	check(ebpftls_clock_wall(&clock, 3000) == YEAR_50 + 3 + 3000);
	check(ebpftls_clock_wall(&clock, UINT64_MAX / 2) ==
	      YEAR_50 + 3 + UINT64_MAX / 2);
}

/* What is older than all that is known gets the oldest offset there is. */
static void
forgotten_steps(void)
{
	struct ebpftls_clock clock = { .sequence = 40 };

	for (int i = 0; i < EBPFTLS_STEPS; i++)
		clock.steps[i] = (struct ebpftls_step){
			.since = 1000 * (uint64_t)(EBPFTLS_STEPS - i),
			.offset = YEAR_50 - i,
		};
	check(ebpftls_clock_wall(&clock, 1000) ==
	      YEAR_50 - (EBPFTLS_STEPS - 1) + 1000);
	check(ebpftls_clock_wall(&clock, 999) ==
	      YEAR_50 - (EBPFTLS_STEPS - 1) + 999);
}

/* A machine whose wall clock says less than it has been up. */
static void
negative_offset(void)
{
	const struct ebpftls_clock clock = {
		.sequence = 2,
		.steps = { { 0, -5 * SECOND } },
	};

	check(ebpftls_clock_wall(&clock, 7 * SECOND) == 2 * SECOND);
}

static void
first_reading(void)
{
	struct ebpftls_clock shared = { .sequence = 2 };
	struct ebpftls_clock copy = { .sequence = 0 };

	for (int i = 0; i < EBPFTLS_STEPS; i++)
		shared.steps[i] = (struct ebpftls_step){ 100 - i, 1 + i };
	ebpftls_clock_read(&copy, &shared);
	check(memcmp(&copy, &shared, sizeof(copy)) == 0);
}

/* What an odd sequence says is half written is not taken. */
static void
being_written(void)
{
	struct ebpftls_clock shared = { 2, { { 0, 20 } } };
	struct ebpftls_clock copy = { .sequence = 0 };

	ebpftls_clock_read(&copy, &shared);
	shared.sequence = 3;
	shared.steps[0].offset = 30;
	ebpftls_clock_read(&copy, &shared);
	check(copy.sequence == 2 && copy.steps[0].offset == 20);
	shared.sequence = 4;
	ebpftls_clock_read(&copy, &shared);
	check(copy.sequence == 4 && copy.steps[0].offset == 30);
}

/* Without a new sequence there is nothing to read. */
static void
unchanged(void)
{
	struct ebpftls_clock shared = { 2, { { 0, 20 } } };
	struct ebpftls_clock copy = { 2, { { 0, 10 } } };

	ebpftls_clock_read(&copy, &shared);
	check(copy.steps[0].offset == 10);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "a clock that was never set", no_step },
		{ "time stamps from before and after a step", step },
		{ "time stamps between several steps", several_steps },
		{ "more steps than are kept", forgotten_steps },
		{ "a wall clock behind the machine's start", negative_offset },
		{ "the first reading", first_reading },
		{ "nothing is read while it is written", being_written },
		{ "nothing is read twice", unchanged },
		{ NULL, NULL },
	};

	return check_main(cases);
}
