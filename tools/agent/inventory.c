// SPDX-License-Identifier: BSD-3-Clause
/*
 * The process that walks over /proc/PID/maps, and its keeper. One process may
 * have a million mappings, and nobody is to wait for that; or it may keep its
 * memory locked, and with it everybody who reads its maps, for as long as it
 * likes. Then the reader is killed, and another one goes on behind that one.
 */
#define _GNU_SOURCE

#include "inventory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "privileges.h"

#define NAME	  "ebpftls-maps"
#define PIECE	  32768 /* a line has less than five times PATH_MAX */
#define LINES_BIT 1024	/* after so many it is still going on */

/*
 * How long an answer may take, in nanoseconds. Each process that takes longer
 * halves that for those to come, as there may be many, and each that does not
 * adds a bit. A reader has the longest to begin with. And who maps on ahead of
 * the reader has no last mapping.
 */
#define MILLISECOND  INT64_C(1000000)
#define PATIENCE_MAX (1000 * MILLISECOND)
#define PATIENCE_MIN (100 * MILLISECOND)
#define PATIENCE_BIT (10 * MILLISECOND)
#define PROCESS_MAX  (5000 * MILLISECOND)

struct inventory {
	const char *proc;
	struct child child;
	int64_t patience;
	bool all;
	bool done;
	uint32_t pid;  /* whose maps come next */
	int64_t since; /* they do */
	struct inventory_missed missed;
};

struct question {
	uint32_t pid; /* of one process, whose folder comes along; 0: of all */
	uint32_t after;
};

/* Of one process, and then it goes on with the next. */
struct answer {
	uint32_t pid;
	uint32_t next;
	struct inventory_missed missed;
	bool last;
	char lines[PIECE]; /* of maps, each with its end */
};

/* --- the process ---------------------------------------------------------- */

/* What is being put together. */
struct walk {
	struct answer answer;
	size_t size;  /* of the lines in it */
	bool hung_up; /* nobody wants them any more */
};

static void
answer(struct walk *walk, uint32_t next, bool last)
{
	size_t size = offsetof(struct answer, lines) + walk->size;

	walk->answer.next = next;
	walk->answer.last = last;
	walk->hung_up |= !child_send(0, &walk->answer, size, -1);
	walk->size = 0;
	memset(&walk->answer.missed, 0, sizeof(walk->answer.missed));
}

/* Processes end while one looks. */
static void
miss(struct walk *walk)
{
	if (errno == EACCES || errno == EPERM)
		walk->answer.missed.never++;
	else if (errno != ENOENT && errno != ESRCH)
		walk->answer.missed.later++;
}

static void
take_line(struct walk *walk, const char *line, size_t size)
{
	struct mapping mapping;

	if (!mapping_parse(line, &mapping))
		return;
	if (size > PIECE - walk->size)
		answer(walk, walk->answer.pid, false);
	memcpy(walk->answer.lines + walk->size, line, size);
	walk->size += size;
}

/* Returns how many there were, and leaves the rest of a last one. */
static size_t
take_lines(struct walk *walk, char *piece, size_t *used)
{
	char *line = piece, *end;
	size_t count = 0;

	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		take_line(walk, line, (size_t)(end + 1 - line));
		line = end + 1;
		count++;
	}
	*used = strlen(line);
	if (*used == PIECE)
		*used = 0;
	memmove(piece, line, *used);
	return count;
}

/* The answer before tells that it goes on with this one, and may hang at it. */
static void
read_maps(struct walk *walk, uint32_t pid, int folder, const char *name)
{
	static char piece[PIECE + 1];
	size_t used = 0, lines = 0, told = 0;
	ssize_t got;
	int maps;

	answer(walk, pid, false);
	maps = openat(folder, name, O_RDONLY | O_CLOEXEC);
	if (maps < 0) {
		miss(walk);
		return;
	}
	walk->answer.pid = pid;
	while (!walk->hung_up &&
	       (got = read(maps, piece + used, PIECE - used)) != 0) {
		if (got < 0) {
			miss(walk);
			break;
		}
		piece[used + (size_t)got] = '\0';
		lines += take_lines(walk, piece, &used);
		if (lines - told > LINES_BIT) {
			answer(walk, pid, false);
			told = lines;
		}
	}
	close(maps);
}

