// SPDX-License-Identifier: BSD-3-Clause
/* Is what the agent says of processes kept, for the right ones, in bounds? */
#include "ebpftls-people.h"

#include "unit/check.h"

#define LIMIT 64

static struct ebpftls_process
facts_of(uint32_t pid, uint64_t start, const char *exe)
{
	struct ebpftls_process facts;

	memset(&facts, 0, sizeof(facts));
	facts.pid = pid;
	facts.start = start;
	strcpy(facts.exe, exe);
	return facts;
}

static void
learn(struct ebpftls_people *people, uint32_t pid, uint64_t start,
      const char *exe)
{
	const struct ebpftls_process facts = facts_of(pid, start, exe);

	ebpftls_people_learn(people, &facts);
}

/* The program of this process is known to be that; NULL: nothing is. */
static bool
is_known(struct ebpftls_people *people, uint32_t pid, uint64_t start,
	 const char *exe)
{
	const struct ebpftls_process *facts;
	uint64_t revision;

	facts = ebpftls_people_find(people, pid, start, &revision);
	if (exe == NULL)
		return facts == NULL && revision == 0;
	return facts != NULL && strcmp(facts->exe, exe) == 0 &&
	       facts->pid == pid && facts->start == start && revision > 0 &&
	       revision <= ebpftls_people_revision(people);
}

static void
same_pid(void)
{
	struct ebpftls_people *people = ebpftls_people_new(LIMIT);

	check(is_known(people, 1, 10, NULL));
	learn(people, 1, 10, "/a");
	learn(people, 1, 20, "/b");
	check(is_known(people, 1, 10, "/a"));
	check(is_known(people, 1, 20, "/b"));
	check(is_known(people, 1, 0, NULL));
	check(is_known(people, 2, 10, NULL));
	ebpftls_people_free(people);
}

static void
changes(void)
{
	struct ebpftls_people *people = ebpftls_people_new(LIMIT);
	struct ebpftls_process facts = facts_of(1, 10, "/a");
	uint64_t first, second;

	ebpftls_people_learn(people, &facts);
	learn(people, 2, 10, "/x");
	ebpftls_people_find(people, 1, 10, &first);
	/* the same again, and what no text holds */
	facts.header.size = 12;
	facts.exe[5] = 'x';
	ebpftls_people_learn(people, &facts);
	ebpftls_people_find(people, 1, 10, &second);
	check(first == second);
	check(ebpftls_people_revision(people) == 2);
	facts.uid = 7;
	ebpftls_people_learn(people, &facts);
	ebpftls_people_find(people, 1, 10, &second);
	check(second > first && second == ebpftls_people_revision(people));
	learn(people, 1, 10, "/b");
	check(is_known(people, 1, 10, "/b"));
	ebpftls_people_find(people, 1, 10, &first);
	check(first > second);
	ebpftls_people_free(people);
}

/* Who is asked for stays; of the others the last. */
static void
too_many(void)
{
	struct ebpftls_people *people = ebpftls_people_new(LIMIT);

	learn(people, 1, 1, "/server");
	for (uint32_t pid = 2; pid < 100 * LIMIT; pid++) {
		learn(people, pid, 1, "/worker");
		check(is_known(people, 1, 1, "/server"));
	}
	for (uint32_t i = 1; i < LIMIT; i++)
		check(is_known(people, 100 * LIMIT - i, 1, "/worker"));
	check(is_known(people, 99 * LIMIT, 1, NULL));
	ebpftls_people_free(people);
	ebpftls_people_free(NULL);
}

/* All texts as long as they can be. */
static void
long_texts(void)
{
	struct ebpftls_people *people = ebpftls_people_new(1);
	struct ebpftls_process facts = facts_of(1, 1, "");
	const struct ebpftls_process *found;
	uint64_t revision;

	memset(facts.comm, 'a', sizeof(facts.comm) - 1);
	memset(facts.exe, 'b', sizeof(facts.exe) - 1);
	memset(facts.command, 'c', sizeof(facts.command) - 1);
	memset(facts.cgroup, 'd', sizeof(facts.cgroup) - 1);
	memset(facts.container, 'e', sizeof(facts.container) - 1);
	facts.parent = 3;
	facts.uid = 4;
	ebpftls_people_learn(people, &facts);
	found = ebpftls_people_find(people, 1, 1, &revision);
	if (check(found != NULL))
		check_bytes(found, &facts, sizeof(facts));
	ebpftls_people_free(people);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "a pid that is used again", same_pid },
		{ "facts that change", changes },
		{ "more processes than can be kept", too_many },
		{ "the longest texts", long_texts },
		{ NULL, NULL },
	};

	return check_main(cases);
}
