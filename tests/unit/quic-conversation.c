// SPDX-License-Identifier: BSD-3-Clause
/*
 * Are the right keys used for each packet of QUIC, whatever the ends do and
 * whatever is missing? The ends are made here.
 */
#include "quic.h"

#include "unit/check.h"
#include "unit/quicseal.h"

#define CID_SIZE 5 /* of either end's connection ids */

static const struct ebpftls_quic_origin origin = {
	.version = EBPFTLS_QUIC_VERSION_1,
	.cid_size = 8,
};
static const uint8_t random_bytes[KEYLOG_RANDOM];

static struct keylog *keys;
static struct quic *quic;

/* What a side seals with. */
static struct sealer {
	uint8_t secret[32];
	struct quicseal seal;
} handshake, data[2];

static void
set(struct sealer *sealer, enum ebpftls_label label)
{
	char line[256], *at = line + sprintf(line, "%s ", keylog_name(label));

	for (int i = 0; i < 32; i++)
		at += sprintf(at, "%02x", random_bytes[i]);
	*at++ = ' ';
	for (int i = 0; i < 32; i++) {
		sealer->secret[i] = (uint8_t)check_random(256);
		at += sprintf(at, "%02x", sealer->secret[i]);
	}
	keylog_add(keys, (const uint8_t *)line, (size_t)(at - line));
	quicseal_set(&sealer->seal, sealer->secret);
}

/* The keys of the next phase: those of headers stay. */
static void
update(struct sealer *sealer)
{
	const struct quicseal old = sealer->seal;

	ebpftls_hkdf_expand_label(sealer->secret, "quic ku", sealer->secret,
				  32);
	quicseal_set(&sealer->seal, sealer->secret);
	memcpy(sealer->seal.header, old.header, sizeof(old.header));
}

/* --- what the ends send ----------------------------------------------------
 */

/* A datagram. */
static void
say(enum conversation_side side, const uint8_t *bytes, uint32_t size)
{
	struct ebpftls_quic_packet packet, before;
	const uint8_t *first = bytes;

	for (; ebpftls_quic_next(&packet, &bytes, &size); before = packet)
		quic_packet(quic, side, &packet, false,
			    packet.bytes == first ? NULL : &before);
}

static uint32_t
put_long(uint8_t *to, uint8_t first, const struct quicseal *seal,
	 const uint8_t *content, uint32_t size)
{
	const uint32_t length = 1 + size + QUICSEAL_TAG;
	uint32_t end = 7 + 2 * CID_SIZE;

	memset(to, 0, end);
	to[0] = first;
	to[4] = 1;
	to[5] = to[6 + CID_SIZE] = CID_SIZE;
	memset(to + 6, 0xab, CID_SIZE);
	end += first == 0xc0; /* no token */
	to[end - 1] = 0;
	to[end++] = (uint8_t)(0x40 | length >> 8);
	to[end++] = (uint8_t)length;
	return quicseal(seal, 0, to, end + 1, content, size);
}

static void
say_hellos(void)
{
	uint8_t hello[6 + 4 + 46] = { 6, 0, 0x40, 50, 2, 0, 0, 46, 3, 3 };
	uint8_t secret[EBPFTLS_SHA256_SIZE], packet[256];
	struct quicseal initial;

	memcpy(hello + 10 + 32,
	       (uint8_t[]){ 0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4 }, 12);
	ebpftls_quic_initial_secret(&origin, false, secret);
	quicseal_set(&initial, secret);
	say(SIDE_CLIENT, packet,
	    put_long(packet, 0xc0, &initial, hello, sizeof(hello)));
	ebpftls_quic_initial_secret(&origin, true, secret);
	quicseal_set(&initial, secret);
	say(SIDE_SERVER, packet,
	    put_long(packet, 0xc0, &initial, hello, sizeof(hello)));
}

static void
say_data(enum conversation_side side, uint64_t number)
{
	static const uint8_t content[20];
	uint8_t packet[64] = { 0x40 };

	say(side, packet,
	    quicseal(&data[side].seal, number, packet, 1 + CID_SIZE + 1,
		     content, sizeof(content)));
}

