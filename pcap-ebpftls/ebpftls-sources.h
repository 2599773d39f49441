/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From which processes secrets can come, as far as the agent was asked. What
 * it answers holds for what a process did before the question, so "none" is
 * asked for again and again.
 */
#ifndef EBPFTLS_SOURCES_H
#define EBPFTLS_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-control.h"
#include "ebpftls-flow.h"

struct ebpftls_sources;

/* For at most `limit` processes, at least one. NULL: no memory. */
struct ebpftls_sources *ebpftls_sources_new(size_t limit);
void ebpftls_sources_free(struct ebpftls_sources *sources);

/* How many questions there have been. */
uint64_t ebpftls_sources_asked(const struct ebpftls_sources *sources);

/* An end of a connection that it has to do with; NULL is allowed. */
void ebpftls_sources_meet(struct ebpftls_sources *sources,
			  const struct ebpftls_owner *owner);

/*
 * Asks what has to be known for ebpftls_sources_none(), by `ask`, which
 * returns whether it could; not more than a few questions at once.
 */
typedef bool ebpftls_sources_asker(void *context,
				   const struct ebpftls_hooked *question);
void ebpftls_sources_ask(struct ebpftls_sources *sources,
			 const struct ebpftls_end ends[2], uint64_t since,
			 ebpftls_sources_asker *ask, void *context);

void ebpftls_sources_learn(struct ebpftls_sources *sources,
			   const struct ebpftls_hooked *answer);

/*
 * Whether from none of these ends secrets can come, by answers to questions
 * that were put after the first `since`. Not if an end is of a process of this
 * machine that is not known, or both are elsewhere.
 */
bool ebpftls_sources_none(const struct ebpftls_sources *sources,
			  const struct ebpftls_end ends[2], uint64_t since);

/* --- what is said at the end --- */

/*
 * A packet of this connection was written without its secrets, or with room
 * for them; `vain`: as none will come. Allocates nothing.
 */
void ebpftls_sources_lack(struct ebpftls_sources *sources,
			  const uint8_t random[EBPFTLS_RANDOM_SIZE],
			  const struct ebpftls_end ends[2], bool vain,
			  uint64_t now);

/*
 * Secrets of it came after all. If there were to be none, somebody hands on
 * what others have encrypted: from then on nothing is said of any process.
 */
void ebpftls_sources_came(struct ebpftls_sources *sources,
			  const uint8_t random[EBPFTLS_RANDOM_SIZE]);

/* A connection that began before the capture. */
void ebpftls_sources_older(struct ebpftls_sources *sources,
			   const struct ebpftls_end ends[2]);

/* Asks, once, about the connections that were noted up to `until`. */
void ebpftls_sources_ask_rest(struct ebpftls_sources *sources, uint64_t until,
			      ebpftls_sources_asker *ask, void *context);

/* Whether a process that may give secrets has connections without. */
bool ebpftls_sources_lacks(const struct ebpftls_sources *sources, uint32_t pid);

/* How many connections there are without secrets. */
struct ebpftls_sources_sums {
	uint64_t unhooked; /* no process would have given any */
	uint64_t older;	   /* of these; of them, as many as are remembered */
	uint64_t others;   /* that are not older */
};

/*
 * The names are those of the processes that give none, a comma between, in
 * valid UTF-8, cut where there is no room.
 */
void ebpftls_sources_sum(struct ebpftls_sources *sources,
			 struct ebpftls_sources_sums *sums, char *names,
			 size_t size);

#endif