static int
compare(const void *a, const void *b)
{
	const uint32_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

/* The numbers of all processes after one, in their order, and 0. */
static uint32_t *
list_processes(DIR *folder, uint32_t after)
{
	size_t count = 0, room = 64;
	uint32_t *list = malloc(room * sizeof(*list)), *larger;
	const struct dirent *entry;

	while (list != NULL && (entry = readdir(folder)) != NULL) {
		/* 0 if it is none */
		list[count] = (uint32_t)strtoul(entry->d_name, NULL, 10);
		if (list[count] <= after)
			continue;
		if (++count < room)
			continue;
		room *= 2;
		larger = realloc(list, room * sizeof(*list));
		if (larger == NULL)
			free(list);
		list = larger;
	}
	if (list == NULL)
		return NULL;
	qsort(list, count, sizeof(*list), compare);
	list[count] = 0;
	return list;
}

static void
read_processes(struct walk *walk, int folder, const uint32_t *pids)
{
	char name[32];

	for (; *pids != 0 && !walk->hung_up; pids++) {
		snprintf(name, sizeof(name), "%u/maps", *pids);
		read_maps(walk, *pids, folder, name);
	}
}

static void
read_all(struct walk *walk, const char *proc, uint32_t after)
{
	DIR *folder = opendir(proc);
	uint32_t *pids = folder != NULL ? list_processes(folder, after) : NULL;

	if (pids != NULL)
		read_processes(walk, dirfd(folder), pids);
	else
		walk->answer.missed.later++;
	free(pids);
	if (folder != NULL)
		closedir(folder);
}

static const int allowed[] = {
	SYS_read,  SYS_openat,	   SYS_getdents64,   SYS_close,
	SYS_fstat, SYS_newfstatat, SYS_recvmsg,	     SYS_sendmsg,
	SYS_mmap,  SYS_munmap,	   SYS_mremap,	     SYS_brk,
	SYS_futex, SYS_getrandom,  SYS_rt_sigreturn, SYS_exit_group,
};

static void
be_reader(void *context, uint64_t kept)
{
	static struct walk walk;
	struct question question;
	int folder;

	(void)kept;
	if (privileges_keep(PRIVILEGE(CAP_SYS_PTRACE)) != 0 ||
	    privileges_allow(allowed, sizeof(allowed) / sizeof(allowed[0])) !=
		0)
		return;
	while (!walk.hung_up && child_receive(0, &question, sizeof(question),
					      &folder) == sizeof(question)) {
		if (question.pid == 0)
			read_all(&walk, context, question.after);
		else if (folder >= 0)
			read_maps(&walk, question.pid, folder, "maps");
		else
			walk.answer.missed.later++;
		if (folder >= 0)
			close(folder);
		answer(&walk, 0, true);
	}
}

/* --- its keeper ------------------------------------------------------------
 */

struct inventory *
inventory_open(const char *proc)
{
	struct inventory *inventory = calloc(1, sizeof(*inventory));

	if (inventory == NULL)
		return NULL;
	inventory->proc = proc;
	inventory->done = true;
	inventory->patience = PATIENCE_MAX;
	if (child_open(&inventory->child))
		return inventory;
	free(inventory);
	return NULL;
}

int
inventory_fd(const struct inventory *inventory)
{
	return inventory->child.epoll;
}

static void
ask(struct inventory *inventory, const struct question *question, int folder)
{
	struct child *child = &inventory->child;

	if (child->sock < 0)
		child_start(child, NAME, be_reader,
			    (void *)(uintptr_t)inventory->proc);
	child_ask(child, question, sizeof(*question), folder, PATIENCE_MAX);
}

static void
begin(struct inventory *inventory, bool all, uint32_t pid)
{
	inventory->all = all;
	inventory->done = false;
	inventory->pid = pid;
	inventory->since = clock_read(CLOCK_MONOTONIC);
	memset(&inventory->missed, 0, sizeof(inventory->missed));
}

void
inventory_all(struct inventory *inventory)
{
	begin(inventory, true, 0);
	ask(inventory, &(struct question){ 0, 0 }, -1);
}

void
inventory_one(struct inventory *inventory, uint32_t pid, int folder)
{
	begin(inventory, false, pid);
	ask(inventory, &(struct question){ pid, 0 }, folder);
	close(folder);
}

/* Looks at all are rare. */
static void
end(struct inventory *inventory)
{
	if (inventory->all)
		child_stop(&inventory->child);
	child_rest(&inventory->child);
	inventory->done = true;
}

/* Without a reader, or with one that hangs: what comes after the process. */
static enum inventory_step
go_on(struct inventory *inventory, uint32_t *missed)
{
	const struct question question = { 0, inventory->pid };

	child_stop(&inventory->child);
	++*missed;
	inventory->patience /= 2;
	if (inventory->patience < PATIENCE_MIN)
		inventory->patience = PATIENCE_MIN;
	if (!inventory->all || inventory->pid == 0) {
		end(inventory);
		return INVENTORY_DONE;
	}
	/* so nothing is asked for twice if there is no reader now, either */
	inventory->pid = 0;
	ask(inventory, &question, -1);
	return INVENTORY_MORE;
}

static void
take(struct inventory *inventory, struct answer *answer, size_t size,
     void (*found)(void *context, const struct mapping *mapping), void *context)
{
	char *line = answer->lines, *past = (char *)answer + size, *end;
	struct mapping mapping;

	if (inventory->pid != answer->next) {
		inventory->pid = answer->next;
		inventory->since = clock_read(CLOCK_MONOTONIC);
		inventory->patience += PATIENCE_BIT;
		if (inventory->patience > PATIENCE_MAX)
			inventory->patience = PATIENCE_MAX;
	}
	inventory->missed.later += answer->missed.later;
	inventory->missed.never += answer->missed.never;
	while ((end = memchr(line, '\0', (size_t)(past - line))) != NULL) {
		if (mapping_parse(line, &mapping)) {
			mapping.pid = answer->pid;
			found(context, &mapping);
		}
		line = end + 1;
	}
}

enum inventory_step
inventory_step(struct inventory *inventory,
	       void (*found)(void *context, const struct mapping *mapping),
	       void *context)
{
	static struct answer answer;
	struct child *child = &inventory->child;
	ssize_t size;

	if (inventory->done)
		return INVENTORY_DONE;
	if (child->sock < 0)
		return go_on(inventory, &inventory->missed.later);
	size = recv(child->sock, &answer, sizeof(answer), 0);
	if (size < 0 && errno == EAGAIN && !child_is_late(child))
		return INVENTORY_NOT_YET;
	if (size < (ssize_t)offsetof(struct answer, lines))
		return go_on(inventory, &inventory->missed.later);
	take(inventory, &answer, (size_t)size, found, context);
	if (answer.last) {
		end(inventory);
		return INVENTORY_DONE;
	}
	if (clock_read(CLOCK_MONOTONIC) - inventory->since > PROCESS_MAX)
		return go_on(inventory, &inventory->missed.never);
	child_set_time(child, inventory->patience);
	return INVENTORY_MORE;
}

const struct inventory_missed *
inventory_missed(const struct inventory *inventory)
{
	return &inventory->missed;
}

void
inventory_close(struct inventory *inventory)
{
	if (inventory == NULL)
		return;
	child_close(&inventory->child);
	free(inventory);
}
