// SPDX-License-Identifier: BSD-3-Clause
/*
 * When is it said of a process that it has hooked code, or that it has none?
 * Its mappings and what comes of them are the test's own; the processes are
 * real ones.
 */
#define _GNU_SOURCE

#include "suspects.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "process.h"

#define SECOND INT64_C(1000000000)
#define PLACES 1024

static struct suspects *suspects;
static int64_t now;
static uint32_t pid;
static uint64_t start;

/* When this process began, as /proc has it. */
static uint64_t
start_of(uint32_t process)
{
	const uint64_t tick = (uint64_t)SECOND / (uint64_t)sysconf(_SC_CLK_TCK);
	char text[1024];
	FILE *file;
	uint64_t ticks = 0;
	uint32_t parent;

	snprintf(text, sizeof(text), "/proc/%u/stat", process);
	file = fopen(text, "re");
	check(file != NULL);
	memset(text, 0, sizeof(text));
	check(fread(text, 1, sizeof(text) - 1, file) > 0);
	check(process_parse_stat(text, &parent, &ticks));
	fclose(file);
	return ticks * tick;
}

static void
begin(void)
{
	suspects = suspects_open("/proc");
	now = 100 * SECOND;
	pid = (uint32_t)getpid();
	start = start_of(pid);
}

static bool
ask(uint64_t number)
{
	const struct ebpftls_hooked question = {
		.pid = pid,
		.start = start,
		.number = number,
	};

	return suspects_ask(suspects, &question, now);
}

/* Whether this is the answer now, and to that question. */
static bool
is_answer(enum ebpftls_answer wanted, uint64_t number)
{
	struct ebpftls_hooked answer;

	if (!suspects_answer(suspects, &answer))
		return false;
	return answer.pid == pid && answer.start == start &&
	       answer.number == number && answer.answer == wanted;
}

static bool
is_open(void)
{
	struct ebpftls_hooked answer;

	return !suspects_answer(suspects, &answer);
}

/* Reads it; it has a mapping of which this is known. */
static void
read_it(enum sight sight)
{
	uint32_t whose = 0, ticket;
	int folder = suspects_next(suspects, &whose);

	check(folder >= 0 && whose == pid);
	close(folder);
	ticket = suspects_expect(suspects, pid);
	check(ticket != 0);
	suspects_saw(suspects, pid, ticket, sight);
	suspects_read(suspects, pid);
}

static bool
is_to_be_read(void)
{
	uint32_t whose;
	int folder = suspects_next(suspects, &whose);

	if (folder >= 0)
		close(folder);
	return folder >= 0;
}

/* "No" is said when all is known, and not sooner. */
static void
none(void)
{
	uint32_t first, second, whose;
	int folder;

	begin();
	check(suspects_expect(suspects, pid) == 0);
	check(!is_to_be_read());
	check(ask(7) && is_open());
	folder = suspects_next(suspects, &whose);
	check(folder >= 0 && whose == pid);
	close(folder);
	first = suspects_expect(suspects, pid);
	second = suspects_expect(suspects, pid);
	suspects_saw(suspects, pid, first, SIGHT_PLAIN);
	suspects_heard(suspects);
	check(is_open());
	suspects_read(suspects, pid);
	check(is_open());
	suspects_saw(suspects, pid, second, SIGHT_PLAIN);
	check(is_answer(EBPFTLS_NOT_HOOKED, 7) && is_open());
	suspects_close(suspects);
}

static void
hooked(void)
{
	uint32_t ticket;

	begin();
	check(ask(7));
	ticket = suspects_expect(suspects, pid);
	suspects_expect(suspects, pid);
	suspects_saw(suspects, pid, ticket, SIGHT_HOOKED);
	check(is_answer(EBPFTLS_IS_HOOKED, 7));
	check(ask(8) && is_answer(EBPFTLS_IS_HOOKED, 8));
	suspects_close(suspects);
}

/* Each question waits for all that was mapped before it. */
static void
loads_later(void)
{
	uint32_t ticket;

	begin();
	check(ask(1));
	suspects_heard(suspects);
	read_it(SIGHT_PLAIN);
	check(is_answer(EBPFTLS_NOT_HOOKED, 1));
	check(ask(2) && is_open());
	suspects_heard(suspects);
	check(!is_to_be_read() && is_answer(EBPFTLS_NOT_HOOKED, 2));
	check(ask(3));
	ticket = suspects_expect(suspects, pid);
	suspects_heard(suspects);
	check(is_open());
	suspects_saw(suspects, pid, ticket, SIGHT_HOOKED);
	check(is_answer(EBPFTLS_IS_HOOKED, 3));
	suspects_close(suspects);
}

