// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which slot options have, on both sides: the reader of a journal sees the
 * same marks in the same order as its writer has made them.
 */
#include "ebpftls-mark.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS	  256
#define SLOT_SIZE 508

/* No options at all; options that no slot keeps. */
#define SLOT_EMPTY SLOTS
#define SLOT_NONE  (SLOTS + 1)

struct slot {
	uint32_t size;
	uint8_t bytes[SLOT_SIZE];
};

struct ebpftls_slots {
	struct ebpftls_mark mark;
	struct slot slots[SLOTS];
};

struct ebpftls_slots *
ebpftls_slots_new(void)
{
	return calloc(1, sizeof(struct ebpftls_slots));
}

void
ebpftls_slots_free(struct ebpftls_slots *slots)
{
	free(slots);
}

/* Eight bytes at a time: it is made of every packet. */
static uint64_t
sum(const uint8_t *bytes, size_t size)
{
	uint64_t sum = size, word;

	for (; size >= sizeof(word); size -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		bytes += sizeof(word);
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 32;
	}
	word = 0;
	if (size > 0)
		memcpy(&word, bytes, size);
	return (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
}

uint32_t
ebpftls_mark_check(const uint8_t *bytes, uint32_t caplen)
{
	return (uint32_t)(sum(bytes, caplen < EBPFTLS_MARK_CHECKED
					 ? caplen
					 : EBPFTLS_MARK_CHECKED) >>
			  32);
}

/* Keeps options in their slot. False: they are there already. */
static bool
keep(struct slot *slot, const uint8_t *options, size_t size)
{
	if (slot->size == size && memcmp(slot->bytes, options, size) == 0)
		return false;
	slot->size = (uint32_t)size;
	memcpy(slot->bytes, options, size);
	return true;
}

static uint32_t
slot_for(const uint8_t *options, size_t size)
{
	if (size == 0)
		return SLOT_EMPTY;
	if (size > SLOT_SIZE)
		return SLOT_NONE;
	return (uint32_t)(sum(options, size) >> 32) % SLOTS;
}

void
ebpftls_slots_mark(struct ebpftls_slots *slots, struct ebpftls_record *record,
		   const uint8_t *bytes)
{
	const uint32_t slot = slot_for(record->options, record->options_size);

	slots->mark.slot = slot;
	slots->mark.check = ebpftls_mark_check(bytes, record->caplen);
	record->mark = &slots->mark;
	if (slot < SLOTS &&
	    !keep(&slots->slots[slot], record->options, record->options_size))
		record->options_size = 0;
}

bool
ebpftls_slots_read(struct ebpftls_slots *slots, const uint8_t *block,
		   size_t size, struct ebpftls_marked *marked)
{
	struct ebpftls_mark_block head;

	if (size < sizeof(head) + 4)
		return false;
	memcpy(&head, block, sizeof(head));
	*marked = (struct ebpftls_marked){
		.time = head.time,
		.caplen = head.caplen,
		.len = head.len,
		.check = head.mark.check,
		.options = block + sizeof(head),
		.options_size = size - sizeof(head) - 4,
	};
	if (head.mark.slot >= SLOTS)
		return (head.mark.slot == SLOT_EMPTY) ==
			   (marked->options_size == 0) &&
		       head.mark.slot <= SLOT_NONE;
	if (marked->options_size > SLOT_SIZE)
		return false;
	if (marked->options_size > 0)
		keep(&slots->slots[head.mark.slot], marked->options,
		     marked->options_size);
	marked->options = slots->slots[head.mark.slot].bytes;
	marked->options_size = slots->slots[head.mark.slot].size;
	return marked->options_size > 0;
}
