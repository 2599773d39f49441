// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does a report say what is true of a file? The files are made of one recorded
 * TLS 1.3 connection: see tests/data/record-tls.
 */
#define _GNU_SOURCE
#include "ebpftls-pcapng.h"
#include "ebpftls-pktap.h"

#include "unit/reports.h"

#define PACKETS 17
#define SECRETS 5

#define HELLO	     4 /* packets, as tshark counts them */
#define SERVER_HELLO 6
#define CLIENT_ENDS  8
#define REQUEST	     9
#define RESPONSE     11

/* The lines of the recorded key log. */
enum secret {
	SERVER_HANDSHAKE,
	CLIENT_HANDSHAKE,
	EXPORTER,
	SERVER_DATA,
	CLIENT_DATA,
};

/* The addresses are always the same. */
#define PAIR   "127.0.0.1:52964 > 127.0.0.1:443"
#define CIPHER "  TLS 1.3  AES_256_GCM_SHA384"
#define LINE   PAIR CIPHER

/* --- cases -----------------------------------------------------------------
 */

static void
all(void)
{
	begin();
	put_secrets_but(SECRETS);
	put_packets(1, PACKETS);
	report(16);
	check(good && why == NULL);
	check(says("ok          " LINE "\n1 TLS connection: 1 ok\n"));
}

/* As soon as both ends have closed it. */
static void
told(void)
{
	begin();
	put_secrets_but(SECRETS);
	put_packets(1, PACKETS);
	report_as(16, true);
	check(good && why == NULL);
	check(says("ok          " LINE "\ntold\n1 TLS connection: 1 ok\n"));
	begin();
	put_secrets_but(SECRETS);
	put_packets(1, PACKETS / 2);
	report_as(16, true);
	check(strstr(text, "told") == NULL && says(LINE "\n"));
}

static void
none(void)
{
	begin();
	put_packets(1, PACKETS);
	report(16);
	check(!good);
	check(says("missing     " LINE "    no keys in the file\n"));
	check(says("There are no TLS secrets in the file.\n"));
}

/* Of the exporter's nothing depends on in a file. */
static void
one_missing(void)
{
	static const char *const want[SECRETS] = {
		"missing     " LINE "    no SERVER_HANDSHAKE_TRAFFIC_SECRET: "
		"5 of 9 records\n",
		"missing     " LINE "    no CLIENT_HANDSHAKE_TRAFFIC_SECRET: "
		"8 of 9 records\n",
		"ok ",
		"missing     " LINE "    no SERVER_TRAFFIC_SECRET_0: "
		"7 of 9 records\n",
		"missing     " LINE "    no CLIENT_TRAFFIC_SECRET_0: "
		"7 of 9 records\n",
	};

	for (int i = 0; i < SECRETS; i++) {
		begin();
		put_secrets_but(i);
		put_packets(1, PACKETS);
		report(16);
		check(good == (i == EXPORTER));
		check(says(want[i]));
	}
}

/* One bit of it, wherever. */
static void
one_wrong(void)
{
	static const char *const want[SECRETS] = {
		"wrong       " LINE "    SERVER_HANDSHAKE_TRAFFIC_SECRET: ",
		"wrong       " LINE "    CLIENT_HANDSHAKE_TRAFFIC_SECRET: ",
		"ok ",
		"wrong       " LINE "    SERVER_TRAFFIC_SECRET_0: ",
		"wrong       " LINE "    CLIENT_TRAFFIC_SECRET_0: ",
	};

	for (int i = 0; i < SECRETS; i++) {
		char *digit =
		    strrchr(secrets[i], ' ') + 1 + check_random(2 * 48);
		const char right = *digit;

		begin();
		*digit = right == '0' ? '1' : '0';
		put_secrets_but(SECRETS);
		*digit = right;
		put_packets(1, PACKETS);
		report(16);
		check(good == (i == EXPORTER));
		check(says(want[i]));
	}
}

/* Where each has to be at last, for Wireshark: decrypt.c has it from there. */
static void
just_in_time(void)
{
	begin();
	put_packets(1, SERVER_HELLO - 1);
	put_secret(SERVER_HANDSHAKE);
	put_secret(CLIENT_HANDSHAKE);
	put_secret(SERVER_DATA);
	put_packets(SERVER_HELLO, CLIENT_ENDS - 1);
	put_secret(CLIENT_DATA);
	put_packets(CLIENT_ENDS, PACKETS);
	report(16);
	check(good);
	check(says("ok          " LINE "\n"));
}

