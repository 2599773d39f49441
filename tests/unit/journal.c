// SPDX-License-Identifier: BSD-3-Clause
/* Which journals go when files of dumpcap's are removed? */
#define _GNU_SOURCE

#include "ebpftls-journal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char folder[] = "/tmp/ebpftls-unit.XXXXXX";

static char *
path_of(const char *name)
{
	char *path;

	check(asprintf(&path, "%s/%s", folder, name) > 0);
	return path;
}

static bool
is_there(const char *name)
{
	char *path = path_of(name);
	const bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

static char *
create(const char *name)
{
	char *path = path_of(name);
	const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	check(fd >= 0);
	close(fd);
	return path;
}

/* As if it had gone on to another file: the journal of one that has ended. */
static int
journal(const char *path)
{
	struct ebpftls_target target = {
		.path = (char *)(uintptr_t)path,
		.held = open(path, O_PATH | O_CLOEXEC),
	};
	struct stat status;
	FILE *file;
	int room;

	check(stat(path, &status) == 0);
	target.device = status.st_dev;
	target.inode = status.st_ino;
	file = ebpftls_journal_open(&target);
	check(file != NULL);
	room = dup(fileno(file));
	ebpftls_journal_close(file, &target);
	close(target.held);
	return room;
}

/*
 * While secrets still come for a removed file, the file does not take space any
 * more, and a new one may get its inode and its name.
 */
static void
same_inode(void)
{
	const int before = check_descriptors();
	char *removed = create("removed"), *later;
	int room = journal(removed);

	unlink(removed);
	ebpftls_journals_prune();
	check(is_there("removed.unsealed-0"));
	check(check_descriptors() == before + 1);
	later = create("later");
	close(journal(later));
	close(room);
	ebpftls_journals_prune();
	check(!is_there("removed.unsealed-0"));
	check(is_there("later.unsealed-0"));
	unlink(later);
	ebpftls_journals_prune();
	check(!is_there("later.unsealed-0"));
	free(removed);
	free(later);
}

/* What the journal has is nowhere else. */
static void
renamed(void)
{
	char *path = create("out"), *other = path_of("case17");

	close(journal(path));
	check(rename(path, other) == 0);
	ebpftls_journals_prune();
	check(is_there("out.unsealed-0"));
	/* not even if there is another by now */
	free(create("out"));
	ebpftls_journals_prune();
	check(is_there("out.unsealed-0"));
	unlink(path);
	unlink(other);
	ebpftls_journals_prune();
	check(!is_there("out.unsealed-0"));
	free(path);
	free(other);
}

/* When the capture ends it is left to `ebpftls seal`. */
static void
renamed_until_the_end(void)
{
	char *path = create("out"), *other = path_of("case17");
	char *left = path_of("out.unsealed-0");

	close(journal(path));
	check(rename(path, other) == 0);
	ebpftls_journals_seal();
	check(is_there("out.unsealed-0") && is_there("case17"));
	unlink(left);
	unlink(other);
	free(path);
	free(other);
	free(left);
}

static void
remove_all(int count)
{
	char name[32];

	for (int i = 0; i < count; i++) {
		char *path;

		snprintf(name, sizeof(name), "out-%d", i);
		path = path_of(name);
		unlink(path);
		free(path);
	}
}

/* Of a series of files without an end the last ones are known by more than
 * their names: dumpcap needs descriptors, too. */
static void
many(void)
{
	const int before = check_descriptors();
	struct rlimit was, few;
	char name[32];
	char *path, *other = path_of("other");

	getrlimit(RLIMIT_NOFILE, &was);
	few = (struct rlimit){ .rlim_cur = 64, .rlim_max = was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "out-%d", i);
		path = create(name);
		close(journal(path));
		free(path);
	}
	check(check_descriptors() <= before + 16);
	path = path_of("out-99");
	check(rename(path, other) == 0);
	ebpftls_journals_prune();
	check(is_there("out-99.unsealed-0"));
	check(is_there("out-0.unsealed-0"));
	unlink(other);
	remove_all(100);
	ebpftls_journals_prune();
	check(!is_there("out-99.unsealed-0"));
	check(!is_there("out-0.unsealed-0"));
	setrlimit(RLIMIT_NOFILE, &was);
	free(path);
	free(other);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "a removed file's inode", same_inode },
		{ "a renamed file", renamed },
		{ "a renamed file, until the end", renamed_until_the_end },
		{ "many files", many },
		{ NULL, NULL },
	};
	int status;

	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	status = check_main(cases);
	rmdir(folder);
	return status;
}
