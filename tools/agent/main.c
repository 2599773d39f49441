// SPDX-License-Identifier: BSD-3-Clause
/*
 * ebpftls-agent: does for one capture what needs privileges. Serves the
 * connection it is given as descriptor 0, or listens for connections and
 * gives each a process of its own.
 */
#define _GNU_SOURCE

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listen.h"
#include "session.h"

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
