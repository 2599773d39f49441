// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does stock tshark, reading once, decrypt what the savefile writes of a
 * recorded TLS 1.3 connection, whenever its secrets come? See
 * tests/data/record-tls.
 */
#define _GNU_SOURCE
#include "ebpftls-savefile.h"

#include <pcap/pcap.h>
#include <unistd.h>

#include "unit/check.h"

#define SECOND	 UINT64_C(1000000000)
#define SECRETS	 5
#define PACKETS	 17
#define FILENAME "decrypt-test.pcapng"
#define TSHARK	 "tshark -r " FILENAME " "

static struct ebpftls_secret secrets[SECRETS];
static struct pcap_pkthdr headers[PACKETS];
static uint8_t packets[PACKETS][2048];

static struct ebpftls_savefiles files;
static uint64_t now;

/* --- the recording ---------------------------------------------------------
 */

static const char *
data_file(const char *name)
{
	static char file[4096];
	const char *top = getenv("TOP");

	snprintf(file, sizeof(file), "%s/tests/data/%s",
		 top != NULL ? top : ".", name);
	return file;
}

static uint8_t
label_of(const char *name)
{
	if (strcmp(name, "CLIENT_HANDSHAKE_TRAFFIC_SECRET") == 0)
		return EBPFTLS_CLIENT_HANDSHAKE_TRAFFIC_SECRET;
	if (strcmp(name, "SERVER_HANDSHAKE_TRAFFIC_SECRET") == 0)
		return EBPFTLS_SERVER_HANDSHAKE_TRAFFIC_SECRET;
	if (strcmp(name, "CLIENT_TRAFFIC_SECRET_0") == 0)
		return EBPFTLS_CLIENT_TRAFFIC_SECRET_0;
	if (strcmp(name, "SERVER_TRAFFIC_SECRET_0") == 0)
		return EBPFTLS_SERVER_TRAFFIC_SECRET_0;
	return EBPFTLS_EXPORTER_SECRET;
}

static void
read_secrets(void)
{
	FILE *file = fopen(data_file("tls13.keys"), "r");
	char label[64], random[80], value[120];

	for (size_t i = 0; i < SECRETS; i++) {
		struct ebpftls_secret *to = &secrets[i];

		if (file == NULL ||
		    fscanf(file, "%63s %79s %119s", label, random, value) != 3)
			abort();
		to->label = label_of(label);
		check_hex(to->random, random);
		to->length = (uint8_t)check_hex(to->secret, value);
	}
	fclose(file);
}

static void
read_packets(void)
{
	char text[PCAP_ERRBUF_SIZE];
	pcap_t *handle = pcap_open_offline(data_file("tls13.pcap"), text);
	struct pcap_pkthdr *header;
	const u_char *bytes;

	for (size_t i = 0; i < PACKETS; i++) {
		if (handle == NULL ||
		    pcap_next_ex(handle, &header, &bytes) != 1 ||
		    header->caplen > sizeof(packets[i]))
			abort();
		headers[i] = *header;
		memcpy(packets[i], bytes, header->caplen);
	}
	pcap_close(handle);
}

/* --- writing ---------------------------------------------------------------
 */

static uint64_t
await(void *context, uint64_t until)
{
	(void)context;
	return now = until;
}

static void
totals(void *context, struct ebpftls_totals *all)
{
	(void)context;
	*all = (struct ebpftls_totals){
		.received = PACKETS,
		.comment = "all is well",
	};
}

static struct ebpftls_savefile *
begin(FILE *file)
{
	static const struct ebpftls_interface interface = {
		.name = "ebpftls:lo",
		.description = "a test",
		.linktype = 1,
		.snaplen = 262144,
		.nanoseconds = true,
	};

	now = 1000 * SECOND;
	ebpftls_savefiles_init(&files);
	files.keys = ebpftls_keys_new(16);
	files.flows = ebpftls_flows_new(16);
	files.hold = SECOND / 5;
	files.hold_bytes = 1 << 20;
	files.await = await;
	files.totals = totals;
	return ebpftls_savefile_begin(&files, file, &interface, now);
}

static void
end(void)
{
	ebpftls_savefiles_close(&files);
	ebpftls_flows_free(files.flows);
	ebpftls_keys_free(files.keys);
}

/* Packets as tshark counts them. */
static void
give_packets(struct ebpftls_savefile *save, int first, int last)
{
	for (int i = first - 1; i < last; i++) {
		const struct ebpftls_record record = {
			.time = (uint64_t)headers[i].ts.tv_sec * SECOND +
				(uint64_t)headers[i].ts.tv_usec * 1000,
			.caplen = headers[i].caplen,
			.len = headers[i].len,
			.direction = 1,
			.dropped = i == 0 ? 3 : 0,
		};

		now += 1000;
		ebpftls_savefile_packet(save, &record, packets[i], now);
	}
}