/* What is not clear is read again, but not at once. */
static void
unclear(void)
{
	begin();
	check(ask(1));
	suspects_heard(suspects);
	read_it(SIGHT_UNCLEAR);
	check(is_answer(EBPFTLS_NOT_KNOWN, 1));
	check(ask(2));
	suspects_heard(suspects);
	check(!is_to_be_read() && is_answer(EBPFTLS_NOT_KNOWN, 2));
	now += SECOND;
	check(ask(3));
	suspects_heard(suspects);
	read_it(SIGHT_PLAIN);
	check(is_answer(EBPFTLS_NOT_HOOKED, 3));
	suspects_close(suspects);
}

/* What was on its way then tells nothing. */
static void
records_lost(void)
{
	uint32_t ticket;

	begin();
	check(ask(1));
	suspects_heard(suspects);
	read_it(SIGHT_PLAIN);
	check(is_answer(EBPFTLS_NOT_HOOKED, 1));
	check(ask(2));
	ticket = suspects_expect(suspects, pid);
	suspects_forget(suspects);
	suspects_heard(suspects);
	suspects_saw(suspects, pid, ticket, SIGHT_PLAIN);
	check(is_open());
	read_it(SIGHT_PLAIN);
	check(is_answer(EBPFTLS_NOT_HOOKED, 2));
	suspects_close(suspects);
}

/* With this pid, before; and none at all. */
static void
another_process(void)
{
	begin();
	start -= (uint64_t)SECOND;
	check(ask(1) && !is_to_be_read());
	suspects_heard(suspects);
	check(is_answer(EBPFTLS_NOT_KNOWN, 1));
	start += (uint64_t)SECOND;
	check(ask(2));
	suspects_heard(suspects);
	read_it(SIGHT_PLAIN);
	check(is_answer(EBPFTLS_NOT_HOOKED, 2));
	suspects_close(suspects);
}

/* One that has been waited for, and one that has not: it has no mappings. */
static void
ended_process(void)
{
	struct stat st;
	uint32_t whose;
	int folder;

	if (stat("/proc/self/ns/pid", &st) != 0 || st.st_ino != 0xeffffffc) {
		check_skip("not all processes are seen from here");
		return;
	}
	begin();
	pid = (uint32_t)fork();
	if (pid == 0)
		_exit(0);
	waitid(P_PID, pid, NULL, WEXITED | WNOWAIT);
	start = start_of(pid);
	check(ask(1));
	/* kernels differ in whether they can be opened */
	folder = suspects_next(suspects, &whose);
	if (folder >= 0) {
		check(whose == pid);
		close(folder);
		suspects_read(suspects, pid);
	}
	suspects_heard(suspects);
	check(is_answer(EBPFTLS_NOT_KNOWN, 1));
	waitpid((pid_t)pid, NULL, 0);
	now += SECOND;
	check(ask(2) && !is_to_be_read());
	suspects_heard(suspects);
	check(is_answer(EBPFTLS_HAS_ENDED, 2));
	suspects_close(suspects);
}

/* However often one is asked about, the other's turn comes. */
static void
each_in_its_turn(void)
{
	uint32_t ids[] = { (uint32_t)getpid(), (uint32_t)getppid() };
	uint32_t turns[2], whose;
	int folder;

	begin();
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 2; j++) {
			pid = ids[j];
			start = start_of(pid);
			ask((uint64_t)i + 1);
		}
		folder = suspects_next(suspects, &whose);
		check(folder >= 0 && close(folder) == 0);
		turns[i] = whose;
		suspects_heard(suspects);
		pid = whose;
		start = start_of(pid);
		suspects_read(suspects, pid);
		check(is_answer(EBPFTLS_NOT_KNOWN, 1));
		now += SECOND;
	}
	check(turns[0] != turns[1]);
	suspects_close(suspects);
}

/* Two whose pids have one place, and a question that is no question. */
static void
no_room(void)
{
	begin();
	check(ask(1));
	pid += PLACES;
	check(!ask(2));
	pid -= PLACES;
	check(!ask(3));
	suspects_heard(suspects);
	read_it(SIGHT_PLAIN);
	check(is_answer(EBPFTLS_NOT_HOOKED, 1));
	pid += PLACES;
	check(ask(2) && !ask(0));
	pid = 0;
	check(!ask(4));
	suspects_close(suspects);
	check(suspects_open("/nowhere") == NULL);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "no hooked code", none },
		{ "hooked code", hooked },
		{ "code that is loaded later", loads_later },
		{ "what is not clear", unclear },
		{ "records that were lost", records_lost },
		{ "another process with that pid", another_process },
		{ "a process that has ended", ended_process },
		{ "each in its turn", each_in_its_turn },
		{ "questions without room", no_room },
		{ NULL, NULL },
	};

	return check_main(cases);
}
