// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is it said at the right packet which secrets it needs: however TCP cuts a
 * handshake, wherever the packet lies, and whatever is lost of it?
 */
#include "ebpftls-flow.h"

#include "unit/check.h"
#include "unit/packets.h"

#define LIMIT  16
#define SECOND UINT64_C(1000000000)
#define BIT(l) (1u << EBPFTLS_##l)
#define HELLO_13                                \
	(BIT(CLIENT_HANDSHAKE_TRAFFIC_SECRET) | \
	 BIT(SERVER_HANDSHAKE_TRAFFIC_SECRET) | BIT(SERVER_TRAFFIC_SECRET_0))
#define MORE_13 BIT(SERVER_TRAFFIC_SECRET_0) /* what a server sends then */

static struct ebpftls_keys *keys;
static struct ebpftls_flows *flows;
static uint64_t now;
static size_t opened;

static void
start(void)
{
	keys = ebpftls_keys_new(LIMIT);
	flows = ebpftls_flows_new(LIMIT);
	now = SECOND;
	packets_begin();
}

static void
stop(void)
{
	ebpftls_flows_free(flows);
	ebpftls_flows_free(NULL);
	ebpftls_keys_free(keys);
}

/* Gives the packet, in memory that ends with it. Returns what it needs. */
static unsigned int
give(const struct bytes *packet)
{
	static const struct ebpftls_end nobody[2];
	struct ebpftls_need need = { .labels = 0xffff };
	uint8_t *copy = malloc(packet->size);
	bool needs;

	if (copy == NULL)
		abort();
	memcpy(copy, packet->bytes, packet->size);
	needs =
	    ebpftls_flows_packet(flows, keys,
				 packets.pktap ? 258 : packets.linktype, copy,
				 (uint32_t)packet->size, nobody, now, &need);
	free(copy);
	check(needs == (need.labels != 0));
	if (needs)
		check_bytes(need.random, packets.random, 32);
	return need.labels;
}

static unsigned int
say(enum side side, const struct bytes *payload)
{
	struct bytes packet = packet_of(side, payload);

	return give(&packet);
}

static void
count_open(void *context, const uint8_t random[EBPFTLS_RANDOM_SIZE])
{
	check(context == &opened);
	check(random != NULL);
	opened++;
}

static size_t
open_flows(void)
{
	opened = 0;
	ebpftls_flows_open(flows, count_open, &opened);
	return opened;
}

static bool
is_captured(void)
{
	struct ebpftls_keys_entry *entry =
	    ebpftls_keys_find(keys, packets.random);

	return entry != NULL && entry->captured;
}

static void
handshake_13(void)
{
	struct bytes hello = client_hello(), server = server_hello(0x1301);
	struct bytes ccs = record(0x14, 1), data = record(0x17, 60);

	check(!is_captured());
	check(say(CLIENT, &hello) == 0);
	check(is_captured());
	check(open_flows() == 1);
	add_bytes(&server, &ccs);
	add_bytes(&server, &data);
	check(say(SERVER, &server) == HELLO_13);
	check(say(SERVER, &data) == MORE_13);
	check(say(CLIENT, &ccs) == 0);
	check(say(SERVER, &data) == MORE_13);
	check(say(CLIENT, &data) == BIT(CLIENT_TRAFFIC_SECRET_0));
	check(open_flows() == 0);
	check(say(CLIENT, &data) == 0);
	check(say(SERVER, &data) == 0);
}

static void
tls13(void)
{
	start();
	handshake_13();
	stop();
}

