/* SPDX-License-Identifier: BSD-3-Clause */
/* write() to the end. */
#ifndef EBPFTLS_WRITE_H
#define EBPFTLS_WRITE_H

#include <stddef.h>

/* Returns how much was written; if that is not all, errno says why. */
size_t ebpftls_write_all(int fd, const void *bytes, size_t size);

#endif
