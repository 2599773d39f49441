/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts what journals have kept into a pcapng file that another program wrote:
 * secrets and processes, each before the packets that need it. The file is
 * replaced by one with them, or stays as it is. See docs/sealing.md.
 */
#ifndef EBPFTLS_SEAL_H
#define EBPFTLS_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ebpftls_seal {
	const char *path;

	/* it must be this one; both 0: whatever is there */
	uint64_t device;
	uint64_t inode;

	/* also what is left of a capture that was killed */
	bool unfinished;

	uint64_t packets; /* in the file */
	uint64_t known;	  /* of these there were marks */
	size_t cut; /* bytes of half a block at its end, which are left out */
	char why[320]; /* it could not be sealed */
};

/*
 * Seals a file with the journals that lie beside it, which are removed then.
 * Returns 0; 1 if there are no journals; or -1, `why` not.
 */
int ebpftls_seal(struct ebpftls_seal *seal);

#endif
