/* SPDX-License-Identifier: BSD-3-Clause */
/* A file that some process has mapped as code, and how to get at it. */
#ifndef AGENT_MAPPING_H
#define AGENT_MAPPING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct mapping {
	uint32_t pid;
	uint64_t start; /* addresses in that process */
	uint64_t end;
	uint64_t dev; /* as stat(2) has it, but overlayfs and btrfs differ */
	uint64_t ino;
	bool recent;	     /* from a mmap record: only these have the next */
	uint64_t generation; /* of the inode */
	const char *path;    /* as the kernel tells it: take it for a hint */
};

/*
 * Takes a line of /proc/PID/maps, without its end; `path` will point into it.
 * False if it is not one of a file that is mapped as code.
 */
bool mapping_parse(const char *line, struct mapping *mapping);

/*
 * Opens the very file that is mapped, whatever has its name by now, as O_PATH.
 * Returns -1 when it cannot be reached: its process may be gone.
 */
int mapping_open(const struct mapping *mapping, struct stat *st);

/* Opens what an O_PATH descriptor stands for, if it is a regular file. */
int mapping_reopen(int fd);

bool mapping_is_overlay(int fd);

/*
 * Whether it is of a filesystem where a mapping's device is not that of the
 * file, and so device and inode number may be those of several files.
 */
bool mapping_has_other_device(int fd);

#endif
