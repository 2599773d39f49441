// SPDX-License-Identifier: BSD-3-Clause
/* Opens journals that can be trusted, and takes their blocks in. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "ebpftls-source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

char *
ebpftls_source_path(const char *path, uint32_t interface)
{
	char *name;

	if (asprintf(&name, "%s.unsealed-%" PRIu32, path, interface) < 0)
		return NULL;
	return name;
}

/* --- opening -------------------------------------------------------------- */

/*
 * Somebody else's could make us write anything; and one of another name could
 * be a file that is not ours to remove.
 */
static bool
is_trusted(int fd, uid_t owner)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	       (status.st_mode & 077) == 0 && status.st_nlink == 1 &&
	       (status.st_uid == geteuid() || status.st_uid == owner);
}

static int
open_journal(const char *path, uid_t owner)
{
	const int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	if (!is_trusted(fd, owner))
		error = -EPERM;
	else if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		error = -EBUSY;
	else
		return fd;
	close(fd);
	return error;
}

int
ebpftls_source_open(struct ebpftls_source *source, const char *path,
		    uint32_t interface, uid_t owner)
{
	int fd;

	*source = (struct ebpftls_source){ .fd = -1 };
	source->path = ebpftls_source_path(path, interface);
	if (source->path == NULL)
		return -ENOMEM;
	fd = open_journal(source->path, owner);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	source->fd = fd;
	source->slots = ebpftls_slots_new();
	if (source->slots == NULL || !ebpftls_reader_init(&source->reader, fd))
		return -ENOMEM;
	return 0;
}

void
ebpftls_source_close(struct ebpftls_source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	ebpftls_reader_free(&source->reader);
	ebpftls_slots_free(source->slots);
	free(source->told);
	free(source->path);
}

int
ebpftls_source_rewind(struct ebpftls_source *source)
{
	ebpftls_reader_free(&source->reader);
	ebpftls_slots_free(source->slots);
	source->slots = ebpftls_slots_new();
	source->end = 0;
	if (source->slots == NULL ||
	    !ebpftls_reader_init(&source->reader, source->fd))
		return -ENOMEM;
	return lseek(source->fd, 0, SEEK_SET) == 0 ? 0 : -errno;
}

/* --- reading -------------------------------------------------------------- */

/* Whether all of these options can be walked through. */
static bool
are_whole(const struct ebpftls_reader *reader, const uint8_t *at, size_t size)
{
	const uint8_t *end = at + size;
	struct ebpftls_option_read option;

	while (ebpftls_option_read(reader, at, end, &option))
		at = option.next;
	return at == end;
}

static enum ebpftls_read
take_mark(struct ebpftls_source *source, const struct ebpftls_block *block)
{
	struct ebpftls_marked *marked = &source->marked;

	if (!ebpftls_slots_read(source->slots, block->bytes, block->size,
				marked) ||
	    !are_whole(&source->reader, marked->options, marked->options_size))
		return EBPFTLS_READ_BROKEN;
	if (marked->time > source->end)
		source->end = marked->time;
	return EBPFTLS_READ_BLOCK;
}

/* The comments: the numbers are known to who wrote the file. */
static enum ebpftls_read
take_statistics(struct ebpftls_source *source,
		const struct ebpftls_block *block)
{
	const size_t offset = ebpftls_block_options(&source->reader, block);
	const uint8_t *at = block->bytes + offset;
	const uint8_t *end = block->bytes + block->size - 4;
	struct ebpftls_option_read option;

	if (offset == 0)
		return EBPFTLS_READ_BROKEN;
	free(source->told);
	source->told_size = 0;
	source->told = malloc(block->size);
	if (source->told == NULL)
		return EBPFTLS_READ_FAILED;
	for (; ebpftls_option_read(&source->reader, at, end, &option);
	     at = option.next) {
		if (option.code != EBPFTLS_COMMENT)
			continue;
		memcpy(source->told + source->told_size, at,
		       (size_t)(option.next - at));
		source->told_size += (size_t)(option.next - at);
	}
	source->whole = true;
	return EBPFTLS_READ_BLOCK;
}

enum ebpftls_read
ebpftls_source_next(struct ebpftls_source *source, struct ebpftls_block *block)
{
	const enum ebpftls_read status =
	    ebpftls_reader_next(&source->reader, block);

	if (status != EBPFTLS_READ_BLOCK)
		return status;
	if (source->reader.swapped)
		return EBPFTLS_READ_BROKEN;
	switch (block->type) {
	case EBPFTLS_BLOCK_MARK:
		return take_mark(source, block);
	case EBPFTLS_BLOCK_STATISTICS:
		return take_statistics(source, block);
	default:
		return status;
	}
}

/* --- removing ------------------------------------------------------------- */

static void
overwrite(int fd)
{
	static const uint8_t zeros[65536];
	struct stat status;
	off_t at = 0;

	if (fstat(fd, &status) != 0)
		return;
	while (at < status.st_size) {
		const off_t left = status.st_size - at;
		const size_t size =
		    left < (off_t)sizeof(zeros) ? (size_t)left : sizeof(zeros);
		const ssize_t done = pwrite(fd, zeros, size, at);

		if (done <= 0)
			break;
		at += done;
	}
	fdatasync(fd);
}

void
ebpftls_source_discard(const struct ebpftls_source *source)
{
	overwrite(source->fd);
	unlink(source->path);
}

static bool
clear(const char *path)
{
	const int fd = open_journal(path, geteuid());

	if (fd < 0)
		return fd != -EBUSY;
	overwrite(fd);
	unlink(path);
	close(fd);
	return true;
}

bool
ebpftls_sources_clear(const char *path)
{
	bool done = true;

	for (uint32_t i = 0; i < EBPFTLS_SOURCES_MAX; i++) {
		char *name = ebpftls_source_path(path, i);

		if (name != NULL)
			done &= clear(name);
		free(name);
	}
	return done;
}

bool
ebpftls_sources_exist(const char *path)
{
	bool found = false;

	for (uint32_t i = 0; i < EBPFTLS_SOURCES_MAX && !found; i++) {
		char *name = ebpftls_source_path(path, i);

		found = name != NULL && access(name, F_OK) == 0;
		free(name);
	}
	return found;
}
