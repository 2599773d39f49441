/* SPDX-License-Identifier: BSD-3-Clause */
/* What ebpftls doctor finds: a line for each, and a verdict of all. */
#ifndef TOOL_FINDINGS_H
#define TOOL_FINDINGS_H

#include <stdbool.h>

#include "ebpftls-control.h"

#define FINDINGS_PARTS 32
#define FINDINGS_NAME  32

struct findings {
	bool colour;
	bool impossible; /* there is no capture */
	int count;	 /* of parts */
	struct findings_part {
		char name[FINDINGS_NAME];
		enum ebpftls_state worst;
	} parts[FINDINGS_PARTS];
};

/* Prints what was found of a part, and what helps; that may be "". */
void findings_add(struct findings *findings, enum ebpftls_state state,
		  const char *part, const char *text, const char *remedy);

/* The worst of what was found of it; OK if that is nothing. */
enum ebpftls_state findings_worst(const struct findings *findings,
				  const char *part);

/*
 * Prints the verdict. Returns 0 if all is well, 1 if something is missing, 2
 * if no capture is possible.
 */
int findings_verdict(const struct findings *findings);

#endif
