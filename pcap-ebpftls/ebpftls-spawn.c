// SPDX-License-Identifier: BSD-3-Clause
/*
 * Starts the agent.
 *
 * An application may reap every child with wait(), or count SIGCHLDs. So the
 * agent is a grandchild, which init inherits, and the child in between ends
 * without a signal: only a wait with __WCLONE, ours, sees it. After the fork
 * nothing but system calls is made, as the application may have threads.
 */
#define _GNU_SOURCE

#include "ebpftls-spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Above the descriptors that the agent gets. */
#define FIRST_FREE_FD 10

static pid_t
fork_with_signal(int signal_at_exit)
{
	/* x86, arm: the flags come first; without CLONE_VM this is a fork */
	return (pid_t)syscall(SYS_clone, (unsigned long)signal_at_exit, 0, 0, 0,
			      0);
}

static void
reset_signals(void)
{
	struct sigaction ignored;
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		if (sigaction(i, NULL, &ignored) == 0 &&
		    ignored.sa_handler == SIG_IGN)
			signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Leaves descriptor 0 (`sock`), 1 and 2 (nothing) and `report`. */
static int
arrange_descriptors(int sock, int *report)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (nothing < 0)
		return -1;
	/* the application may have closed 0, 1 and 2: out of the way first */
	nothing = fcntl(nothing, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	sock = fcntl(sock, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	*report = fcntl(*report, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	if (nothing < 0 || sock < 0 || *report < 0 || dup2(sock, 0) < 0 ||
	    dup2(nothing, 1) < 0 || dup2(nothing, 2) < 0 ||
	    dup3(*report, 3, O_CLOEXEC) < 0)
		return -1;
	*report = 3;
	return (int)syscall(SYS_close_range, 4U, ~0U, 0U);
}

__attribute__((noreturn)) static void
become_agent(const char *path, int sock, int report)
{
	static char *const environment[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		NULL,
	};
	char *const argv[] = { "ebpftls-agent", NULL };
	int error;

	if (arrange_descriptors(sock, &report) == 0) {
		reset_signals();
		setsid(); /* Ctrl-C is for the application */
		umask(077);
		if (chdir("/") == 0)
			execve(path, argv, environment);
	}
	error = errno;
	(void)!write(report, &error, sizeof(error));
	_exit(127);
}

/* What the grandchild reports; the pipe ends when it has been executed. */
static int
read_report(int fd)
{
	int error = 0;
	ssize_t count;

	do
		count = read(fd, &error, sizeof(error));
	while (count < 0 && errno == EINTR);
	return count == sizeof(error) ? -error : 0;
}

int
ebpftls_spawn(const char *path, int sock)
{
	int report[2], error;
	pid_t child;

	if (pipe2(report, O_CLOEXEC) != 0)
		return -errno;
	child = fork_with_signal(0);
	if (child == 0) {
		pid_t agent = fork_with_signal(SIGCHLD);

		if (agent == 0)
			become_agent(path, sock, report[1]);
		if (agent < 0) {
			error = errno;
			(void)!write(report[1], &error, sizeof(error));
		}
		_exit(0);
	}
	error = child < 0 ? -errno : 0;
	close(report[1]);
	if (child > 0) {
		/* the application's own wait may have been first: no harm */
		while (waitpid(child, NULL, (int)__WCLONE) < 0 &&
		       errno == EINTR)
			;
		error = read_report(report[0]);
	}
	close(report[0]);
	return error;
}
