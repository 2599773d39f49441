// SPDX-License-Identifier: BSD-3-Clause
/*
 * Record locks belong to a table of descriptors, and a thread can have one of
 * its own. A thread rather than a child, which the application could find out,
 * and which would keep copies of its descriptors open.
 */
#define _GNU_SOURCE
#include "ebpftls-apart.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

struct apart {
	void (*run)(void *);
	void *context;
	bool done;
};

static void *
run_apart(void *argument)
{
	struct apart *apart = argument;

	/* a new table, for this thread, in which nothing stays open */
	if (syscall(SYS_close_range, 0U, ~0U, CLOSE_RANGE_UNSHARE) == 0) {
		apart->run(apart->context);
		apart->done = true;
	}
	return NULL;
}

bool
ebpftls_apart(void (*run)(void *), void *context)
{
	struct apart apart = { .run = run, .context = context };
	sigset_t all, mask;
	pthread_t thread;
	int state;

	/* signals are not for that thread, and nothing may leave this function
	 * while it runs: no cancellation, no handler that jumps */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	if (pthread_create(&thread, NULL, run_apart, &apart) == 0)
		pthread_join(thread, NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	pthread_setcancelstate(state, NULL);
	return apart.done;
}
