// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for a pcapng file, takes secrets and processes out of it as
 * the tool does, and reads what is left: as many blocks, but no secrets.
 */
#define _GNU_SOURCE
#include "ebpftls-reader.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bare.h"
#include "require.h"

#define INPUT_MAX 65536

static uint8_t *left; /* of the last file */
static size_t left_size;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void
open_bytes(struct ebpftls_reader *reader, const uint8_t *bytes, size_t size)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("file", 0);
	require(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0 &&
		write(fd, bytes, size) == (ssize_t)size &&
		lseek(fd, 0, SEEK_SET) == 0 && ebpftls_reader_init(reader, fd));
}

/* Strips a file. Returns how many blocks are left, and `last`, why no more. */
static unsigned int
strip(const uint8_t *bytes, size_t size, bool processes, bool stripped,
      enum ebpftls_read *last)
{
	struct ebpftls_reader reader;
	struct ebpftls_block block;
	uint8_t *to = malloc(size + 1);
	size_t used = 0, one;
	unsigned int blocks = 0;

	open_bytes(&reader, bytes, size);
	while ((*last = ebpftls_reader_next(&reader, &block)) ==
	       EBPFTLS_READ_BLOCK) {
		require(block.size <= size - used);
		one = bare_block(&reader, &block, processes, to + used);
		require(one <= block.size && one % 4 == 0);
		require(!stripped || block.type != EBPFTLS_BLOCK_SECRETS);
		require(!stripped || (one == block.size &&
				      !memcmp(to + used, block.bytes, one)));
		blocks += one > 0;
		used += one;
	}
	ebpftls_reader_free(&reader);
	free(left);
	left = to;
	left_size = used;
	return blocks;
}

static void
twice(const uint8_t *bytes, size_t size, bool processes)
{
	enum ebpftls_read last;
	unsigned int blocks = strip(bytes, size, processes, false, &last);
	uint8_t *once = left;
	const size_t once_size = left_size;

	left = NULL;
	require(strip(once, once_size, processes, true, &last) == blocks);
	require(last == EBPFTLS_READ_END);
	free(once);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size > INPUT_MAX)
		return 0;
	twice(bytes, size, false);
	twice(bytes, size, true);
	return 0;
}