/* Data without a handshake is of an older connection, counted once. */
static void
older(void)
{
	struct bytes data, text;

	start();
	handshake_13();
	check(ebpftls_flows_older(flows) == 0);
	data = record(0x17, 60);
	packets.ports[0]++;
	check(say(CLIENT, &data) == 0);
	check(say(SERVER, &data) == 0);
	check(say(CLIENT, &data) == 0);
	check(ebpftls_flows_older(flows) == 1);
	packets.ports[0]++;
	/* neither an alert, nor what only begins like a record */
	text = record(0x15, 26);
	check(say(CLIENT, &text) == 0);
	text = part(&data, 0, 4);
	check(say(CLIENT, &text) == 0);
	text = record(0x17, 15);
	check(say(CLIENT, &text) == 0);
	check(ebpftls_flows_older(flows) == 1);
	/* it is older still when it says hello again */
	packets.ports[0]--;
	packets_other_random();
	handshake_13();
	check(ebpftls_flows_older(flows) == 1);
	packets.ports[0] += 2;
	check(say(SERVER, &data) == 0);
	check(ebpftls_flows_older(flows) == 2);
	stop();
}

static void
handshake_12(enum side first)
{
	struct bytes hello = client_hello(), server = server_hello(0xc02f);
	struct bytes ccs = record(0x14, 1), data = record(0x16, 40);

	check(say(CLIENT, &hello) == 0);
	check(is_captured());
	check(say(SERVER, &server) == 0);
	check(say(first, &ccs) == BIT(CLIENT_RANDOM));
	check(say(first, &data) == 0);
	check(say((enum side) !first, &ccs) == 0);
	check(open_flows() == 0);
}

static void
tls12(void)
{
	start();
	handshake_12(CLIENT);
	handshake_12(SERVER);
	stop();
}

/* ServerHello and ChangeCipherSpec in one segment. */
static void
resumed(void)
{
	struct bytes hello, server, ccs;

	start();
	hello = client_hello();
	server = server_hello(0xc030);
	ccs = record(0x14, 1);
	add_bytes(&server, &ccs);
	check(say(CLIENT, &hello) == 0);
	check(say(SERVER, &server) == BIT(CLIENT_RANDOM));
	check(open_flows() == 0);
	stop();
}

static void
retry(void)
{
	struct bytes hello, again, server, data;

	start();
	hello = client_hello();
	again = hello_retry();
	server = server_hello(0x1302);
	data = record(0x17, 100);
	check(say(CLIENT, &hello) == 0);
	check(say(SERVER, &again) == 0);
	check(say(CLIENT, &hello) == 0);
	check(say(SERVER, &server) == HELLO_13);
	check(say(CLIENT, &data) == BIT(CLIENT_TRAFFIC_SECRET_0));
	stop();
}

static void
early_data(bool together)
{
	struct bytes hello = client_hello(), data = record(0x17, 100);
	struct bytes server = server_hello(0x1301);
	const unsigned int early = BIT(CLIENT_EARLY_TRAFFIC_SECRET);

	if (together)
		add_bytes(&hello, &data);
	check(say(CLIENT, &hello) == (together ? early : 0));
	check(say(CLIENT, &data) == (together ? 0 : early));
	check(say(CLIENT, &data) == 0);
	check(say(SERVER, &server) == HELLO_13);
	check(say(CLIENT, &data) == BIT(CLIENT_TRAFFIC_SECRET_0));
}

static void
early(void)
{
	start();
	early_data(false);
	early_data(true);
	stop();
}

/* In pieces, each of which is seen twice. */
static void
say_cut(enum side side, const struct bytes *all, size_t cut, unsigned int want,
	size_t by)
{
	const unsigned int more = want == HELLO_13 ? MORE_13 : 0;
	unsigned int labels = 0;

	for (size_t at = 0; at < all->size; at += cut) {
		struct bytes piece = part(all, at, cut);
		struct bytes packet = packet_of(side, &piece);

		labels |= give(&packet);
		check((give(&packet) & ~more) == 0);
		/* as soon as its last byte is there at the latest */
		if (at + piece.size >= by)
			check(labels == want);
	}
}

