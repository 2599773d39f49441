/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * As much cryptography as it takes to read a QUIC client's Initial packets,
 * whose keys anybody can compute: so nothing here hides its timing, and it
 * must not be used for anything else.
 */
#ifndef EBPFTLS_CRYPTO_H
#define EBPFTLS_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#define EBPFTLS_SHA256_SIZE 32
#define EBPFTLS_AES_BLOCK   16

/* `salt` and `input` are at most 64 bytes long. */
void ebpftls_hkdf_extract(const uint8_t *salt, size_t salt_size,
			  const uint8_t *input, size_t input_size,
			  uint8_t output[EBPFTLS_SHA256_SIZE]);

/*
 * HKDF-Expand-Label of TLS 1.3 without a context, for at most 32 bytes. The
 * label, without "tls13 ", is at most 32 bytes long.
 */
void ebpftls_hkdf_expand_label(const uint8_t secret[EBPFTLS_SHA256_SIZE],
			       const char *label, uint8_t *output, size_t size);

struct ebpftls_aes128 {
	uint8_t round[11][EBPFTLS_AES_BLOCK];
};

void ebpftls_aes128_init(struct ebpftls_aes128 *aes, const uint8_t key[16]);

void ebpftls_aes128_encrypt(const struct ebpftls_aes128 *aes,
			    const uint8_t from[EBPFTLS_AES_BLOCK],
			    uint8_t to[EBPFTLS_AES_BLOCK]);

#endif
