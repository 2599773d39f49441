// SPDX-License-Identifier: BSD-3-Clause
/*
 * Makes extended BPF of classic. Classic jumps only lead forward, so one walk
 * is enough: each instruction that something before it leads to becomes a few,
 * and where they start is known when the jumps are completed. The verifier
 * wants no instruction that nothing leads to.
 *
 * There are two walks, and so two copies, as loads cost most of what a filter
 * costs: the direct one runs when the start of the frame is in one piece of
 * memory, as it nearly always is, and reads from there; the careful one calls
 * the kernel for each load.
 */
#include "cbpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>

#include "events.h"

#define SLL_SIZE  16
#define SLL2_SIZE 20

/*
 * Loads of the packet want the context in r6, leave their result in r0 and
 * spoil r1 to r5. The upper half of A and X is always 0.
 */
enum {
	A = BPF_REG_0,
	SPARE = BPF_REG_1,
	SPARE2 = BPF_REG_2,
	SPARE3 = BPF_REG_3,
	CONTEXT = BPF_REG_6,
	X = BPF_REG_7,
	LENGTH = BPF_REG_8, /* of the frame, from START on */
	START = BPF_REG_9,  /* where offset 0, or link_size, is: in the frame,
			     * and in the direct copy in memory */
	STACK = BPF_REG_10,
};

/* Places on the stack. */
#define WORD(n) (-4 * ((int)(n) + 1)) /* M[n] */
#define SAVED_A WORD(BPF_MEMWORDS)
#define KEY	WORD(BPF_MEMWORDS + 1)

/*
 * Instructions that a classic one becomes in each copy, and that all have
 * around them. Long programs have no direct copy: no jump is to be too far.
 */
#define LONGEST_DIRECT 14
#define LONGEST	       7
#define AROUND	       72
#define DIRECT_MAX     ((INT16_MAX - AROUND) / (LONGEST_DIRECT + LONGEST))

_Static_assert(AROUND + LONGEST * BPF_MAXINSNS <= INT16_MAX,
	       "no jump is too far");

/* So much of a frame is looked for in one piece, at most. */
#define LINEAR_MAX 64

/* Bounds of what is added to an address; the verifier's own is 0xffff. */
#define DIRECT_X  0x7fff
#define DIRECT_AT 0x1000

/* An offset from which no frame can be read. */
#define NOWHERE (INT32_MAX - 4)

/* What an instruction returns; or a negative error. */
enum { ENDS, GOES_ON };

struct jump {
	size_t at; /* what was made */
	size_t to; /* a place */
};

struct translation {
	const struct cbpf_options *options;
	const struct sock_filter *program;
	size_t count;
	struct bpf_insn *insns;
	size_t made;
	struct jump *jumps; /* at most two for an instruction of a copy */
	size_t jump_count;

	bool direct;	 /* the copy that is being made */
	uint32_t linear; /* bytes from START on that it can read */

	/*
	 * By place: the classic instructions in the direct copy, those in the
	 * careful one, and the two ends.
	 */
	size_t *starts;
	bool *reached;
};

/* Part of a header that the consumer makes. */
struct field {
	uint32_t at;
	uint32_t size; /* 0: there are no more */
	uint32_t what; /* SKF_AD_* */
};

/* The place of a classic instruction in this copy. */
static size_t
place_of(const struct translation *t, size_t i)
{
	return t->direct ? i : t->count + i;
}

static size_t
accept_end(const struct translation *t)
{
	return 2 * t->count;
}

static size_t
reject_end(const struct translation *t)
{
	return 2 * t->count + 1;
}

static void
emit(struct translation *t, uint8_t code, uint8_t dst, uint8_t src, int16_t off,
     int32_t imm)
{
	t->insns[t->made++] = (struct bpf_insn){
		.code = code,
		.dst_reg = dst & 0xf,
		.src_reg = src & 0xf,
		.off = off,
		.imm = imm,
	};
}

static void
set(struct translation *t, uint8_t dst, uint32_t value)
{
	emit(t, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (int32_t)value);
}

