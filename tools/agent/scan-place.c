// SPDX-License-Identifier: BSD-3-Clause
/* Says where a hook's values are anew, from the registers at a later place. */
#include "scan.h"

#include "scan-elf.h"
#include "scan-flow.h"

#define INSTRUCTIONS_MAX 16

struct placing {
	const struct scan_elf *elf;
	uint64_t function;
	struct ebpftls_hook *hook;
};

/* By a register that has what the place begins with, or points near to it. */
static bool
say_anew(struct ebpftls_place *place, const struct flow_state *state)
{
	for (uint8_t i = 0; place->known && i < FLOW_REGISTERS; i++) {
		const struct flow_value *value = &state->reg[i];
		int32_t offset;

		if (!flow_is_below(value, place->reg) ||
		    value->place.loads != 0 ||
		    __builtin_sub_overflow(place->offset[0],
					   value->place.offset[0], &offset))
			continue;
		place->reg = i;
		place->offset[0] = offset;
		return true;
	}
	return !place->known;
}

static bool
fits(void *context, const struct flow_state *state)
{
	struct placing *placing = context;
	struct ebpftls_hook *hook = placing->hook;
	struct ebpftls_hook moved = *hook;

	if (!say_anew(&moved.label, state) || !say_anew(&moved.secret, state) ||
	    !say_anew(&moved.length, state) || !say_anew(&moved.random, state))
		return false;
	moved.offset = scan_elf_offset(placing->elf, state->pc);
	for (uint32_t i = 0; i < moved.name_count; i++)
		moved.names[i].distance -=
		    (int64_t)(state->pc - placing->function);
	*hook = moved;
	return true;
}

static void
place_hooks(const struct scan_elf *elf, struct scan_result *result)
{
	struct flow *flow = flow_open(elf);

	for (uint32_t i = 0; flow != NULL && i < result->count; i++) {
		struct ebpftls_hook *hook = &result->hooks[i];
		struct placing placing = { elf, 0, hook };

		placing.function = scan_elf_code(elf, hook->offset);
		if (placing.function != 0)
			flow_straight(flow, placing.function, INSTRUCTIONS_MAX,
				      fits, &placing);
	}
	if (flow != NULL)
		flow_close(flow);
}

void
scan_place(int fd, struct scan_result *result)
{
	struct scan_elf elf;

	if (result->count == 0)
		return;
	if (scan_elf_open(&elf, fd) == NULL)
		place_hooks(&elf, result);
	scan_elf_close(&elf);
}
