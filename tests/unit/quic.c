// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is the ClientHello found in QUIC's Initial packets, and is it said which
 * packets need the secrets of its connection?
 */
#include "ebpftls-crypto.h"
#include "ebpftls-flow.h"
#include "ebpftls-quic.h"

#include "unit/check.h"
#include "unit/packets.h"

#define BIT(l) (1u << EBPFTLS_##l)
#define HELLO_13                                \
	(BIT(CLIENT_HANDSHAKE_TRAFFIC_SECRET) | \
	 BIT(SERVER_HANDSHAKE_TRAFFIC_SECRET) | BIT(SERVER_TRAFFIC_SECRET_0))

#define INITIAL	  0
#define EARLY	  1
#define HANDSHAKE 2
#define RETRY	  3

static struct ebpftls_keys *keys;
static struct ebpftls_flows *flows;

/* What the next packet is made of. */
static struct {
	uint32_t version;
	uint8_t number_size;
	uint8_t reserved;    /* bits that have to be 0 */
	size_t size;	     /* up to which it is padded */
	struct bytes to;     /* connection id */
	struct bytes origin; /* whose keys are used */
} quic;

static struct bytes
from_hex(const char *hex)
{
	struct bytes bytes = { .size = 0 };

	for (; *hex != '\0'; hex += 2) {
		unsigned int byte = 0;

		sscanf(hex, "%2x", &byte);
		put(&bytes, 1, byte);
	}
	return bytes;
}

static bool
is_hex(const uint8_t *got, const char *hex)
{
	struct bytes want = from_hex(hex);

	return check_bytes(got, want.bytes, want.size);
}

/* --- published examples -------------------------------------------------- */

/* FIPS 197, C.1 */
static void
aes(void)
{
	struct bytes key = from_hex("000102030405060708090a0b0c0d0e0f");
	struct bytes text = from_hex("00112233445566778899aabbccddeeff");
	struct ebpftls_aes128 aes128;

	ebpftls_aes128_init(&aes128, key.bytes);
	ebpftls_aes128_encrypt(&aes128, text.bytes, text.bytes);
	is_hex(text.bytes, "69c4e0d86a7b0430d8cdb78070b4c55a");
}

/* RFC 5869, A.1, and RFC 9001, A.1 */
static void
hkdf(void)
{
	struct bytes salt = from_hex("000102030405060708090a0b0c");
	struct bytes input =
	    from_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
	uint8_t secret[EBPFTLS_SHA256_SIZE], out[16];

	ebpftls_hkdf_extract(salt.bytes, salt.size, input.bytes, input.size,
			     secret);
	is_hex(secret, "077709362c2e32df0ddc3f0dc47bba63"
		       "90b6c73bb50f9c3122ec844ad7c2b3e5");
	salt = from_hex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a");
	input = from_hex("8394c8f03e515708");
	ebpftls_hkdf_extract(salt.bytes, salt.size, input.bytes, input.size,
			     secret);
	is_hex(secret, "7db5df06e7a69e432496adedb0085192"
		       "3595221596ae2ae9fb8115c1e9ed0a44");
	ebpftls_hkdf_expand_label(secret, "client in", secret, 32);
	is_hex(secret, "c00cf151ca5be075ed0ebfb5c80323c4"
		       "2d6b7db67881289af4008f1f6c357aea");
	ebpftls_hkdf_expand_label(secret, "quic key", out, 16);
	is_hex(out, "1f369613dd76d5467730efcbe3b1a22d");
	ebpftls_hkdf_expand_label(secret, "quic iv", out, 12);
	is_hex(out, "fa044b2f42a3fd3b46fb255c");
	ebpftls_hkdf_expand_label(secret, "quic hp", out, 16);
	is_hex(out, "9f50449e04a0e810283a1e9933adedd2");
}

/* The first bytes of the client's Initial in RFC 9001, A.2 and RFC 9369, A.2 */
static void
initial(void)
{
	static const char *const examples[] = {
		"c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec"
		"11d242b123dc9bd8bab936b47d92ec356c0bab7df5976d27cd449f63300099"
		"f3991c260ec4c60d17b31f8429157bb35a1282a643a8d2262cad67500cadb8"
		"e7378c",
		"d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b4"
		"85dd04de806071bf03dceebfa162e75d6c96058bdbfb127cdfcbf903388e99"
		"ad049f9a3dd4425ae4d0992cfff18ecf0fdb5a842d09747052f17ac2053d21"
		"f57c5d",
	};

	for (int i = 0; i < 2; i++) {
		struct bytes example = from_hex(examples[i]);
		const uint8_t *bytes = example.bytes;
		uint32_t caplen = (uint32_t)example.size;
		struct ebpftls_quic_packet packet;
		struct ebpftls_quic_hello hello = { .have = 0 };

		if (!check(ebpftls_quic_next(&packet, &bytes, &caplen)))
			return;
		check(packet.kind == EBPFTLS_QUIC_INITIAL);
		check(packet.len == 1200 && packet.number_at == 18);
		check(ebpftls_quic_collect(&hello, &packet, &packet.to));
		if (check(ebpftls_quic_random(&hello) != NULL))
			is_hex(ebpftls_quic_random(&hello),
			       "ebf8fa56f12939b9584a3896472ec40b"
			       "b863cfd3e86804fe3a47f06a2b69484c");
	}
}

