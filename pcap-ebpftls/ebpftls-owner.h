/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The comments that say whose a packet is, and what is known of a process:
 * words NAME=VALUE with a space between. In values, bytes outside of 0x21 to
 * 0x7e, '\' and '=' are written \xNN.
 */
#ifndef EBPFTLS_OWNER_H
#define EBPFTLS_OWNER_H

#include <stddef.h>
#include <stdint.h>

#include "ebpftls-control.h"
#include "events.h"

/* Longer than any of the texts; none ends with a 0. */
#define EBPFTLS_OWNERS_SIZE  208
#define EBPFTLS_FACTS_SIZE   8192
#define EBPFTLS_COMM_SIZE    64
#define EBPFTLS_LIBRARY_SIZE 1088
#define EBPFTLS_NOTE_SIZE    1024

/* Of a packet with these owners, of which at least one is not NULL. */
size_t ebpftls_owner_comment(const struct ebpftls_owner *sender,
			     const struct ebpftls_owner *receiver,
			     char text[EBPFTLS_OWNERS_SIZE]);

/*
 * Of the process that `owner` is, as far as it is known: `facts` may be NULL.
 * `boot` is the wall clock time of the machine's start, in nanoseconds.
 */
size_t ebpftls_owner_facts(const struct ebpftls_owner *owner,
			   const struct ebpftls_process *facts, uint64_t boot,
			   char text[EBPFTLS_FACTS_SIZE]);

/* Of a process and a file with TLS code that it runs, as messages have it. */
size_t ebpftls_owner_library(uint32_t pid, const char *path,
			     char text[EBPFTLS_LIBRARY_SIZE]);

/* What may be anybody's, to stand in a line, with its end: spaces and '=' stay.
 */
void ebpftls_owner_line(const char *text, char line[EBPFTLS_NOTE_SIZE]);

/*
 * A name that stands alone: as in the comments, but with spaces and '='. Valid
 * UTF-8, whatever the process calls itself.
 */
size_t ebpftls_owner_comm(const struct ebpftls_owner *owner,
			  char text[EBPFTLS_COMM_SIZE]);

#endif
