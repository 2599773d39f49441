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

/*
 * Secrets came where there were to be none: somebody hands on what others
 * have encrypted. From now on nothing is said of any process.
 */
void ebpftls_sources_mistrust(struct ebpftls_sources *sources);

/* Counts a connection of which that was true, or one that began too early. */
void ebpftls_sources_without(struct ebpftls_sources *sources,
			     const struct ebpftls_end ends[2]);
void ebpftls_sources_older(struct ebpftls_sources *sources,
			   const struct ebpftls_end ends[2]);

/*
 * How many connections have no secrets because no process gives any, the
 * `older` ones among them apart; and the names of these processes, a comma
 * between, in valid UTF-8, cut where there is no room.
 */
uint64_t ebpftls_sources_count(struct ebpftls_sources *sources, uint64_t *older,
			       char *names, size_t size);

#endif
