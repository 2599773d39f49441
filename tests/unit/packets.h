/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes packets with the messages of handshakes. */
#ifndef PACKETS_H
#define PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum side { CLIENT, SERVER };

struct bytes {
	uint8_t bytes[6000];
	size_t size;
};

/* How the next packet is made. */
static struct {
	int linktype;
	bool pktap; /* a header of that before it */
	int version;
	unsigned int tags;
	unsigned int extensions; /* of IPv6 */
	bool udp;
	uint8_t flags;
	uint16_t ports[2];
	uint32_t sequence[2];
	uint8_t random[32];
} packets;

static inline void
add(struct bytes *to, const void *bytes, size_t size)
{
	if (to->size + size > sizeof(to->bytes))
		abort();
	memcpy(to->bytes + to->size, bytes, size);
	to->size += size;
}

/* A number of `size` bytes. */
static inline void
put(struct bytes *to, size_t size, uint64_t value)
{
	while (size-- > 0) {
		uint8_t byte = size < 8 ? (uint8_t)(value >> (8 * size)) : 0;

		add(to, &byte, 1);
	}
}

static inline void
add_bytes(struct bytes *to, const struct bytes *from)
{
	add(to, from->bytes, from->size);
}

static inline struct bytes
part(const struct bytes *whole, size_t at, size_t size)
{
	struct bytes piece = { .size = 0 };

	if (size > whole->size - at)
		size = whole->size - at;
	add(&piece, whole->bytes + at, size);
	return piece;
}

/* Bytes as of something encrypted, that begin no record. */
static inline void
fill(struct bytes *to, size_t size)
{
	for (size_t i = 0; i < size; i++)
		put(to, 1, 0x80 + i % 0x80);
}

static inline void
packets_other_random(void)
{
	packets.random[0]++;
}

static inline void
packets_other(void)
{
	packets_other_random();
	packets.ports[CLIENT]++;
}

static inline void
packets_begin(void)
{
	memset(&packets, 0, sizeof(packets));
	packets.linktype = 1;
	packets.version = 4;
	packets.flags = 0x10;
	packets.ports[CLIENT] = 40000;
	packets.ports[SERVER] = 443;
	packets.sequence[CLIENT] = 0xfffffff0; /* it will wrap */
	packets.sequence[SERVER] = 1000;
	for (uint8_t i = 0; i < sizeof(packets.random); i++)
		packets.random[i] = i;
}

/* --- messages ------------------------------------------------------------ */

static inline void
add_record(struct bytes *to, uint8_t type, size_t size)
{
	put(to, 1, type);
	put(to, 2, 0x0303);
	put(to, 2, size);
	fill(to, size);
}

static inline struct bytes
record(uint8_t type, size_t size)
{
	struct bytes bytes = { .size = 0 };

	add_record(&bytes, type, size);
	return bytes;
}

static inline struct bytes
hello(uint8_t type, const uint8_t random[32], uint16_t suite)
{
	struct bytes bytes = { .size = 0 };

	put(&bytes, 1, 0x16);
	put(&bytes, 2, 0x0301);
	put(&bytes, 2, 4 + 2 + 32 + 1 + 32 + 2 + 100);
	put(&bytes, 1, type);
	put(&bytes, 3, 2 + 32 + 1 + 32 + 2 + 100);
	put(&bytes, 2, 0x0303);
	add(&bytes, random, 32);
	put(&bytes, 1, 32);
	fill(&bytes, 32);
	put(&bytes, 2, suite);
	fill(&bytes, 100);
	return bytes;
}

static inline struct bytes
client_hello(void)
{
	return hello(1, packets.random, 0x0020);
}

static inline struct bytes
server_hello(uint16_t suite)
{
	static const uint8_t random[32] = { 9 };

	return hello(2, random, suite);
}

static inline struct bytes
hello_retry(void)
{
	static const uint8_t random[33] =
	    "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"
	    "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c";

	return hello(2, random, 0x1302);
}

/* The content of a handshake record, cut into several. */
static inline struct bytes
in_records(const struct bytes *whole, size_t size)
{
	struct bytes bytes = { .size = 0 };

	for (size_t at = 5; at < whole->size; at += size) {
		struct bytes piece = part(whole, at, size);

		put(&bytes, 1, 0x16);
		put(&bytes, 2, 0x0303);
		put(&bytes, 2, piece.size);
		add_bytes(&bytes, &piece);
	}
	return bytes;
}

