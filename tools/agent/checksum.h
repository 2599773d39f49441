/* SPDX-License-Identifier: BSD-3-Clause */
/* FNV-1a: tells whether bytes are the same, where nobody wants to deceive. */
#ifndef AGENT_CHECKSUM_H
#define AGENT_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t
checksum(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
	return sum;
}

#endif
