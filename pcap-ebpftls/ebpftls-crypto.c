// SPDX-License-Identifier: BSD-3-Clause
/*
 * SHA-256 (FIPS 180-4), HKDF with it (RFC 5869), and AES-128 (FIPS 197) for
 * one block: written to be small.
 */
#include "ebpftls-crypto.h"

#include <string.h>

#define HASH_BLOCK 64

/* --- SHA-256 ------------------------------------------------------------- */

static const uint32_t sha256_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
	0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

struct sha256 {
	uint32_t state[8];
	uint8_t block[HASH_BLOCK];
	size_t size; /* of all that was added */
};

static uint32_t
rotate(uint32_t value, int bits)
{
	return value >> bits | value << (32 - bits);
}

/* The message schedule of a block. */
static void
sha256_schedule(uint32_t w[64], const uint8_t block[HASH_BLOCK])
{
	for (int i = 0; i < 16; i++, block += 4)
		w[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 |
		       (uint32_t)block[2] << 8 | block[3];
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + w[i - 7] +
		       (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
		       (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
	}
}

static void
sha256_block(struct sha256 *hash)
{
	uint32_t w[64], v[8];

	sha256_schedule(w, hash->block);
	memcpy(v, hash->state, sizeof(v));
	for (int i = 0; i < 64; i++) {
		uint32_t a = v[0], e = v[4];
		uint32_t t1 = v[7] +
			      (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
			      ((e & v[5]) ^ (~e & v[6])) + sha256_k[i] + w[i];
		uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
			      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

		memmove(v + 1, v, 7 * sizeof(*v));
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		hash->state[i] += v[i];
}

static void
sha256_init(struct sha256 *hash)
{
	static const uint32_t first[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372,
					   0xa54ff53a, 0x510e527f, 0x9b05688c,
					   0x1f83d9ab, 0x5be0cd19 };

	memcpy(hash->state, first, sizeof(first));
	hash->size = 0;
}

static void
sha256_add(struct sha256 *hash, const uint8_t *bytes, size_t size)
{
	while (size-- > 0) {
		hash->block[hash->size++ % HASH_BLOCK] = *bytes++;
		if (hash->size % HASH_BLOCK == 0)
			sha256_block(hash);
	}
}

static void
sha256_end(struct sha256 *hash, uint8_t digest[EBPFTLS_SHA256_SIZE])
{
	static const uint8_t padding[HASH_BLOCK] = { 0x80 };
	uint64_t bits = (uint64_t)hash->size * 8;
	size_t used = hash->size % HASH_BLOCK;
	uint8_t length[8];

	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_add(hash, padding, (used < 56 ? 56 : 56 + HASH_BLOCK) - used);
	sha256_add(hash, length, sizeof(length));
	for (int i = 0; i < EBPFTLS_SHA256_SIZE; i++)
		digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

/* --- HKDF ---------------------------------------------------------------- */

/* The key is at most a block long. */
static void
hmac(const uint8_t *key, size_t key_size, const uint8_t *bytes, size_t size,
     uint8_t output[EBPFTLS_SHA256_SIZE])
{
	uint8_t inner[HASH_BLOCK], outer[HASH_BLOCK];
	struct sha256 hash;

	memset(inner, 0x36, sizeof(inner));
	memset(outer, 0x5c, sizeof(outer));
	for (size_t i = 0; i < key_size; i++) {
		inner[i] ^= key[i];
		outer[i] ^= key[i];
	}
	sha256_init(&hash);
	sha256_add(&hash, inner, sizeof(inner));
	sha256_add(&hash, bytes, size);
	sha256_end(&hash, output);
	sha256_init(&hash);
	sha256_add(&hash, outer, sizeof(outer));
	sha256_add(&hash, output, EBPFTLS_SHA256_SIZE);
	sha256_end(&hash, output);
}

void
ebpftls_hkdf_extract(const uint8_t *salt, size_t salt_size,
		     const uint8_t *input, size_t input_size,
		     uint8_t output[EBPFTLS_SHA256_SIZE])
{
	hmac(salt, salt_size, input, input_size, output);
}

void
ebpftls_hkdf_expand_label(const uint8_t secret[EBPFTLS_SHA256_SIZE],
			  const char *label, uint8_t *output, size_t size)
{
	static const char prefix[] = "tls13 ";
	const size_t prefix_size = sizeof(prefix) - 1;
	const size_t label_size = strlen(label);
	uint8_t info[HASH_BLOCK] = { 0 }, block[EBPFTLS_SHA256_SIZE];
	size_t end = 3 + prefix_size + label_size;

	info[1] = (uint8_t)size;
	info[2] = (uint8_t)(prefix_size + label_size);
	memcpy(info + 3, prefix, prefix_size);
	memcpy(info + 3 + prefix_size, label, label_size);
	info[end + 1] = 1; /* behind an empty context: the first block */
	hmac(secret, EBPFTLS_SHA256_SIZE, info, end + 2, block);
	memcpy(output, block, size);
}

/* --- AES-128 ------------------------------------------------------------- */

static const uint8_t sbox[256] = {
	0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b,
	0xfe, 0xd7, 0xab, 0x76, 0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0,
	0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0, 0xb7, 0xfd, 0x93, 0x26,
	0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
	0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2,
	0xeb, 0x27, 0xb2, 0x75, 0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0,
	0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84, 0x53, 0xd1, 0x00, 0xed,
	0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
	0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f,
	0x50, 0x3c, 0x9f, 0xa8, 0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5,
	0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2, 0xcd, 0x0c, 0x13, 0xec,
	0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
	0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14,
	0xde, 0x5e, 0x0b, 0xdb, 0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c,
	0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79, 0xe7, 0xc8, 0x37, 0x6d,
	0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
	0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f,
	0x4b, 0xbd, 0x8b, 0x8a, 0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e,
	0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e, 0xe1, 0xf8, 0x98, 0x11,
	0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
	0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f,
	0xb0, 0x54, 0xbb, 0x16,
};

static uint8_t
twice(uint8_t value)
{
	return (uint8_t)(value << 1 ^ (value >> 7) * 0x1b);
}

void
ebpftls_aes128_init(struct ebpftls_aes128 *aes, const uint8_t key[16])
{
	uint8_t *word = aes->round[0], constant = 1;

	memcpy(word, key, 16);
	for (int i = 4; i < 44; i++, word += 4) {
		uint8_t t[4] = { word[12], word[13], word[14], word[15] };

		if (i % 4 == 0) {
			t[0] = sbox[word[13]] ^ constant;
			t[1] = sbox[word[14]];
			t[2] = sbox[word[15]];
			t[3] = sbox[word[12]];
			constant = twice(constant);
		}
		for (int j = 0; j < 4; j++)
			word[16 + j] = word[j] ^ t[j];
	}
}

/* SubBytes and ShiftRows. */
static void
substitute(uint8_t state[EBPFTLS_AES_BLOCK])
{
	uint8_t before[EBPFTLS_AES_BLOCK];

	memcpy(before, state, sizeof(before));
	for (int i = 0; i < EBPFTLS_AES_BLOCK; i++)
		state[i] = sbox[before[(i + 4 * (i % 4)) % EBPFTLS_AES_BLOCK]];
}

static void
mix_columns(uint8_t state[EBPFTLS_AES_BLOCK])
{
	for (uint8_t *c = state; c < state + EBPFTLS_AES_BLOCK; c += 4) {
		uint8_t all = c[0] ^ c[1] ^ c[2] ^ c[3], first = c[0];

		for (int i = 0; i < 3; i++)
			c[i] ^= all ^ twice(c[i] ^ c[i + 1]);
		c[3] ^= all ^ twice(c[3] ^ first);
	}
}

static void
add_key(uint8_t state[EBPFTLS_AES_BLOCK], const uint8_t key[EBPFTLS_AES_BLOCK])
{
	for (int i = 0; i < EBPFTLS_AES_BLOCK; i++)
		state[i] ^= key[i];
}

void
ebpftls_aes128_encrypt(const struct ebpftls_aes128 *aes,
		       const uint8_t from[EBPFTLS_AES_BLOCK],
		       uint8_t to[EBPFTLS_AES_BLOCK])
{
	memmove(to, from, EBPFTLS_AES_BLOCK);
	add_key(to, aes->round[0]);
	for (int i = 1; i < 10; i++) {
		substitute(to);
		mix_columns(to);
		add_key(to, aes->round[i]);
	}
	substitute(to);
	add_key(to, aes->round[10]);
}