static void
cuts(void)
{
	start();
	for (size_t cut = 1; cut < 200; cut++) {
		struct bytes hello = client_hello();
		struct bytes server = server_hello(0x1303), finished;
		size_t end = server.size;

		finished = record(0x14, 1);
		add_record(&finished, 0x17, 90);
		add_record(&server, 0x17, 500);
		say_cut(CLIENT, &hello, cut, 0, 0);
		check(is_captured());
		say_cut(SERVER, &server, cut, HELLO_13, end);
		say_cut(CLIENT, &finished, cut, BIT(CLIENT_TRAFFIC_SECRET_0),
			6 + 5);
		check(open_flows() == 0);
	}
	stop();
}

/* The client's certificate fills records and segments before its CCS. */
static void
ccs_amid_segments(void)
{
	start();
	for (size_t cut = 1; cut < 3000; cut += 61) {
		struct bytes hello = client_hello();
		struct bytes server = server_hello(0x009c), flight;

		flight = record(0x16, 2345);
		add_record(&flight, 0x16, 300);
		add_record(&flight, 0x14, 1);
		say_cut(CLIENT, &hello, 1400, 0, 0);
		say_cut(SERVER, &server, cut, 0, 0);
		say_cut(CLIENT, &flight, cut, BIT(CLIENT_RANDOM), flight.size);
		check(open_flows() == 0);
	}
	stop();
}

/* A handshake message in records of a few bytes each. */
static void
small_records(void)
{
	start();
	for (size_t size = 1; size < 50; size++) {
		struct bytes hello = client_hello();
		struct bytes server = server_hello(0x1301);

		hello = in_records(&hello, size);
		server = in_records(&server, size);
		check(say(CLIENT, &hello) == 0);
		check(is_captured());
		check(say(SERVER, &server) == HELLO_13);
		packets_other();
	}
	stop();
}

static void
again_and_overlapping(void)
{
	struct bytes hello, server, data, half, packet;
	uint32_t before;

	start();
	hello = client_hello();
	server = server_hello(0x1301);
	add_record(&server, 0x17, 2000);
	data = record(0x17, 500);
	check(say(CLIENT, &hello) == 0);
	packets.sequence[CLIENT] -= (uint32_t)hello.size;
	check(say(CLIENT, &hello) == 0);
	before = packets.sequence[SERVER];
	half = part(&server, 0, 30);
	check(say(SERVER, &half) == 0);
	packets.sequence[SERVER] = before;
	check(say(SERVER, &server) == HELLO_13);
	packets.sequence[SERVER] = before + 3;
	half = part(&server, 3, 1000);
	check(say(SERVER, &half) == MORE_13);
	before = packets.sequence[CLIENT];
	packets.sequence[CLIENT] -= (uint32_t)hello.size;
	half = part(&hello, 0, 20);
	check(say(CLIENT, &half) == 0);
	/* a keep-alive: a byte before the window */
	packets.sequence[CLIENT] = before - 1;
	half = part(&data, 0, 1);
	check(say(CLIENT, &half) == 0);
	half = part(&data, 0, 3);
	check(say(CLIENT, &half) == 0);
	data = part(&data, 3, data.size);
	packet = packet_of(CLIENT, &data);
	check(give(&packet) == BIT(CLIENT_TRAFFIC_SECRET_0));
	check(give(&packet) == 0);
	stop();
}

/* What the server said before TLS, as for STARTTLS, comes again. */
static void
after_plain_text(void)
{
	struct bytes hello, server, plain = { .size = 0 };

	start();
	hello = client_hello();
	server = server_hello(0x1301);
	fill(&plain, 20);
	check(say(SERVER, &plain) == 0);
	check(say(CLIENT, &hello) == 0);
	packets.sequence[SERVER] -= 20;
	check(say(SERVER, &plain) == 0);
	say_cut(SERVER, &server, 1, HELLO_13, server.size);
	stop();
}

