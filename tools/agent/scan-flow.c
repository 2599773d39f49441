// SPDX-License-Identifier: BSD-3-Clause
/*
 * The paths through the code, and the values that all machines share. What
 * Capstone does not know ends a path. Memory other than the stack is taken
 * for unchanged.
 */
#include "scan-flow.h"

#include <stdlib.h>
#include <string.h>

#include "scan-machine.h"

#define PENDING_MAX	256
#define VISITS		4096 /* a power of two */
#define VISITS_PER_PC	2
#define INSTRUCTION_MAX 16
#define FILE_BUDGET	400000 /* instructions: below half a second */

struct visit {
	uint64_t pc;
	uint32_t run; /* which this is of */
	uint32_t count;
};

struct flow {
	const struct scan_elf *elf;
	const struct flow_machine *machine;
	const struct flow_visitor *visitor;
	csh capstone;
	cs_insn *instruction;
	uint32_t budget; /* for the file */
	uint32_t run;
	uint32_t known_count;
	uint64_t known[FLOW_KNOWN_MAX];
	struct visit visits[VISITS];
	uint32_t pending_count;
	struct flow_state pending[PENDING_MAX];
};

struct flow *
flow_open(const struct scan_elf *elf)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	if (flow == NULL)
		return NULL;
	flow->elf = elf;
	flow->budget = FILE_BUDGET;
	flow->machine =
	    elf->machine == SCAN_X86_64 ? &flow_x86_64 : &flow_arm64;
	if (cs_open(flow->machine->arch, flow->machine->mode,
		    &flow->capstone) != CS_ERR_OK) {
		free(flow);
		return NULL;
	}
	cs_option(flow->capstone, CS_OPT_DETAIL, CS_OPT_ON);
	flow->instruction = cs_malloc(flow->capstone);
	if (flow->instruction == NULL) {
		flow_close(flow);
		return NULL;
	}
	return flow;
}

void
flow_close(struct flow *flow)
{
	if (flow->instruction != NULL)
		cs_free(flow->instruction, 1);
	cs_close(&flow->capstone);
	free(flow);
}

const struct flow_convention *
flow_convention(const struct flow *flow)
{
	return &flow->machine->convention;
}

void
flow_know(struct flow *flow, const uint64_t *functions, uint32_t count)
{
	memcpy(flow->known, functions, count * sizeof(*functions));
	flow->known_count = count;
}

const cs_insn *
flow_instruction(const struct flow *flow)
{
	return flow->instruction;
}

/* --- values --------------------------------------------------------------- */

struct flow_value
flow_unknown(void)
{
	return (struct flow_value){ .kind = FLOW_UNKNOWN };
}

struct flow_value
flow_constant(uint64_t constant)
{
	return (struct flow_value){
		.kind = FLOW_CONSTANT,
		.constant = constant,
	};
}

struct flow_value
flow_plus(struct flow_value value, int64_t distance)
{
	struct ebpftls_place *place = &value.place;

	if (value.kind == FLOW_CONSTANT)
		value.constant += (uint64_t)distance;
	else if (value.kind == FLOW_PLACE &&
		 __builtin_add_overflow(place->offset[place->loads], distance,
					&place->offset[place->loads]))
		return flow_unknown();
	return value;
}

struct flow_value
flow_sum(struct flow_value a, struct flow_value b, bool minus)
{
	if (b.kind == FLOW_CONSTANT)
		return flow_plus(a,
				 (int64_t)(minus ? -b.constant : b.constant));
	if (a.kind == FLOW_CONSTANT && !minus)
		return flow_plus(b, (int64_t)a.constant);
	return flow_unknown();
}

static struct flow_value
dereference(struct flow_value value)
{
	if (value.place.loads == EBPFTLS_LOADS_MAX)
		return flow_unknown();
	value.place.loads++;
	return value;
}

/* --- the stack ------------------------------------------------------------ */

/* Where code begins in the middle, the frame pointer is as good a base. */
static bool
is_stack(const struct flow *flow, const struct flow_value *address)
{
	const struct flow_convention *use = &flow->machine->convention;

	return address->kind == FLOW_PLACE && address->place.loads == 0 &&
	       (address->place.reg == use->stack ||
		address->place.reg == use->frame);
}

static struct flow_cell *
find_cell(struct flow_state *state, const struct ebpftls_place *place)
{
	for (uint32_t i = 0; i < state->cell_count; i++) {
		struct flow_cell *cell = &state->cells[i];

		if (cell->reg == place->reg && cell->offset == place->offset[0])
			return cell;
	}
	return NULL;
}

