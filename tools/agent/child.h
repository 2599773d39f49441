/* SPDX-License-Identifier: BSD-3-Clause */
/* What processes that the agent makes of itself have in common. */
#ifndef AGENT_CHILD_H
#define AGENT_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILDREN_HANGING 8

/* One at a time, which answers questions, as its keeper sees it. */
struct child {
	int epoll; /* readable: there is an answer, or its time is up */
	int timer;
	int64_t half; /* of the time that it has */
	bool second;  /* half is running */
	int sock;     /* or -1: there is no process */
	pid_t pid;
	pid_t hanging[CHILDREN_HANGING]; /* killed, may be dead; or 0 */
};

/* Without a process. False if there is no room, and nothing to close then. */
bool child_open(struct child *child);

/*
 * Starts a process that has one end of a socket (SOCK_SEQPACKET) as its only
 * descriptor, 0, and nothing of what the agent shares with others; `kept` is
 * how much address space the rest takes. It has that name and calls `run`, and
 * ends then or with the agent. None is started while too many hang.
 */
void child_start(struct child *child, const char *name,
		 void (*run)(void *context, uint64_t kept), void *context);

/*
 * Asks, with a descriptor unless that is -1, and gives it so many nanoseconds.
 * Without a process that listens, they are over at once.
 */
void child_ask(struct child *child, const void *data, size_t size, int fd,
	       int64_t time);

/* The time is another one from now on; 0: any. */
void child_set_time(struct child *child, int64_t time);

/*
 * Whether it is up, and that has not been told. How long this process itself
 * had no CPU does not count, but for half of the time.
 */
bool child_is_late(struct child *child);

/*
 * There is no more answer to come: who is idle may die, and its socket be
 * readable for ever.
 */
void child_rest(struct child *child);

/* Kills it, if there is one. */
void child_stop(struct child *child);

void child_close(struct child *child);

/*
 * Closes the socket and kills the process. False if it waits for a disk that
 * hangs: then it is left to whom it comes to.
 */
bool child_kill(pid_t pid, int sock);

/* Sends what is in `data`, with a descriptor unless that is -1. */
bool child_send(int sock, const void *data, size_t size, int fd);

/* Returns the size of what was received, at most `size`, or a negative errno.
 */
ssize_t child_receive(int sock, void *data, size_t size, int *fd);

#endif