/* --- cases -----------------------------------------------------------------
 */

static void
begin(void)
{
	keys = keylog_new(4);
	quic = quic_new(keys, random_bytes);
	quic_set_origin(quic, &origin);
	set(&handshake, EBPFTLS_SERVER_HANDSHAKE_TRAFFIC_SECRET);
	set(&data[SIDE_CLIENT], EBPFTLS_CLIENT_TRAFFIC_SECRET_0);
	set(&data[SIDE_SERVER], EBPFTLS_SERVER_TRAFFIC_SECRET_0);
	say_hellos();
	check(quic_result(quic).server_hello);
}

static void
end(uint32_t records, uint32_t opened, unsigned int wrong)
{
	const struct conversation_result result = quic_result(quic);

	if (!check(result.records == records) ||
	    !check(result.opened == opened) || !check(result.wrong == wrong) ||
	    !check(result.missing == 0))
		printf("  %u of %u packets, missing %x, wrong %x\n",
		       result.opened, result.records, result.missing,
		       result.wrong);
	quic_free(quic);
	keylog_free(keys);
}

/* By either end, each at another time; what was sent before comes behind. */
static void
key_updates(void)
{
	struct sealer old;

	begin();
	say_data(SIDE_CLIENT, 0);
	for (uint64_t i = 0; i < 5; i++) {
		say_data(SIDE_SERVER, 2 * i + 1);
		old = data[SIDE_SERVER];
		update(&data[SIDE_SERVER]);
		say_data(SIDE_SERVER, 2 * i + 2);
		data[SIDE_SERVER] = old;
		say_data(SIDE_SERVER, 2 * i);
		update(&data[SIDE_SERVER]);
	}
	update(&data[SIDE_CLIENT]);
	say_data(SIDE_CLIENT, 1);
	end(1 + 5 * 3 + 1, 1 + 5 * 3 + 1, 0);
}

/* More than the byte of the number that is sent counts; at first, too. */
static void
lost(void)
{
	static const uint64_t numbers[] = { 0, 300, 301, 1000, 2000, 6000 };

	begin();
	for (size_t i = 0; i < 6; i++)
		say_data(SIDE_CLIENT, numbers[i]);
	say_data(SIDE_SERVER, 200);
	say_data(SIDE_SERVER, 190);
	end(8, 8, 0);
}

/* It is given up where nothing comes of it, and nothing else opens. */
static void
lost_too_many(void)
{
	begin();
	say_data(SIDE_CLIENT, 0);
	for (int i = 0; i < 100; i++)
		say_data(SIDE_CLIENT, 100000);
	say_data(SIDE_CLIENT, 1);
	end(102, 2, 0);
}

/* Zeros behind a packet, or anything that goes to nobody. */
static void
padding(void)
{
	static const uint8_t content[20];
	uint8_t packet[512];

	for (int i = 0; i < 2; i++) {
		begin();
		memset(packet, 0xff * i, sizeof(packet));
		put_long(packet, 0xe0, &handshake.seal, content,
			 sizeof(content));
		if (i == 1)
			packet[7 + 2 * CID_SIZE + 2 + 1 + 20 + 16] = 0x40;
		say(SIDE_SERVER, packet, sizeof(packet));
		end(1, 1, 0);
	}
}

/* Which the sender left to its network interface. */
static void
several_in_one(void)
{
	uint8_t packet[3000] = { 0x40 };

	begin();
	say(SIDE_SERVER, packet, sizeof(packet));
	end(1, 0, 0);
	begin();
	say(SIDE_SERVER, packet, 1200);
	end(1, 0, 1u << EBPFTLS_SERVER_TRAFFIC_SECRET_0);
}

static const struct check_case cases[] = {
	{ "key updates", key_updates },
	{ "lost packets", lost },
	{ "lost packets, too many", lost_too_many },
	{ "padding behind a packet", padding },
	{ "several packets in one", several_in_one },
	{ NULL, NULL },
};

int
main(void)
{
	return check_main(cases);
}
