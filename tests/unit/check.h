/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cases of a unit test and their result lines. A case is a function; what
 * it opens it also closes, which is checked, and its random numbers are the
 * same in every run.
 */
#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct check_case {
	const char *name;
	void (*run)(void);
};

static const char *check_name;
static bool check_failed;
static bool check_skipped;
static uint64_t check_seed;

/*
 * True if the condition holds; else the case fails, for the first such
 * reason, and goes on if it does not return.
 */
#define check(condition) check_at((condition), __FILE__, __LINE__, #condition)

static inline bool
check_at(bool ok, const char *file, int line, const char *what)
{
	if (!ok && !check_failed) {
		printf("FAIL %s: %s:%d: %s\n", check_name, file, line, what);
		check_failed = true;
	}
	return ok;
}

/* The same, for two pieces of memory; says where they differ. */
#define check_bytes(got, want, length) \
	check_bytes_at((got), (want), (length), __FILE__, __LINE__)

static inline bool
check_bytes_at(const void *got, const void *want, size_t length,
	       const char *file, int line)
{
	const uint8_t *a = got, *b = want;
	char what[96];
	size_t i = 0;

	while (i < length && a[i] == b[i])
		i++;
	if (i == length)
		return true;
	snprintf(what, sizeof(what), "byte %zu of %zu is 0x%02x, not 0x%02x", i,
		 length, a[i], b[i]);
	return check_at(false, file, line, what);
}

/* Bytes from hexadecimal, up to what is none. Returns how many. */
static inline size_t
check_hex(uint8_t *to, const char *text)
{
	size_t count = 0;

	while (sscanf(text + 2 * count, "%2hhx", to + count) == 1)
		count++;
	return count;
}

/* xorshift64* */
static inline uint32_t
check_random(uint32_t below)
{
	check_seed ^= check_seed >> 12;
	check_seed ^= check_seed << 25;
	check_seed ^= check_seed >> 27;
	return (uint32_t)((check_seed * UINT64_C(2685821657736338717)) >> 32) %
	       below;
}

/* The case cannot be tried here; for it to return after that. */
static inline void
check_skip(const char *why)
{
	printf("SKIP %s: %s\n", check_name, why);
	check_skipped = true;
}

/* The youngest child of this process; 0: none, or the kernel does not tell. */
static inline pid_t
check_child(void)
{
	char path[64];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	while (fscanf(file, "%d", &pid) == 1)
		;
	fclose(file);
	return pid;
}

/* Ends a child, which remains to be waited for. */
static inline void
check_kill(pid_t pid)
{
	siginfo_t info;

	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
}

/* How many descriptors this process has. */
static inline int
check_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = -3; /* ".", ".." and the folder itself */

	if (dir == NULL)
		abort();
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static inline bool
check_run(const struct check_case *c)
{
	int before = check_descriptors();

	check_name = c->name;
	check_failed = check_skipped = false;
	check_seed = UINT64_C(0x9e3779b97f4a7c15);
	c->run();
	check(check_descriptors() == before);
	if (!check_failed && !check_skipped)
		printf("PASS %s\n", c->name);
	fflush(stdout);
	return !check_failed;
}

/* Runs all cases, up to one without a name. Returns the exit status. */
static inline int
check_main(const struct check_case *cases)
{
	bool ok = true;

	for (; cases->name != NULL; cases++)
		ok &= check_run(cases);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The same in a folder of their own, in which they leave at most that file. */
static inline int
check_main_with_file(const struct check_case *cases, const char *file)
{
	char folder[] = "/tmp/ebpftls-test.XXXXXX";
	int status;

	if (mkdtemp(folder) == NULL || chdir(folder) != 0)
		abort();
	status = check_main(cases);
	unlink(file);
	rmdir(folder);
	return status;
}

#endif