static void
give_secrets(size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		ebpftls_savefiles_secret(&files, &secrets[i], now);
}

/* --- reading ---------------------------------------------------------------
 */

/* Whether a program says this of the file. */
static bool
says(const char *command, const char *want)
{
	char line[256], got[4096] = "";
	FILE *pipe = popen(command, "r");

	while (fgets(line, sizeof(line), pipe) != NULL)
		strncat(got, line, sizeof(got) - strlen(got) - 1);
	if (pclose(pipe) == 0 && strstr(got, want) != NULL)
		return true;
	printf("  %s: \"%s\" is not in \"%s\"\n", command, want, got);
	return false;
}

/* Request and response; and each packet in its place. */
static bool
is_decrypted(void)
{
	return says(TSHARK "-Y http -T fields -e frame.number 2>/dev/null",
		    "9\n11\n") &&
	       says("capinfos " FILENAME, "Number of packets:   17") &&
	       says("capinfos " FILENAME, "Strict time order:   True");
}

static bool
no_tshark(void)
{
	if (system("tshark --version >/dev/null 2>&1") == 0)
		return false;
	check_skip("there is no tshark");
	return true;
}

/* The server logs its secrets before it sends anything. */
static void
in_time(void)
{
	FILE *file;
	struct ebpftls_savefile *save;

	if (no_tshark())
		return;
	file = fopen(FILENAME, "w");
	save = begin(file);
	give_packets(save, 1, 4);
	give_secrets(0, SECRETS);
	give_packets(save, 5, PACKETS);
	end();
	check(files.late == 0);
	fclose(file);
	check(is_decrypted());
}

/* Before the ClientHello even, as the consumer reads secrets first. */
static void
before_all(void)
{
	FILE *file;
	struct ebpftls_savefile *save;

	if (no_tshark())
		return;
	file = fopen(FILENAME, "w");
	save = begin(file);
	give_secrets(0, SECRETS);
	give_packets(save, 1, PACKETS);
	end();
	fclose(file);
	check(is_decrypted());
}

/* Those of an earlier connection with this client random are in the file. */
static void
random_again(void)
{
	FILE *file;
	struct ebpftls_savefile *save;
	struct ebpftls_secret earlier;

	if (no_tshark())
		return;
	file = fopen(FILENAME, "w");
	save = begin(file);
	give_packets(save, 1, 4);
	for (size_t i = 0; i < SECRETS; i++) {
		earlier = secrets[i];
		earlier.secret[0] ^= 1;
		ebpftls_savefiles_secret(&files, &earlier, now);
	}
	ebpftls_savefile_flush(save);
	give_secrets(0, SECRETS);
	give_secrets(0, SECRETS); /* of the other end */
	give_packets(save, 5, PACKETS);
	end();
	fclose(file);
	check(says("capinfos " FILENAME,
		   "Number of decryption secrets in file: 10"));
	check(is_decrypted());
}

/* The client knows them only when the server's packets are there. */
static void
in_pipe(void)
{
	FILE *file;
	struct ebpftls_savefile *save;

	if (no_tshark())
		return;
	file = popen("cat >" FILENAME, "w");
	save = begin(file);
	give_packets(save, 1, 8);
	give_secrets(0, 2);
	ebpftls_savefile_flush(save);
	give_packets(save, 9, 12);
	give_secrets(2, SECRETS - 2);
	give_packets(save, 13, PACKETS);
	end();
	check(files.late == 0);
	check(pclose(file) == 0);
	check(is_decrypted());
}

/* The client was stopped for a long time, and the file is done. */
static void
reserved_room(void)
{
	FILE *file;
	struct ebpftls_savefile *save;

	if (no_tshark())
		return;
	file = fopen(FILENAME, "w");
	save = begin(file);
	give_packets(save, 1, PACKETS);
	ebpftls_savefile_end(save);
	fclose(file);
	check(says(TSHARK "2>/dev/null | grep -c HTTP; true", "0\n"));
	now += 5 * SECOND;
	give_secrets(0, SECRETS);
	end();
	check(files.late == 0);
	check(is_decrypted());
}

/* As with tcpdump -U. */
static void
flushed(void)
{
	FILE *file;
	struct ebpftls_savefile *save;

	if (no_tshark())
		return;
	file = fopen(FILENAME, "w");
	save = begin(file);
	for (int i = 1; i <= PACKETS; i++) {
		give_packets(save, i, i);
		ebpftls_savefile_flush(save);
		if (i == 8)
			give_secrets(0, SECRETS);
	}
	end();
	fclose(file);
	check(is_decrypted());
}

