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
};

struct ebpftls_record {
	uint64_t time; /* wall clock, nanoseconds */
	uint32_t caplen;
	uint32_t len;
	uint32_t dropped;  /* packets lost just before this one */
	uint8_t direction; /* of epb_flags: 0 unknown, 1 in, 2 out */
};

/* For the statistics block at a file's end. */
struct ebpftls_totals {
	uint64_t received;
	uint64_t dropped;
	uint64_t if_dropped;
	const char *comment; /* or NULL */
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
