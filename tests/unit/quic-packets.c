// SPDX-License-Identifier: BSD-3-Clause
/*
 * Do packets of QUIC open with their keys, and with no others? Those of RFC
 * 9001, A, and RFC 9369, A.
 */
#include "packet.h"

#include "pieces.h"
#include "unit/check.h"

#define PLAIN_MAX 2048

static uint8_t room[PLAIN_MAX];

struct sample {
	uint32_t version;
	const char *packet;
};

/* --- ChaCha20, a short header: A.5 ----------------------------------------
 */

#define SECRET \
	"9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b"
#define NUMBER 654360564u

static const struct sample shorts[] = {
	{ EBPFTLS_QUIC_VERSION_1,
	  "4cfe4189655e5cd55c41f69080575d7999c25a5bfb" },
	{ EBPFTLS_QUIC_VERSION_2,
	  "5558b1c60ae7b6b932bc27d786f4bc2bb20f2162ba" },
};

static struct packet_keys *
chacha20_keys(uint32_t version)
{
	uint8_t secret[32];

	check_hex(secret, SECRET);
	return packet_keys_new(suite_find(0x1303), secret, sizeof(secret),
			       version);
}

static bool
opens(const struct packet_keys *keys, const uint8_t *bytes, size_t size,
      uint64_t expected, struct packet_content *content)
{
	const struct ebpftls_quic_packet packet = {
		.kind = EBPFTLS_QUIC_SHORT,
		.bytes = bytes,
		.size = (uint32_t)size,
		.number_at = 1,
	};
	uint8_t *copy = malloc(size); /* of just that size */
	struct ebpftls_quic_packet copied = packet;
	bool opened;

	if (copy == NULL)
		abort();
	memcpy(copy, bytes, size);
	copied.bytes = copy;
	opened = packet_open(keys, &copied, expected, room, content);
	free(copy);
	return opened;
}

static void
chacha20(void)
{
	struct packet_content content;
	uint8_t bytes[64];

	for (size_t i = 0; i < 2; i++) {
		struct packet_keys *keys = chacha20_keys(shorts[i].version);
		const size_t size = check_hex(bytes, shorts[i].packet);

		if (check(opens(keys, bytes, size, NUMBER, &content))) {
			check(content.number == NUMBER);
			check(content.size == 1 && content.bytes[0] == 1);
		}
		packet_keys_free(keys);
	}
}

/* The number has three bytes: it may be half of what they count away. */
static void
numbers(void)
{
	static const struct {
		int64_t away;
		bool right;
	} away[] = {
		{ 0, true },	      { 1000, true },	   { -1000, true },
		{ 0x7fffff, true },   { 0x800001, false }, { -0x800000, true },
		{ -0x800001, false },
	};
	struct packet_keys *keys = chacha20_keys(EBPFTLS_QUIC_VERSION_1);
	struct packet_content content;
	uint8_t bytes[64];
	const size_t size = check_hex(bytes, shorts[0].packet);

	for (size_t i = 0; i < sizeof(away) / sizeof(away[0]); i++)
		if (!check(opens(keys, bytes, size,
				 (uint64_t)(NUMBER + away[i].away),
				 &content) == away[i].right))
			printf("  %lld away\n", (long long)away[i].away);
	packet_keys_free(keys);
}

/* Neither with other keys, nor if anything of it is changed. */
static void
others(void)
{
	struct packet_keys *keys = chacha20_keys(EBPFTLS_QUIC_VERSION_1);
	struct packet_keys *other = chacha20_keys(EBPFTLS_QUIC_VERSION_2);
	struct packet_keys *next = packet_keys_next(keys);
	struct packet_content content;
	uint8_t bytes[64];
	const size_t size = check_hex(bytes, shorts[0].packet);

	check(next != NULL);
	check(!opens(other, bytes, size, NUMBER, &content));
	check(!opens(next, bytes, size, NUMBER, &content));
	for (size_t i = 0; i < size; i++) {
		for (int bit = 0; bit < 8; bit++) {
			bytes[i] ^= (uint8_t)(1 << bit);
			check(!opens(keys, bytes, size, NUMBER, &content));
			bytes[i] ^= (uint8_t)(1 << bit);
		}
	}
	for (size_t i = 1; i < size; i++)
		check(!opens(keys, bytes, i, NUMBER, &content));
	check(opens(keys, bytes, size, NUMBER, &content));
	packet_keys_free(keys);
	packet_keys_free(other);
	packet_keys_free(next);
}

