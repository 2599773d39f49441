// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for a sequence of packets. The table of handshakes is
 * small, so that they give way to one another.
 *
 * The input: for each packet a struct packet_head and `size` bytes.
 */
#include "ebpftls-flow.h"

#include <stdlib.h>
#include <string.h>

#include "require.h"

#define FLOWS 3

struct packet_head {
	uint16_t size;
	uint8_t link;
	uint8_t seconds; /* since the packet before */
};

static size_t open_count;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void
count(void *context, const uint8_t random[EBPFTLS_RANDOM_SIZE])
{
	struct ebpftls_keys_entry *entry = ebpftls_keys_find(context, random);

	require(entry != NULL && entry->captured);
	open_count++;
}

/* A packet in memory of just its size. */
static void
give(struct ebpftls_flows *flows, struct ebpftls_keys *keys,
     const struct packet_head *head, const uint8_t *bytes, uint64_t time)
{
	static const int linktypes[] = { 1, 101, 113, 276, 258 };
	static const struct ebpftls_end nobody[2];
	struct ebpftls_need need;
	uint8_t *copy = malloc(head->size);
	bool needs;

	require(copy != NULL || head->size == 0);
	if (head->size > 0)
		memcpy(copy, bytes, head->size);
	needs = ebpftls_flows_packet(flows, keys, linktypes[head->link % 5],
				     copy, head->size, nobody, time, &need);
	free(copy);
	require(needs == (need.labels != 0));
	require(need.labels >> EBPFTLS_LABELS == 0);
	require(ebpftls_flows_satisfied(keys, &need) == !needs);
	/* no secret ever came, but the ClientHello did */
	if (needs)
		require(ebpftls_keys_find(keys, need.random)->captured);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct ebpftls_keys *keys = ebpftls_keys_new(FLOWS + 1);
	struct ebpftls_flows *flows = ebpftls_flows_new(FLOWS);
	struct packet_head head;
	uint64_t time = 0;

	require(keys != NULL && flows != NULL);
	while (size >= sizeof(head)) {
		memcpy(&head, bytes, sizeof(head));
		bytes += sizeof(head);
		size -= sizeof(head);
		if (head.size > size)
			head.size = (uint16_t)size;
		time += head.seconds * UINT64_C(1000000000);
		give(flows, keys, &head, bytes, time);
		bytes += head.size;
		size -= head.size;
	}
	open_count = 0;
	ebpftls_flows_open(flows, count, keys);
	require(open_count <= FLOWS);
	ebpftls_flows_free(flows);
	ebpftls_keys_free(keys);
	return 0;
}
