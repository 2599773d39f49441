/* SPDX-License-Identifier: BSD-3-Clause */
/* The processes at the two ends of a packet: read from PKTAP, and shown. */
#ifndef TOOL_ENDS_H
#define TOOL_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENDS_NAME_SIZE 20
#define END_NO_PROCESS UINT32_MAX

struct ends {
	struct end {
		uint32_t pid; /* END_NO_PROCESS: nobody, or with a name "?" */
		char name[ENDS_NAME_SIZE]; /* as it is; '\0' only if shorter */
	} first, second;
};

/* Room for two names of which every byte is escaped, pids and colours. */
#define ENDS_TEXT_SIZE 256

/*
 * Reads the PKTAP header at the start of `size` bytes. Returns how long it is,
 * 0 if there is none.
 */
size_t ends_read(const uint8_t *packet, size_t size, struct ends *ends);

/*
 * Writes the column that stands before a packet: "curl[1234] > nginx[56]",
 * "curl[1234]", "kernel", "?" for one that is not known, blanks for nobody.
 * It is as wide as `*width`, which grows. What may do harm on a terminal is
 * written as \xNN, and a blank, so that names cannot look like a column.
 */
void ends_show(const struct ends *ends, bool colour, int *width,
	       char text[ENDS_TEXT_SIZE]);

#endif
