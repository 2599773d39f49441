/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Go's own table of a program's functions, which stays when symbols are
 * stripped.
 */
#ifndef AGENT_SCAN_GO_H
#define AGENT_SCAN_GO_H

#include "scan-elf.h"

#define SCAN_GO_MAX 4

struct scan_go {
	const uint8_t *table;
	uint64_t size; /* of what is there, table and all that follows */
};

bool scan_go_find(struct scan_go *go, const struct scan_elf *elf);

/*
 * Finds the functions that make a session's keys from its master secret. The
 * table does not always say where the code begins: the functions that log
 * secrets are known from elsewhere, and are in it, too. Returns how many, at
 * most SCAN_GO_MAX.
 */
uint32_t scan_go_key_functions(const struct scan_go *go,
			       const struct scan_elf *elf,
			       const uint64_t *log_functions, uint32_t count,
			       uint64_t *functions);

#endif
