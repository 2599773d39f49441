// SPDX-License-Identifier: BSD-3-Clause
/*
 * Are the right keys used for each record of TLS 1.3, whatever the ends do and
 * whatever is missing? The ends are made here, with keys derived and records
 * sealed by libcrypto's own HKDF and AES.
 */
#include "conversation.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "unit/check.h"

#define RECORD_MAX 17000

enum { HANDSHAKE = 22, DATA = 23 };

static struct keylog *keys;
static struct conversation *conversation;
static uint8_t random_bytes[KEYLOG_RANDOM];

/* What a side seals with. */
struct sealer {
	uint8_t secret[32];
	uint8_t key[16];
	uint8_t iv[12];
	uint64_t sequence;
};

static struct sealer early, handshake[2], data[2];

/* --- sealing ---------------------------------------------------------------
 */

static void
expand(const uint8_t secret[32], const char *label, uint8_t *to, size_t size)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
	uint8_t info[64] = { (uint8_t)(size >> 8), (uint8_t)size };
	const size_t length =
	    (size_t)sprintf((char *)info + 3, "tls13 %s", label);

	info[2] = (uint8_t)length;
	if (EVP_PKEY_derive_init(ctx) <= 0 ||
	    EVP_PKEY_CTX_set_hkdf_mode(ctx, EVP_PKEY_HKDEF_MODE_EXPAND_ONLY) <=
		0 ||
	    EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256()) <= 0 ||
	    EVP_PKEY_CTX_set1_hkdf_key(ctx, secret, 32) <= 0 ||
	    EVP_PKEY_CTX_add1_hkdf_info(ctx, info, (int)length + 4) <= 0 ||
	    EVP_PKEY_derive(ctx, to, &size) <= 0)
		abort();
	EVP_PKEY_CTX_free(ctx);
}

static void
set_secret(struct sealer *sealer)
{
	expand(sealer->secret, "key", sealer->key, sizeof(sealer->key));
	expand(sealer->secret, "iv", sealer->iv, sizeof(sealer->iv));
	sealer->sequence = 0;
}

static void
make_secret(struct sealer *sealer)
{
	for (size_t i = 0; i < sizeof(sealer->secret); i++)
		sealer->secret[i] = (uint8_t)check_random(256);
	set_secret(sealer);
}

static void
update(struct sealer *sealer)
{
	uint8_t next[32];

	expand(sealer->secret, "traffic upd", next, sizeof(next));
	memcpy(sealer->secret, next, sizeof(next));
	set_secret(sealer);
}

/* Returns the size of the record. */
static uint32_t
seal(struct sealer *sealer, uint8_t type, const uint8_t *content,
     uint32_t count, uint8_t *to)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const uint32_t size = count + 1 + 16;
	uint8_t nonce[12];
	int got;

	memcpy(to,
	       (uint8_t[]){ DATA, 3, 3, (uint8_t)(size >> 8), (uint8_t)size },
	       5);
	memcpy(nonce, sealer->iv, sizeof(nonce));
	for (int i = 0; i < 8; i++)
		nonce[11 - i] ^= (uint8_t)(sealer->sequence >> 8 * i);
	sealer->sequence++;
	EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, sealer->key, nonce);
	EVP_EncryptUpdate(ctx, NULL, &got, to, 5);
	EVP_EncryptUpdate(ctx, to + 5, &got, content, (int)count);
	EVP_EncryptUpdate(ctx, to + 5 + count, &got, &type, 1);
	EVP_EncryptFinal_ex(ctx, to + 5 + count + 1, &got);
	EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, to + 5 + count + 1);
	EVP_CIPHER_CTX_free(ctx);
	return 5 + size;
}

/* --- what the ends send ----------------------------------------------------
 */

static void
say(enum conversation_side side, const uint8_t *bytes, uint32_t count)
{
	conversation_bytes(conversation, side, bytes, count);
}

static void
say_sealed(enum conversation_side side, struct sealer *sealer, uint8_t type,
	   uint32_t count, const uint8_t *content)
{
	uint8_t record[RECORD_MAX];

	say(side, record, seal(sealer, type, content, count, record));
}

/* A message without anything in it. */
static void
say_message(enum conversation_side side, struct sealer *sealer, uint8_t type)
{
	say_sealed(side, sealer, HANDSHAKE, 4, (uint8_t[]){ type, 0, 0, 0 });
}

static void
say_data(enum conversation_side side, uint32_t count)
{
	static const uint8_t content[16384];

	say_sealed(side, &data[side], DATA, count, content);
}

