// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes the part of the module against an agent of its own: opens a capture,
 * asks for secrets, and prints them as key log lines until SIGINT, SIGTERM or
 * the end of its time. What is worth knowing goes to standard error.
 *
 *	keytap [-i INTERFACE] [-t SECONDS] [-v] [AGENT [OPTION...]]
 *
 * -v prints process and hook behind each line. Exit status 3: no secrets.
 */
#define _GNU_SOURCE

#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ebpftls-control-io.h"
#include "events.h"

#define SECOND	   1000		 /* milliseconds */
#define PATIENCE   (30 * SECOND) /* the agent has less for a cold disk */
#define LOOK_AGAIN 20

static const char *const labels[EBPFTLS_LABELS] = EBPFTLS_LABEL_NAMES;

static volatile sig_atomic_t stopped;
static bool verbose;

static void
stop(int number)
{
	(void)number;
	stopped = 1;
}

static int64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000000;
}

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "keytap: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

static pid_t
start_agent(char **argv, int *sock)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		die("socketpair", strerror(errno));
	pid = fork();
	if (pid < 0)
		die("fork", strerror(errno));
	if (pid == 0) {
		dup2(pair[1], 0);
		execv(argv[0], argv);
		die(argv[0], strerror(errno));
	}
	close(pair[1]);
	*sock = pair[0];
	return pid;
}

static void
say(int sock, union ebpftls_any_message *message, enum ebpftls_message type)
{
	int error = ebpftls_control_send(sock, message, type, NULL, 0);

	if (error != 0)
		die("send", strerror(-error));
}

/* The next message; of its descriptors the first, or -1, unless closed. */
static int
hear(int sock, union ebpftls_any_message *message, int *fd)
{
	struct pollfd wait = { .fd = sock, .events = POLLIN };
	int fds[EBPFTLS_RINGS_MAX], type;
	size_t count, kept;

	if (poll(&wait, 1, PATIENCE) <= 0)
		die("the agent", "says nothing");
	type = ebpftls_control_receive(sock, message, fds, &count);
	if (type <= 0)
		die("the agent", type < 0 ? strerror(-type) : "has gone");
	if (type == EBPFTLS_ERROR)
		die("the agent refuses", message->error.text);
	kept = fd != NULL && count > 0;
	ebpftls_control_close(fds + kept, count - kept);
	if (fd != NULL)
		*fd = kept ? fds[0] : -1;
	return type;
}

static void
open_capture(int sock, const char *interface)
{
	union ebpftls_any_message message = { .open.snaplen = 64 };
	uint32_t rings, got = 0;

	snprintf(message.open.interface, sizeof(message.open.interface), "%s",
		 interface);
	say(sock, &message, EBPFTLS_OPEN);
	if (hear(sock, &message, NULL) != EBPFTLS_OPENED)
		die("the agent", "does not open");
	rings = message.opened.rings;
	while (got < rings) {
		if (hear(sock, &message, NULL) != EBPFTLS_RINGS)
			die("the agent", "has no rings");
		got += message.rings.count;
	}
}

/* Returns the ring buffer, or -1. */
static int
take_secrets(int sock)
{
	union ebpftls_any_message message;
	int64_t start = now();
	int fd, type;

	memset(&message, 0, sizeof(message));
	say(sock, &message, EBPFTLS_SECRETS);
	do
		type = hear(sock, &message, &fd);
	while (type != EBPFTLS_SECRETS_ON && type != EBPFTLS_SECRETS_OFF);
	if (type == EBPFTLS_SECRETS_ON) {
		fprintf(stderr, "keytap: ready, %u files, %u bytes, %d ms\n",
			message.secrets_on.files, message.secrets_on.size,
			(int)(now() - start));
		return fd;
	}
	fprintf(stderr, "keytap: no secrets: %s\n", message.secrets_off.text);
	return -1;
}

static void
print_hex(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		printf("%02x", bytes[i]);
}

static int
print_secret(void *context, void *data, size_t size)
{
	struct ebpftls_secret secret;

	(void)context;
	if (size < sizeof(secret))
		die("a record", "is too short");
	memcpy(&secret, data, sizeof(secret));
	if (secret.label >= EBPFTLS_LABELS ||
	    secret.length > sizeof(secret.secret))
		die("a record", "is wrong");
	printf("%s ", labels[secret.label]);
	print_hex(secret.random, sizeof(secret.random));
	putchar(' ');
	print_hex(secret.secret, secret.length);
	if (verbose)
		printf(" # pid %u tid %u file %u lost %u", secret.pid,
		       secret.tid, secret.file, secret.lost);
	putchar('\n');
	fflush(stdout);
	return 0;
}

static void
tap(int sock, int ring_fd, int64_t end)
{
	struct ring_buffer *ring =
	    ring_buffer__new(ring_fd, print_secret, NULL, NULL);

	if (ring == NULL)
		die("the ring buffer", strerror(errno));
	while (!stopped && (end == 0 || now() < end)) {
		struct pollfd wait[] = {
			{ .fd = sock, .events = POLLIN },
			{ .fd = ring_buffer__epoll_fd(ring), .events = POLLIN },
		};

		poll(wait, 2, LOOK_AGAIN);
		ring_buffer__consume(ring);
		if (wait[0].revents)
			hear(sock, &(union ebpftls_any_message){ 0 }, NULL);
	}
	ring_buffer__consume(ring);
	ring_buffer__free(ring);
}

int
main(int argc, char **argv)
{
	const char *interface = "lo";
	int64_t end = 0;
	int sock, ring, option, status = EXIT_SUCCESS;
	char *agent[] = { getenv("EBPFTLS_AGENT"), NULL };
	struct sigaction action = { .sa_handler = stop };
	pid_t pid;

	while ((option = getopt(argc, argv, "+i:t:v")) != -1) {
		switch (option) {
		case 'i':
			interface = optarg;
			break;
		case 't':
			end = now() + atoi(optarg) * SECOND;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			return EXIT_FAILURE;
		}
	}
	if (optind == argc && agent[0] == NULL)
		die("which agent", "name it, or set EBPFTLS_AGENT");
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	pid = start_agent(optind < argc ? argv + optind : agent, &sock);
	open_capture(sock, interface);
	ring = take_secrets(sock);
	if (ring >= 0)
		tap(sock, ring, end);
	else
		status = 3;
	end = now();
	close(sock);
	waitpid(pid, NULL, 0);
	fprintf(stderr, "keytap: agent gone after %d ms\n", (int)(now() - end));
	return status;
}
