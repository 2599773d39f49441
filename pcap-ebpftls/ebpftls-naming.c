// SPDX-License-Identifier: BSD-3-Clause
/*
 * Decides what a file says of processes. What is said of a packet's owners is
 * kept as it stands in the file, and used again for the next packet of the
 * same owners: most follow one another.
 */
#include "ebpftls-naming.h"

#include <stdlib.h>
#include <string.h>

#include "ebpftls-owner.h"
#include "ebpftls-table.h"

/* Processes and process blocks of which a file remembers that it has them. */
#define REMEMBERED 4096

/* Pairs of owners; a power of two. */
#define KEPT 256

/* More than this is not said at the end: readers have limits for a block. */
#define REST_SIZE ((size_t)192 << 10)

/* An option of a text that is so long at most. */
#define OPTION_SIZE(size) (4 + (size) + 3)

/* Without facts: the comment, the thread, two numbers of blocks. */
#define WORDS_SIZE (OPTION_SIZE(EBPFTLS_OWNERS_SIZE) + 12 + 8 + 8)

/* How long a process without facts goes without, if it is the first to have
 * its pid: its packets may be faster than the agent. */
#define PATIENCE UINT64_C(1000000000)

/* Which facts of which process were written last under a pid. */
struct told {
	struct ebpftls_node node;
	uint64_t pid;
	struct ebpftls_owner owner; /* in its first packet */
	uint64_t since;		    /* time of that */
	uint64_t revision;
	bool said; /* whether any were */
};

_Static_assert(offsetof(struct told, pid) == sizeof(struct ebpftls_node),
	       "place of the key");

/* What a process block says. */
struct block_key {
	uint64_t pid;
	char comm[16];
};

struct block {
	struct ebpftls_node node;
	struct block_key key;
	uint32_t number;
};

_Static_assert(offsetof(struct block, key) == sizeof(struct ebpftls_node),
	       "place of the key");

/* Two owners, all zero: nobody, and what packets say that are theirs. */
struct pair {
	struct ebpftls_owner sender;
	struct ebpftls_owner receiver;
	uint64_t round; /* in this there is no more to be said of them */
	size_t size;
	uint8_t options[WORDS_SIZE];
};

struct ebpftls_naming {
	unsigned int by;
	uint64_t boot;
	struct ebpftls_table told;
	struct ebpftls_table blocks;
	uint32_t block_count;

	/* a round ends when a packet may have to say more than the last did */
	uint64_t round;
	uint64_t revision;
	struct pair pairs[KEPT];

	uint8_t options[WORDS_SIZE + 4 * OPTION_SIZE(EBPFTLS_FACTS_SIZE)];
};

struct ebpftls_naming *
ebpftls_naming_new(unsigned int by, uint64_t boot)
{
	struct ebpftls_naming *naming = calloc(1, sizeof(*naming));

	if (naming == NULL)
		return NULL;
	naming->by = by;
	naming->boot = boot;
	naming->round = 1;
	if (ebpftls_table_init(&naming->told, REMEMBERED, sizeof(struct told),
			       sizeof(uint64_t)) &&
	    ebpftls_table_init(&naming->blocks, REMEMBERED,
			       sizeof(struct block), sizeof(struct block_key)))
		return naming;
	ebpftls_naming_free(naming);
	return NULL;
}

void
ebpftls_naming_free(struct ebpftls_naming *naming)
{
	if (naming == NULL)
		return;
	ebpftls_table_free(&naming->told);
	ebpftls_table_free(&naming->blocks);
	free(naming);
}

static bool
is_process(const struct ebpftls_owner *owner)
{
	return owner != NULL && owner->kind == EBPFTLS_OF_PROCESS;
}

static void *
find_or_add(struct ebpftls_table *table, const void *key, bool *new)
{
	void *item = ebpftls_table_find(table, key);

	*new = item == NULL;
	if (*new)
		return ebpftls_table_add(table, key);
	ebpftls_table_renew(table, item);
	return item;
}

