// SPDX-License-Identifier: BSD-3-Clause
/*
 * QUIC's headers, the protection of Initial packets (RFC 9001, 5) and the
 * frames in them. The packets' tags are not verified: what was decrypted with
 * the wrong keys does not look like frames.
 */
#include "ebpftls-quic.h"

#include <string.h>

#define LONG_HEADER   0x80
#define RESERVED_BITS 0x0c
#define SAMPLE_AT     4 /* behind the packet number's first byte */
#define TAG_SIZE      16
#define NONCE_SIZE    12
#define PLAIN_MAX     2048 /* of one packet: more is not looked at */

#define FRAME_PADDING 0x00
#define FRAME_PING    0x01
#define FRAME_ACK     0x02
#define FRAME_ACK_ECN 0x03
#define FRAME_CRYPTO  0x06
#define FRAME_CLOSE   0x1c

struct keys {
	struct ebpftls_aes128 packet;
	struct ebpftls_aes128 header;
	uint8_t iv[NONCE_SIZE];
};

struct view {
	const uint8_t *at;
	uint32_t left;
};

static uint32_t
be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
	       (uint32_t)at[2] << 8 | at[3];
}

static bool
advance(struct view *view, uint64_t bytes)
{
	if (view->left < bytes)
		return false;
	view->at += bytes;
	view->left -= (uint32_t)bytes;
	return true;
}

static bool
take_number(struct view *view, uint64_t *number)
{
	uint32_t size;

	if (view->left == 0)
		return false;
	size = 1u << (view->at[0] >> 6);
	if (view->left < size)
		return false;
	*number = view->at[0] & 0x3f;
	for (uint32_t i = 1; i < size; i++)
		*number = *number << 8 | view->at[i];
	return advance(view, size);
}

/* --- packets ------------------------------------------------------------- */

/* The bit after the first is not looked at: it may be any (RFC 9287). */
bool
ebpftls_quic_begins(const uint8_t *bytes, uint32_t caplen)
{
	if (caplen < 7 || !(bytes[0] & LONG_HEADER))
		return false;
	return be32(bytes + 1) == EBPFTLS_QUIC_VERSION_1 ||
	       be32(bytes + 1) == EBPFTLS_QUIC_VERSION_2;
}

static enum ebpftls_quic_kind
long_kind(uint8_t first, uint32_t version)
{
	unsigned int type = first >> 4 & 3;

	/* version 2 counts from another one on */
	return (enum ebpftls_quic_kind)(
	    version == EBPFTLS_QUIC_VERSION_2 ? (type + 3) % 4 : type);
}

static bool
take_destination(struct view *view, struct ebpftls_quic_origin *to)
{
	if (view->left == 0)
		return false;
	to->cid_size = view->at[0];
	if (to->cid_size > EBPFTLS_QUIC_CID_MAX ||
	    view->left < 1u + to->cid_size)
		return false;
	memcpy(to->cid, view->at + 1, to->cid_size);
	return advance(view, 1u + to->cid_size);
}

static bool
take_long(struct ebpftls_quic_packet *packet, struct view *view)
{
	const uint8_t *start = view->at;
	uint64_t length;

	packet->to.version = be32(start + 1);
	packet->kind = long_kind(start[0], packet->to.version);
	if (!advance(view, 5) || !take_destination(view, &packet->to) ||
	    view->left == 0)
		return false;
	packet->from_size = view->at[0];
	if (!advance(view, 1u + packet->from_size))
		return false;
	if (packet->kind == EBPFTLS_QUIC_RETRY)
		return advance(view, view->left);
	if (packet->kind == EBPFTLS_QUIC_INITIAL &&
	    (!take_number(view, &length) || !advance(view, length)))
		return false;
	if (!take_number(view, &length) || length > UINT16_MAX)
		return false;
	packet->number_at = (uint32_t)(view->at - start);
	packet->len = packet->number_at + (uint32_t)length;
	return advance(view, length < view->left ? length : view->left);
}

