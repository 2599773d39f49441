/* SPDX-License-Identifier: BSD-3-Clause */
/* The probes that take TLS secrets: one program, a hook for each place. */
#ifndef AGENT_SECRETS_H
#define AGENT_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "scan.h"

#define SECRETS_HOOKS_MAX 1024

struct secrets;

/*
 * Loads the program and makes its ring buffer, which gets what the caller may
 * have. Returns NULL and says why not.
 */
struct secrets *secrets_load(const struct ebpftls_caller *caller,
			     struct failure *failure);

/*
 * Attaches all hooks of a file, which need not be mapped by anybody yet, for
 * all processes that have it mapped now or will. Returns a number for
 * secrets_detach(), or a negative errno.
 */
int secrets_attach(struct secrets *secrets, int fd,
		   const struct scan_result *result);

/* Tells who captures that this failed for a file, and so, and for good. */
void secrets_not_attached(struct secrets *secrets, int fd, int error);
void secrets_detach(struct secrets *secrets, int attachment);

/* Whether one link holds all hooks of a file. */
bool secrets_multi(const struct secrets *secrets);

/* The ring buffer map for the consumer, and its size in bytes. */
int secrets_ring_fd(const struct secrets *secrets);
uint32_t secrets_ring_size(const struct secrets *secrets);

/* Readable when a hook gave what no secret can be. */
int secrets_complaints_fd(const struct secrets *secrets);

/*
 * Reads complaints: takes all hooks off a file that one of them is wrong about,
 * unless only reading failed; one file at a time, as that takes a while. The
 * attachment keeps its number.
 */
void secrets_complaints(struct secrets *secrets);

/* What was complained about, in words; NULL if nothing was. */
const char *secrets_report(const struct secrets *secrets, int attachment);

/* Whether a complaint took all its hooks off. */
bool secrets_is_off(const struct secrets *secrets, int attachment);

/* Adds to the news, unless there was too much already. */
__attribute__((format(printf, 2, 3))) void
secrets_tell(struct secrets *secrets, const char *format, ...);

/*
 * What the one who reads the capture should know of secrets that may be
 * missing; NULL when all has been told. Valid until the next call.
 */
const char *secrets_news(struct secrets *secrets);

/*
 * The next attachment that has not been told of: the number that its secrets
 * have, and its file, valid until it is detached. False: all have been.
 */
bool secrets_library(struct secrets *secrets, uint32_t *number,
		     const char **path);

/* Takes everything down; NULL is allowed. */
void secrets_close(struct secrets *secrets);

#endif
