/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random classic programs that libpcap's interpreter takes: what it leaves to
 * chance, words of M[] that nothing was stored in and shifts by more than 31,
 * is not in them.
 */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <linux/filter.h>

#include "unit/check.h"

#define PROGRAM_MAX 4096

#define PROGRAM_METADATA 0xfffff000u

struct program {
	struct sock_filter insns[PROGRAM_MAX];
	uint32_t count;
	uint32_t size;	    /* what it will be */
	uint32_t link_size; /* of the made header, or 0 */
	uint32_t words;	    /* of M[] that are stored in at its start */
	bool wild;	    /* else like what somebody could have written */
};

static inline bool
program_chance(uint32_t percent)
{
	return check_random(100) < percent;
}

static inline uint32_t
program_any(void)
{
	return check_random(UINT32_MAX) + check_random(2);
}

/* A number at which arithmetic may go wrong. */
static inline uint32_t
program_edge(void)
{
	static const uint32_t edges[] = {
		0,	    1,		2,	    3,		31,
		32,	    33,		0x7f,	    0xff,	0x100,
		0x7fff,	    0xffff,	0x10000,    0x7ffffffa, 0x7ffffffb,
		0x7ffffffc, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe,
		0xffffffff,
	};
	uint32_t number = edges[check_random(sizeof(edges) / 4)];

	return program_chance(80) ? number : program_any();
}

static inline void
program_add(struct program *p, uint16_t code, uint32_t k)
{
	p->insns[p->count++] = (struct sock_filter){ code, 0, 0, k };
}

static inline uint16_t
program_size(void)
{
	static const uint16_t sizes[] = { BPF_W, BPF_H, BPF_B };

	return sizes[check_random(3)];
}

static inline uint32_t
program_metadata(void)
{
	static const uint32_t what[] = { 0, 4, 8, 44, 48, 60 };

	return PROGRAM_METADATA + what[check_random(6)];
}

/* Behind a made header. */
static inline uint32_t
program_offset(const struct program *p)
{
	uint32_t kind = check_random(100), k = program_edge();

	if (kind < (p->wild ? 10 : 80))
		k = check_random(70);
	else if (kind < 90)
		k = check_random(1600);
	else if (kind < 96)
		k = check_random(70000);
	return k < p->link_size ? k + p->link_size : k;
}

/* A load of what is known of a made header, or of a part of that. */
static inline void
program_made(struct program *p)
{
	static const struct sock_filter loads[2][8] = {
		{
		    { BPF_LD | BPF_ABS | BPF_H, 0, 0, 0 },
		    { BPF_LD | BPF_ABS | BPF_B, 0, 0, 0 },
		    { BPF_LD | BPF_ABS | BPF_B, 0, 0, 1 },
		    { BPF_LD | BPF_ABS | BPF_H, 0, 0, 14 },
		    { BPF_LD | BPF_ABS | BPF_H, 0, 0, 14 },
		    { BPF_LD | BPF_ABS | BPF_H, 0, 0, 14 },
		    { BPF_LD | BPF_ABS | BPF_B, 0, 0, 14 },
		    { BPF_LD | BPF_ABS | BPF_B, 0, 0, 15 },
		},
		{
		    { BPF_LD | BPF_ABS | BPF_H, 0, 0, 0 },
		    { BPF_LD | BPF_ABS | BPF_B, 0, 0, 0 },
		    { BPF_LD | BPF_ABS | BPF_B, 0, 0, 1 },
		    { BPF_LD | BPF_ABS | BPF_W, 0, 0, 4 },
		    { BPF_LD | BPF_ABS | BPF_H, 0, 0, 6 },
		    { BPF_LD | BPF_ABS | BPF_H, 0, 0, 5 },
		    { BPF_LD | BPF_ABS | BPF_B, 0, 0, 7 },
		    { BPF_LD | BPF_ABS | BPF_B, 0, 0, 10 },
		},
	};

	p->insns[p->count++] = loads[p->link_size == 20][check_random(8)];
}

static inline void
program_absolute(struct program *p)
{
	uint32_t k = program_offset(p);

	if (p->link_size > 0 && program_chance(15)) {
		program_made(p);
		return;
	}
	/* the module takes no other offset that is negative */
	if (program_chance(15) || k >= 0xffe00000u)
		k = program_metadata();
	program_add(p, BPF_LD | BPF_ABS | program_size(), k);
}

/* X is made small first, most of the time. */
static inline void
program_indirect(struct program *p)
{
	if (!p->wild && program_chance(40)) {
		program_add(p, BPF_ALU | BPF_AND | BPF_K, check_random(64));
		program_add(p, BPF_MISC | BPF_TAX, 0);
	} else if (!p->wild && program_chance(60)) {
		program_add(p, BPF_LDX | BPF_IMM, check_random(64));
	}
	program_add(p, BPF_LD | BPF_IND | program_size(), program_offset(p));
}

static inline void
program_length(struct program *p)
{
	program_add(p, BPF_LDX | BPF_MSH | BPF_B,
		    program_chance(50) ? (p->link_size > 0 ? p->link_size : 14)
				       : program_offset(p));
}

