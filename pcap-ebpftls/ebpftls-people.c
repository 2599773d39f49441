// SPDX-License-Identifier: BSD-3-Clause
/* Keeps what is known of processes, by pid and start. */
#include "ebpftls-people.h"

#include <stdlib.h>
#include <string.h>

#include "ebpftls-table.h"

/* Which process; no other has had both. */
struct key {
	uint64_t pid;
	uint64_t start;
};

struct person {
	struct ebpftls_node node;
	struct key key;
	uint64_t revision;
	struct ebpftls_process *facts; /* apart: room for all is too much */
};

_Static_assert(offsetof(struct person, key) == sizeof(struct ebpftls_node),
	       "place of the key");

struct ebpftls_people {
	struct ebpftls_table table;
	uint64_t revision;
};

struct ebpftls_people *
ebpftls_people_new(size_t limit)
{
	struct ebpftls_people *people = calloc(1, sizeof(*people));

	if (people == NULL)
		return NULL;
	if (ebpftls_table_init(&people->table, limit, sizeof(struct person),
			       sizeof(struct key)))
		return people;
	free(people);
	return NULL;
}

static void
forget_oldest(struct ebpftls_people *people)
{
	struct person *person = (struct person *)people->table.oldest;

	free(person->facts);
	ebpftls_table_drop(&people->table, person);
}

void
ebpftls_people_free(struct ebpftls_people *people)
{
	if (people == NULL)
		return;
	while (people->table.count > 0)
		forget_oldest(people);
	ebpftls_table_free(&people->table);
	free(people);
}

static struct person *
find(struct ebpftls_people *people, uint32_t pid, uint64_t start)
{
	const struct key key = { pid, start };
	struct person *person = ebpftls_table_find(&people->table, &key);

	if (person != NULL)
		ebpftls_table_renew(&people->table, person);
	return person;
}

#define COPY(to, from, text) \
	strncpy((to)->text, (from)->text, sizeof((to)->text))

/* Without what may lie behind a text's end. */
static struct ebpftls_process
clean(const struct ebpftls_process *facts)
{
	struct ebpftls_process copy;

	memset(&copy, 0, sizeof(copy));
	copy.pid = facts->pid;
	copy.start = facts->start;
	copy.parent = facts->parent;
	copy.uid = facts->uid;
	COPY(&copy, facts, comm);
	COPY(&copy, facts, exe);
	COPY(&copy, facts, command);
	COPY(&copy, facts, cgroup);
	COPY(&copy, facts, container);
	return copy;
}

/* NULL: no memory. */
static struct person *
add(struct ebpftls_people *people, const struct key *key)
{
	struct ebpftls_process *facts = malloc(sizeof(*facts));
	struct person *person;

	if (facts == NULL)
		return NULL;
	if (people->table.count == people->table.limit)
		forget_oldest(people);
	person = ebpftls_table_add(&people->table, key);
	person->facts = facts;
	return person;
}

void
ebpftls_people_learn(struct ebpftls_people *people,
		     const struct ebpftls_process *facts)
{
	const struct key key = { facts->pid, facts->start };
	const struct ebpftls_process copy = clean(facts);
	struct person *person = find(people, facts->pid, facts->start);

	if (person != NULL && memcmp(person->facts, &copy, sizeof(copy)) == 0)
		return;
	if (person == NULL)
		person = add(people, &key);
	if (person == NULL)
		return;
	*person->facts = copy;
	person->revision = ++people->revision;
}

const struct ebpftls_process *
ebpftls_people_find(struct ebpftls_people *people, uint32_t pid, uint64_t start,
		    uint64_t *revision)
{
	const struct person *person = find(people, pid, start);

	*revision = person != NULL ? person->revision : 0;
	return person != NULL ? person->facts : NULL;
}

uint64_t
ebpftls_people_revision(const struct ebpftls_people *people)
{
	return people->revision;
}