/* A hole within a record is none; after another one the records go on. */
static void
holes(void)
{
	struct bytes hello, server, flight, piece;

	start();
	hello = client_hello();
	server = server_hello(0xc02b);
	flight = record(0x16, 4000);
	add_record(&flight, 0x14, 1);
	check(say(CLIENT, &hello) == 0);
	check(say(SERVER, &server) == 0);
	piece = part(&flight, 0, 1000);
	check(say(CLIENT, &piece) == 0);
	packets.sequence[CLIENT] += 1000;
	piece = part(&flight, 2000, 3000);
	check(say(CLIENT, &piece) == BIT(CLIENT_RANDOM));

	packets_other();
	hello = client_hello();
	check(say(CLIENT, &hello) == 0);
	check(say(SERVER, &server) == 0);
	piece = part(&flight, 0, 1000);
	check(say(CLIENT, &piece) == 0);
	packets.sequence[CLIENT] += 3500; /* this and more */
	piece = part(&flight, 3000, 900);
	check(say(CLIENT, &piece) == 0);
	piece = record(0x14, 1);
	check(say(CLIENT, &piece) == BIT(CLIENT_RANDOM));
	stop();
}

/* The server's next segment comes `by` bytes before or behind its turn. */
static unsigned int
say_at(uint32_t by, const struct bytes *payload)
{
	const uint32_t turn = packets.sequence[SERVER];
	unsigned int labels;

	packets.sequence[SERVER] += by;
	labels = say(SERVER, payload);
	packets.sequence[SERVER] = turn;
	return labels;
}

/* What came before it does not come again, and is another hole then. */
static void
overtaken_13(void)
{
	struct bytes hello = client_hello(), server = server_hello(0x1301);
	struct bytes data = record(0x17, 900);
	const uint32_t size = (uint32_t)server.size;

	check(say(CLIENT, &hello) == 0);
	check(say_at(size, &data) == 0);
	check(say_at(size + 905, &data) == 0);
	check(say(SERVER, &server) == HELLO_13);
	check(say(SERVER, &data) == MORE_13);
	packets.sequence[SERVER] += 905;
	check(say(SERVER, &data) == MORE_13);
	check(say(CLIENT, &data) == BIT(CLIENT_TRAFFIC_SECRET_0));
	check(open_flows() == 0);
}

static void
overtaken_12(void)
{
	struct bytes hello = client_hello(), server = server_hello(0xc02f);
	struct bytes certificate = record(0x16, 900), ccs = record(0x14, 1);

	check(say(CLIENT, &hello) == 0);
	check(say_at((uint32_t)server.size, &certificate) == 0);
	check(say(SERVER, &server) == 0);
	packets.sequence[SERVER] += 905;
	check(say(SERVER, &ccs) == BIT(CLIENT_RANDOM));
	check(open_flows() == 0);
}

/* The hole is amid the message. */
static void
overtaken_in_part(void)
{
	struct bytes hello = client_hello(), server = server_hello(0x1301);
	struct bytes piece = part(&server, 0, 40), rest = part(&server, 90, 20);

	check(say(CLIENT, &hello) == 0);
	check(say(SERVER, &piece) == 0);
	check(say_at(50, &rest) == 0);
	piece = part(&server, 40, 50);
	check(say(SERVER, &piece) == HELLO_13);
}

/* A ServerHello that is lost, or overtaken, comes behind what follows it. */
static void
overtaken(void)
{
	start();
	overtaken_13();
	packets_other();
	overtaken_12();
	packets_other();
	overtaken_in_part();
	stop();
}

static void
overtaken_after_retry(void)
{
	struct bytes hello = client_hello(), again = hello_retry();
	struct bytes server = server_hello(0x1302), data = record(0x17, 100);

	check(say(CLIENT, &hello) == 0);
	check(say(SERVER, &again) == 0);
	check(say(CLIENT, &hello) == 0);
	check(say_at((uint32_t)server.size, &data) == 0);
	check(say(SERVER, &server) == HELLO_13);
}

/* By the capture itself: it never comes. */
static void
lost_retry(size_t size)
{
	struct bytes hello = client_hello(), again = hello_retry();
	struct bytes server = server_hello(0x1302);
	struct bytes piece = part(&server, 0, size);
	unsigned int labels;

	check(say(CLIENT, &hello) == 0);
	packets.sequence[SERVER] += (uint32_t)again.size;
	check(say(CLIENT, &hello) == 0);
	labels = say(SERVER, &piece);
	piece = part(&server, size, server.size);
	check((labels | say(SERVER, &piece)) == HELLO_13);
}

