/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Follows machine code without running it: what is known of registers and
 * stack is carried along every path, up to a number of instructions, and
 * whoever asked is told of calls and of memory that is used.
 */
#ifndef AGENT_SCAN_FLOW_H
#define AGENT_SCAN_FLOW_H

#include "events.h"
#include "scan-elf.h"

#define FLOW_REGISTERS	   32
#define FLOW_VECTORS	   32
#define FLOW_CELLS	   64
#define FLOW_ARGUMENTS_MAX 8
#define FLOW_KNOWN_MAX	   8

enum flow_kind { FLOW_UNKNOWN, FLOW_CONSTANT, FLOW_PLACE };

/*
 * A number, or what the registers of the first instruction lead to. The
 * registers are numbered as in struct ebpftls_place.
 */
struct flow_value {
	enum flow_kind kind;
	union {
		uint64_t constant;
		struct ebpftls_place place;
	};
};

/* Eight bytes of the stack, at a distance from where a register pointed. */
struct flow_cell {
	uint8_t reg;
	int32_t offset;
	struct flow_value value;
};

struct flow_state {
	uint64_t pc;
	struct flow_value reg[FLOW_REGISTERS];
	struct flow_value vector[FLOW_VECTORS][2];
	uint32_t cell_count;
	struct flow_cell cells[FLOW_CELLS];
};

/* Memory that is read or written, or only pointed to. */
struct flow_access {
	struct flow_value address;
	uint32_t size; /* 0: its address was computed */
	bool write;
	struct flow_value value; /* written */
};

/* Either may be NULL. A target of 0 is not known. */
struct flow_visitor {
	void *context;
	void (*call)(void *context, const struct flow_state *state,
		     uint64_t target);
	void (*access)(void *context, const struct flow_access *access);
};

/* How a machine passes arguments, in C and in Go's register ABI. */
struct flow_convention {
	uint8_t argument_count;
	uint8_t arguments[FLOW_ARGUMENTS_MAX];
	uint8_t go_arguments[FLOW_ARGUMENTS_MAX + 1];
	uint8_t stack;
	uint8_t frame;
};

struct flow;

/* Returns NULL if there is no memory for it. `elf` must outlive it. */
struct flow *flow_open(const struct scan_elf *elf);
void flow_close(struct flow *flow);

const struct flow_convention *flow_convention(const struct flow *flow);

/* Jumps to these are calls, too; `count` is at most FLOW_KNOWN_MAX. */
void flow_know(struct flow *flow, const uint64_t *functions, uint32_t count);

/*
 * Follows the code from the address on, for so many instructions; less when
 * what is allowed for one file is used up.
 */
void flow_run(struct flow *flow, uint64_t address, uint32_t instructions,
	      const struct flow_visitor *visitor);

/*
 * Goes straight on from the address, for so many instructions or until the
 * code may go elsewhere, and asks at each that bears a probe cheaply, until
 * the answer is true.
 */
bool flow_straight(struct flow *flow, uint64_t address, uint32_t instructions,
		   bool (*is_wanted)(void *context,
				     const struct flow_state *state),
		   void *context);

static inline bool
flow_is_constant(const struct flow_value *value, uint64_t constant)
{
	return value->kind == FLOW_CONSTANT && value->constant == constant;
}

/* Whether it is a place that begins with this register. */
static inline bool
flow_is_below(const struct flow_value *value, uint8_t reg)
{
	return value->kind == FLOW_PLACE && value->place.reg == reg;
}

#endif