static void
say_client_hello(bool early_data)
{
	uint8_t record[5 + 4 + 2 + 32 + 1 + 4 + 2 + 2 + 4] = {
		HANDSHAKE, 3, 1, 0, 51, 1, 0, 0, 47, 3, 3,
	};

	memcpy(record + 11, random_bytes, 32);
	memcpy(record + 43, (uint8_t[]){ 0, 0, 2, 0x13, 1, 1, 0, 0, 4 }, 9);
	record[53] = early_data ? 42 : 99;
	say(SIDE_CLIENT, record, sizeof(record));
}

static void
say_server_hello(bool retry)
{
	static const uint8_t again[] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a,
					 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02 };
	uint8_t record[5 + 4 + 2 + 32 + 1 + 3 + 2 + 6] = {
		HANDSHAKE, 3, 3, 0, 50, 2, 0, 0, 46, 3, 3,
	};

	if (retry)
		memcpy(record + 11, again, sizeof(again));
	memcpy(record + 43,
	       (uint8_t[]){ 0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4 }, 12);
	say(SIDE_SERVER, record, sizeof(record));
}

/* --- cases -----------------------------------------------------------------
 */

static void
know(enum ebpftls_label label, const struct sealer *sealer)
{
	char line[256], *at = line + sprintf(line, "%s ", keylog_name(label));

	for (int i = 0; i < 32; i++)
		at += sprintf(at, "%02x", random_bytes[i]);
	*at++ = ' ';
	for (int i = 0; i < 32; i++)
		at += sprintf(at, "%02x", sealer->secret[i]);
	keylog_add(keys, (const uint8_t *)line, (size_t)(at - line));
}

static void
begin(void)
{
	keys = keylog_new(4);
	conversation = conversation_new(keys);
	for (size_t i = 0; i < sizeof(random_bytes); i++)
		random_bytes[i] = (uint8_t)check_random(256);
	make_secret(&early);
	for (int i = 0; i < 2; i++) {
		make_secret(&handshake[i]);
		make_secret(&data[i]);
	}
	know(EBPFTLS_CLIENT_HANDSHAKE_TRAFFIC_SECRET, &handshake[SIDE_CLIENT]);
	know(EBPFTLS_SERVER_HANDSHAKE_TRAFFIC_SECRET, &handshake[SIDE_SERVER]);
	know(EBPFTLS_CLIENT_TRAFFIC_SECRET_0, &data[SIDE_CLIENT]);
	know(EBPFTLS_SERVER_TRAFFIC_SECRET_0, &data[SIDE_SERVER]);
}

/* How many records there should have been, and how many of them opened. */
static void
end(uint32_t records, uint32_t opened, unsigned int missing)
{
	const struct conversation_result result =
	    conversation_result(conversation);

	if (!check(result.records == records) ||
	    !check(result.opened == opened) ||
	    !check(result.missing == missing) || !check(result.wrong == 0))
		printf("  %u of %u records, missing %x, wrong %x\n",
		       result.opened, result.records, result.missing,
		       result.wrong);
	conversation_free(conversation);
	keylog_free(keys);
}

static void
shake_hands(void)
{
	say_client_hello(false);
	say_server_hello(false);
	say_message(SIDE_SERVER, &handshake[SIDE_SERVER], 20);
	say_message(SIDE_CLIENT, &handshake[SIDE_CLIENT], 20);
}

static void
retry(void)
{
	begin();
	say_client_hello(false);
	say_server_hello(true);
	shake_hands();
	say_data(SIDE_CLIENT, 10);
	say_data(SIDE_SERVER, 10);
	end(4, 4, 0);
}

static void
early_accepted(void)
{
	begin();
	know(EBPFTLS_CLIENT_EARLY_TRAFFIC_SECRET, &early);
	say_client_hello(true);
	say_sealed(SIDE_CLIENT, &early, DATA, 5, random_bytes);
	say_sealed(SIDE_CLIENT, &early, DATA, 5, random_bytes);
	say_server_hello(false);
	say_message(SIDE_SERVER, &handshake[SIDE_SERVER], 20);
	say_sealed(SIDE_CLIENT, &early, DATA, 5, random_bytes);
	say_message(SIDE_CLIENT, &early, 5);
	say_message(SIDE_CLIENT, &handshake[SIDE_CLIENT], 20);
	say_data(SIDE_CLIENT, 10);
	end(7, 7, 0);
}

static void
early_rejected(void)
{
	begin();
	know(EBPFTLS_CLIENT_EARLY_TRAFFIC_SECRET, &early);
	say_client_hello(true);
	say_sealed(SIDE_CLIENT, &early, DATA, 5, random_bytes);
	say_server_hello(false);
	say_sealed(SIDE_CLIENT, &early, DATA, 5, random_bytes);
	say_message(SIDE_CLIENT, &handshake[SIDE_CLIENT], 20);
	say_data(SIDE_CLIENT, 10);
	end(4, 4, 0);
}

