// SPDX-License-Identifier: BSD-3-Clause
/*
 * The protection of records, by libcrypto's ciphers and HMAC. What
 * authenticates is believed, everything else is refused: time tells nobody
 * anything here.
 */
#define _GNU_SOURCE
#include "records.h"

#include <endian.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"

#define NONCE_SIZE    AEAD_NONCE_SIZE
#define EXPLICIT_SIZE 8 /* of the nonce, in records of TLS 1.2 */
#define AAD_12_SIZE   13

struct record_keys {
	const struct suite *suite;
	EVP_CIPHER_CTX *cipher;
	bool is_13;
	bool encrypt_then_mac;
	uint8_t key[EVP_MAX_KEY_LENGTH];
	uint8_t iv[NONCE_SIZE];
	uint8_t mac[EVP_MAX_MD_SIZE];	   /* the key of CBC's */
	uint8_t secret[RECORD_SECRET_MAX]; /* of TLS 1.3 */
	size_t secret_size;
};

static struct record_keys *
new_keys(const struct suite *suite)
{
	struct record_keys *keys = calloc(1, sizeof(*keys));

	if (keys == NULL)
		return NULL;
	keys->suite = suite;
	keys->cipher = EVP_CIPHER_CTX_new();
	if (keys->cipher != NULL)
		return keys;
	free(keys);
	return NULL;
}

void
record_keys_free(struct record_keys *keys)
{
	if (keys == NULL)
		return;
	EVP_CIPHER_CTX_free(keys->cipher);
	explicit_bzero(keys, sizeof(*keys));
	free(keys);
}

/* --- TLS 1.3 ------------------------------------------------------------- */

struct record_keys *
record_keys_13(const struct suite *suite, const uint8_t *secret, size_t size)
{
	struct record_keys *keys;

	if (suite->kind == SUITE_CBC ||
	    size != (size_t)EVP_MD_size(suite->hash()))
		return NULL;
	keys = new_keys(suite);
	if (keys == NULL)
		return NULL;
	keys->is_13 = true;
	keys->secret_size = size;
	memcpy(keys->secret, secret, size);
	if (aead_expand(suite, secret, "key", keys->key,
			(size_t)EVP_CIPHER_key_length(suite->cipher())) &&
	    aead_expand(suite, secret, "iv", keys->iv, NONCE_SIZE))
		return keys;
	record_keys_free(keys);
	return NULL;
}

struct record_keys *
record_keys_next(const struct record_keys *keys)
{
	uint8_t secret[RECORD_SECRET_MAX];
	struct record_keys *next = NULL;

	if (aead_expand(keys->suite, keys->secret, "traffic upd", secret,
			keys->secret_size))
		next = record_keys_13(keys->suite, secret, keys->secret_size);
	explicit_bzero(secret, sizeof(secret));
	return next;
}

/* --- TLS 1.2 ------------------------------------------------------------- */

/* The key block, by P_hash: both MAC keys, both keys, both IVs. */
static void
make_block(const struct suite *suite, const struct record_master *master,
	   uint8_t *block, size_t size)
{
	static const char label[13] = "key expansion";
	uint8_t a[EVP_MAX_MD_SIZE + sizeof(label) + 2 * RECORD_RANDOM];
	uint8_t hash[EVP_MAX_MD_SIZE];
	const EVP_MD *md = suite->hash();
	const size_t length = (size_t)EVP_MD_size(md);
	uint8_t *seed = a + length;
	const size_t seed_size = sizeof(label) + 2 * RECORD_RANDOM;

	memcpy(seed, label, sizeof(label));
	memcpy(seed + sizeof(label), master->server_random, RECORD_RANDOM);
	memcpy(seed + sizeof(label) + RECORD_RANDOM, master->client_random,
	       RECORD_RANDOM);
	HMAC(md, master->secret, sizeof(master->secret), seed, seed_size, a,
	     NULL);
	for (size_t done = 0; done < size; done += length) {
		HMAC(md, master->secret, sizeof(master->secret), a,
		     length + seed_size, hash, NULL);
		memcpy(block + done, hash,
		       size - done < length ? size - done : length);
		HMAC(md, master->secret, sizeof(master->secret), a, length,
		     hash, NULL);
		memcpy(a, hash, length);
	}
	explicit_bzero(a, sizeof(a));
	explicit_bzero(hash, sizeof(hash));
}