/* --- packets ------------------------------------------------------------- */

static void
start(void)
{
	keys = ebpftls_keys_new(16);
	flows = ebpftls_flows_new(16);
	packets_begin();
	packets.udp = true;
	memset(&quic, 0, sizeof(quic));
	quic.version = 1;
	quic.number_size = 4;
	quic.size = 1200;
	quic.to = quic.origin = from_hex("8394c8f03e515708");
}

static void
stop(void)
{
	ebpftls_flows_free(flows);
	ebpftls_keys_free(keys);
}

/* The header up to where a token or the length is. */
static struct bytes
long_header(uint8_t kind)
{
	struct bytes bytes = { .size = 0 };

	if (quic.version != 1)
		kind = (kind + 1) % 4;
	put(&bytes, 1, 0xc0u | (unsigned int)kind << 4);
	put(&bytes, 4, quic.version);
	put(&bytes, 1, quic.to.size);
	add_bytes(&bytes, &quic.to);
	put(&bytes, 1, 3);
	put(&bytes, 3, 0xabcdef);
	return bytes;
}

static struct bytes
other_packet(uint8_t kind, size_t size)
{
	struct bytes bytes = long_header(kind);

	if (kind == INITIAL)
		put(&bytes, 1, 0);
	if (kind != RETRY)
		put(&bytes, 2, 0x4000 | size);
	fill(&bytes, size);
	return bytes;
}

static void
derive(struct ebpftls_aes128 *packet, struct ebpftls_aes128 *header,
       uint8_t iv[12])
{
	const bool two = quic.version != 1;
	struct bytes salt =
	    from_hex(two ? "0dede3def700a6db819381be6e269dcbf9bd2ed9"
			 : "38762cf7f55934b34d179ae6a4c80cadccbb7f0a");
	uint8_t secret[EBPFTLS_SHA256_SIZE], key[16];

	ebpftls_hkdf_extract(salt.bytes, salt.size, quic.origin.bytes,
			     quic.origin.size, secret);
	ebpftls_hkdf_expand_label(secret, "client in", secret, 32);
	ebpftls_hkdf_expand_label(secret, two ? "quicv2 key" : "quic key", key,
				  16);
	ebpftls_aes128_init(packet, key);
	ebpftls_hkdf_expand_label(secret, two ? "quicv2 hp" : "quic hp", key,
				  16);
	ebpftls_aes128_init(header, key);
	ebpftls_hkdf_expand_label(secret, two ? "quicv2 iv" : "quic iv", iv,
				  12);
}

/* An Initial packet as a client protects it, with a token, and a false tag. */
static struct bytes
initial_packet(const struct bytes *content)
{
	const uint32_t number = 0x01020304;
	struct ebpftls_aes128 packet_key, header_key;
	struct bytes bytes = long_header(INITIAL), frames = *content;
	uint8_t block[16], stream[16], *at;
	size_t number_at, size;

	put(&bytes, 1, 5);
	fill(&bytes, 5);
	number_at = bytes.size + 2;
	size = number_at + quic.number_size + frames.size + 16;
	if (size < quic.size)
		put(&frames, quic.size - size, 0);
	put(&bytes, 2, 0x4000 | (quic.number_size + frames.size + 16));
	put(&bytes, quic.number_size, number);
	add_bytes(&bytes, &frames);
	fill(&bytes, 16);

	derive(&packet_key, &header_key, block);
	for (uint8_t i = 0; i < quic.number_size; i++)
		block[11 - i] ^= (uint8_t)(number >> (8 * i));
	at = bytes.bytes + number_at + quic.number_size;
	for (size_t i = 0; i < frames.size; i++) {
		uint32_t count = (uint32_t)(i / 16 + 2);

		for (int j = 0; j < 4; j++)
			block[12 + j] = (uint8_t)(count >> (24 - 8 * j));
		ebpftls_aes128_encrypt(&packet_key, block, stream);
		at[i] ^= stream[i % 16];
	}
	ebpftls_aes128_encrypt(&header_key, bytes.bytes + number_at + 4, block);
	bytes.bytes[0] |= (uint8_t)(quic.reserved | (quic.number_size - 1));
	bytes.bytes[0] ^= block[0] & 0x0f;
	for (uint8_t i = 0; i < quic.number_size; i++)
		bytes.bytes[number_at + i] ^= block[1 + i];
	return bytes;
}

