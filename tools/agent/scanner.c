// SPDX-License-Identifier: BSD-3-Clause
/*
 * The process that scans, and its keeper. Whoever writes a file that makes
 * the scanner do what he likes has gained nothing but a process that may
 * think; one that dies of a file, or does not come to an end, is replaced. A
 * process could still lie about the files after that, and so has only those
 * that are trusted alike.
 */
#define _GNU_SOURCE

#include "scanner.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "privileges.h"

#define NAME	      "ebpftls-scan"
#define NOBODY	      65534
#define ADDRESS_SPACE ((rlim_t)3 << 30)
#define SECOND	      INT64_C(1000000000)
#define WORK_MAX      (2 * SECOND)  /* of a CPU, for one file */
#define WAIT_MAX      (10 * SECOND) /* on a machine that is busy */

struct scanner {
	struct child child;
	bool alone;    /* the process is for one file */
	int64_t used;  /* of a CPU, when the file was submitted */
	int64_t since; /* then */
};

/* --- the process ---------------------------------------------------------- */

/* What memory, the answer and an orderly end need. */
static const int allowed[] = {
	SYS_read,	   SYS_pread64,	     SYS_fstat,	     SYS_newfstatat,
	SYS_lseek,	   SYS_mmap,	     SYS_munmap,     SYS_mremap,
	SYS_mprotect,	   SYS_madvise,	     SYS_brk,	     SYS_recvmsg,
	SYS_sendmsg,	   SYS_close,	     SYS_futex,	     SYS_getrandom,
	SYS_clock_gettime, SYS_rt_sigreturn, SYS_exit_group,
};

static void
limit(int resource, rlim_t most)
{
	const struct rlimit value = { most, most };

	setrlimit(resource, &value);
}

/*
 * A service without CAP_SETUID goes on as who it is: without capabilities,
 * and unable to open anything, that is worth no more than nobody.
 */
static int
confine(pid_t parent, rlim_t kept)
{
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, 2);
	limit(RLIMIT_AS, kept + ADDRESS_SPACE);
	(void)!syscall(SYS_setgroups, 0, NULL);
	(void)!syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY);
	(void)!syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY);
	if (privileges_keep(0) != 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
	    getppid() != parent)
		return -1;
	return privileges_allow(allowed, sizeof(allowed) / sizeof(allowed[0]));
}

/* By which the cache will know that it is still the same. */
static void
read_code(int fd, struct scan_result *result)
{
	for (uint32_t i = 0; i < result->count; i++)
		(void)!pread(fd, result->code[i], sizeof(result->code[i]),
			     (off_t)result->hooks[i].offset);
}

/* Until the agent has gone. */
static void
scan_files(void)
{
	struct scan_result result;
	char byte;
	int fd;

	while (child_receive(0, &byte, 1, &fd) == 1 && fd >= 0) {
		memset(&result, 0, sizeof(result));
		if (!scan_file(fd, &result))
			break;
		scan_place(fd, &result);
		read_code(fd, &result);
		if (!child_send(0, &result, sizeof(result), -1))
			break;
		close(fd);
	}
}

static void
be_scanner(void *parent, uint64_t kept)
{
	if (confine(*(const pid_t *)parent, kept) == 0)
		scan_files();
}

/* --- its keeper ------------------------------------------------------------
 */

/* What the process has had of the CPUs; 0 once it is dead. */
static int64_t
cpu_time(const struct scanner *scanner)
{
	clockid_t id;

	return clock_getcpuclockid(scanner->child.pid, &id) == 0
		   ? clock_read(id)
		   : 0;
}

struct scanner *
scanner_open(void)
{
	struct scanner *scanner = calloc(1, sizeof(*scanner));

	if (scanner != NULL && child_open(&scanner->child))
		return scanner;
	free(scanner);
	return NULL;
}

int
scanner_fd(const struct scanner *scanner)
{
	return scanner->child.epoll;
}

/* Nothing has been said that was not asked for. */
static bool
is_silent(int sock)
{
	char byte;

	return recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN;
}

void
scanner_submit(struct scanner *scanner, int fd, bool alone)
{
	struct child *child = &scanner->child;
	pid_t parent = getpid();

	if (child->sock >= 0 && (alone || !is_silent(child->sock)))
		child_stop(child);
	scanner->alone = alone;
	if (child->sock < 0)
		child_start(child, NAME, be_scanner, &parent);
	scanner->since = clock_read(CLOCK_MONOTONIC);
	scanner->used = cpu_time(scanner);
	child_ask(child, "", 1, fd, WORK_MAX);
}

static enum scanner_answer
give_up(struct scanner *scanner, struct scan_result *result,
	enum scanner_answer answer, const char *why)
{
	child_stop(&scanner->child);
	child_rest(&scanner->child);
	memset(result, 0, sizeof(*result));
	snprintf(result->why, sizeof(result->why), "%s", why);
	return answer;
}

static bool
is_too_long(const struct scanner *scanner)
{
	return cpu_time(scanner) - scanner->used >= WORK_MAX ||
	       clock_read(CLOCK_MONOTONIC) - scanner->since >= WAIT_MAX;
}

enum scanner_answer
scanner_take(struct scanner *scanner, struct scan_result *result)
{
	struct child *child = &scanner->child;
	ssize_t size;

	if (child->sock < 0)
		return give_up(scanner, result, SCANNER_ABSENT,
			       "no process for the scan");
	size = recv(child->sock, result, sizeof(*result), MSG_TRUNC);
	if (size == sizeof(*result) && scanner_valid(result)) {
		child_rest(child);
		if (scanner->alone)
			child_stop(child);
		return SCANNER_DONE;
	}
	if (size >= 0 || (errno != EAGAIN && errno != EINTR))
		return give_up(scanner, result, SCANNER_FAILED,
			       "the scan of it failed");
	if (!child_is_late(child))
		return SCANNER_NOT_YET;
	if (is_too_long(scanner))
		return give_up(scanner, result, SCANNER_FAILED,
			       "the scan of it takes too long");
	child_set_time(child, WORK_MAX);
	return SCANNER_NOT_YET;
}

static bool
is_place(const struct ebpftls_place *place)
{
	return place->reg < 32 && place->loads <= EBPFTLS_LOADS_MAX;
}

static bool
is_hook(const struct ebpftls_hook *hook)
{
	if (hook->name_count > EBPFTLS_NAMES_MAX || !is_place(&hook->label) ||
	    !is_place(&hook->secret) || !is_place(&hook->length) ||
	    !is_place(&hook->random))
		return false;
	for (uint32_t i = 0; i < hook->name_count; i++)
		if (hook->names[i].label >= EBPFTLS_LABELS)
			return false;
	return true;
}

bool
scanner_valid(const struct scan_result *result)
{
	if (result->count > SCAN_HOOKS_MAX ||
	    memchr(result->why, '\0', sizeof(result->why)) == NULL)
		return false;
	for (uint32_t i = 0; i < result->count; i++)
		if (!is_hook(&result->hooks[i]))
			return false;
	return true;
}

void
scanner_close(struct scanner *scanner)
{
	if (scanner == NULL)
		return;
	child_close(&scanner->child);
	free(scanner);
}
