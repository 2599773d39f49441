/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads TLS secrets out of the ring buffer into which the probes put them. */
#ifndef EBPFTLS_SECRETS_H
#define EBPFTLS_SECRETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "events.h"

struct ebpftls_secret_ring {
	uint64_t *read;	      /* ours */
	const uint64_t *head; /* written by the kernel */
	const uint8_t *data;  /* twice in a row: no record is torn */
	size_t size;	      /* of the data, a power of two */
};

/* Maps the ring. Returns 0 or a negative errno, and then it is unmapped. */
int ebpftls_secrets_map(struct ebpftls_secret_ring *ring, int fd, size_t size);

/*
 * Takes the next secret out of the ring. Returns 1, or 0 if there is none, or
 * -EBADMSG if what is there is not a secret.
 */
int ebpftls_secrets_next(struct ebpftls_secret_ring *ring,
			 struct ebpftls_secret *secret);

/* Allowed when nothing is mapped. */
void ebpftls_secrets_unmap(struct ebpftls_secret_ring *ring);

#endif
