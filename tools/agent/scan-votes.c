// SPDX-License-Identifier: BSD-3-Clause
/*
 * Counts the votes of all references, twice: where a function ends by calling
 * another, that call is a jump, and it takes knowing the callee to see it.
 */
#include "scan-votes.h"

#include <stdlib.h>
#include <string.h>

#define INSTRUCTIONS_MAX 900 /* to follow one reference for */
#define RANDOM_SIZE	 32

struct count {
	struct scan_votes *votes;
	const struct scan_elf *elf;
	const struct flow_convention *use;
	const struct scan_label *label; /* of the reference that is followed */
};

uint32_t
scan_votes_names(uint32_t names)
{
	return (uint32_t)__builtin_popcount(names);
}

static uint8_t
find_sized(const struct count *count, const struct flow_state *state)
{
	for (uint8_t i = 0; i < count->use->argument_count; i++)
		if (flow_is_constant(&state->reg[count->use->arguments[i]],
				     RANDOM_SIZE))
			return i + 1;
	return 0;
}

static struct scan_vote *
find_vote(struct scan_votes *votes, const struct scan_vote *like)
{
	for (uint32_t i = 0; i < votes->count; i++) {
		struct scan_vote *vote = &votes->at[i];

		if (vote->function == like->function &&
		    vote->argument == like->argument && vote->go == like->go)
			return vote;
	}
	if (votes->count == SCAN_VOTES_MAX)
		return NULL;
	votes->at[votes->count] = *like;
	return &votes->at[votes->count++];
}

static void
vote(struct count *count, const struct flow_state *state, uint64_t target,
     uint8_t argument, bool go)
{
	struct scan_votes *votes = count->votes;
	uint32_t name = UINT32_C(1) << count->label->label;
	uint8_t sized = find_sized(count, state);
	struct scan_vote like = { .argument = argument, .go = go }, *found;

	if (target == 0) {
		votes->indirect |= name;
		return;
	}
	like.function = scan_elf_callee(count->elf, target);
	if (like.function == 0) {
		votes->imported |= name;
		return;
	}
	found = find_vote(votes, &like);
	if (found == NULL)
		return;
	found->names |= name;
	if (sized != 0)
		found->sized = sized;
}

/* Go's calls have the length beside the name: receiver, name, length, ... */
static bool
is_go_call(const struct count *count, const struct flow_state *state)
{
	const uint8_t *arguments = count->use->go_arguments;

	return flow_is_constant(&state->reg[arguments[1]],
				count->label->address) &&
	       flow_is_constant(&state->reg[arguments[2]],
				scan_labels_length(count->label->label));
}

static void
see_call(void *context, const struct flow_state *state, uint64_t target)
{
	struct count *count = context;

	if (is_go_call(count, state)) {
		vote(count, state, target, 1, true);
		return;
	}
	for (uint8_t i = 0; i < count->use->argument_count; i++)
		if (flow_is_constant(&state->reg[count->use->arguments[i]],
				     count->label->address)) {
			vote(count, state, target, i, false);
			return;
		}
}

static int
compare_votes(const void *a, const void *b)
{
	const struct scan_vote *x = a, *y = b;

	return (int)scan_votes_names(y->names) -
	       (int)scan_votes_names(x->names);
}

static void
follow(struct count *count, const struct scan_references *references,
       struct flow *flow)
{
	const struct flow_visitor visitor = { .context = count,
					      .call = see_call };
	struct scan_votes *votes = count->votes;

	memset(votes, 0, sizeof(*votes));
	for (uint32_t i = 0; i < references->count; i++) {
		count->label = references->at[i].label;
		flow_run(flow, references->at[i].address, INSTRUCTIONS_MAX,
			 &visitor);
	}
	qsort(votes->at, votes->count, sizeof(votes->at[0]), compare_votes);
}

void
scan_votes_count(struct scan_votes *votes,
		 const struct scan_references *references, struct flow *flow,
		 const struct scan_elf *elf)
{
	struct count count = {
		.votes = votes,
		.elf = elf,
		.use = flow_convention(flow),
	};
	uint64_t known[FLOW_KNOWN_MAX];
	uint32_t known_count = 0;

	follow(&count, references, flow);
	for (uint32_t i = 0; i < votes->count; i++)
		if (known_count < FLOW_KNOWN_MAX &&
		    scan_votes_names(votes->at[i].names) > 1)
			known[known_count++] = votes->at[i].function;
	if (known_count == 0)
		return;
	flow_know(flow, known, known_count);
	follow(&count, references, flow);
}
