// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does a report say what is true of DTLS and QUIC? Of recorded connections: two
 * of DTLS 1.2, in one of which a ServerHello comes in front of other messages'
 * fragments, and three of QUIC, of which the second has early data and the
 * third a Retry: see tests/data/record-handshakes.
 */
#define _GNU_SOURCE
#include "unit/reports.h"

/* Packets, as tshark counts them, and the lines of the key log. */
#define PACKETS 53
#define SECRETS 15
#define ALL	5

#define CIPHER_DTLS "DTLS     AES_256_GCM_SHA384"
#define CIPHER_QUIC "QUIC     AES_128_GCM_SHA256"

/* From the first packet of each to its last, and which lines are its own. */
static const struct {
	int first, last;
	int secret, secrets;
} connections[ALL] = {
	{ 1, 13, 0, 1 },  { 14, 22, 1, 1 },  { 23, 31, 2, 4 },
	{ 32, 40, 6, 5 }, { 41, 53, 11, 4 },
};

#define SERVER_HELLO 24 /* of the first one of QUIC, and more in it */

/* The first packet behind the last one with a hello message: of the third and
 * fourth connection the server asks for no proof of the address. */
static int
behind_hello(int connection)
{
	const bool at_once = connection == 2 || connection == 3;

	return connections[connection].first + (at_once ? 2 : 4);
}

static int
connection_of(int packet)
{
	int i = 0;

	while (packet > connections[i].last)
		i++;
	return i;
}

static int
owner_of(int secret)
{
	int i = 0;

	while (secret >= connections[i].secret + connections[i].secrets)
		i++;
	return i;
}

static const char *
label_of(int secret)
{
	static char label[64];

	sscanf(secrets[secret], "%63s", label);
	return label;
}

/* Changes one bit of a secret, or changes it back. */
static void
flip(int secret, size_t digit)
{
	char *at = strrchr(secrets[secret], ' ') + 1 + digit;

	/* 'a' and 'b' are no pair in ASCII */
	*at = (char)(*at < 'a' ? *at ^ 1 : ((*at - 'a') ^ 1) + 'a');
}

static void
all(void)
{
	begin();
	put_secrets_but(SECRETS);
	put_packets(1, PACKETS);
	report(16);
	check(good);
	check(says(" > 127.0.0.1:4404  " CIPHER_DTLS "\n"));
	check(says(" > 127.0.0.1:4406  " CIPHER_QUIC "\n"));
	check(says("\n5 TLS connections: 5 ok\n"));
}

static void
none(void)
{
	begin();
	put_packets(1, PACKETS);
	report(16);
	check(!good);
	check(says(CIPHER_DTLS "    no keys in the file\n"));
	check(says(CIPHER_QUIC "    no keys in the file\n"));
	check(says("\n5 TLS connections: 5 missing\n"));
}

static void
one_missing(void)
{
	char want[128];

	for (int i = 0; i < SECRETS; i++) {
		const bool only = connections[owner_of(i)].secrets == 1;

		begin();
		put_secrets_but(i);
		put_packets(1, PACKETS);
		report(16);
		check(!good);
		snprintf(want, sizeof(want),
			 only ? "    no keys in the file\n" : "    no %s: ",
			 label_of(i));
		check(says(want));
		check(says("4 ok, 1 missing\n"));
	}
}

/* One bit of it, wherever. */
static void
one_wrong(void)
{
	char want[128];

	for (int i = 0; i < SECRETS; i++) {
		const size_t size = strlen(strrchr(secrets[i], ' ') + 1) - 1;
		const size_t digit = check_random((unsigned int)size);

		begin();
		flip(i, digit);
		put_secrets_but(SECRETS);
		flip(i, digit);
		put_packets(1, PACKETS);
		report(16);
		check(!good);
		snprintf(want, sizeof(want), "    %s: ", label_of(i));
		check(says(want));
		check(says("4 ok, 1 wrong\n"));
	}
}

static void
late(void)
{
	begin();
	put_packets(1, PACKETS);
	put_secrets_but(SECRETS);
	report(16);
	check(!good);
	check(says("CLIENT_RANDOM behind the packets: 0 of 5 records\n"));
	check(says("\n5 TLS connections: 5 late\n"));
}

/* Each where Wireshark has to have it at last: before the first packet that is
 * protected with it; those of QUIC's data, both before either. */
static void
just_in_time(void)
{
	begin();
	put_packets(1, 7);
	put_secret(0);
	put_packets(8, 17);
	put_secrets_but(0);
	put_packets(18, PACKETS);
	report(16);
	check(good);
	check(says("5 ok\n"));
	for (int i = 2; i < 6; i++) {
		const bool client_shakes =
		    strstr(secrets[i], "CLIENT_HANDSHAKE") != NULL;

		begin();
		put_secrets_but(i);
		put_packets(1, SERVER_HELLO);
		put_secret(i);
		put_packets(SERVER_HELLO + 1, PACKETS);
		report(16);
		check(good == client_shakes);
		check(says(client_shakes ? "5 ok\n" : "4 ok, 1 late\n"));
	}
}

