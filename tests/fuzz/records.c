// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for the content of one to three perf rings, with any head,
 * and makes packets of what is in them, as the module does.
 *
 * The input: a struct layout, one struct ring_layout for each ring, and for
 * each an equal share of the rest, which is put at the ring's tail.
 */
#include "ebpftls-filter.h"
#include "ebpftls-frame.h"
#include "ebpftls-order.h"

#include "require.h"
#include "unit/perf.h"

#define RINGS_MAX 3
#define PASSES	  4

struct layout {
	uint8_t rings;
	uint8_t limit; /* of the first passes; the last has none */
	uint8_t link;  /* of the first frame; then one after the other */
	uint8_t max;   /* frames in each of the first passes */
	uint16_t snaplen;
	uint16_t capacity;
};

struct ring_layout {
	uint8_t size;	     /* a power of two */
	uint8_t writing;     /* up to which pass */
	uint16_t start;	     /* in steps of 8 */
	uint16_t written[2]; /* the head after the tail, at first and later */
};

struct input {
	const uint8_t *next;
	size_t left;
};

static struct layout layout;
static struct ring_layout ring_layouts[RINGS_MAX];
static struct perf perfs[RINGS_MAX];
static struct ebpftls_ring rings[RINGS_MAX];
static struct ebpftls_filter filter;
static volatile uint8_t sum;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Passes all but frames of one VLAN; looks at metadata and at the packet. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct bpf_insn insns[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0xfffff000 + 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0xfffff000 + 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0xfffff000 + 8),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0xfffff000 + 60),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0xfffff000 + 48),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0xfffff000 + 44),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 4, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 30, 0, 1),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 12),
		BPF_STMT(BPF_RET | BPF_K, 96),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct bpf_program program = { sizeof(insns) / sizeof(insns[0]),
				       insns };
	char text[EBPFTLS_SAMPLE_MAX];

	(void)argc;
	(void)argv;
	require(ebpftls_filter_set(&filter, &program, text, sizeof(text)) == 0);
	return 0;
}

static bool
take(struct input *input, void *to, size_t length)
{
	if (input->left < length)
		return false;
	memcpy(to, input->next, length);
	input->next += length;
	input->left -= length;
	return true;
}

/* The ring with this content from its tail on. */
static void
fill_ring(struct perf *perf, const struct ring_layout *ring,
	  const uint8_t *bytes, size_t length)
{
	uint64_t size = UINT64_C(1) << (4 + ring->size % 12);
	uint64_t tail = (uint64_t)ring->start * 8;

	perf_make(perf, size, tail, layout.capacity);
	ASAN_UNPOISON_MEMORY_REGION(perf->data, size);
	perf_put(perf, bytes, length < size ? length : size);
	perf->head = tail + ring->written[0];
}

/* Takes the rings out of the input. */
static bool
lay_out(struct input *input)
{
	size_t share;

	if (!take(input, &layout, sizeof(layout)))
		return false;
	layout.rings = layout.rings % RINGS_MAX + 1;
	if (!take(input, ring_layouts, layout.rings * sizeof(*ring_layouts)))
		return false;
	share = input->left / layout.rings;
	for (int i = 0; i < layout.rings; i++) {
		fill_ring(&perfs[i], &ring_layouts[i], input->next, share);
		input->next += share;
		rings[i] = perfs[i].ring;
	}
	return true;
}

/* What the kernel does between two passes. */
static void
go_on(int pass)
{
	for (int i = 0; i < layout.rings; i++) {
		const struct ring_layout *ring = &ring_layouts[i];
		struct perf *perf = &perfs[i];

		perf->head =
		    (uint64_t)ring->start * 8 + ring->written[pass > 1];
		perf->writing = pass < ring->writing;
		/* nonsense as a head is for the reader to find out */
		if (ring->written[1] >= ring->written[0] &&
		    perf->head - perf->tail <= perf->size)
			perf_guard(perf);
		else
			ASAN_UNPOISON_MEMORY_REGION(perf->data, perf->size);
	}
}

/* Both are there as often as their bits say, and may be read. */
static void
look_at_owner(const struct ebpftls_owner *owner, bool there)
{
	require((owner != NULL) == there);
	if (owner == NULL)
		return;
	for (size_t i = 0; i < sizeof(*owner); i++)
		sum += ((const uint8_t *)owner)[i];
	require(memchr(owner->comm, '\0', sizeof(owner->comm)) != NULL);
}

static void
make_packet(struct ebpftls_ring *ring)
{
	enum ebpftls_link link = (enum ebpftls_link)(layout.link++ % 4);
	struct ebpftls_packet packet;
	u_int keep;

	require(ring->frame.caplen <= layout.capacity);
	look_at_owner(ring->sender, ring->frame.owners & EBPFTLS_SENDER);
	look_at_owner(ring->receiver, ring->frame.owners & EBPFTLS_RECEIVER);
	ebpftls_frame_link(&packet, ring, link);
	keep = ebpftls_filter_run(&filter, &ring->frame, &packet);
	if (keep == 0)
		return;
	if (packet.caplen > keep)
		packet.caplen = keep;
	ebpftls_frame_finish(&packet, ring, link, layout.snaplen);
	require(packet.caplen <= layout.snaplen);
	for (uint32_t i = 0; i < packet.caplen; i++)
		sum += packet.bytes[i];
}

/* One pass; a ring cannot hold more frames than there is room for. */
static void
read_rings(struct ebpftls_order *order, int pass)
{
	bool last = pass == PASSES - 1;
	uint64_t limit = last ? UINT64_MAX : layout.limit;
	size_t count = 0, max = last ? SIZE_MAX : layout.max;
	struct ebpftls_ring *ring;

	ebpftls_order_begin(order, limit);
	while (count < max && (ring = ebpftls_order_next(order)) != NULL) {
		require(ring->frame.time <= limit);
		make_packet(ring);
		count++;
	}
	ebpftls_order_end(order);
	require(count <= RINGS_MAX * UINT16_MAX / 52);
	(void)ebpftls_order_more(order);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = { bytes, size };
	struct ebpftls_order order;

	if (!lay_out(&input))
		return 0;
	require(ebpftls_order_open(&order, rings, layout.rings));
	for (int pass = 0; pass < PASSES && !order.broken; pass++) {
		go_on(pass);
		read_rings(&order, pass);
	}
	for (int i = 0; i < layout.rings; i++)
		perf_free(&perfs[i]);
	ebpftls_order_close(&order);
	return 0;
}
