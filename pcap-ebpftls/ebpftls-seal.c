// SPDX-License-Identifier: BSD-3-Clause
/*
 * Merges a file with its journals. Both sides are read once from the front,
 * the journals once more before that: for how many process blocks they have,
 * and whether they are whole.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "ebpftls-seal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ebpftls-blocks.h"
#include "ebpftls-mark.h"
#include "ebpftls-reader.h"
#include "ebpftls-replace.h"

/* More of them have no journals. */
#define INTERFACES_MAX 64

/* Of a device, with its options. */
#define DEVICE_SIZE 1024

/* Of blocks, where their parts begin. */
#define SECRETS_HEAD 16
#define PACKET_HEAD  28

/* What one interface's journal has, of what the file has of the interface. */
struct source {
	char *path;
	int fd; /* -1: there is no journal */
	struct ebpftls_reader reader;
	struct ebpftls_slots *slots;
	uint8_t name[DEVICE_SIZE];
	uint16_t name_size;
	uint32_t first_process; /* number of its first block in the file */
	bool whole;		/* it has its statistics */
	bool ended;		/* all of it has been read */
	bool passed;		/* a mark that is behind the last packet's */
	uint64_t end;		/* time of its last mark up to here */
	uint64_t unit;
	struct ebpftls_marked marked;
	uint8_t *told; /* options of its statistics */
	size_t told_size;
	bool said; /* `told` is in the file */
};

struct work {
	struct ebpftls_seal *seal;
	int fd;
	struct stat status;
	struct ebpftls_reader reader;
	struct ebpftls_replace replace;
	bool replacing;
	struct source sources[INTERFACES_MAX];
	uint32_t interfaces;
	bool headed;   /* what stands before all packets has been written */
	bool plain;    /* there is an interface without a journal */
	uint8_t *made; /* a block that is put together */
	size_t made_size;
	size_t made_room;
	uint32_t last_time[2]; /* of the last packet, as it stands there */
};

/* Returns false, for the caller to return. */
__attribute__((format(printf, 2, 3))) static bool
fail(struct work *work, const char *format, ...)
{
	va_list list;

	if (work->seal->why[0] != '\0')
		return false;
	va_start(list, format);
	vsnprintf(work->seal->why, sizeof(work->seal->why), format, list);
	va_end(list);
	return false;
}

static bool
fail_journal(struct work *work)
{
	return fail(work, "its journal is damaged");
}

char *
ebpftls_seal_journal(const char *path, uint32_t interface)
{
	char *name;

	if (asprintf(&name, "%s.unsealed-%" PRIu32, path, interface) < 0)
		return NULL;
	return name;
}

/* --- a block that is put together ----------------------------------------- */

static bool
add(struct work *work, const void *bytes, size_t size)
{
	uint8_t *made;
	size_t room;

	if (work->made_size + size > work->made_room) {
		room = 2 * (work->made_size + size);
		made = realloc(work->made, room);
		if (made == NULL)
			return fail(work, "%s", strerror(ENOMEM));
		work->made = made;
		work->made_room = room;
	}
	if (size > 0)
		memcpy(work->made + work->made_size, bytes, size);
	work->made_size += size;
	return true;
}

/* Gives it its length, and writes it. */
static bool
put_made(struct work *work)
{
	const uint32_t size = (uint32_t)work->made_size + 4;

	if (!add(work, &size, sizeof(size)))
		return false;
	memcpy(work->made + 4, &size, sizeof(size));
	ebpftls_replace_put(&work->replace, work->made, work->made_size);
	return true;
}

static bool
put_as_it_is(struct work *work, const struct ebpftls_block *block)
{
	ebpftls_replace_put(&work->replace, block->bytes, block->size);
	return true;
}

