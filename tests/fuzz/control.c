// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for what an agent says to a client, and for what a client
 * says to an agent, filters included. Whatever that is, no descriptor may stay.
 *
 * The input: for each message the number of descriptors, the length in two
 * bytes, and the message.
 */
#define _GNU_SOURCE

#include "ebpftls-client.h"
#include "ebpftls-control-io.h"
#include "filter.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "require.h"

#define DESCRIPTORS 70 /* more than a message may have */

struct input {
	const uint8_t *next;
	size_t left;
};

static struct ebpftls_client client;
static struct input script; /* of the agent */
static int agent;	    /* its end of the connection; -1: closed */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int
next_descriptor(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	setenv("EBPFTLS_SOCKET", "/nowhere", 1);
	return 0;
}

static void
send_raw(int sock, const uint8_t *bytes, size_t size, size_t descriptors)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
	} control;
	struct iovec part = { (void *)(uintptr_t)bytes, size };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };
	int list[DESCRIPTORS];

	for (int i = 0; i < DESCRIPTORS; i++)
		list[i] = 0;
	if (descriptors > 0) {
		size_t length = descriptors * sizeof(int);

		memset(&control, 0, sizeof(control));
		packet.msg_control = &control;
		packet.msg_controllen = CMSG_SPACE(length);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(length);
		memcpy(CMSG_DATA(&control.header), list, length);
	}
	require(sendmsg(sock, &packet, MSG_NOSIGNAL) == (ssize_t)size ||
		errno == EPIPE);
}

/* Sends the next message; false: there is none. */
static bool
send_next(struct input *input, int sock)
{
	size_t descriptors, size;

	if (input->left < 3)
		return false;
	descriptors = input->next[0] % (DESCRIPTORS + 1);
	size = (size_t)(input->next[1] | input->next[2] << 8);
	input->next += 3;
	input->left -= 3;
	if (size > input->left)
		size = input->left;
	send_raw(sock, input->next, size, descriptors);
	input->next += size;
	input->left -= size;
	return true;
}

/* --- the agent, whenever the client turns to it -------------------------- */

/* Instead of the C library's: whatever the address, it is the agent's. */
int
connect(int sock, const struct sockaddr *address, socklen_t size)
{
	int pair[2];

	(void)address;
	(void)size;
	require(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	require(dup2(pair[0], sock) == sock);
	close(pair[0]);
	agent = pair[1];
	return 0;
}

static void
close_agent(void)
{
	if (agent >= 0)
		close(agent);
	agent = -1;
}

/* The agent hears a filter, and goes on where the answer is to come. */
static void
turn_to_answer(void)
{
	union ebpftls_any_message message;
	int fds[EBPFTLS_RINGS_MAX], answer = -1, type;
	size_t count;

	do {
		type = ebpftls_control_receive(agent, &message, fds, &count);
		if (type == EBPFTLS_FILTER && count == 1)
			answer = fds[0];
	} while (type > 0 && answer < 0);
	close_agent();
	agent = answer;
}

/* Likewise. An agent that has nothing to say any more ends. */
int
poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	(void)count;
	(void)timeout_ms;
	if (agent >= 0 && client.ring_count > 0 && fds->fd != client.sock)
		turn_to_answer();
	if (agent >= 0 && !send_next(&script, agent))
		close_agent();
	return 1;
}

static void
be_client(const uint8_t *bytes, size_t size)
{
	static const struct ebpftls_open request = { .interface = "lo" };
	static const struct ebpftls_instruction program;
	struct ebpftls_failure failure;
	int result;

	script = (struct input){ bytes, size };
	ebpftls_client_init(&client);
	result = ebpftls_client_start(&client, &request, &failure);
	if (result == 0) {
		require(client.ring_count > 0);
		for (int i = 0; i < 3; i++)
			ebpftls_client_check(&client, &failure);
		ebpftls_client_filter(&client, &program, 1, 0, &failure);
		while (ebpftls_client_check(&client, &failure) == 0)
			;
		ebpftls_client_stop(&client);
	}
	require(memchr(failure.text, '\0', sizeof(failure.text)) != NULL);
	require(client.sock == -1 && client.rings == NULL);
	close_agent();
}

/* --- the agent's own side ------------------------------------------------ */

/* Instead of the capture's: there is none. */
bool
capture_has(const struct capture *capture, enum ebpftls_slot slot)
{
	(void)capture;
	(void)slot;
	return false;
}

int
capture_set_filter(const struct capture *capture, enum ebpftls_slot slot,
		   int program)
{
	(void)capture;
	(void)slot;
	(void)program;
	return 0;
}

int
capture_programs_fd(const struct capture *capture)
{
	(void)capture;
	return -1;
}

int
capture_verdicts_fd(const struct capture *capture)
{
	(void)capture;
	return -1;
}

static void
be_agent(const uint8_t *bytes, size_t size)
{
	struct input input = { bytes, size };
	union ebpftls_any_message message;
	static const struct capture capture;
	int pair[2], fds[EBPFTLS_RINGS_MAX], type;
	struct filter filter;
	size_t count;

	filter_init(&filter);
	require(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	while (send_next(&input, pair[0])) {
		type = ebpftls_control_receive(pair[1], &message, fds, &count);
		require(count <= EBPFTLS_RINGS_MAX && (type > 0 || count == 0));
		if (type == EBPFTLS_OPEN)
			require(
			    strlen(message.open.interface) <
				EBPFTLS_NAME_SIZE &&
			    strlen(message.open.netns) < EBPFTLS_NETNS_SIZE &&
			    message.open.wants.count[0] <= EBPFTLS_WANTS_MAX);
		if (type == EBPFTLS_FILTER && count < 2) {
			filter_take(&filter, &message.filter_part,
				    count == 1 ? fds[0] : -1, &capture);
			count = 0;
		}
		ebpftls_control_close(fds, count);
	}
	filter_close(&filter);
	close(pair[0]);
	close(pair[1]);
}

/* In memory that ends where the message does. */
static void
validate(const uint8_t *bytes, size_t size)
{
	union ebpftls_any_message *message = malloc(size);

	require(message != NULL);
	memcpy(message, bytes, size);
	(void)ebpftls_control_valid(message, size);
	free(message);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	int first_free = next_descriptor();

	be_client(bytes, size);
	be_agent(bytes, size);
	if (size > 3)
		validate(bytes + 3, size - 3);
	require(next_descriptor() == first_free);
	return 0;
}
