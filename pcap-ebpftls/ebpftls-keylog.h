/* SPDX-License-Identifier: BSD-3-Clause */
/* Appends secrets to a file in the format of SSLKEYLOGFILE. */
#ifndef EBPFTLS_KEYLOG_H
#define EBPFTLS_KEYLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpftls-keys.h"

struct ebpftls_keylog {
	int fd;	       /* -1: there is no key log */
	bool cut;      /* its last line has no end */
	uint64_t lost; /* secrets that are not in it */
	int error;     /* errno of the first of them */
};

/*
 * Opens it, or creates it for its owner alone. Returns NULL, or why that cannot
 * be, and there is none.
 */
const char *ebpftls_keylog_open(struct ebpftls_keylog *log, const char *path);

/* What cannot be written is counted. */
void ebpftls_keylog_write(struct ebpftls_keylog *log,
			  const struct ebpftls_secret *secret);

void ebpftls_keylog_close(struct ebpftls_keylog *log);

#endif
