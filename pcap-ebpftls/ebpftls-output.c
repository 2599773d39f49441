// SPDX-License-Identifier: BSD-3-Clause
/*
 * Collects blocks and writes them in one piece; writes late secrets into the
 * rooms that wait for them.
 *
 * The FILE has no buffer of its own: stdio would write half blocks, and the
 * secrets that pass through it would stay in memory.
 */
#define _FILE_OFFSET_BITS 64
#include "ebpftls-output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ebpftls-write.h"

#define PACKET_MAX  262144 /* no snapshot length is longer */
#define SECRETS_MAX 2048   /* a block of lines, or a room */

/* One line of each label that TLS 1.3 has takes 1312 bytes. */
#define ROOM_SIZE  1536
#define ROOM_COUNT 1024

_Static_assert(sizeof(off_t) == 8, "files of more than 2 GB");

/* False: the descriptor is not what it was any more. */
static bool
look(const struct ebpftls_output *output, struct stat *status)
{
	return fstat(output->fd, status) == 0 &&
	       status->st_dev == output->device &&
	       status->st_ino == output->inode;
}

/* Of the file; -1: likewise. */
static int64_t
size_of(const struct ebpftls_output *output)
{
	struct stat status;

	return look(output, &status) ? status.st_size : -1;
}

static void
identify(struct ebpftls_output *output)
{
	const int flags = fcntl(output->fd, F_GETFL);
	struct stat status;

	if (fstat(output->fd, &status) != 0)
		return;
	output->device = status.st_dev;
	output->inode = status.st_ino;
	output->seekable = output->offset >= 0 && S_ISREG(status.st_mode) &&
			   flags >= 0 && (flags & O_APPEND) == 0;
}

/* A FILE without a descriptor keeps its buffer: it is all it has. */
bool
ebpftls_output_open(struct ebpftls_output *output, FILE *file)
{
	*output = (struct ebpftls_output){ .file = file, .fd = fileno(file) };
	fflush(file);
	output->offset = ftello(file);
	if (output->fd >= 0) {
		setvbuf(file, NULL, _IONBF, 0);
		identify(output);
	}
	if (output->offset < 0)
		output->offset = 0;
	output->rooms = calloc(ROOM_COUNT, sizeof(*output->rooms));
	return output->rooms != NULL &&
	       ebpftls_blocks_reserve(&output->blocks, EBPFTLS_OUTPUT_SIZE +
							   PACKET_MAX +
							   SECRETS_MAX);
}

/* A signal that comes in between must not cost half a block. */
static bool
write_file(FILE *file, const uint8_t *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		if (ferror(file))
			return false;
		errno = 0;
		done += fwrite(bytes + done, 1, size - done, file);
		if (done < size && errno == EINTR)
			clearerr(file);
	}
	return fflush(file) == 0;
}

/*
 * To the last block that is whole, if nobody has written behind it: a section
 * that is appended later would not be found there.
 */
static void
cut_back(const struct ebpftls_output *output, int64_t before, size_t done)
{
	size_t whole = 0;
	uint32_t size;

	for (;;) {
		memcpy(&size, output->blocks.bytes + whole + sizeof(size),
		       sizeof(size));
		if (whole + size > done)
			break;
		whole += size;
	}
	if (done > whole && size_of(output) == before + (int64_t)done)
		(void)!ftruncate(output->fd, before + (int64_t)whole);
}

/*
 * Where others write, too, nobody knows where the rooms will be. Returns 0 or
 * an errno.
 */
static int
write_fd(struct ebpftls_output *output)
{
	const struct ebpftls_blocks *blocks = &output->blocks;
	const int64_t before = size_of(output);
	size_t done;
	int error;

	if (before < 0)
		return EBADF;
	if (output->seekable &&
	    lseek(output->fd, 0, SEEK_CUR) != output->offset)
		output->seekable = false;
	done = ebpftls_write_all(output->fd, blocks->bytes, blocks->size);
	if (done == blocks->size)
		return 0;
	error = errno;
	cut_back(output, before, done);
	return error;
}

static int
write_blocks(struct ebpftls_output *output)
{
	const struct ebpftls_blocks *blocks = &output->blocks;

	if (output->fd >= 0)
		return write_fd(output);
	if (write_file(output->file, blocks->bytes, blocks->size))
		return 0;
	return errno != 0 ? errno : EIO;
}

void
ebpftls_output_write(struct ebpftls_output *output)
{
	struct ebpftls_blocks *blocks = &output->blocks;

	if (blocks->size == 0)
		return;
	if (output->error == 0)
		output->error = write_blocks(output);
	output->offset += (int64_t)blocks->size;
	if (output->secret)
		explicit_bzero(blocks->bytes, blocks->size);
	output->secret = false;
	blocks->size = 0;
}

/* There is no call for it; with another libc the FILE does not tell. */
#ifdef _IO_ERR_SEEN
#define SET_ERROR(file) ((file)->_flags |= _IO_ERR_SEEN)
#else
#define SET_ERROR(file) ((void)(file))
#endif

void
ebpftls_output_report(const struct ebpftls_output *output)
{
	if (output->error != 0 && output->file != NULL)
		SET_ERROR(output->file);
}

void
ebpftls_output_prepare(struct ebpftls_output *output, size_t size, uint64_t now)
{
	struct ebpftls_blocks *blocks = &output->blocks;

	if (size > blocks->room - blocks->size) {
		ebpftls_output_write(output);
		if (!ebpftls_blocks_reserve(blocks, size))
			output->error = ENOMEM;
	}
	if (blocks->size == 0)
		output->since = now;
}

