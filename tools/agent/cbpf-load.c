// SPDX-License-Identifier: BSD-3-Clause
/* Translates a filter's loads. */
#include "cbpf-load.h"

#include <errno.h>
#include <linux/if_packet.h>

/* Bounds of what is added to an address; the verifier's own is 0xffff. */
#define DIRECT_X  0x7fff
#define DIRECT_AT 0x1000

/* An offset from which no frame can be read. */
#define NOWHERE (INT32_MAX - 4)

/* Part of a header that the consumer makes. */
struct field {
	uint32_t at;
	uint32_t size; /* 0: there are no more */
	uint32_t what; /* SKF_AD_* */
};

/* Leaves 0 in A, and skips `count` instructions, if there is no VLAN tag. */
static void
unless_tagged(struct translation *t, int16_t count)
{
	read_context(t, A, offsetof(struct __sk_buff, vlan_present));
	emit(t, BPF_JMP | BPF_JEQ | BPF_K, A, 0, count, 0);
}

static void
load_be16(struct translation *t, size_t field)
{
	read_context(t, A, field);
	emit(t, BPF_ALU | BPF_END | BPF_TO_BE, A, 0, 0, 16);
}

/* What the records of captured frames say, and how (bpf/capture.bpf.c). */
static int
load_metadata(struct translation *t, uint32_t what)
{
	switch (what) {
	case SKF_AD_PROTOCOL:
		load_be16(t, offsetof(struct __sk_buff, protocol));
		return GOES_ON;
	case SKF_AD_PKTTYPE:
		if (t->options->outgoing)
			set(t, A, PACKET_OUTGOING);
		else
			read_context(t, A,
				     offsetof(struct __sk_buff, pkt_type));
		return GOES_ON;
	case SKF_AD_IFINDEX:
		read_context(t, A, offsetof(struct __sk_buff, ifindex));
		return GOES_ON;
	case SKF_AD_VLAN_TAG:
		unless_tagged(t, 1);
		read_context(t, A, offsetof(struct __sk_buff, vlan_tci));
		return GOES_ON;
	case SKF_AD_VLAN_TAG_PRESENT:
		unless_tagged(t, 3);
		read_context(t, A, offsetof(struct __sk_buff, vlan_proto));
		emit(t, BPF_JMP | BPF_JEQ | BPF_K, A, 0, 1, 0);
		set(t, A, 1);
		return GOES_ON;
	case SKF_AD_VLAN_TPID:
		unless_tagged(t, 2);
		load_be16(t, offsetof(struct __sk_buff, vlan_proto));
		return GOES_ON;
	default:
		return -ENOTSUP;
	}
}

static const struct field *
fields_of(uint32_t link_size)
{
	static const struct field sll[] = {
		{ 0, 2, SKF_AD_PKTTYPE },
		{ 14, 2, SKF_AD_PROTOCOL },
		{ 0, 0, 0 },
	};
	static const struct field sll2[] = {
		{ 0, 2, SKF_AD_PROTOCOL },
		{ 4, 4, SKF_AD_IFINDEX },
		{ 10, 1, SKF_AD_PKTTYPE },
		{ 0, 0, 0 },
	};

	return link_size == SLL_SIZE ? sll : sll2;
}

/* A load from a made header: what it says, or part of that. */
static int
load_made(struct translation *t, uint32_t at, uint32_t size)
{
	const struct field *field = fields_of(t->options->link_size);
	uint32_t behind;

	while (field->size > 0 &&
	       (at < field->at || at + size > field->at + field->size))
		field++;
	if (field->size == 0)
		return -ENOTSUP;
	load_metadata(t, field->what);
	behind = field->at + field->size - (at + size);
	if (behind > 0)
		emit(t, BPF_ALU | BPF_RSH | BPF_K, A, 0, 0,
		     (int32_t)(8 * behind));
	if (size < field->size)
		emit(t, BPF_ALU | BPF_AND | BPF_K, A, 0, 0,
		     (int32_t)((1u << 8 * size) - 1));
	return GOES_ON;
}

static bool
is_direct(const struct translation *t, uint16_t code, uint32_t k)
{
	uint32_t at = k - t->options->link_size;

	return t->direct && at < t->linear && size_of(code) <= t->linear - at;
}

static void
read_frame(struct translation *t, uint8_t dst, uint8_t from, uint16_t code,
	   uint32_t at)
{
	emit(t, BPF_LDX | BPF_MEM | BPF_SIZE(code), dst, from, (int16_t)at, 0);
	if (size_of(code) > 1)
		emit(t, BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0,
		     (int32_t)(8 * size_of(code)));
}

/*
 * A load past the end would end the program with TC_ACT_OK, and the frame would
 * pass by the programs of others: so the length is compared before.
 */
