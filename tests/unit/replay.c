// SPDX-License-Identifier: BSD-3-Clause
/*
 * Do recorded rings, read again, give the packets that packet sockets gave
 * when they were recorded? See tests/data/record.
 */
#define _GNU_SOURCE

#include "ebpftls-clock.h"
#include "ebpftls-frame.h"
#include "ebpftls-order.h"

#include <pcap/pcap.h>
#include <zlib.h>

#include "unit/check.h"
#include "unit/perf.h"

#define RINGS_MAX 64
#define SIZE_MAX_ (64u << 20) /* of a recording */
#define SECOND	  UINT64_C(1000000000)
#define TOLERANCE 1000000 /* nanoseconds between two time stamps */

struct recording {
	char magic[8];
	uint32_t link;
	uint32_t rings;
	uint32_t size;
	uint32_t snaplen;
	struct ebpftls_clock clock;
};

static uint8_t *content; /* a struct recording, and the rings */
static size_t content_size;
static uint8_t *savefile;
static size_t savefile_size;

static struct perf perfs[RINGS_MAX];
static struct ebpftls_ring rings[RINGS_MAX];
static struct ebpftls_order order;

static uint8_t *
unpack(const char *name, const char *what, size_t *size)
{
	const char *top = getenv("TOP");
	uint8_t *bytes = malloc(SIZE_MAX_);
	char path[4096];
	gzFile file;
	int count;

	snprintf(path, sizeof(path), "%s/tests/data/%s.%s.gz",
		 top != NULL ? top : ".", name, what);
	file = gzopen(path, "rb");
	if (file == NULL || bytes == NULL) {
		printf("cannot read %s\n", path);
		abort();
	}
	count = gzread(file, bytes, SIZE_MAX_);
	gzclose(file);
	*size = count > 0 ? (size_t)count : 0;
	return bytes;
}

/* Puts the recorded rings into pages again, from `start` on. */
static bool
make_rings(const struct recording *recording, uint64_t start)
{
	size_t at = sizeof(*recording);

	memset(&order, 0, sizeof(order));
	for (uint32_t i = 0; i < recording->rings; i++) {
		uint64_t length;

		if (!check(at + sizeof(length) <= content_size))
			return false;
		memcpy(&length, content + at, sizeof(length));
		at += sizeof(length);
		if (!check(length <= content_size - at))
			return false;
		perf_make(&perfs[i], recording->size, start,
			  recording->snaplen);
		ASAN_UNPOISON_MEMORY_REGION(perfs[i].data, recording->size);
		perf_put(&perfs[i], content + at, length);
		perf_guard(&perfs[i]);
		rings[i] = perfs[i].ring;
		order.count++;
		at += length;
	}
	return check(at == content_size) &&
	       check(ebpftls_order_open(&order, rings, order.count));
}

static bool
is_recording(const struct recording *recording)
{
	return check(memcmp(recording->magic, "ebpftls\3", 8) == 0) &&
	       check(recording->rings > 0 && recording->rings <= RINGS_MAX);
}

/* The frame in hand is this packet, and was stamped at about the same time. */
static bool
is_packet(struct ebpftls_ring *ring, const struct recording *recording,
	  const struct pcap_pkthdr *header, const u_char *bytes)
{
	enum ebpftls_link link = (enum ebpftls_link)recording->link;
	uint64_t time = ebpftls_clock_wall(&recording->clock, ring->frame.time);
	uint64_t want =
	    (uint64_t)header->ts.tv_sec * SECOND + (uint64_t)header->ts.tv_usec;
	struct ebpftls_packet packet;

	ebpftls_frame_link(&packet, ring, link);
	ebpftls_frame_finish(&packet, ring, link, recording->snaplen);
	return check(packet.caplen == header->caplen) &&
	       check(packet.len == header->len) &&
	       check_bytes(packet.bytes, bytes, packet.caplen) &&
	       check(time + TOLERANCE > want && want + TOLERANCE > time);
}

/* All packets of the savefile, and no other; returns how many. */
static size_t
compare(const struct recording *recording, pcap_t *packets)
{
	struct pcap_pkthdr *header;
	const u_char *bytes;
	size_t count = 0;

	ebpftls_order_begin(&order, UINT64_MAX);
	while (pcap_next_ex(packets, &header, &bytes) == 1) {
		struct ebpftls_ring *ring = ebpftls_order_next(&order);

		if (!check(ring != NULL) ||
		    !is_packet(ring, recording, header, bytes))
			return count;
		count++;
	}
	check(ebpftls_order_next(&order) == NULL);
	ebpftls_order_end(&order);
	check(!order.broken && !ebpftls_order_more(&order));
	return count;
}

static pcap_t *
open_savefile(void)
{
	FILE *file = fmemopen(savefile, savefile_size, "rb");
	char text[PCAP_ERRBUF_SIZE];

	return pcap_fopen_offline_with_tstamp_precision(
	    file, PCAP_TSTAMP_PRECISION_NANO, text);
}

static size_t
replay_from(const struct recording *recording, uint64_t start)
{
	pcap_t *packets = open_savefile();
	size_t count = 0;

	if (!check(packets != NULL))
		return 0;
	if (make_rings(recording, start))
		count = compare(recording, packets);
	for (unsigned int i = 0; i < order.count; i++)
		perf_free(&perfs[i]);
	ebpftls_order_close(&order);
	pcap_close(packets);
	return count;
}

/* From many places in the pages, so that every record wraps at some time. */
static void
replay(const char *name, size_t packets, uint64_t step)
{
	struct recording recording;

	content = unpack(name, "rings", &content_size);
	savefile = unpack(name, "pcap", &savefile_size);
	if (check(content_size > sizeof(recording))) {
		memcpy(&recording, content, sizeof(recording));
		if (is_recording(&recording))
			for (uint64_t start = 0; start < recording.size;
			     start += step)
				check(replay_from(&recording, start) ==
				      packets);
	}
	free(content);
	free(savefile);
}

static void
lo(void)
{
	replay("lo", 37, 8 * 1021);
}

static void
any(void)
{
	replay("any", 21, 8 * 1021);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "a recording of lo", lo },
		{ "a recording of any", any },
		{ NULL, NULL },
	};
	const uint16_t one = 1;

	if (*(const uint8_t *)&one != 1) {
		puts("SKIP replay: recorded on a machine of the other kind");
		return EXIT_SUCCESS;
	}
	return check_main(cases);
}
