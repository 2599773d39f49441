/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts pcapng blocks, one after the other, into a piece of memory that grows
 * as it has to. One interface, number 0; the byte order of this machine.
 */
#ifndef EBPFTLS_BLOCKS_H
#define EBPFTLS_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-pcapng.h"
#include "events.h"

/* All zero is empty and has no memory yet. */
struct ebpftls_blocks {
	uint8_t *bytes;
	size_t size; /* whole blocks */
	size_t room;
};

/* What is said of the interface at the beginning of each file. */
struct ebpftls_interface {
	const char *name; /* as the application gave it */
	const char *description;
	const void *filter; /* classic BPF instructions, or NULL */
	size_t filter_size;
	uint32_t linktype; /* LINKTYPE_ */
	uint32_t snaplen;
	bool nanoseconds; /* else microseconds */
	bool journal;	  /* marks stand for packets: ebpftls-mark.h */
};

/* What knows a packet again. */
struct ebpftls_mark {
	uint32_t check;
	uint32_t slot;
};

/* How a block of one begins; whole options follow, and the length again. */
struct ebpftls_mark_block {
	uint32_t type;
	uint32_t length;
	uint64_t time; /* nanoseconds */
	uint32_t caplen;
	uint32_t len;
	struct ebpftls_mark mark;
};

struct ebpftls_record {
	uint64_t time; /* wall clock, nanoseconds */
	uint32_t caplen;
	uint32_t len;
	uint32_t dropped;  /* packets lost just before this one */
	uint8_t direction; /* of epb_flags: 0 unknown, 1 in, 2 out */

	const struct ebpftls_owner *sender;   /* NULL: nobody here */
	const struct ebpftls_owner *receiver; /* likewise */
	const uint8_t *options; /* what is said of these: whole options */
	size_t options_size;

	/* a mark is written instead of the packet; it has no other options */
	const struct ebpftls_mark *mark;
};

/* For the statistics block at a file's end. */
struct ebpftls_totals {
	uint64_t received;
	uint64_t dropped;
	uint64_t if_dropped;
	const char *comment;	/* or NULL */
	const uint8_t *options; /* more of them, whole */
	size_t options_size;
};

/*
 * Makes room for `size` bytes more. As below, false means that there is no
 * memory, and nothing has changed.
 */
bool ebpftls_blocks_reserve(struct ebpftls_blocks *blocks, size_t size);

/* Wipes and frees. */
void ebpftls_blocks_free(struct ebpftls_blocks *blocks);

/* The section header, of the application `name`; length not specified. */
bool ebpftls_blocks_section(struct ebpftls_blocks *blocks, const char *name);

bool ebpftls_blocks_interface(struct ebpftls_blocks *blocks,
			      const struct ebpftls_interface *interface);

/* How many bytes ebpftls_blocks_packet() adds for this packet. */
size_t ebpftls_blocks_packet_size(const struct ebpftls_record *record);

bool ebpftls_blocks_packet(struct ebpftls_blocks *blocks,
			   const struct ebpftls_record *record,
			   bool nanoseconds, const uint8_t *bytes);

/*
 * Writes one option to memory of the caller's, where there is room for
 * `size` bytes and 7 more. Returns where the next one goes.
 */
uint8_t *ebpftls_blocks_option(uint8_t *at, enum ebpftls_option_code code,
			       const void *bytes, size_t size);

/*
 * A process, of which packets then tell by the number of its block: the
 * first of a section is number 0. Darwin's, which Wireshark knows.
 */
bool ebpftls_blocks_process(struct ebpftls_blocks *blocks, uint32_t pid,
			    const char *name, size_t length);

/* TLS key log lines. */
bool ebpftls_blocks_secrets(struct ebpftls_blocks *blocks, const char *lines,
			    size_t length);

/*
 * The same with `length` empty lines, to be written over later. Returns where
 * in `bytes` they begin, or 0: no memory.
 */
size_t ebpftls_blocks_empty_secrets(struct ebpftls_blocks *blocks,
				    size_t length);

/*
 * Of a capture that went on between these wall clock times, in nanoseconds.
 * All losses are one number, as readers show only one.
 */
bool ebpftls_blocks_statistics(struct ebpftls_blocks *blocks, uint64_t from,
			       uint64_t to, bool nanoseconds,
			       const struct ebpftls_totals *totals);

#endif