static void
late(void)
{
	static const struct {
		enum secret secret;
		int before;
		const char *want;
	} late[] = {
		{ SERVER_HANDSHAKE, SERVER_HELLO + 1,
		  "SERVER_HANDSHAKE_TRAFFIC_SECRET behind the packets: " },
		{ CLIENT_HANDSHAKE, SERVER_HELLO + 1,
		  "CLIENT_HANDSHAKE_TRAFFIC_SECRET behind the packets: " },
		{ SERVER_DATA, SERVER_HELLO + 1,
		  "SERVER_TRAFFIC_SECRET_0 behind the packets: " },
		{ CLIENT_DATA, CLIENT_ENDS + 1,
		  "CLIENT_TRAFFIC_SECRET_0 behind the packets: " },
	};

	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		begin();
		put_secrets_but((int)late[i].secret);
		put_packets(1, late[i].before - 1);
		put_secret(late[i].secret);
		put_packets(late[i].before, PACKETS);
		report(16);
		check(!good);
		check(says("late        "));
		check(says(late[i].want));
	}
	begin();
	put_packets(1, PACKETS);
	put_secrets_but(SECRETS);
	report(16);
	check(says("late        " LINE "    CLIENT_HANDSHAKE_TRAFFIC_SECRET, "
		   "SERVER_HANDSHAKE_TRAFFIC_SECRET behind the packets: "
		   "0 of 9 records\n"));
}

/* A reader takes the one that came last, and so do we. */
static void
twice(void)
{
	begin();
	secrets[SERVER_DATA][100] ^= 1;
	put_secrets_but(SECRETS);
	secrets[SERVER_DATA][100] ^= 1;
	put_packets(1, HELLO);
	put_secrets_but(SECRETS);
	put_packets(HELLO + 1, PACKETS);
	report(16);
	check(good);
}

static void
no_hello(void)
{
	begin();
	put_secrets_but(SECRETS);
	put_packets(1, HELLO - 1);
	put_packets(HELLO + 1, PACKETS);
	report(16);
	check(!good);
	check(says("lost        " LINE "    no ClientHello\n"));
}

static void
older(void)
{
	begin();
	put_secrets_but(SECRETS);
	put_packets(REQUEST, PACKETS);
	report(16);
	check(!good);
	check(says("older       " PAIR
		   "  TLS          no ClientHello: it began "
		   "before the capture\n"));
}

/* What is behind the hole is found again, with its number. */
static void
lost(void)
{
	static const int gone[] = { SERVER_HELLO, CLIENT_ENDS, REQUEST,
				    RESPONSE };
	static const char *const want[] = {
		"lost        " PAIR "  TLS          no ServerHello\n",
		"lost        " LINE "    8 of 8 records\n",
		"lost        " LINE "    8 of 8 records\n",
		"lost        " LINE "    8 of 8 records\n",
	};

	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		begin();
		put_secrets_but(SECRETS);
		put_packets(1, gone[i] - 1);
		put_packets(gone[i] + 1, PACKETS);
		report(16);
		check(!good);
		check(says(want[i]));
	}
}

static void
cut(void)
{
	begin();
	put_secrets_but(SECRETS);
	for (int i = 1; i <= PACKETS; i++)
		put(i, 400, NULL, 0);
	report(16);
	check(!good);
	check(says("cut         " LINE "    "));
	begin();
	put_secrets_but(SECRETS);
	for (int i = 1; i <= PACKETS; i++)
		put(i, 80, NULL, 0);
	report(16);
	check(says("cut         "));
	check(says("no ClientHello\n"));
}

static void
disordered(void)
{
	static const int order[] = { 1, 2,  3, 4, 4,  5,  6,  7,  9,
				     8, 11, 9, 9, 12, 11, 14, 15, 17 };

	begin();
	put_secrets_but(SECRETS);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		put(order[i], UINT32_MAX, NULL, 0);
	report(16);
	check(good);
	check(says("ok          " LINE "\n"));
}

