// SPDX-License-Identifier: BSD-3-Clause
/* Reads TLS secrets out of the ring buffer into which the probes put them. */
#define _GNU_SOURCE

#include "ebpftls-secrets.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The header of a record in a BPF ring buffer: its length and two bits. */
#define HEADER_SIZE 8
#define BUSY	    (UINT32_C(1) << 31)
#define DISCARDED   (UINT32_C(1) << 30)

int
ebpftls_secrets_map(struct ebpftls_secret_ring *ring, int fd, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *written;
	int error;

	memset(ring, 0, sizeof(*ring));
	ring->size = size;
	ring->read =
	    mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring->read == MAP_FAILED) {
		ring->read = NULL;
		return -errno;
	}
	written =
	    mmap(NULL, page + 2 * size, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (written == MAP_FAILED) {
		error = -errno;
		ebpftls_secrets_unmap(ring);
		return error;
	}
	ring->head = (const uint64_t *)written;
	ring->data = written + page;
	return 0;
}

int
ebpftls_secrets_next(struct ebpftls_secret_ring *ring,
		     struct ebpftls_secret *secret)
{
	uint64_t next = *ring->read;
	uint32_t header;
	const uint8_t *record;

	while (next < __atomic_load_n(ring->head, __ATOMIC_ACQUIRE)) {
		record = ring->data + (next & (ring->size - 1));
		header =
		    __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
		if (header & BUSY)
			return 0;
		if ((header & ~DISCARDED) != sizeof(*secret)) {
			/* where the next one begins, nobody knows */
			next = __atomic_load_n(ring->head, __ATOMIC_ACQUIRE);
			__atomic_store_n(ring->read, next, __ATOMIC_RELEASE);
			return -EBADMSG;
		}
		memcpy(secret, record + HEADER_SIZE, sizeof(*secret));
		next += HEADER_SIZE + sizeof(*secret);
		__atomic_store_n(ring->read, next, __ATOMIC_RELEASE);
		if (!(header & DISCARDED))
			return secret->label < EBPFTLS_LABELS &&
				       secret->length <= sizeof(secret->secret)
				   ? 1
				   : -EBADMSG;
	}
	return 0;
}

void
ebpftls_secrets_unmap(struct ebpftls_secret_ring *ring)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (ring->read != NULL)
		munmap(ring->read, page);
	if (ring->data != NULL)
		munmap((void *)(uintptr_t)(ring->data - page),
		       page + 2 * ring->size);
	memset(ring, 0, sizeof(*ring));
}
