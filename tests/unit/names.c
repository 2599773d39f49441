// SPDX-License-Identifier: BSD-3-Clause
/*
 * Do interfaces have their names, also after one was renamed or has gone?
 */
#include "ebpftls-names.h"

#include "unit/check.h"

#define SECOND UINT64_C(1000000000)

/* No interface has so high a number; it shares its place with lo. */
#define NONE (0x40000000 + 1)

static void
names_of_this_namespace(void)
{
	struct ebpftls_names names;

	check(ebpftls_names_open(&names) == 0);
	check(strcmp(ebpftls_names_of(&names, 1, 5), "lo") == 0);
	check(strcmp(ebpftls_names_of(&names, NONE, 5), "") == 0);
	check(strcmp(ebpftls_names_of(&names, 1, 5), "lo") == 0);
	check(strcmp(ebpftls_names_of(&names, 0, 5), "") == 0);
	ebpftls_names_close(&names);
	check(names.sock == -1);
	check(strcmp(ebpftls_names_of(&names, 1, 5), "") == 0);
	ebpftls_names_close(&names);
}

/* What is remembered is asked for again after a second. */
static void
remembered(void)
{
	struct ebpftls_names names;

	check(ebpftls_names_open(&names) == 0);
	check(strcmp(ebpftls_names_of(&names, 1, 5), "lo") == 0);
	strcpy(names.entries[1].name, "old");
	check(strcmp(ebpftls_names_of(&names, 1, 4 + SECOND), "old") == 0);
	check(strcmp(ebpftls_names_of(&names, 1, 5 + SECOND), "lo") == 0);
	ebpftls_names_close(&names);
}

static void
gone(void)
{
	struct ebpftls_names names;

	check(ebpftls_names_open(&names) == 0);
	names.entries[1].ifindex = NONE;
	strcpy(names.entries[1].name, "gone0");
	check(strcmp(ebpftls_names_of(&names, NONE, 5), "gone0") == 0);
	ebpftls_names_close(&names);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "the names of interfaces", names_of_this_namespace },
		{ "names are remembered for a second", remembered },
		{ "an interface that has gone keeps its name", gone },
		{ NULL, NULL },
	};

	return check_main(cases);
}
