/* SPDX-License-Identifier: BSD-3-Clause */
/* Protects packets of QUIC version 1 with AES-128-GCM, as an end does. */
#ifndef TEST_QUICSEAL_H
#define TEST_QUICSEAL_H

#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ebpftls-crypto.h"

#define QUICSEAL_TAG 16

struct quicseal {
	uint8_t key[16];
	uint8_t iv[12];
	uint8_t header[16];
};

static void
quicseal_set(struct quicseal *seal, const uint8_t secret[32])
{
	ebpftls_hkdf_expand_label(secret, "quic key", seal->key, 16);
	ebpftls_hkdf_expand_label(secret, "quic iv", seal->iv, 12);
	ebpftls_hkdf_expand_label(secret, "quic hp", seal->header, 16);
}

/*
 * A packet whose header ends with the last byte of its number, the one byte of
 * that which is sent. Returns its size.
 */
static uint32_t
quicseal(const struct quicseal *seal, uint64_t number, uint8_t *packet,
	 uint32_t header, const uint8_t *content, uint32_t size)
{
	uint8_t nonce[12], mask[EBPFTLS_AES_BLOCK], *text = packet + header;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	struct ebpftls_aes128 aes;
	int got;

	packet[header - 1] = (uint8_t)number;
	memcpy(nonce, seal->iv, sizeof(nonce));
	for (int i = 0; i < 8; i++)
		nonce[11 - i] ^= (uint8_t)(number >> 8 * i);
	if (EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, seal->key,
			       nonce) <= 0 ||
	    EVP_EncryptUpdate(ctx, NULL, &got, packet, (int)header) <= 0 ||
	    EVP_EncryptUpdate(ctx, text, &got, content, (int)size) <= 0 ||
	    EVP_EncryptFinal_ex(ctx, text + size, &got) <= 0 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, QUICSEAL_TAG,
				text + size) <= 0)
		abort();
	EVP_CIPHER_CTX_free(ctx);
	ebpftls_aes128_init(&aes, seal->header);
	ebpftls_aes128_encrypt(&aes, packet + header - 1 + 4, mask);
	packet[0] ^= mask[0] & (packet[0] & 0x80 ? 0x0f : 0x1f);
	packet[header - 1] ^= mask[1];
	return header + size + QUICSEAL_TAG;
}

#endif
