// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is "no secrets will come" said only on the ground of an answer that is new
 * enough, from every end that is here?
 */
#include "ebpftls-sources.h"

#include "check.h"

#define MANY 40 /* more than are asked about at once */

static struct ebpftls_sources *sources;
static struct ebpftls_hooked questions[MANY];
static uint32_t count;
static bool refuse;

static const struct ebpftls_end elsewhere;

static bool
ask(void *context, const struct ebpftls_hooked *question)
{
	check(context == &count);
	if (refuse || !check(count < MANY))
		return false;
	questions[count++] = *question;
	return true;
}

static void
begin(void)
{
	sources = ebpftls_sources_new(MANY);
	count = 0;
	refuse = false;
}

static struct ebpftls_end
process(uint32_t pid)
{
	return (struct ebpftls_end){ .start = 5, .pid = pid, .here = 1 };
}

static void
meet(uint32_t pid, const char *comm)
{
	struct ebpftls_owner owner = {
		.kind = EBPFTLS_OF_PROCESS,
		.pid = pid,
		.start = 5,
	};

	snprintf(owner.comm, sizeof(owner.comm), "%s", comm);
	ebpftls_sources_meet(sources, &owner);
}

/* Asks about two ends; returns how many questions that makes. */
static uint32_t
asks(struct ebpftls_end a, struct ebpftls_end b, uint64_t since)
{
	const struct ebpftls_end ends[2] = { a, b };
	const uint32_t before = count;

	ebpftls_sources_ask(sources, ends, since, ask, &count);
	return count - before;
}

static bool
is_none(struct ebpftls_end a, struct ebpftls_end b, uint64_t since)
{
	const struct ebpftls_end ends[2] = { a, b };

	return ebpftls_sources_none(sources, ends, since);
}

/* To the last question but `back`. */
static void
answer(uint32_t back, enum ebpftls_answer what)
{
	struct ebpftls_hooked it = questions[count - 1 - back];

	it.answer = what;
	ebpftls_sources_learn(sources, &it);
}

static void
one_end(void)
{
	begin();
	check(!is_none(elsewhere, elsewhere, 0));
	check(!is_none(process(1), elsewhere, 0));
	check(asks(process(1), elsewhere, 0) == 1 && questions[0].pid == 1 &&
	      questions[0].start == 5 && questions[0].number == 1);
	/* it is being asked */
	check(asks(process(1), elsewhere, 0) == 0);
	check(!is_none(process(1), elsewhere, 0));
	answer(0, EBPFTLS_NOT_HOOKED);
	check(is_none(process(1), elsewhere, 0));
	check(is_none(elsewhere, process(1), 0));
	ebpftls_sources_free(sources);
}

/* An answer holds for what was before the question. */
static void
again(void)
{
	uint64_t since;

	begin();
	asks(process(1), elsewhere, 0);
	since = ebpftls_sources_asked(sources);
	answer(0, EBPFTLS_NOT_HOOKED);
	check(!is_none(process(1), elsewhere, since));
	check(asks(process(1), elsewhere, since) == 1);
	answer(0, EBPFTLS_NOT_HOOKED);
	check(is_none(process(1), elsewhere, since));
	check(asks(process(1), elsewhere, since) == 0);
	since = ebpftls_sources_asked(sources);
	check(asks(process(1), elsewhere, since) == 1);
	answer(0, EBPFTLS_IS_HOOKED);
	check(!is_none(process(1), elsewhere, 0));
	/* which is not asked again */
	check(asks(process(1), elsewhere, since + 1) == 0);
	ebpftls_sources_free(sources);
}

static void
both_ends(void)
{
	begin();
	check(asks(process(1), process(2), 0) == 2);
	answer(0, EBPFTLS_NOT_HOOKED);
	check(!is_none(process(1), process(2), 0));
	answer(1, EBPFTLS_NOT_KNOWN);
	check(!is_none(process(1), process(2), 0));
	check(is_none(elsewhere, process(2), 0));
	/* nobody knows who */
	check(asks(process(0), process(2), 0) == 0);
	check(!is_none(process(0), process(2), 0));
	ebpftls_sources_free(sources);
}

static const uint8_t *
random_of(uint32_t number)
{
	static uint8_t random[EBPFTLS_RANDOM_SIZE];

	memcpy(random, &number, sizeof(number));
	return random;
}

/* A connection of these two has no secrets. */
static void
lack(uint32_t number, struct ebpftls_end a, struct ebpftls_end b, bool vain,
     uint64_t now)
{
	const struct ebpftls_end ends[2] = { a, b };

	ebpftls_sources_lack(sources, random_of(number), ends, vain, now);
}

static bool
is_sum(uint64_t unhooked, uint64_t older, uint64_t others, const char *wanted)
{
	struct ebpftls_sources_sums sums;
	char text[64];

	ebpftls_sources_sum(sources, &sums, text, sizeof(text));
	return sums.unhooked == unhooked && sums.older == older &&
	       sums.others == others && strcmp(text, wanted) == 0;
}

