/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds the file into which dumpcap, if this process is one, puts the packets
 * of a device. See docs/sealing.md for what a file must be to be found.
 */
#ifndef EBPFTLS_TARGET_H
#define EBPFTLS_TARGET_H

#include <stdbool.h>
#include <stdint.h>

struct ebpftls_target {
	char *path;
	int fd;	  /* dumpcap's; -1: it has been closed */
	int held; /* ours: as long as it is open, no other file is this inode */
	uint64_t device;
	uint64_t inode;
	uint32_t interface; /* its number in the file */
	uint32_t linktype;  /* LINKTYPE_, as the file has it */
	bool one_of_many;   /* another file may follow */
};

/* All zero if there is none; to be freed. */
bool ebpftls_target_find(struct ebpftls_target *target, const char *device);

/*
 * The file that dumpcap has begun after this one, of which the name has a
 * higher number: the first such file that was written later. It may be complete
 * by now.
 */
bool ebpftls_target_next(struct ebpftls_target *next,
			 const struct ebpftls_target *target,
			 const char *device);

void ebpftls_target_free(struct ebpftls_target *target);

/* Whether the descriptor still leads to this file. */
bool ebpftls_target_is(const struct ebpftls_target *target);

/* Whether this process can still write to a file. */
bool ebpftls_target_is_open(uint64_t device, uint64_t inode);

/*
 * Whether this process is a dumpcap by its name, and one that was not started
 * by a program that reads its file. A guess, for what does no harm.
 */
bool ebpftls_target_is_likely(void);

/* Whether it is one that tshark or Wireshark has started. */
bool ebpftls_target_is_read(void);

#endif
