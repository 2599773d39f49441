/* SPDX-License-Identifier: BSD-3-Clause */
/* What all loaders of BPF programs do: no messages, but words for a failure. */
#ifndef AGENT_LOAD_H
#define AGENT_LOAD_H

#include "failure.h"

/* Before libbpf is used: it prints nothing from now on. */
void load_quietly(void);

/*
 * `what` could not be loaded, because of `error`: says why, in libbpf's words
 * where there are no better ones. Returns -1.
 */
int load_refused(struct failure *failure, int error, const char *what);

#endif
