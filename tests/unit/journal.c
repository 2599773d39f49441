// SPDX-License-Identifier: BSD-3-Clause
/* Which journals go when files of dumpcap's are removed? */
#define _GNU_SOURCE

#include "ebpftls-journal.h"

#include <fcntl.h>
#include <stdlib.h>
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

/* As if it had gone on to another file: the journal of one that has ended. */
static int
journal(const char *path, const struct stat *status)
{
	const struct ebpftls_target target = {
		.path = (char *)(uintptr_t)path,
		.device = status->st_dev,
		.inode = status->st_ino,
	};
	FILE *file = ebpftls_journal_open(&target);
	int room;

	check(file != NULL);
	room = dup(fileno(file));
	ebpftls_journal_close(file, &target);
	return room;
}

/* While secrets still come for a removed file, a new one gets its inode. */
static void
same_inode(void)
{
	char *removed = path_of("removed"), *later = path_of("later");
	struct stat status;
	int room;

	close(open(later, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	check(stat(later, &status) == 0);
	room = journal(removed, &status);
	ebpftls_journals_prune();
	check(is_there("removed.unsealed-0"));
	close(journal(later, &status));
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

int
main(void)
{
	static const struct check_case cases[] = {
		{ "a removed file's inode", same_inode },
		{ NULL, NULL },
	};
	int status;

	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	status = check_main(cases);
	rmdir(folder);
	return status;
}
