/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes capture files of recorded packets and secrets, and reports on them.
 * What there is on either is in tests/data.
 */
#ifndef TEST_REPORTS_H
#define TEST_REPORTS_H

#include <pcap/pcap.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ebpftls-blocks.h"
#include "inspect.h"
#include "table.h"
#include "unit/check.h"

#define PACKETS_MAX 64
#define SECRETS_MAX 16

static struct pcap_pkthdr headers[PACKETS_MAX];
static uint8_t packets[PACKETS_MAX][2048];
static char secrets[SECRETS_MAX][256];
static int packet_count, secret_count;

static uint32_t linktype = 1;
static struct ebpftls_blocks blocks;
static char *text;
static bool good;
static const char *why;

/* --- the recording ---------------------------------------------------------
 */

static const char *
data_file(const char *name, const char *end)
{
	static char file[4096];
	const char *top = getenv("TOP");

	snprintf(file, sizeof(file), "%s/tests/data/%s%s",
		 top != NULL ? top : ".", name, end);
	return file;
}

/* NAME.pcap and NAME.keys */
static void
read_recording(const char *name)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *handle = pcap_open_offline(data_file(name, ".pcap"), error);
	FILE *file = fopen(data_file(name, ".keys"), "r");
	struct pcap_pkthdr *header;
	const u_char *bytes;

	if (handle == NULL || file == NULL)
		abort();
	while (pcap_next_ex(handle, &header, &bytes) == 1) {
		if (packet_count == PACKETS_MAX ||
		    header->caplen > sizeof(packets[0]))
			abort();
		headers[packet_count] = *header;
		memcpy(packets[packet_count++], bytes, header->caplen);
	}
	pcap_close(handle);
	while (secret_count < SECRETS_MAX &&
	       fgets(secrets[secret_count], sizeof(secrets[0]), file) != NULL)
		secret_count++;
	fclose(file);
}

/* --- files -----------------------------------------------------------------
 */

static void
begin(void)
{
	const struct ebpftls_interface interface = {
		.name = "ebpftls:lo",
		.description = "a test",
		.linktype = linktype,
		.snaplen = 262144,
		.nanoseconds = true,
	};

	blocks.size = 0;
	ebpftls_blocks_section(&blocks, "a test");
	ebpftls_blocks_interface(&blocks, &interface);
}

static void
put(int number, uint32_t caplen, const char *comment, uint8_t direction)
{
	const struct pcap_pkthdr *header = &headers[number - 1];
	uint8_t options[256];
	struct ebpftls_record record = {
		.time = (uint64_t)header->ts.tv_sec * 1000000000,
		.caplen = header->caplen < caplen ? header->caplen : caplen,
		.len = header->len,
		.direction = direction,
		.options = options,
	};

	if (comment != NULL)
		record.options_size =
		    (size_t)(ebpftls_blocks_option(options, 1, comment,
						   strlen(comment)) -
			     options);
	ebpftls_blocks_packet(&blocks, &record, true, packets[number - 1]);
}

static void
put_packets(int first, int last)
{
	for (int i = first; i <= last; i++)
		put(i, UINT32_MAX, NULL, 0);
}

static void
put_secret(int secret)
{
	ebpftls_blocks_secrets(&blocks, secrets[secret],
			       strlen(secrets[secret]));
}

/* All but one; `secret_count`: all. */
static void
put_secrets_but(int but)
{
	for (int i = 0; i < secret_count; i++)
		if (i != but)
			put_secret(i);
}

static void
tell(void *context, const struct connection *connection)
{
	struct table *table = context;

	table_line(table, connection);
	fputs("told\n", table->to);
}

static void
report_as(size_t limit, bool live)
{
	const int fd = memfd_create("report", MFD_CLOEXEC);
	struct inspection inspection;
	struct table table = { 0 };
	size_t size;

	if (write(fd, blocks.bytes, blocks.size) != (ssize_t)blocks.size)
		abort();
	lseek(fd, 0, SEEK_SET);
	free(text);
	table.to = open_memstream(&text, &size);
	why = inspect(&inspection, fd, limit, live ? tell : NULL, &table);
	good = table_write(&table, &inspection);
	fclose(table.to);
	inspection_free(&inspection);
	close(fd);
}

static void
report(size_t limit)
{
	report_as(limit, false);
}

/* Whether the report has this text. */
static bool
says(const char *want)
{
	if (strstr(text, want) != NULL)
		return true;
	printf("  \"%s\" is not in \"%s\"\n", want, text);
	return false;
}

#endif
