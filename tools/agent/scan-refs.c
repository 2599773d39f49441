// SPDX-License-Identifier: BSD-3-Clause
/*
 * Looks at all code for the few byte patterns that give a label's address,
 * without decoding anything. What merely looks like one does no harm: nothing
 * follows from a reference that no call bears out.
 */
#include "scan-refs.h"

#include <string.h>

/* adrp's other half is not further away than this many instructions. */
#define PAIR_MAX 40

struct search {
	struct scan_references *references;
	struct scan_labels *labels;
	const struct scan_segment *segment;
	uint64_t first, last; /* addresses of labels */
};

static void
add(struct search *search, uint64_t address, uint64_t target)
{
	struct scan_references *references = search->references;
	struct scan_label *label = scan_labels_at(search->labels, target);

	if (label == NULL || references->count == SCAN_REFERENCES_MAX)
		return;
	label->referred = true;
	references->at[references->count++] = (struct scan_reference){
		.address = address,
		.label = label,
	};
}

/* --- x86-64 --------------------------------------------------------------- */

/* lea distance(%rip), %r64 */
static void
search_lea(struct search *search)
{
	const struct scan_segment *segment = search->segment;
	const uint8_t *bytes = segment->bytes, *at = bytes + 1, *end;
	uint64_t span = search->last - search->first;

	if (segment->size < 7)
		return;
	end = bytes + segment->size - 5;
	while (at < end && (at = memchr(at, 0x8d, end - at)) != NULL) {
		uint64_t target = segment->address + (at - bytes) + 6 +
				  (uint64_t)(int32_t)scan_read32(at + 2);

		if ((at[1] & 0xc7) == 0x05 && (at[-1] & 0xf8) == 0x48 &&
		    target - search->first <= span)
			add(search, segment->address + (at - bytes) - 1,
			    target);
		at++;
	}
}

/*
 * How many bytes before its number the instruction begins that moves it to a
 * register or to memory; 0: it is none.
 */
static uint32_t
move_prefix(const uint8_t *code, uint64_t before)
{
	if (before >= 1 && (code[-1] & 0xf8) == 0xb8)
		return before >= 2 && code[-2] == 0x41 ? 2 : 1;
	for (uint32_t i = 2; i <= 8 && i <= before; i++) {
		const uint8_t *opcode = code - i;
		uint8_t mode = opcode[1] >> 6, rm = opcode[1] & 7;
		uint32_t length = 2 + (mode != 3 && rm == 4) +
				  (mode == 1 ? 1 : 0) +
				  (mode == 2 || (mode == 0 && rm == 5) ? 4 : 0);

		if (opcode[0] == 0xc7 && (opcode[1] & 0x38) == 0 && length == i)
			return i < before && (opcode[-1] & 0xf8) == 0x48 ? i + 1
									 : i;
	}
	return 0;
}

/* mov $label, ...: in programs with an address of their own. */
static void
search_numbers(struct search *search)
{
	const struct scan_segment *segment = search->segment;
	uint32_t first = (uint32_t)search->first;
	uint32_t span = (uint32_t)(search->last - search->first);

	if (search->last > INT32_MAX || segment->size < 4)
		return;
	for (uint64_t i = 0; i < segment->size - 3; i++) {
		const uint8_t *code = segment->bytes + i;
		uint32_t number = scan_read32(code), prefix;

		if (number - first > span)
			continue;
		prefix = move_prefix(code, i);
		if (prefix != 0)
			add(search, segment->address + i - prefix, number);
	}
}

/* --- arm64 ---------------------------------------------------------------- */

static uint64_t
adr_target(uint32_t code, uint64_t address)
{
	int64_t distance = (int64_t)((uint64_t)(code >> 5 & 0x7ffff) << 45 |
				     (uint64_t)(code >> 29 & 3) << 43) >>
			   43;

	return code >> 31
		   ? (address & ~UINT64_C(0xfff)) + (uint64_t)distance * 4096
		   : address + (uint64_t)distance;
}

/* adrp reg, page; ...; add any, reg, #rest */
static void
search_pair(struct search *search, uint64_t at, uint64_t page)
{
	const struct scan_segment *segment = search->segment;
	const uint8_t *code = segment->bytes;
	uint32_t reg = scan_read32(code + at) & 0x1f;

	for (uint64_t i = at + 4;
	     i < at + PAIR_MAX * 4 && i + 4 <= segment->size; i += 4) {
		uint32_t next = scan_read32(code + i);

		if ((next & 0xffc00000) == 0x91000000 &&
		    (next >> 5 & 0x1f) == reg)
			add(search, segment->address + at,
			    page + (next >> 10 & 0xfff));
		if ((next & 0x9f00001f) == (0x90000000 | reg))
			return;
	}
}

static void
search_arm64(struct search *search)
{
	const struct scan_segment *segment = search->segment;
	uint64_t first = search->first & ~UINT64_C(0xfff);

	for (uint64_t i = 0; i + 4 <= segment->size; i += 4) {
		uint32_t code = scan_read32(segment->bytes + i);
		uint64_t target;

		if ((code & 0x1f000000) != 0x10000000)
			continue;
		target = adr_target(code, segment->address + i);
		if (target - first > search->last - first)
			continue;
		if (code >> 31)
			search_pair(search, i, target);
		else
			add(search, segment->address + i, target);
	}
}

void
scan_references_find(struct scan_references *references,
		     struct scan_labels *labels, const struct scan_elf *elf)
{
	struct search search = { .references = references, .labels = labels };

	references->count = 0;
	if (labels->count == 0)
		return;
	search.first = labels->at[0].address;
	search.last = labels->at[labels->count - 1].address;
	for (uint32_t i = 0; i < elf->segment_count; i++) {
		search.segment = &elf->segments[i];
		if (!search.segment->executable)
			continue;
		if (elf->machine == SCAN_ARM64) {
			search_arm64(&search);
		} else {
			search_lea(&search);
			if (elf->fixed)
				search_numbers(&search);
		}
	}
}
