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

static struct stat
file_of(ino_t ino, off_t size, time_t changed)
{
	return (struct stat){
		.st_dev = 1,
		.st_ino = ino,
		.st_size = size,
		.st_mtim.tv_sec = size,
		.st_ctim.tv_sec = changed,
	};
}

/* What was written to since has another size and time. */
static void
knows_what_changed(bool overlay)
{
	struct stat before = file_of(2, 10, 1), after = file_of(2, 20, 2);
	struct stat other = file_of(3, 20, 2);
	struct files *files = files_open();
	struct file *file = files_add(files, &before, overlay);

	check(files_find(files, &before, overlay) == file);
	check(files_find_stale(files, &before, overlay) == NULL);
	check(files_find_stale(files, &other, overlay) == NULL);
	check(files_find_stale(files, &after, !overlay) == NULL);
	check(files_find(files, &after, overlay) == NULL);
	check(files_find_stale(files, &after, overlay) == file);
	files_remove(files, file);
	check(files_find(files, &before, overlay) == NULL);
	check(files_find_stale(files, &after, overlay) == NULL);
	files_close(files);
}

static void
knows_what_changed_on_a_disk(void)
{
	knows_what_changed(false);
}

static void
knows_what_changed_in_an_overlay(void)
{
	knows_what_changed(true);
}

/* A copy-up leaves what is below, and its hooks, as they were. */
static void
knows_a_copy(void)
{
	struct stat below = file_of(2, 10, 1), above = file_of(2, 10, 2);
	struct files *files = files_open();

	check(files_add(files, &below, true) != NULL);
	check(files_find(files, &above, true) == NULL);
	check(files_find_stale(files, &above, true) == NULL);
	files_close(files);
}

static bool
is_hooked_as(const struct file *file, const void *attachment)
{
	return file->attachment == *(const int *)attachment;
}

static void
forgets_what_has_no_hooks(void)
{
	struct stat st = file_of(2, 10, 1), other;
	struct files *files = files_open();
	int five = 5, six = 6;

	files_add(files, &st, false)->attachment = 5;
	for (ino_t ino = 3; ino < 70000; ino++) {
		other = file_of(ino, 10, 1);
		check(files_add(files, &other, false) != NULL);
	}
	other = file_of(3, 10, 1);
	check(files_find(files, &other, false) == NULL);
	check(files_find_hooked(files, is_hooked_as, &five) ==
	      files_find(files, &st, false));
	check(files_find_hooked(files, is_hooked_as, &six) == NULL);
	files_close(files);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "mappings that were seen", knows_what_it_saw },
		{ "mappings that could not be opened", knows_what_it_missed },
		{ "a file that changed", knows_what_changed_on_a_disk },
		{ "a file of an overlay that changed",
		  knows_what_changed_in_an_overlay },
		{ "a file that was copied up", knows_a_copy },
		{ "too many files", forgets_what_has_no_hooks },
		{ NULL, NULL },
	};

	return check_main(cases);
}
