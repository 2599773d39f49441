/* SPDX-License-Identifier: BSD-3-Clause */
/* The shared objects in the folders that the dynamic linker knows. */
#ifndef AGENT_FOLDERS_H
#define AGENT_FOLDERS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define FOLDERS_MAX 256

/* Names of folders; add with folders_add(), free with folders_free(). */
struct folders {
	size_t count;
	char *names[FOLDERS_MAX];
};

void folders_add(struct folders *folders, const char *name);

/* Adds those that a file like /etc/ld.so.conf names. */
void folders_read(struct folders *folders, const char *path);

void folders_free(struct folders *folders);

struct libraries;

/* All standard folders. NULL: out of memory. */
struct libraries *libraries_open(void);

/* The next library. False when there are no more. */
bool libraries_next(struct libraries *libraries, char path[PATH_MAX]);

/* NULL is allowed. */
void libraries_close(struct libraries *libraries);

#endif
