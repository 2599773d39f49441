// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does a classic BPF program judge packets as the kernel would, including
 * loads of metadata, which pcap_compile() emits for live handles only? So the
 * programs here are put together by hand.
 */
#include "ebpftls-filter.h"

#include <arpa/inet.h>

#include "unit/check.h"

#define METADATA  0xfffff000u
#define ROUNDS	  150 /* of a long program; libpcap takes 4096 instructions */
#define TEXT_SIZE 256

#define LOAD(size, where) BPF_STMT(BPF_LD | (size) | BPF_ABS, (where))
#define RETURN_A	  BPF_STMT(BPF_RET | BPF_A, 0)
#define RETURN(length)	  BPF_STMT(BPF_RET | BPF_K, (length))
#define IF_EQUAL(value, yes, no) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), (yes), (no))

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint8_t bytes[] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66 };

static const struct ebpftls_packet packet = {
	.bytes = bytes,
	.caplen = sizeof(bytes),
	.len = 116,
	.filter_len = 100,
};

static struct ebpftls_frame
describe(void)
{
	return (struct ebpftls_frame){
		.protocol = htons(0x86dd),
		.pkttype = 3,
		.ifindex = 0x01020304,
		.vlan_tpid = htons(0x88a8),
		.vlan_tci = 0xe00b,
	};
}

static int
set(struct ebpftls_filter *filter, struct bpf_insn *insns, size_t count,
    char text[TEXT_SIZE])
{
	struct bpf_program program = { (u_int)count, insns };

	return ebpftls_filter_set(filter, &program, text, TEXT_SIZE);
}

/* What the program returns for the packet, set for this one time. */
static u_int
once(struct bpf_insn *insns, size_t count, const struct ebpftls_frame *frame)
{
	struct ebpftls_filter filter = { .load_count = 0 };
	char text[TEXT_SIZE];
	u_int result;

	if (!check(set(&filter, insns, count, text) == 0))
		return 0;
	result = ebpftls_filter_run(&filter, frame, &packet);
	ebpftls_filter_free(&filter);
	return result;
}

static void
no_filter(void)
{
	struct ebpftls_filter filter = { .load_count = 0 };
	struct ebpftls_frame frame = describe();

	check(ebpftls_filter_run(&filter, &frame, &packet) == UINT32_MAX);
	ebpftls_filter_free(&filter);
	ebpftls_filter_free(&filter);
	check(ebpftls_filter_run(&filter, &frame, &packet) == UINT32_MAX);
}

/* The frame's, whatever the size of the load. */
static void
metadata(void)
{
	static const struct {
		uint32_t where;
		uint32_t value;
	} loads[] = {
		{ 0, 0x86dd },	{ 4, 3 },  { 8, 0x01020304 },
		{ 44, 0xe00b }, { 48, 1 }, { 60, 0x88a8 },
	};
	static const uint16_t sizes[] = { BPF_W, BPF_H, BPF_B };
	struct ebpftls_frame frame = describe();

	for (size_t i = 0; i < COUNT(loads); i++) {
		for (size_t s = 0; s < COUNT(sizes); s++) {
			struct bpf_insn insns[] = {
				LOAD(sizes[s], METADATA + loads[i].where),
				RETURN_A,
			};

			check(once(insns, 2, &frame) == loads[i].value);
		}
	}
}

/* Those that an untagged frame has are zero, and so are all of a bare one. */
static void
no_metadata(void)
{
	static const uint32_t where[] = { 0, 4, 8, 44, 48, 60 };
	struct ebpftls_frame frame = { .time = 1 };

	for (size_t i = 0; i < COUNT(where); i++) {
		struct bpf_insn insns[] = {
			LOAD(BPF_W, METADATA + where[i]),
			RETURN_A,
		};

		check(once(insns, 2, &frame) == 0);
	}
}

/* "vlan 11" as pcap_compile() has it for a live handle. */
static void
tag(void)
{
	struct bpf_insn insns[] = {
		LOAD(BPF_B, METADATA + 48),
		IF_EQUAL(1, 0, 4),
		LOAD(BPF_H, METADATA + 44),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
		IF_EQUAL(11, 0, 1),
		RETURN(262144),
		RETURN(0),
	};
	struct ebpftls_filter filter = { .load_count = 0 };
	struct ebpftls_frame frame = describe();
	char text[TEXT_SIZE];

	check(set(&filter, insns, COUNT(insns), text) == 0);
	for (int round = 0; round < 3; round++) {
		frame = describe();
		check(ebpftls_filter_run(&filter, &frame, &packet) == 262144);
		frame.vlan_tci = 0xe00c;
		check(ebpftls_filter_run(&filter, &frame, &packet) == 0);
		frame.vlan_tci = 11;
		check(ebpftls_filter_run(&filter, &frame, &packet) == 262144);
		frame.vlan_tpid = 0;
		check(ebpftls_filter_run(&filter, &frame, &packet) == 0);
	}
	ebpftls_filter_free(&filter);
}

/* The rest of the packet: bytes, the end of what is there, the length. */
static void
packet_loads(void)
{
	struct ebpftls_frame frame = describe();
	struct bpf_insn word[] = { LOAD(BPF_W, 1), RETURN_A };
	struct bpf_insn last[] = { LOAD(BPF_H, 4), RETURN_A };
	struct bpf_insn behind[] = { LOAD(BPF_H, 5), RETURN(1) };
	struct bpf_insn length[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		RETURN_A,
	};
	struct bpf_insn indirect[] = {
		BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 2),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, 1),
		RETURN_A,
	};

	check(once(word, 2, &frame) == 0x22334455);
	check(once(last, 2, &frame) == 0x5566);
	check(once(behind, 2, &frame) == 0);
	check(once(length, 2, &frame) == 100);
	check(once(indirect, 3, &frame) == 0x44);
}

