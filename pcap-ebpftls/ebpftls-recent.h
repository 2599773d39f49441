/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What marks are made of, of the packets that were delivered last: those that
 * another thread of dumpcap may not have written yet.
 */
#ifndef EBPFTLS_RECENT_H
#define EBPFTLS_RECENT_H

#include "ebpftls-savefile.h"

/* More than dumpcap lets wait: 1000, if its -N and -C do not say otherwise. */
#define EBPFTLS_RECENT_MAX 4096

struct ebpftls_recent;

/* NULL: no memory. */
struct ebpftls_recent *ebpftls_recent_new(void);

/* NULL is allowed. */
void ebpftls_recent_free(struct ebpftls_recent *recent);

/* The oldest one gives way to it. */
void ebpftls_recent_add(struct ebpftls_recent *recent,
			const struct ebpftls_record *record,
			const uint8_t *bytes, struct ebpftls_need need);

/* Gives all of them to a journal, the oldest first. */
void ebpftls_recent_mark(const struct ebpftls_recent *recent,
			 struct ebpftls_savefile *journal, uint64_t now);

#endif