static void
retry_and_holes(void)
{
	start();
	overtaken_after_retry();
	packets_other();
	lost_retry(5);
	packets_other();
	lost_retry(100);
	stop();
}

/* Of a packet that was cut, what is not there is not looked at. */
static void
snaplen(void)
{
	struct bytes hello, server, packet;
	size_t whole;

	start();
	for (size_t cut = 1; cut < 200; cut++) {
		hello = client_hello();
		server = server_hello(0x1301);
		packet = packet_of(CLIENT, &hello);
		whole = packet.size;
		packet.size = cut < whole ? cut : whole;
		check(give(&packet) == 0);
		check(is_captured() == (cut >= whole - hello.size + 43));
		check(say(SERVER, &server) == (is_captured() ? HELLO_13 : 0));
		packets_other();
	}
	/* a record that is cut goes on for as long as it says */
	hello = client_hello();
	server = server_hello(0xc02b);
	check(say(CLIENT, &hello) == 0);
	check(say(SERVER, &server) == 0);
	hello = record(0x16, 1000);
	packet = packet_of(CLIENT, &hello);
	packet.size -= 900;
	check(give(&packet) == 0);
	hello = record(0x14, 1);
	check(say(CLIENT, &hello) == BIT(CLIENT_RANDOM));
	stop();
}

static void
links(void)
{
	static const int linktypes[] = { 1, 101, 113, 276 };

	for (int i = 0; i < 8; i++)
		for (int version = 4; version <= 6; version += 2)
			for (unsigned int tags = 0; tags < 3; tags++) {
				start();
				packets.linktype = linktypes[i % 4];
				packets.pktap = i >= 4;
				packets.version = version;
				packets.tags = tags;
				packets.extensions = tags;
				handshake_13();
				packets_other();
				handshake_12(CLIENT);
				stop();
			}
}

/* What does not carry TCP or UDP, or not its beginning, is nothing. */
static void
not_for_us(void)
{
	struct bytes hello, packet;

	start();
	hello = client_hello();
	packet = packet_of(CLIENT, &hello);
	packet.bytes[14 + 6] = 0x20; /* more fragments, at 8 */
	packet.bytes[14 + 7] = 1;
	check(give(&packet) == 0 && !is_captured());
	packet = packet_of(CLIENT, &hello);
	packet.bytes[14 + 9] = 47;
	check(give(&packet) == 0 && !is_captured());
	packet = packet_of(CLIENT, &hello);
	packet.bytes[12] = 0x88;
	check(give(&packet) == 0 && !is_captured());
	packets.linktype = 105;
	packet = packet_of(CLIENT, &hello);
	check(give(&packet) == 0 && !is_captured());
	packets.pktap = true;
	packet = packet_of(CLIENT, &hello);
	check(give(&packet) == 0 && !is_captured());
	packets.linktype = 1;
	packet = packet_of(CLIENT, &hello);
	packet.size = 107;
	check(give(&packet) == 0 && !is_captured());
	packets.pktap = false;
	packet = packet_of(CLIENT, &hello);
	packet.bytes[14 + 6] = 0x20; /* more fragments, but this is the first */
	check(give(&packet) == 0 && is_captured());
	stop();
}

static void
not_a_hello(void)
{
	struct bytes hello;

	start();
	for (size_t at = 0; at < 6; at++) {
		hello = client_hello();
		/* the length's second byte may be any */
		hello.bytes[at != 4 ? at : 3] ^= 0xc0;
		check(say(CLIENT, &hello) == 0);
		check(!is_captured() && open_flows() == 0);
	}
	hello = client_hello();
	check(say(CLIENT, &hello) == 0 && is_captured());
	stop();
}

