// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does the translator refuse what it must, and make nothing that a verifier
 * could refuse for its form? What its programs say of frames is asked of the
 * kernel: tests/netns/cbpf.
 */
#include "cbpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>

#include "cbpf/programs.h"
#include "cbpf/verifier.h"
#include "unit/check.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LONGEST	     4096
#define DIRECT	     1556 /* the longest of which there are two copies */
#define SLL	     16
#define SLL2	     20
#define RANDOM	     3000

#define DO(code, k)                                   \
	{                                             \
		(uint16_t)(code), 0, 0, (uint32_t)(k) \
	}
#define IF(code, k, t, f)                                 \
	{                                                 \
		BPF_JMP | (code), (t), (f), (uint32_t)(k) \
	}
#define KEEP DO(BPF_RET | BPF_K, 100)

static const struct cbpf_options plain = {
	.verdict_fd = 5,
	.programs_fd = 6,
	.accept = 2,
	.reject = 7,
};

static struct cbpf_options
with_header(uint32_t link_size)
{
	struct cbpf_options options = plain;

	options.link_size = link_size;
	return options;
}

/* What is made of the program, or the error. */
static int
translate(const struct sock_filter *program, size_t count,
	  const struct cbpf_options *options)
{
	struct bpf_insn *insns = NULL;
	int made = cbpf_translate(program, count, options, &insns);

	if (made < 0) {
		check(insns == NULL);
		return made;
	}
	check(verifier_takes(insns, (size_t)made));
	free(insns);
	return made;
}

/* An instruction, and one that keeps the packet. */
static int
translate_one(struct sock_filter insn, uint32_t link_size)
{
	struct sock_filter program[] = { insn, KEEP };
	struct cbpf_options options = with_header(link_size);

	return translate(program, 2, &options);
}

static void
malformed(void)
{
	static const struct sock_filter insns[] = {
		DO(BPF_LD | BPF_MEM, 16),
		DO(BPF_LDX | BPF_MEM, 16),
		DO(BPF_ST, 16),
		DO(BPF_STX, 0xffffffff),
		DO(BPF_ALU | BPF_DIV | BPF_K, 0),
		DO(BPF_ALU | BPF_MOD | BPF_K, 0),
		DO(BPF_ALU | BPF_NEG | BPF_X, 0),
		DO(BPF_ALU | 0xb0, 1),
		DO(BPF_ALU | 0xf0, 1),
		DO(BPF_LD | 0x18 | BPF_ABS, 0),
		DO(BPF_LD | 0x18 | BPF_IND, 0),
		DO(BPF_LD | BPF_H | BPF_IMM, 0),
		DO(BPF_LD | BPF_MSH, 0),
		DO(BPF_LDX | BPF_W | BPF_ABS, 0),
		DO(BPF_LDX | BPF_W | BPF_MSH, 0),
		DO(BPF_ST | BPF_MEM, 0),
		DO(BPF_MISC | 0x40, 0),
		DO(BPF_RET | BPF_X, 0),
		DO(0x100 | BPF_LD, 0),
		DO(0xffff, 0),
		DO(BPF_JMP | BPF_JA, 1),
		DO(BPF_JMP | BPF_JA, 0x7fffffff),
		DO(BPF_JMP | BPF_JA, 0x80000000), /* before the program */
		DO(BPF_JMP | BPF_JA, -3),
		DO(BPF_JMP | BPF_JA | BPF_X, 0),
		IF(BPF_JEQ, 1, 1, 0),
		IF(BPF_JEQ, 1, 0, 1),
		IF(BPF_JGT | BPF_X, 1, 255, 255),
		IF(0x50, 1, 0, 0),
		IF(0xf0, 1, 0, 0),
	};

	for (size_t i = 0; i < COUNT(insns); i++) {
		if (!check(translate_one(insns[i], 0) == -EINVAL))
			printf("  instruction %zu\n", i);
	}
}

static void
no_end(void)
{
	static const struct sock_filter program[] = {
		DO(BPF_LD | BPF_IMM, 1),
		IF(BPF_JEQ, 1, 1, 0),
		DO(BPF_RET | BPF_A, 0),
		DO(BPF_MISC | BPF_TAX, 0),
	};

	check(translate(program, 0, &plain) == -EINVAL);
	check(translate(program, 1, &plain) == -EINVAL);
	check(translate(program, 4, &plain) == -EINVAL);
}

