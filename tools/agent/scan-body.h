/* SPDX-License-Identifier: BSD-3-Clause */
/* What a function does with its arguments: where the client random is. */
#ifndef AGENT_SCAN_BODY_H
#define AGENT_SCAN_BODY_H

#include "scan-flow.h"

/*
 * Looks for the client random below the first argument of a function that is
 * given a session, a name, and a secret. `random` is a place at its entry.
 */
bool scan_body_random(struct flow *flow, const struct scan_elf *elf,
		      uint64_t function, struct ebpftls_place *random);

#endif
