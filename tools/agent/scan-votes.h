/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which functions are called with the names of secrets: each reference to a
 * label is followed to the calls that get it, and votes for their callees.
 */
#ifndef AGENT_SCAN_VOTES_H
#define AGENT_SCAN_VOTES_H

#include "scan-flow.h"
#include "scan-refs.h"

#define SCAN_VOTES_MAX 128

/* A function that few names go to may have got them by mistake. */
#define SCAN_VOTES_MIN 3

struct scan_vote {
	uint64_t function;
	uint32_t names;	  /* a bit for each label */
	uint8_t argument; /* the label is the one with this number, from 0 */
	bool go; /* a pointer and a length, in the registers that Go uses */
	uint8_t sized; /* 1 + number of an argument that is 32, or 0 */
};

struct scan_votes {
	uint32_t count;
	uint32_t imported; /* names that go to other files' functions */
	uint32_t indirect; /* names that go to unknown functions */
	struct scan_vote at[SCAN_VOTES_MAX]; /* those with most names first */
};

void scan_votes_count(struct scan_votes *votes,
		      const struct scan_references *references,
		      struct flow *flow, const struct scan_elf *elf);

uint32_t scan_votes_names(uint32_t names);

#endif
