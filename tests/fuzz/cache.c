// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for a cache file: as they are, and in a file whose header
 * is right. What is taken must be what the agent can use. The first two
 * bytes say how many files of each kind there are.
 */
#define _GNU_SOURCE

#include "cache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checksum.h"
#include "require.h"
#include "scanner.h"

#define FERTILE_SIZE 5544
#define HEADER_SIZE  72

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Asks for all that is there, of a file that is none. */
static void
use(struct cache *cache)
{
	const char *path;
	struct file_id id;

	for (size_t i = 0; (path = cache_path(cache, i)) != NULL; i++)
		require(strlen(path) < FERTILE_SIZE);
	memset(&id, 0, sizeof(id));
	cache_is_barren(cache, &id);
}

static void
load(const uint8_t *bytes, size_t size, bool must)
{
	struct cache *cache = cache_new();

	require(cache != NULL);
	require(cache_load(cache, bytes, size) || !must);
	use(cache);
	cache_close(cache);
}

static void
put(uint8_t *file, size_t at, const void *value, size_t size)
{
	memcpy(file + at, value, size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char magic[16] = "ebpftls scans\n\r\032";
	uint32_t version = 4, fertile, barren;
	uint64_t sum;
	size_t body;
	uint8_t *file;

	load(bytes, size, false);
	if (size < 2)
		return 0;
	fertile = bytes[0] % 4;
	barren = bytes[1] % 16;
	body = fertile * FERTILE_SIZE + barren * sizeof(struct file_id);
	file = calloc(1, HEADER_SIZE + body);
	require(file != NULL);
	memcpy(file + HEADER_SIZE, bytes + 2,
	       size - 2 < body ? size - 2 : body);
	sum = checksum(file + HEADER_SIZE, body);
	put(file, 0, magic, sizeof(magic));
	put(file, 16, &version, sizeof(version));
	put(file, 20, &fertile, sizeof(fertile));
	put(file, 24, &barren, sizeof(barren));
	put(file, 64, &sum, sizeof(sum));
	load(file, HEADER_SIZE + body, fertile == 0);
	free(file);
	return 0;
}
