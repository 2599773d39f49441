// SPDX-License-Identifier: BSD-3-Clause
/*
 * Looks for the names of secrets. Most files have none, so that this is most
 * of the work there is: parts that all names have are searched, at the speed
 * of memory, and only there the whole names.
 */
#define _GNU_SOURCE

#include "scan-labels.h"

#include <stdlib.h>
#include <string.h>

static const char *const texts[EBPFTLS_LABELS] = EBPFTLS_LABEL_NAMES;

/* Each name has one of these, once. */
static const char *const parts[] = { "CLIENT_RANDOM", "_SECRET" };

size_t
scan_labels_length(uint32_t label)
{
	return strlen(texts[label]);
}

static void
add(struct scan_labels *labels, uint64_t address, uint32_t label)
{
	if (labels->count == SCAN_LABELS_MAX)
		return;
	labels->names |= UINT32_C(1) << label;
	labels->at[labels->count++] = (struct scan_label){
		.address = address,
		.label = label,
	};
}

/* One name may be the end of another, where the linker has merged them. */
static void
compare(struct scan_labels *labels, const struct scan_segment *segment,
	const uint8_t *found, const char *part)
{
	uint64_t before = found - segment->bytes;

	for (uint32_t i = 0; i < EBPFTLS_LABELS; i++) {
		const char *at = strstr(texts[i], part);
		size_t length = strlen(texts[i]);
		uint64_t skip;

		if (at == NULL)
			continue;
		skip = at - texts[i];
		if (skip <= before &&
		    length <= segment->size - (before - skip) &&
		    memcmp(found - skip, texts[i], length) == 0)
			add(labels, segment->address + before - skip, i);
	}
}

static void
search(struct scan_labels *labels, const struct scan_segment *segment,
       const char *part)
{
	const uint8_t *at = segment->bytes, *end = at + segment->size;

	while (labels->count < SCAN_LABELS_MAX &&
	       (at = memmem(at, end - at, part, strlen(part))) != NULL) {
		compare(labels, segment, at, part);
		at++;
	}
}

static void
search_segments(struct scan_labels *labels, const struct scan_elf *elf,
		bool executable)
{
	for (uint32_t i = 0; i < elf->segment_count; i++)
		for (size_t j = 0; j < sizeof(parts) / sizeof(parts[0]); j++)
			if (elf->segments[i].executable == executable)
				search(labels, &elf->segments[i], parts[j]);
}

static int
compare_labels(const void *a, const void *b)
{
	const struct scan_label *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

/* Old linkers put constants beside the code. */
void
scan_labels_find(struct scan_labels *labels, const struct scan_elf *elf)
{
	memset(labels, 0, sizeof(*labels));
	search_segments(labels, elf, false);
	if (labels->count == 0)
		search_segments(labels, elf, true);
	qsort(labels->at, labels->count, sizeof(labels->at[0]), compare_labels);
}

struct scan_label *
scan_labels_at(struct scan_labels *labels, uint64_t address)
{
	const struct scan_label key = { .address = address };

	return bsearch(&key, labels->at, labels->count, sizeof(key),
		       compare_labels);
}

static void
search_text(struct scan_labels *labels, const struct scan_segment *segment,
	    const char *text, uint32_t label)
{
	const uint8_t *at = segment->bytes, *end = at + segment->size;
	size_t size = strlen(text) + 1;

	while (labels->count < SCAN_LABELS_MAX &&
	       (at = memmem(at, end - at, text, size)) != NULL) {
		add(labels, segment->address + (at - segment->bytes), label);
		at++;
	}
}

void
scan_labels_find_text(struct scan_labels *labels, const struct scan_elf *elf,
		      const char *text, uint32_t label)
{
	memset(labels, 0, sizeof(*labels));
	for (uint32_t i = 0; i < elf->segment_count; i++)
		search_text(labels, &elf->segments[i], text, label);
}