/* A file that begins in the middle has the secrets; its readers join both. */
static void
rotated(void)
{
	FILE *file;
	struct ebpftls_savefile *save;

	if (no_tshark())
		return;
	file = fopen("first.pcapng", "w");
	save = begin(file);
	give_packets(save, 1, 4);
	give_secrets(0, SECRETS);
	ebpftls_savefile_end(save);
	fclose(file);
	file = fopen("second.pcapng", "w");
	save = ebpftls_savefile_begin(&files, file,
				      &(struct ebpftls_interface){
					  .name = "ebpftls:lo",
					  .description = "a test",
					  .linktype = 1,
					  .snaplen = 262144,
					  .nanoseconds = true },
				      now);
	give_packets(save, 5, PACKETS);
	end();
	fclose(file);
	check(says("capinfos second.pcapng",
		   "Number of decryption secrets in file: 5"));
	check(system("mergecap -a -w " FILENAME " first.pcapng second.pcapng "
		     "2>/dev/null") == 0);
	check(is_decrypted());
	unlink("first.pcapng");
	unlink("second.pcapng");
}

/* What the file says of itself. */
static void
fields(void)
{
	FILE *file;
	struct ebpftls_savefile *save;

	if (no_tshark())
		return;
	file = fopen(FILENAME, "w");
	save = begin(file);
	give_packets(save, 1, PACKETS);
	end();
	fclose(file);
	check(says(TSHARK "-c1 -T fields -e frame.interface_name "
			  "-e frame.packet_flags_direction -e frame.drop_count "
			  "2>/dev/null",
		   "ebpftls:lo\t0x00000001\t3\n"));
	check(says("capinfos " FILENAME, "Capture application: ebpftls\n"));
	check(says("capinfos " FILENAME, "Description = a test"));
	check(says("capinfos " FILENAME, "Time precision = nanoseconds (9)"));
	check(says("capinfos " FILENAME, "Number of stat entries = 1"));
}

/* --- what remains ----------------------------------------------------------
 */

/* Whether the secret stands here as a key log has it. */
__attribute__((no_sanitize("address"))) static bool
is_here(const char *at, const struct ebpftls_secret *secret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < secret->length; i++) {
		if (at[2 * i] != digits[secret->secret[i] >> 4] ||
		    at[2 * i + 1] != digits[secret->secret[i] & 15])
			return false;
	}
	return true;
}

/* How often it is anywhere in memory, the sanitizers' own maps left out. */
static int
count_in_memory(const struct ebpftls_secret *secret)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	char line[512];
	int count = 0;

	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 ||
		    strstr(line, " rw") == NULL || to - from > 1 << 26)
			continue;
		for (; from + 2 * secret->length <= to; from++)
			count += is_here((const char *)from, secret);
	}
	fclose(maps);
	return count;
}

/* One comes in time, one late, one for a room on disk. */
static void
nothing_remains(void)
{
	FILE *file = fopen(FILENAME, "w");
	struct ebpftls_savefile *save = begin(file);
	struct ebpftls_secret made[3];

	for (uint8_t i = 0; i < 3; i++) {
		made[i] = secrets[i];
		for (uint8_t j = 0; j < made[i].length; j++)
			made[i].secret[j] = (uint8_t)check_random(256);
	}
	give_packets(save, 1, 4);
	ebpftls_savefiles_secret(&files, &made[0], now);
	check(count_in_memory(&made[0]) > 0);
	give_packets(save, 5, PACKETS);
	now += SECOND;
	ebpftls_savefiles_tick(&files, now);
	ebpftls_savefiles_secret(&files, &made[1], now);
	ebpftls_savefile_flush(save);
	ebpftls_savefiles_secret(&files, &made[2], now);
	ebpftls_savefiles_close(&files);
	for (size_t i = 0; i < 3; i++)
		check(count_in_memory(&made[i]) == 0);
	ebpftls_flows_free(files.flows);
	ebpftls_keys_free(files.keys);
	fclose(file);
}

static const struct check_case cases[] = {
	{ "secrets in time", in_time },
	{ "secrets before all packets", before_all },
	{ "a client random that is used again", random_again },
	{ "secrets late, in a pipe", in_pipe },
	{ "secrets after the file's end", reserved_room },
	{ "each packet flushed", flushed },
	{ "a file that begins in the middle", rotated },
	{ "what a file says of itself", fields },
	{ "no secret remains in memory", nothing_remains },
	{ NULL, NULL },
};

int
main(void)
{
	read_secrets();
	read_packets();
	return check_main_with_file(cases, FILENAME);
}
