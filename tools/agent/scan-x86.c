// SPDX-License-Identifier: BSD-3-Clause
/* What the instructions of x86-64 do to values, as far as it is of use. */
#include "scan-machine.h"

#include <string.h>

enum { AX, CX, DX, BX, SP, BP, SI, DI, R8, R9, R10, R11 };

#define BIT(reg) (UINT32_C(1) << (reg))

/* The four names of each register, and nothing else. */
static int
number(unsigned int reg)
{
	static const uint16_t names[16][4] = {
		{ X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL },
		{ X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL },
		{ X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL },
		{ X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL },
		{ X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL },
		{ X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL },
		{ X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL },
		{ X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL },
		{ X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B },
		{ X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B },
		{ X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B },
		{ X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B },
		{ X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B },
		{ X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B },
		{ X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B },
		{ X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B },
	};

	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 4; j++)
			if (names[i][j] == reg)
				return i;
	return -1;
}

static int
vector(unsigned int reg)
{
	if (reg >= X86_REG_XMM0 && reg <= X86_REG_XMM15)
		return (int)reg - X86_REG_XMM0;
	if (reg >= X86_REG_YMM0 && reg <= X86_REG_YMM15)
		return (int)reg - X86_REG_YMM0;
	return -1;
}

static int
vector_of(const cs_x86_op *operand)
{
	return operand->type == X86_OP_REG ? vector(operand->reg) : -1;
}

static struct flow_value
read_register(const struct flow_state *state, unsigned int reg)
{
	int i = number(reg);

	return i < 0 ? flow_unknown() : state->reg[i];
}

/* Only segments that begin at 0 have an address here. */
static struct flow_value
address_of(const struct flow *flow, const struct flow_state *state,
	   const cs_x86_op *operand)
{
	const x86_op_mem *mem = &operand->mem;
	const cs_insn *insn = flow_instruction(flow);
	struct flow_value value = flow_constant(0), index;

	if (mem->base == X86_REG_RIP)
		return flow_constant(insn->address + insn->size +
				     (uint64_t)mem->disp);
	if (mem->segment == X86_REG_FS || mem->segment == X86_REG_GS)
		return flow_unknown();
	if (mem->base != X86_REG_INVALID)
		value = read_register(state, mem->base);
	if (mem->index != X86_REG_INVALID && mem->index != X86_REG_RIZ) {
		index = read_register(state, mem->index);
		if (index.kind == FLOW_CONSTANT)
			index.constant *= (uint64_t)mem->scale;
		else if (mem->scale != 1)
			return flow_unknown();
		value = flow_sum(value, index, false);
	}
	return flow_plus(value, mem->disp);
}

static struct flow_value
read_operand(struct flow *flow, struct flow_state *state,
	     const cs_x86_op *operand)
{
	switch (operand->type) {
	case X86_OP_IMM:
		return flow_constant((uint64_t)operand->imm);
	case X86_OP_REG:
		return operand->size < 4 ? flow_unknown()
					 : read_register(state, operand->reg);
	case X86_OP_MEM:
		return flow_load(flow, state, address_of(flow, state, operand),
				 operand->size);
	default:
		return flow_unknown();
	}
}

/* A register that is half written holds no address. */
static void
write_operand(struct flow *flow, struct flow_state *state,
	      const cs_x86_op *operand, struct flow_value value)
{
	if (operand->type == X86_OP_MEM) {
		flow_store(flow, state, address_of(flow, state, operand),
			   operand->size, value);
	} else if (number(operand->reg) < 0) {
		flow_forget(flow, state);
	} else {
		if (operand->size == 4 && value.kind == FLOW_CONSTANT)
			value.constant = (uint32_t)value.constant;
		else if (operand->size != 8)
			value = flow_unknown();
		state->reg[number(operand->reg)] = value;
	}
}

static void
push(struct flow *flow, struct flow_state *state, struct flow_value value)
{
	state->reg[SP] = flow_plus(state->reg[SP], -8);
	flow_store(flow, state, state->reg[SP], 8, value);
}