struct record_keys *
record_keys_12(const struct suite *suite, const struct record_master *master,
	       bool from_server)
{
	const size_t mac =
	    suite->mac != NULL ? (size_t)EVP_MD_size(suite->mac()) : 0;
	const size_t key = (size_t)EVP_CIPHER_key_length(suite->cipher());
	const size_t iv = suite->kind == SUITE_CBC ? 0
			  : suite->kind == SUITE_CHACHA20
			      ? NONCE_SIZE
			      : NONCE_SIZE - EXPLICIT_SIZE;
	uint8_t block[2 * (EVP_MAX_MD_SIZE + EVP_MAX_KEY_LENGTH + NONCE_SIZE)];
	struct record_keys *keys = new_keys(suite);

	if (keys == NULL)
		return NULL;
	make_block(suite, master, block, 2 * (mac + key + iv));
	memcpy(keys->mac, block + from_server * mac, mac);
	memcpy(keys->key, block + 2 * mac + from_server * key, key);
	memcpy(keys->iv, block + 2 * (mac + key) + from_server * iv, iv);
	keys->encrypt_then_mac =
	    suite->kind == SUITE_CBC && master->encrypt_then_mac;
	explicit_bzero(block, sizeof(block));
	return keys;
}

/* What authenticates a record besides its content. */
static void
make_aad(uint8_t aad[AAD_12_SIZE], uint64_t sequence, const uint8_t *record,
	 size_t size)
{
	sequence = htobe64(sequence);
	memcpy(aad, &sequence, sizeof(sequence));
	memcpy(aad + 8, record, 3);
	aad[11] = (uint8_t)(size >> 8);
	aad[12] = (uint8_t)size;
}

/* --- AEAD ---------------------------------------------------------------- */

/* The type stands behind the content, zeros behind that. */
static int
open_13(const struct record_keys *keys, uint64_t sequence,
	const uint8_t *record, size_t size, uint8_t *plain, uint8_t *type)
{
	const size_t tag = keys->suite->tag;
	struct aead aead = { .key = keys->key,
			     .aad = record,
			     .aad_size = RECORD_HEADER,
			     .text = record + RECORD_HEADER };

	if (size < RECORD_HEADER + 1 + tag)
		return -1;
	aead.size = (int)(size - RECORD_HEADER - tag);
	memcpy(aead.nonce, keys->iv, NONCE_SIZE);
	aead_mix(aead.nonce, sequence);
	if (!aead_open(keys->suite, keys->cipher, &aead, plain))
		return -1;
	do {
		if (aead.size == 0)
			return -1;
		*type = plain[--aead.size];
	} while (*type == 0);
	return aead.size;
}

static int
open_aead_12(const struct record_keys *keys, uint64_t sequence,
	     const uint8_t *record, size_t size, uint8_t *plain)
{
	const size_t given =
	    keys->suite->kind == SUITE_CHACHA20 ? 0 : EXPLICIT_SIZE;
	const size_t tag = keys->suite->tag;
	uint8_t aad[AAD_12_SIZE];
	struct aead aead = { .key = keys->key,
			     .aad = aad,
			     .aad_size = sizeof(aad),
			     .text = record + RECORD_HEADER + given };

	if (size < RECORD_HEADER + given + tag)
		return -1;
	aead.size = (int)(size - RECORD_HEADER - given - tag);
	memcpy(aead.nonce, keys->iv, NONCE_SIZE);
	if (given == 0)
		aead_mix(aead.nonce, sequence);
	else
		memcpy(aead.nonce + NONCE_SIZE - given, record + RECORD_HEADER,
		       given);
	make_aad(aad, sequence, record, (size_t)aead.size);
	return aead_open(keys->suite, keys->cipher, &aead, plain) ? aead.size
								  : -1;
}

