// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any string for a device string. One that names a device must begin with
 * what its parts make when they are put together again; options may follow.
 */
#include "ebpftls-device.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void
compare(const char *name, const struct ebpftls_device *device)
{
	char again[sizeof(EBPFTLS_PREFIX) + sizeof(*device) + 1];

	snprintf(again, sizeof(again), EBPFTLS_PREFIX "%s%s%s",
		 device->interface, device->netns[0] != '\0' ? "@" : "",
		 device->netns);
	require(strncmp(again, name, strlen(again)) == 0);
	name += strlen(again);
	require(*name == '\0' || *name == ',');
}

/* What is asked for is in the name, whole, and not too much of it. */
static void
look_up(const char *name, const struct ebpftls_wants *wants)
{
	for (int i = 0; i < EBPFTLS_WANTS; i++)
		require(wants->count[i] <= EBPFTLS_WANTS_MAX);
	for (uint32_t i = 0; i < wants->count[EBPFTLS_WANT_PID]; i++)
		require(wants->pid[i] > 0);
	for (uint32_t i = 0; i < wants->count[EBPFTLS_WANT_UID]; i++)
		require(wants->uid[i] < UINT32_MAX);
	for (uint32_t i = 0; i < wants->count[EBPFTLS_WANT_COMM]; i++)
		require(wants->comm[i][0] != '\0' &&
			strstr(name, wants->comm[i]) != NULL);
	for (uint32_t i = 0; i < wants->count[EBPFTLS_WANT_EXE]; i++)
		require(wants->exe[i][0] == '/' &&
			strstr(name, wants->exe[i]) != NULL);
	for (uint32_t i = 0; i < wants->count[EBPFTLS_WANT_CGROUP]; i++)
		require(strstr(name, wants->cgroup[i]) != NULL);
}

static void
parse(const char *name)
{
	char text[EBPFTLS_TEXT_SIZE];
	struct ebpftls_device device;
	enum ebpftls_reason reason;

	memset(text, 'x', sizeof(text));
	reason = ebpftls_device_parse(name, &device, text, sizeof(text));
	require(memchr(text, '\0', sizeof(text)) != NULL);
	if (reason == 0) {
		compare(name, &device);
		look_up(name, &device.wants);
	} else {
		require(text[0] != '\0' ||
			reason == EBPFTLS_REASON_NO_SUCH_DEVICE);
	}
}

/* The input with and without the prefix. */
int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const size_t prefix = sizeof(EBPFTLS_PREFIX) - 1;
	char *name = malloc(prefix + size + 1);

	require(name != NULL);
	memcpy(name, EBPFTLS_PREFIX, prefix);
	memcpy(name + prefix, bytes, size);
	name[prefix + size] = '\0';
	require(ebpftls_device_is_ours(name));
	parse(name);
	if (ebpftls_device_is_ours(name + prefix))
		parse(name + prefix);
	free(name);
	return 0;
}
