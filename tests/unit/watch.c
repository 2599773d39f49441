// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does the kernel tell of each file that is mapped as code, and is it known
 * when it cannot have told of all? CPUs come when the test's own syscall()
 * lets them.
 */
#define _GNU_SOURCE

#include "watch.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

#define RECORDS 12000 /* more than a ring holds */

static int missing = -1; /* CPU, or -1 */

/* Through which the watch opens its events. */
long
syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list args;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_perf_event_open && (int)a[2] == missing) {
		errno = ENODEV;
		return -1;
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

struct search {
	ino_t ino;
	uint32_t count;
	struct mapping last;
	char path[PATH_MAX];
};

static void
find(void *context, const struct mapping *mapping)
{
	struct search *search = context;

	check(mapping->pid != 0 && mapping->recent);
	if (mapping->ino != search->ino)
		return;
	search->count++;
	search->last = *mapping;
	snprintf(search->path, sizeof(search->path), "%s", mapping->path);
}

/* Maps a file as code so many times; it is gone after that. */
static struct search
map(char *name, uint32_t times)
{
	int fd = mkstemp(name);
	struct search search = { .count = 0 };
	struct stat st;

	check(ftruncate(fd, 4096) == 0 && fstat(fd, &st) == 0);
	search.ino = st.st_ino;
	for (uint32_t i = 0; i < times; i++) {
		void *code =
		    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

		check(code != MAP_FAILED && munmap(code, 4096) == 0);
	}
	close(fd);
	unlink(name);
	return search;
}

static struct watch *
begin(void)
{
	struct failure failure;
	struct watch *watch = NULL;

	if (geteuid() != 0)
		check_skip("only root may watch");
	else
		check((watch = watch_start(&failure)) != NULL);
	return watch;
}

static void
tells_of_code(void)
{
	char name[] = "/tmp/ebpftls-unit.XXXXXX";
	struct watch *watch = begin();
	struct pollfd wait = { -1, POLLIN, 0 };
	struct search search;

	if (watch == NULL)
		return;
	wait.fd = watch_fd(watch);
	search = map(name, 1);
	check(poll(&wait, 1, 1000) == 1);
	check(watch_read(watch, find, &search));
	check(search.count == 1 && strcmp(search.path, name) == 0);
	check(search.last.pid == (uint32_t)getpid());
	watch_close(watch);
}

/* The kernel says so only with the next record, and none may come. */
static void
knows_that_it_was_too_slow(void)
{
	char name[] = "/tmp/ebpftls-unit.XXXXXX";
	struct watch *watch = begin();
	struct search search;

	if (watch == NULL)
		return;
	search = map(name, RECORDS);
	check(!watch_read(watch, find, &search));
	check(search.count > 0 && search.count < RECORDS);
	watch_close(watch);
}

static bool
run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}

static void
a_cpu_that_comes(void)
{
	char before[] = "/tmp/ebpftls-unit.XXXXXX";
	char after[] = "/tmp/ebpftls-unit.XXXXXX";
	struct watch *watch;
	struct search search;
	cpu_set_t all;

	sched_getaffinity(0, sizeof(all), &all);
	if (!run_on(1)) {
		check_skip("there is one CPU");
		return;
	}
	missing = 1;
	watch = begin();
	if (watch == NULL)
		return;
	search = map(before, 1);
	watch_read(watch, find, &search);
	check(search.count == 0);
	missing = -1;
	watch_cpu_came(watch, 1);
	check(!watch_read(watch, find, &search));
	search = map(after, 1);
	check(watch_read(watch, find, &search) && search.count == 1);
	watch_close(watch);
	sched_setaffinity(0, sizeof(all), &all);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "tells of code", tells_of_code },
		{ "more than a ring holds", knows_that_it_was_too_slow },
		{ "a CPU that comes later", a_cpu_that_comes },
		{ NULL, NULL },
	};

	return check_main(cases);
}
