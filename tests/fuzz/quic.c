// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for what a server of QUIC says first, puts them into Initial
 * packets that authenticate, and follows the connection; or for packets that do
 * not. More than a hello message does not come of it.
 *
 * The input: for each packet a struct piece and `size` bytes.
 */
#include "quic.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "ebpftls-crypto.h"

#define CONTENT_MAX 4096
#define TAG_SIZE    16
#define NONCE_SIZE  12

struct piece {
	uint16_t size;
	uint8_t number;
	uint8_t kind; /* even: the content of a packet; else by whom it is */
};

static const struct ebpftls_quic_origin origin = {
	.version = EBPFTLS_QUIC_VERSION_1,
	.cid_size = 8,
};

/* All up to the length, and the number behind that. */
static const uint8_t header[] = { 0xc0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
seal(uint8_t *packet, const uint8_t *content, int size)
{
	uint8_t secret[EBPFTLS_SHA256_SIZE], key[16], hp[16];
	uint8_t nonce[NONCE_SIZE], mask[EBPFTLS_AES_BLOCK];
	uint8_t *text = packet + sizeof(header);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	struct ebpftls_aes128 aes;
	int got;

	ebpftls_quic_initial_secret(&origin, true, secret);
	ebpftls_hkdf_expand_label(secret, "quic key", key, sizeof(key));
	ebpftls_hkdf_expand_label(secret, "quic iv", nonce, sizeof(nonce));
	ebpftls_hkdf_expand_label(secret, "quic hp", hp, sizeof(hp));
	nonce[NONCE_SIZE - 1] ^= packet[sizeof(header) - 1];
	require(
	    EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, nonce) > 0 &&
	    EVP_EncryptUpdate(ctx, NULL, &got, packet, sizeof(header)) > 0 &&
	    EVP_EncryptUpdate(ctx, text, &got, content, size) > 0 &&
	    EVP_EncryptFinal_ex(ctx, text + size, &got) > 0 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_SIZE,
				text + size) > 0);
	EVP_CIPHER_CTX_free(ctx);
	ebpftls_aes128_init(&aes, hp);
	ebpftls_aes128_encrypt(&aes, packet + sizeof(header) - 1 + 4, mask);
	packet[0] ^= mask[0] & 0x0f;
	packet[sizeof(header) - 1] ^= mask[1];
}

/* As many packets as there are in it. */
static void
give(struct quic *quic, enum conversation_side side, const uint8_t *bytes,
     uint32_t size)
{
	struct ebpftls_quic_packet packet, before;
	const uint8_t *first = bytes;

	for (; ebpftls_quic_next(&packet, &bytes, &size); before = packet)
		quic_packet(quic, side, &packet, packet.size < packet.len,
			    packet.bytes == first ? NULL : &before);
}

static void
give_initial(struct quic *quic, const struct piece *piece,
	     const uint8_t *content)
{
	const int size = piece->size < 4 ? 4 : piece->size;
	uint8_t padded[CONTENT_MAX] = { 0 };
	uint8_t packet[sizeof(header) + CONTENT_MAX + TAG_SIZE];
	const uint32_t length = 1 + (uint32_t)size + TAG_SIZE;

	memcpy(padded, content, piece->size);
	memcpy(packet, header, sizeof(header));
	packet[8] = (uint8_t)(0x40 | length >> 8);
	packet[9] = (uint8_t)length;
	packet[10] = piece->number & 0x3f;
	seal(packet, padded, size);
	give(quic, SIDE_SERVER, packet, sizeof(header) - 1 + length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char line[] =
	    "SERVER_TRAFFIC_SECRET_0 "
	    "0000000000000000000000000000000000000000000000000000000000000000 "
	    "0000000000000000000000000000000000000000000000000000000000000000";
	static const uint8_t random[KEYLOG_RANDOM];
	struct keylog *log = keylog_new(1);
	struct quic *quic = quic_new(log, random);
	struct conversation_result result;
	struct piece piece;

	keylog_add(log, (const uint8_t *)line, sizeof(line) - 1);
	quic_set_origin(quic, &origin);
	while (size >= sizeof(piece)) {
		memcpy(&piece, bytes, sizeof(piece));
		bytes += sizeof(piece);
		size -= sizeof(piece);
		if (piece.size > size || piece.size > CONTENT_MAX)
			break;
		if (piece.kind % 2 == 0)
			give_initial(quic, &piece, bytes);
		else
			give(quic, piece.kind & 2 ? SIDE_CLIENT : SIDE_SERVER,
			     bytes, piece.size);
		bytes += piece.size;
		size -= piece.size;
	}
	result = quic_result(quic);
	require(result.opened == 0);
	require(result.server_hello || result.suite == NULL);
	quic_free(quic);
	keylog_free(log);
	return 0;
}
