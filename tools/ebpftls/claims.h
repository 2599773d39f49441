/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose a packet is, as its options in a savefile say. */
#ifndef TOOL_CLAIMS_H
#define TOOL_CLAIMS_H

#include "ebpftls-reader.h"
#include "ends.h"

/* The process blocks of a section; all zero: none. */
struct claims_processes {
	struct end *list;
	size_t count;
	size_t room;
};

struct claims {
	struct end sender;
	struct end receiver;
};

/* Takes a process block. False: no memory. */
bool claims_add_process(struct claims_processes *processes,
			const struct ebpftls_reader *reader,
			const struct ebpftls_block *block);

/* For another section, or to free. */
void claims_forget(struct claims_processes *processes);

/* What the options of a packet block say; nobody where they say nothing. */
void claims_read(struct claims *claims,
		 const struct claims_processes *processes,
		 const struct ebpftls_reader *reader,
		 const struct ebpftls_block *block);

/* What a packet's PKTAP header says, if there is one. */
void claims_read_pktap(struct claims *claims, const uint8_t *packet,
		       size_t size);

#endif
