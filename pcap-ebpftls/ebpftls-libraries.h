/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files that TLS secrets come from, by the numbers that secrets have, and
 * whether what they gave was of any use.
 */
#ifndef EBPFTLS_LIBRARIES_H
#define EBPFTLS_LIBRARIES_H

#include "ebpftls-control.h"

struct ebpftls_libraries;

/* NULL: no memory. */
struct ebpftls_libraries *ebpftls_libraries_new(void);

void ebpftls_libraries_free(struct ebpftls_libraries *libraries);

/* Takes in what the agent says of a file; not of very many. */
void ebpftls_libraries_learn(struct ebpftls_libraries *libraries,
			     const struct ebpftls_library *library);

/* Secrets that this file gave fit a connection. */
void ebpftls_libraries_fit(struct ebpftls_libraries *libraries,
			   uint32_t number);

/* The path of this file, if none of that path did; else NULL. */
const char *ebpftls_libraries_unfit(const struct ebpftls_libraries *libraries,
				    uint32_t number);

/* The path of this file, or NULL: it is not known. Of no table none is. */
const char *ebpftls_libraries_find(const struct ebpftls_libraries *libraries,
				   uint32_t number);

#endif
