// SPDX-License-Identifier: BSD-3-Clause
/*
 * Processes with less than the agent has. What is shared stays in memory over
 * a fork(), and descriptors would keep alive what ends with the agent.
 */
#define _GNU_SOURCE

#include "child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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
be_child(int sock, pid_t parent, void (*run)(void *context, uint64_t kept),
	 void *context)
{
	uint64_t kept;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
	    getppid() != parent || !unmap_shared(&kept) || dup2(sock, 0) < 0 ||
	    syscall(SYS_close_range, 1, ~0U, 0) != 0)
		_exit(EXIT_FAILURE);
	run(context, kept);
	_exit(EXIT_SUCCESS);
}

/* The socket must not stay with the child, or its end would not be seen. */
int
child_start(pid_t *pid, void (*run)(void *context, uint64_t kept),
	    void *context)
{
	pid_t parent = getpid();
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	*pid = fork();
	error = -errno;
	if (*pid == 0)
		be_child(pair[1], parent, run, context);
	close(pair[1]);
	if (*pid > 0)
		return pair[0];
	close(pair[0]);
	return error;
}

void
child_stop(pid_t pid, int sock)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	close(sock);
	kill(pid, SIGKILL);
	for (int i = 0; i < LAST_MOMENT; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		nanosleep(&moment, NULL);
	}
}

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

void
child_listen(int epoll, int sock, bool on)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (sock >= 0)
		epoll_ctl(epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, sock,
			  &event);
}