static void
another_on_the_same_ports(void)
{
	struct bytes hello, server;

	start();
	server = server_hello(0x1301);
	for (int i = 0; i < 3; i++) {
		packets_other_random();
		hello = client_hello();
		check(say(CLIENT, &hello) == 0);
		check(is_captured() && open_flows() == 1);
	}
	check(say(SERVER, &server) == HELLO_13);
	/* and what were server and client change places */
	packets_other_random();
	hello = client_hello();
	check(say(SERVER, &hello) == 0);
	check(open_flows() == 1);
	check(say(CLIENT, &server) == HELLO_13);
	stop();
}

static void
ends(void)
{
	static const uint8_t flags[] = { 0x01, 0x04, 0x14, 0x11 };
	struct bytes hello, none = { .size = 0 };

	start();
	for (size_t i = 0; i < sizeof(flags); i++) {
		hello = client_hello();
		check(say(CLIENT, &hello) == 0);
		check(open_flows() == 1);
		check(say(SERVER, &none) == 0);
		check(open_flows() == 1);
		packets.flags = flags[i];
		check(say(i % 2 ? SERVER : CLIENT, &none) == 0);
		check(open_flows() == 0);
		packets.flags = 0x10;
		packets_other_random();
	}
	stop();
}

/* A segment without payload, `by` bytes off its turn. */
static void
say_flags(enum side side, uint8_t flags, uint32_t by)
{
	struct bytes none = { .size = 0 };

	packets.flags = flags;
	packets.sequence[side] += by;
	check(say(side, &none) == 0);
	packets.sequence[side] -= by;
	packets.flags = 0x10;
}

static void
say_strays(void)
{
	static const uint8_t flags[] = { 0x01, 0x04, 0x14, 0x11, 0x02, 0x12 };
	static const uint32_t by[] = { 1, 1000, 0x7fffffff, 0x80000000, -2u };

	for (size_t i = 0; i < sizeof(flags); i++)
		for (size_t j = 0; j < sizeof(by) / sizeof(by[0]); j++) {
			say_flags(CLIENT, flags[i], by[j]);
			say_flags(SERVER, flags[i], by[j]);
		}
	check(open_flows() == 1);
}

/* What nobody at either end would believe changes nothing. */
static void
stray_ends(void)
{
	struct bytes hello, server, data;

	start();
	hello = client_hello();
	server = server_hello(0x1301);
	data = record(0x17, 60);
	check(say(CLIENT, &hello) == 0);
	say_strays();
	check(say(SERVER, &server) == HELLO_13);
	say_strays();
	check(say(CLIENT, &data) == BIT(CLIENT_TRAFFIC_SECRET_0));
	stop();
}

/* A FIN behind what it ends; and one that a hole is before ends nothing. */
static void
end_with_payload(void)
{
	struct bytes hello, server, alert;

	start();
	hello = client_hello();
	server = server_hello(0x1301);
	alert = record(0x15, 2);
	check(say(CLIENT, &hello) == 0);
	packets.flags = 0x11;
	check(say_at((uint32_t)server.size, &alert) == 0);
	check(open_flows() == 1);
	packets.flags = 0x10;
	check(say(SERVER, &server) == HELLO_13);
	packets.flags = 0x11;
	check(say(SERVER, &alert) == MORE_13);
	check(open_flows() == 0);
	stop();
}

/* Of a SYN it is the answer that tells. */
static void
opened_again(void)
{
	struct bytes hello, server, piece;

	start();
	hello = client_hello();
	server = server_hello(0x1301);
	check(say(CLIENT, &hello) == 0);
	packets.sequence[CLIENT] += 12345;
	packets.sequence[SERVER] += 54321;
	say_flags(CLIENT, 0x02, 0);
	check(open_flows() == 1);
	say_flags(SERVER, 0x12, 0); /* to another one */
	check(open_flows() == 1);
	packets.sequence[CLIENT]++;
	say_flags(SERVER, 0x12, 0);
	check(open_flows() == 0);
	/* it need not be seen that the ClientHello is another one */
	packets_other_random();
	packets.sequence[SERVER]++;
	hello = client_hello();
	piece = part(&hello, 0, 20);
	check(say(CLIENT, &piece) == 0);
	piece = part(&hello, 20, hello.size);
	check(say(CLIENT, &piece) == 0);
	check(is_captured());
	check(say(SERVER, &server) == HELLO_13);
	stop();
}

