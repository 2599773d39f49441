// SPDX-License-Identifier: BSD-3-Clause
/*
 * The process that reads /proc, and its keeper. It answers twice: with what
 * can be had at once, and then with all. One that hangs is killed, or left
 * alone if it cannot be, and the next process is read by another.
 */
#define _GNU_SOURCE

#include "reader.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "ebpftls-control-io.h"
#include "privileges.h"

#define NAME	    "ebpftls-read"
#define HANGING_MAX 8 /* readers that do not die */

/*
 * How long one process may take, in milliseconds. Each that takes longer
 * halves that for those to come, and each that does not adds one: somebody
 * who has many of them made to hang does not hold up the others.
 */
#define PATIENCE_MAX 200
#define PATIENCE_MIN 4

struct reader {
	const struct peer *peer; /* for whom, or NULL: for root */
	int epoll;
	int timer;
	int sock; /* or -1: there is no process */
	pid_t pid;
	pid_t hanging[HANGING_MAX]; /* killed, may be dead; or 0 */
	int patience;
	bool halfway; /* the first answer has come */
	struct ebpftls_process facts;
};

/* --- the process ---------------------------------------------------------- */

static bool
answer(const struct ebpftls_process *facts)
{
	return send(0, facts, sizeof(*facts), MSG_NOSIGNAL) == sizeof(*facts);
}

static bool
read_process(const struct ebpftls_newcomer *who, int folder)
{
	struct ebpftls_process facts;
	bool found;

	process_known(who, &facts);
	found = process_read(folder, who, &facts);
	if (!answer(&facts))
		return false;
	if (found)
		process_read_command(folder, &facts);
	return answer(&facts);
}

static const int allowed[] = {
	SYS_read,	SYS_openat,    SYS_readlinkat,	 SYS_close,
	SYS_newfstatat, SYS_fstat,     SYS_recvmsg,	 SYS_sendto,
	SYS_mmap,	SYS_munmap,    SYS_mremap,	 SYS_brk,
	SYS_futex,	SYS_getrandom, SYS_rt_sigreturn, SYS_exit_group,
};

/* What it reads for somebody, it reads as that one. */
static bool
confine(const struct peer *peer)
{
	bool less = peer != NULL
			? peer_become(peer)
			: privileges_keep(PRIVILEGE(CAP_SYS_PTRACE)) == 0;

	return less && privileges_allow(allowed, sizeof(allowed) /
						     sizeof(allowed[0])) == 0;
}

static void
be_reader(void *context, uint64_t kept)
{
	const struct peer *const *peer = context;
	struct ebpftls_newcomer who;
	int folder;

	(void)kept;
	prctl(PR_SET_NAME, NAME, 0, 0, 0);
	if (!confine(*peer))
		return;
	while (child_receive(0, &who, sizeof(who), &folder) == sizeof(who) &&
	       folder >= 0 && read_process(&who, folder))
		close(folder);
}

/* --- its keeper ----------------------------------------------------------- */

static void
set_timer(const struct reader *reader, long nanoseconds)
{
	const struct itimerspec when = { .it_value.tv_nsec = nanoseconds };

	timerfd_settime(reader->timer, 0, &when, NULL);
}

struct reader *
reader_open(const struct peer *peer)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	struct epoll_event event = { .events = EPOLLIN };

	if (reader == NULL)
		return NULL;
	reader->peer = peer;
	reader->sock = -1;
	reader->patience = PATIENCE_MAX;
	reader->epoll = epoll_create1(EPOLL_CLOEXEC);
	reader->timer =
	    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (reader->epoll >= 0 && reader->timer >= 0 &&
	    epoll_ctl(reader->epoll, EPOLL_CTL_ADD, reader->timer, &event) == 0)
		return reader;
	reader_close(reader);
	return NULL;
}

int
reader_fd(const struct reader *reader)
{
	return reader->epoll;
}

/* A place among those that hang; NULL: there are too many. */
static pid_t *
find_place(struct reader *reader)
{
	for (int i = 0; i < HANGING_MAX; i++) {
		pid_t *pid = &reader->hanging[i];

		if (*pid != 0 && waitpid(*pid, NULL, WNOHANG) != 0)
			*pid = 0;
		if (*pid == 0)
			return pid;
	}
	return NULL;
}

static void
start(struct reader *reader)
{
	if (find_place(reader) != NULL)
		reader->sock =
		    child_start(&reader->pid, be_reader, &reader->peer);
}

/* There was a place when it was started, and it is the only one since. */
static void
stop(struct reader *reader)
{
	if (reader->sock < 0)
		return;
	close(reader->sock);
	reader->sock = -1;
	kill(reader->pid, SIGKILL);
	*find_place(reader) = reader->pid;
}

/* Without a process, the timer makes reader_take() say that at once. */
void
reader_submit(struct reader *reader, const struct ebpftls_newcomer *who,
	      int folder)
{
	process_known(who, &reader->facts);
	reader->halfway = false;
	if (reader->sock < 0)
		start(reader);
	if (reader->sock >= 0 &&
	    !child_send(reader->sock, who, sizeof(*who), folder))
		stop(reader);
	child_listen(reader->epoll, reader->sock, true);
	set_timer(reader, reader->sock < 0 ? 1 : reader->patience * 1000000L);
}

static bool
receive(struct reader *reader)
{
	struct ebpftls_process facts;
	ssize_t size;

	size = recv(reader->sock, &facts, sizeof(facts), MSG_DONTWAIT);
	if (size == sizeof(facts)) {
		reader->facts = facts;
		return true;
	}
	if (size >= 0 || (errno != EAGAIN && errno != EINTR))
		stop(reader);
	return false;
}

static bool
is_late(struct reader *reader)
{
	uint64_t expired;

	if (read(reader->timer, &expired, sizeof(expired)) < 0)
		return false;
	stop(reader);
	reader->patience /= 2;
	if (reader->patience < PATIENCE_MIN)
		reader->patience = PATIENCE_MIN;
	return true;
}

bool
reader_take(struct reader *reader, struct ebpftls_process *facts)
{
	bool done = false;

	while (!done && reader->sock >= 0 && receive(reader)) {
		done = reader->halfway;
		reader->halfway = true;
	}
	if (done && reader->patience < PATIENCE_MAX)
		reader->patience++;
	if (!done && reader->sock >= 0 && !is_late(reader))
		return false;
	child_listen(reader->epoll, reader->sock, false);
	set_timer(reader, 0);
	*facts = reader->facts;
	return true;
}

void
reader_close(struct reader *reader)
{
	if (reader == NULL)
		return;
	stop(reader);
	ebpftls_control_close((int[]){ reader->epoll, reader->timer }, 2);
	free(reader);
}