static struct flow_value
pop(struct flow *flow, struct flow_state *state)
{
	struct flow_value value = flow_load(flow, state, state->reg[SP], 8);

	state->reg[SP] = flow_plus(state->reg[SP], 8);
	return value;
}

static void
leave(struct flow *flow, struct flow_state *state)
{
	state->reg[SP] = state->reg[BP];
	state->reg[BP] = pop(flow, state);
}

static void
load_address(struct flow *flow, struct flow_state *state, const cs_x86 *x86)
{
	struct flow_value address = address_of(flow, state, &x86->operands[1]);

	flow_point(flow, address);
	write_operand(flow, state, &x86->operands[0], address);
}

static void
add(struct flow *flow, struct flow_state *state, const cs_x86 *x86, bool minus)
{
	struct flow_value a = read_operand(flow, state, &x86->operands[0]);
	struct flow_value b = read_operand(flow, state, &x86->operands[1]);
	struct flow_value sum = flow_sum(a, b, minus);

	write_operand(flow, state, &x86->operands[0], sum);
	if (x86->operands[0].type == X86_OP_REG)
		flow_point(flow, sum);
}

static void
exclusive_or(struct flow *flow, struct flow_state *state, const cs_x86 *x86)
{
	const cs_x86_op *a = &x86->operands[0], *b = &x86->operands[1];
	bool zero =
	    a->type == X86_OP_REG && b->type == X86_OP_REG && a->reg == b->reg;

	write_operand(flow, state, a, zero ? flow_constant(0) : flow_unknown());
}

/* Stacks are aligned so, by less than anything that is looked for. */
static void and
    (struct flow * flow, struct flow_state *state, const cs_x86 *x86)
{
	if (number(x86->operands[0].reg) != SP)
		write_operand(flow, state, &x86->operands[0], flow_unknown());
}

static void
move_if(struct flow *flow, struct flow_state *state, const cs_x86 *x86)
{
	struct flow_value value = read_operand(flow, state, &x86->operands[1]);
	const cs_insn *insn = flow_instruction(flow);

	flow_fork(flow, state, insn->address + insn->size);
	write_operand(flow, state, &x86->operands[0], value);
}

static void
move_vector(struct flow *flow, struct flow_state *state, const cs_x86 *x86)
{
	const cs_x86_op *to = &x86->operands[0], *from = &x86->operands[1];
	int a = vector_of(to), b = vector_of(from);

	if (a >= 0 && b >= 0)
		memcpy(state->vector[a], state->vector[b],
		       sizeof(state->vector[a]));
	else if (a >= 0 && from->type == X86_OP_MEM)
		flow_load_vector(flow, state, address_of(flow, state, from), a,
				 from->size);
	else if (b >= 0 && to->type == X86_OP_MEM)
		flow_store_vector(flow, state, address_of(flow, state, to), b,
				  to->size);
	else
		flow_forget(flow, state);
}

/* One half of a vector; the lower one's instruction clears the other. */
static void
move_half(struct flow *flow, struct flow_state *state, const cs_x86 *x86,
	  int half)
{
	const cs_x86_op *to = &x86->operands[0], *from = &x86->operands[1];
	int a = vector_of(to), b = vector_of(from);

	if (a >= 0 && x86->op_count == 2) {
		state->vector[a][half] = b >= 0
					     ? state->vector[b][0]
					     : read_operand(flow, state, from);
		if (half == 0)
			state->vector[a][1] = flow_unknown();
	} else if (b >= 0 && x86->op_count == 2) {
		write_operand(flow, state, to, state->vector[b][half]);
	} else {
		flow_forget(flow, state);
	}
}

/* punpcklqdq: the lower halves of both. */
static void
join_halves(struct flow *flow, struct flow_state *state, const cs_x86 *x86)
{
	int a = vector_of(&x86->operands[0]), b = vector_of(&x86->operands[1]);

	if (a >= 0 && b >= 0)
		state->vector[a][1] = state->vector[b][0];
	else
		flow_forget(flow, state);
}

