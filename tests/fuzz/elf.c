// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any file for a program that may have TLS in it. Whatever hooks are
 * found must be within what the probes are made for, and in the file.
 */
#define _GNU_SOURCE

#include "scan.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void
check_place(const struct ebpftls_place *place)
{
	require(place->known <= 1);
	require(place->reg < 32);
	require(place->loads <= EBPFTLS_LOADS_MAX);
}

static void
check_hook(const struct ebpftls_hook *hook, size_t size)
{
	require(hook->offset > 0 && hook->offset < size);
	check_place(&hook->label);
	check_place(&hook->secret);
	check_place(&hook->length);
	check_place(&hook->random);
	require(hook->secret.known && hook->random.known);
	require(hook->name_count > 0 && hook->name_count <= EBPFTLS_NAMES_MAX);
	for (uint32_t i = 0; i < hook->name_count; i++)
		require(hook->names[i].label < EBPFTLS_LABELS);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	struct scan_result result;

	require(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	memset(&result, 0xff, sizeof(result));
	scan_file(fd, &result);
	scan_place(fd, &result);
	close(fd);
	require(memchr(result.why, '\0', sizeof(result.why)) != NULL);
	require(result.count <= SCAN_HOOKS_MAX);
	require(result.count != 0 || result.why[0] != '\0');
	for (uint32_t i = 0; i < result.count; i++)
		check_hook(&result.hooks[i], size);
	return 0;
}