bool
ebpftls_quic_next(struct ebpftls_quic_packet *packet, const uint8_t **bytes,
		  uint32_t *caplen)
{
	struct view view = { *bytes, *caplen };

	memset(packet, 0, sizeof(*packet));
	packet->bytes = *bytes;
	if (ebpftls_quic_begins(view.at, view.left)) {
		if (!take_long(packet, &view))
			return false;
	} else {
		if (view.left == 0 || (view.at[0] & LONG_HEADER))
			return false;
		packet->kind = EBPFTLS_QUIC_SHORT;
		advance(&view, view.left);
	}
	packet->size = (uint32_t)(view.at - *bytes);
	*bytes = view.at;
	*caplen = view.left;
	return true;
}

/* --- protection ---------------------------------------------------------- */

void
ebpftls_quic_initial_secret(const struct ebpftls_quic_origin *origin,
			    bool from_server,
			    uint8_t secret[EBPFTLS_SHA256_SIZE])
{
	static const uint8_t salts[2][20] = {
		{ 0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
		  0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a },
		{ 0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
		  0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9 },
	};
	const bool two = origin->version == EBPFTLS_QUIC_VERSION_2;

	ebpftls_hkdf_extract(salts[two], sizeof(salts[two]), origin->cid,
			     origin->cid_size, secret);
	ebpftls_hkdf_expand_label(secret,
				  from_server ? "server in" : "client in",
				  secret, EBPFTLS_SHA256_SIZE);
}

static void
make_keys(struct keys *keys, const struct ebpftls_quic_origin *origin)
{
	const bool two = origin->version == EBPFTLS_QUIC_VERSION_2;
	uint8_t secret[EBPFTLS_SHA256_SIZE], key[16];

	ebpftls_quic_initial_secret(origin, false, secret);
	ebpftls_hkdf_expand_label(secret, two ? "quicv2 key" : "quic key", key,
				  sizeof(key));
	ebpftls_aes128_init(&keys->packet, key);
	ebpftls_hkdf_expand_label(secret, two ? "quicv2 hp" : "quic hp", key,
				  sizeof(key));
	ebpftls_aes128_init(&keys->header, key);
	ebpftls_hkdf_expand_label(secret, two ? "quicv2 iv" : "quic iv",
				  keys->iv, sizeof(keys->iv));
}

/*
 * Makes the first nonce out of the packet number; a client's are so low that
 * their lower bytes are all of them. Returns its size, 0: the packet was not
 * encrypted with these keys.
 */
static uint32_t
take_nonce(const struct keys *keys, const struct ebpftls_quic_packet *packet,
	   uint8_t nonce[EBPFTLS_AES_BLOCK])
{
	const uint8_t *number = packet->bytes + packet->number_at;
	uint8_t mask[EBPFTLS_AES_BLOCK], first;
	uint32_t size;

	ebpftls_aes128_encrypt(&keys->header, number + SAMPLE_AT, mask);
	first = packet->bytes[0] ^ (mask[0] & 0x0f);
	if (first & RESERVED_BITS)
		return 0;
	size = (first & 3u) + 1;
	memcpy(nonce, keys->iv, NONCE_SIZE);
	memset(nonce + NONCE_SIZE, 0, EBPFTLS_AES_BLOCK - NONCE_SIZE);
	for (uint32_t i = 0; i < size; i++)
		nonce[NONCE_SIZE - size + i] ^= number[i] ^ mask[1 + i];
	return size;
}

/* Counter mode as in GCM, whose first block goes into the tag. */
static void
decrypt(const struct keys *keys, uint8_t nonce[EBPFTLS_AES_BLOCK],
	const uint8_t *from, uint8_t *to, uint32_t size)
{
	uint8_t stream[EBPFTLS_AES_BLOCK];

	for (uint32_t i = 0; i < size; i++) {
		uint32_t block = i / EBPFTLS_AES_BLOCK + 2;

		if (i % EBPFTLS_AES_BLOCK == 0) {
			nonce[NONCE_SIZE + 2] = (uint8_t)(block >> 8);
			nonce[NONCE_SIZE + 3] = (uint8_t)block;
			ebpftls_aes128_encrypt(&keys->packet, nonce, stream);
		}
		to[i] = from[i] ^ stream[i % EBPFTLS_AES_BLOCK];
	}
}