/* Where there are several journals, their blocks are counted as one file's. */
static void
renumber(const struct source *source, uint8_t *options, size_t size)
{
	const uint8_t *end = options + size;
	struct ebpftls_option_read option;
	uint32_t number;

	for (uint8_t *at = options;
	     ebpftls_option_read(&source->reader, at, end, &option);
	     at += option.next - at) {
		if ((option.code != EBPFTLS_EPB_PROCESS &&
		     option.code != EBPFTLS_EPB_TO_PROCESS) ||
		    option.size != sizeof(number))
			continue;
		memcpy(&number, option.value, sizeof(number));
		number += source->first_process;
		memcpy(at + 4, &number, sizeof(number));
	}
}

/* A block with more options: those it has, these of a journal, and the end. */
static bool
put_with_options(struct work *work, const struct source *source,
		 const struct ebpftls_block *block, const uint8_t *options,
		 size_t size)
{
	const size_t offset = ebpftls_block_options(&work->reader, block);
	const uint8_t *end = block->bytes + block->size - 4;
	const uint8_t *at = block->bytes + offset;
	const uint32_t last = 0;
	struct ebpftls_option_read option;

	if (size == 0)
		return put_as_it_is(work, block);
	while (ebpftls_option_read(&work->reader, at, end, &option))
		at = option.next;
	if (at != end && ebpftls_reader_u16(&work->reader, at) != 0)
		return fail(work, "a block of it has broken options");
	work->made_size = 0;
	if (!add(work, block->bytes, (size_t)(at - block->bytes)) ||
	    !add(work, options, size))
		return false;
	if (source->first_process > 0)
		renumber(source, work->made + work->made_size - size, size);
	return add(work, &last, sizeof(last)) && put_made(work);
}

/* --- journals ------------------------------------------------------------- */

/* Whether all of a mark's or statistics' options can be walked through. */
static bool
are_whole(const struct ebpftls_reader *reader, const uint8_t *at, size_t size)
{
	const uint8_t *end = at + size;
	struct ebpftls_option_read option;

	while (ebpftls_option_read(reader, at, end, &option))
		at = option.next;
	return at == end;
}

/* Room that was never filled is left out, and so is a block of nothing else. */
static bool
put_secrets(struct work *work, const struct ebpftls_block *block)
{
	const uint32_t zero = 0;
	uint32_t length, kind;

	if (block->size < SECRETS_HEAD + 4)
		return fail_journal(work);
	memcpy(&kind, block->bytes + 8, sizeof(kind));
	memcpy(&length, block->bytes + 12, sizeof(length));
	if (length > block->size - SECRETS_HEAD - 4)
		return fail_journal(work);
	while (length > 1 && block->bytes[SECRETS_HEAD + length - 1] == '\n' &&
	       block->bytes[SECRETS_HEAD + length - 2] == '\n')
		length--;
	if (length == 0 || block->bytes[SECRETS_HEAD] == '\n')
		return true;
	work->made_size = 0;
	return add(work, block->bytes, 12) &&
	       add(work, &length, sizeof(length)) &&
	       add(work, block->bytes + SECRETS_HEAD, length) &&
	       add(work, &zero, (4 - length % 4) % 4) && put_made(work);
}

/* What is said at the end, but for the numbers: these are the file's own. */
static bool
hear_statistics(struct work *work, struct source *source,
		const struct ebpftls_block *block)
{
	const size_t offset = ebpftls_block_options(&source->reader, block);
	const uint8_t *at = block->bytes + offset;
	const uint8_t *end = block->bytes + block->size - 4;
	struct ebpftls_option_read option;

	if (offset == 0)
		return fail_journal(work);
	free(source->told);
	source->told_size = 0;
	source->told = malloc(block->size);
	if (source->told == NULL)
		return fail(work, "%s", strerror(ENOMEM));
	for (; ebpftls_option_read(&source->reader, at, end, &option);
	     at = option.next) {
		if (option.code != EBPFTLS_COMMENT)
			continue;
		memcpy(source->told + source->told_size, at,
		       (size_t)(option.next - at));
		source->told_size += (size_t)(option.next - at);
	}
	source->whole = true;
	return true;
}

