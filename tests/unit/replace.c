// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does a new file take the place of the right one only, whoever else writes
 * there meanwhile?
 */
#define _GNU_SOURCE
#include "ebpftls-replace.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "unit/check.h"

static const char path[] = "./file";
static const char temporary[] = "./file.unfinished";

static const struct stat like = { .st_mode = 0600 };

static void
write_to(const char *name, const char *text)
{
	const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	const ssize_t size = (ssize_t)strlen(text);

	check(fd >= 0 && write(fd, text, (size_t)size) == size);
	close(fd);
}

static bool
has(const char *name, const char *text)
{
	char found[64] = "";
	const int fd = open(name, O_RDONLY);

	if (fd < 0)
		return false;
	check(read(fd, found, sizeof(found) - 1) >= 0);
	close(fd);
	return strcmp(found, text) == 0;
}

static bool
is_there(const char *name)
{
	return access(name, F_OK) == 0;
}

static void
forget(void)
{
	unlink(path);
	unlink(temporary);
}

static struct stat
like_ours(void)
{
	struct stat status = like;

	status.st_uid = geteuid();
	status.st_gid = getegid();
	return status;
}

static void
begin(struct ebpftls_replace *replace, const char *text)
{
	check(ebpftls_replace_begin(replace, path, 0) == 0);
	ebpftls_replace_put(replace, text, strlen(text));
}

static int
finish(struct ebpftls_replace *replace)
{
	const struct stat status = like_ours();

	return ebpftls_replace_finish(replace, &status, -1);
}

static void
replaces(void)
{
	struct ebpftls_replace replace;

	write_to(path, "old");
	begin(&replace, "new");
	check(has(path, "old"));
	check(finish(&replace) == 0);
	check(has(path, "new") && !is_there(temporary));
	forget();
	begin(&replace, "first");
	check(finish(&replace) == 0 && has(path, "first"));
	forget();
}

/* Of one that was killed. */
static void
removes_old(void)
{
	struct ebpftls_replace replace;

	write_to(temporary, "half");
	begin(&replace, "new");
	check(finish(&replace) == 0);
	check(has(path, "new") && !is_there(temporary));
	forget();
}

/* The second leaves what the first has made, and the first gets to its end. */
static void
two_at_once(void)
{
	struct ebpftls_replace first, second;

	write_to(path, "old");
	begin(&first, "new");
	if (check(ebpftls_replace_begin(&second, path, 0) == -EBUSY))
		check(is_there(temporary));
	else
		ebpftls_replace_abandon(&second);
	check(finish(&first) == 0);
	check(has(path, "new") && !is_there(temporary));
	forget();
}

/* Somebody who knows of no lock: theirs is not renamed, and not removed. */
static void
other_temporary(void)
{
	struct ebpftls_replace replace;

	write_to(path, "old");
	begin(&replace, "new");
	check(unlink(temporary) == 0);
	write_to(temporary, "theirs");
	check(finish(&replace) == -ESTALE);
	check(has(path, "old") && has(temporary, "theirs"));
	begin(&replace, "new");
	check(unlink(temporary) == 0);
	write_to(temporary, "theirs");
	ebpftls_replace_abandon(&replace);
	check(has(temporary, "theirs"));
	forget();
}

/* Another capture of that name begins before the new file is on the disk. */
static void
original_changes(void)
{
	struct ebpftls_replace replace;

	write_to(path, "old");
	begin(&replace, "new");
	write_to(path, "theirs");
	check(finish(&replace) == -ESTALE);
	check(has(path, "theirs") && !is_there(temporary));
	begin(&replace, "new");
	check(unlink(path) == 0);
	check(finish(&replace) == -ESTALE);
	check(!is_there(path) && !is_there(temporary));
	forget();
}

/* A device, a pipe, a folder: what is written there is to go on. */
static void
no_file(void)
{
	struct ebpftls_replace replace;
	struct stat status;

	check(mkfifo(path, 0600) == 0);
	if (!check(ebpftls_replace_begin(&replace, path, 0) == -EMEDIUMTYPE))
		ebpftls_replace_abandon(&replace);
	check(lstat(path, &status) == 0 && S_ISFIFO(status.st_mode));
	check(!is_there(temporary));
	forget();
	check(symlink("/dev/null", path) == 0);
	if (!check(ebpftls_replace_begin(&replace, path, 0) == -EMEDIUMTYPE))
		ebpftls_replace_abandon(&replace);
	check(lstat(path, &status) == 0 && S_ISLNK(status.st_mode));
	forget();
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "replace: an old file, and none", replaces },
		{ "replace: what another has left", removes_old },
		{ "replace: two at once", two_at_once },
		{ "replace: another temporary file", other_temporary },
		{ "replace: an original that changes", original_changes },
		{ "replace: what is no ordinary file", no_file },
		{ NULL, NULL },
	};

	return check_main_with_file(cases, path);
}