/* Who refuses has no sequence number yet. */
static void
refused(void)
{
	struct bytes hello;

	start();
	hello = client_hello();
	packets.flags = 0x02;
	check(say(CLIENT, &hello) == 0);
	check(open_flows() == 1);
	packets.sequence[SERVER] = 0;
	say_flags(SERVER, 0x14, 0);
	check(open_flows() == 0);
	stop();
}

/* In the segment that opens the connection, as TCP Fast Open has it. */
static void
in_syn(void)
{
	struct bytes hello, none = { .size = 0 }, server;

	start();
	hello = client_hello();
	server = server_hello(0x1301);
	packets.flags = 0x02;
	check(say(CLIENT, &hello) == 0);
	check(is_captured());
	packets.flags = 0x12;
	check(say(SERVER, &none) == 0);
	packets.flags = 0x10;
	packets.sequence[CLIENT]++;
	packets.sequence[SERVER]++;
	check(say(SERVER, &server) == HELLO_13);
	hello = record(0x17, 50);
	check(say(CLIENT, &hello) == BIT(CLIENT_TRAFFIC_SECRET_0));
	stop();
}

static void
too_old(void)
{
	struct bytes hello, server;

	start();
	hello = client_hello();
	server = server_hello(0x1301);
	check(say(CLIENT, &hello) == 0);
	now += 60 * SECOND;
	check(say(SERVER, &server) == HELLO_13);
	now += 1;
	check(open_flows() == 1);
	server = record(0x17, 50);
	check(say(CLIENT, &server) == 0);
	check(open_flows() == 0);
	stop();
}

static void
too_many(void)
{
	struct bytes hello, server;

	start();
	server = server_hello(0x1301);
	for (unsigned int i = 0; i < 10 * LIMIT; i++) {
		packets.ports[CLIENT] = (uint16_t)(2000 + i);
		hello = client_hello();
		check(say(CLIENT, &hello) == 0);
		check(open_flows() == (i < LIMIT ? i + 1 : LIMIT));
	}
	for (unsigned int i = 0; i < 10 * LIMIT; i++) {
		packets.ports[CLIENT] = (uint16_t)(2000 + i);
		check(say(SERVER, &server) == (i < 9 * LIMIT ? 0 : HELLO_13));
	}
	stop();
}

static void
dtls12(void)
{
	struct bytes hello, data, flight;

	start();
	packets.udp = true;
	hello = dtls_hello(0);
	data = dtls_record(0x16, 700);
	flight = dtls_record(0x16, 300);
	check(say(CLIENT, &hello) == 0);
	check(is_captured() && open_flows() == 1);
	check(say(SERVER, &data) == 0);
	check(say(CLIENT, &hello) == 0);
	check(open_flows() == 1);
	check(say(SERVER, &data) == 0);
	data = dtls_record(0x14, 1);
	add_bytes(&flight, &data);
	check(say(CLIENT, &flight) == BIT(CLIENT_RANDOM));
	check(open_flows() == 0);
	check(say(SERVER, &data) == 0);
	/* the later fragments of a hello have no random */
	packets_other_random();
	hello = dtls_hello(9);
	check(say(CLIENT, &hello) == 0);
	check(!is_captured() && open_flows() == 0);
	stop();
}

