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
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "child.h"
#include "privileges.h"

#define NAME	    "ebpftls-read"
#define MILLISECOND INT64_C(1000000)

/*
 * How long one process may take, in milliseconds. Each that takes longer
 * halves that for those to come, and each that does not adds one: somebody
 * who has many of them made to hang does not hold up the others.
 */
#define PATIENCE_MAX 200
#define PATIENCE_MIN 4

struct reader {
	const struct peer *peer; /* for whom, or NULL: for root */
	struct child child;
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
	if (!confine(*peer))
		return;
	while (child_receive(0, &who, sizeof(who), &folder) == sizeof(who) &&
	       folder >= 0 && read_process(&who, folder))
		close(folder);
}

/* --- its keeper ----------------------------------------------------------- */

struct reader *
reader_open(const struct peer *peer)
{
	struct reader *reader = calloc(1, sizeof(*reader));

	if (reader == NULL)
		return NULL;
	reader->peer = peer;
	reader->patience = PATIENCE_MAX;
	if (child_open(&reader->child))
		return reader;
	free(reader);
	return NULL;
}

int
reader_fd(const struct reader *reader)
{
	return reader->child.epoll;
}

void
reader_submit(struct reader *reader, const struct ebpftls_newcomer *who,
	      int folder)
{
	struct child *child = &reader->child;

	process_known(who, &reader->facts);
	reader->halfway = false;
	if (child->sock < 0)
		child_start(child, NAME, be_reader, &reader->peer);
	child_ask(child, who, sizeof(*who), folder,
		  reader->patience * MILLISECOND);
}

static bool
receive(struct reader *reader)
{
	struct ebpftls_process facts;
	ssize_t size;

	size = recv(reader->child.sock, &facts, sizeof(facts), 0);
	if (size == sizeof(facts)) {
		reader->facts = facts;
		return true;
	}
	if (size >= 0 || (errno != EAGAIN && errno != EINTR))
		child_stop(&reader->child);
	return false;
}

static bool
is_late(struct reader *reader)
{
	if (!child_is_late(&reader->child))
		return false;
	child_stop(&reader->child);
	reader->patience /= 2;
	if (reader->patience < PATIENCE_MIN)
		reader->patience = PATIENCE_MIN;
	return true;
}

bool
reader_take(struct reader *reader, struct ebpftls_process *facts)
{
	struct child *child = &reader->child;
	bool done = false;

	while (!done && child->sock >= 0 && receive(reader)) {
		done = reader->halfway;
		reader->halfway = true;
	}
	if (done && reader->patience < PATIENCE_MAX)
		reader->patience++;
	if (!done && child->sock >= 0 && !is_late(reader))
		return false;
	child_rest(child);
	*facts = reader->facts;
	return true;
}

void
reader_close(struct reader *reader)
{
	if (reader == NULL)
		return;
	child_close(&reader->child);
	free(reader);
}
