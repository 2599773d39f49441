// SPDX-License-Identifier: BSD-3-Clause
/* Who has what mapped, of all and of one, whoever hangs, ends or has no end. */
#define _GNU_SOURCE

#include "inventory.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define MANY 4000 /* lines, which are more than fit into an answer */

static char folder[] = "/tmp/ebpftls-unit.XXXXXX";

/* What was found: by the last digit of the pid. */
static unsigned int seen[10];

static int
folder_of(unsigned int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%u", folder, pid);
	return open(path, O_PATH | O_CLOEXEC);
}

static const char *
maps_of(unsigned int pid)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%u", folder, pid);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%u/maps", folder, pid);
	return path;
}

static void
add_process(unsigned int pid, int lines)
{
	FILE *maps = fopen(maps_of(pid), "we");

	for (int i = 0; maps != NULL && i < lines; i++)
		fprintf(maps, "1000-2000 r-xp 0 00:1b 7 /lib/%u\n", pid);
	check(maps != NULL && fclose(maps) == 0);
}

static void
clean_up(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	check(system(command) == 0);
	memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
}

static struct inventory *
open_proc(void)
{
	memset(seen, 0, sizeof(seen));
	check(mkdtemp(folder) != NULL);
	return inventory_open(folder);
}

static void
see(void *context, const struct mapping *mapping)
{
	char path[32];

	(void)context;
	snprintf(path, sizeof(path), "/lib/%u", mapping->pid);
	check(mapping->ino == 7 && strcmp(mapping->path, path) == 0);
	seen[mapping->pid % 10]++;
}