static bool
hear_mark(struct work *work, struct source *source,
	  const struct ebpftls_block *block)
{
	struct ebpftls_marked *marked = &source->marked;

	if (!ebpftls_slots_read(source->slots, block->bytes, block->size,
				marked) ||
	    !are_whole(&source->reader, marked->options, marked->options_size))
		return fail_journal(work);
	if (marked->time > source->end)
		source->end = marked->time;
	return true;
}

/*
 * Reads a journal up to its next mark, and writes the secrets before that.
 * False: it has come to its end, or failed.
 */
static bool
next_mark(struct work *work, struct source *source)
{
	struct ebpftls_block block;

	while (!source->ended) {
		switch (ebpftls_reader_next(&source->reader, &block)) {
		case EBPFTLS_READ_BLOCK:
			break;
		case EBPFTLS_READ_END:
		case EBPFTLS_READ_CUT:
			source->ended = true;
			return false;
		default:
			return fail_journal(work);
		}
		if (block.type == EBPFTLS_BLOCK_MARK)
			return hear_mark(work, source, &block);
		if (block.type == EBPFTLS_BLOCK_STATISTICS &&
		    !hear_statistics(work, source, &block))
			return false;
		if (block.type == EBPFTLS_BLOCK_SECRETS && !source->passed &&
		    !work->plain && !put_secrets(work, &block))
			return false;
	}
	return false;
}

/* To its end, for what is said there. */
static bool
finish_source(struct work *work, struct source *source)
{
	while (source->fd >= 0 && next_mark(work, source))
		source->passed = true;
	return work->seal->why[0] == '\0';
}

/* From the front. */
static bool
rewind_source(struct work *work, struct source *source)
{
	ebpftls_reader_free(&source->reader);
	if (lseek(source->fd, 0, SEEK_SET) != 0 ||
	    !ebpftls_reader_init(&source->reader, source->fd))
		return fail(work, "%s", strerror(errno));
	return true;
}

/* Somebody else's could make us write anything. */
static bool
is_trusted(const struct work *work, int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	       (status.st_mode & 077) == 0 &&
	       (status.st_uid == geteuid() ||
		status.st_uid == work->status.st_uid);
}

