/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The names of interfaces by their numbers, for captures on all of them:
 * asking for each packet would cost a system call.
 */
#ifndef EBPFTLS_NAMES_H
#define EBPFTLS_NAMES_H

#include <net/if.h>
#include <stdint.h>

#define EBPFTLS_NAMES 64

struct ebpftls_names {
	int sock; /* or -1; of the network namespace that the names are of */
	struct ebpftls_interface_name {
		uint32_t ifindex;
		uint64_t until; /* it may have another from then on */
		char name[IF_NAMESIZE];
	} entries[EBPFTLS_NAMES];
};

/* Those of this thread's network namespace. Returns 0 or a negative errno. */
int ebpftls_names_open(struct ebpftls_names *names);

/* "" if there is no such interface, or none was opened. */
const char *ebpftls_names_of(struct ebpftls_names *names, uint32_t ifindex,
			     uint64_t now);

void ebpftls_names_close(struct ebpftls_names *names);

#endif
