// SPDX-License-Identifier: BSD-3-Clause
/* Goes through the blocks once, from the front, as readers of captures do. */
#include "inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ebpftls-reader.h"

#define INTERFACE_MIN 20
#define PACKET_HEAD   28
#define PACKET_MIN    32
#define SECRETS_HEAD  16
#define SECRETS_MIN   20

#define LINKTYPE_PKTAP 258

/* Connections of which secrets are kept, for each that is followed: all of
 * them may stand at the front. */
#define KEYS_FACTOR 4

/* What a section has said. */
struct section {
	uint16_t *linktypes; /* of its interfaces */
	size_t count;
	size_t room;
	struct claims_processes processes;
};

/* The file on its way through this one. */
struct work {
	struct inspection *inspection;
	struct ebpftls_reader reader;
	struct section section;
	struct ebpftls_block block;
	struct note **last;
};

static void
forget(struct section *section)
{
	claims_forget(&section->processes);
	free(section->linktypes);
	*section = (struct section){ .linktypes = NULL };
}

/* Each returns false when there is no memory. */

static bool
take_interface(struct work *work)
{
	struct section *section = &work->section;

	if (work->block.size < INTERFACE_MIN)
		return true;
	if (section->count == section->room) {
		const size_t room = section->room * 2 + 8;
		uint16_t *linktypes =
		    realloc(section->linktypes, room * sizeof(*linktypes));

		if (linktypes == NULL)
			return false;
		section->linktypes = linktypes;
		section->room = room;
	}
	section->linktypes[section->count++] =
	    ebpftls_reader_u16(&work->reader, work->block.bytes + 8);
	return true;
}

static bool
take_packet(struct work *work)
{
	const struct ebpftls_reader *reader = &work->reader;
	const struct ebpftls_block *block = &work->block;
	const uint8_t *packet = block->bytes + PACKET_HEAD;
	struct claims claims;
	uint32_t interface, caplen;
	int linktype;

	if (block->size < PACKET_MIN)
		return true;
	interface = ebpftls_reader_u32(reader, block->bytes + 8);
	caplen = ebpftls_block_caplen(reader, block);
	if (interface >= work->section.count ||
	    caplen > block->size - PACKET_MIN)
		return true;
	linktype = work->section.linktypes[interface];
	claims_read(&claims, &work->section.processes, reader, block);
	if (linktype == LINKTYPE_PKTAP)
		claims_read_pktap(&claims, packet, caplen);
	return connections_packet(work->inspection->connections, linktype,
				  packet, caplen, &claims);
}

static void
take_secrets(struct work *work)
{
	const struct ebpftls_block *block = &work->block;
	uint32_t size;

	if (block->size < SECRETS_MIN ||
	    ebpftls_reader_u32(&work->reader, block->bytes + 8) !=
		EBPFTLS_SECRETS_TLS_LOG)
		return;
	size = ebpftls_reader_u32(&work->reader, block->bytes + 12);
	if (size <= block->size - SECRETS_MIN)
		keylog_add(work->inspection->log, block->bytes + SECRETS_HEAD,
			   size);
}

static bool
take_statistics(struct work *work)
{
	struct ebpftls_option_read comment;
	struct note *note;

	if (!ebpftls_block_option(&work->reader, &work->block, EBPFTLS_COMMENT,
				  &comment))
		return true;
	note = malloc(sizeof(*note) + comment.size);
	if (note == NULL)
		return false;
	note->next = NULL;
	note->size = comment.size;
	memcpy(note->text, comment.value, comment.size);
	*work->last = note;
	work->last = &note->next;
	return true;
}

static bool
take_block(struct work *work)
{
	switch (work->block.type) {
	case EBPFTLS_BLOCK_SECTION:
		forget(&work->section);
		return true;
	case EBPFTLS_BLOCK_INTERFACE:
		return take_interface(work);
	case EBPFTLS_BLOCK_PROCESS:
		return claims_add_process(&work->section.processes,
					  &work->reader, &work->block);
	case EBPFTLS_BLOCK_SECRETS:
		take_secrets(work);
		return true;
	case EBPFTLS_BLOCK_PACKET:
		return take_packet(work);
	case EBPFTLS_BLOCK_STATISTICS:
		return take_statistics(work);
	default:
		return true;
	}
}

static const char *
read_all(struct work *work)
{
	for (;;) {
		switch (ebpftls_reader_next(&work->reader, &work->block)) {
		case EBPFTLS_READ_BLOCK:
			if (!take_block(work))
				return strerror(ENOMEM);
			break;
		case EBPFTLS_READ_CUT:
			work->inspection->cut = true;
			return work->reader.begun ? NULL : "no pcapng file";
		case EBPFTLS_READ_END:
			return work->reader.begun ? NULL : "no pcapng file";
		case EBPFTLS_READ_BROKEN:
			return work->reader.begun ? "it is damaged"
						  : "no pcapng file";
		default:
			return strerror(errno);
		}
	}
}

const char *
inspect(struct inspection *inspection, int fd, size_t limit,
	connections_taker *ended, void *context)
{
	struct work work = { .inspection = inspection };
	const char *why;

	*inspection =
	    (struct inspection){ .log = keylog_new(KEYS_FACTOR * limit) };
	work.last = &inspection->notes;
	if (inspection->log != NULL)
		inspection->connections =
		    connections_new(inspection->log, limit);
	if (inspection->connections == NULL ||
	    !ebpftls_reader_init(&work.reader, fd))
		return strerror(ENOMEM);
	connections_tell(inspection->connections, ended, context);
	why = read_all(&work);
	forget(&work.section);
	ebpftls_reader_free(&work.reader);
	inspection->list = connections_end(inspection->connections);
	inspection->secrets = keylog_count(inspection->log);
	return why;
}

void
inspection_free(struct inspection *inspection)
{
	struct note *note;

	while ((note = inspection->notes) != NULL) {
		inspection->notes = note->next;
		free(note);
	}
	connections_free(inspection->connections);
	keylog_free(inspection->log);
}
