// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads lines of /proc/PID/maps and opens what they are about. Names cannot
 * be trusted: files are replaced, processes have roots of their own, and a
 * file may really be called "x (deleted)". What counts is the inode.
 */
#define _GNU_SOURCE

#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NAME_SIZE (PATH_MAX + 64)

bool
mapping_parse(const char *line, struct mapping *mapping)
{
	unsigned int major, minor;
	char protection[5];
	int path = 0;

	memset(mapping, 0, sizeof(*mapping));
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %x:%x %" SCNu64 " %n",
		   &mapping->start, &mapping->end, protection, &major, &minor,
		   &mapping->ino, &path) != 6 ||
	    path == 0 || line[path] != '/' || strlen(protection) != 4 ||
	    protection[2] != 'x' || mapping->ino == 0)
		return false;
	mapping->dev = makedev(major, minor);
	mapping->path = line + path;
	return true;
}

bool
mapping_is_overlay(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == OVERLAYFS_SUPER_MAGIC;
}

bool
mapping_has_other_device(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == OVERLAYFS_SUPER_MAGIC ||
					 fs.f_type == BTRFS_SUPER_MAGIC);
}

static bool
is_same(int fd, const struct mapping *mapping, struct stat *st)
{
	return fstat(fd, st) == 0 && S_ISREG(st->st_mode) &&
	       st->st_ino == mapping->ino &&
	       (st->st_dev == mapping->dev || mapping_has_other_device(fd));
}

static int
try_name(const char *name, const struct mapping *mapping, struct stat *st)
{
	int fd = open(name, O_PATH | O_CLOEXEC);

	if (fd < 0 || is_same(fd, mapping, st))
		return fd;
	close(fd);
	errno = ENOENT;
	return -1;
}

/*
 * Of a file that an overlay copied up, mmap records have the number of the
 * copy, which stat(2) never tells.
 */
static int
try_mapping(const struct mapping *mapping, struct stat *st)
{
	char name[128];
	int fd;

	snprintf(name, sizeof(name), "/proc/%u/map_files/%" PRIx64 "-%" PRIx64,
		 mapping->pid, mapping->start, mapping->end);
	fd = open(name, O_PATH | O_CLOEXEC);
	if (fd < 0 || is_same(fd, mapping, st) ||
	    (mapping_is_overlay(fd) && S_ISREG(st->st_mode)))
		return fd;
	close(fd);
	errno = ENOENT;
	return -1;
}

/*
 * By the process's root, by ours (/proc/PID/maps has the names of a process
 * that did chroot() so, and it may be gone), and last, for what has been
 * deleted or replaced, by the mapping itself.
 */
int
mapping_open(const struct mapping *mapping, struct stat *st)
{
	char name[NAME_SIZE];
	int fd, length;

	length = snprintf(name, sizeof(name), "/proc/%u/root%s", mapping->pid,
			  mapping->path);
	fd = (size_t)length < sizeof(name) ? try_name(name, mapping, st) : -1;
	if (fd < 0)
		fd = try_name(mapping->path, mapping, st);
	return fd >= 0 ? fd : try_mapping(mapping, st);
}

int
mapping_reopen(int fd)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}
