// SPDX-License-Identifier: BSD-3-Clause
/*
 * Do the packets of recorded handshakes need secrets just where tshark saw
 * that they do? See tests/data/record-handshakes.
 */
#define _GNU_SOURCE

#include "ebpftls-flow.h"

#include <pcap/pcap.h>
#include <zlib.h>

#include "unit/check.h"

#define SIZE_MAX_ (4u << 20)

static struct ebpftls_keys *keys;
static struct ebpftls_flows *flows;
static uint8_t *savefile;
static FILE *wanted;

static const char *
path_of(const char *name)
{
	const char *top = getenv("TOP");
	static char path[4096];

	snprintf(path, sizeof(path), "%s/tests/data/%s",
		 top != NULL ? top : ".", name);
	return path;
}

static pcap_t *
open_savefile(void)
{
	char text[PCAP_ERRBUF_SIZE];
	gzFile file = gzopen(path_of("handshakes.pcap.gz"), "rb");
	int count;

	savefile = malloc(SIZE_MAX_);
	if (file == NULL || savefile == NULL)
		abort();
	count = gzread(file, savefile, SIZE_MAX_);
	gzclose(file);
	if (count <= 0)
		abort();
	return pcap_fopen_offline(fmemopen(savefile, (size_t)count, "rb"),
				  text);
}

/* Whether it is what a server's packets need again, after a ServerHello. */
static bool
is_again(const struct ebpftls_need *need)
{
	return need->labels == 1 << EBPFTLS_SERVER_TRAFFIC_SECRET_0;
}

/* Whether this is what the next line of handshakes.needs says. */
static bool
is_wanted(unsigned long number, const struct ebpftls_need *need)
{
	unsigned long first, last;
	unsigned int labels;
	char random[2 * EBPFTLS_RANDOM_SIZE + 1];
	char hex[sizeof(random)];

	if (!check(fscanf(wanted, "%lu %lu %x %64s", &first, &last, &labels,
			  random) == 4))
		return false;
	for (size_t i = 0; i < EBPFTLS_RANDOM_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", need->random[i]);
	if (!check(number >= first && number <= last))
		printf("packet %lu, not %lu..%lu\n", number, first, last);
	return check(need->labels == labels) && check(strcmp(hex, random) == 0);
}

static void
compare(pcap_t *packets)
{
	struct pcap_pkthdr *header;
	const u_char *bytes;
	unsigned long number = 0;

	while (pcap_next_ex(packets, &header, &bytes) == 1) {
		static const struct ebpftls_end nobody[2];
		struct ebpftls_need need;
		uint8_t *copy = malloc(header->caplen);
		bool needs;

		if (copy == NULL)
			abort();
		memcpy(copy, bytes, header->caplen);
		number++;
		needs =
		    ebpftls_flows_packet(flows, keys, pcap_datalink(packets),
					 copy, header->caplen, nobody, number,
					 &need);
		free(copy);
		if (needs && !is_again(&need) && !is_wanted(number, &need))
			return;
	}
	check(fscanf(wanted, "%*s") == EOF);
}

static void
all(void)
{
	pcap_t *packets = open_savefile();

	wanted = fopen(path_of("handshakes.needs"), "r");
	if (packets == NULL || wanted == NULL)
		abort();
	keys = ebpftls_keys_new(1000);
	flows = ebpftls_flows_new(1000);
	compare(packets);
	ebpftls_flows_free(flows);
	ebpftls_keys_free(keys);
	fclose(wanted);
	pcap_close(packets);
	free(savefile);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "recorded handshakes", all },
		{ NULL, NULL },
	};

	return check_main(cases);
}