/* Returns the seconds that it takes. */
static double
finish(struct inventory *inventory)
{
	struct pollfd wait = { inventory_fd(inventory), POLLIN, 0 };
	struct timespec from, to;
	enum inventory_step step;

	clock_gettime(CLOCK_MONOTONIC, &from);
	while ((step = inventory_step(inventory, see, NULL)) != INVENTORY_DONE)
		if (step == INVENTORY_NOT_YET)
			check(poll(&wait, 1, 30000) == 1);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (double)(to.tv_sec - from.tv_sec) +
	       (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

static bool
missed(const struct inventory *inventory, uint32_t later, uint32_t never)
{
	return inventory_missed(inventory)->later == later &&
	       inventory_missed(inventory)->never == never;
}

/* The process that reads, which has this one as its parent. */
static pid_t
find_reader(void)
{
	FILE *children = fopen("/proc/thread-self/children", "re");
	int pid = -1;

	if (check(children != NULL)) {
		check(fscanf(children, "%d", &pid) == 1);
		fclose(children);
	}
	return pid;
}

/* A line of /proc/PID/status. */
static unsigned long
status_of(pid_t pid, const char *what)
{
	char path[32], line[256];
	unsigned long value = ~0UL;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = fopen(path, "re");
	while (status != NULL && fgets(line, sizeof(line), status) != NULL)
		if (strncmp(line, what, strlen(what)) == 0)
			value = strtoul(line + strlen(what), NULL, 16);
	check(status != NULL && fclose(status) == 0);
	return value;
}

static bool
has_no_child(void)
{
	return waitpid(-1, NULL, WNOHANG) < 0;
}

static void
takes_all(void)
{
	struct inventory *inventory = open_proc();

	add_process(1, 1);
	add_process(2, MANY);
	add_process(103, 2);
	inventory_all(inventory);
	finish(inventory);
	check(seen[1] == 1 && seen[2] == MANY && seen[3] == 2);
	check(missed(inventory, 0, 0));
	/* and again */
	inventory_all(inventory);
	finish(inventory);
	check(seen[1] == 2 && seen[2] == 2 * MANY && seen[3] == 4);
	inventory_close(inventory);
	check(has_no_child());
	clean_up();
}

static void
leaves_who_is_not_to_be_seen(void)
{
	struct inventory *inventory = open_proc();

	add_process(1, 1);
	add_process(2, 1);
	check(chmod(maps_of(2), 0) == 0);
	add_process(3, 1);
	/* has ended */
	check(unlink(maps_of(3)) == 0);
	inventory_all(inventory);
	finish(inventory);
	check(seen[1] == 1 && seen[2] == 0 && seen[3] == 0);
	check(missed(inventory, 0, 1));
	inventory_close(inventory);
	clean_up();
}

/* Nobody writes to a FIFO: so it cannot be opened. */
static void
leaves_who_hangs(void)
{
	struct inventory *inventory = open_proc();
	double seconds;

	add_process(1, 1);
	check(mkfifo(maps_of(2), 0600) == 0);
	add_process(3, 1);
	check(mkfifo(maps_of(4), 0600) == 0);
	inventory_all(inventory);
	seconds = finish(inventory);
	check(seen[1] == 1 && seen[3] == 1);
	check(missed(inventory, 2, 0));
	/* and the second is not waited for as long as the first */
	check(seconds > 0.5 && seconds < 2);
	inventory_close(inventory);
	check(has_no_child());
	clean_up();
}

static void
goes_on_without_its_reader(void)
{
	struct inventory *inventory = open_proc();
	struct pollfd wait = { inventory_fd(inventory), POLLIN, 0 };

	for (unsigned int pid = 1; pid < 1000; pid++)
		add_process(pid, 10);
	inventory_all(inventory);
	while (seen[5] == 0 && poll(&wait, 1, 30000) == 1)
		inventory_step(inventory, see, NULL);
	kill(find_reader(), SIGKILL);
	finish(inventory);
	/* that of which it was just then is missing */
	check(missed(inventory, 1, 0));
	for (int i = 1; i < 10; i++)
		check(seen[i] >= 990 && seen[i] <= 1000);
	inventory_close(inventory);
	clean_up();
}

static void
takes_one(void)
{
	struct inventory *inventory = open_proc();

	add_process(1, MANY);
	inventory_one(inventory, 1, folder_of(1));
	finish(inventory);
	check(seen[1] == MANY && missed(inventory, 0, 0));
	/* who reads that has CAP_SYS_PTRACE, and few system calls */
	check((status_of(find_reader(), "CapPrm:\t") & ~0x80000UL) == 0);
	check(status_of(find_reader(), "Seccomp:\t") == 2);
	/* one that hangs, and one after that */
	check(mkfifo(maps_of(2), 0600) == 0);
	inventory_one(inventory, 2, folder_of(2));
	check(finish(inventory) >= 0.5);
	check(missed(inventory, 1, 0));
	inventory_one(inventory, 1, folder_of(1));
	finish(inventory);
	check(seen[1] == 2 * MANY && missed(inventory, 0, 0));
	inventory_close(inventory);
	clean_up();
}

/* Who maps and unmaps ahead of a reader shows it ever new lines. */
static void
leaves_who_has_no_end(void)
{
	struct inventory *inventory = open_proc();
	char command[128];
	FILE *lines;

	check(mkfifo(maps_of(2), 0600) == 0);
	snprintf(command, sizeof(command),
		 "exec yes '1000-2000 r-xp 0 00:1b 7 /lib/2' >%s 2>&1",
		 maps_of(2));
	lines = popen(command, "re");
	add_process(3, 1);
	inventory_all(inventory);
	finish(inventory);
	check(seen[2] > MANY && seen[3] == 1 && missed(inventory, 0, 1));
	inventory_close(inventory);
	pclose(lines);
	clean_up();
}

static void
does_without_proc(void)
{
	struct inventory *inventory = inventory_open("/dev/null");

	inventory_all(inventory);
	finish(inventory);
	check(missed(inventory, 1, 0));
	inventory_close(inventory);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "all are taken", takes_all },
		{ "who is not to be seen", leaves_who_is_not_to_be_seen },
		{ "who hangs", leaves_who_hangs },
		{ "a reader that dies", goes_on_without_its_reader },
		{ "one is taken", takes_one },
		{ "who has no end", leaves_who_has_no_end },
		{ "no /proc", does_without_proc },
		{ NULL, NULL },
	};

	return check_main(cases);
}
