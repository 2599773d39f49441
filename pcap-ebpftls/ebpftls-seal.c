// SPDX-License-Identifier: BSD-3-Clause
/*
 * Merges a file with its journals. Both sides are read once from the front,
 * the journals once more before that: for their process blocks, and whether
 * they are whole.
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
#include <sys/stat.h>
#include <unistd.h>

#include "ebpftls-blocks.h"
#include "ebpftls-reader.h"
#include "ebpftls-replace.h"
#include "ebpftls-source.h"

/* Of a device, with its options. */
#define DEVICE_SIZE 1024

/* Of blocks, where their parts begin. */
#define SECRETS_HEAD 16
#define PACKET_HEAD  28

/* An interface of the file, and its journal. */
struct interface {
	struct ebpftls_source source;
	uint8_t name[DEVICE_SIZE];
	uint16_t name_size;
	uint64_t unit;		/* of its time stamps, in nanoseconds */
	uint32_t first_process; /* number of its first block in the file */
	bool ended;		/* all of the journal has been read */
	bool passed;		/* also marks behind the last packet's */
	bool said;		/* what its statistics say is in the file */
};

struct work {
	struct ebpftls_seal *seal;
	int fd;
	struct stat status;
	struct ebpftls_reader reader;
	struct ebpftls_replace replace;
	bool replacing;
	struct interface interfaces[EBPFTLS_SOURCES_MAX];
	uint32_t count; /* of interfaces */
	bool headed;	/* what stands before all packets has been written */
	bool plain;	/* there is an interface without a journal */
	struct ebpftls_blocks made; /* a block that is put together */
	uint32_t last_time[2];	    /* of the last packet, as it stands there */
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

/* --- blocks that are put together ------------------------------------------
 */

/* Room for a block of this size. */
static bool
begin_block(struct work *work, size_t size)
{
	work->made.size = 0;
	return ebpftls_blocks_reserve(&work->made, size) ||
	       fail(work, "%s", strerror(ENOMEM));
}

static void
add(struct work *work, const void *bytes, size_t size)
{
	memcpy(work->made.bytes + work->made.size, bytes, size);
	work->made.size += size;
}

/* The end of its options and its length; then it is written. */
static bool
end_block(struct work *work)
{
	const uint32_t size = (uint32_t)work->made.size + 8, last = 0;

	add(work, &last, sizeof(last));
	add(work, &size, sizeof(size));
	memcpy(work->made.bytes + 4, &size, sizeof(size));
	ebpftls_replace_put(&work->replace, work->made.bytes, size);
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
renumber(const struct interface *interface, uint8_t *options, size_t size)
{
	const uint8_t *end = options + size;
	struct ebpftls_option_read option;
	uint32_t number;

	for (uint8_t *at = options;
	     ebpftls_option_read(&interface->source.reader, at, end, &option);
	     at += option.next - at) {
		if ((option.code != EBPFTLS_EPB_PROCESS &&
		     option.code != EBPFTLS_EPB_TO_PROCESS) ||
		    option.size != sizeof(number))
			continue;
		memcpy(&number, option.value, sizeof(number));
		number += interface->first_process;
		memcpy(at + 4, &number, sizeof(number));
	}
}

/* A block with more options: those it has, these of a journal, and the end. */
static bool
put_with_options(struct work *work, const struct interface *interface,
		 const struct ebpftls_block *block, const uint8_t *options,
		 size_t size)
{
	const size_t offset = ebpftls_block_options(&work->reader, block);
	const uint8_t *end = block->bytes + block->size - 4;
	const uint8_t *at = block->bytes + offset;
	struct ebpftls_option_read option;

	if (size == 0)
		return put_as_it_is(work, block);
	while (ebpftls_option_read(&work->reader, at, end, &option))
		at = option.next;
	if (at != end && ebpftls_reader_u16(&work->reader, at) != 0)
		return fail(work, "a block of it has broken options");
	if (!begin_block(work, block->size + size + 4))
		return false;
	add(work, block->bytes, (size_t)(at - block->bytes));
	add(work, options, size);
	if (interface->first_process > 0)
		renumber(interface, work->made.bytes + work->made.size - size,
			 size);
	return end_block(work);
}

/* --- journals ------------------------------------------------------------- */

/* Room that was never filled is left out, and so is a block of nothing else. */
static bool
put_secrets(struct work *work, const struct ebpftls_block *block)
{
	const char *lines = (const char *)block->bytes + SECRETS_HEAD;
	uint32_t length;

	if (block->size < SECRETS_HEAD + 4)
		return fail_journal(work);
	memcpy(&length, block->bytes + 12, sizeof(length));
	if (length > block->size - SECRETS_HEAD - 4)
		return fail_journal(work);
	while (length > 1 && lines[length - 1] == '\n' &&
	       lines[length - 2] == '\n')
		length--;
	if (length == 0 || lines[0] == '\n')
		return true;
	work->made.size = 0;
	if (!ebpftls_blocks_secrets(&work->made, lines, length))
		return fail(work, "%s", strerror(ENOMEM));
	ebpftls_replace_put(&work->replace, work->made.bytes, work->made.size);
	return true;
}

/*
 * Reads a journal up to its next mark, and writes the secrets before that.
 * False: it has come to its end, or failed.
 */
static bool
next_mark(struct work *work, struct interface *interface)
{
	struct ebpftls_block block;
	enum ebpftls_read status;

	if (interface->ended)
		return false;
	while ((status = ebpftls_source_next(&interface->source, &block)) ==
	       EBPFTLS_READ_BLOCK) {
		if (block.type == EBPFTLS_BLOCK_MARK)
			return true;
		if (block.type == EBPFTLS_BLOCK_SECRETS && !interface->passed &&
		    !work->plain && !put_secrets(work, &block))
			return false;
	}
	interface->ended = true;
	if (status == EBPFTLS_READ_END || status == EBPFTLS_READ_CUT)
		return false;
	return fail_journal(work);
}

/* Reads a journal to its end, for what is said there. */
static bool
finish(struct work *work, struct interface *interface)
{
	while (interface->source.fd >= 0 && next_mark(work, interface))
		interface->passed = true;
	return work->seal->why[0] == '\0';
}

/* --- the file ------------------------------------------------------------- */

/*
 * Reads a journal once to its end: writes its process blocks, and looks
 * whether it is this interface's, and whole. Where other interfaces carry the
 * same connections nobody knows which packet is the first to need secrets: all
 * of them are written.
 */
static bool
survey(struct work *work, struct interface *interface, uint32_t *processes)
{
	struct ebpftls_source *source = &interface->source;
	struct ebpftls_option_read name;
	struct ebpftls_block block;
	enum ebpftls_read status;
	bool ours = false;
	int error;

	while ((status = ebpftls_source_next(source, &block)) ==
	       EBPFTLS_READ_BLOCK) {
		if (block.type == EBPFTLS_BLOCK_PROCESS) {
			ebpftls_replace_put(&work->replace, block.bytes,
					    block.size);
			++*processes;
		} else if (block.type == EBPFTLS_BLOCK_SECRETS) {
			if (work->plain && !put_secrets(work, &block))
				return false;
		} else if (block.type == EBPFTLS_BLOCK_INTERFACE) {
			ours =
			    ebpftls_block_option(&source->reader, &block,
						 EBPFTLS_IF_NAME, &name) &&
			    name.size == interface->name_size &&
			    memcmp(name.value, interface->name, name.size) == 0;
		}
	}
	if (status == EBPFTLS_READ_BROKEN || status == EBPFTLS_READ_FAILED)
		return fail_journal(work);
	if (!ours)
		return fail(work, "its journal is of another interface");
	if (!source->whole && !work->seal->unfinished)
		return fail(work, "its journal is not complete");
	error = ebpftls_source_rewind(source);
	return error == 0 || fail(work, "%s", strerror(-error));
}

/* What stands before the first packet, after the file's own. */
static bool
put_processes(struct work *work)
{
	uint32_t processes = 0;

	work->headed = true;
	for (uint32_t i = 0; i < work->count; i++) {
		struct interface *interface = &work->interfaces[i];

		interface->first_process = processes;
		if (interface->source.fd >= 0 &&
		    !survey(work, interface, &processes))
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

/* Opens its journal, if there is one. */
static bool
open_source(struct work *work, struct interface *interface)
{
	const int error =
	    ebpftls_source_open(&interface->source, work->seal->path,
				work->count - 1, work->status.st_uid);

	if (error == -EPERM)
		return fail(work, "%s: others could have written it",
			    interface->source.path);
	if (error == -EBUSY)
		return fail(work, "its capture is still going on");
	return error == 0 || fail(work, "%s", strerror(-error));
}

static bool
take_interface(struct work *work, const struct ebpftls_block *block)
{
	struct interface *interface = &work->interfaces[work->count];
	struct ebpftls_option_read name;

	if (work->headed || work->count == EBPFTLS_SOURCES_MAX)
		return fail(work, "it has too many interfaces");
	work->count++;
	if (!open_source(work, interface))
		return false;
	if (interface->source.fd < 0)
		work->plain = true;
	interface->unit = unit_of(&work->reader, block);
	if (interface->source.fd >= 0 && interface->unit == 0)
		return fail(work, "its time stamps are of another kind");
	if (ebpftls_block_option(&work->reader, block, EBPFTLS_IF_NAME,
				 &name) &&
	    name.size <= sizeof(interface->name)) {
		interface->name_size = name.size;
		memcpy(interface->name, name.value, name.size);
	}
	return true;
}

/* The interface that a packet or statistics are of; NULL: there is none. */
static struct interface *
interface_of(struct work *work, const struct ebpftls_block *block)
{
	const uint32_t number =
	    ebpftls_reader_u32(&work->reader, block->bytes + 8);

	return number < work->count ? &work->interfaces[number] : NULL;
}

/* Reads on to the mark of this packet. False: there is none. */
static bool
find_mark(struct work *work, struct interface *interface,
	  const struct ebpftls_block *block, uint64_t time)
{
	const uint8_t *bytes = block->bytes;
	const uint32_t caplen = ebpftls_block_caplen(&work->reader, block);
	const uint32_t len = ebpftls_reader_u32(&work->reader, bytes + 24);
	const uint32_t check = ebpftls_mark_check(bytes + PACKET_HEAD, caplen);
	const struct ebpftls_marked *marked = &interface->source.marked;

	while (next_mark(work, interface)) {
		if (marked->time == time && marked->caplen == caplen &&
		    marked->len == len && marked->check == check)
			return true;
	}
	return false;
}

/* What comes after the last mark of a capture that was killed has none. */
static bool
is_younger(const struct work *work, const struct ebpftls_source *source,
	   uint64_t time)
{
	return work->seal->unfinished && !source->whole &&
	       work->seal->known > 0 && time >= source->end;
}

static bool
put_packet(struct work *work, const struct ebpftls_block *block)
{
	struct ebpftls_seal *seal = work->seal;
	struct interface *interface = interface_of(work, block);
	uint64_t time;

	if (interface == NULL ||
	    ebpftls_block_options(&work->reader, block) == 0)
		return fail(work, "it has a broken packet");
	seal->packets++;
	memcpy(work->last_time, block->bytes + 12, sizeof(work->last_time));
	if (interface->source.fd < 0)
		return put_as_it_is(work, block);
	time = ((uint64_t)work->last_time[0] << 32 | work->last_time[1]) *
	       interface->unit;
	if (find_mark(work, interface, block, time)) {
		seal->known++;
		return put_with_options(work, interface, block,
					interface->source.marked.options,
					interface->source.marked.options_size);
	}
	if (seal->why[0] != '\0')
		return false;
	if (!is_younger(work, &interface->source, time))
		return fail(work, "packet %" PRIu64 " is not of its capture",
			    seal->packets);
	return put_as_it_is(work, block);
}

static bool
put_statistics(struct work *work, const struct ebpftls_block *block)
{
	struct interface *interface = interface_of(work, block);

	if (interface == NULL ||
	    ebpftls_block_options(&work->reader, block) == 0)
		return fail(work, "it has broken statistics");
	if (!finish(work, interface))
		return false;
	if (interface->said)
		return put_as_it_is(work, block);
	interface->said = true;
	return put_with_options(work, interface, block, interface->source.told,
				interface->source.told_size);
}

/* As dumpcap writes it: native, the only one, and of no length. */
static bool
is_usual_section(const struct work *work, const struct ebpftls_block *block)
{
	static const uint8_t unspecified[8] = { 0xff, 0xff, 0xff, 0xff,
						0xff, 0xff, 0xff, 0xff };

	return work->count == 0 && !work->headed && !work->reader.swapped &&
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
put_rest(struct work *work, struct interface *interface, uint32_t number)
{
	const struct ebpftls_source *source = &interface->source;
	const uint32_t head[] = { EBPFTLS_BLOCK_STATISTICS, 0, number,
				  work->last_time[0], work->last_time[1] };

	if (!finish(work, interface))
		return false;
	if (interface->said || source->told_size == 0)
		return true;
	if (!begin_block(work, sizeof(head) + source->told_size + 8))
		return false;
	add(work, head, sizeof(head));
	add(work, source->told, source->told_size);
	return end_block(work);
}

static bool
put_end(struct work *work)
{
	if (!work->headed && !put_processes(work))
		return false;
	for (uint32_t i = 0; i < work->count; i++) {
		if (!put_rest(work, &work->interfaces[i], i))
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

static bool
replace(struct work *work)
{
	int error = ebpftls_replace_begin(&work->replace, work->seal->path,
					  work->status.st_size);

	if (error != 0)
		return fail(work, "%s", ebpftls_replace_why(error));
	work->replacing = true;
	/* since it was opened; from here on, it is asked at the end */
	if (!work->replace.exists ||
	    !ebpftls_replace_same(&work->replace.was, &work->status))
		return fail(work, "%s", ebpftls_replace_why(-ESTALE));
	if (!merge(work))
		return false;
	work->replacing = false;
	error = ebpftls_replace_finish(&work->replace, &work->status, work->fd);
	return error == 0 || fail(work, "%s", ebpftls_replace_why(error));
}

static void
release(struct work *work, bool done)
{
	if (work->replacing)
		ebpftls_replace_abandon(&work->replace);
	for (uint32_t i = 0; i < work->count; i++) {
		struct ebpftls_source *source = &work->interfaces[i].source;

		if (done && source->fd >= 0)
			ebpftls_source_discard(source);
		ebpftls_source_close(source);
	}
	ebpftls_reader_free(&work->reader);
	if (work->fd >= 0)
		close(work->fd);
	work->made.size = work->made.room;
	ebpftls_blocks_free(&work->made);
	free(work);
}

int
ebpftls_seal(struct ebpftls_seal *seal)
{
	struct work *work;
	bool done;

	seal->why[0] = '\0';
	seal->packets = seal->known = 0;
	if (!ebpftls_sources_exist(seal->path))
		return 1;
	work = calloc(1, sizeof(*work));
	if (work == NULL) {
		snprintf(seal->why, sizeof(seal->why), "%s", strerror(ENOMEM));
		return -1;
	}
	work->seal = seal;
	work->fd = -1;
	done = open_file(work) && replace(work);
	release(work, done);
	return done ? 0 : -1;
}
