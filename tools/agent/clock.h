/* SPDX-License-Identifier: BSD-3-Clause */
/* Keeps the consumer's clock right when the machine's is stepped. */
#ifndef AGENT_CLOCK_H
#define AGENT_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "events.h"

/* Nanoseconds; 0 if there is no such clock any more. */
int64_t clock_read(clockid_t id);

/*
 * Writes the clock's first reading and returns a descriptor that is readable
 * whenever the clock was stepped, or a negative errno.
 */
int clock_watch(struct ebpftls_clock *clock);

/* It was: takes notice. */
void clock_stepped(int fd, struct ebpftls_clock *clock);

#endif
