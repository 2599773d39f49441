/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds where a TLS stack hands on its secrets, by looking at an ELF file's
 * strings and code. Knows no versions, executes nothing, and takes the file
 * for what an enemy may have written.
 */
#ifndef AGENT_SCAN_H
#define AGENT_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "events.h"

#define SCAN_HOOKS_MAX 8
#define SCAN_CODE_SIZE 16

struct scan_result {
	uint32_t count;	 /* of hooks; 0: none, because of `why` */
	uint32_t labels; /* distinct names of secrets in the file */
	char why[120];	 /* "" or why there is no hook, or not for all */
	struct ebpftls_hook hooks[SCAN_HOOKS_MAX];
	/* what is where they go: the scanner's business, not scan_file()'s */
	uint8_t code[SCAN_HOOKS_MAX][SCAN_CODE_SIZE];
};

/*
 * Scans the file behind the descriptor, which stays open. Always fills in the
 * result; memory and time are bounded by the size of the file. False: for want
 * of memory it says nothing about the file.
 */
bool scan_file(int fd, struct scan_result *result);

/*
 * Moves the hooks, which scan_file() puts where functions begin, on to
 * instructions that are always executed next and bear a probe more cheaply,
 * where there is such a one before all that is wanted has left the registers.
 */
void scan_place(int fd, struct scan_result *result);

#endif
