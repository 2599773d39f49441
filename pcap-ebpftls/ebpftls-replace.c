// SPDX-License-Identifier: BSD-3-Clause
/* Writes the new file through one buffer, and renames it. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "ebpftls-replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/limits.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "ebpftls-write.h"

#define SUFFIX ".unfinished"
#define ROOM   ((size_t)256 << 10)
#define ACL    "system.posix_acl_access"

_Static_assert(sizeof(off_t) == 8, "files of more than 2 GB");
_Static_assert(ROOM >= XATTR_SIZE_MAX, "an ACL goes into the buffer");

static void
release(struct ebpftls_replace *replace)
{
	if (replace->bytes != NULL)
		explicit_bzero(replace->bytes, ROOM);
	free(replace->bytes);
	free(replace->name);
	free(replace->temporary);
	if (replace->fd >= 0)
		close(replace->fd);
	if (replace->folder >= 0)
		close(replace->folder);
	*replace = (struct ebpftls_replace){ .folder = -1, .fd = -1 };
}

/* Everything else is by names in it, so that nobody can put another there. */
static int
open_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder;
	int fd;

	if (slash == NULL)
		return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (folder == NULL)
		return -1;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	return fd;
}

bool
ebpftls_replace_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Whether the temporary name leads to this file. */
static bool
is_temporary(const struct ebpftls_replace *replace, int fd)
{
	struct stat named, opened;

	return fstatat(replace->folder, replace->temporary, &named,
		       AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(fd, &opened) == 0 && named.st_dev == opened.st_dev &&
	       named.st_ino == opened.st_ino;
}

/*
 * Only who has locked the file of that name removes or renames it. It may have
 * been another's between its making and the lock. A file system that has no
 * locks is no reason to do nothing.
 */
static int
take(const struct ebpftls_replace *replace, int fd)
{
	if ((flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) ||
	    !is_temporary(replace, fd))
		return -EBUSY;
	return 0;
}

static bool
is_old(const struct ebpftls_replace *replace)
{
	struct stat status;

	return fstatat(replace->folder, replace->temporary, &status,
		       AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(status.st_mode) && status.st_uid == geteuid();
}

/*
 * An earlier one of ours, which did not get to its end. It is opened for
 * writing, as NFS locks no other.
 */
static int
remove_old(const struct ebpftls_replace *replace)
{
	int fd, error;

	if (!is_old(replace))
		return 0;
	fd = openat(replace->folder, replace->temporary,
		    O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	error = take(replace, fd);
	if (error == 0 && unlinkat(replace->folder, replace->temporary, 0) != 0)
		error = -errno;
	close(fd);
	return error;
}

/* A full disk shows now rather than later; not all file systems can tell. */
static int
reserve(int fd, int64_t size)
{
	if (size > 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size) != 0 &&
	    errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
		return -errno;
	return 0;
}

static int
create(struct ebpftls_replace *replace, int64_t size)
{
	int error = remove_old(replace);
	int fd;

	if (error != 0)
		return error;
	fd = openat(replace->folder, replace->temporary,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	error = take(replace, fd);
	if (error != 0) {
		close(fd); /* who has it removes it */
		return error;
	}
	replace->fd = fd;
	return reserve(fd, size);
}

/* What it is that will be replaced: what is no file would become one. */
static int
look(struct ebpftls_replace *replace)
{
	replace->exists = fstatat(replace->folder, replace->name, &replace->was,
				  AT_SYMLINK_NOFOLLOW) == 0;
	if (!replace->exists)
		return errno == ENOENT ? 0 : -errno;
	return S_ISREG(replace->was.st_mode) ? 0 : -EMEDIUMTYPE;
}

int
ebpftls_replace_begin(struct ebpftls_replace *replace, const char *path,
		      int64_t size)
{
	const char *slash = strrchr(path, '/');
	int error;

	*replace = (struct ebpftls_replace){ .fd = -1 };
	replace->folder = open_folder(path);
	error = -errno;
	replace->name = strdup(slash != NULL ? slash + 1 : path);
	replace->bytes = malloc(ROOM);
	if (replace->folder >= 0 &&
	    (replace->name == NULL || replace->bytes == NULL ||
	     asprintf(&replace->temporary, "%s" SUFFIX, replace->name) < 0)) {
		replace->temporary = NULL;
		error = -ENOMEM;
	} else if (replace->folder >= 0) {
		error = look(replace);
		if (error == 0)
			error = create(replace, size);
	}
	if (error != 0)
		ebpftls_replace_abandon(replace);
	return error;
}

static void
write_all(struct ebpftls_replace *replace, const uint8_t *bytes, size_t size)
{
	if (replace->error == 0 &&
	    ebpftls_write_all(replace->fd, bytes, size) < size)
		replace->error = errno;
}

static void
flush(struct ebpftls_replace *replace)
{
	write_all(replace, replace->bytes, replace->used);
	replace->used = 0;
}

void
ebpftls_replace_put(struct ebpftls_replace *replace, const void *bytes,
		    size_t size)
{
	if (size > ROOM - replace->used)
		flush(replace);
	if (size > ROOM) {
		write_all(replace, bytes, size);
		return;
	}
	memcpy(replace->bytes + replace->used, bytes, size);
	replace->used += size;
}

/* Of calls for an ACL, which have failed. */
static bool
was_none(void)
{
	return errno == ENODATA || errno == EOPNOTSUPP;
}

/*
 * Where there is an ACL, the group's bits of the mode are a limit of all that
 * it names: without it they would let in a group that it keeps out. So nobody
 * else gets in before it is there. A new file may have one of its folder's.
 */
static int
copy_mode(const struct ebpftls_replace *replace, mode_t mode, int from)
{
	const ssize_t size = fgetxattr(from, ACL, replace->bytes, ROOM);
	bool none = size < 0 && was_none();

	if (none && fremovexattr(replace->fd, ACL) != 0)
		none = was_none();
	if (fchmod(replace->fd, none ? mode : mode & ~(mode_t)077) != 0)
		return -1;
	if (size > 0)
		(void)!fsetxattr(replace->fd, ACL, replace->bytes, (size_t)size,
				 0);
	return 0;
}

static int
dress(const struct ebpftls_replace *replace, const struct stat *like, int from)
{
	const mode_t mode = like->st_mode & 07777;
	struct stat status;

	if (fstat(replace->fd, &status) != 0)
		return -1;
	if ((status.st_uid != like->st_uid || status.st_gid != like->st_gid) &&
	    fchown(replace->fd, like->st_uid, like->st_gid) != 0)
		return -1;
	return from < 0 ? fchmod(replace->fd, mode)
			: copy_mode(replace, mode, from);
}

/*
 * Writing to the disk takes its time, in which both names may have become
 * another's: a capture can have begun there.
 */
static bool
is_in_place(const struct ebpftls_replace *replace)
{
	struct stat is;

	return is_temporary(replace, replace->fd) &&
	       (!replace->exists || (fstatat(replace->folder, replace->name,
					     &is, AT_SYMLINK_NOFOLLOW) == 0 &&
				     ebpftls_replace_same(&is, &replace->was)));
}

/* What was reserved and not used goes back. */
static int
settle(const struct ebpftls_replace *replace, const struct stat *like, int from)
{
	const off_t end = lseek(replace->fd, 0, SEEK_CUR);

	if (end < 0 || ftruncate(replace->fd, end) != 0 ||
	    dress(replace, like, from) != 0 || fsync(replace->fd) != 0)
		return -errno;
	if (!is_in_place(replace))
		return -ESTALE;
	if (renameat(replace->folder, replace->temporary, replace->folder,
		     replace->name) != 0)
		return -errno;
	return 0;
}

int
ebpftls_replace_finish(struct ebpftls_replace *replace, const struct stat *like,
		       int from)
{
	int error;

	flush(replace);
	error = -replace->error;
	if (error == 0)
		error = settle(replace, like, from);
	if (error != 0) {
		ebpftls_replace_abandon(replace);
		return error;
	}
	fsync(replace->folder);
	release(replace);
	return 0;
}

void
ebpftls_replace_abandon(struct ebpftls_replace *replace)
{
	if (replace->fd >= 0 && is_temporary(replace, replace->fd))
		unlinkat(replace->folder, replace->temporary, 0);
	release(replace);
}

const char *
ebpftls_replace_why(int error)
{
	switch (error) {
	case -EBUSY:
		return "another one is writing it";
	case -EMEDIUMTYPE:
		return "it is no ordinary file";
	case -ESTALE:
		return "it has changed meanwhile";
	default:
		return strerror(-error);
	}
}
