/* SPDX-License-Identifier: BSD-3-Clause */
/* The files that TLS secrets come from, by the numbers that secrets have. */
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

/* The path of this file, or NULL: it is not known. Of no table none is. */
const char *ebpftls_libraries_find(const struct ebpftls_libraries *libraries,
				   uint32_t number);

#endif