/* A CRYPTO frame with this part of the ClientHello. */
static void
add_crypto(struct bytes *frames, size_t at, size_t size)
{
	struct bytes whole = client_hello(), piece;

	whole = part(&whole, 5, whole.size); /* there is no record header */
	piece = part(&whole, at, size);
	put(frames, 1, 6);
	put(frames, 2, 0x4000 | at);
	put(frames, 4, 0x80000000 | piece.size);
	add_bytes(frames, &piece);
}

static struct bytes
whole_hello(void)
{
	struct bytes frames = { .size = 0 };

	add_crypto(&frames, 0, 2000);
	put(&frames, 40, 0);
	return initial_packet(&frames);
}

static unsigned int
give(const struct bytes *packet)
{
	static const struct ebpftls_end nobody[2];
	struct ebpftls_need need;
	uint8_t *copy = malloc(packet->size);

	if (copy == NULL)
		abort();
	memcpy(copy, packet->bytes, packet->size);
	if (ebpftls_flows_packet(flows, keys, 1, copy, (uint32_t)packet->size,
				 nobody, 1, &need))
		check_bytes(need.random, packets.random, 32);
	free(copy);
	return need.labels;
}

static unsigned int
say(enum side side, const struct bytes *payload)
{
	struct bytes packet = packet_of(side, payload);

	return give(&packet);
}

static bool
is_captured(void)
{
	struct ebpftls_keys_entry *entry =
	    ebpftls_keys_find(keys, packets.random);

	return entry != NULL && entry->captured;
}

/* From the server's first packet on. */
static void
finish(void)
{
	struct bytes server = other_packet(HANDSHAKE, 200);
	struct bytes packet = from_hex("41000102030405060708");

	check(is_captured());
	check(say(CLIENT, &packet) == 0);
	check(say(SERVER, &packet) == 0);
	check(say(SERVER, &server) == HELLO_13);
	check(say(SERVER, &server) == 0);
	check(say(SERVER, &packet) == BIT(CLIENT_TRAFFIC_SECRET_0));
	check(say(CLIENT, &packet) == 0);
}

static void
versions(void)
{
	struct bytes packet;

	for (uint8_t i = 0; i < 8; i++) {
		start();
		quic.version = i < 4 ? 1 : 0x6b3343cf;
		quic.number_size = i % 4 + 1;
		packet = whole_hello();
		check(say(CLIENT, &packet) == 0);
		finish();
		stop();
	}
	start();
	quic.version = 2;
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0);
	check(!is_captured());
	stop();
}

/* Frames in any order, in one packet or several. */
static void
shuffled(void)
{
	struct bytes frames = { .size = 0 }, packet;

	start();
	put(&frames, 1, 1); /* PING */
	add_crypto(&frames, 30, 3);
	add_crypto(&frames, 100, 60);
	put(&frames, 3, 0);
	add_crypto(&frames, 0, 7);
	packet = initial_packet(&frames);
	check(say(CLIENT, &packet) == 0 && !is_captured());
	/* the server acknowledges, and the client uses its connection id */
	packet = other_packet(INITIAL, 60);
	check(say(SERVER, &packet) == 0);
	quic.to = from_hex("0102");
	frames.size = 0;
	put(&frames, 5, 0x0200000000); /* ACK of one range */
	add_crypto(&frames, 33, 30);
	put(&frames, 4, 0x03030101); /* ACK of two, with ECN */
	put(&frames, 6, 0x010101010101);
	put(&frames, 1, 1);
	put(&frames, 1, 1);
	add_crypto(&frames, 5, 26);
	packet = initial_packet(&frames);
	check(say(CLIENT, &packet) == 0);
	finish();
	stop();
}

/* A large one, in three packets: each a datagram, or one for all. */
static void
three_packets(void)
{
	static const size_t at[] = { 0, 13, 29, 2000 };
	struct bytes frames, packet, all = { .size = 0 };

	start();
	for (int i = 2; i >= 0; i--) {
		frames.size = 0;
		add_crypto(&frames, at[i], at[i + 1] - at[i]);
		packet = initial_packet(&frames);
		check(!is_captured());
		check(say(CLIENT, &packet) == 0);
		add_bytes(&all, &packet);
	}
	finish();
	stop();
	start();
	check(say(CLIENT, &all) == 0);
	finish();
	stop();
}

static void
after_retry(void)
{
	struct bytes packet;

	start();
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0);
	packet = other_packet(RETRY, 60);
	check(say(SERVER, &packet) == 0);
	packet = from_hex("ca0000000008000102030405060708000102030405060708");
	check(say(SERVER, &packet) == 0); /* Version Negotiation */
	quic.to = quic.origin = from_hex("f067a5502a4262b5");
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0);
	finish();
	stop();
}

