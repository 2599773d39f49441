// SPDX-License-Identifier: BSD-3-Clause
/*
 * One process, which answers one question after the other, with what it takes
 * to open everybody's files but none of the agent's descriptors. If it does not
 * answer, it is killed, and the next one takes its place.
 */
#define _GNU_SOURCE

#include "opener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "child.h"
#include "elffile.h"
#include "overlay.h"
#include "privileges.h"

#define NAME	 "ebpftls-open"
#define PATIENCE 1000 /* milliseconds */

struct opener {
	struct cache *cache;
	struct child child;
};

struct question {
	struct mapping mapping;
	bool lower;
	char path[PATH_MAX];
};

struct answer {
	enum opener_answer how;
	struct opened opened;
};

/* --- the process ---------------------------------------------------------- */

static int
open_path(const char *path, struct stat *st)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0 || (fstat(fd, st) == 0 && S_ISREG(st->st_mode)))
		return fd;
	close(fd);
	errno = ENOENT;
	return -1;
}

static enum opener_answer
why_not(void)
{
	return errno == ENOMEM || errno == ENFILE || errno == EMFILE
		   ? OPENER_LATER
		   : OPENER_GONE;
}

/* An emulator maps what it runs: there, a probe would break it. */
static int
read_code(struct cache *cache, int fd, struct opened *opened)
{
	struct elf elf;

	opened->code = elf_read(fd, &elf);
	if (!opened->code) {
		close(fd);
		return -1;
	}
	opened->known = cache_find(cache, fd, &opened->st, &opened->result);
	return fd;
}

/* Returns the descriptor, or -1. */
static int
reply(struct cache *cache, const struct question *question,
      struct answer *answer)
{
	const struct mapping *mapping = &question->mapping;
	struct opened *opened = &answer->opened;
	int path, fd;

	memset(answer, 0, sizeof(*answer));
	path = mapping->pid != 0 ? mapping_open(mapping, &opened->st)
				 : open_path(mapping->path, &opened->st);
	if (path < 0) {
		answer->how = why_not();
		return -1;
	}
	opened->overlay = mapping_is_overlay(path);
	opened->other_device = mapping_has_other_device(path);
	if (question->lower && opened->overlay &&
	    !overlay_find_lower(mapping, opened->lower))
		opened->lower[0] = '\0';
	fd = mapping_reopen(path);
	if (fd < 0)
		answer->how = why_not();
	close(path);
	return fd < 0 ? -1 : read_code(cache, fd, opened);
}

/* To find the file, to look at its first bytes, and to answer. */
static const int allowed[] = {
	SYS_read,    SYS_pread64,    SYS_openat,       SYS_close,
	SYS_fstat,   SYS_newfstatat, SYS_fstatfs,      SYS_lseek,
	SYS_mmap,    SYS_munmap,     SYS_mremap,       SYS_mprotect,
	SYS_madvise, SYS_brk,	     SYS_recvmsg,      SYS_sendmsg,
	SYS_futex,   SYS_getrandom,  SYS_rt_sigreturn, SYS_exit_group,
};

static void
run(void *context, uint64_t kept)
{
	static struct question question;
	static struct answer answer;
	int fd;

	(void)kept;
	if (privileges_look() != 0 ||
	    privileges_allow(allowed, sizeof(allowed) / sizeof(allowed[0])) !=
		0)
		return;
	while (child_receive(0, &question, sizeof(question), &fd) ==
	       sizeof(question)) {
		question.mapping.path = question.path;
		fd = reply(context, &question, &answer);
		if (!child_send(0, &answer, sizeof(answer), fd))
			break;
		if (fd >= 0)
			close(fd);
	}
}

/* --- its keeper ------------------------------------------------------------
 */

struct opener *
opener_open(const struct cache *cache)
{
	struct opener *opener = calloc(1, sizeof(*opener));

	if (opener == NULL)
		return NULL;
	opener->cache = (struct cache *)(uintptr_t)cache;
	if (child_open(&opener->child))
		return opener;
	free(opener);
	return NULL;
}

static bool
send_question(struct opener *opener, const struct mapping *mapping, bool lower)
{
	struct question question;

	memset(&question, 0, sizeof(question));
	question.mapping = *mapping;
	question.lower = lower;
	snprintf(question.path, sizeof(question.path), "%s", mapping->path);
	return child_send(opener->child.sock, &question, sizeof(question), -1);
}

/* A descriptor for which there was no room here is missing. */
static enum opener_answer
receive_answer(struct opener *opener, struct opened *opened, int *fd)
{
	struct child *child = &opener->child;
	struct pollfd wait = { child->sock, POLLIN, 0 };
	struct answer answer;

	if (poll(&wait, 1, PATIENCE) <= 0) {
		child_stop(child);
		return OPENER_HUNG;
	}
	if (child_receive(child->sock, &answer, sizeof(answer), fd) !=
	    sizeof(answer)) {
		child_stop(child);
		return OPENER_LATER;
	}
	*opened = answer.opened;
	if (answer.how == OPENER_DONE && opened->code && *fd < 0)
		return OPENER_LATER;
	return answer.how;
}

enum opener_answer
opener_ask(struct opener *opener, const struct mapping *mapping, bool lower,
	   struct opened *opened, int *fd)
{
	struct child *child = &opener->child;

	*fd = -1;
	if (child->sock < 0)
		child_start(child, NAME, run, opener->cache);
	if (child->sock < 0)
		return OPENER_LATER;
	if (send_question(opener, mapping, lower))
		return receive_answer(opener, opened, fd);
	child_stop(child);
	return OPENER_LATER;
}

bool
opener_stat(int fd, struct stat *st)
{
	struct statx now;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS,
		  &now) != 0)
		return false;
	memset(st, 0, sizeof(*st));
	st->st_dev = makedev(now.stx_dev_major, now.stx_dev_minor);
	st->st_ino = now.stx_ino;
	st->st_mode = now.stx_mode;
	st->st_size = (off_t)now.stx_size;
	st->st_mtim.tv_sec = now.stx_mtime.tv_sec;
	st->st_mtim.tv_nsec = now.stx_mtime.tv_nsec;
	st->st_ctim.tv_sec = now.stx_ctime.tv_sec;
	st->st_ctim.tv_nsec = now.stx_ctime.tv_nsec;
	return true;
}

void
opener_close(struct opener *opener)
{
	if (opener == NULL)
		return;
	child_close(&opener->child);
	free(opener);
}
