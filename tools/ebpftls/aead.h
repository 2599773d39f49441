/* SPDX-License-Identifier: BSD-3-Clause */
/* What TLS 1.3, QUIC and AEAD in TLS 1.2 have in common, by libcrypto. */
#ifndef TOOL_AEAD_H
#define TOOL_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "suites.h"

#define AEAD_NONCE_SIZE 12

struct aead {
	const uint8_t *key;
	uint8_t nonce[AEAD_NONCE_SIZE];
	const uint8_t *aad;
	int aad_size;
	const uint8_t *text; /* the tag behind it */
	int size;	     /* without the tag */
};

/* Decrypts into `plain`. False: it does not authenticate. */
bool aead_open(const struct suite *suite, EVP_CIPHER_CTX *ctx,
	       const struct aead *aead, uint8_t *plain);

/* Puts the number of a record or packet into a nonce. */
void aead_mix(uint8_t nonce[AEAD_NONCE_SIZE], uint64_t number);

/*
 * HKDF-Expand-Label without a context, of a secret as long as the hash of the
 * suite. The label, without "tls13 ", is at most 16 bytes long. False: more
 * than one hash is wanted.
 */
bool aead_expand(const struct suite *suite, const uint8_t *secret,
		 const char *label, uint8_t *to, size_t size);

#endif
