// SPDX-License-Identifier: BSD-3-Clause
/*
 * The protection of headers and of what follows them, by libcrypto. As with
 * records, what authenticates is believed.
 */
#define _GNU_SOURCE
#include "packet.h"

#include <stdlib.h>
#include <string.h>

#include "aead.h"

#define LONG_HEADER 0x80
#define SAMPLE_AT   4 /* behind the packet number's first byte */
#define SAMPLE_SIZE 16
#define MASK_SIZE   5

struct packet_keys {
	const struct suite *suite;
	EVP_CIPHER_CTX *cipher;
	uint32_t version;
	size_t secret_size;
	uint8_t secret[EVP_MAX_MD_SIZE];
	uint8_t key[EVP_MAX_KEY_LENGTH];
	uint8_t header[EVP_MAX_KEY_LENGTH];
	uint8_t iv[AEAD_NONCE_SIZE];
};

/* The label of a version that is `text` in the first one. */
static bool
expand(const struct packet_keys *keys, const char *text, uint8_t *to,
       size_t size)
{
	const bool two = keys->version == EBPFTLS_QUIC_VERSION_2;
	char label[16] = "quic";

	strcat(strcat(label, two ? "v2 " : " "), text);
	return aead_expand(keys->suite, keys->secret, label, to, size);
}

struct packet_keys *
packet_keys_new(const struct suite *suite, const uint8_t *secret, size_t size,
		uint32_t version)
{
	const size_t length = (size_t)EVP_CIPHER_key_length(suite->cipher());
	struct packet_keys *keys;

	if (suite->kind == SUITE_CBC ||
	    size != (size_t)EVP_MD_size(suite->hash()))
		return NULL;
	keys = calloc(1, sizeof(*keys));
	if (keys == NULL)
		return NULL;
	keys->suite = suite;
	keys->version = version;
	keys->secret_size = size;
	memcpy(keys->secret, secret, size);
	keys->cipher = EVP_CIPHER_CTX_new();
	if (keys->cipher != NULL && expand(keys, "key", keys->key, length) &&
	    expand(keys, "hp", keys->header, length) &&
	    expand(keys, "iv", keys->iv, sizeof(keys->iv)))
		return keys;
	packet_keys_free(keys);
	return NULL;
}

/* The protection of headers stays. */
struct packet_keys *
packet_keys_next(const struct packet_keys *keys)
{
	uint8_t secret[EVP_MAX_MD_SIZE];
	struct packet_keys *next = NULL;

	if (expand(keys, "ku", secret, keys->secret_size))
		next = packet_keys_new(keys->suite, secret, keys->secret_size,
				       keys->version);
	if (next != NULL)
		memcpy(next->header, keys->header, sizeof(next->header));
	explicit_bzero(secret, sizeof(secret));
	return next;
}

void
packet_keys_free(struct packet_keys *keys)
{
	if (keys == NULL)
		return;
	EVP_CIPHER_CTX_free(keys->cipher);
	explicit_bzero(keys, sizeof(*keys));
	free(keys);
}

/* --- headers ------------------------------------------------------------- */

/* ChaCha20 begins with counter and nonce, which a sample has in that order. */
static bool
make_mask(const struct packet_keys *keys, const uint8_t sample[SAMPLE_SIZE],
	  uint8_t mask[SAMPLE_SIZE])
{
	static const uint8_t zeros[MASK_SIZE];
	const bool chacha20 = keys->suite->kind == SUITE_CHACHA20;
	const bool longer = EVP_CIPHER_key_length(keys->suite->cipher()) == 32;
	const EVP_CIPHER *cipher = chacha20 ? EVP_chacha20()
				   : longer ? EVP_aes_256_ecb()
					    : EVP_aes_128_ecb();
	int got;

	return EVP_EncryptInit_ex(keys->cipher, cipher, NULL, keys->header,
				  chacha20 ? sample : NULL) > 0 &&
	       EVP_CIPHER_CTX_set_padding(keys->cipher, 0) > 0 &&
	       EVP_EncryptUpdate(keys->cipher, mask, &got,
				 chacha20 ? zeros : sample,
				 chacha20 ? MASK_SIZE : SAMPLE_SIZE) > 0;
}

/* The one next to what is expected that ends in these (RFC 9000, A.3). */
static uint64_t
whole_number(uint64_t expected, uint64_t end, unsigned int bits)
{
	const uint64_t window = UINT64_C(1) << bits;
	const uint64_t number = (expected & ~(window - 1)) | end;

	if (number + window / 2 <= expected)
		return number + window;
	if (number > expected + window / 2 && number >= window)
		return number - window;
	return number;
}

/* Puts the header as it was into `to`. Returns its size; 0: it is none. */
static uint32_t
open_header(const struct packet_keys *keys,
	    const struct ebpftls_quic_packet *packet, uint64_t expected,
	    uint8_t *to, uint64_t *number)
{
	const uint32_t at = packet->number_at;
	const uint8_t bits = packet->bytes[0] & LONG_HEADER ? 0x0f : 0x1f;
	uint8_t mask[SAMPLE_SIZE];
	uint64_t end = 0;
	uint32_t size;

	if (packet->size > PACKET_MAX ||
	    at + SAMPLE_AT + SAMPLE_SIZE > packet->size ||
	    !make_mask(keys, packet->bytes + at + SAMPLE_AT, mask))
		return 0;
	memcpy(to, packet->bytes, at + SAMPLE_AT);
	to[0] ^= mask[0] & bits;
	size = (to[0] & 3u) + 1;
	for (uint32_t i = 0; i < size; i++) {
		to[at + i] ^= mask[1 + i];
		end = end << 8 | to[at + i];
	}
	*number = whole_number(expected, end, 8 * size);
	return at + size;
}

/* ------------------------------------------------------------------------- */

bool
packet_open(const struct packet_keys *keys,
	    const struct ebpftls_quic_packet *packet, uint64_t expected,
	    uint8_t *room, struct packet_content *content)
{
	const uint32_t header =
	    open_header(keys, packet, expected, room, &content->number);
	struct aead aead = { .key = keys->key,
			     .aad = room,
			     .aad_size = (int)header,
			     .text = packet->bytes + header };

	if (header == 0 || packet->size < header + keys->suite->tag)
		return false;
	aead.size = (int)(packet->size - header - keys->suite->tag);
	memcpy(aead.nonce, keys->iv, sizeof(aead.nonce));
	aead_mix(aead.nonce, content->number);
	content->bytes = room + header;
	content->size = (uint32_t)aead.size;
	return aead_open(keys->suite, keys->cipher, &aead, room + header);
}