/* SHA-384's secrets are longer, and CBC is not for TLS 1.3. */
static void
other_suites(void)
{
	const uint8_t secret[48] = { 0 };

	check(packet_keys_new(suite_find(0x1302), secret, 32, 1) == NULL);
	check(packet_keys_new(suite_find(0x1301), secret, 48, 1) == NULL);
	check(packet_keys_new(suite_find(0xc013), secret, 32, 1) == NULL);
}

/* --- AES, a server's Initial packet: A.3 ----------------------------------
 */

static const struct sample initials[] = {
	{ EBPFTLS_QUIC_VERSION_1,
	  "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a"
	  "5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3"
	  "dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84"
	  "022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4"
	  "2158407dd074ee" },
	{ EBPFTLS_QUIC_VERSION_2,
	  "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698"
	  "baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d88965cf17"
	  "f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2"
	  "c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca8"
	  "4bed8521e2e140" },
};

static void
take(void *context, uint64_t at, const uint8_t *bytes, uint32_t size)
{
	pieces_add(context, at, bytes, size);
}

static struct packet_keys *
initial_keys(uint32_t version, bool from_server)
{
	struct ebpftls_quic_origin origin = { .version = version };
	uint8_t secret[EBPFTLS_SHA256_SIZE];

	origin.cid_size = (uint8_t)check_hex(origin.cid, "8394c8f03e515708");
	ebpftls_quic_initial_secret(&origin, from_server, secret);
	return packet_keys_new(suite_find(0x1301), secret, sizeof(secret),
			       version);
}

static void
server_hello(void)
{
	uint8_t bytes[256];

	for (size_t i = 0; i < 2; i++) {
		const uint32_t version = initials[i].version;
		struct packet_keys *keys = initial_keys(version, true);
		struct packet_keys *client = initial_keys(version, false);
		const uint8_t *at = bytes;
		uint32_t left = (uint32_t)check_hex(bytes, initials[i].packet);
		struct pieces hello = { .front = 0 };
		struct ebpftls_quic_packet packet;
		struct packet_content content;

		check(ebpftls_quic_next(&packet, &at, &left));
		check(packet.from_size == 8 && packet.to.cid_size == 0);
		check(!packet_open(client, &packet, 0, room, &content));
		if (check(packet_open(keys, &packet, 0, room, &content))) {
			check(content.number == 1);
			check(ebpftls_quic_frames(content.bytes, content.size,
						  false, take, &hello));
			check(hello.front == 90 && hello.bytes[0] == 2);
		}
		packet_keys_free(keys);
		packet_keys_free(client);
	}
}

/* --- pieces ----------------------------------------------------------------
 */

static void
pieces(void)
{
	static struct pieces some;
	const uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	pieces_add(&some, 4, bytes + 4, 4);
	check(some.front == 0);
	pieces_add(&some, 1, bytes + 1, 2);
	pieces_add(&some, 0, bytes, 1);
	check(some.front == 3);
	pieces_add(&some, 2, bytes + 2, 3);
	check(some.front == 8);
	check_bytes(some.bytes, bytes, sizeof(bytes));
	pieces_add(&some, PIECES_MAX - 1, bytes, 8);
	pieces_add(&some, PIECES_MAX, bytes, 8);
	pieces_add(&some, UINT64_MAX - 2, bytes, 2);
	check(some.front == 8);
	check(some.bytes[PIECES_MAX - 1] == 1);
}

static const struct check_case cases[] = {
	{ "ChaCha20 in a short header", chacha20 },
	{ "numbers that are not whole", numbers },
	{ "other keys, or changed", others },
	{ "suites that have no such keys", other_suites },
	{ "a server's ServerHello", server_hello },
	{ "pieces in any order", pieces },
	{ NULL, NULL },
};

int
main(void)
{
	return check_main(cases);
}
