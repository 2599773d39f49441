// SPDX-License-Identifier: BSD-3-Clause
/* Authenticated decryption (RFC 5116), and HKDF (RFC 8446, 7.1). */
#define _GNU_SOURCE
#include "aead.h"

#include <openssl/hmac.h>
#include <string.h>

/* In CCM lengths come first, and the end is no call of its own. */
bool
aead_open(const struct suite *suite, EVP_CIPHER_CTX *ctx,
	  const struct aead *aead, uint8_t *plain)
{
	const bool ccm = suite->kind == SUITE_CCM;
	uint8_t tag[16];
	int got;

	memcpy(tag, aead->text + aead->size, suite->tag);
	return EVP_DecryptInit_ex(ctx, suite->cipher(), NULL, NULL, NULL) > 0 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN,
				   AEAD_NONCE_SIZE, NULL) > 0 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, suite->tag,
				   tag) > 0 &&
	       EVP_DecryptInit_ex(ctx, NULL, NULL, aead->key, aead->nonce) >
		   0 &&
	       (!ccm ||
		EVP_DecryptUpdate(ctx, NULL, &got, NULL, aead->size) > 0) &&
	       EVP_DecryptUpdate(ctx, NULL, &got, aead->aad, aead->aad_size) >
		   0 &&
	       EVP_DecryptUpdate(ctx, plain, &got, aead->text, aead->size) >
		   0 &&
	       (ccm || EVP_DecryptFinal_ex(ctx, plain + got, &got) > 0);
}

void
aead_mix(uint8_t nonce[AEAD_NONCE_SIZE], uint64_t number)
{
	for (int i = 0; i < 8; i++)
		nonce[AEAD_NONCE_SIZE - 1 - i] ^= (uint8_t)(number >> 8 * i);
}

bool
aead_expand(const struct suite *suite, const uint8_t *secret, const char *label,
	    uint8_t *to, size_t size)
{
	const EVP_MD *md = suite->hash();
	uint8_t info[32] = { (uint8_t)(size >> 8), (uint8_t)size };
	const size_t length = strlen(label);
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned int got = 0;

	info[2] = (uint8_t)(6 + length);
	memcpy(info + 3, "tls13 ", 6);
	memcpy(info + 9, label, length);
	info[9 + length + 1] = 1; /* behind the context's length, 0 */
	HMAC(md, secret, EVP_MD_size(md), info, 9 + length + 2, hash, &got);
	if (got >= size)
		memcpy(to, hash, size);
	explicit_bzero(hash, sizeof(hash));
	return got >= size;
}