static inline struct bytes
dtls_record(uint8_t type, size_t size)
{
	struct bytes bytes = { .size = 0 };

	put(&bytes, 1, type);
	put(&bytes, 2, 0xfefd);
	put(&bytes, 8, 7);
	put(&bytes, 2, size);
	fill(&bytes, size);
	return bytes;
}

/* A fragment of a ClientHello from `offset` on. */
static inline struct bytes
dtls_hello(uint32_t offset)
{
	struct bytes bytes = dtls_record(0x16, 0);

	bytes.size -= 2;
	put(&bytes, 2, 12 + 2 + 32 + 60);
	put(&bytes, 1, 1);
	put(&bytes, 3, 2 + 32 + 60);
	put(&bytes, 2, 0);
	put(&bytes, 3, offset);
	put(&bytes, 3, 2 + 32 + 60);
	put(&bytes, 2, 0xfefd);
	add(&bytes, packets.random, 32);
	fill(&bytes, 60);
	return bytes;
}

/* --- headers ------------------------------------------------------------- */

static inline void
put_tags(struct bytes *to, uint16_t type)
{
	static const uint16_t tpids[] = { 0x88a8, 0x8100 };

	for (unsigned int i = 0; i < packets.tags; i++) {
		put(to, 2, tpids[2 - packets.tags + i]);
		put(to, 2, 0x2005);
	}
	put(to, 2, type);
}

static inline void
put_pktap(struct bytes *to)
{
	int dlt = packets.linktype == 101 ? 12 : packets.linktype;

	put(to, 4, 0x6c000000);
	put(to, 4, 0x01000000);
	put(to, 1, (uint64_t)dlt & 0xff);
	put(to, 1, (uint64_t)dlt >> 8);
	put(to, 98, 0);
}

static inline void
put_link(struct bytes *to)
{
	uint16_t type = packets.version == 6 ? 0x86dd : 0x0800;

	if (packets.pktap)
		put_pktap(to);
	switch (packets.linktype) {
	case 101:
		return;
	case 276: /* tags do not stand in it */
		put(to, 2, type);
		fill(to, 18);
		return;
	case 113:
		fill(to, 14);
		break;
	default:
		fill(to, 12);
	}
	put_tags(to, type);
}

static inline void
put_ip(struct bytes *to, enum side side, size_t size)
{
	const uint8_t protocol = packets.udp ? 17 : 6;
	static const uint8_t next[] = { 0, 60, 44 };

	if (packets.version == 4) {
		put(to, 2, 0x4600);
		put(to, 2, size + 24);
		put(to, 4, 0x12344000);
		put(to, 2, 0x4000 | protocol);
		put(to, 2, 0);
		put(to, 4, 0x0a000001u + side);
		put(to, 4, 0x0a000002u - side);
		put(to, 4, 0x01010101);
		return;
	}
	put(to, 4, 0x60000000);
	put(to, 2, size + 8 * packets.extensions);
	put(to, 1, packets.extensions > 0 ? next[2] : protocol);
	put(to, 1, 64);
	put(to, 8, 0xfd00000000000000);
	put(to, 8, 1u + side);
	put(to, 8, 0xfd00000000000000);
	put(to, 8, 2u - side);
	for (unsigned int i = 0; i < packets.extensions; i++) {
		put(to, 1, i + 1 < packets.extensions ? next[1] : protocol);
		put(to, 7, 0);
	}
}

/* The next packet that `side` sends. */
static inline struct bytes
packet_of(enum side side, const struct bytes *payload)
{
	struct bytes packet = { .size = 0 };

	put_link(&packet);
	put_ip(&packet, side, payload->size + (packets.udp ? 8 : 24));
	put(&packet, 2, packets.ports[side]);
	put(&packet, 2, packets.ports[!side]);
	if (packets.udp) {
		put(&packet, 2, payload->size + 8);
		put(&packet, 2, 0);
	} else {
		put(&packet, 4, packets.sequence[side]);
		put(&packet, 4, packets.sequence[!side]);
		put(&packet, 2, 0x6000 | packets.flags);
		put(&packet, 6, 0);
		put(&packet, 4, 0x01010101);
		packets.sequence[side] += (uint32_t)payload->size;
	}
	add_bytes(&packet, payload);
	return packet;
}

#endif
