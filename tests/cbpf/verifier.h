/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel's verifier wants of a translated filter and can be told from
 * its text: that it ends, that all of it can be reached, and that registers and
 * the stack are written before they are read. Jumps only lead forward, so one
 * walk is enough.
 */
#ifndef VERIFIER_H
#define VERIFIER_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define VERIFIER_STACK 18 /* words */

/* What is known to be written when an instruction is come to. */
struct verifier_state {
	uint32_t registers; /* bits */
	uint32_t stack;	    /* bits, word 0 at -4 */
	bool reached;
};

struct verifier {
	const struct bpf_insn *insns;
	size_t count;
	struct verifier_state *states; /* where each begins */
	struct verifier_state now;
};

#define VERIFIER_SPOILT 0x3eu /* r1 to r5 */

static inline bool
verifier_has(const struct verifier *v, uint32_t number)
{
	return number <= BPF_REG_10 && (v->now.registers >> number & 1);
}

static inline bool
verifier_write(struct verifier *v, uint32_t number)
{
	v->now.registers |= 1u << number;
	return number < BPF_REG_10;
}

/* The bit of a word of the stack, or 0 if there is none. */
static inline uint32_t
verifier_word(int off)
{
	if (off % 4 != 0 || off > -4 || off < -4 * VERIFIER_STACK)
		return 0;
	return 1u << (-off / 4 - 1);
}

static inline bool
verifier_follow(struct verifier *v, size_t to)
{
	struct verifier_state *state;

	if (to >= v->count)
		return false;
	state = &v->states[to];
	if (state->reached) {
		state->registers &= v->now.registers;
		state->stack &= v->now.stack;
		return true;
	}
	*state = v->now;
	state->reached = true;
	return true;
}

static inline bool
verifier_jump(struct verifier *v, size_t i, const struct bpf_insn *insn)
{
	size_t to = i + 1 + (size_t)insn->off;

	if (insn->off < 0 || !verifier_follow(v, to))
		return false;
	if (BPF_OP(insn->code) == BPF_JA)
		return true;
	return verifier_has(v, insn->dst_reg) &&
	       (BPF_SRC(insn->code) == BPF_K ||
		verifier_has(v, insn->src_reg)) &&
	       verifier_follow(v, i + 1);
}

/* Both take their arguments in r1 and what follows; the map's key is in a. */
static inline bool
verifier_call(struct verifier *v, const struct bpf_insn *insn)
{
	uint32_t arguments = insn->imm == BPF_FUNC_tail_call ? 0xe : 0x6;

	if ((insn->imm != BPF_FUNC_tail_call &&
	     insn->imm != BPF_FUNC_map_lookup_elem) ||
	    (v->now.registers & arguments) != arguments)
		return false;
	v->now.registers &= ~VERIFIER_SPOILT;
	return verifier_write(v, BPF_REG_0);
}

static inline bool
verifier_arithmetic(struct verifier *v, const struct bpf_insn *insn)
{
	uint8_t op = BPF_OP(insn->code);
	bool by_register = BPF_SRC(insn->code) == BPF_X && op != BPF_END;

	if (by_register && !verifier_has(v, insn->src_reg))
		return false;
	if (op != BPF_MOV && !verifier_has(v, insn->dst_reg))
		return false;
	if (!by_register && (op == BPF_DIV || op == BPF_MOD) && insn->imm == 0)
		return false;
	if (!by_register && (op == BPF_LSH || op == BPF_RSH) &&
	    (insn->imm < 0 || insn->imm > 31))
		return false;
	return verifier_write(v, insn->dst_reg);
}

static inline bool
verifier_load(struct verifier *v, const struct bpf_insn *insn)
{
	uint32_t word = verifier_word(insn->off);

	if (!verifier_has(v, insn->src_reg))
		return false;
	if (insn->src_reg == BPF_REG_10 && (v->now.stack & word) == 0)
		return false;
	return verifier_write(v, insn->dst_reg);
}

static inline bool
verifier_store(struct verifier *v, const struct bpf_insn *insn)
{
	uint32_t word = verifier_word(insn->off);

	if (!verifier_has(v, insn->dst_reg) ||
	    (BPF_CLASS(insn->code) == BPF_STX &&
	     !verifier_has(v, insn->src_reg)))
		return false;
	if (insn->dst_reg != BPF_REG_10)
		return true;
	v->now.stack |= word;
	return word != 0;
}

/* A load of the packet by the kernel, for which the context is in r6. */
static inline bool
verifier_load_packet(struct verifier *v, const struct bpf_insn *insn)
{
	if (!verifier_has(v, BPF_REG_6) || insn->imm < 0)
		return false;
	if (BPF_MODE(insn->code) == BPF_IND && !verifier_has(v, insn->src_reg))
		return false;
	v->now.registers &= ~VERIFIER_SPOILT;
	return verifier_write(v, BPF_REG_0);
}

/* The address of a map, which takes two instructions. */
static inline bool
verifier_map(struct verifier *v, size_t i, const struct bpf_insn *insn)
{
	return i + 1 < v->count && insn[1].code == 0 && insn[1].off == 0 &&
	       insn[1].imm == 0 && !v->states[i + 1].reached &&
	       insn->src_reg == BPF_PSEUDO_MAP_FD &&
	       verifier_write(v, insn->dst_reg) && verifier_follow(v, i + 2);
}

static inline bool
verifier_step(struct verifier *v, size_t i)
{
	const struct bpf_insn *insn = &v->insns[i];
	bool ok = false;

	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		ok = verifier_arithmetic(v, insn);
		break;
	case BPF_LDX:
		ok = verifier_load(v, insn);
		break;
	case BPF_ST:
	case BPF_STX:
		ok = verifier_store(v, insn);
		break;
	case BPF_LD:
		if (insn->code == (BPF_LD | BPF_IMM | BPF_DW))
			return verifier_map(v, i, insn);
		ok = verifier_load_packet(v, insn);
		break;
	default:
		if (BPF_OP(insn->code) == BPF_EXIT)
			return verifier_has(v, BPF_REG_0);
		if (BPF_OP(insn->code) != BPF_CALL)
			return verifier_jump(v, i, insn);
		ok = verifier_call(v, insn);
	}
	return ok && verifier_follow(v, i + 1);
}

static inline bool
verifier_walk(struct verifier *v)
{
	v->now.registers = 1u << BPF_REG_1 | 1u << BPF_REG_10;
	if (!verifier_follow(v, 0))
		return false;
	for (size_t i = 0; i < v->count; i++) {
		if (!v->states[i].reached)
			return false;
		v->now = v->states[i];
		if (!verifier_step(v, i))
			return false;
		i += v->insns[i].code == (BPF_LD | BPF_IMM | BPF_DW);
	}
	return true;
}

static inline bool
verifier_takes(const struct bpf_insn *insns, size_t count)
{
	struct verifier v = {
		.insns = insns,
		.count = count,
		.states = calloc(count + 1, sizeof(*v.states)),
	};
	bool ok;

	if (v.states == NULL)
		abort();
	ok = verifier_walk(&v);
	free(v.states);
	return ok;
}

#endif