/* --- CBC ----------------------------------------------------------------- */

/* Whether a MAC is that of the bytes, which follow what make_aad() says. */
static bool
is_mac(const struct record_keys *keys, const uint8_t aad[AAD_12_SIZE],
       const uint8_t *bytes, size_t size, const uint8_t *mac)
{
	const EVP_MD *md = keys->suite->mac();
	const size_t length = (size_t)EVP_MD_size(md);
	uint8_t *all = malloc(AAD_12_SIZE + size);
	uint8_t right[EVP_MAX_MD_SIZE];
	bool is;

	if (all == NULL)
		return false;
	memcpy(all, aad, AAD_12_SIZE);
	if (size > 0)
		memcpy(all + AAD_12_SIZE, bytes, size);
	is = HMAC(md, keys->mac, (int)length, all, AAD_12_SIZE + size, right,
		  NULL) != NULL &&
	     CRYPTO_memcmp(mac, right, length) == 0;
	explicit_bzero(all, AAD_12_SIZE + size);
	free(all);
	return is;
}

/*
 * Decrypts behind the IV and takes the padding off, whatever is in it: the MAC
 * would not be in its place behind another. -1: there is none.
 */
static int
open_blocks(const struct record_keys *keys, const uint8_t *iv, size_t size,
	    uint8_t *plain)
{
	const EVP_CIPHER *cipher = keys->suite->cipher();
	const size_t block = (size_t)EVP_CIPHER_block_size(cipher);
	int got, more;
	size_t padding;

	if (size < 2 * block || size % block != 0 ||
	    EVP_DecryptInit_ex(keys->cipher, cipher, NULL, keys->key, iv) <=
		0 ||
	    EVP_CIPHER_CTX_set_padding(keys->cipher, 0) <= 0 ||
	    EVP_DecryptUpdate(keys->cipher, plain, &got, iv + block,
			      (int)(size - block)) <= 0 ||
	    EVP_DecryptFinal_ex(keys->cipher, plain + got, &more) <= 0)
		return -1;
	size -= block;
	padding = plain[size - 1] + 1u;
	return padding <= size ? (int)(size - padding) : -1;
}

static int
open_cbc(const struct record_keys *keys, uint64_t sequence,
	 const uint8_t *record, size_t size, uint8_t *plain)
{
	const uint8_t *iv = record + RECORD_HEADER;
	const size_t mac = (size_t)EVP_MD_size(keys->suite->mac());
	uint8_t aad[AAD_12_SIZE];
	int got;

	size -= RECORD_HEADER;
	if (keys->encrypt_then_mac) {
		if (size < mac)
			return -1;
		size -= mac;
		make_aad(aad, sequence, record, size);
		if (!is_mac(keys, aad, iv, size, iv + size))
			return -1;
		return open_blocks(keys, iv, size, plain);
	}
	got = open_blocks(keys, iv, size, plain);
	if (got < (int)mac)
		return -1;
	got -= (int)mac;
	make_aad(aad, sequence, record, (size_t)got);
	return is_mac(keys, aad, plain, (size_t)got, plain + got) ? got : -1;
}

/* ------------------------------------------------------------------------- */

int
record_open(const struct record_keys *keys, uint64_t sequence,
	    const uint8_t *record, size_t size, uint8_t *plain, uint8_t *type)
{
	if (size < RECORD_HEADER)
		return -1;
	if (keys->is_13)
		return open_13(keys, sequence, record, size, plain, type);
	*type = record[0];
	if (keys->suite->kind == SUITE_CBC)
		return open_cbc(keys, sequence, record, size, plain);
	return open_aead_12(keys, sequence, record, size, plain);
}