static bool
open_source(struct work *work, struct source *source, uint32_t interface)
{
	source->path = ebpftls_seal_journal(work->seal->path, interface);
	if (source->path == NULL)
		return fail(work, "%s", strerror(ENOMEM));
	source->fd = open(source->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (source->fd < 0)
		return errno == ENOENT ||
		       fail(work, "%s: %s", source->path, strerror(errno));
	if (!is_trusted(work, source->fd))
		return fail(work, "%s: others could have written it",
			    source->path);
	if (flock(source->fd, LOCK_EX | LOCK_NB) != 0)
		return fail(work, "its capture is still going on");
	source->slots = ebpftls_slots_new();
	if (source->slots == NULL ||
	    !ebpftls_reader_init(&source->reader, source->fd))
		return fail(work, "%s", strerror(ENOMEM));
	return true;
}

static void
close_source(struct source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	ebpftls_reader_free(&source->reader);
	ebpftls_slots_free(source->slots);
	free(source->told);
	free(source->path);
}

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

static void
discard(const char *path, int fd)
{
	overwrite(fd);
	unlink(path);
}

static void
clear(const char *path)
{
	const int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;

	if (fd < 0)
		return;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    status.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
		discard(path, fd);
	close(fd);
}

void
ebpftls_seal_clear(const char *path)
{
	for (uint32_t i = 0; i < INTERFACES_MAX; i++) {
		char *name = ebpftls_seal_journal(path, i);

		if (name != NULL)
			clear(name);
		free(name);
	}
}

/* --- the file ------------------------------------------------------------- */

/*
 * Reads a journal once to its end: writes its process blocks, and looks
 * whether it is this interface's, and whole. Where other interfaces carry the
 * same connections nobody knows which packet is the first to need secrets: all
 * of them are written.
 */
static bool
survey(struct work *work, struct source *source, uint32_t *processes)
{
	struct ebpftls_option_read name;
	struct ebpftls_block block;
	bool ours = false, whole = false;
	enum ebpftls_read status;

	while ((status = ebpftls_reader_next(&source->reader, &block)) ==
	       EBPFTLS_READ_BLOCK) {
		if (block.type == EBPFTLS_BLOCK_PROCESS) {
			ebpftls_replace_put(&work->replace, block.bytes,
					    block.size);
			++*processes;
		} else if (block.type == EBPFTLS_BLOCK_SECRETS) {
			if (work->plain && !put_secrets(work, &block))
				return false;
		} else if (block.type == EBPFTLS_BLOCK_INTERFACE) {
			ours = ebpftls_block_option(&source->reader, &block,
						    EBPFTLS_IF_NAME, &name) &&
			       name.size == source->name_size &&
			       memcmp(name.value, source->name, name.size) == 0;
		} else if (block.type == EBPFTLS_BLOCK_STATISTICS) {
			whole = true;
		}
	}
	if (status == EBPFTLS_READ_BROKEN || status == EBPFTLS_READ_FAILED ||
	    source->reader.swapped)
		return fail_journal(work);
	if (!ours)
		return fail(work, "its journal is of another interface");
	if (!whole && !work->seal->unfinished)
		return fail(work, "its journal is not complete");
	return rewind_source(work, source);
}

/* What stands before the first packet, after the file's own. */
static bool
put_processes(struct work *work)
{
	uint32_t processes = 0;

	work->headed = true;
	for (uint32_t i = 0; i < work->interfaces; i++) {
		struct source *source = &work->sources[i];

		source->first_process = processes;
		if (source->fd >= 0 && !survey(work, source, &processes))
			return false;
	}
	return true;
}

/* The unit of an interface's time stamps in nanoseconds; 0: it has another. */
static uint64_t
unit_of(const struct ebpftls_reader *reader, const struct ebpftls_block *block)
{
	struct ebpftls_option_read option;

	if (!ebpftls_block_option(reader, block, EBPFTLS_IF_TSRESOL, &option) ||
	    (option.size == 1 && *option.value == 6))
		return 1000;
	return option.size == 1 && *option.value == 9;
}

static bool
take_interface(struct work *work, const struct ebpftls_block *block)
{
	struct source *source = &work->sources[work->interfaces];
	struct ebpftls_option_read name;

	if (work->headed || work->interfaces == INTERFACES_MAX)
		return fail(work, "it has too many interfaces");
	if (!open_source(work, source, work->interfaces++))
		return false;
	if (source->fd < 0)
		work->plain = true;
	source->unit = unit_of(&work->reader, block);
	if (source->fd >= 0 && source->unit == 0)
		return fail(work, "its time stamps are of another kind");
	if (ebpftls_block_option(&work->reader, block, EBPFTLS_IF_NAME,
				 &name) &&
	    name.size <= sizeof(source->name)) {
		source->name_size = name.size;
		memcpy(source->name, name.value, name.size);
	}
	return true;
}

/* The interface that a packet or statistics are of; NULL: there is none. */
static struct source *
source_of(struct work *work, const struct ebpftls_block *block)
{
	const uint32_t interface =
	    ebpftls_reader_u32(&work->reader, block->bytes + 8);

	return interface < work->interfaces ? &work->sources[interface] : NULL;
}

/* Reads on to the mark of this packet. False: there is none. */
static bool
find_mark(struct work *work, struct source *source,
	  const struct ebpftls_block *block, uint64_t time)
{
	const uint8_t *bytes = block->bytes;
	const uint32_t caplen = ebpftls_block_caplen(&work->reader, block);
	const uint32_t len = ebpftls_reader_u32(&work->reader, bytes + 24);
	const uint32_t check = ebpftls_mark_check(bytes + PACKET_HEAD, caplen);
	const struct ebpftls_marked *marked = &source->marked;

	while (next_mark(work, source)) {
		if (marked->time == time && marked->caplen == caplen &&
		    marked->len == len && marked->check == check)
			return true;
	}
	return false;
}

/* What comes after the last mark of a capture that was killed has none. */
static bool
is_younger(const struct work *work, const struct source *source, uint64_t time)
{
	return work->seal->unfinished && !source->whole &&
	       work->seal->known > 0 && time >= source->end;
}

static bool
put_packet(struct work *work, const struct ebpftls_block *block)
{
	struct ebpftls_seal *seal = work->seal;
	struct source *source = source_of(work, block);
	uint64_t time;

	if (source == NULL || ebpftls_block_options(&work->reader, block) == 0)
		return fail(work, "it has a broken packet");
	seal->packets++;
	memcpy(work->last_time, block->bytes + 12, sizeof(work->last_time));
	if (source->fd < 0)
		return put_as_it_is(work, block);
	time = ((uint64_t)work->last_time[0] << 32 | work->last_time[1]) *
	       source->unit;
	if (find_mark(work, source, block, time)) {
		seal->known++;
		return put_with_options(work, source, block,
					source->marked.options,
					source->marked.options_size);
	}
	if (seal->why[0] != '\0')
		return false;
	if (!is_younger(work, source, time))
		return fail(work, "packet %" PRIu64 " is not of its capture",
			    seal->packets);
	return put_as_it_is(work, block);
}

static bool
put_statistics(struct work *work, const struct ebpftls_block *block)
{
	struct source *source = source_of(work, block);

	if (source == NULL || ebpftls_block_options(&work->reader, block) == 0)
		return fail(work, "it has broken statistics");
	if (!finish_source(work, source))
		return false;
	if (source->said)
		return put_as_it_is(work, block);
	source->said = true;
	return put_with_options(work, source, block, source->told,
				source->told_size);
}

/* As dumpcap writes it: native, the only one, and of no length. */
static bool
is_usual_section(const struct work *work, const struct ebpftls_block *block)
{
	static const uint8_t unspecified[8] = { 0xff, 0xff, 0xff, 0xff,
						0xff, 0xff, 0xff, 0xff };

	return work->interfaces == 0 && !work->headed &&
	       !work->reader.swapped &&
	       memcmp(block->bytes + 16, unspecified, 8) == 0;
}

static bool
put_block(struct work *work, const struct ebpftls_block *block)
{
	if (block->type != EBPFTLS_BLOCK_SECTION &&
	    block->type != EBPFTLS_BLOCK_INTERFACE && !work->headed &&
	    !put_processes(work))
		return false;
	switch (block->type) {
	case EBPFTLS_BLOCK_SECTION:
		if (!is_usual_section(work, block))
			return fail(work, "it is not as dumpcap writes it");
		break;
	case EBPFTLS_BLOCK_INTERFACE:
		if (!take_interface(work, block))
			return false;
		break;
	case EBPFTLS_BLOCK_PACKET:
		return put_packet(work, block);
	case EBPFTLS_BLOCK_STATISTICS:
		return put_statistics(work, block);
	case EBPFTLS_BLOCK_PROCESS:
		return fail(work, "it names processes already");
	case EBPFTLS_BLOCK_OLD_PACKET:
	case EBPFTLS_BLOCK_SIMPLE_PACKET:
		return fail(work, "it is not as dumpcap writes it");
	default:
		break;
	}
	return put_as_it_is(work, block);
}

/* What is said at the end, where the file has no place for it. */
static bool
put_rest(struct work *work, struct source *source, uint32_t interface)
{
	const uint32_t head[] = { EBPFTLS_BLOCK_STATISTICS, 0, interface,
				  work->last_time[0], work->last_time[1] };
	const uint32_t last = 0;

	if (!finish_source(work, source))
		return false;
	if (source->said || source->told_size == 0)
		return true;
	work->made_size = 0;
	return add(work, head, sizeof(head)) &&
	       add(work, source->told, source->told_size) &&
	       add(work, &last, sizeof(last)) && put_made(work);
}

static bool
put_end(struct work *work)
{
	if (!work->headed && !put_processes(work))
		return false;
	for (uint32_t i = 0; i < work->interfaces; i++) {
		if (!put_rest(work, &work->sources[i], i))
			return false;
	}
	return true;
}

static bool
merge(struct work *work)
{
	struct ebpftls_block block;
	enum ebpftls_read status;

	while ((status = ebpftls_reader_next(&work->reader, &block)) ==
	       EBPFTLS_READ_BLOCK) {
		if (!put_block(work, &block))
			return false;
		/* a full disk is seen before all is read */
		if (work->replace.error != 0)
			break;
	}
	if (status == EBPFTLS_READ_FAILED)
		return fail(work, "%s", strerror(errno));
	if (status == EBPFTLS_READ_BROKEN ||
	    (status == EBPFTLS_READ_CUT && !work->seal->unfinished))
		return fail(work, "it is not a whole pcapng file");
	work->seal->cut = ebpftls_reader_rest(&work->reader);
	return status == EBPFTLS_READ_BLOCK || put_end(work);
}

/* --- all of it ------------------------------------------------------------ */

static bool
open_file(struct work *work)
{
	struct ebpftls_seal *seal = work->seal;
	struct stat *status = &work->status;

	work->fd = open(seal->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (work->fd < 0 || fstat(work->fd, status) != 0)
		return fail(work, "%s", strerror(errno));
	if (!S_ISREG(status->st_mode) || status->st_nlink != 1)
		return fail(work, "it is no file of just one name");
	if (seal->inode != 0 &&
	    (status->st_dev != seal->device || status->st_ino != seal->inode))
		return fail(work, "there is another file in its place");
	if (!ebpftls_reader_init(&work->reader, work->fd))
		return fail(work, "%s", strerror(ENOMEM));
	return true;
}

/* Whether it is what it was when it was opened. */
static bool
is_unchanged(const struct work *work)
{
	const struct stat *was = &work->status;
	struct stat is;

	return lstat(work->seal->path, &is) == 0 && is.st_dev == was->st_dev &&
	       is.st_ino == was->st_ino && is.st_size == was->st_size &&
	       is.st_mtim.tv_sec == was->st_mtim.tv_sec &&
	       is.st_mtim.tv_nsec == was->st_mtim.tv_nsec;
}

static bool
replace(struct work *work)
{
	int error = ebpftls_replace_begin(&work->replace, work->seal->path,
					  work->status.st_size);

	if (error != 0)
		return fail(work, "%s", strerror(-error));
	work->replacing = true;
	if (!merge(work))
		return false;
	if (!is_unchanged(work))
		return fail(work, "it has changed meanwhile");
	work->replacing = false;
	error = ebpftls_replace_finish(&work->replace, &work->status);
	return error == 0 || fail(work, "%s", strerror(-error));
}

static bool
has_journal(const char *path)
{
	bool found = false;

	for (uint32_t i = 0; i < INTERFACES_MAX && !found; i++) {
		char *name = ebpftls_seal_journal(path, i);

		found = name != NULL && access(name, F_OK) == 0;
		free(name);
	}
	return found;
}

static void
release(struct work *work, bool done)
{
	if (work->replacing)
		ebpftls_replace_abandon(&work->replace);
	for (uint32_t i = 0; i < INTERFACES_MAX; i++) {
		struct source *source = &work->sources[i];

		if (done && source->fd >= 0)
			discard(source->path, source->fd);
		close_source(source);
	}
	ebpftls_reader_free(&work->reader);
	if (work->fd >= 0)
		close(work->fd);
	if (work->made != NULL)
		explicit_bzero(work->made, work->made_room);
	free(work->made);
	free(work);
}

int
ebpftls_seal(struct ebpftls_seal *seal)
{
	struct work *work;
	bool done;

	seal->why[0] = '\0';
	seal->packets = seal->known = 0;
	if (!has_journal(seal->path))
		return 1;
	work = calloc(1, sizeof(*work));
	if (work == NULL) {
		snprintf(seal->why, sizeof(seal->why), "%s", strerror(ENOMEM));
		return -1;
	}
	work->seal = seal;
	work->fd = -1;
	for (uint32_t i = 0; i < INTERFACES_MAX; i++)
		work->sources[i].fd = -1;
	done = open_file(work) && replace(work);
	release(work, done);
	return done ? 0 : -1;
}
