/* SPDX-License-Identifier: BSD-3-Clause */
/* What a filter's translation is made with: cbpf.c and cbpf-load.c. */
#ifndef CBPF_CODE_H
#define CBPF_CODE_H

#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cbpf.h"

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

/* The place of a classic instruction in this copy. */
static inline size_t
place_of(const struct translation *t, size_t i)
{
	return t->direct ? i : t->count + i;
}

static inline size_t
accept_end(const struct translation *t)
{
	return 2 * t->count;
}

static inline size_t
reject_end(const struct translation *t)
{
	return 2 * t->count + 1;
}

static inline void
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

static inline void
set(struct translation *t, uint8_t dst, uint32_t value)
{
	emit(t, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (int32_t)value);
}

static inline void
move(struct translation *t, uint8_t dst, uint8_t src)
{
	emit(t, BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static inline void
move_pointer(struct translation *t, uint8_t dst, uint8_t src)
{
	emit(t, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static inline void
read_stack(struct translation *t, uint8_t dst, int place)
{
	emit(t, BPF_LDX | BPF_MEM | BPF_W, dst, STACK, (int16_t)place, 0);
}

static inline void
write_stack(struct translation *t, int place, uint8_t src)
{
	emit(t, BPF_STX | BPF_MEM | BPF_W, STACK, src, (int16_t)place, 0);
}

static inline void
clear_stack(struct translation *t, int place)
{
	emit(t, BPF_ST | BPF_MEM | BPF_W, STACK, 0, (int16_t)place, 0);
}

static inline void
read_context(struct translation *t, uint8_t dst, size_t field)
{
	emit(t, BPF_LDX | BPF_MEM | BPF_W, dst, CONTEXT, (int16_t)field, 0);
}

static inline void
jump(struct translation *t, uint8_t code, uint8_t dst, uint8_t src, int32_t imm,
     size_t to)
{
	t->jumps[t->jump_count++] = (struct jump){ t->made, to };
	t->reached[to] = true;
	emit(t, code, dst, src, 0, imm);
}

static inline int
leave(struct translation *t, size_t place)
{
	jump(t, BPF_JMP | BPF_JA, 0, 0, 0, place);
	return ENDS;
}

static inline uint32_t
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
static inline uint32_t
expected_start(const struct translation *t)
{
	return t->options->link_size > 0 ? ETH_HLEN : 0;
}

#endif