void
ebpftls_output_secret(struct ebpftls_output *output, const char *line,
		      size_t length, uint64_t now)
{
	ebpftls_output_prepare(output, SECRETS_MAX, now);
	ebpftls_blocks_secrets(&output->blocks, line, length);
	output->secret = true;
}

size_t
ebpftls_output_rooms(const struct ebpftls_output *output)
{
	return output->room_count < ROOM_COUNT ? output->room_count
					       : ROOM_COUNT;
}

/* The newest first: it is for these that secrets still come. */
struct ebpftls_room *
ebpftls_output_room(const struct ebpftls_output *output,
		    const uint8_t random[EBPFTLS_RANDOM_SIZE])
{
	const size_t count = output->room_count;

	for (size_t i = 0; i < count && i < ROOM_COUNT; i++) {
		struct ebpftls_room *room =
		    &output->rooms[(count - 1 - i) % ROOM_COUNT];

		if (memcmp(room->need.random, random, EBPFTLS_RANDOM_SIZE) == 0)
			return room;
	}
	return NULL;
}

struct ebpftls_room *
ebpftls_output_add_room(struct ebpftls_output *output,
			const uint8_t random[EBPFTLS_RANDOM_SIZE], uint64_t now)
{
	struct ebpftls_room *room;
	size_t at;

	room = &output->rooms[output->room_count++ % ROOM_COUNT];
	*room = (struct ebpftls_room){ .since = now, .offset = -1 };
	memcpy(room->need.random, random, EBPFTLS_RANDOM_SIZE);
	if (output->seekable) {
		ebpftls_output_prepare(output, SECRETS_MAX, now);
		at = ebpftls_blocks_empty_secrets(&output->blocks, ROOM_SIZE);
		if (at > 0)
			room->offset = output->offset + (int64_t)at;
	}
	return room;
}

static bool
write_at(int fd, const char *bytes, size_t size, int64_t offset)
{
	while (size > 0) {
		const ssize_t done = pwrite(fd, bytes, size, offset);

		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			bytes += done;
			offset += done;
			size -= (size_t)done;
		}
	}
	return true;
}

static void
remember(struct ebpftls_output *output)
{
	struct stat status;

	if (!look(output, &status))
		return;
	output->size = status.st_size;
	output->changed = status.st_mtim;
}

/*
 * Not in what is shorter than we left it: it has become another file. One that
 * has ended nobody has to change at all, but for those of us who continue it.
 */
static bool
is_as_left(const struct ebpftls_output *output)
{
	struct stat status;

	if (!look(output, &status) || status.st_size < output->offset)
		return false;
	if (output->file != NULL ||
	    __atomic_load_n(&output->continued, __ATOMIC_RELAXED))
		return true;
	return status.st_size == output->size &&
	       status.st_mtim.tv_sec == output->changed.tv_sec &&
	       status.st_mtim.tv_nsec == output->changed.tv_nsec;
}

static void
give_up_rooms(struct ebpftls_output *ended)
{
	__atomic_store_n(&ended->seekable, false, __ATOMIC_RELAXED);
}

static bool
write_room(struct ebpftls_output *output, const char *line, size_t length,
	   int64_t at)
{
	bool done;

	if (!ebpftls_output_is_seekable(output))
		return false;
	if (!is_as_left(output)) {
		if (output->file == NULL)
			give_up_rooms(output);
		return false;
	}
	done = write_at(output->fd, line, length, at);
	if (output->file == NULL)
		remember(output);
	return done;
}

bool
ebpftls_output_fill_room(struct ebpftls_output *output,
			 struct ebpftls_room *room, const char *line,
			 size_t length)
{
	const int64_t at = room->offset + (int64_t)room->used;

	if (room->offset < 0 || length > ROOM_SIZE - room->used)
		return false;
	if (at >= output->offset) {
		memcpy(output->blocks.bytes + (at - output->offset), line,
		       length);
		output->secret = true;
	} else if (!write_room(output, line, length, at)) {
		return false;
	}
	room->used += length;
	return true;
}

bool
ebpftls_output_keep_rooms(struct ebpftls_output *output)
{
	int fd = -1;

	if (output->seekable && output->room_count > 0 && output->error == 0 &&
	    size_of(output) >= 0)
		fd = fcntl(output->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0) {
		ebpftls_output_close(output);
		return false;
	}
	output->file = NULL;
	output->fd = fd;
	remember(output);
	ebpftls_blocks_free(&output->blocks);
	return true;
}

/* The other one may be in use in another thread. */
void
ebpftls_output_displace(const struct ebpftls_output *output,
			struct ebpftls_output *ended)
{
	if (output->device != ended->device || output->inode != ended->inode)
		return;
	if (output->offset < ended->offset)
		give_up_rooms(ended);
	else
		__atomic_store_n(&ended->continued, true, __ATOMIC_RELAXED);
}

bool
ebpftls_output_is_seekable(const struct ebpftls_output *output)
{
	return __atomic_load_n(&output->seekable, __ATOMIC_RELAXED);
}

void
ebpftls_output_close(struct ebpftls_output *output)
{
	if (output->file == NULL && output->fd >= 0)
		close(output->fd);
	output->file = NULL;
	output->fd = -1;
	ebpftls_blocks_free(&output->blocks);
	free(output->rooms);
	output->rooms = NULL;
	output->room_count = 0;
}
