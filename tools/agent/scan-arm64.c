// SPDX-License-Identifier: BSD-3-Clause
/* What the instructions of arm64 do to values, as far as it is of use. */
#include "scan-machine.h"

#include <string.h>

#define SP 31

/* x29 and x30 are apart from the others in Capstone's numbering. */
static int
number(unsigned int reg)
{
	if (reg >= ARM64_REG_X0 && reg <= ARM64_REG_X28)
		return (int)(reg - ARM64_REG_X0);
	if (reg >= ARM64_REG_W0 && reg <= ARM64_REG_W30)
		return (int)(reg - ARM64_REG_W0);
	switch (reg) {
	case ARM64_REG_X29:
		return 29;
	case ARM64_REG_X30:
		return 30;
	case ARM64_REG_SP:
	case ARM64_REG_WSP:
		return SP;
	default:
		return -1;
	}
}

static int
vector(unsigned int reg)
{
	if (reg >= ARM64_REG_Q0 && reg <= ARM64_REG_Q31)
		return (int)(reg - ARM64_REG_Q0);
	return -1;
}

static bool
is_zero(unsigned int reg)
{
	return reg == ARM64_REG_XZR || reg == ARM64_REG_WZR;
}

static bool
is_word(unsigned int reg)
{
	return (reg >= ARM64_REG_W0 && reg <= ARM64_REG_W30) ||
	       reg == ARM64_REG_WZR || reg == ARM64_REG_WSP;
}

static struct flow_value
get(const struct flow_state *state, unsigned int reg)
{
	int i = number(reg);

	if (is_zero(reg))
		return flow_constant(0);
	return i < 0 ? flow_unknown() : state->reg[i];
}

static void
set(struct flow_state *state, unsigned int reg, struct flow_value value)
{
	int i = number(reg);

	if (i < 0)
		return;
	if (is_word(reg) && value.kind == FLOW_CONSTANT)
		value.constant = (uint32_t)value.constant;
	else if (is_word(reg))
		value = flow_unknown();
	state->reg[i] = value;
}

/* A number, or a register that is neither shifted nor extended. */
static struct flow_value
read_operand(const struct flow_state *state, const cs_arm64_op *operand)
{
	bool shifted = operand->shift.type != ARM64_SFT_INVALID;

	if (operand->type == ARM64_OP_IMM)
		return flow_constant(
		    (uint64_t)operand->imm
		    << (shifted ? operand->shift.value & 63 : 0));
	if (operand->type == ARM64_OP_REG && !shifted &&
	    operand->ext == ARM64_EXT_INVALID)
		return get(state, operand->reg);
	return flow_unknown();
}

static void
move(struct flow *flow, struct flow_state *state, const cs_arm64 *arm64)
{
	struct flow_value value = read_operand(state, &arm64->operands[1]);

	flow_forget(flow, state);
	set(state, arm64->operands[0].reg, value);
}

static void
add(struct flow *flow, struct flow_state *state, const cs_arm64 *arm64,
    bool minus)
{
	struct flow_value sum =
	    flow_sum(get(state, arm64->operands[1].reg),
		     read_operand(state, &arm64->operands[2]), minus);

	flow_forget(flow, state);
	set(state, arm64->operands[0].reg, sum);
	flow_point(flow, sum);
}

/* orr from the zero register is how most moves are written. */
static void or
    (struct flow * flow, struct flow_state *state, const cs_arm64 *arm64)
{
	if (arm64->op_count == 3 && is_zero(arm64->operands[1].reg))
		set(state, arm64->operands[0].reg,
		    read_operand(state, &arm64->operands[2]));
	else
		flow_forget(flow, state);
}

static void
select_one(struct flow *flow, struct flow_state *state, const cs_arm64 *arm64)
{
	const cs_arm64_op *operands = arm64->operands;
	struct flow_value first = get(state, operands[1].reg);
	struct flow_state other = *state;

	set(&other, operands[0].reg, get(state, operands[2].reg));
	flow_fork(flow, &other, flow_instruction(flow)->address + 4);
	set(state, operands[0].reg, first);
}

static struct flow_value
address_of(const struct flow_state *state, const cs_arm64_op *operand)
{
	struct flow_value address =
	    flow_plus(get(state, operand->mem.base), operand->mem.disp);

	if (operand->mem.index == ARM64_REG_INVALID)
		return address;
	if (operand->shift.type != ARM64_SFT_INVALID ||
	    operand->ext != ARM64_EXT_INVALID)
		return flow_unknown();
	return flow_sum(address, get(state, operand->mem.index), false);
}

static void
transfer(struct flow *flow, struct flow_state *state, unsigned int reg,
	 struct flow_value address, uint32_t size, bool store)
{
	int v = vector(reg);

	if (v >= 0 && store)
		flow_store_vector(flow, state, address, v, size);
	else if (v >= 0)
		flow_load_vector(flow, state, address, v, size);
	else if (store)
		flow_store(flow, state, address, size, get(state, reg));
	else
		set(state, reg, flow_load(flow, state, address, size));
}

