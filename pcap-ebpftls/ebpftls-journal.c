// SPDX-License-Identifier: BSD-3-Clause
/* Keeps the list of files; creates journals and takes them away. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "ebpftls-journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ebpftls-seal.h"
#include "ebpftls-source.h"

/* Files that are held, unless a quarter of what may be open is less. */
#define HELD_MAX 256

struct output {
	struct output *next;
	char *path;
	uint64_t device;
	uint64_t inode;
	int held;      /* a descriptor of the file; -1: there is none */
	bool gone;     /* the file has been removed */
	pid_t process; /* a child after a fork has no part in it */
	unsigned int users;
};

static struct output *outputs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- the list ------------------------------------------------------------- */

/* The inode of a file that was removed may be that of a later one. */
static struct output *
find(const struct ebpftls_target *target)
{
	struct output *output = outputs;

	while (output != NULL &&
	       (output->gone || output->device != target->device ||
		output->inode != target->inode || output->process != getpid() ||
		strcmp(output->path, target->path) != 0))
		output = output->next;
	return output;
}

static void
let_go(struct output *output)
{
	if (output->held >= 0)
		close(output->held);
	output->held = -1;
}

/*
 * Dumpcap needs descriptors as well, with low numbers, and goes on to new files
 * without an end: the oldest ones give way.
 */
static void
limit_held(void)
{
	struct rlimit limit = { .rlim_cur = 0 };
	rlim_t held = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	for (struct output *output = outputs; output != NULL;
	     output = output->next)
		if (output->held >= 0 &&
		    (++held > HELD_MAX || held > limit.rlim_cur / 4))
			let_go(output);
}

static struct output *
add(const struct ebpftls_target *target)
{
	struct output *output = calloc(1, sizeof(*output));

	if (output == NULL)
		return NULL;
	*output = (struct output){
		.next = outputs,
		.path = strdup(target->path),
		.device = target->device,
		.inode = target->inode,
		.held = fcntl(target->held, F_DUPFD_CLOEXEC, 0),
		.process = getpid(),
	};
	if (output->path == NULL) {
		let_go(output);
		free(output);
		return NULL;
	}
	ebpftls_sources_clear(output->path);
	outputs = output;
	limit_held();
	return output;
}

/* Takes an entry out of the list. */
static void
take(struct output **link)
{
	struct output *output = *link;

	*link = output->next;
	let_go(output);
	free(output->path);
	free(output);
}

/* --- journals ------------------------------------------------------------- */

/* What is left of an earlier one has been removed, if it was ours. */
static FILE *
create(const char *path)
{
	const int fd =
	    open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		 0600);
	FILE *file;

	if (fd < 0)
		return NULL;
	flock(fd, LOCK_EX | LOCK_NB);
	file = fdopen(fd, "w");
	if (file == NULL)
		close(fd);
	return file;
}

FILE *
ebpftls_journal_open(const struct ebpftls_target *target)
{
	char *path = ebpftls_source_path(target->path, target->interface);
	struct output *output;
	FILE *file = NULL;

	pthread_mutex_lock(&lock);
	output = find(target);
	if (path != NULL && output == NULL)
		output = add(target);
	if (path != NULL && output != NULL)
		file = create(path);
	if (file != NULL)
		output->users++;
	pthread_mutex_unlock(&lock);
	free(path);
	return file;
}

void
ebpftls_journal_close(FILE *file, const struct ebpftls_target *target)
{
	struct output *output;

	fclose(file);
	pthread_mutex_lock(&lock);
	output = find(target);
	if (output != NULL)
		output->users--;
	pthread_mutex_unlock(&lock);
}

static bool
is_there(const struct output *output)
{
	struct stat status;

	return lstat(output->path, &status) == 0 &&
	       status.st_dev == output->device &&
	       status.st_ino == output->inode;
}

/* NFS keeps what is removed and still held, under such a name. */
static bool
is_kept_by_nfs(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	path[length > 0 ? length : 0] = '\0';
	return strncmp(basename(path), ".nfs", 4) == 0;
}

/*
 * One that has only been renamed still needs its journal. For files that are
 * not held any more the name decides: dumpcap removes its oldest ones.
 */
static bool
is_gone(const struct output *output)
{
	struct stat status;

	if (output->gone)
		return true;
	if (is_there(output))
		return false;
	return output->held < 0 || fstat(output->held, &status) != 0 ||
	       status.st_nlink == 0 || is_kept_by_nfs(output->held);
}

/* As long as a removed file is held, it takes its place on the disk. */
static void
let_go_if_gone(struct output *output)
{
	output->gone = is_gone(output);
	if (output->gone)
		let_go(output);
}

/* Whether nothing of an output is needed, nor is left. */
static bool
is_done(struct output *output)
{
	if (output->users > 0 || output->process != getpid())
		return false;
	let_go_if_gone(output);
	/* in use: late secrets still have rooms there */
	return output->gone && ebpftls_sources_clear(output->path);
}

void
ebpftls_journals_prune(void)
{
	struct output **link = &outputs;

	pthread_mutex_lock(&lock);
	while (*link != NULL) {
		if (is_done(*link))
			take(link);
		else
			link = &(*link)->next;
	}
	pthread_mutex_unlock(&lock);
}

static void
seal(const struct output *output)
{
	struct ebpftls_seal seal = {
		.path = output->path,
		.device = output->device,
		.inode = output->inode,
	};

	if (!ebpftls_target_is_open(output->device, output->inode))
		ebpftls_seal(&seal);
}

/* Of this process. */
static bool
any_in_use(void)
{
	const struct output *output = outputs;

	while (output != NULL &&
	       (output->users == 0 || output->process != getpid()))
		output = output->next;
	return output != NULL;
}

/*
 * Another interface may have packets in a file for which it has not begun its
 * journal yet: so the last one to end seals all. Those of before a fork are the
 * parent's.
 */
void
ebpftls_journals_seal(void)
{
	struct output **link = &outputs;

	ebpftls_journals_prune();
	pthread_mutex_lock(&lock);
	while (!any_in_use() && *link != NULL) {
		if ((*link)->process == getpid())
			seal(*link);
		take(link);
	}
	pthread_mutex_unlock(&lock);
}