static void
move(struct translation *t, uint8_t dst, uint8_t src)
{
	emit(t, BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void
move_pointer(struct translation *t, uint8_t dst, uint8_t src)
{
	emit(t, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void
read_stack(struct translation *t, uint8_t dst, int place)
{
	emit(t, BPF_LDX | BPF_MEM | BPF_W, dst, STACK, (int16_t)place, 0);
}

static void
write_stack(struct translation *t, int place, uint8_t src)
{
	emit(t, BPF_STX | BPF_MEM | BPF_W, STACK, src, (int16_t)place, 0);
}

static void
clear_stack(struct translation *t, int place)
{
	emit(t, BPF_ST | BPF_MEM | BPF_W, STACK, 0, (int16_t)place, 0);
}

static void
read_context(struct translation *t, uint8_t dst, size_t field)
{
	emit(t, BPF_LDX | BPF_MEM | BPF_W, dst, CONTEXT, (int16_t)field, 0);
}

static void
jump(struct translation *t, uint8_t code, uint8_t dst, uint8_t src, int32_t imm,
     size_t to)
{
	t->jumps[t->jump_count++] = (struct jump){ t->made, to };
	t->reached[to] = true;
	emit(t, code, dst, src, 0, imm);
}

static int
leave(struct translation *t, size_t place)
{
	jump(t, BPF_JMP | BPF_JA, 0, 0, 0, place);
	return ENDS;
}

static void
load_map(struct translation *t, uint8_t dst, int fd)
{
	emit(t, BPF_LD | BPF_IMM | BPF_DW, dst, BPF_PSEUDO_MAP_FD, 0, fd);
	emit(t, 0, 0, 0, 0, 0);
}

/* Leaves in r0 where the verdict is. */
static void
find_verdict(struct translation *t)
{
	clear_stack(t, KEY);
	load_map(t, BPF_REG_1, t->options->verdict_fd);
	move_pointer(t, BPF_REG_2, STACK);
	emit(t, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, KEY);
	emit(t, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	jump(t, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 0, reject_end(t));
}

/* Runs the program in the slot instead of this one, if there is one. */
static void
go_on_with(struct translation *t, uint32_t slot)
{
	move_pointer(t, BPF_REG_1, CONTEXT);
	load_map(t, BPF_REG_2, t->options->programs_fd);
	set(t, BPF_REG_3, slot);
	emit(t, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call);
}

/* Words of M[] that are read are 0 before they are written. */
static void
clear_words(struct translation *t)
{
	uint32_t read = 0;

	for (size_t i = 0; i < t->count; i++) {
		uint16_t code = t->program[i].code;

		if ((code == (BPF_LD | BPF_MEM) ||
		     code == (BPF_LDX | BPF_MEM)) &&
		    t->program[i].k < BPF_MEMWORDS)
			read |= 1u << t->program[i].k;
	}
	for (uint32_t n = 0; n < BPF_MEMWORDS; n++) {
		if (read & 1u << n)
			clear_stack(t, WORD(n));
	}
}

/*
 * The network layer, for what is behind a made header. As in user space, a
 * header that nobody has set is at the start of the frame.
 */
static void
find_network(struct translation *t)
{
	find_verdict(t);
	emit(t, BPF_LDX | BPF_MEM | BPF_W, START, BPF_REG_0,
	     offsetof(struct ebpftls_verdict, network), 0);
	emit(t, BPF_JMP | BPF_JLE | BPF_X, START, LENGTH, 1, 0);
	set(t, START, 0);
	emit(t, BPF_ALU | BPF_SUB | BPF_X, LENGTH, START, 0, 0);
}

static void
begin(struct translation *t)
{
	move_pointer(t, CONTEXT, BPF_REG_1);
	read_context(t, LENGTH, offsetof(struct __sk_buff, len));
	if (t->options->link_size > 0)
		find_network(t);
	else
		set(t, START, 0);
	clear_words(t);
	set(t, A, 0);
	set(t, X, 0);
}

/* What goes on with nobody ends like what is rejected. */
static void
end(struct translation *t)
{
	t->starts[accept_end(t)] = t->made;
	if (t->reached[accept_end(t)]) {
		move(t, X, A);
		find_verdict(t);
		emit(t, BPF_STX | BPF_MEM | BPF_W, BPF_REG_0, X,
		     offsetof(struct ebpftls_verdict, keep), 0);
		go_on_with(t, t->options->accept);
	}
	t->starts[reject_end(t)] = t->made;
	if (t->options->reject >= 0)
		go_on_with(t, (uint32_t)t->options->reject);
	emit(t, BPF_ALU | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, -1);
	emit(t, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

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

static uint32_t
size_of(uint16_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_W:
		return 4;
	case BPF_H:
		return 2;
	default:
		return 1;
	}
}

/* The offset in the frame at which the direct copy expects START. */
static uint32_t
expected_start(const struct translation *t)
{
	return t->options->link_size > 0 ? ETH_HLEN : 0;
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

static int
load_absolute(struct translation *t, const struct sock_filter *insn)
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

static int
load_indirect(struct translation *t, const struct sock_filter *insn)
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

/* X becomes the length of the IPv4 header at k, and A stays. */
static int
load_header_length(struct translation *t, uint32_t k)
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

static int
load_word(struct translation *t, uint8_t dst, uint32_t n)
{
	if (n >= BPF_MEMWORDS)
		return -EINVAL;
	read_stack(t, dst, WORD(n));
	return GOES_ON;
}

static int
store_word(struct translation *t, uint8_t src, uint32_t n)
{
	if (n >= BPF_MEMWORDS)
		return -EINVAL;
	write_stack(t, WORD(n), src);
	return GOES_ON;
}

static int
calculate_with_k(struct translation *t, uint8_t operation, uint32_t k)
{
	bool shift = operation == BPF_LSH || operation == BPF_RSH;

	if ((operation == BPF_DIV || operation == BPF_MOD) && k == 0)
		return -EINVAL;
	if (shift && k >= 32)
		set(t, A, 0);
	else
		emit(t, BPF_ALU | operation | BPF_K, A, 0, 0, (int32_t)k);
	return GOES_ON;
}

static int
calculate_with_x(struct translation *t, uint8_t operation)
{
	if (operation == BPF_DIV || operation == BPF_MOD)
		jump(t, BPF_JMP32 | BPF_JEQ | BPF_K, X, 0, 0, reject_end(t));
	if (operation == BPF_LSH || operation == BPF_RSH) {
		emit(t, BPF_JMP32 | BPF_JLT | BPF_K, X, 0, 2, 32);
		set(t, A, 0);
		emit(t, BPF_JMP | BPF_JA, 0, 0, 1, 0);
	}
	emit(t, BPF_ALU | operation | BPF_X, A, X, 0, 0);
	return GOES_ON;
}

static int
calculate(struct translation *t, const struct sock_filter *insn)
{
	switch (BPF_OP(insn->code)) {
	case BPF_ADD:
	case BPF_SUB:
	case BPF_MUL:
	case BPF_DIV:
	case BPF_OR:
	case BPF_AND:
	case BPF_LSH:
	case BPF_RSH:
	case BPF_MOD:
	case BPF_XOR:
		if (BPF_SRC(insn->code) == BPF_X)
			return calculate_with_x(t, BPF_OP(insn->code));
		return calculate_with_k(t, BPF_OP(insn->code), insn->k);
	case BPF_NEG:
		if (BPF_SRC(insn->code) == BPF_X)
			return -EINVAL;
		emit(t, BPF_ALU | BPF_NEG, A, 0, 0, 0);
		return GOES_ON;
	default:
		return -EINVAL;
	}
}

/* Goes on with `to`, which may be what comes next. */
static int
follow(struct translation *t, size_t next, size_t to)
{
	if (to == next)
		return GOES_ON;
	return leave(t, place_of(t, to));
}

static int
jump_always(struct translation *t, size_t next, uint32_t distance)
{
	if (distance < t->count - next)
		return follow(t, next, next + distance);
	/* libpcap has a filter that goes back: "protochain" */
	return distance > INT32_MAX && next + (int32_t)distance < next
		   ? -ENOTSUP
		   : -EINVAL;
}

/* The comparison that holds when the other does not, or 0. */
static uint8_t
opposite(uint8_t comparison)
{
	switch (comparison) {
	case BPF_JEQ:
		return BPF_JNE;
	case BPF_JGT:
		return BPF_JLE;
	case BPF_JGE:
		return BPF_JLT;
	default:
		return 0;
	}
}

/* A comparison in 32 bits, as constants are sign-extended to more. */
static void
jump_if(struct translation *t, const struct sock_filter *insn,
	uint8_t comparison, size_t to)
{
	if (BPF_SRC(insn->code) == BPF_X)
		jump(t, BPF_JMP32 | comparison | BPF_X, A, X, 0,
		     place_of(t, to));
	else
		jump(t, BPF_JMP32 | comparison | BPF_K, A, 0, (int32_t)insn->k,
		     place_of(t, to));
}

static int
branch(struct translation *t, size_t next, const struct sock_filter *insn)
{
	uint8_t comparison = BPF_OP(insn->code);
	size_t yes = next + insn->jt, no = next + insn->jf;

	if (yes >= t->count || no >= t->count)
		return -EINVAL;
	if (yes == no)
		return follow(t, next, no);
	if (yes == next && opposite(comparison)) {
		jump_if(t, insn, opposite(comparison), no);
		return GOES_ON;
	}
	jump_if(t, insn, comparison, yes);
	if (yes == next) {
		leave(t, place_of(t, no));
		return GOES_ON;
	}
	return follow(t, next, no);
}

static int
translate_jump(struct translation *t, size_t next,
	       const struct sock_filter *insn)
{
	switch (BPF_OP(insn->code)) {
	case BPF_JA:
		if (BPF_SRC(insn->code) == BPF_X)
			return -EINVAL;
		return jump_always(t, next, insn->k);
	case BPF_JEQ:
	case BPF_JGT:
	case BPF_JGE:
	case BPF_JSET:
		return branch(t, next, insn);
	default:
		return -EINVAL;
	}
}

static int
return_constant(struct translation *t, uint32_t keep)
{
	if (keep == 0)
		return leave(t, reject_end(t));
	set(t, A, keep);
	return leave(t, accept_end(t));
}

static int
return_a(struct translation *t)
{
	jump(t, BPF_JMP32 | BPF_JEQ | BPF_K, A, 0, 0, reject_end(t));
	return leave(t, accept_end(t));
}

/* All that is not arithmetic and no jump. */
static int
translate_simple(struct translation *t, const struct sock_filter *insn)
{
	switch (insn->code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
		return load_absolute(t, insn);
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
		return load_indirect(t, insn);
	case BPF_LDX | BPF_B | BPF_MSH:
		return load_header_length(t, insn->k);
	case BPF_LD | BPF_MEM:
		return load_word(t, A, insn->k);
	case BPF_LDX | BPF_MEM:
		return load_word(t, X, insn->k);
	case BPF_ST:
		return store_word(t, A, insn->k);
	case BPF_STX:
		return store_word(t, X, insn->k);
	case BPF_LD | BPF_IMM:
		set(t, A, insn->k);
		return GOES_ON;
	case BPF_LDX | BPF_IMM:
		set(t, X, insn->k);
		return GOES_ON;
	case BPF_LD | BPF_W | BPF_LEN:
		move(t, A, LENGTH);
		return GOES_ON;
	case BPF_LDX | BPF_W | BPF_LEN:
		move(t, X, LENGTH);
		return GOES_ON;
	case BPF_MISC | BPF_TAX:
		move(t, X, A);
		return GOES_ON;
	case BPF_MISC | BPF_TXA:
		move(t, A, X);
		return GOES_ON;
	case BPF_RET | BPF_K:
		return return_constant(t, insn->k);
	case BPF_RET | BPF_A:
		return return_a(t);
	default:
		return -EINVAL;
	}
}

static int
translate_instruction(struct translation *t, size_t i)
{
	const struct sock_filter *insn = &t->program[i];

	if (insn->code > UINT8_MAX)
		return -EINVAL;
	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
		return calculate(t, insn);
	case BPF_JMP:
		return translate_jump(t, i + 1, insn);
	default:
		return translate_simple(t, insn);
	}
}

/* One copy, whose beginning has been reached. */
static int
translate_copy(struct translation *t)
{
	for (size_t i = 0; i < t->count; i++) {
		size_t place = place_of(t, i);
		int result;

		if (!t->reached[place])
			continue;
		t->starts[place] = t->made;
		result = translate_instruction(t, i);
		if (result < 0)
			return result;
		if (result == ENDS)
			continue;
		if (i + 1 == t->count)
			return -EINVAL;
		t->reached[place + 1] = true;
	}
	return 0;
}

/* Where a load ends, from START on; 0: it is none, or not of the start. */
static uint32_t
end_of_load(const struct translation *t, const struct sock_filter *insn)
{
	uint32_t at = insn->k - t->options->link_size;

	switch (insn->code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
	case BPF_LDX | BPF_B | BPF_MSH:
		return at < LINEAR_MAX ? at + size_of(insn->code) : 0;
	default:
		return 0;
	}
}

/* How much the direct copy wants to be able to read. */
static uint32_t
find_linear(const struct translation *t)
{
	uint32_t linear = 0;

	for (size_t i = 0; i < t->count; i++) {
		uint32_t end = end_of_load(t, &t->program[i]);

		if (end > linear && end <= LINEAR_MAX)
			linear = end;
	}
	return linear;
}

/* On with the direct copy, which follows, or else with the careful one. */
static void
choose_copy(struct translation *t)
{
	size_t careful = place_of(t, 0);

	if (t->options->link_size > 0)
		jump(t, BPF_JMP | BPF_JNE | BPF_K, START, 0, ETH_HLEN, careful);
	read_context(t, SPARE, offsetof(struct __sk_buff, data));
	emit(t, BPF_ALU64 | BPF_ADD | BPF_K, SPARE, 0, 0,
	     (int32_t)expected_start(t));
	move_pointer(t, SPARE2, SPARE);
	emit(t, BPF_ALU64 | BPF_ADD | BPF_K, SPARE2, 0, 0, (int32_t)t->linear);
	read_context(t, SPARE3, offsetof(struct __sk_buff, data_end));
	jump(t, BPF_JMP | BPF_JGT | BPF_X, SPARE2, SPARE3, 0, careful);
	move_pointer(t, START, SPARE);
}

/* Nothing is gained if nothing is read, or all of it by other loads. */
static int
translate_directly(struct translation *t)
{
	int result;

	t->linear = find_linear(t);
	if (t->linear == 0 || t->count > DIRECT_MAX)
		return 0;
	choose_copy(t);
	t->direct = true;
	t->reached[place_of(t, 0)] = true;
	result = translate_copy(t);
	t->direct = false;
	return result;
}

static int
translate_all(struct translation *t)
{
	int result;

	begin(t);
	result = translate_directly(t);
	if (result < 0)
		return result;
	t->reached[place_of(t, 0)] = true;
	result = translate_copy(t);
	if (result < 0)
		return result;
	end(t);
	return 0;
}

static void
complete_jumps(struct translation *t)
{
	for (size_t i = 0; i < t->jump_count; i++) {
		const struct jump *done = &t->jumps[i];

		t->insns[done->at].off =
		    (int16_t)(t->starts[done->to] - done->at - 1);
	}
}

static void
free_translation(struct translation *t)
{
	free(t->insns);
	free(t->jumps);
	free(t->starts);
	free(t->reached);
}

static int
check_size(size_t count, uint32_t link_size)
{
	if (count == 0)
		return -EINVAL;
	if (link_size != 0 && link_size != SLL_SIZE && link_size != SLL2_SIZE)
		return -EINVAL;
	return count > BPF_MAXINSNS ? -E2BIG : 0;
}

static size_t
most_made(size_t count)
{
	return AROUND + LONGEST * count +
	       (count <= DIRECT_MAX ? LONGEST_DIRECT * count : 0);
}

int
cbpf_translate(const struct sock_filter *program, size_t count,
	       const struct cbpf_options *options, struct bpf_insn **insns)
{
	struct translation t = {
		.options = options,
		.program = program,
		.count = count,
	};
	int result = check_size(count, options->link_size);

	if (result < 0)
		return result;
	t.insns = calloc(most_made(count), sizeof(*t.insns));
	t.jumps = calloc(4 * (count + 1), sizeof(*t.jumps));
	t.starts = calloc(2 * (count + 1), sizeof(*t.starts));
	t.reached = calloc(2 * (count + 1), sizeof(*t.reached));
	if (t.insns == NULL || t.jumps == NULL || t.starts == NULL ||
	    t.reached == NULL)
		result = -ENOMEM;
	else
		result = translate_all(&t);
	if (result == 0) {
		complete_jumps(&t);
		*insns = t.insns;
		t.insns = NULL;
		result = (int)t.made;
	}
	free_translation(&t);
	return result;
}