static inline void
program_number(struct program *p)
{
	uint32_t k = program_chance(50) ? check_random(64) : program_edge();

	program_add(p, (program_chance(50) ? BPF_LD : BPF_LDX) | BPF_IMM, k);
}

static inline uint32_t
program_word(const struct program *p)
{
	uint32_t n = check_random(16);

	while ((p->words >> n & 1) == 0)
		n = (n + 1) % 16;
	return n;
}

static inline void
program_memory(struct program *p)
{
	static const uint16_t codes[] = {
		BPF_LD | BPF_MEM,
		BPF_LDX | BPF_MEM,
		BPF_ST,
		BPF_STX,
	};

	if (p->words != 0)
		program_add(p, codes[check_random(4)], program_word(p));
}

static inline void
program_arithmetic(struct program *p)
{
	static const uint16_t operations[] = {
		BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR,  BPF_AND,
		BPF_LSH, BPF_RSH, BPF_NEG, BPF_MOD, BPF_XOR,
	};
	uint16_t operation = operations[check_random(11)];
	bool shift = operation == BPF_LSH || operation == BPF_RSH;
	uint32_t k = program_chance(50) ? check_random(16) : program_edge();

	if (operation == BPF_NEG) {
		program_add(p, BPF_ALU | BPF_NEG, 0);
		return;
	}
	if (program_chance(40)) {
		if (shift && program_chance(50))
			program_add(p, BPF_LDX | BPF_IMM, 30 + check_random(4));
		program_add(p, BPF_ALU | operation | BPF_X, k);
		return;
	}
	if (shift)
		k %= 32;
	if ((operation == BPF_DIV || operation == BPF_MOD) && k == 0)
		k = 1;
	program_add(p, BPF_ALU | operation | BPF_K, k);
}

static inline void
program_other(struct program *p)
{
	static const uint16_t codes[] = {
		BPF_MISC | BPF_TAX,
		BPF_MISC | BPF_TXA,
		BPF_LD | BPF_W | BPF_LEN,
		BPF_LDX | BPF_LEN,
	};

	program_add(p, codes[check_random(4)], 0);
}

/* How far to jump; less than is left before the last two instructions. */
static inline uint32_t
program_distance(const struct program *p, uint32_t most)
{
	uint32_t left = p->size - 2 - p->count;

	if (left > most)
		left = most;
	if (!p->wild && left > 6 && program_chance(90))
		left = 6;
	return check_random(left + 1);
}

static inline void
program_jump(struct program *p)
{
	static const uint16_t comparisons[] = { BPF_JEQ, BPF_JGT, BPF_JGE,
						BPF_JSET };
	struct sock_filter insn = { .code = BPF_JMP };

	if (program_chance(10)) {
		insn.code |= BPF_JA;
		insn.k = program_distance(p, UINT16_MAX);
	} else {
		insn.code |= comparisons[check_random(4)];
		insn.code |= program_chance(30) ? BPF_X : BPF_K;
		insn.k =
		    program_chance(60) ? check_random(300) : program_edge();
		insn.jt = (uint8_t)program_distance(p, UINT8_MAX);
		insn.jf = (uint8_t)program_distance(p, UINT8_MAX);
		if (program_chance(40))
			*(program_chance(50) ? &insn.jt : &insn.jf) = 0;
	}
	p->insns[p->count++] = insn;
}

static inline void
program_return(struct program *p)
{
	if (program_chance(60))
		program_add(p, BPF_RET | BPF_A, 0);
	else
		program_add(p, BPF_RET | BPF_K,
			    program_chance(50) ? check_random(3)
					       : program_edge());
}

static inline void
program_step(struct program *p)
{
	static void (*const likely[])(struct program *) = {
		program_absolute,   program_absolute,	program_absolute,
		program_absolute,   program_indirect,	program_indirect,
		program_length,	    program_number,	program_memory,
		program_memory,	    program_arithmetic, program_arithmetic,
		program_arithmetic, program_arithmetic, program_other,
		program_jump,	    program_jump,	program_jump,
		program_jump,
	};

	/* there is less and less hope that a return is reached */
	if (program_chance(p->wild ? 5 : 2))
		program_return(p);
	else
		likely[check_random(sizeof(likely) / sizeof(*likely))](p);
}

static inline uint32_t
program_random_size(void)
{
	if (program_chance(80))
		return 40 + check_random(24);
	if (program_chance(95))
		return 64 + check_random(236);
	return 300 + check_random(PROGRAM_MAX - 300 + 1);
}

/* Steps take up to three instructions; the last is a return. */
static inline void
program_make(struct program *p, uint32_t link_size)
{
	p->count = 0;
	p->link_size = link_size;
	p->size = program_random_size();
	p->wild = program_chance(20);
	p->words = check_random(0x10000) & check_random(0x10000);
	for (uint32_t n = 0; n < 16; n++) {
		if ((p->words >> n & 1) == 0)
			continue;
		program_number(p);
		program_add(p, program_chance(50) ? BPF_ST : BPF_STX, n);
	}
	while (p->count + 4 < p->size)
		program_step(p);
	while (p->count + 1 < p->size)
		program_other(p);
	program_return(p);
}

#endif
