// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for what a server of QUIC says first, puts them into Initial
 * packets that authenticate, and follows the connection; or for packets that do
 * not, of which a few are enough. More than a hello message does not come of
 * it.
 *
 * The input: for each packet a struct piece and `size` bytes.
 */
#include "quic.h"

#include "unit/quicseal.h"

#define CONTENT_MAX 1024
#define PACKETS_MAX 8

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

static struct quicseal seal;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint8_t secret[EBPFTLS_SHA256_SIZE];

	(void)argc;
	(void)argv;
	ebpftls_quic_initial_secret(&origin, true, secret);
	quicseal_set(&seal, secret);
	return 0;
}

static void
require(bool holds)
{
	if (!holds)
		abort();
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
	const uint32_t size = piece->size < 4 ? 4 : piece->size;
	const uint32_t length = 1 + size + QUICSEAL_TAG;
	uint8_t padded[CONTENT_MAX] = { 0 };
	uint8_t packet[sizeof(header) + CONTENT_MAX + QUICSEAL_TAG];

	memcpy(padded, content, piece->size);
	memcpy(packet, header, sizeof(header));
	packet[8] = (uint8_t)(0x40 | length >> 8);
	packet[9] = (uint8_t)length;
	give(quic, SIDE_SERVER, packet,
	     quicseal(&seal, piece->number & 0x3f, packet, sizeof(header),
		      padded, size));
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
	for (int i = 0; i < PACKETS_MAX && size >= sizeof(piece); i++) {
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