/* What nothing leads to may be anything. */
static void
dead_code(void)
{
	static const struct sock_filter program[] = {
		DO(BPF_JMP | BPF_JA, 1),
		DO(0xffff, 0),
		KEEP,
		DO(BPF_LD | BPF_MEM, 99),
	};
	static const struct sock_filter beyond[] = {
		DO(BPF_LD | BPF_W | BPF_ABS, 0x7fffffff),
		DO(0xffff, 0),
	};

	check(translate(program, 4, &plain) > 0);
	check(translate(beyond, 2, &plain) > 0);
}

static void
not_supported(void)
{
	static const struct sock_filter insns[] = {
		DO(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_MARK),
		DO(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PROTOCOL + 1),
		DO(BPF_LD | BPF_B | BPF_ABS, SKF_NET_OFF),
		DO(BPF_LD | BPF_H | BPF_ABS, SKF_LL_OFF),
		DO(BPF_LD | BPF_H | BPF_ABS, -1),
		DO(BPF_JMP | BPF_JA, -1),
	};

	for (size_t i = 0; i < COUNT(insns); i++)
		check(translate_one(insns[i], 0) == -ENOTSUP);
	/* the module knows them by absolute loads only: else beyond the end */
	check(
	    translate_one((struct sock_filter)DO(BPF_LD | BPF_IND, SKF_AD_OFF),
			  0) > 0);
	check(translate_one((struct sock_filter)DO(BPF_LDX | BPF_B | BPF_MSH,
						   SKF_AD_OFF),
			    0) > 0);
}

/* Which loads of a made header are answered: sizes are bits. */
static void
check_header(uint32_t link_size, const uint8_t *answered)
{
	static const uint16_t sizes[] = { BPF_B, BPF_H, BPF_W };

	for (uint32_t at = 0; at < link_size; at++) {
		for (size_t s = 0; s < COUNT(sizes); s++) {
			struct sock_filter load =
			    DO(BPF_LD | sizes[s] | BPF_ABS, at);
			int made = translate_one(load, link_size);

			check(answered[at] & 1u << s ? made > 0
						     : made == -ENOTSUP);
			load.code = BPF_LD | sizes[s] | BPF_IND;
			check(translate_one(load, link_size) == -ENOTSUP);
		}
		check(translate_one((struct sock_filter)
					DO(BPF_LDX | BPF_B | BPF_MSH, at),
				    link_size) == -ENOTSUP);
	}
}

static void
made_header(void)
{
	static const uint8_t sll[SLL] = { 3, 1, [14] = 3, 1 };
	static const uint8_t sll2[SLL2] = { 3, 1, [4] = 7, 3, 3, 1, [10] = 1 };

	check_header(SLL, sll);
	check_header(SLL2, sll2);
	check(translate_one((struct sock_filter)KEEP, 14) == -EINVAL);
}

/* A load that wants a direct copy, the same many times, and an end. */
static int
translate_many(struct sock_filter insn, size_t count, uint32_t link_size)
{
	static struct sock_filter program[LONGEST + 1];
	struct cbpf_options options = with_header(link_size);

	for (size_t i = 0; i < count; i++)
		program[i] = insn;
	program[0] =
	    (struct sock_filter)DO(BPF_LD | BPF_H | BPF_ABS, link_size + 12);
	program[count - 1] = (struct sock_filter)KEEP;
	return translate(program, count, &options);
}

static void
long_programs(void)
{
	static const struct sock_filter insns[] = {
		DO(BPF_LD | BPF_W | BPF_ABS, 100),
		DO(BPF_LD | BPF_W | BPF_IND, 100),
		DO(BPF_LDX | BPF_B | BPF_MSH, 100),
		DO(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PROTOCOL),
		DO(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE),
		DO(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_VLAN_TAG),
		DO(BPF_LD | BPF_W | BPF_ABS,
		   SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT),
		DO(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_VLAN_TPID),
		DO(BPF_LD | BPF_MEM, 15),
		DO(BPF_ALU | BPF_DIV | BPF_X, 0),
		DO(BPF_ALU | BPF_LSH | BPF_X, 0),
		DO(BPF_ALU | BPF_LSH | BPF_K, 32),
		DO(BPF_ALU | BPF_RSH | BPF_K, 0xffffffff),
		IF(BPF_JEQ, 0xffffffff, 0, 0),
		DO(BPF_JMP | BPF_JA, 0),
		DO(BPF_RET | BPF_A, 0),
	};
	static const uint32_t link_sizes[] = { 0, SLL, SLL2 };

	for (size_t i = 0; i < COUNT(insns); i++) {
		for (size_t l = 0; l < COUNT(link_sizes); l++) {
			uint32_t size = link_sizes[l];

			check(translate_many(insns[i], LONGEST, size) > 0);
			check(translate_many(insns[i], DIRECT, size) > 0);
			check(translate_many(insns[i], DIRECT + 1, size) > 0);
		}
		check(translate_many(insns[i], LONGEST + 1, 0) == -E2BIG);
	}
	check(
	    translate_many((struct sock_filter)DO(BPF_LD | BPF_B | BPF_ABS, 14),
			   LONGEST, SLL) > 0);
	check(
	    translate_many((struct sock_filter)DO(BPF_LD | BPF_B | BPF_ABS, 0),
			   LONGEST, SLL2) > 0);
}

