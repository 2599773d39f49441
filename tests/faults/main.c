/*
 * faults: opens a device and reads from it, over and over, each time with the
 * next place where something can fail failing, until there is no more.
 *
 * faults memory|calls program|agent DEVICE FOLDER AGENT [FIRST [STEP]]
 *
 * Prints a line for each try and a result. FIRST and STEP: from that place on,
 * and only each so many-th.
 */
#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

#define PATIENCE 30000 /* milliseconds for a try */
#define CLOSING	 " in the program at dump_close"
#define GOING	 5000 /* for what it has started to go */

enum outcome { REFUSED, AS_USUAL, SAID, OUTCOMES };

struct shared *shared;
static struct plan plan;
static char wrong[2200];
static int failures;
static unsigned int sums[OUTCOMES];

static void
die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static int64_t
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

__attribute__((format(printf, 1, 2))) static void
blame(const char *format, ...)
{
	va_list args;

	if (wrong[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(wrong, sizeof(wrong), format, args);
	va_end(args);
}

/* --- the agent's environment, which the module makes empty ---------------- */

static void
write_wrapper(unsigned int nth)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/agent", plan.folder);
	file = fopen(path, "we");
	if (file == NULL)
		die(path);
	fprintf(file,
		"#!/bin/sh\nFAULT_NTH=%u FAULT_PLACE=%s/place "
		"LD_PRELOAD=%s/memory.so exec %s\n",
		nth, plan.folder, plan.folder, plan.agent_path);
	fchmod(fileno(file), 0755);
	fclose(file);
	setenv("EBPFTLS_AGENT", path, 1);
}

static void
read_place(void)
{
	char path[512];
	size_t length = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/place", plan.folder);
	file = fopen(path, "re");
	if (file != NULL) {
		length =
		    fread(shared->place, 1, sizeof(shared->place) - 1, file);
		fclose(file);
		unlink(path);
	}
	for (size_t i = 0; i < length; i++)
		if (shared->place[i] == '\n')
			shared->place[i] = ' ';
	shared->place[length] = '\0';
}

/* --- the file --------------------------------------------------------------*/

struct content {
	bool whole;
	unsigned int packets, keys;
	bool names, ended;
	char notes[256];
	bool no_keys, no_names, no_filter;
};

static bool
has(const void *data, size_t size, const char *text)
{
	return memmem(data, size, text, strlen(text)) != NULL;
}

/* Whether the file says that, and what comes after it on the line. */
static bool
note(struct content *content, const unsigned char *data, size_t size,
     const char *text)
{
	const unsigned char *at = memmem(data, size, text, strlen(text));
	char *notes = content->notes;
	size_t used = strlen(notes);

	if (at == NULL)
		return false;
	while (at < data + size && *at >= ' ' &&
	       used + 1 < sizeof(content->notes))
		notes[used++] = (char)*at++;
	notes[used] = '\0';
	return true;
}

static void
count_blocks(const unsigned char *data, size_t size, struct content *content)
{
	size_t at = 0;
	uint32_t block[2];

	while (at + 12 <= size) {
		memcpy(block, data + at, sizeof(block));
		if (block[1] < 12 || block[1] > size - at)
			return;
		content->packets += block[0] == 6;
		content->keys += block[0] == 10;
		content->ended |= block[0] == 5;
		at += block[1];
	}
	content->whole = at == size;
}

static struct content
look_at_file(const char *path)
{
	static unsigned char data[1 << 20];
	struct content content = { .whole = true };
	FILE *file = fopen(path, "re");
	size_t size;

	if (file == NULL)
		return content;
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	count_blocks(data, size, &content);
	content.names = has(data, size, "comm=faults-peer");
	note(&content, data, size, "no TLS secrets: ");
	note(&content, data, size, "not hooked: ");
	note(&content, data, size, "have no secrets");
	note(&content, data, size, "without TLS hooks: ");
	content.no_keys = content.notes[0] != '\0';
	content.no_names = note(&content, data, size, "name processes: ");
	content.no_filter = note(&content, data, size, "in the kernel: ");
	return content;
}

/* What a program that was told of no error finds in its file. */
static enum outcome
judge_file(const struct content *content)
{
	bool complete = content->names && content->keys > 0;

	if (content->packets < DATAGRAMS && shared->dropped == 0)
		blame("%u packets in the file", content->packets);
	/* pcap_dump_close() cannot say that it failed */
	if (!content->ended && strstr(shared->place, CLOSING) == NULL)
		blame("the file has no statistics");
	if (!content->names && !content->no_names)
		blame("processes are not named, and nothing says why");
	if (content->keys == 0 && !content->no_keys)
		blame("there are no secrets, and nothing says why");
	snprintf(shared->why, sizeof(shared->why), "%s", content->notes);
	return complete && content->ended && content->notes[0] == '\0'
		   ? AS_USUAL
		   : SAID;
}

/* Only the savefile may have been made. */
static void
look_for_files(void)
{
	static const char *const known[] = { ".",     "..",  "agent",
					     "place", "out", "memory.so" };
	DIR *dir = opendir(plan.folder);
	struct dirent *entry;
	size_t i;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (strcmp(entry->d_name, known[i]) == 0)
				break;
		if (i == sizeof(known) / sizeof(known[0]))
			blame("the file %s is left", entry->d_name);
	}
	closedir(dir);
}

