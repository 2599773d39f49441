// SPDX-License-Identifier: BSD-3-Clause
/*
 * Listens for connections and gives each a process. A user who has too many
 * gets no more until one of them ends, so that nobody takes the places, the
 * descriptors and the memory of the others.
 */
#define _GNU_SOURCE

#include "listen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"

#define BACKLOG	 64
#define MOST	 512
#define USERS	 32  /* that one user may have, who is not root */
#define SHORTAGE 100 /* milliseconds to wait in, for descriptors or memory */

struct service {
	int sock;
	int ended; /* signalfd: of a child */
	sigset_t before;
	size_t count;
	struct {
		pid_t pid;
		uid_t uid;
	} served[MOST];
};

static int
complain(const char *what)
{
	fprintf(stderr, "ebpftls-agent: %s: %s\n", what, strerror(errno));
	return EXIT_FAILURE;
}

/* Everybody may connect: who is served is for policy.c to say. */
static int
open_listener(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock =
	    socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	if (sock < 0)
		return -1;
	/* what a listener left that is no more */
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) != 0 &&
	    errno == ECONNREFUSED)
		unlink(path);
	if (bind(sock, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    chmod(path, 0666) != 0 || listen(sock, BACKLOG) != 0)
		return -1;
	return sock;
}

static int
watch_children(sigset_t *before)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, before);
	return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
forget(struct service *service, pid_t pid)
{
	for (size_t i = 0; i < service->count; i++)
		if (service->served[i].pid == pid)
			service->served[i] = service->served[--service->count];
}

static void
collect(struct service *service)
{
	struct signalfd_siginfo info;
	pid_t pid;

	(void)!read(service->ended, &info, sizeof(info));
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		forget(service, pid);
}

static bool
may_have_more(const struct service *service, uid_t uid)
{
	size_t has = 0;

	for (size_t i = 0; i < service->count; i++)
		has += service->served[i].uid == uid;
	return service->count < MOST && (uid == 0 || has < USERS);
}

/* Returns 0 in the child. */
static pid_t
serve(struct service *service, int sock)
{
	struct peer peer;
	uid_t uid;
	pid_t pid;

	if (peer_of(sock, &peer) != 0)
		return -1;
	uid = peer.uid;
	peer_free(&peer);
	if (!may_have_more(service, uid))
		return -1;
	pid = fork();
	if (pid < 0)
		complain("fork");
	if (pid > 0) {
		service->served[service->count].pid = pid;
		service->served[service->count++].uid = uid;
	}
	return pid;
}

/* False if that is for ever. */
static bool
is_for_now(void)
{
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
	    errno == ENOMEM) {
		poll(NULL, 0, SHORTAGE);
		return true;
	}
	return errno == EINTR || errno == EAGAIN || errno == ECONNABORTED;
}

int
listen_for_ever(const char *path, const struct session_options *options)
{
	static struct service service;
	struct pollfd wait[2] = { { .events = POLLIN }, { .events = POLLIN } };

	wait[0].fd = service.sock = open_listener(path);
	if (service.sock < 0)
		return complain(path);
	wait[1].fd = service.ended = watch_children(&service.before);
	if (service.ended < 0)
		return complain("signalfd");
	for (;;) {
		int sock;

		poll(wait, 2, -1);
		collect(&service);
		sock = accept4(service.sock, NULL, NULL, SOCK_CLOEXEC);
		if (sock < 0 && !is_for_now())
			return complain("accept");
		if (sock >= 0 && serve(&service, sock) == 0) {
			close(service.sock);
			close(service.ended);
			sigprocmask(SIG_SETMASK, &service.before, NULL);
			return session_run(sock, options) == 0 ? EXIT_SUCCESS
							       : EXIT_FAILURE;
		}
		if (sock >= 0)
			close(sock);
	}
}