/* What follows early data without keys is found nevertheless. */
static void
early_missing(void)
{
	begin();
	say_client_hello(true);
	say_sealed(SIDE_CLIENT, &early, DATA, 5, random_bytes);
	say_server_hello(false);
	say_sealed(SIDE_CLIENT, &early, DATA, 5, random_bytes);
	say_message(SIDE_CLIENT, &early, 5);
	say_message(SIDE_CLIENT, &handshake[SIDE_CLIENT], 20);
	say_data(SIDE_CLIENT, 10);
	end(5, 2, 1u << EBPFTLS_CLIENT_EARLY_TRAFFIC_SECRET);
}

static void
key_updates(void)
{
	begin();
	shake_hands();
	for (int i = 0; i < 5; i++) {
		say_data(SIDE_SERVER, 10);
		say_message(SIDE_SERVER, &data[SIDE_SERVER], 24);
		update(&data[SIDE_SERVER]);
	}
	say_data(SIDE_SERVER, 10);
	end(2 + 5 * 2 + 1, 2 + 5 * 2 + 1, 0);
}

/* Records that are missing, of the longest size or of less. */
static void
lose_some(uint32_t count, uint32_t size)
{
	uint8_t record[RECORD_MAX], content[16384] = { 0 };
	uint32_t all = 0;

	for (uint32_t i = 0; i < count; i++)
		all += seal(&data[SIDE_SERVER], DATA, content, size, record);
	conversation_gap(conversation, SIDE_SERVER, all, false);
}

static void
lost(void)
{
	static const uint32_t sizes[] = { 16384, 16384, 1, 100 };
	static const uint32_t counts[] = { 1, 1000, 20, 5 };

	for (size_t i = 0; i < 4; i++) {
		begin();
		shake_hands();
		say_data(SIDE_SERVER, 10);
		lose_some(counts[i], sizes[i]);
		say_data(SIDE_SERVER, 10);
		say_data(SIDE_SERVER, 10);
		end(5, 5, 0);
	}
}

/* Longer ones are not found at once. */
static void
lost_small(void)
{
	begin();
	shake_hands();
	lose_some(200, 50);
	for (int i = 0; i < 20; i++)
		say_data(SIDE_SERVER, 10);
	end(22, 2 + 20 - 6, 0);
}

static void
lost_update(void)
{
	begin();
	shake_hands();
	say_data(SIDE_SERVER, 10);
	lose_some(1, 4);
	update(&data[SIDE_SERVER]);
	say_data(SIDE_SERVER, 10);
	say_data(SIDE_SERVER, 10);
	end(5, 5, 0);
}

/* A record whose header is there counts, however much else is not. */
static void
cut(void)
{
	uint8_t record[RECORD_MAX], content[1000] = { 0 };
	uint32_t size;

	begin();
	shake_hands();
	for (int i = 0; i < 3; i++) {
		size = seal(&data[SIDE_SERVER], DATA, content, 1000, record);
		say(SIDE_SERVER, record, 5 + 100 * (uint32_t)i);
		conversation_gap(conversation, SIDE_SERVER,
				 size - 5 - 100 * (uint32_t)i - 30, true);
		say(SIDE_SERVER, record + size - 30, 30);
		say_data(SIDE_SERVER, 10);
	}
	check(conversation_result(conversation).cut == 3);
	end(5, 5, 0);
}

/* As TCP may cut: each byte by itself. */
static void
bytes(void)
{
	uint8_t record[RECORD_MAX];
	uint32_t size;

	begin();
	shake_hands();
	size = seal(&data[SIDE_CLIENT], DATA, random_bytes, 32, record);
	for (uint32_t i = 0; i < size; i++)
		say(SIDE_CLIENT, record + i, 1);
	say_data(SIDE_CLIENT, 10);
	end(4, 4, 0);
}

static void
not_tls(void)
{
	begin();
	say(SIDE_CLIENT, (const uint8_t *)"GET / HTTP/1.1\r\n", 16);
	check(conversation_is_over(conversation));
	end(0, 0, 0);
	begin();
	say(SIDE_CLIENT, (const uint8_t[]){ HANDSHAKE, 3 }, 2);
	check(!conversation_is_over(conversation));
	end(0, 0, 0);
}

static const struct check_case cases[] = {
	{ "a HelloRetryRequest", retry },
	{ "early data", early_accepted },
	{ "early data that is rejected", early_rejected },
	{ "early data without a key", early_missing },
	{ "KeyUpdate", key_updates },
	{ "lost records", lost },
	{ "many lost records", lost_small },
	{ "a KeyUpdate that is lost", lost_update },
	{ "records that are cut", cut },
	{ "one byte after another", bytes },
	{ "what is not TLS", not_tls },
	{ NULL, NULL },
};

int
main(void)
{
	return check_main(cases);
}
