/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between what follows code and what knows a machine's instructions: the
 * values these compute, and where they lead.
 */
#ifndef AGENT_SCAN_MACHINE_H
#define AGENT_SCAN_MACHINE_H

#include <capstone/capstone.h>

#include "scan-flow.h"

struct flow_machine {
	cs_arch arch;
	cs_mode mode;
	struct flow_convention convention;
	uint32_t clobbered; /* registers that a callee may change */
	/* Whether a probe on it costs one exception, not two. NULL: none does,
	 * or it makes no difference. */
	bool (*is_emulated)(const cs_insn *insn);
	/* Returns whether the next instruction comes after this one. */
	bool (*step)(struct flow *flow, struct flow_state *state);
	int (*number)(unsigned int reg); /* of Capstone's register, or -1 */
	int (*vector)(unsigned int reg); /* likewise */
};

extern const struct flow_machine flow_x86_64;
extern const struct flow_machine flow_arm64;

/* --- values --------------------------------------------------------------- */

struct flow_value flow_unknown(void);
struct flow_value flow_constant(uint64_t constant);
struct flow_value flow_plus(struct flow_value value, int64_t distance);

/* a + b, or a - b, as far as that is known. */
struct flow_value flow_sum(struct flow_value a, struct flow_value b,
			   bool minus);

/* What is known of memory; tells the visitor. Vectors are of 16 bytes. */
struct flow_value flow_load(struct flow *flow, struct flow_state *state,
			    struct flow_value address, uint32_t size);
void flow_store(struct flow *flow, struct flow_state *state,
		struct flow_value address, uint32_t size,
		struct flow_value value);
void flow_load_vector(struct flow *flow, struct flow_state *state,
		      struct flow_value address, int vector, uint32_t size);
void flow_store_vector(struct flow *flow, struct flow_state *state,
		       struct flow_value address, int vector, uint32_t size);

/* Tells the visitor that an address has been computed. */
void flow_point(struct flow *flow, struct flow_value address);

/* --- where it goes -------------------------------------------------------- */

const cs_insn *flow_instruction(const struct flow *flow);

/* Also goes on at this address, with what is known now. */
void flow_fork(struct flow *flow, const struct flow_state *state,
	       uint64_t address);

/* A call; forgets what it may have changed. */
void flow_call(struct flow *flow, struct flow_state *state, uint64_t target);

/* A jump, which may be the last call of a function; 0: to somewhere. */
void flow_jump(struct flow *flow, struct flow_state *state, uint64_t target);

/* The same if the condition holds. */
void flow_branch(struct flow *flow, struct flow_state *state, uint64_t target);

/* For any other instruction: forgets the registers that it writes. */
void flow_forget(struct flow *flow, struct flow_state *state);

#endif