/* The oldest gives way when there are too many. */
static void
set_cell(struct flow_state *state, const struct ebpftls_place *place,
	 const struct flow_value *value)
{
	struct flow_cell *cell = find_cell(state, place);

	if (cell == NULL) {
		if (state->cell_count == FLOW_CELLS) {
			memmove(state->cells, state->cells + 1,
				(FLOW_CELLS - 1) * sizeof(*cell));
			state->cell_count--;
		}
		cell = &state->cells[state->cell_count++];
		cell->reg = place->reg;
		cell->offset = place->offset[0];
	}
	cell->value = *value;
}

/* --- memory --------------------------------------------------------------- */

static void
tell_access(struct flow *flow, const struct flow_access *access)
{
	if (flow->visitor->access != NULL && access->address.kind == FLOW_PLACE)
		flow->visitor->access(flow->visitor->context, access);
}

void
flow_point(struct flow *flow, struct flow_value address)
{
	tell_access(flow, &(struct flow_access){ .address = address });
}

static struct flow_value
load(struct flow *flow, struct flow_state *state, struct flow_value address,
     uint32_t size)
{
	const struct scan_slot *slot;
	const struct flow_cell *cell;

	if (is_stack(flow, &address)) {
		cell = find_cell(state, &address.place);
		if (cell != NULL)
			return cell->value;
	}
	if (size != 8 || address.kind == FLOW_UNKNOWN)
		return flow_unknown();
	if (address.kind == FLOW_PLACE)
		return dereference(address);
	slot = scan_elf_slot(flow->elf, address.constant);
	return slot == NULL || slot->target == 0 ? flow_unknown()
						 : flow_constant(slot->target);
}

struct flow_value
flow_load(struct flow *flow, struct flow_state *state,
	  struct flow_value address, uint32_t size)
{
	tell_access(flow,
		    &(struct flow_access){ .address = address, .size = size });
	return load(flow, state, address, size);
}

/* Of what is not a whole word, only numbers are of use. */
void
flow_store(struct flow *flow, struct flow_state *state,
	   struct flow_value address, uint32_t size, struct flow_value value)
{
	tell_access(flow, &(struct flow_access){ .address = address,
						 .size = size,
						 .write = true,
						 .value = value });
	if (size != 8 && !(size == 4 && value.kind == FLOW_CONSTANT))
		value = flow_unknown();
	if (is_stack(flow, &address))
		set_cell(state, &address.place, &value);
}

void
flow_load_vector(struct flow *flow, struct flow_state *state,
		 struct flow_value address, int vector, uint32_t size)
{
	tell_access(flow,
		    &(struct flow_access){ .address = address, .size = size });
	state->vector[vector][0] = load(flow, state, address, 8);
	state->vector[vector][1] = load(flow, state, flow_plus(address, 8), 8);
}

void
flow_store_vector(struct flow *flow, struct flow_state *state,
		  struct flow_value address, int vector, uint32_t size)
{
	struct flow_value second = flow_plus(address, 8);

	tell_access(flow,
		    &(struct flow_access){ .address = address,
					   .size = size,
					   .write = true,
					   .value = state->vector[vector][0] });
	if (!is_stack(flow, &address) || second.kind != FLOW_PLACE)
		return;
	set_cell(state, &address.place, &state->vector[vector][0]);
	set_cell(state, &second.place, &state->vector[vector][1]);
}

/* --- paths ---------------------------------------------------------------- */

/* Whether a path may go on here: not if it, or others, often have. */
static bool
visit(struct flow *flow, uint64_t pc)
{
	uint32_t at = (uint32_t)(pc * UINT64_C(0x9e3779b97f4a7c15) >> 40);

	for (uint32_t i = 0; i < VISITS; i++) {
		struct visit *visit = &flow->visits[(at + i) % VISITS];

		if (visit->run != flow->run)
			*visit = (struct visit){ .pc = pc, .run = flow->run };
		if (visit->pc == pc)
			return visit->count++ < VISITS_PER_PC;
	}
	return false;
}

void
flow_fork(struct flow *flow, const struct flow_state *state, uint64_t address)
{
	if (flow->pending_count == PENDING_MAX)
		return;
	flow->pending[flow->pending_count] = *state;
	flow->pending[flow->pending_count++].pc = address;
}

static void
tell_call(struct flow *flow, const struct flow_state *state, uint64_t target)
{
	if (flow->visitor->call != NULL)
		flow->visitor->call(flow->visitor->context, state, target);
}

void
flow_call(struct flow *flow, struct flow_state *state, uint64_t target)
{
	tell_call(flow, state, target);
	for (int i = 0; i < FLOW_REGISTERS; i++)
		if (flow->machine->clobbered >> i & 1)
			state->reg[i] = flow_unknown();
	memset(state->vector, 0, sizeof(state->vector));
}

