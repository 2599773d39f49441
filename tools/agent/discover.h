/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the files whose code runs, now and later, and has those with TLS code
 * hooked. New mappings are known from the kernel's mmap records; nobody's
 * /proc is read again and again.
 */
#ifndef AGENT_DISCOVER_H
#define AGENT_DISCOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpftls-control.h"
#include "failure.h"
#include "secrets.h"

struct discover;

/*
 * Begins: from now on no new mapping is missed. Returns NULL and says why not.
 */
struct discover *discover_start(struct secrets *secrets,
				struct failure *failure);

/*
 * One descriptor that is readable when there is something to do, and what
 * does it: a few milliseconds' worth at a time.
 */
int discover_fd(const struct discover *discover);
void discover_work(struct discover *discover);

/*
 * Whether all that was mapped at the start, and all but very large libraries
 * in their standard folders, have been dealt with, or 10 seconds have passed,
 * in which case that goes on; and how many files have hooks.
 */
bool discover_settled(const struct discover *discover);
uint32_t discover_files(const struct discover *discover);

/*
 * Takes a question about a process. False: it cannot be answered. Else the
 * answer comes from discover_answer(), which is false when there is none.
 */
bool discover_ask(struct discover *discover,
		  const struct ebpftls_hooked *question);
bool discover_answer(struct discover *discover, struct ebpftls_hooked *answer);

/* A CPU is there, or there again: see uevents.h. */
void discover_cpu_came(struct discover *discover, uint32_t cpu);

/* NULL is allowed. */
void discover_close(struct discover *discover);

#endif