static void
insert_half(struct flow *flow, struct flow_state *state, const cs_x86 *x86)
{
	int a = vector_of(&x86->operands[0]);

	if (a >= 0 && x86->op_count == 3)
		state->vector[a][x86->operands[2].imm & 1] =
		    read_operand(flow, state, &x86->operands[1]);
	else
		flow_forget(flow, state);
}

/* What is written is no longer known; what is read, somebody reads. */
static void
other(struct flow *flow, struct flow_state *state, const cs_x86 *x86)
{
	flow_forget(flow, state);
	for (uint8_t i = 0; i < x86->op_count; i++) {
		const cs_x86_op *operand = &x86->operands[i];
		struct flow_value address;

		if (operand->type != X86_OP_MEM)
			continue;
		address = address_of(flow, state, operand);
		if (operand->access & CS_AC_READ)
			flow_load(flow, state, address, operand->size);
		if (operand->access & CS_AC_WRITE)
			flow_store(flow, state, address, operand->size,
				   flow_unknown());
	}
}

/* Where a call or jump goes; 0: not known. */
static uint64_t
target_of(struct flow *flow, struct flow_state *state, const cs_x86 *x86)
{
	struct flow_value target = read_operand(flow, state, &x86->operands[0]);

	return target.kind == FLOW_CONSTANT ? target.constant : 0;
}

static bool
is_conditional_jump(const cs_insn *insn)
{
	switch (insn->id) {
	case X86_INS_JA:
	case X86_INS_JAE:
	case X86_INS_JB:
	case X86_INS_JBE:
	case X86_INS_JCXZ:
	case X86_INS_JE:
	case X86_INS_JECXZ:
	case X86_INS_JG:
	case X86_INS_JGE:
	case X86_INS_JL:
	case X86_INS_JLE:
	case X86_INS_JNE:
	case X86_INS_JNO:
	case X86_INS_JNP:
	case X86_INS_JNS:
	case X86_INS_JO:
	case X86_INS_JP:
	case X86_INS_JRCXZ:
	case X86_INS_JS:
		return true;
	default:
		return false;
	}
}

/* Returns whether it was an instruction that moves what is in vectors. */
static bool
step_vector(struct flow *flow, struct flow_state *state)
{
	const cs_insn *insn = flow_instruction(flow);
	const cs_x86 *x86 = &insn->detail->x86;

	switch (insn->id) {
	case X86_INS_MOVAPS:
	case X86_INS_MOVAPD:
	case X86_INS_MOVUPS:
	case X86_INS_MOVUPD:
	case X86_INS_MOVDQA:
	case X86_INS_MOVDQU:
	case X86_INS_VMOVAPS:
	case X86_INS_VMOVAPD:
	case X86_INS_VMOVUPS:
	case X86_INS_VMOVUPD:
	case X86_INS_VMOVDQA:
	case X86_INS_VMOVDQU:
		move_vector(flow, state, x86);
		return true;
	case X86_INS_MOVQ:
	case X86_INS_VMOVQ:
		move_half(flow, state, x86, 0);
		return true;
	case X86_INS_MOVHPS:
	case X86_INS_MOVHPD:
		move_half(flow, state, x86, 1);
		return true;
	case X86_INS_PUNPCKLQDQ:
		join_halves(flow, state, x86);
		return true;
	case X86_INS_PINSRQ:
		insert_half(flow, state, x86);
		return true;
	default:
		return false;
	}
}

