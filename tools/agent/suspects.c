// SPDX-License-Identifier: BSD-3-Clause
/*
 * One place for each of some pids. Its process is read when the first question
 * comes, and from then on the mmap records tell what it maps; with each
 * question only those up to then have to be waited for.
 */
#define _GNU_SOURCE

#include "suspects.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "process.h"

#define PLACES 1024
#define PAUSE  INT64_C(100000000) /* before what was unclear is read again */

enum state { UNREAD, READING, READ };

struct suspect {
	uint32_t pid; /* 0: nobody */
	uint32_t ticket;
	uint64_t start;
	uint64_t number; /* of the open question, or 0 */
	int64_t since;	 /* when it was to be read */
	uint32_t seen;	 /* mappings */
	uint32_t coming; /* mappings that will be looked at */
	enum state state;
	bool heard; /* what was mapped before the question */
	bool hooked;
	bool unclear;
	bool ended;
};

struct suspects {
	int proc;
	bool sees_all; /* all processes */
	uint32_t tickets;
	uint32_t questions; /* that are open */
	size_t next;	    /* place to be looked at: each has its turn */
	struct suspect places[PLACES];
};

struct suspects *
suspects_open(const char *proc)
{
	struct suspects *suspects = calloc(1, sizeof(*suspects));

	if (suspects == NULL)
		return NULL;
	suspects->sees_all = process_sees_all();
	suspects->proc = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (suspects->proc >= 0)
		return suspects;
	free(suspects);
	return NULL;
}

/* Or NULL. */
static struct suspect *
find(struct suspects *suspects, uint32_t pid)
{
	struct suspect *suspect = &suspects->places[pid % PLACES];

	return pid != 0 && suspect->pid == pid ? suspect : NULL;
}

/* What is still on its way has an older ticket. */
static void
begin(struct suspects *suspects, struct suspect *suspect, uint32_t pid,
      uint64_t start, int64_t now)
{
	if (++suspects->tickets == 0)
		suspects->tickets = 1;
	*suspect = (struct suspect){
		.pid = pid,
		.ticket = suspects->tickets,
		.start = start,
		.since = now,
	};
}

bool
suspects_ask(struct suspects *suspects, const struct ebpftls_hooked *question,
	     int64_t now)
{
	struct suspect *suspect = &suspects->places[question->pid % PLACES];

	if (question->pid == 0 || question->number == 0 || suspect->number != 0)
		return false;
	if (suspect->pid != question->pid ||
	    suspect->start != question->start ||
	    (suspect->unclear && !suspect->hooked &&
	     now - suspect->since > PAUSE))
		begin(suspects, suspect, question->pid, question->start, now);
	suspect->number = question->number;
	suspect->heard = false;
	suspects->questions++;
	return true;
}

void
suspects_heard(struct suspects *suspects)
{
	for (size_t i = 0; suspects->questions > 0 && i < PLACES; i++)
		suspects->places[i].heard = true;
}

void
suspects_forget(struct suspects *suspects)
{
	for (size_t i = 0; i < PLACES; i++) {
		struct suspect *suspect = &suspects->places[i];
		const struct suspect was = *suspect;

		if (was.pid == 0 || was.hooked)
			continue;
		begin(suspects, suspect, was.pid, was.start, was.since);
		suspect->number = was.number;
	}
}

static bool
has_ended(const struct suspects *suspects, const struct suspect *suspect)
{
	return suspects->sees_all && kill((pid_t)suspect->pid, 0) != 0 &&
	       errno == ESRCH;
}

static int
open_folder(const struct suspects *suspects, const struct suspect *suspect)
{
	int folder = process_open(suspects->proc, suspect->pid);
	uint32_t parent;

	if (folder < 0 || process_began(folder, suspect->start, &parent))
		return folder;
	close(folder);
	return -1;
}

int
suspects_next(struct suspects *suspects, uint32_t *pid)
{
	for (size_t i = 0; suspects->questions > 0 && i < PLACES; i++) {
		struct suspect *suspect =
		    &suspects->places[suspects->next++ % PLACES];
		int folder;

		/* nobody waits for the others */
		if (suspect->pid == 0 || suspect->state != UNREAD ||
		    suspect->number == 0)
			continue;
		suspect->state = READING;
		*pid = suspect->pid;
		folder = open_folder(suspects, suspect);
		if (folder >= 0)
			return folder;
		suspect->ended = has_ended(suspects, suspect);
		suspects_read(suspects, suspect->pid);
	}
	return -1;
}

/* No process has no code: it has gone, or hides it. */
void
suspects_read(struct suspects *suspects, uint32_t pid)
{
	struct suspect *suspect = find(suspects, pid);

	if (suspect == NULL || suspect->state != READING)
		return;
	suspect->state = READ;
	suspect->unclear |= suspect->seen == 0;
}

uint32_t
suspects_expect(struct suspects *suspects, uint32_t pid)
{
	struct suspect *suspect = find(suspects, pid);

	if (suspect == NULL || suspect->hooked)
		return 0;
	suspect->seen++;
	suspect->coming++;
	return suspect->ticket;
}

void
suspects_saw(struct suspects *suspects, uint32_t pid, uint32_t ticket,
	     enum sight sight)
{
	struct suspect *suspect = find(suspects, pid);

	if (suspect == NULL || suspect->ticket != ticket)
		return;
	suspect->coming--;
	suspect->hooked |= sight == SIGHT_HOOKED;
	suspect->unclear |= sight == SIGHT_UNCLEAR;
}

static bool
is_decided(const struct suspect *suspect)
{
	return suspect->hooked || (suspect->heard && suspect->state == READ &&
				   suspect->coming == 0);
}

static enum ebpftls_answer
answer_of(const struct suspect *suspect)
{
	if (suspect->hooked)
		return EBPFTLS_IS_HOOKED;
	if (suspect->ended)
		return EBPFTLS_HAS_ENDED;
	return suspect->unclear ? EBPFTLS_NOT_KNOWN : EBPFTLS_NOT_HOOKED;
}

bool
suspects_answer(struct suspects *suspects, struct ebpftls_hooked *answer)
{
	for (size_t i = 0; suspects->questions > 0 && i < PLACES; i++) {
		struct suspect *suspect = &suspects->places[i];

		if (suspect->number == 0 || !is_decided(suspect))
			continue;
		memset(answer, 0, sizeof(*answer));
		answer->pid = suspect->pid;
		answer->start = suspect->start;
		answer->number = suspect->number;
		answer->answer = answer_of(suspect);
		suspect->number = 0;
		suspects->questions--;
		return true;
	}
	return false;
}

void
suspects_close(struct suspects *suspects)
{
	if (suspects == NULL)
		return;
	close(suspects->proc);
	free(suspects);
}