static uint8_t *
put_facts(const struct ebpftls_naming *naming,
	  const struct ebpftls_owner *owner,
	  const struct ebpftls_process *facts, uint8_t *at)
{
	char text[EBPFTLS_FACTS_SIZE];

	return ebpftls_blocks_option(at, EBPFTLS_COMMENT, text,
				     ebpftls_owner_facts(owner, facts,
							 naming->boot, text));
}

/* What is known now of the process that a file last told of under a pid. */
static uint8_t *
put_told(struct ebpftls_naming *naming, struct ebpftls_people *people,
	 struct told *told, uint8_t *at)
{
	const struct ebpftls_process *facts =
	    ebpftls_people_find(people, told->owner.pid, told->owner.start,
				&told->revision);

	told->said = true;
	naming->round++;
	return put_facts(naming, &told->owner, facts, at);
}

/* Whether more is known of it, or will not be soon. */
static bool
is_due(const struct told *told, struct ebpftls_people *people, uint64_t now)
{
	uint64_t revision;

	ebpftls_people_find(people, told->owner.pid, told->owner.start,
			    &revision);
	return revision > told->revision ||
	       (!told->said && now >= told->since + PATIENCE);
}

/*
 * The facts, if they are not what the file says last of this pid. `settled`:
 * there is no more to say for now.
 */
static uint8_t *
put_new_facts(struct ebpftls_naming *naming, struct ebpftls_people *people,
	      const struct ebpftls_owner *owner, uint64_t now, uint8_t *at,
	      bool *settled)
{
	const uint64_t pid = owner->pid;
	struct told *told;
	bool new, other;

	told = find_or_add(&naming->told, &pid, &new);
	other = !new && told->owner.start != owner->start;
	if (other && !told->said)
		at = put_told(naming, people, told, at);
	if (new || other) {
		told->owner = *owner;
		told->since = now;
		told->revision = 0;
		told->said = false;
	}
	if (other || is_due(told, people, now))
		at = put_told(naming, people, told, at);
	*settled &= told->said;
	return at;
}

/* The number of the owner's block, which is written if there is none yet. */
static bool
number_of(struct ebpftls_naming *naming, const struct ebpftls_owner *owner,
	  struct ebpftls_blocks *blocks, uint32_t *number)
{
	struct block_key key = { .pid = owner->pid };
	char name[EBPFTLS_COMM_SIZE];
	struct block *block;
	bool new;

	memcpy(key.comm, owner->comm, sizeof(key.comm));
	block = find_or_add(&naming->blocks, &key, &new);
	if (new) {
		if (!ebpftls_blocks_process(blocks, owner->pid, name,
					    ebpftls_owner_comm(owner, name))) {
			ebpftls_table_drop(&naming->blocks, block);
			return false;
		}
		block->number = naming->block_count++;
	}
	*number = block->number;
	return true;
}

/* Not of who is not known. */
static uint8_t *
put_number(struct ebpftls_naming *naming, const struct ebpftls_owner *owner,
	   enum ebpftls_option_code code, struct ebpftls_blocks *blocks,
	   uint8_t *at)
{
	uint32_t number;

	if ((owner->kind != EBPFTLS_OF_PROCESS &&
	     owner->kind != EBPFTLS_OF_KERNEL) ||
	    !number_of(naming, owner, blocks, &number))
		return at;
	return ebpftls_blocks_option(at, code, &number, sizeof(number));
}

static uint8_t *
put_blocks(struct ebpftls_naming *naming, const struct ebpftls_record *record,
	   struct ebpftls_blocks *blocks, uint8_t *at)
{
	const struct ebpftls_owner *first =
	    record->sender != NULL ? record->sender : record->receiver;

	/* in this option 0 means that it is not known */
	if (is_process(first))
		at = ebpftls_blocks_option(at, EBPFTLS_EPB_THREAD,
					   (uint32_t[]){ first->pid,
							 first->tid },
					   8);
	at = put_number(naming, first, EBPFTLS_EPB_PROCESS, blocks, at);
	if (record->sender != NULL && record->receiver != NULL)
		at = put_number(naming, record->receiver,
				EBPFTLS_EPB_TO_PROCESS, blocks, at);
	return at;
}

static uint8_t *
put_comment(const struct ebpftls_record *record, uint8_t *at)
{
	char text[EBPFTLS_OWNERS_SIZE];

	return ebpftls_blocks_option(at, EBPFTLS_COMMENT, text,
				     ebpftls_owner_comment(record->sender,
							   record->receiver,
							   text));
}

