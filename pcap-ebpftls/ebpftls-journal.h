/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files of this process that are to be sealed, and the journals beside
 * them. Handles in several threads may have journals for one file.
 */
#ifndef EBPFTLS_JOURNAL_H
#define EBPFTLS_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ebpftls-target.h"

/*
 * Creates the journal of an interface of this file, which is sealed when all
 * journals have been closed. NULL with errno set.
 */
FILE *ebpftls_journal_open(const struct ebpftls_target *target);

/* Closes one. */
void ebpftls_journal_close(FILE *file, const struct ebpftls_target *target);

/* Removes the journals of files that have been removed, not only renamed. */
void ebpftls_journals_prune(void);

/*
 * Seals the files, if all journals have been closed. One that cannot be stays
 * as it is, and its journals beside it.
 */
void ebpftls_journals_seal(void);

#endif
