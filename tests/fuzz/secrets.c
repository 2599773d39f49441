// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for what the kernel has written into the ring buffer of
 * secrets: the head, and then the data. What comes out must be a secret, and
 * it must come to an end.
 */
#include "ebpftls-secrets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "require.h"

#define SIZE 4096

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint64_t read = 0, head = 0;
	struct ebpftls_secret_ring ring = {
		.read = &read,
		.head = &head,
		.size = SIZE,
	};
	struct ebpftls_secret secret;
	uint8_t *data;
	int status, count = 0;

	if (size < sizeof(uint16_t))
		return 0;
	memcpy(&head, bytes, sizeof(uint16_t));
	head = (head % SIZE) & ~UINT64_C(7); /* as the kernel counts */
	bytes += sizeof(uint16_t);
	size -= sizeof(uint16_t);
	data = calloc(2, SIZE);
	require(data != NULL);
	memcpy(data, bytes, size < SIZE ? size : SIZE);
	memcpy(data + SIZE, data, SIZE);
	ring.data = data;
	while ((status = ebpftls_secrets_next(&ring, &secret)) == 1) {
		require(secret.label < EBPFTLS_LABELS);
		require(secret.length <= sizeof(secret.secret));
		require(++count <= 2 * SIZE);
	}
	require(status == 0 || status == -EBADMSG);
	free(data);
	return 0;
}