static bool
is_owner(const struct ebpftls_owner *owner, const struct ebpftls_owner *kept)
{
	return owner != NULL ? memcmp(owner, kept, sizeof(*owner)) == 0
			     : kept->kind == 0;
}

/* The place of these two; what is there may be of others. */
static struct pair *
place_of(struct ebpftls_naming *naming, const struct ebpftls_record *record)
{
	uint32_t hash = 0;

	if (record->sender != NULL)
		hash = record->sender->pid + record->sender->tid * 31;
	hash *= 31;
	if (record->receiver != NULL)
		hash += record->receiver->pid + record->receiver->tid * 31;
	return &naming->pairs[(hash * 0x9e3779b1u) >> 16 & (KEPT - 1)];
}

static bool
is_kept(const struct pair *pair, const struct ebpftls_record *record)
{
	return is_owner(record->sender, &pair->sender) &&
	       is_owner(record->receiver, &pair->receiver);
}

/* Puts these two in the place of what is there. */
static void
keep(struct ebpftls_naming *naming, struct pair *pair,
     const struct ebpftls_record *record, struct ebpftls_blocks *blocks)
{
	static const struct ebpftls_owner nobody;
	uint8_t *at = pair->options;

	if (naming->by & EBPFTLS_BY_COMMENT)
		at = put_comment(record, at);
	if (naming->by & EBPFTLS_BY_BLOCK)
		at = put_blocks(naming, record, blocks, at);
	pair->sender = record->sender != NULL ? *record->sender : nobody;
	pair->receiver = record->receiver != NULL ? *record->receiver : nobody;
	pair->size = (size_t)(at - pair->options);
	pair->round = 0;
}

/* What is to be said of these two besides whose the packet is. */
static void
add_facts(struct ebpftls_naming *naming, struct ebpftls_people *people,
	  struct pair *pair, struct ebpftls_record *record)
{
	uint8_t *begin = naming->options + pair->size, *at = begin;
	bool settled = true;

	if (is_process(record->sender))
		at = put_new_facts(naming, people, record->sender, record->time,
				   at, &settled);
	if (is_process(record->receiver))
		at = put_new_facts(naming, people, record->receiver,
				   record->time, at, &settled);
	if (settled)
		pair->round = naming->round;
	if (at == begin)
		return;
	memcpy(naming->options, pair->options, pair->size);
	record->options = naming->options;
	record->options_size = (size_t)(at - naming->options);
}

void
ebpftls_naming_packet(struct ebpftls_naming *naming,
		      struct ebpftls_people *people,
		      struct ebpftls_record *record,
		      struct ebpftls_blocks *blocks)
{
	struct pair *pair = place_of(naming, record);

	if (record->sender == NULL && record->receiver == NULL)
		return;
	if (ebpftls_people_revision(people) != naming->revision) {
		naming->revision = ebpftls_people_revision(people);
		naming->round++;
	}
	if (!is_kept(pair, record))
		keep(naming, pair, record, blocks);
	record->options = pair->options;
	record->options_size = pair->size;
	if (pair->round != naming->round && naming->by & EBPFTLS_BY_COMMENT)
		add_facts(naming, people, pair, record);
}

static bool
is_room(const uint8_t *begin, const uint8_t *at)
{
	return (size_t)(at - begin) + OPTION_SIZE(EBPFTLS_FACTS_SIZE) <=
	       REST_SIZE;
}

uint8_t *
ebpftls_naming_rest(struct ebpftls_naming *naming,
		    struct ebpftls_people *people, size_t *size)
{
	struct ebpftls_node *node = naming->told.oldest;
	uint8_t *begin = malloc(REST_SIZE), *at = begin;

	for (; begin != NULL && node != NULL && is_room(begin, at);
	     node = node->newer) {
		struct told *told = (void *)node;

		if (is_due(told, people, UINT64_MAX))
			at = put_told(naming, people, told, at);
	}
	*size = (size_t)(at - begin);
	if (*size > 0)
		return begin;
	free(begin);
	return NULL;
}