/* Packets of a connection in any order, but its hello messages. */
static void
disordered(void)
{
	int order[PACKETS + 1];

	for (int run = 0; run < 20; run++) {
		for (int i = 1; i <= PACKETS; i++)
			order[i] = i;
		for (int i = 0; i < ALL; i++) {
			const int first = behind_hello(i);
			const int count = connections[i].last - first + 1;

			for (int j = 0; j < count; j++) {
				const int other =
				    (int)check_random((unsigned int)count);
				const int kept = order[first + j];

				order[first + j] = order[first + other];
				order[first + other] = kept;
			}
		}
		begin();
		put_secrets_but(SECRETS);
		for (int i = 1; i <= PACKETS; i++)
			put(order[i], UINT32_MAX, NULL, 0);
		report(16);
		check(good);
		check(says("5 ok\n"));
	}
}

/* Each packet again, as a network may bring it. */
static void
twice(void)
{
	begin();
	put_secrets_but(SECRETS);
	for (int i = 1; i <= PACKETS; i++) {
		put(i, UINT32_MAX, NULL, 0);
		put(i, UINT32_MAX, NULL, 0);
	}
	report(16);
	check(good);
	check(says("\n5 TLS connections: 5 ok\n"));
}

/* Any packet behind the hello messages: the rest opens nevertheless. */
static void
lost(void)
{
	for (int i = 1; i <= PACKETS; i++) {
		if (i < behind_hello(connection_of(i)))
			continue;
		begin();
		put_secrets_but(SECRETS);
		put_packets(1, i - 1);
		put_packets(i + 1, PACKETS);
		report(16);
		check(good);
		check(says("\n5 TLS connections: 5 ok\n"));
	}
}

static void
no_server_hello(void)
{
	static const int gone[] = { 4, 17, SERVER_HELLO, 33, 44 };

	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		begin();
		put_secrets_but(SECRETS);
		put_packets(1, gone[i] - 1);
		put_packets(gone[i] + 1, PACKETS);
		report(16);
		check(!good);
		check(says("    no ServerHello\n"));
		check(says("4 ok, 1 lost\n"));
	}
}

/* Of one direction there is nothing that is protected. */
static void
one_way(void)
{
	for (int i = 0; i < ALL; i++) {
		const int from = behind_hello(i);

		begin();
		put_secrets_but(SECRETS);
		put_packets(connections[i].first, from - 1);
		for (int j = from; j <= connections[i].last; j++)
			if (packets[j - 1][36] == packets[from - 2][36] &&
			    packets[j - 1][37] == packets[from - 2][37])
				put(j, UINT32_MAX, NULL, 0);
		report(16);
		check(good);
		check(says("\n1 TLS connection: 1 ok\n"));
	}
}

/* Nothing but the hello messages. */
static void
plain(void)
{
	begin();
	put_secrets_but(SECRETS);
	put_packets(1, 6);
	report(16);
	check(good);
	check(says("plain  "));
}

static void
cut(void)
{
	begin();
	put_secrets_but(SECRETS);
	for (int i = 1; i <= PACKETS; i++)
		put(i, 300, NULL, 0);
	report(16);
	check(!good);
	check(says("cut  "));
	check(strstr(text, "wrong") == NULL);
}

/* Records with connection ids, and those of DTLS 1.3, cannot be tried. */
static void
other_records(void)
{
	uint8_t *answer = packets[3] + 67; /* the ServerHello's version */
	uint8_t *data = packets[10] + 42;

	check(answer[0] == 0xfe && answer[1] == 0xfd && data[0] == 23);
	for (int i = 0; i < 2; i++) {
		begin();
		put_secrets_but(SECRETS);
		data[0] = i == 0 ? 25 : 0x2e;
		answer[1] = i == 0 ? 0xfd : 0xfc;
		put_packets(1, 7);
		put_packets(11, 11);
		data[0] = 23;
		answer[1] = 0xfd;
		report(16);
		check(good);
		check(says("unverified  "));
	}
}

/* A packet as if it had gone between the ports of the first one of QUIC. */
static void
put_moved(int number)
{
	uint8_t *ports = packets[number - 1] + 34;
	const bool to_server = ports[2] == 4405 >> 8;
	uint8_t kept[4];

	memcpy(kept, ports, 4);
	memcpy(ports, packets[22] + 34 + (to_server ? 0 : 2), 2);
	memcpy(ports + 2, packets[22] + 34 + (to_server ? 2 : 0), 2);
	put(number, UINT32_MAX, NULL, 0);
	memcpy(ports, kept, 4);
}

/* The same ports again: another connection. */
static void
again(void)
{
	begin();
	put_secrets_but(SECRETS);
	put_packets(23, 31);
	for (int i = 41; i <= PACKETS; i++)
		put_moved(i);
	for (int i = 32; i <= 40; i++)
		put_moved(i);
	report(16);
	check(good);
	check(says("\n3 TLS connections: 3 ok\n"));
}

static const struct check_case cases[] = {
	{ "all keys are there", all },
	{ "no keys", none },
	{ "one key is missing", one_missing },
	{ "one bit of a key is wrong", one_wrong },
	{ "keys behind the packets", late },
	{ "keys just in time", just_in_time },
	{ "packets in disorder", disordered },
	{ "packets that come twice", twice },
	{ "lost packets", lost },
	{ "without the ServerHello", no_server_hello },
	{ "one direction only", one_way },
	{ "hello messages only", plain },
	{ "packets cut by the snap length", cut },
	{ "records that are not known", other_records },
	{ "the same ports again", again },
	{ NULL, NULL },
};

int
main(void)
{
	int status;

	read_recording("udp");
	if (packet_count != PACKETS || secret_count != SECRETS)
		abort();
	status = check_main(cases);
	ebpftls_blocks_free(&blocks);
	free(text);
	return status;
}
