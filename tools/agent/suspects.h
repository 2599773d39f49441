/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The processes that somebody has asked about: does one have code with hooks
 * mapped? Who looks at mappings tells here what comes of those of such a
 * process; "no" is said when all of them have been looked at.
 */
#ifndef AGENT_SUSPECTS_H
#define AGENT_SUSPECTS_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpftls-control.h"

struct suspects;

enum sight {
	SIGHT_PLAIN,   /* code without hooks */
	SIGHT_HOOKED,  /* code with hooks */
	SIGHT_UNCLEAR, /* not known yet, or it cannot be looked at */
};

/* `proc` is where /proc is. NULL: out of memory, or there is none. */
struct suspects *suspects_open(const char *proc);

/* Takes a question; `now` in nanoseconds. False: there is no room for it. */
bool suspects_ask(struct suspects *suspects,
		  const struct ebpftls_hooked *question, int64_t now);

/* All that any process has mapped up to now has been told. */
void suspects_heard(struct suspects *suspects);

/* Something that was mapped may not have been: each is to be read again. */
void suspects_forget(struct suspects *suspects);

/*
 * The folder of a process that is to be read, or -1. Any number of calls of
 * suspects_expect() later comes suspects_read().
 */
int suspects_next(struct suspects *suspects, uint32_t *pid);
void suspects_read(struct suspects *suspects, uint32_t pid);

/*
 * A mapping of this process will be looked at: what to tell of that then with,
 * or 0: nobody has asked about it.
 */
uint32_t suspects_expect(struct suspects *suspects, uint32_t pid);
void suspects_saw(struct suspects *suspects, uint32_t pid, uint32_t ticket,
		  enum sight sight);

/* Takes the answer to a question. False: there is none for now. */
bool suspects_answer(struct suspects *suspects, struct ebpftls_hooked *answer);

/* NULL is allowed. */
void suspects_close(struct suspects *suspects);

#endif
