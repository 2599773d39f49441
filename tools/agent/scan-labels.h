/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a file has the names of secrets: the words of SSLKEYLOGFILE. */
#ifndef AGENT_SCAN_LABELS_H
#define AGENT_SCAN_LABELS_H

#include "events.h"
#include "scan-elf.h"

#define SCAN_LABELS_MAX 256

struct scan_label {
	uint64_t address;
	uint32_t label; /* enum ebpftls_label */
	bool referred;	/* by code: see scan-refs.h */
};

struct scan_labels {
	uint32_t count;
	uint32_t names; /* a bit for each label there is */
	struct scan_label at[SCAN_LABELS_MAX]; /* sorted by address */
};

void scan_labels_find(struct scan_labels *labels, const struct scan_elf *elf);

/* The name that begins at this address, or NULL. */
struct scan_label *scan_labels_at(struct scan_labels *labels, uint64_t address);

size_t scan_labels_length(uint32_t label);

/* All places of a text that ends with a 0 byte and stands for the label. */
void scan_labels_find_text(struct scan_labels *labels,
			   const struct scan_elf *elf, const char *text,
			   uint32_t label);

#endif
