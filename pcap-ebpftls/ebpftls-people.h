/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is known of processes. Of too many those are forgotten of whom nobody
 * has asked for longest.
 */
#ifndef EBPFTLS_PEOPLE_H
#define EBPFTLS_PEOPLE_H

#include <stddef.h>
#include <stdint.h>

#include "ebpftls-control.h"

struct ebpftls_people;

/* NULL: no memory. */
struct ebpftls_people *ebpftls_people_new(size_t limit);

void ebpftls_people_free(struct ebpftls_people *people);

/* Takes in what the agent says of a process. */
void ebpftls_people_learn(struct ebpftls_people *people,
			  const struct ebpftls_process *facts);

/*
 * What is known of this process, or NULL; valid until the next call of
 * ebpftls_people_learn(). `revision` grows whenever something else is known
 * of it, and is 0 if nothing is.
 */
const struct ebpftls_process *ebpftls_people_find(struct ebpftls_people *people,
						  uint32_t pid, uint64_t start,
						  uint64_t *revision);

/* The same of all: as long as it stays, so does what is known of each. */
uint64_t ebpftls_people_revision(const struct ebpftls_people *people);

#endif
