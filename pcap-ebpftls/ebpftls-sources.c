// SPDX-License-Identifier: BSD-3-Clause
/* Keeps what was answered about processes, by pid and start. */
#define _GNU_SOURCE
#include "ebpftls-sources.h"

#include <stdlib.h>
#include <string.h>

#include "ebpftls-owner.h"
#include "ebpftls-table.h"

#define OPEN_MAX  32   /* questions; so many always fit into the socket */
#define LACKS_MAX 1024 /* connections that are remembered */
#define OLDER_MAX 1024 /* likewise */

/* Which process; no other has had both. */
struct key {
	uint64_t pid;
	uint64_t start;
};

struct source {
	struct ebpftls_node node;
	struct key key;
	struct ebpftls_owner owner; /* zeros: it has no name yet */
	uint64_t open;		    /* number of the question, or 0 */
	uint64_t answered;	    /* number of the last, or 0 */
	uint32_t answer;	    /* enum ebpftls_answer */
	bool named;		    /* has a connection that was counted */
};

/* A connection without secrets, so far. */
struct lack {
	struct ebpftls_node node;
	uint8_t random[EBPFTLS_RANDOM_SIZE]; /* the key */
	struct ebpftls_end ends[2];
	uint64_t since;
	bool vain;
	bool unhooked;
	bool asked; /* and so have been all that are older */
};

_Static_assert(offsetof(struct lack, random) == sizeof(struct ebpftls_node),
	       "place of the key");
_Static_assert(offsetof(struct source, key) == sizeof(struct ebpftls_node),
	       "place of the key");

struct ebpftls_sources {
	struct ebpftls_table table;
	uint64_t asked;
	uint32_t open;
	bool mistrusted;
	struct ebpftls_table lacks;
	struct ebpftls_sources_sums sums; /* of those that gave way */
	uint32_t older;
	uint32_t older_asked;
	struct ebpftls_end older_ends[OLDER_MAX][2];
};

struct ebpftls_sources *
ebpftls_sources_new(size_t limit)
{
	struct ebpftls_sources *sources = calloc(1, sizeof(*sources));

	if (sources == NULL)
		return NULL;
	if (ebpftls_table_init(&sources->table, limit, sizeof(struct source),
			       sizeof(struct key)) &&
	    ebpftls_table_init(&sources->lacks, LACKS_MAX, sizeof(struct lack),
			       EBPFTLS_RANDOM_SIZE))
		return sources;
	ebpftls_sources_free(sources);
	return NULL;
}

void
ebpftls_sources_free(struct ebpftls_sources *sources)
{
	if (sources == NULL)
		return;
	ebpftls_table_free(&sources->table);
	ebpftls_table_free(&sources->lacks);
	free(sources);
}

static struct source *
find(const struct ebpftls_sources *sources, uint32_t pid, uint64_t start)
{
	const struct key key = { pid, start };

	return ebpftls_table_find(&sources->table, &key);
}

static struct source *
get(struct ebpftls_sources *sources, uint32_t pid, uint64_t start)
{
	const struct key key = { pid, start };
	struct source *source = find(sources, pid, start);

	if (source == NULL)
		return ebpftls_table_add(&sources->table, &key);
	ebpftls_table_renew(&sources->table, source);
	return source;
}

uint64_t
ebpftls_sources_asked(const struct ebpftls_sources *sources)
{
	return sources->asked;
}

void
ebpftls_sources_meet(struct ebpftls_sources *sources,
		     const struct ebpftls_owner *owner)
{
	if (owner != NULL && owner->kind == EBPFTLS_OF_PROCESS)
		get(sources, owner->pid, owner->start)->owner = *owner;
}

/* A "yes" stays. */
static void
ask_about(struct ebpftls_sources *sources, const struct ebpftls_end *end,
	  uint64_t since, ebpftls_sources_asker *ask, void *context)
{
	struct source *source = get(sources, end->pid, end->start);
	const struct ebpftls_hooked question = {
		.pid = end->pid,
		.start = end->start,
		.number = sources->asked + 1,
	};

	if (source->open != 0 || source->answered > since ||
	    source->answer == EBPFTLS_IS_HOOKED || sources->open == OPEN_MAX ||
	    !ask(context, &question))
		return;
	source->open = ++sources->asked;
	sources->open++;
}

void
ebpftls_sources_ask(struct ebpftls_sources *sources,
		    const struct ebpftls_end ends[2], uint64_t since,
		    ebpftls_sources_asker *ask, void *context)
{
	if (sources->mistrusted)
		return;
	for (int i = 0; i < 2; i++)
		if (ends[i].pid != 0)
			ask_about(sources, &ends[i], since, ask, context);
}

void
ebpftls_sources_learn(struct ebpftls_sources *sources,
		      const struct ebpftls_hooked *answer)
{
	struct source *source = find(sources, answer->pid, answer->start);

	if (sources->open > 0)
		sources->open--;
	if (source == NULL || source->open == 0 ||
	    source->open != answer->number)
		return;
	source->open = 0;
	source->answered = answer->number;
	source->answer = answer->answer;
}

static bool
gives_none(const struct ebpftls_sources *sources, const struct ebpftls_end *end,
	   uint64_t since, bool ended)
{
	const struct source *source = find(sources, end->pid, end->start);

	return source != NULL && source->answered > since &&
	       (source->answer == EBPFTLS_NOT_HOOKED ||
		(ended && source->answer == EBPFTLS_HAS_ENDED));
}