static bool
is_known(const struct flow *flow, uint64_t target)
{
	for (uint32_t i = 0; i < flow->known_count; i++)
		if (flow->known[i] == target)
			return true;
	return false;
}

/* A jump to where another function begins. */
static bool
is_tail_call(const struct flow *flow, uint64_t target)
{
	uint64_t function = scan_elf_function(flow->elf, target);

	return is_known(flow, target) ||
	       (function == target && function != 0 &&
		scan_elf_function(flow->elf, flow->instruction->address) !=
		    target);
}

void
flow_jump(struct flow *flow, struct flow_state *state, uint64_t target)
{
	if (target == 0 || is_tail_call(flow, target))
		tell_call(flow, state, target);
	else
		flow_fork(flow, state, target);
}

void
flow_branch(struct flow *flow, struct flow_state *state, uint64_t target)
{
	if (is_known(flow, target))
		tell_call(flow, state, target);
	else
		flow_fork(flow, state, target);
}

void
flow_forget(struct flow *flow, struct flow_state *state)
{
	const struct flow_machine *machine = flow->machine;
	cs_regs reads, writes;
	uint8_t read_count, write_count;

	if (cs_regs_access(flow->capstone, flow->instruction, reads,
			   &read_count, writes, &write_count) != CS_ERR_OK)
		return;
	for (int i = 0; i < write_count; i++) {
		int reg = machine->number(writes[i]);
		int vector = machine->vector(writes[i]);

		if (reg >= 0 && reg != machine->convention.stack)
			state->reg[reg] = flow_unknown();
		if (vector >= 0)
			memset(state->vector[vector], 0,
			       sizeof(state->vector[vector]));
	}
}

static bool
decode(struct flow *flow, uint64_t pc)
{
	uint64_t left = scan_elf_left(flow->elf, pc);
	size_t size = left < INSTRUCTION_MAX ? left : INSTRUCTION_MAX;
	const uint8_t *code = scan_elf_at(flow->elf, pc, size);

	return size != 0 && scan_elf_is_code(flow->elf, pc) &&
	       cs_disasm_iter(flow->capstone, &code, &size, &pc,
			      flow->instruction);
}

/* One path, up to its end or where others have been. */
static void
follow(struct flow *flow, struct flow_state *state, uint32_t *budget)
{
	bool block = true;

	while (*budget > 0 && flow->budget > 0) {
		uint32_t forks = flow->pending_count;

		if (block && !visit(flow, state->pc))
			return;
		if (!decode(flow, state->pc))
			return;
		(*budget)--;
		flow->budget--;
		if (!flow->machine->step(flow, state))
			return;
		state->pc =
		    flow->instruction->address + flow->instruction->size;
		block = flow->pending_count != forks;
	}
}

/* Before the first instruction registers are what they are. */
static struct flow_state
begin(struct flow *flow, uint64_t address, const struct flow_visitor *visitor)
{
	struct flow_state state = { .pc = address };

	flow->visitor = visitor;
	flow->run++;
	flow->pending_count = 0;
	for (uint8_t i = 0; i < FLOW_REGISTERS; i++) {
		state.reg[i].kind = FLOW_PLACE;
		state.reg[i].place =
		    (struct ebpftls_place){ .reg = i, .known = 1 };
	}
	return state;
}

bool
flow_straight(struct flow *flow, uint64_t address, uint32_t instructions,
	      bool (*is_wanted)(void *context, const struct flow_state *state),
	      void *context)
{
	const struct flow_visitor visitor = { .context = NULL };
	struct flow_state state = begin(flow, address, &visitor);
	const struct flow_machine *machine = flow->machine;

	if (machine->is_emulated == NULL)
		return false;
	for (; instructions > 0 && decode(flow, state.pc); instructions--) {
		if (machine->is_emulated(flow->instruction) &&
		    is_wanted(context, &state))
			return true;
		if (!machine->step(flow, &state) || flow->pending_count > 0)
			return false;
		state.pc = flow->instruction->address + flow->instruction->size;
	}
	return false;
}

void
flow_run(struct flow *flow, uint64_t address, uint32_t instructions,
	 const struct flow_visitor *visitor)
{
	struct flow_state state = begin(flow, address, visitor);

	flow_fork(flow, &state, address);
	while (flow->pending_count > 0 && instructions > 0 &&
	       flow->budget > 0) {
		state = flow->pending[--flow->pending_count];
		follow(flow, &state, &instructions);
	}
}
