/* SPDX-License-Identifier: BSD-3-Clause */
/* What library, program and test know: how secrets are made and handed on. */
#ifndef STACK_H
#define STACK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define STACK_LABELS 10
#define STACK_PAGE   4096

/* Whose secret it is: the start of the random, so that it can be told. */
struct stack_id {
	uint32_t program;
	uint32_t thread;
	uint32_t number; /* from 1 */
};

struct stack_handshake {
	uint8_t before[0x20];
	uint8_t random[32];
};

struct stack_session {
	void *first;
	struct stack_handshake *handshake;
};

static inline void
stack_bytes(uint8_t *bytes, size_t length, const struct stack_id *id,
	    uint32_t what)
{
	uint64_t x = ((uint64_t)id->program << 48) +
		     ((uint64_t)id->thread << 32) + id->number + what;

	for (size_t i = 0; i < length; i++) {
		x = x * UINT64_C(6364136223846793005) +
		    UINT64_C(1442695040888963407);
		bytes[i] = (uint8_t)(x >> 56);
	}
}

static inline void
stack_random(uint8_t random[32], const struct stack_id *id)
{
	stack_bytes(random, 32, id, 0);
	memcpy(random, id, sizeof(*id));
}

static inline void
stack_secret(uint8_t secret[48], const struct stack_id *id)
{
	stack_bytes(secret, 48, id, 7);
}

static inline uint32_t
stack_label(const struct stack_id *id)
{
	return id->number % STACK_LABELS;
}

/* That of label 0, CLIENT_RANDOM, is always 48. */
static inline uint32_t
stack_length(const struct stack_id *id)
{
	return stack_label(id) == 0 || id->number % 3 == 0 ? 48 : 32;
}

#endif