/* --- a try -----------------------------------------------------------------*/

/* Also of the agent, which has come to us, and of its own, which it kills. */
static void
look_at_status(pid_t pid, pid_t first, int status)
{
	if (WIFSIGNALED(status) && pid != first && WTERMSIG(status) == SIGKILL)
		return;
	if (WIFSIGNALED(status))
		blame("%s died of signal %d",
		      pid == first ? "the program" : "the agent",
		      WTERMSIG(status));
	else if (pid == first && WEXITSTATUS(status) != EXIT_SUCCESS)
		die("the victim could not begin");
}

/* Those that are left are ours: they have lost their parents. */
static void
kill_all(void)
{
	char path[64], line[1024] = "", *rest = line;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	file = fopen(path, "re");
	if (file != NULL) {
		(void)!fgets(line, sizeof(line), file);
		fclose(file);
	}
	for (long pid; (pid = strtol(rest, &rest, 10)) > 0;)
		kill((pid_t)pid, SIGKILL);
}

/* Until the victim and all that it has started are gone. */
static void
wait_for_end(pid_t first)
{
	int64_t until = milliseconds() + PATIENCE;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) >= 0 || errno != ECHILD) {
		if (pid > 0)
			look_at_status(pid, first, status);
		if (pid == first)
			until = milliseconds() + GOING;
		if (milliseconds() > until) {
			blame("a process is left or hangs, at %s",
			      shared->step);
			kill_all();
		}
		peer_poke();
		if (plan.calls)
			calls_serve(1);
		else
			usleep(1000);
	}
}

static const char *const names[OUTCOMES] = {
	[REFUSED] = "refused",
	[AS_USUAL] = "as usual",
	[SAID] = "less, and said",
};

static enum outcome
judge(const char *path)
{
	struct content content = look_at_file(path);

	if (!content.whole)
		blame("the file does not end with a whole block");
	look_for_files();
	unlink(path);
	if (shared->wrong[0] != '\0')
		blame("%s", shared->wrong);
	return shared->refused ? REFUSED : judge_file(&content);
}

static void
begin_try(void)
{
	memset(shared, 0, sizeof(*shared));
	shared->step = "start";
	shared->listener = -1;
	wrong[0] = '\0';
}

/* False when no place was left to fail. */
static bool
try(unsigned int nth)
{
	enum outcome outcome;
	char path[512];
	pid_t pid;

	begin_try();
	if (!plan.calls && plan.agent)
		write_wrapper(nth);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		victim(&plan, nth);
	if (plan.calls)
		calls_begin(&plan, nth, pid);
	wait_for_end(pid);
	calls_end();
	if (!plan.calls)
		read_place();
	snprintf(path, sizeof(path), "%s/out", plan.folder);
	outcome = judge(path);
	if (shared->place[0] == '\0' && outcome != AS_USUAL)
		blame("not as usual with nothing failing");
	printf("%s %u: %s%s%s%s%s\n  %s\n", wrong[0] ? "  WRONG" : " ", nth,
	       names[outcome], shared->why[0] ? ": " : "", shared->why,
	       wrong[0] ? ": " : "", wrong, shared->place);
	fflush(stdout);
	failures += wrong[0] != '\0';
	if (shared->place[0] == '\0')
		return false;
	sums[outcome]++;
	return true;
}

static unsigned int
number(const char *text)
{
	return text != NULL ? (unsigned int)strtoul(text, NULL, 10) : 1;
}

int
main(int argc, char **argv)
{
	unsigned int nth, step;

	if (argc < 6)
		return EXIT_FAILURE;
	plan.calls = strcmp(argv[1], "calls") == 0;
	plan.agent = strcmp(argv[2], "agent") == 0;
	plan.device = argv[3];
	plan.folder = argv[4];
	plan.agent_path = argv[5];
	nth = number(argv[6]);
	step = argv[6] != NULL ? number(argv[7]) : 1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	setenv("EBPFTLS_AGENT", plan.agent_path, 1);
	if (!plan.calls && !plan.agent) {
		char path[512];

		snprintf(path, sizeof(path), "%s/place", plan.folder);
		setenv("FAULT_PLACE", path, 1);
	}
	peer_start();
	/* what loses its parent comes to us */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	while (try(nth))
		nth += step;
	printf(
	    "%s %s/%s: %u refused, %u as usual, %u with less, which is said; "
	    "%d wrong\n",
	    failures == 0 ? "PASS" : "FAIL", argv[1], argv[2], sums[REFUSED],
	    sums[AS_USUAL], sums[SAID], failures);
	return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
