/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Has files scanned by a process that can do nothing else: it has no
 * privileges, and no descriptors but those it is given.
 */
#ifndef AGENT_SCANNER_H
#define AGENT_SCANNER_H

#include <stdbool.h>

#include "scan.h"

struct scanner;

enum scanner_answer {
	SCANNER_NOT_YET,
	SCANNER_DONE,
	SCANNER_ABSENT, /* no process could be started: no fault of the file's
			 */
	SCANNER_FAILED, /* the result says why, and may be other next time */
};

/* NULL: out of memory or descriptors. */
struct scanner *scanner_open(void);

/* Readable when scanner_take() has something to do. */
int scanner_fd(const struct scanner *scanner);

/*
 * Gives it a file, which stays the caller's; one at a time. What a file does
 * to the process can change the answers for later ones: `alone` is for a file
 * that is not to be trusted as much as theirs.
 */
void scanner_submit(struct scanner *scanner, int fd, bool alone);

/* Asks for the result of what was submitted. */
enum scanner_answer scanner_take(struct scanner *scanner,
				 struct scan_result *result);

/* Whether a result is what scan_file() can return. */
bool scanner_valid(const struct scan_result *result);

/* NULL is allowed. */
void scanner_close(struct scanner *scanner);

#endif
