// SPDX-License-Identifier: BSD-3-Clause
/*
 * ebpftls run: captures what a command and its children send and get, from
 * their first packet. The command waits in its process until the capture is
 * open, because the device's option pid= wants to know that process.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "device.h"

/* As env(1) and others have it. */
#define NOT_EXECUTABLE 126
#define NOT_FOUND      127
#define SIGNALLED      128

/* After the command: no packet for so long, or at most so long, is the end. */
#define QUIET_MS 300
#define LAST_MS	 2000

struct run {
	const char *interface;
	const char *path;
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	unsigned int captured;
	bool failed;
};

static pid_t child;

static bool
set(void *settings, char letter, const char *argument)
{
	struct run *run = settings;

	if (letter == 'i') {
		run->interface = argument;
		return true;
	}
	run->path = argument;
	/* standard output is the command's */
	return *argument != '\0' && strcmp(argument, "-") != 0;
}

/* The gate opens by a byte; when there is no capture, it closes. */
__attribute__((noreturn)) static void
become_command(const int gate[2], char **command)
{
	char byte;

	close(gate[1]);
	if (read(gate[0], &byte, 1) != 1)
		_exit(EXIT_FAILURE);
	execvp(command[0], command);
	complain("%s: %s", command[0], strerror(errno));
	_exit(errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);
}

/* Returns the end of the gate that opens it, or -1. */
static int
start_command(char **command)
{
	int gate[2];

	if (pipe2(gate, O_CLOEXEC) != 0)
		return complain("pipe: %s", strerror(errno));
	child = fork();
	if (child == 0)
		become_command(gate, command);
	close(gate[0]);
	return child > 0 ? gate[1] : complain("fork: %s", strerror(errno));
}

static int
open_capture(struct run *run, char **words, int count)
{
	char option[64];

	snprintf(option, sizeof(option), ",pid=%d,children", (int)child);
	run->pcap = device_open(run->interface, option);
	if (run->pcap == NULL || device_filter(run->pcap, words, count) != 0)
		return -1;
	run->dumper = pcap_dump_open(run->pcap, run->path);
	return run->dumper != NULL ? 0 : complain("%s", pcap_geterr(run->pcap));
}

static void
hand_on(int signal)
{
	kill(child, signal);
}

/*
 * The terminal sends its signals to the command as well, and what they end is
 * the command, not the capture. What is sent to us alone is handed on.
 */
static void
divert_signals(void)
{
	struct sigaction action = { .sa_handler = hand_on,
				    .sa_flags = SA_RESTART };

	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static void
save(u_char *user, const struct pcap_pkthdr *header, const u_char *bytes)
{
	struct run *run = (struct run *)user;

	pcap_dump((u_char *)run->dumper, header, bytes);
	run->captured++;
}

/* Returns how many packets came. */
static int
capture(struct run *run)
{
	int count = pcap_dispatch(run->pcap, -1, save, (u_char *)run);

	if (count < 0) {
		complain("%s", pcap_geterr(run->pcap));
		run->failed = true;
	}
	return count;
}

/* What its sockets still get and send: they end after it. */
static void
capture_last(struct run *run)
{
	struct pollfd fd = { pcap_get_selectable_fd(run->pcap), POLLIN, 0 };
	int64_t start = now_ms(), end = start + QUIET_MS, now;

	while (!run->failed && (now = now_ms()) < end) {
		poll(&fd, 1, (int)(end - now));
		if (capture(run) > 0)
			end = now_ms() + QUIET_MS;
		if (end > start + LAST_MS)
			end = start + LAST_MS;
	}
}

/* Returns the exit status of the command, as a shell has it. */
static int
capture_command(struct run *run)
{
	struct pollfd fds[] = {
		{ (int)syscall(SYS_pidfd_open, child, 0), POLLIN, 0 },
		{ pcap_get_selectable_fd(run->pcap), POLLIN, 0 },
	};
	int status;

	while (fds[0].fd >= 0 && fds[0].revents == 0) {
		if (poll(fds, run->failed ? 1 : 2, -1) < 0)
			fds[0].revents = 0;
		else if (fds[1].revents != 0 && !run->failed)
			capture(run);
	}
	/* from here on the pid may become another's */
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? SIGNALLED + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static void
end_capture(struct run *run)
{
	capture_last(run);
	if (pcap_dump_flush(run->dumper) != 0) {
		complain("%s: %s", run->path, strerror(errno));
		run->failed = true;
	}
	pcap_dump_close(run->dumper);
	device_close(run->pcap, run->captured);
}

/* Where the command begins; what is before it is all ours. */
static int
find_command(int argc, char **argv)
{
	int at = 1;

	while (at < argc && strcmp(argv[at], "--") != 0)
		at++;
	return at;
}

int
run(const struct command *self, int argc, char **argv)
{
	struct run run = { .interface = "any" };
	int end = find_command(argc, argv), gate, status;
	int first = command_parse(self, end, argv, set, &run);

	if (end >= argc - 1)
		command_misused(self, "what to run is missing, after --");
	if (run.path == NULL)
		command_misused(self, "-w FILE is missing");
	gate = start_command(argv + end + 1);
	if (gate < 0 || open_capture(&run, argv + first, end - first) != 0)
		return self->failed;
	divert_signals();
	if (write(gate, "", 1) != 1)
		return self->failed;
	close(gate);
	status = capture_command(&run);
	end_capture(&run);
	return run.failed ? self->failed : status;
}
