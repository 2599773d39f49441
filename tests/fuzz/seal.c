// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for a file of dumpcap's and its journals, and seals it: the
 * file is what it was, or has all its packets, in a whole pcapng file.
 *
 * The input: three lengths of two bytes, of the file and of two journals, and
 * then these.
 */
#define _GNU_SOURCE
#include "ebpftls-seal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebpftls-reader.h"
#include "ebpftls-source.h"
#include "require.h"

#define INPUT_MAX 65536

/* Packets, as a sum that does not depend on what is said of them. */
struct packets {
	uint32_t count;
	uint64_t sum;
	enum ebpftls_read last;
};

static char folder[] = "/dev/shm/ebpftls-fuzz.XXXXXX";
static char path[sizeof(folder) + 8];

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void
remove_folder(void)
{
	rmdir(folder);
}

static void
make_folder(void)
{
	if (path[0] != '\0')
		return;
	require(mkdtemp(folder) != NULL);
	atexit(remove_folder);
	snprintf(path, sizeof(path), "%s/file", folder);
}

static void
write_to(const char *name, const uint8_t *bytes, size_t size)
{
	const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	require(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	close(fd);
}

static void
look_at(const struct ebpftls_reader *reader, const struct ebpftls_block *block,
	struct packets *packets)
{
	const size_t end = ebpftls_block_options(reader, block);

	if (block->type != EBPFTLS_BLOCK_PACKET || end == 0)
		return;
	packets->count++;
	for (size_t i = 8; i < end; i++)
		packets->sum = packets->sum * 31 + block->bytes[i];
}

static struct packets
read_packets(void)
{
	const int fd = open(path, O_RDONLY);
	struct packets packets = { .count = 0 };
	struct ebpftls_reader reader;
	struct ebpftls_block block;

	require(fd >= 0 && ebpftls_reader_init(&reader, fd));
	while ((packets.last = ebpftls_reader_next(&reader, &block)) ==
	       EBPFTLS_READ_BLOCK)
		look_at(&reader, &block, &packets);
	ebpftls_reader_free(&reader);
	close(fd);
	return packets;
}

static void
seal(bool unfinished)
{
	struct ebpftls_seal seal = { .path = path, .unfinished = unfinished };
	const struct packets before = read_packets();
	const int status = ebpftls_seal(&seal);
	const struct packets after = read_packets();

	require(after.count == before.count && after.sum == before.sum);
	require(status != 0 || after.last == EBPFTLS_READ_END);
	require((status < 0) == (seal.why[0] != '\0'));
}

/* The next file of the input; false: there is none. */
static bool
take(const uint8_t **bytes, size_t *size, const uint8_t **part, size_t length)
{
	if (length > *size)
		return false;
	*part = *bytes;
	*bytes += length;
	*size -= length;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const uint8_t *parts[3];
	uint16_t lengths[3];

	if (size < sizeof(lengths) || size > INPUT_MAX)
		return 0;
	make_folder();
	memcpy(lengths, bytes, sizeof(lengths));
	bytes += sizeof(lengths);
	size -= sizeof(lengths);
	for (int i = 0; i < 3; i++) {
		if (!take(&bytes, &size, &parts[i], lengths[i]))
			return 0;
	}
	for (int unfinished = 0; unfinished < 2; unfinished++) {
		write_to(path, parts[0], lengths[0]);
		for (uint32_t i = 0; i < 2; i++) {
			char *name = ebpftls_source_path(path, i);

			if (lengths[1 + i] > 0)
				write_to(name, parts[1 + i], lengths[1 + i]);
			free(name);
		}
		seal(unfinished != 0);
		ebpftls_sources_clear(path);
		unlink(path);
	}
	return 0;
}
