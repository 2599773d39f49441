/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opens files of the application's without harm: whatever descriptor of a file
 * a process closes, it loses all record locks (fcntl, lockf) that it has on it.
 */
#ifndef EBPFTLS_APART_H
#define EBPFTLS_APART_H

#include <stdbool.h>

/*
 * Runs a function where there are no descriptors, and those that it opens and
 * closes are not this process's; returns after it. False: it cannot be run.
 */
bool ebpftls_apart(void (*run)(void *), void *context);

#endif
