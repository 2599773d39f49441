// SPDX-License-Identifier: BSD-3-Clause
/* When is a process that answers late? */
#define _GNU_SOURCE

#include "child.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "check.h"

#define MILLISECOND INT64_C(1000000)
#define TIME	    (400 * MILLISECOND)

static void
answer(void *context, uint64_t kept)
{
	char question;
	int fd;

	(void)context, (void)kept;
	while (child_receive(0, &question, 1, &fd) == 1 &&
	       child_send(0, &question, 1, -1))
		;
}

static void
begin(struct child *child)
{
	check(child_open(child));
	child_start(child, "unit-child", answer, NULL);
	check(child->sock >= 0 && kill(child->pid, SIGSTOP) == 0);
	child_ask(child, "?", 1, -1, TIME);
}

/* Until there is something, for ten seconds. */
static bool
hears(const struct child *child)
{
	struct pollfd wait = { child->epoll, POLLIN, 0 };

	return poll(&wait, 1, 10000) == 1;
}

static void
late(void)
{
	struct timespec from, to;
	struct child child;
	int64_t took;

	clock_gettime(CLOCK_MONOTONIC, &from);
	begin(&child);
	check(!child_is_late(&child));
	while (hears(&child) && !child_is_late(&child))
		;
	clock_gettime(CLOCK_MONOTONIC, &to);
	took = (to.tv_sec - from.tv_sec) * 1000 * MILLISECOND + to.tv_nsec -
	       from.tv_nsec;
	check(took >= TIME && took < 50 * TIME);
	child_close(&child);
}

/* As when the machine is stopped, with both of them. */
static void
both_away(void)
{
	const struct timespec away = { 1, 200 * MILLISECOND };
	struct child child;
	char heard = 0;

	begin(&child);
	nanosleep(&away, NULL);
	check(hears(&child) && !child_is_late(&child));
	check(kill(child.pid, SIGCONT) == 0);
	check(hears(&child) && recv(child.sock, &heard, 1, 0) == 1 &&
	      heard == '?');
	child_rest(&child);
	check(!child_is_late(&child));
	child_close(&child);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "one that does not answer", late },
		{ "while its keeper was away", both_away },
		{ NULL, NULL },
	};

	return check_main(cases);
}