static void
early(void)
{
	const unsigned int label = BIT(CLIENT_EARLY_TRAFFIC_SECRET);
	struct bytes packet, more;

	start();
	packet = whole_hello();
	more = other_packet(EARLY, 100);
	check(say(CLIENT, &more) == 0);
	add_bytes(&packet, &more);
	check(say(CLIENT, &packet) == label);
	check(say(CLIENT, &more) == 0);
	finish();
	packets_other();
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0);
	check(say(CLIENT, &more) == label);
	finish();
	stop();
}

/* All that a client sends at the end stands in one datagram. */
static void
coalesced(void)
{
	struct bytes packet, more;

	start();
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0);
	packet = other_packet(INITIAL, 90);
	more = other_packet(HANDSHAKE, 900);
	add_bytes(&packet, &more);
	packet.bytes[0] &= 0xbf; /* either side may clear it */
	check(say(SERVER, &packet) == HELLO_13);
	packet = other_packet(INITIAL, 30);
	add_bytes(&packet, &more);
	put(&packet, 20, 0x41);
	check(say(CLIENT, &packet) == BIT(CLIENT_TRAFFIC_SECRET_0));
	stop();
}

static void
another(void)
{
	struct bytes packet;

	start();
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0);
	packets_other_random();
	quic.to = quic.origin = from_hex("00112233445566778899");
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0);
	finish();
	stop();
}

/* Keys of another connection, or not a ClientHello at all. */
static void
not_a_hello(void)
{
	struct bytes frames = { .size = 0 }, packet;

	start();
	quic.origin = from_hex("0011223344");
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0 && !is_captured());
	quic.origin = quic.to;
	quic.reserved = 4;
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0 && !is_captured());
	quic.reserved = 0;
	put(&frames, 60, 1);
	packet = initial_packet(&frames);
	check(say(CLIENT, &packet) == 0 && !is_captured());
	add_crypto(&frames, 1, 100);
	add_crypto(&frames, 4, 1);
	frames.bytes[frames.size++] = 6; /* CRYPTO, at 0: a ServerHello */
	put(&frames, 3, 0x000102);
	packet = initial_packet(&frames);
	check(say(CLIENT, &packet) == 0 && !is_captured());
	stop();
}

/* A client's first datagram is never as short as that. */
static void
short_datagrams(void)
{
	struct bytes packet;

	start();
	quic.size = 1199;
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0 && !is_captured());
	quic.size = 1200;
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0 && is_captured());
	stop();
}

/* Each of its packets calls for keys of its own; but four are enough. */
static void
dear_datagrams(void)
{
	struct bytes datagram, packet;

	start();
	datagram = whole_hello();
	quic.size = 0;
	for (int i = 0; i < 9; i++) {
		packets_other_random();
		put(&quic.to, 1, 7);
		quic.origin = quic.to;
		packet = whole_hello();
		add_bytes(&datagram, &packet);
	}
	check(say(CLIENT, &datagram) == 0);
	for (int i = 9; i >= 0; i--) {
		check(is_captured() == (i < 4));
		packets.random[0]--;
	}
	/* and so it is for each datagram */
	packets_begin();
	packets.udp = true;
	quic.size = 1200;
	packet = whole_hello();
	check(say(CLIENT, &packet) == 0);
	finish();
	stop();
}

static void
cut(void)
{
	struct bytes whole, packet;
	size_t seen = 0;

	start();
	whole = whole_hello();
	for (size_t size = 1; size <= whole.size; size++) {
		packet = packet_of(CLIENT, &whole);
		packet.size -= whole.size - size;
		check(give(&packet) == 0);
		seen += is_captured();
		packets_other();
		whole = whole_hello();
	}
	/* header 18, token 6, length 2, number 4, frame 7, hello 38 */
	check(seen == whole.size - (18 + 6 + 2 + 4 + 7 + 38) + 1);
	stop();
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "AES-128", aes },
		{ "HKDF", hkdf },
		{ "published Initial packets", initial },
		{ "both versions", versions },
		{ "a ClientHello in shuffled pieces", shuffled },
		{ "a ClientHello in three packets", three_packets },
		{ "Retry and Version Negotiation", after_retry },
		{ "early data", early },
		{ "several packets in a datagram", coalesced },
		{ "another handshake on the same ports", another },
		{ "what is not a ClientHello", not_a_hello },
		{ "datagrams that are too short", short_datagrams },
		{ "datagrams with many Initial packets", dear_datagrams },
		{ "packets cut to the snapshot length", cut },
		{ NULL, NULL },
	};

	return check_main(cases);
}