static int
load_frame(struct translation *t, uint16_t code, uint32_t k)
{
	uint32_t at = k - t->options->link_size;

	if (k > NOWHERE)
		return leave(t, reject_end(t));
	if (k < t->options->link_size)
		return -ENOTSUP;
	if (is_direct(t, code, k)) {
		read_frame(t, A, START, code, at);
		return GOES_ON;
	}
	jump(t, BPF_JMP32 | BPF_JLT | BPF_K, LENGTH, 0,
	     (int32_t)(at + size_of(code)), reject_end(t));
	if (t->direct)
		emit(t, BPF_LD | BPF_ABS | BPF_SIZE(code), 0, 0, 0,
		     (int32_t)(at + expected_start(t)));
	else
		emit(t, BPF_LD | BPF_IND | BPF_SIZE(code), 0, START, 0,
		     (int32_t)at);
	return GOES_ON;
}

int
cbpf_load_absolute(struct translation *t, const struct sock_filter *insn)
{
	if (insn->k >= (uint32_t)SKF_AD_OFF)
		return load_metadata(t, insn->k - (uint32_t)SKF_AD_OFF);
	if (insn->k >= (uint32_t)SKF_LL_OFF)
		return -ENOTSUP;
	if (insn->k < t->options->link_size)
		return load_made(t, insn->k, size_of(insn->code));
	return load_frame(t, insn->code, insn->k);
}

/* The sum of X and an offset has no bound in 32 bits: 64 are compared. */
static void
compare_indirect(struct translation *t, uint16_t code, uint32_t at)
{
	move_pointer(t, SPARE, LENGTH);
	emit(t, BPF_ALU64 | BPF_SUB | BPF_K, SPARE, 0, 0,
	     (int32_t)(at + size_of(code)));
	jump(t, BPF_JMP | BPF_JSGT | BPF_X, X, SPARE, 0, reject_end(t));
}

static void
load_indirect_carefully(struct translation *t, uint16_t code, uint32_t at)
{
	compare_indirect(t, code, at);
	move_pointer(t, SPARE, START);
	emit(t, BPF_ALU64 | BPF_ADD | BPF_X, SPARE, X, 0, 0);
	emit(t, BPF_LD | BPF_IND | BPF_SIZE(code), 0, SPARE, 0, (int32_t)at);
}

/* What is not in the first piece of memory is looked for with care. */
static void
load_indirect_directly(struct translation *t, uint16_t code, uint32_t at)
{
	int16_t swap = size_of(code) > 1;

	if (at <= DIRECT_AT) {
		emit(t, BPF_JMP | BPF_JGT | BPF_K, X, 0, 8 + swap, DIRECT_X);
		move_pointer(t, SPARE, START);
		emit(t, BPF_ALU64 | BPF_ADD | BPF_X, SPARE, X, 0, 0);
		move_pointer(t, SPARE2, SPARE);
		emit(t, BPF_ALU64 | BPF_ADD | BPF_K, SPARE2, 0, 0,
		     (int32_t)(at + size_of(code)));
		read_context(t, SPARE3, offsetof(struct __sk_buff, data_end));
		emit(t, BPF_JMP | BPF_JGT | BPF_X, SPARE2, SPARE3, 2 + swap, 0);
		read_frame(t, A, SPARE, code, at);
		emit(t, BPF_JMP | BPF_JA, 0, 0, 4, 0);
	}
	compare_indirect(t, code, at);
	emit(t, BPF_LD | BPF_IND | BPF_SIZE(code), 0, X, 0,
	     (int32_t)(at + expected_start(t)));
}

int
cbpf_load_indirect(struct translation *t, const struct sock_filter *insn)
{
	uint32_t at = insn->k - t->options->link_size;

	if (insn->k > NOWHERE)
		return leave(t, reject_end(t));
	if (insn->k < t->options->link_size)
		return -ENOTSUP;
	if (t->direct)
		load_indirect_directly(t, insn->code, at);
	else
		load_indirect_carefully(t, insn->code, at);
	return GOES_ON;
}

int
cbpf_load_header_length(struct translation *t, uint32_t k)
{
	if (is_direct(t, BPF_B, k)) {
		read_frame(t, X, START, BPF_B, k - t->options->link_size);
	} else {
		int result;

		write_stack(t, SAVED_A, A);
		result = load_frame(t, BPF_B, k);
		if (result != GOES_ON)
			return result;
		move(t, X, A);
		read_stack(t, A, SAVED_A);
	}
	emit(t, BPF_ALU | BPF_AND | BPF_K, X, 0, 0, 0xf);
	emit(t, BPF_ALU | BPF_LSH | BPF_K, X, 0, 0, 2);
	return GOES_ON;
}
