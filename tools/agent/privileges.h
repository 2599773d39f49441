/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the agent and its children may still do. It only ever becomes less; and
 * nothing here needs a privilege, so that a service can have begun with less.
 */
#ifndef AGENT_PRIVILEGES_H
#define AGENT_PRIVILEGES_H

#include <stddef.h>
#include <stdint.h>

/* A set of capabilities for privileges_keep(). */
#define PRIVILEGE(capability) (UINT64_C(1) << (capability))

/* Gives up all capabilities but those of the set. Returns 0 or -1. */
int privileges_keep(uint64_t set);

/*
 * Gives up all capabilities but those to look into other users' processes and
 * at what they have mapped. Returns 0 or -1.
 */
int privileges_look(void);

/*
 * Allows these system calls and no others, which fail with EPERM. Returns 0 or
 * -1; there is no way back.
 */
int privileges_allow(const int *calls, size_t count);

/* Before anything is read of whom the agent serves. Returns 0 or -1. */
int privileges_begin(void);

/*
 * Once the capture is attached: what is left is for hooks, filters and names
 * that come later. Returns 0 or -1.
 */
int privileges_settle(void);

#endif