/* All lead to the end of the longest program. */
static void
long_jumps(void)
{
	static struct sock_filter program[LONGEST];

	for (uint32_t i = 0; i < LONGEST; i++) {
		uint32_t left = LONGEST - 2 - i;

		if (i % 2 == 0)
			program[i] = (struct sock_filter)IF(BPF_JSET, 1, 0, 1);
		else
			program[i] =
			    (struct sock_filter)DO(BPF_JMP | BPF_JA, left);
	}
	program[LONGEST - 2] = program[LONGEST - 1] = (struct sock_filter)KEEP;
	check(translate(program, LONGEST, &plain) > 0);
}

static void
random_programs(void)
{
	static const uint32_t link_sizes[] = { 0, SLL, SLL2 };
	static struct program program;

	for (int i = 0; i < RANDOM; i++) {
		struct cbpf_options options =
		    with_header(link_sizes[check_random(3)]);

		options.outgoing = check_random(2) != 0;
		options.reject = check_random(2) != 0 ? 7 : -1;
		program_make(&program, options.link_size);
		check(translate(program.insns, program.count, &options) > 0);
	}
}

/* What costs something for each packet. */
static void
cost(void)
{
	static const struct sock_filter ip[] = {
		DO(BPF_LD | BPF_H | BPF_ABS, 12),
		IF(BPF_JEQ, 0x800, 0, 1),
		KEEP,
		DO(BPF_RET | BPF_K, 0),
	};
	static const uint8_t codes[] = {
		BPF_ALU64 | BPF_MOV | BPF_X, /* the context */
		BPF_LDX | BPF_MEM | BPF_W,   /* the length */
		BPF_ALU | BPF_MOV | BPF_K,   /* where offset 0 is */
		BPF_ALU | BPF_MOV | BPF_K,   /* A */
		BPF_ALU | BPF_MOV | BPF_K,   /* X */
		BPF_LDX | BPF_MEM | BPF_W,   /* where the frame begins */
		BPF_ALU64 | BPF_ADD | BPF_K,
		BPF_ALU64 | BPF_MOV | BPF_X,
		BPF_ALU64 | BPF_ADD | BPF_K,
		BPF_LDX | BPF_MEM | BPF_W, /* and its first piece ends */
		BPF_JMP | BPF_JGT | BPF_X,
		BPF_ALU64 | BPF_MOV | BPF_X,
		BPF_LDX | BPF_MEM | BPF_H, /* the filter itself */
		BPF_ALU | BPF_END | BPF_TO_BE,
		BPF_JMP32 | BPF_JNE | BPF_K,
	};
	struct cbpf_options options = plain;
	struct bpf_insn *insns = NULL;
	int made;

	options.reject = -1;
	made = cbpf_translate(ip, COUNT(ip), &options, &insns);
	if (!check(made > (int)COUNT(codes) + 2))
		return;
	for (size_t i = 0; i < COUNT(codes); i++)
		check(insns[i].code == codes[i]);
	check(insns[COUNT(codes) - 1].imm == 0x800);
	/* then the packet is passed on */
	check(insns[made - 2].code == (BPF_ALU | BPF_MOV | BPF_K) &&
	      insns[made - 2].imm == -1);
	check(insns[made - 1].code == (BPF_JMP | BPF_EXIT));
	free(insns);
}

static const struct check_case cases[] = {
	{ "malformed instructions", malformed },
	{ "programs without an end", no_end },
	{ "dead code", dead_code },
	{ "what is not supported", not_supported },
	{ "made headers", made_header },
	{ "long programs", long_programs },
	{ "long jumps", long_jumps },
	{ "random programs", random_programs },
	{ "cost of a small filter", cost },
	{ NULL, NULL },
};

int
main(void)
{
	return check_main(cases);
}