/* It gives no more, but may have had hooked code. */
static void
has_ended(void)
{
	begin();
	meet(1, "java");
	asks(process(1), elsewhere, 0);
	answer(0, EBPFTLS_HAS_ENDED);
	check(is_none(process(1), elsewhere, 0));
	lack(1, process(1), elsewhere, true, 0);
	check(is_sum(0, 0, 1, ""));
	ebpftls_sources_free(sources);
}

static void
other_answers(void)
{
	struct ebpftls_hooked other;

	begin();
	asks(process(1), elsewhere, 0);
	other = questions[0];
	other.answer = EBPFTLS_NOT_HOOKED;
	other.number++;
	ebpftls_sources_learn(sources, &other);
	other = questions[0];
	other.start++;
	ebpftls_sources_learn(sources, &other);
	check(!is_none(process(1), elsewhere, 0));
	ebpftls_sources_free(sources);
}

static void
many(void)
{
	uint32_t asked = 0;

	begin();
	for (uint32_t pid = 1; pid <= MANY; pid++)
		asked += asks(process(pid), elsewhere, 0);
	check(asked < MANY && asked > 8);
	answer(0, EBPFTLS_NOT_HOOKED);
	check(asks(process(MANY), elsewhere, 0) == 1);
	refuse = true;
	answer(0, EBPFTLS_NOT_HOOKED);
	check(asks(process(MANY - 1), elsewhere, 0) == 0);
	refuse = false;
	check(asks(process(MANY - 1), elsewhere, 0) == 1);
	ebpftls_sources_free(sources);
}

static void
mistrust(void)
{
	begin();
	meet(1, "java");
	asks(process(1), elsewhere, 0);
	answer(0, EBPFTLS_NOT_HOOKED);
	lack(7, process(1), elsewhere, false, 0);
	ebpftls_sources_came(sources, random_of(7));
	check(is_none(process(1), elsewhere, 0) && is_sum(0, 0, 0, ""));
	lack(8, process(1), elsewhere, true, 0);
	lack(9, process(1), elsewhere, true, 0);
	check(is_sum(2, 0, 0, "java"));
	/* what it does later changes nothing about that */
	asks(process(1), elsewhere, 1);
	answer(0, EBPFTLS_IS_HOOKED);
	check(is_sum(2, 0, 0, "java"));
	ebpftls_sources_came(sources, random_of(8));
	check(!is_none(process(1), elsewhere, 0));
	check(asks(process(2), elsewhere, 0) == 0);
	ebpftls_sources_free(sources);
}

/* Of each connection it is told once; of very many too. */
static void
sums(void)
{
	begin();
	meet(1, "java");
	meet(2, "curl");
	for (uint32_t i = 0; i < 3000; i++)
		lack(i, process(i % 3), elsewhere, false, i);
	lack(2999, process(1), elsewhere, false, 3000);
	check(is_sum(0, 0, 3000, "") && count == 0);
	ebpftls_sources_ask_rest(sources, 2997, ask, &count);
	check(count == 2);
	ebpftls_sources_ask_rest(sources, UINT64_MAX, ask, &count);
	check(count == 2);
	for (uint32_t i = 0; i < 2; i++)
		answer(i, questions[1 - i].pid == 1 ? EBPFTLS_NOT_HOOKED
						    : EBPFTLS_IS_HOOKED);
	/* those that are remembered, of which process 1 has a third */
	check(is_sum(341, 0, 2659, "java") || is_sum(342, 0, 2658, "java"));
	ebpftls_sources_free(sources);
}

/* Each name once, and only of those that were counted. */
static void
names(void)
{
	const struct ebpftls_end old[2] = { process(4), elsewhere };
	const struct ebpftls_end given[2] = { process(5), elsewhere };
	struct ebpftls_sources_sums all;
	char little[8];

	begin();
	meet(1, "java");
	meet(2, "ja");
	meet(3, "java");
	meet(4, "old");
	meet(5, "curl");
	lack(1, process(1), process(2), true, 0);
	lack(2, process(3), elsewhere, true, 0);
	ebpftls_sources_older(sources, old);
	ebpftls_sources_older(sources, given);
	ebpftls_sources_ask_rest(sources, 0, ask, &count);
	check(count == 5);
	for (uint32_t i = 0; i < count; i++)
		answer(i, questions[count - 1 - i].pid == 5
			      ? EBPFTLS_IS_HOOKED
			      : EBPFTLS_NOT_HOOKED);
	check(is_sum(3, 1, 0, "java, ja, old"));
	ebpftls_sources_sum(sources, &all, little, sizeof(little));
	check(strcmp(little, "java") == 0);
	ebpftls_sources_free(sources);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "one end here", one_end },
		{ "each time again", again },
		{ "both ends here", both_ends },
		{ "a process that has ended", has_ended },
		{ "answers to other questions", other_answers },
		{ "many questions", many },
		{ "secrets where there were to be none", mistrust },
		{ "connections without secrets", sums },
		{ "names of programs", names },
		{ NULL, NULL },
	};

	return check_main(cases);
}
