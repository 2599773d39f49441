// SPDX-License-Identifier: BSD-3-Clause
/* Reads the table that Go 1.18 and later write; of earlier ones, the magic. */
#define _GNU_SOURCE

#include "scan-go.h"

#include <string.h>

#define HEADER_SIZE 72
#define NAME_MAX    512

/* Offsets in the header. */
#define COUNT	  8
#define TEXT	  24
#define NAMES	  32
#define FUNCTIONS 64

struct found {
	uint32_t count;
	uint32_t at[SCAN_GO_MAX]; /* distances from where the code begins */
};

/* Magic, two zeros, the least size of an instruction, the size of a word. */
static bool
find_magic(struct scan_go *go, const struct scan_segment *segment,
	   enum scan_machine machine, uint8_t version)
{
	const uint8_t magic[] = {
		version, 0xff, 0xff, 0xff, 0, 0, machine == SCAN_ARM64 ? 4 : 1,
		8,
	};
	const uint8_t *at =
	    memmem(segment->bytes, segment->size, magic, sizeof(magic));

	if (at == NULL)
		return false;
	go->table = at;
	go->size = segment->size - (at - segment->bytes);
	return go->size >= HEADER_SIZE;
}

static bool
find_table(struct scan_go *go, const struct scan_elf *elf, bool executable)
{
	static const uint8_t versions[] = { 0xf1, 0xf0, 0xfa };

	for (uint32_t i = 0; i < elf->segment_count; i++)
		for (size_t j = 0; j < sizeof(versions); j++)
			if (elf->segments[i].executable == executable &&
			    find_magic(go, &elf->segments[i], elf->machine,
				       versions[j]))
				return true;
	return false;
}

/* Some linkers put constants beside the code. */
bool
scan_go_find(struct scan_go *go, const struct scan_elf *elf)
{
	return find_table(go, elf, false) || find_table(go, elf, true);
}

/* The bytes at this distance from the table, or NULL. */
static const uint8_t *
table_at(const struct scan_go *go, uint64_t offset, uint64_t size)
{
	return offset > go->size || size > go->size - offset
		   ? NULL
		   : go->table + offset;
}

static bool
ends_with(const struct scan_go *go, uint64_t name, const char *end)
{
	const uint8_t *text = table_at(go, name, 1), *zero;
	size_t length = strlen(end);
	uint64_t left = text == NULL ? 0 : go->size - name;

	if (left == 0)
		return false;
	zero = memchr(text, '\0', left < NAME_MAX ? left : NAME_MAX);
	return zero != NULL && (size_t)(zero - text) >= length &&
	       memcmp(zero - length, end, length) == 0;
}

static void
add(struct found *found, uint32_t distance)
{
	if (found->count < SCAN_GO_MAX)
		found->at[found->count++] = distance;
}

static void
find_functions(const struct scan_go *go, struct found *keys, struct found *logs)
{
	uint64_t names = scan_read64(go->table + NAMES);
	uint64_t functions = scan_read64(go->table + FUNCTIONS);
	uint64_t count = scan_read64(go->table + COUNT);

	if (names > go->size || functions > go->size)
		return;
	for (uint64_t i = 0; i < count; i++) {
		const uint8_t *entry = table_at(go, functions + i * 8, 8);
		const uint8_t *function;
		uint64_t name;

		if (entry == NULL)
			return;
		function = table_at(go, functions + scan_read32(entry + 4), 8);
		if (function == NULL)
			continue;
		name = names + scan_read32(function + 4);
		if (ends_with(go, name, ".keysFromMasterSecret"))
			add(keys, scan_read32(entry));
		else if (ends_with(go, name, ").writeKeyLog"))
			add(logs, scan_read32(entry));
	}
}

static bool
has(const struct found *found, uint64_t text, uint64_t function)
{
	for (uint32_t i = 0; i < found->count; i++)
		if (text + found->at[i] == function)
			return true;
	return false;
}

/* Where the code begins if all functions that log are where they should be. */
static bool
find_text(const struct found *logs, const uint64_t *log_functions,
	  uint32_t count, uint64_t *text)
{
	for (uint32_t i = 0; i < logs->count; i++) {
		uint32_t right = 0;

		*text = log_functions[0] - logs->at[i];
		while (right < count && has(logs, *text, log_functions[right]))
			right++;
		if (right == count)
			return true;
	}
	return false;
}

uint32_t
scan_go_key_functions(const struct scan_go *go, const struct scan_elf *elf,
		      const uint64_t *log_functions, uint32_t count,
		      uint64_t *functions)
{
	struct found keys = { .count = 0 }, logs = { .count = 0 };
	uint32_t found = 0;
	uint64_t text;

	if (count == 0 || go->table[0] == 0xfa)
		return 0;
	find_functions(go, &keys, &logs);
	if (!find_text(&logs, log_functions, count, &text))
		return 0;
	for (uint32_t i = 0; i < keys.count; i++)
		if (scan_elf_is_code(elf, text + keys.at[i]))
			functions[found++] = text + keys.at[i];
	return found;
}
