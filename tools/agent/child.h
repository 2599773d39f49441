/* SPDX-License-Identifier: BSD-3-Clause */
/* What processes that the agent makes of itself have in common. */
#ifndef AGENT_CHILD_H
#define AGENT_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Starts a process that has one end of a socket (SOCK_SEQPACKET) as its only
 * descriptor, 0, and nothing of what the agent shares with others; `kept` is
 * how much address space the rest takes. It calls `run`, and ends then or with
 * the agent. Returns the other end, or a negative errno.
 */
int child_start(pid_t *pid, void (*run)(void *context, uint64_t kept),
		void *context);

/*
 * Closes the socket and kills the process. One that waits for a disk that
 * hangs is left to whom it comes to then.
 */
void child_stop(pid_t pid, int sock);

/* Sends what is in `data`, with a descriptor unless that is -1. */
bool child_send(int sock, const void *data, size_t size, int fd);

/* Returns the size of what was received, at most `size`, or a negative errno.
 */
ssize_t child_receive(int sock, void *data, size_t size, int *fd);

/*
 * Has its answers wake, or not: only while there is one to come, as who is idle
 * may die, and its socket be readable for ever. Without a socket, nothing.
 */
void child_listen(int epoll, int sock, bool on);

#endif
