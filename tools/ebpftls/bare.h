/* SPDX-License-Identifier: BSD-3-Clause */
/* What is left of a pcapng block when what is not for others is taken out. */
#ifndef TOOL_BARE_H
#define TOOL_BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-reader.h"

/*
 * Writes the block to `to`, where there is room for all of it, without secrets,
 * and without what we say of processes if `processes`. Returns the size, 0:
 * nothing is left.
 */
size_t bare_block(const struct ebpftls_reader *reader,
		  const struct ebpftls_block *block, bool processes,
		  uint8_t *to);

#endif
