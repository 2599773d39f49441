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
#include <stdlib.h>

#include "cbpf-load.h"
#include "events.h"

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
		return cbpf_load_absolute(t, insn);
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
		return cbpf_load_indirect(t, insn);
	case BPF_LDX | BPF_B | BPF_MSH:
		return cbpf_load_header_length(t, insn->k);
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
