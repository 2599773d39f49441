// SPDX-License-Identifier: BSD-3-Clause
/* What is given up is gone, and what is not is still there. */
#define _GNU_SOURCE

#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define DONE 99 /* what a child exits with when all was as it should be */

/* Runs it in a process that can give something up. */
static void
apart(void (*run)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(check_failed ? EXIT_FAILURE : DONE);
	}
	check(waitpid(pid, &status, 0) == pid);
	check(WIFEXITED(status) && WEXITSTATUS(status) == DONE);
}

static bool
is_refused(long result)
{
	return result == -1 && errno == EPERM;
}

static uint64_t
permitted(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	check(syscall(SYS_capget, &header, sets) == 0);
	check(sets[0].effective == sets[0].permitted &&
	      sets[1].effective == sets[1].permitted);
	return sets[0].permitted | (uint64_t)sets[1].permitted << 32;
}

static void
keep_some(void)
{
	const uint64_t all = permitted();
	const uint64_t low = PRIVILEGE(CAP_KILL), high = PRIVILEGE(CAP_BPF);

	check(privileges_keep(low | high) == 0);
	check(permitted() == (all & (low | high)));
	check(privileges_keep(high) == 0);
	check(permitted() == (all & high));
	check(privileges_keep(low | high) == 0);
	check(permitted() == (all & high));
	check(privileges_keep(0) == 0);
	check(permitted() == 0);
}

static void
capabilities(void)
{
	apart(keep_some);
}

static void
allow_some(void)
{
	/* the last three are for the sanitizers */
	static const int calls[] = {
		SYS_getppid,	 SYS_exit_group, SYS_write,
		SYS_sigaltstack, SYS_mmap,	 SYS_munmap
	};

	check(privileges_allow(calls, sizeof(calls) / sizeof(calls[0])) == 0);
	check(getppid() > 0);
	check(is_refused(getpgid(0)));
	check(is_refused(open("/dev/null", O_RDONLY)));
	check(is_refused(socket(AF_UNIX, SOCK_STREAM, 0)));
}

static void
allowed_calls(void)
{
	apart(allow_some);
}

static void
allow_too_many(void)
{
	static const int calls[1000];

	check(privileges_allow(calls, 1000) == -1 && errno == E2BIG);
	check(getppid() > 0);
}

static void
too_many_calls(void)
{
	apart(allow_too_many);
}

static void
open_files(const char *path)
{
	static const int changing[] = {
		O_WRONLY,
		O_RDWR,
		O_RDONLY | O_TRUNC,
		O_RDONLY | O_CREAT,
		O_RDWR | O_EXCL,
		O_WRONLY | O_CREAT,
		O_WRONLY | O_APPEND,
	};
	int fd;

	for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++) {
		check(is_refused(open(path, changing[i], 0600)));
		check(is_refused(
		    syscall(SYS_openat, AT_FDCWD, path, changing[i], 0600)));
	}
	fd = open(path, O_RDONLY);
	check(fd >= 0 && close(fd) == 0);
	fd = open(path, O_PATH);
	check(fd >= 0 && close(fd) == 0);
	check(open(path, O_RDWR | O_CREAT | O_EXCL, 0600) < 0 &&
	      errno == EEXIST);
	check(unlink(path) == 0);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	check(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
	unlink(path);
}

static void
settle(void)
{
	char path[] = "/tmp/ebpftls-unit.XXXXXX";
	char *const arguments[] = { path, NULL };
	int fd = mkstemp(path);

	check(fd >= 0 && close(fd) == 0);
	check(privileges_begin() == 0);
	check(privileges_settle() == 0);
	check((permitted() &
	       (PRIVILEGE(CAP_SYS_MODULE) | PRIVILEGE(CAP_DAC_OVERRIDE) |
		PRIVILEGE(CAP_NET_RAW))) == 0);
	check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	open_files(path);
	check(is_refused(execv("/bin/true", arguments)));
	check(is_refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)));
	check(is_refused(mount("none", "/", NULL, MS_PRIVATE, NULL)));
	check(is_refused(unshare(CLONE_NEWNS)));
	check(is_refused(setns(0, 0)));
	check(
	    is_refused(syscall(SYS_process_vm_writev, 0, NULL, 0, NULL, 0, 0)));
	check(is_refused(syscall(SYS_openat2, 0, NULL, NULL, 0)));
}

/* The children have less still. */
static void
settled_agent(void)
{
	apart(settle);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "capabilities", capabilities },
		{ "allowed calls", allowed_calls },
		{ "too many calls", too_many_calls },
		{ "the agent while it captures", settled_agent },
		{ NULL, NULL },
	};

	return check_main(cases);
}
