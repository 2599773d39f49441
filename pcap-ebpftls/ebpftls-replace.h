/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A new file that takes the place of another only when it is whole and on the
 * disk. Until then it is its owner's alone, under a name of its own.
 */
#ifndef EBPFTLS_REPLACE_H
#define EBPFTLS_REPLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct ebpftls_replace {
	int folder;
	int fd;
	char *name; /* in the folder */
	char *temporary;
	bool exists;	 /* there is a file of that name already: */
	struct stat was; /* this one */
	uint8_t *bytes;	 /* not yet written */
	size_t used;
	int error; /* of writing: an errno, and nothing is written any more */
};

/*
 * Begins what is to become the file `path`, which need not exist. `size` is
 * about how long it will be; 0: not known. What an earlier one has left
 * behind is removed. Returns 0 or a negative errno; -EBUSY: another one is
 * about to replace the same; -EMEDIUMTYPE: what is there is no regular file.
 */
int ebpftls_replace_begin(struct ebpftls_replace *replace, const char *path,
			  int64_t size);

/* Errors show at the end. */
void ebpftls_replace_put(struct ebpftls_replace *replace, const void *bytes,
			 size_t size);

/*
 * Puts the file in its place, with this owner, group and mode, and the ACL of
 * the open file `from`; -1: that which its folder gives to new files. If an ACL
 * cannot be copied the file is its owner's alone. Returns 0, or a negative
 * errno: then all is as it was before. -ESTALE: what is there is not what was
 * there at the beginning. Frees all.
 */
int ebpftls_replace_finish(struct ebpftls_replace *replace,
			   const struct stat *like, int from);

/* Removes the new file, and frees all. */
void ebpftls_replace_abandon(struct ebpftls_replace *replace);

/* What these errors say of the file. */
const char *ebpftls_replace_why(int error);

/* Whether it is still the same file, and nobody has written to it. */
bool ebpftls_replace_same(const struct stat *a, const struct stat *b);

#endif
