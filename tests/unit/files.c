// SPDX-License-Identifier: BSD-3-Clause
/* Which files and mappings are known, and which have to be looked at. */
#include "files.h"

#include "check.h"

#define SECOND INT64_C(1000000000)

static const struct mapping mapping = {
	.pid = 7,
	.dev = 1,
	.ino = 2,
	.recent = true,
	.generation = 3,
};

static void
knows_what_it_saw(void)
{
	struct files *files = files_open();
	struct mapping other = mapping;

	check(!files_is_fresh(files, &mapping, 0));
	files_saw(files, &mapping, false, 0);
	check(files_is_fresh(files, &mapping, SECOND));
	check(!files_is_fresh(files, &mapping, SECOND + 1));
	other.pid++;
	check(files_is_fresh(files, &other, 0));
	other.generation++;
	check(!files_is_fresh(files, &other, 0));
	files_saw(files, &mapping, true, 0);
	check(!files_is_fresh(files, &mapping, 0));
	files_close(files);
}

static void
knows_what_it_missed(void)
{
	struct files *files = files_open();
	struct mapping other = mapping;

	files_missed(files, &mapping, 0);
	check(files_is_fresh(files, &mapping, SECOND));
	check(!files_is_fresh(files, &mapping, SECOND + 1));
	other.pid++;
	check(!files_is_fresh(files, &other, 0));
	files_saw(files, &other, false, 0);
	check(files_is_fresh(files, &mapping, 0));
	files_close(files);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "mappings that were seen", knows_what_it_saw },
		{ "mappings that could not be opened", knows_what_it_missed },
		{ NULL, NULL },
	};

	return check_main(cases);
}
