// SPDX-License-Identifier: BSD-3-Clause
/*
 * ebpftls-agent: does for one capture what needs privileges. Serves the
 * connection it is given as descriptor 0, or listens for connections and
 * gives each a process of its own.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "session.h"

#define BACKLOG 64

static int
usage(FILE *to, int status)
{
	fputs("usage: ebpftls-agent [--listen PATH] [--group NAME] "
	      "[--clsact]\n"
	      "Captures for programs on libpcap that open ebpftls devices; "
	      "they start it.\n"
	      "  --listen PATH  serve everybody who connects to this socket\n"
	      "  --group NAME   members of this group may capture too\n"
	      "  --clsact       attach by TC filters even where the kernel "
	      "has TCX links\n",
	      to);
	return status;
}

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
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

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

/* Each connection has a process; nobody waits for them. */
static int
listen_for_ever(const char *path, const struct session_options *options)
{
	int listener = open_listener(path);

	if (listener < 0)
		return complain(path);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (sock < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (sock < 0)
			return complain("accept");
		switch (fork()) {
		case 0:
			close(listener);
			signal(SIGCHLD, SIG_DFL);
			return session_run(sock, options) == 0 ? EXIT_SUCCESS
							       : EXIT_FAILURE;
		case -1:
			complain("fork");
			break;
		default:
			break;
		}
		close(sock);
	}
}

/* Each file that is hooked costs a descriptor, or two for each hook. */
static void
raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int
main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "group", required_argument, NULL, 'g' },
		{ "clsact", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct session_options options = { NULL, false };
	const char *listen_path = NULL;
	int type, option;
	socklen_t size = sizeof(type);

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) !=
	       -1) {
		switch (option) {
		case 'l':
			listen_path = optarg;
			break;
		case 'g':
			options.group = optarg;
			break;
		case 'c':
			options.clsact = true;
			break;
		case 'h':
			return usage(stdout, EXIT_SUCCESS);
		default:
			return usage(stderr, EXIT_FAILURE);
		}
	}
	if (optind != argc)
		return usage(stderr, EXIT_FAILURE);
	raise_limits();
	if (listen_path != NULL)
		return listen_for_ever(listen_path, &options);
	if (getsockopt(0, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
	    type != SOCK_SEQPACKET) {
		fputs("ebpftls-agent: programs on libpcap start this by "
		      "themselves; see --help\n",
		      stderr);
		return EXIT_FAILURE;
	}
	return session_run(0, &options) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