/* A constant that looks like metadata is none. */
static void
constants(void)
{
	struct ebpftls_frame frame = describe();
	struct bpf_insn immediate[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_IMM, METADATA + 4),
		RETURN_A,
	};
	struct bpf_insn index[] = {
		BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, METADATA + 4),
		BPF_STMT(BPF_MISC | BPF_TXA, 0),
		RETURN_A,
	};

	check(once(immediate, 2, &frame) == METADATA + 4);
	check(once(index, 3, &frame) == METADATA + 4);
}

static void
returned_length(void)
{
	static const uint32_t lengths[] = { 0, 1, 96, 262144, UINT32_MAX };
	struct ebpftls_frame frame = describe();

	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct bpf_insn insns[] = { RETURN(lengths[i]) };

		check(once(insns, 1, &frame) == lengths[i]);
	}
}

/* An unknown load is refused with its offset, and the old filter stays. */
static void
refused(void)
{
	static const uint32_t where[] = {
		METADATA + 1,  METADATA + 12, METADATA + 16, METADATA + 20,
		METADATA + 24, METADATA + 28, METADATA + 32, METADATA + 36,
		METADATA + 40, METADATA + 52, METADATA + 56, METADATA + 64,
		METADATA - 1,  0xffe00000u,   0xfff00000u,   UINT32_MAX,
	};
	struct bpf_insn five[] = { RETURN(5) };
	struct ebpftls_filter filter = { .load_count = 0 };
	struct ebpftls_frame frame = describe();
	char text[TEXT_SIZE], number[16];

	check(set(&filter, five, 1, text) == 0);
	for (size_t i = 0; i < COUNT(where); i++) {
		struct bpf_insn insns[] = {
			LOAD(BPF_W, METADATA),
			LOAD(BPF_W, where[i]),
			RETURN_A,
		};

		text[0] = '\0';
		check(set(&filter, insns, 3, text) == -1);
		snprintf(number, sizeof(number), " %d,", (int)where[i]);
		check(strstr(text, number) != NULL);
		check(ebpftls_filter_run(&filter, &frame, &packet) == 5);
	}
	ebpftls_filter_free(&filter);
}

/* Far behind any packet, but not negative to the kernel. */
static void
far_load(void)
{
	struct ebpftls_frame frame = describe();
	struct bpf_insn insns[] = { LOAD(BPF_B, 0xffdfffffu), RETURN(1) };

	check(once(insns, 2, &frame) == 0);
}

static void
replaced(void)
{
	struct ebpftls_filter filter = { .load_count = 0 };
	struct ebpftls_frame frame = describe();
	char text[TEXT_SIZE];

	for (uint32_t i = 0; i < 10; i++) {
		struct bpf_insn plain[] = { RETURN(i) };
		struct bpf_insn loads[] = {
			LOAD(BPF_W, METADATA + 8),
			LOAD(BPF_W, METADATA + 4),
			RETURN_A,
		};

		check(set(&filter, plain, 1, text) == 0);
		plain[0].k = 99; /* a copy was taken */
		check(ebpftls_filter_run(&filter, &frame, &packet) == i);
		check(set(&filter, loads, 3, text) == 0);
		check(loads[0].k == METADATA + 8 &&
		      loads[0].code == (BPF_LD | BPF_W | BPF_ABS));
		check(ebpftls_filter_run(&filter, &frame, &packet) == 3);
	}
	ebpftls_filter_free(&filter);
}

/* Adds up all metadata, many times over. */
static void
long_program(void)
{
	static const uint32_t where[] = { 0, 4, 8, 44, 48, 60 };
	static struct bpf_insn insns[ROUNDS * COUNT(where) * 3 + 2];
	const uint32_t sum = 0x86dd + 3 + 0x01020304 + 0xe00b + 1 + 0x88a8;
	const struct bpf_insn add = BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0);
	const struct bpf_insn keep = BPF_STMT(BPF_MISC | BPF_TAX, 0);
	const struct bpf_insn take = BPF_STMT(BPF_MISC | BPF_TXA, 0);
	const struct bpf_insn give = RETURN_A;
	struct ebpftls_frame frame = describe();
	struct bpf_insn *next = insns;

	for (size_t i = 0; i < ROUNDS * COUNT(where); i++) {
		const struct bpf_insn load =
		    LOAD(BPF_W, METADATA + where[i % COUNT(where)]);

		*next++ = load;
		*next++ = add;
		*next++ = keep;
	}
	*next++ = take;
	*next++ = give;
	check(once(insns, COUNT(insns), &frame) == ROUNDS * sum);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "without a filter everything passes", no_filter },
		{ "loads of metadata", metadata },
		{ "metadata that a frame does not have", no_metadata },
		{ "the tag of one frame after another", tag },
		{ "loads from the packet", packet_loads },
		{ "constants that look like metadata", constants },
		{ "the length that is returned", returned_length },
		{ "unknown metadata is refused", refused },
		{ "a load from far behind the packet", far_load },
		{ "a filter is replaced", replaced },
		{ "a long program", long_program },
		{ NULL, NULL },
	};

	return check_main(cases);
}