/* Returns how much of the packet's content there is now in `plain`. */
static uint32_t
open_packet(const struct ebpftls_quic_packet *packet,
	    const struct ebpftls_quic_origin *origin, uint8_t plain[PLAIN_MAX])
{
	uint8_t nonce[EBPFTLS_AES_BLOCK];
	uint32_t start, end, size;
	struct keys keys;

	if (packet->number_at + SAMPLE_AT + EBPFTLS_AES_BLOCK > packet->size)
		return 0;
	make_keys(&keys, origin);
	size = take_nonce(&keys, packet, nonce);
	if (size == 0)
		return 0;
	start = packet->number_at + size;
	end = packet->len - TAG_SIZE;
	if (end > packet->size)
		end = packet->size;
	if (end <= start)
		return 0;
	size = end - start < PLAIN_MAX ? end - start : PLAIN_MAX;
	decrypt(&keys, nonce, packet->bytes + start, plain, size);
	return size;
}

/* --- frames -------------------------------------------------------------- */

static bool
skip_ack(struct view *view, bool ecn)
{
	uint64_t number, ranges;

	if (!take_number(view, &number) || !take_number(view, &number) ||
	    !take_number(view, &ranges) || !take_number(view, &number))
		return false;
	/* each has at least two bytes */
	if (ranges > view->left)
		return false;
	for (uint64_t i = 0; i < 2 * ranges + (ecn ? 3 : 0); i++)
		if (!take_number(view, &number))
			return false;
	return true;
}

/* What there is of it; the rest may have been cut. */
static bool
take_crypto(struct view *view, ebpftls_quic_taker *take, void *context)
{
	uint64_t at, size;

	if (!take_number(view, &at) || !take_number(view, &size))
		return false;
	take(context, at, view->at,
	     size < view->left ? (uint32_t)size : view->left);
	return advance(view, size);
}

bool
ebpftls_quic_frames(const uint8_t *bytes, uint32_t size, bool cut,
		    ebpftls_quic_taker *take, void *context)
{
	struct view view = { bytes, size };

	while (view.left > 0) {
		uint8_t type = view.at[0];

		advance(&view, 1);
		switch (type) {
		case FRAME_PADDING:
		case FRAME_PING:
			break;
		case FRAME_ACK:
		case FRAME_ACK_ECN:
			if (!skip_ack(&view, type == FRAME_ACK_ECN))
				return cut;
			break;
		case FRAME_CRYPTO:
			if (!take_crypto(&view, take, context))
				return cut;
			break;
		case FRAME_CLOSE:
			return true;
		default:
			return false;
		}
	}
	return true;
}

/* What a packet adds to the ClientHello. */
struct more {
	struct ebpftls_quic_hello hello;
	bool crypto; /* it has something of it */
};

static void
add_to_hello(void *context, uint64_t at, const uint8_t *bytes, uint32_t size)
{
	struct more *more = context;

	more->crypto = true;
	for (uint32_t i = 0; i < size; i++) {
		if (at + i >= EBPFTLS_QUIC_HELLO_SIZE)
			break;
		more->hello.bytes[at + i] = bytes[i];
		more->hello.have |= UINT64_C(1) << (at + i);
	}
}

bool
ebpftls_quic_collect(struct ebpftls_quic_hello *hello,
		     const struct ebpftls_quic_packet *packet,
		     const struct ebpftls_quic_origin *origin)
{
	struct more more = { .hello = *hello };
	uint8_t plain[PLAIN_MAX];
	const uint32_t size = open_packet(packet, origin, plain);
	const bool cut = packet->size < packet->len || size == PLAIN_MAX;

	if (!ebpftls_quic_frames(plain, size, cut, add_to_hello, &more) ||
	    !more.crypto)
		return false;
	*hello = more.hello;
	return true;
}

bool
ebpftls_quic_same(const struct ebpftls_quic_origin *a,
		  const struct ebpftls_quic_origin *b)
{
	return a->version == b->version && a->cid_size == b->cid_size &&
	       memcmp(a->cid, b->cid, a->cid_size) == 0;
}

const uint8_t *
ebpftls_quic_random(const struct ebpftls_quic_hello *hello)
{
	const uint64_t all = (UINT64_C(1) << EBPFTLS_QUIC_HELLO_SIZE) - 1;
	const uint8_t *bytes = hello->bytes;

	if (hello->have != all || bytes[0] != 1 || bytes[4] != 3 ||
	    bytes[5] != 3)
		return NULL;
	return bytes + 6;
}
