/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TC filters, for kernels without TCX links. A filter stays when the process
 * that made it dies; so it carries whose it is, a guard removes it when its
 * agent is gone, and what even the guard could not remove, the next agent
 * does. There is one capture per process, so its identity is kept inside.
 */
#ifndef AGENT_CLSACT_H
#define AGENT_CLSACT_H

/*
 * Puts the programs, ingress and egress (-1: none), first on an interface.
 * Makes the qdisc if there is none. Returns 0 or a negative errno.
 */
int clsact_attach(const int programs[2], int ifindex);

/* Removes our filters, and each qdisc that was made and nobody else uses. */
void clsact_detach(void);

#endif