/* `ended`: who has ended gives none either. */
static bool
give_none(const struct ebpftls_sources *sources,
	  const struct ebpftls_end ends[2], uint64_t since, bool ended)
{
	bool any = false;

	for (int i = 0; i < 2; i++) {
		if (ends[i].here &&
		    !gives_none(sources, &ends[i], since, ended))
			return false;
		any |= ends[i].here;
	}
	return any;
}

bool
ebpftls_sources_none(const struct ebpftls_sources *sources,
		     const struct ebpftls_end ends[2], uint64_t since)
{
	return !sources->mistrusted && give_none(sources, ends, since, true);
}

/* --- what is said at the end ---------------------------------------------- */

/* Of who has ended that is not known. */
static bool
is_unhooked(const struct ebpftls_sources *sources,
	    const struct ebpftls_end ends[2])
{
	return give_none(sources, ends, 0, false);
}

static void
name(struct ebpftls_sources *sources, const struct ebpftls_end ends[2])
{
	for (int i = 0; i < 2; i++) {
		struct source *source =
		    find(sources, ends[i].pid, ends[i].start);

		if (source != NULL)
			source->named = true;
	}
}

static bool
is_of_unhooked(const struct ebpftls_sources *sources, const struct lack *lack)
{
	return lack->unhooked || is_unhooked(sources, lack->ends);
}

bool
ebpftls_sources_lacks(const struct ebpftls_sources *sources, uint32_t pid)
{
	const struct ebpftls_node *node;

	for (node = sources->lacks.oldest; node != NULL; node = node->newer) {
		const struct lack *lack = (const void *)node;

		if ((lack->ends[0].pid == pid || lack->ends[1].pid == pid) &&
		    !is_of_unhooked(sources, lack))
			return true;
	}
	return false;
}

static void
add_up(struct ebpftls_sources *sources, const struct lack *lack,
       struct ebpftls_sources_sums *sums)
{
	if (is_of_unhooked(sources, lack)) {
		sums->unhooked++;
		name(sources, lack->ends);
	} else {
		sums->others++;
	}
}

void
ebpftls_sources_lack(struct ebpftls_sources *sources,
		     const uint8_t random[EBPFTLS_RANDOM_SIZE],
		     const struct ebpftls_end ends[2], bool vain, uint64_t now)
{
	struct ebpftls_table *table = &sources->lacks;
	struct lack *lack = ebpftls_table_find(table, random);

	if (lack != NULL)
		return;
	if (table->count == table->limit)
		add_up(sources, (struct lack *)table->oldest, &sources->sums);
	lack = ebpftls_table_add(table, random);
	memcpy(lack->ends, ends, sizeof(lack->ends));
	lack->vain = vain;
	/* it may load such code later */
	lack->unhooked = vain && is_unhooked(sources, ends);
	lack->since = now;
}

void
ebpftls_sources_came(struct ebpftls_sources *sources,
		     const uint8_t random[EBPFTLS_RANDOM_SIZE])
{
	struct lack *lack = ebpftls_table_find(&sources->lacks, random);

	if (lack == NULL)
		return;
	sources->mistrusted |= lack->vain;
	ebpftls_table_drop(&sources->lacks, lack);
}

void
ebpftls_sources_older(struct ebpftls_sources *sources,
		      const struct ebpftls_end ends[2])
{
	if (sources->older < OLDER_MAX)
		memcpy(sources->older_ends[sources->older++], ends,
		       sizeof(sources->older_ends[0]));
}

void
ebpftls_sources_ask_rest(struct ebpftls_sources *sources, uint64_t until,
			 ebpftls_sources_asker *ask, void *context)
{
	struct lack *lack = (struct lack *)sources->lacks.newest;

	while (lack != NULL && lack->since > until)
		lack = (struct lack *)lack->node.older;
	for (; lack != NULL && !lack->asked;
	     lack = (struct lack *)lack->node.older) {
		ebpftls_sources_ask(sources, lack->ends, 0, ask, context);
		lack->asked = true;
	}
	while (sources->older_asked < sources->older)
		ebpftls_sources_ask(sources,
				    sources->older_ends[sources->older_asked++],
				    0, ask, context);
}

/* Whether a list with a comma between has it. */
static bool
is_in(const char *names, const char *text, size_t length)
{
	const char *at = names;

	while ((at = memmem(at, strlen(at), text, length)) != NULL) {
		if ((at == names || at[-1] == ' ') &&
		    (at[length] == '\0' || at[length] == ','))
			return true;
		at++;
	}
	return false;
}

static void
add_name(char *names, size_t size, const struct source *source)
{
	char text[EBPFTLS_COMM_SIZE];
	const size_t length = ebpftls_owner_comm(&source->owner, text);
	const size_t used = strlen(names);

	if (length == 0 || is_in(names, text, length) ||
	    used + length + 3 > size)
		return;
	if (used > 0)
		strcat(names, ", ");
	strncat(names, text, length);
}

void
ebpftls_sources_sum(struct ebpftls_sources *sources,
		    struct ebpftls_sources_sums *sums, char *names, size_t size)
{
	const struct ebpftls_node *node;

	*sums = sources->sums;
	for (node = sources->lacks.oldest; node != NULL; node = node->newer)
		add_up(sources, (const void *)node, sums);
	for (uint32_t i = 0; i < sources->older; i++)
		if (is_unhooked(sources, sources->older_ends[i])) {
			name(sources, sources->older_ends[i]);
			sums->older++;
		}
	sums->unhooked += sums->older;
	names[0] = '\0';
	for (node = sources->table.oldest; node != NULL; node = node->newer) {
		const struct source *source = (const void *)node;

		if (source->named && source->owner.pid != 0)
			add_name(names, size, source);
	}
}
