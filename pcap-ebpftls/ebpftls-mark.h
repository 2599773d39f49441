/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The marks that stand for packets in a journal: enough to know each packet
 * again, and the options that go with it. Options that come often are written
 * once, into a slot, and then referred to. See docs/sealing.md.
 */
#ifndef EBPFTLS_MARK_H
#define EBPFTLS_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-blocks.h"

/* By slot: what packets have said, in the file up to here. */
struct ebpftls_slots;

/* NULL: no memory. */
struct ebpftls_slots *ebpftls_slots_new(void);

void ebpftls_slots_free(struct ebpftls_slots *slots);

/*
 * Makes a record one that is written as a mark, which is valid until the next
 * call. Its options are left only if no slot has them.
 */
void ebpftls_slots_mark(struct ebpftls_slots *slots,
			struct ebpftls_record *record, const uint8_t *bytes);

/* Of a packet, as it was delivered. */
struct ebpftls_marked {
	uint64_t time; /* wall clock, nanoseconds */
	uint32_t caplen;
	uint32_t len;
	uint32_t check;
	const uint8_t *options; /* whole ones; valid until the next call */
	size_t options_size;
};

/* Takes in the next mark, a block as it stands. False: it is broken. */
bool ebpftls_slots_read(struct ebpftls_slots *slots, const uint8_t *block,
			size_t size, struct ebpftls_marked *marked);

/* Of a packet: its headers, and where a connection has got to. */
#define EBPFTLS_MARK_CHECKED 128

/* Tells packets apart that have the same time and lengths. */
uint32_t ebpftls_mark_check(const uint8_t *bytes, uint32_t caplen);

#endif
