/* SPDX-License-Identifier: BSD-3-Clause */
/* Appends secrets to a file in the format of SSLKEYLOGFILE. */
#ifndef EBPFTLS_KEYLOG_H
#define EBPFTLS_KEYLOG_H

#include "ebpftls-keys.h"

struct ebpftls_keylog {
	int fd; /* -1: there is no key log */
};

/*
 * Opens it, or creates it for its owner alone. Returns NULL, or why that cannot
 * be, and there is none.
 */
const char *ebpftls_keylog_open(struct ebpftls_keylog *log, const char *path);

void ebpftls_keylog_write(struct ebpftls_keylog *log,
			  const struct ebpftls_secret *secret);

void ebpftls_keylog_close(struct ebpftls_keylog *log);

#endif
