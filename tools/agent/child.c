// SPDX-License-Identifier: BSD-3-Clause
/*
 * Processes with less than the agent has. What is shared stays in memory over
 * a fork(), and descriptors would keep alive what ends with the agent.
 */
#define _GNU_SOURCE

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ebpftls-control-io.h"

#define SECOND	    INT64_C(1000000000)
#define LAST_MOMENT 50 /* milliseconds to die in */

/* False if it cannot be known what is shared. */
static bool
unmap_shared(uint64_t *kept)
{
	char line[8192];
	FILE *maps = fopen("/proc/self/maps", "re");

	*kept = 0;
	if (maps == NULL)
		return false;
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long start, end;
		char protection[5];

		if (sscanf(line, "%lx-%lx %4s", &start, &end, protection) != 3)
			continue;
		if (protection[3] == 's')
			munmap((void *)start, end - start);
		else
			*kept += end - start;
	}
	fclose(maps);
	return *kept > 0;
}

__attribute__((noreturn)) static void
be_child(int sock, pid_t parent, const char *name,
	 void (*run)(void *context, uint64_t kept), void *context)
{
	uint64_t kept;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
	    getppid() != parent || !unmap_shared(&kept) || dup2(sock, 0) < 0 ||
	    syscall(SYS_close_range, 1, ~0U, 0) != 0)
		_exit(EXIT_FAILURE);
	prctl(PR_SET_NAME, name, 0, 0, 0);
	run(context, kept);
	_exit(EXIT_SUCCESS);
}

/* --- its keeper -------------------------------------------------------------
 */

bool
child_open(struct child *child)
{
	struct epoll_event event = { .events = EPOLLIN };

	memset(child, 0, sizeof(*child));
	child->sock = -1;
	child->epoll = epoll_create1(EPOLL_CLOEXEC);
	child->timer =
	    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (child->epoll >= 0 && child->timer >= 0 &&
	    epoll_ctl(child->epoll, EPOLL_CTL_ADD, child->timer, &event) == 0)
		return true;
	child_close(child);
	return false;
}

/* A place among those that hang; NULL: there are too many. */
static pid_t *
find_place(struct child *child)
{
	for (int i = 0; i < CHILDREN_HANGING; i++) {
		pid_t *pid = &child->hanging[i];

		if (*pid != 0 && waitpid(*pid, NULL, WNOHANG) != 0)
			*pid = 0;
		if (*pid == 0)
			return pid;
	}
	return NULL;
}

/* The socket must not stay with the child, or its end would not be seen. */
void
child_start(struct child *child, const char *name,
	    void (*run)(void *context, uint64_t kept), void *context)
{
	pid_t parent = getpid();
	int pair[2];

	if (find_place(child) == NULL ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return;
	/* ours only */
	child->pid = fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 ? fork() : -1;
	if (child->pid == 0)
		be_child(pair[1], parent, name, run, context);
	close(pair[1]);
	if (child->pid > 0)
		child->sock = pair[0];
	else
		close(pair[0]);
}

static void
run_half(struct child *child, bool second)
{
	const struct itimerspec when = {
		.it_value.tv_sec = child->half / SECOND,
		.it_value.tv_nsec = child->half % SECOND,
	};

	child->second = second;
	timerfd_settime(child->timer, 0, &when, NULL);
}

void
child_set_time(struct child *child, int64_t time)
{
	child->half = (time + 1) / 2;
	run_half(child, false);
}

bool
child_is_late(struct child *child)
{
	uint64_t expired;

	if (read(child->timer, &expired, sizeof(expired)) <= 0)
		return false;
	if (child->second)
		return true;
	run_half(child, true);
	return false;
}

void
child_ask(struct child *child, const void *data, size_t size, int fd,
	  int64_t time)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (child->sock >= 0 && !child_send(child->sock, data, size, fd))
		child_stop(child);
	if (child->sock >= 0)
		epoll_ctl(child->epoll, EPOLL_CTL_ADD, child->sock, &event);
	child_set_time(child, child->sock >= 0 ? time : 1);
}

void
child_rest(struct child *child)
{
	if (child->sock >= 0)
		epoll_ctl(child->epoll, EPOLL_CTL_DEL, child->sock, NULL);
	child_set_time(child, 0);
}

bool
child_kill(pid_t pid, int sock)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	close(sock);
	kill(pid, SIGKILL);
	for (int i = 0; i < LAST_MOMENT; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return true;
		nanosleep(&moment, NULL);
	}
	return false;
}

/* There was a place when it was started, and it is the only one since. */
void
child_stop(struct child *child)
{
	if (child->sock >= 0 && !child_kill(child->pid, child->sock))
		*find_place(child) = child->pid;
	child->sock = -1;
}

void
child_close(struct child *child)
{
	child_stop(child);
	ebpftls_control_close((int[]){ child->epoll, child->timer }, 2);
}

/* --- what they say to each other --------------------------------------------
 */

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

bool
child_send(int sock, const void *data, size_t size, int fd)
{
	union control control;
	struct iovec part = { (void *)(uintptr_t)data, size };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		packet.msg_control = &control;
		packet.msg_controllen = sizeof(control);
	}
	return sendmsg(sock, &packet, MSG_NOSIGNAL) == (ssize_t)size;
}

ssize_t
child_receive(int sock, void *data, size_t size, int *fd)
{
	union control control;
	struct iovec part = { data, size };
	struct msghdr packet = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(sock, &packet, MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (got < 0)
		return -errno;
	if (packet.msg_controllen >= CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(&control.header), sizeof(*fd));
	return got;
}