static void
processes(void)
{
	static const struct {
		const char *comment;
		uint8_t direction;
		const char *want;
	} said[] = {
		{ "pid=7 comm=curl uid=0", 2, LINE "  curl[7]\n" },
		{ "pid=7 comm=curl uid=0", 1, LINE "   > curl[7]\n" },
		{ "pid=7 comm=a\\x20b uid=0 to-pid=8 to-comm=c to-uid=0", 1,
		  LINE "  a\\x20b[7] > c[8]\n" },
		{ "pid=unknown to-pid=8 to-comm=c to-uid=0", 0,
		  LINE "  ? > c[8]\n" },
		{ "pid=7 comm=\x1b[1m\\x1b uid=0", 2,
		  LINE "  \\x1b[1m\\x1b[7]\n" },
		{ "pid=4294967296 comm=x", 2, LINE "  ?\n" },
		{ "nothing of ours", 2, LINE "\n" },
	};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		begin();
		put_secrets_but(SECRETS);
		put(1, UINT32_MAX, said[i].comment, said[i].direction);
		put_packets(2, PACKETS);
		report(16);
		check(says(said[i].want));
	}
}

/* A line about the recorded connection, whose client random it is. */
static void
put_giver(const char *random, const char *says)
{
	char line[2048];
	int length;

	if (random == NULL)
		random = strchr(secrets[0], ' ') + 1;
	length = snprintf(line, sizeof(line), "# %.64s %s\n", random, says);
	ebpftls_blocks_secrets(&blocks, line, (size_t)length);
}

#define BOTH  "pid=7 comm=curl uid=0 to-pid=8 to-comm=nginx to-uid=0"
#define NAMES "  curl[7] > nginx[8]"

static void
libraries(void)
{
	static const char a64[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const struct {
		const char *comment;
		uint8_t direction;
		const char *first;
		const char *second;
		const char *want;
	} said[] = {
		{ BOTH, 2, "pid=7 library=/a/libx.so", "pid=8 library=/b/y",
		  NAMES "  libx.so > y\n" },
		{ BOTH, 2, "pid=8 library=/b/y", "pid=7 library=/a/libx.so",
		  NAMES "  libx.so > y\n" },
		{ BOTH, 2, "pid=7 library=/a/x", "pid=8 library=/b/x",
		  NAMES "  x\n" },
		{ BOTH, 2, "pid=7 library=x", "pid=7 library=/b/y",
		  NAMES "  x > ?\n" },
		{ BOTH, 2, "pid=9 library=x", "pid=8 library=/b\\x20/y\\x0a",
		  NAMES "  ? > y\\x0a\n" },
		{ BOTH, 2, "pid=9 library=x", "pid=10 library=y", NAMES "\n" },
		{ BOTH, 2, "pid=7 library=\x1b[1m", "pid= library=x",
		  NAMES "\n" },
		{ BOTH, 2, "pid=4294967303 library=x", "pid=7x library=x",
		  NAMES "\n" },
		{ BOTH, 2, "library=x pid=7", "pid=8", NAMES "\n" },
		{ "pid=7 comm=curl uid=0", 2, "pid=7 library=/a", "",
		  "  curl[7]  a\n" },
		{ "pid=8 comm=nginx uid=0", 1, "pid=8 library=/a", "",
		  "   > nginx[8]  a\n" },
		{ "pid=unknown", 2, "pid=7 library=/a", "", "  ?\n" },
	};

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		begin();
		put_giver(NULL, "pid=7 library=/before/its/secrets");
		put_secrets_but(SECRETS);
		put_giver(a64, "pid=7 library=/of/another");
		put_giver(NULL, said[i].first);
		put_giver(NULL, said[i].second);
		put(1, UINT32_MAX, said[i].comment, said[i].direction);
		put_packets(2, PACKETS);
		report(16);
		check(good && says(said[i].want));
	}
}

/* A connection that does not decrypt names them before it says why. */
static void
libraries_in_columns(void)
{
	begin();
	put_secrets_but(SERVER_DATA);
	put_giver(NULL, "pid=7 library=/a/libx.so");
	put(1, UINT32_MAX, "pid=7 comm=curl uid=0", 2);
	put_packets(2, PACKETS);
	report(16);
	check(says("  curl[7]  libx.so  no SERVER_TRAFFIC_SECRET_0: "));
}

/* By the numbers of blocks, where there are no comments. */
static void
process_blocks(void)
{
	const uint32_t first = 1, second = 0;
	uint8_t options[32], *at = options;
	struct ebpftls_record record = {
		.caplen = headers[0].caplen,
		.len = headers[0].len,
		.options = options,
	};

	begin();
	ebpftls_blocks_process(&blocks, 8, "nginx", 5);
	ebpftls_blocks_process(&blocks, 7, "curl", 4);
	put_secrets_but(SECRETS);
	at = ebpftls_blocks_option(at, (int)EBPFTLS_EPB_PROCESS, &first, 4);
	at = ebpftls_blocks_option(at, (int)EBPFTLS_EPB_TO_PROCESS, &second, 4);
	record.options_size = (size_t)(at - options);
	ebpftls_blocks_packet(&blocks, &record, true, packets[0]);
	put_packets(2, PACKETS);
	report(16);
	check(says(LINE "  curl[7] > nginx[8]\n"));
}

