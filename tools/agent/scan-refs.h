/* SPDX-License-Identifier: BSD-3-Clause */
/* The instructions that load the address of a label. */
#ifndef AGENT_SCAN_REFS_H
#define AGENT_SCAN_REFS_H

#include "scan-labels.h"

#define SCAN_REFERENCES_MAX 1024

struct scan_reference {
	uint64_t address; /* of the instruction, the first if it takes two */
	const struct scan_label *label;
};

struct scan_references {
	uint32_t count;
	struct scan_reference at[SCAN_REFERENCES_MAX];
};

/* Marks the labels that are referred to. */
void scan_references_find(struct scan_references *references,
			  struct scan_labels *labels,
			  const struct scan_elf *elf);

#endif