static void
step_value(struct flow *flow, struct flow_state *state)
{
	const cs_insn *insn = flow_instruction(flow);
	const cs_x86 *x86 = &insn->detail->x86;
	const cs_x86_op *to = &x86->operands[0];

	switch (insn->id) {
	case X86_INS_MOV:
	case X86_INS_MOVABS:
		write_operand(flow, state, to,
			      read_operand(flow, state, &x86->operands[1]));
		return;
	case X86_INS_LEA:
		load_address(flow, state, x86);
		return;
	case X86_INS_ADD:
	case X86_INS_SUB:
		add(flow, state, x86, insn->id == X86_INS_SUB);
		return;
	case X86_INS_XOR:
		exclusive_or(flow, state, x86);
		return;
	case X86_INS_AND:
		and(flow, state, x86);
		return;
	case X86_INS_PUSH:
		push(flow, state, read_operand(flow, state, to));
		return;
	case X86_INS_POP:
		write_operand(flow, state, to, pop(flow, state));
		return;
	case X86_INS_LEAVE:
		leave(flow, state);
		return;
	case X86_INS_NOP:
		return;
	case X86_INS_CMOVA:
	case X86_INS_CMOVAE:
	case X86_INS_CMOVB:
	case X86_INS_CMOVBE:
	case X86_INS_CMOVE:
	case X86_INS_CMOVG:
	case X86_INS_CMOVGE:
	case X86_INS_CMOVL:
	case X86_INS_CMOVLE:
	case X86_INS_CMOVNE:
	case X86_INS_CMOVNO:
	case X86_INS_CMOVNP:
	case X86_INS_CMOVNS:
	case X86_INS_CMOVO:
	case X86_INS_CMOVP:
	case X86_INS_CMOVS:
		move_if(flow, state, x86);
		return;
	default:
		if (!step_vector(flow, state))
			other(flow, state, x86);
	}
}

static bool
step(struct flow *flow, struct flow_state *state)
{
	const cs_insn *insn = flow_instruction(flow);
	const cs_x86 *x86 = &insn->detail->x86;

	switch (insn->id) {
	case X86_INS_CALL:
		flow_call(flow, state, target_of(flow, state, x86));
		return true;
	case X86_INS_JMP:
		flow_jump(flow, state, target_of(flow, state, x86));
		return false;
	case X86_INS_RET:
	case X86_INS_HLT:
	case X86_INS_UD2:
	case X86_INS_INT3:
		return false;
	default:
		if (is_conditional_jump(insn))
			flow_branch(flow, state, target_of(flow, state, x86));
		else
			step_value(flow, state);
		return true;
	}
}

/*
 * The kernel emulates these (since 4.20); anything else it copies and steps
 * through, with a second exception, which most hypervisors take for theirs.
 */
static bool
is_emulated(const cs_insn *insn)
{
	const uint8_t *bytes = insn->bytes;

	switch (insn->size) {
	case 1: /* push, nop */
		return (bytes[0] & 0xf8) == 0x50 || bytes[0] == 0x90;
	case 2: /* push of r8 to r15; short jumps */
		return (bytes[0] == 0x41 && (bytes[1] & 0xf8) == 0x50) ||
		       (bytes[0] & 0xf0) == 0x70 || bytes[0] == 0xeb;
	case 5: /* call, jmp */
		return bytes[0] == 0xe8 || bytes[0] == 0xe9;
	case 6: /* jumps if */
		return bytes[0] == 0x0f && (bytes[1] & 0xf0) == 0x80;
	default:
		return false;
	}
}

const struct flow_machine flow_x86_64 = {
	.arch = CS_ARCH_X86,
	.mode = CS_MODE_64,
	.convention = {
		.argument_count = 6,
		.arguments = { DI, SI, DX, CX, R8, R9 },
		.go_arguments = { AX, BX, CX, DI, SI, R8, R9, R10, R11 },
		.stack = SP,
		.frame = BP,
	},
	.clobbered = BIT(AX) | BIT(CX) | BIT(DX) | BIT(SI) | BIT(DI) |
		     BIT(R8) | BIT(R9) | BIT(R10) | BIT(R11),
	.is_emulated = is_emulated,
	.step = step,
	.number = number,
	.vector = vector,
};