/* In the headers of another link type, as dumpcap writes it. */
static void
pktap(void)
{
	static const struct ebpftls_owner curl = { .kind = EBPFTLS_OF_PROCESS,
						   .pid = 7,
						   .comm = "curl" };
	uint8_t packet[EBPFTLS_PKTAP_SIZE + sizeof(packets[0])];

	for (int outgoing = 0; outgoing < 2; outgoing++) {
		struct ebpftls_pktap facts = {
			.interface = "lo",
			.dlt = 1,
			.link_size = 14,
			.outgoing = outgoing != 0,
			.sender = outgoing != 0 ? &curl : NULL,
			.receiver = outgoing != 0 ? NULL : &curl,
		};

		linktype = 258;
		begin();
		linktype = 1;
		put_secrets_but(SECRETS);
		for (int i = 0; i < PACKETS; i++) {
			const uint32_t size =
			    EBPFTLS_PKTAP_SIZE + headers[i].caplen;
			const struct ebpftls_record record = { .caplen = size,
							       .len = size };

			ebpftls_pktap_write(packet, &facts);
			memcpy(packet + EBPFTLS_PKTAP_SIZE, packets[i],
			       headers[i].caplen);
			ebpftls_blocks_packet(&blocks, &record, true, packet);
			facts.sender = facts.receiver = NULL;
		}
		report(16);
		check(good);
		check(says(outgoing != 0 ? LINE "  curl[7]\n"
					 : LINE "   > curl[7]\n"));
	}
}

static void
notes(void)
{
	const struct ebpftls_totals totals = {
		.comment = "no TLS secrets: \x1b[2J\nother\n",
	};

	begin();
	put_packets(1, PACKETS);
	ebpftls_blocks_statistics(&blocks, 0, 1, true, &totals);
	report(16);
	check(says("\nThe capture said: no TLS secrets: \\x1b[2J\n"
		   "The capture said: other\n"));
}

/* More connections at once than are followed. */
static void
crowded(void)
{
	begin();
	put_secrets_but(SECRETS);
	put_packets(1, PACKETS);
	packets[0][35] ^= 1; /* its port */
	put_packets(1, 1);
	packets[0][35] ^= 1;
	put_packets(REQUEST, PACKETS);
	report(1);
	check(says("ok          "));
	check(says("older       "));
	check(says("2 TLS connections: 1 ok, 1 older\n"));
}

static void
unreadable(void)
{
	begin();
	put_packets(1, 2);
	blocks.size -= 4;
	report(16);
	check(why == NULL);
	blocks.bytes[blocks.size - 40] ^= 1;
	blocks.size = 0;
	report(16);
	check(why != NULL && strcmp(why, "no pcapng file") == 0);
	begin();
	blocks.bytes[8] ^= 1;
	report(16);
	check(why != NULL && strcmp(why, "no pcapng file") == 0);
	begin();
	blocks.bytes[blocks.size - 1] ^= 1;
	report(16);
	check(why != NULL && strcmp(why, "it is damaged") == 0);
}

static const struct check_case cases[] = {
	{ "all keys are there", all },
	{ "told when it ends", told },
	{ "no keys", none },
	{ "one key is missing", one_missing },
	{ "one bit of a key is wrong", one_wrong },
	{ "keys just in time", just_in_time },
	{ "keys behind the packets", late },
	{ "a key that is replaced in time", twice },
	{ "without the ClientHello", no_hello },
	{ "older than the capture", older },
	{ "lost packets", lost },
	{ "packets cut by the snap length", cut },
	{ "packets in disorder and again", disordered },
	{ "processes in comments", processes },
	{ "processes in blocks", process_blocks },
	{ "processes in headers of PKTAP", pktap },
	{ "libraries of both ends", libraries },
	{ "a library before what is wrong", libraries_in_columns },
	{ "what the capture said", notes },
	{ "more than are followed", crowded },
	{ "files that cannot be read", unreadable },
	{ NULL, NULL },
};

int
main(void)
{
	int status;

	read_recording("tls13");
	if (packet_count != PACKETS || secret_count != SECRETS)
		abort();
	status = check_main(cases);
	ebpftls_blocks_free(&blocks);
	free(text);
	return status;
}
