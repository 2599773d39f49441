/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Has the facts of processes read by a process that may hang: /proc looks into
 * their memory, and they can see to it that this takes for ever.
 */
#ifndef AGENT_READER_H
#define AGENT_READER_H

#include <stdbool.h>

#include "peer.h"
#include "process.h"

struct reader;

/*
 * For a `peer` that is not root it reads what that one could read, else all.
 * NULL: out of memory or descriptors.
 */
struct reader *reader_open(const struct peer *peer);

/* Readable when reader_take() has something to do. */
int reader_fd(const struct reader *reader);

/*
 * Gives it the folder of a process, which stays the caller's; one at a time.
 */
void reader_submit(struct reader *reader, const struct ebpftls_newcomer *who,
		   int folder);

/*
 * Asks for the facts of the one that was submitted. False: not yet. What
 * cannot be had is not in there.
 */
bool reader_take(struct reader *reader, struct ebpftls_process *facts);

/* NULL is allowed. */
void reader_close(struct reader *reader);

#endif