/* Whoever sends a datagram must not get packets held by that alone. */
static void
unanswered(void)
{
	struct bytes hello, ccs, server;

	start();
	packets.udp = true;
	ccs = dtls_record(0x14, 1);
	hello = dtls_hello(0);
	add_bytes(&hello, &ccs);
	check(say(CLIENT, &hello) == 0);
	check(say(CLIENT, &ccs) == 0);
	check(is_captured() && open_flows() == 1);
	/* resumed: the server is the first to change */
	server = dtls_record(0x16, 90);
	add_bytes(&server, &ccs);
	check(say(SERVER, &server) == BIT(CLIENT_RANDOM));
	check(open_flows() == 0);

	packets_other();
	packets.udp = false;
	hello = client_hello();
	ccs = record(0x14, 1);
	add_bytes(&hello, &ccs);
	check(say(CLIENT, &hello) == 0);
	check(say(CLIENT, &ccs) == 0);
	server = server_hello(0xc02f);
	check(say(SERVER, &server) == 0);
	check(say(SERVER, &ccs) == BIT(CLIENT_RANDOM));
	stop();
}

static void
satisfied(void)
{
	struct ebpftls_secret secret = { .length = 32 };
	struct ebpftls_need need = { .labels = 0 };

	start();
	check(ebpftls_flows_satisfied(keys, &need));
	need.labels = HELLO_13;
	check(!ebpftls_flows_satisfied(keys, &need));
	secret.label = EBPFTLS_CLIENT_HANDSHAKE_TRAFFIC_SECRET;
	ebpftls_keys_add(keys, &secret);
	secret.label = EBPFTLS_SERVER_HANDSHAKE_TRAFFIC_SECRET;
	ebpftls_keys_add(keys, &secret);
	check(!ebpftls_flows_satisfied(keys, &need));
	secret.label = EBPFTLS_SERVER_TRAFFIC_SECRET_0;
	ebpftls_keys_add(keys, &secret);
	check(ebpftls_flows_satisfied(keys, &need));
	need.labels = BIT(CLIENT_TRAFFIC_SECRET_0);
	check(!ebpftls_flows_satisfied(keys, &need));
	/* the early one can no longer come, unless it is all there is */
	need.labels = BIT(CLIENT_EARLY_TRAFFIC_SECRET);
	check(ebpftls_flows_satisfied(keys, &need));
	need.random[0] = secret.random[0] = 1;
	check(!ebpftls_flows_satisfied(keys, &need));
	secret.label = EBPFTLS_EARLY_EXPORTER_SECRET;
	ebpftls_keys_add(keys, &secret);
	check(!ebpftls_flows_satisfied(keys, &need));
	secret.label = EBPFTLS_CLIENT_EARLY_TRAFFIC_SECRET;
	ebpftls_keys_add(keys, &secret);
	check(ebpftls_flows_satisfied(keys, &need));
	stop();
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "TLS 1.3", tls13 },
		{ "connections older than the capture", older },
		{ "TLS 1.2", tls12 },
		{ "TLS 1.2, resumed", resumed },
		{ "a HelloRetryRequest", retry },
		{ "early data", early },
		{ "hello messages cut anywhere", cuts },
		{ "a ChangeCipherSpec amid segments", ccs_amid_segments },
		{ "records of a few bytes", small_records },
		{ "retransmission and overlap", again_and_overlapping },
		{ "TLS after plain text", after_plain_text },
		{ "lost segments", holes },
		{ "a ServerHello behind what follows it", overtaken },
		{ "a HelloRetryRequest and holes", retry_and_holes },
		{ "packets cut to the snapshot length", snaplen },
		{ "link types, IPv6 and VLAN tags", links },
		{ "packets that carry something else", not_for_us },
		{ "what only seems a ClientHello", not_a_hello },
		{ "another handshake on the same ports",
		  another_on_the_same_ports },
		{ "FIN and RST", ends },
		{ "FIN, RST and SYN that are stray", stray_ends },
		{ "FIN with payload", end_with_payload },
		{ "a connection opened again on the same ports", opened_again },
		{ "a connection refused", refused },
		{ "a ClientHello in the SYN", in_syn },
		{ "a handshake that is too old", too_old },
		{ "more handshakes than there is room for", too_many },
		{ "DTLS 1.2", dtls12 },
		{ "a client without a server", unanswered },
		{ "which secrets are enough", satisfied },
		{ NULL, NULL },
	};

	return check_main(cases);
}