/* ldr, str and their like, of one register or two. */
static void
load_or_store(struct flow *flow, struct flow_state *state,
	      const cs_arm64 *arm64, bool store)
{
	const cs_arm64_op *operands = arm64->operands;
	int registers =
	    arm64->op_count >= 2 && operands[1].type == ARM64_OP_REG ? 2 : 1;
	const cs_arm64_op *memory = &operands[registers];
	struct flow_value base, address;
	int64_t moved;

	if (memory->type != ARM64_OP_MEM) {
		flow_forget(flow, state);
		return;
	}
	base = get(state, memory->mem.base);
	address = address_of(state, memory);
	moved = arm64->writeback ? memory->mem.disp : 0;
	if (arm64->op_count > registers + 1)
		moved = memory[1].imm;
	for (int i = 0; i < registers; i++) {
		unsigned int reg = operands[i].reg;
		uint32_t size = vector(reg) >= 0 ? 16 : is_word(reg) ? 4 : 8;

		transfer(flow, state, reg,
			 flow_plus(address, (int64_t)i * size), size, store);
	}
	if (moved != 0)
		set(state, memory->mem.base, flow_plus(base, moved));
}

/* Loads of less than a word: of use only as what somebody reads. */
static void
load_part(struct flow *flow, struct flow_state *state, const cs_arm64 *arm64,
	  uint32_t size)
{
	const cs_arm64_op *memory = &arm64->operands[1];

	if (memory->type == ARM64_OP_MEM)
		flow_load(flow, state, address_of(state, memory), size);
	flow_forget(flow, state);
}

static uint64_t
register_target(const struct flow_state *state, const cs_arm64 *arm64)
{
	struct flow_value target = get(state, arm64->operands[0].reg);

	return target.kind == FLOW_CONSTANT ? target.constant : 0;
}

static void
step_value(struct flow *flow, struct flow_state *state)
{
	const cs_insn *insn = flow_instruction(flow);
	const cs_arm64 *arm64 = &insn->detail->arm64;

	switch (insn->id) {
	case ARM64_INS_ADR:
	case ARM64_INS_ADRP:
	case ARM64_INS_MOV:
	case ARM64_INS_MOVZ:
		move(flow, state, arm64);
		return;
	case ARM64_INS_ORR:
		or (flow, state, arm64);
		return;
	case ARM64_INS_ADD:
	case ARM64_INS_SUB:
		add(flow, state, arm64, insn->id == ARM64_INS_SUB);
		return;
	case ARM64_INS_CSEL:
		select_one(flow, state, arm64);
		return;
	case ARM64_INS_LDR:
	case ARM64_INS_LDUR:
	case ARM64_INS_LDP:
		load_or_store(flow, state, arm64, false);
		return;
	case ARM64_INS_STR:
	case ARM64_INS_STUR:
	case ARM64_INS_STP:
		load_or_store(flow, state, arm64, true);
		return;
	case ARM64_INS_LDRB:
	case ARM64_INS_LDURB:
		load_part(flow, state, arm64, 1);
		return;
	default:
		flow_forget(flow, state);
	}
}

static bool
step(struct flow *flow, struct flow_state *state)
{
	const cs_insn *insn = flow_instruction(flow);
	const cs_arm64 *arm64 = &insn->detail->arm64;
	const cs_arm64_op *operands = arm64->operands;

	switch (insn->id) {
	case ARM64_INS_BL:
		flow_call(flow, state, (uint64_t)operands[0].imm);
		return true;
	case ARM64_INS_BLR:
		flow_call(flow, state, register_target(state, arm64));
		return true;
	case ARM64_INS_BR:
		flow_jump(flow, state, register_target(state, arm64));
		return false;
	case ARM64_INS_RET:
	case ARM64_INS_BRK:
		return false;
	case ARM64_INS_B:
		if (arm64->cc == ARM64_CC_INVALID || arm64->cc == ARM64_CC_AL) {
			flow_jump(flow, state, (uint64_t)operands[0].imm);
			return false;
		}
		flow_branch(flow, state, (uint64_t)operands[0].imm);
		return true;
	case ARM64_INS_CBZ:
	case ARM64_INS_CBNZ:
		flow_branch(flow, state, (uint64_t)operands[1].imm);
		return true;
	case ARM64_INS_TBZ:
	case ARM64_INS_TBNZ:
		flow_branch(flow, state, (uint64_t)operands[2].imm);
		return true;
	default:
		step_value(flow, state);
		return true;
	}
}

const struct flow_machine flow_arm64 = {
	.arch = CS_ARCH_ARM64,
	.mode = CS_MODE_ARM,
	.convention = {
		.argument_count = 8,
		.arguments = { 0, 1, 2, 3, 4, 5, 6, 7 },
		.go_arguments = { 0, 1, 2, 3, 4, 5, 6, 7, 8 },
		.stack = SP,
		.frame = 29,
	},
	.clobbered = 0x4007ffff, /* x0 to x18, x30 */
	.step = step,
	.number = number,
	.vector = vector,
};
