// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reaches an agent and keeps what it gives.
 *
 * The agent lives as long as the connection. It is not stopped by a message
 * or a shutdown(), because after a fork() the connection is there twice and
 * only one of the two may be done with it.
 */
#define _GNU_SOURCE

#include "ebpftls-client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ebpftls-control-io.h"
#include "ebpftls-spawn.h"

/* Loading takes well under a second; an emulated machine may need many. */
#define ANSWER_MS 60000

/* An answer that another thread has taken in wakes nobody. */
#define LOOK_MS 10

/* An agent takes milliseconds to go; a capture that lives on elsewhere
 * after a fork() must not hold up who closes its own copy for long. */
#define STOP_MS 1000

/* Of messages that are taken in at once. */
#define AT_ONCE 1024

#define RINGS_LIMIT 65536

/* The words of pcap-linux.c. */
#define GONE "The interface disappeared"

#define DEAF   "cannot hear the ebpftls agent: %s"
#define SILENT "the ebpftls agent does not answer"
#define ENDED  "the ebpftls agent ended without an answer"

__attribute__((format(printf, 3, 4))) static int
fail(struct ebpftls_failure *failure, enum ebpftls_reason reason,
     const char *format, ...)
{
	va_list args;

	failure->reason = reason;
	va_start(args, format);
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	va_end(args);
	return -1;
}

void
ebpftls_client_init(struct ebpftls_client *client)
{
	memset(client, 0, sizeof(*client));
	client->sock = client->secrets.fd = -1;
	for (int i = 0; i < EBPFTLS_FDS; i++)
		client->fds[i] = -1;
}

static void
release(struct ebpftls_client *client)
{
	if (client->sock >= 0)
		close(client->sock);
	ebpftls_control_close(client->fds, EBPFTLS_FDS);
	for (uint32_t i = 0; i < client->ring_count; i++)
		close(client->rings[i].fd);
	free(client->rings);
	if (client->secrets.fd >= 0)
		close(client->secrets.fd);
	ebpftls_client_init(client);
}

/* Connects to the service; -ENOENT or -ECONNREFUSED: there is none. */
static int
connect_service(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock, error = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) != 0)
		error = -errno;
	if (error == 0)
		return sock;
	close(sock);
	return error;
}

static int
start_agent(struct ebpftls_reach *reach, struct ebpftls_failure *failure)
{
	const char *path = reach->path;
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fail(failure, EBPFTLS_REASON_OTHER, "socketpair: %s",
			    strerror(errno));
	error = reach->error = ebpftls_spawn(path, pair[1]);
	close(pair[1]);
	if (error == 0)
		return pair[0];
	close(pair[0]);
	if (error == -EACCES || error == -EPERM)
		return fail(failure, EBPFTLS_REASON_NO_PERMISSION,
			    "cannot execute %s: %s - if AppArmor or another "
			    "sandbox confines this program it must allow that, "
			    "see pcap-ebpftls(7)",
			    path, strerror(-error));
	return fail(failure, EBPFTLS_REASON_OTHER,
		    "cannot execute %s: %s - is ebpftls installed completely?",
		    path, strerror(-error));
}

static const char *
setting(const char *name, const char *otherwise)
{
	const char *value = secure_getenv(name);

	return value != NULL ? value : otherwise;
}

int
ebpftls_client_reach(struct ebpftls_reach *reach,
		     struct ebpftls_failure *failure)
{
	const char *service = setting("EBPFTLS_SOCKET", EBPFTLS_SOCKET_PATH);
	int sock = connect_service(service);

	*reach = (struct ebpftls_reach){ service, true, sock < 0 ? sock : 0 };
	if (sock >= 0)
		return sock;
	if (geteuid() == 0) {
		reach->path = setting("EBPFTLS_AGENT", EBPFTLS_AGENT_PATH);
		reach->is_service = false;
		return start_agent(reach, failure);
	}
	if (sock == -ENOENT || sock == -ECONNREFUSED)
		return fail(failure, EBPFTLS_REASON_NO_PERMISSION,
			    "only root can capture, as no ebpftls service "
			    "listens on %s - start ebpftls-agent.socket, or "
			    "run this as root",
			    service);
	return fail(failure, EBPFTLS_REASON_NO_PERMISSION,
		    "cannot reach the ebpftls service at %s: %s", service,
		    strerror(-sock));
}

static int64_t
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* For poll(). */
static int
milliseconds_to(int64_t until)
{
	const int64_t left = until - milliseconds();

	return left > 0 ? (int)left : 0;
}

/*
 * Messages that no question is answered by, and that may come at any time.
 * False: it is none of them.
 */
static bool
take_news(struct ebpftls_client *client, int type,
	  const union ebpftls_any_message *message)
{
	switch (type) {
	case EBPFTLS_PROCESS:
		if (client->process != NULL)
			client->process(client->context, &message->process);
		return true;
	case EBPFTLS_HOOKED:
		if (client->hooked != NULL)
			client->hooked(client->context, &message->hooked);
		return true;
	case EBPFTLS_LIBRARY:
		if (client->library != NULL)
			client->library(client->context, &message->library);
		return true;
	case EBPFTLS_NOTE:
		memcpy(client->note, message->note.text, sizeof(client->note));
		client->notes++;
		return true;
	case EBPFTLS_GONE:
		client->gone = true;
		return true;
	default:
		return false;
	}
}

/* The next message, which has to come in time. Returns its type or -1. */
static int
await_any(int sock, int64_t until, union ebpftls_any_message *message,
	  int fds[EBPFTLS_RINGS_MAX], size_t *count,
	  struct ebpftls_failure *failure)
{
	struct pollfd wait = { .fd = sock, .events = POLLIN };
	int ready, type;

	*count = 0;
	do {
		ready = poll(&wait, 1, milliseconds_to(until));
		if (ready == 0)
			return fail(failure, EBPFTLS_REASON_OTHER, SILENT);
		if (ready < 0 && errno != EINTR)
			return fail(failure, EBPFTLS_REASON_OTHER, DEAF,
				    strerror(errno));
		type = ebpftls_control_receive_now(sock, message, fds, count);
	} while (type == -EINTR || type == -EAGAIN);
	if (type == 0 || type == -ECONNRESET)
		return fail(failure, EBPFTLS_REASON_OTHER, ENDED);
	if (type < 0 && type != -EBADMSG)
		return fail(failure, EBPFTLS_REASON_OTHER, DEAF,
			    strerror(-type));
	if (type < 0)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "the ebpftls agent and this libpcap do not "
			    "understand each other: %s - are they of one "
			    "version?",
			    strerror(-type));
	if (type == EBPFTLS_ERROR) {
		ebpftls_control_close(fds, *count);
		return fail(failure, message->error.reason, "%s",
			    message->error.text);
	}
	return type;
}

/* The next one that may be an answer. */
static int
await(struct ebpftls_client *client, union ebpftls_any_message *message,
      int fds[EBPFTLS_RINGS_MAX], size_t *count,
      struct ebpftls_failure *failure)
{
	const int64_t until = milliseconds() + ANSWER_MS;
	int type;

	while ((type = await_any(client->sock, until, message, fds, count,
				 failure)) > 0 &&
	       take_news(client, type, message))
		ebpftls_control_close(fds, *count);
	return type;
}

static int
confused(struct ebpftls_failure *failure)
{
	return fail(failure, EBPFTLS_REASON_OTHER,
		    "the ebpftls agent sent what was not expected");
}

static int
take_opened(struct ebpftls_client *client, const struct ebpftls_opened *opened,
	    int *fds, size_t count, struct ebpftls_failure *failure)
{
	const uint32_t needed =
	    1u << EBPFTLS_FD_SHARED | 1u << EBPFTLS_FD_COUNTERS |
	    1u << EBPFTLS_FD_DOORBELL | 1u << EBPFTLS_FD_AGENT;
	size_t next = 0;

	for (int i = 0; i < EBPFTLS_FDS; i++)
		if ((opened->present & 1u << i) && next < count)
			client->fds[i] = fds[next++];
	ebpftls_control_close(fds + next, count - next);
	if ((opened->present & needed) != needed || next != count ||
	    next != (size_t)__builtin_popcount(opened->present) ||
	    opened->rings == 0 || opened->rings > RINGS_LIMIT ||
	    opened->counters > RINGS_LIMIT || opened->ring_size == 0 ||
	    (opened->ring_size & (opened->ring_size - 1)) != 0)
		return confused(failure);
	client->ring_size = opened->ring_size;
	client->counters = opened->counters;
	client->hatype = opened->hatype;
	memcpy(client->no_owners, opened->no_owners, sizeof(client->no_owners));
	client->rings = calloc(opened->rings, sizeof(*client->rings));
	if (client->rings == NULL)
		return fail(failure, EBPFTLS_REASON_OTHER, "out of memory");
	return 0;
}

/* The descriptors are the client's even if they are too many or senseless. */
static int
take_rings(struct ebpftls_client *client, uint32_t expected,
	   const struct ebpftls_rings *rings, int *fds, size_t count,
	   struct ebpftls_failure *failure)
{
	bool valid = rings->count == count && count > 0 &&
		     count <= expected - client->ring_count;

	for (size_t i = 0; valid && i < count; i++)
		valid = rings->cpu[i] < client->counters;
	if (!valid) {
		ebpftls_control_close(fds, count);
		return confused(failure);
	}
	for (size_t i = 0; i < count; i++) {
		client->rings[client->ring_count].cpu = rings->cpu[i];
		client->rings[client->ring_count++].fd = fds[i];
	}
	return 0;
}

static int
negotiate(struct ebpftls_client *client, const struct ebpftls_open *request,
	  struct ebpftls_failure *failure)
{
	union ebpftls_any_message message = { .open = *request };
	int fds[EBPFTLS_RINGS_MAX], type;
	uint32_t expected;
	size_t count;

	type =
	    ebpftls_control_send(client->sock, &message, EBPFTLS_OPEN, NULL, 0);
	/* an agent that refuses at once has said why before it closed */
	if (type != 0 && type != -EPIPE)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "cannot speak to the ebpftls agent: %s",
			    strerror(-type));
	type = await(client, &message, fds, &count, failure);
	if (type < 0)
		return -1;
	if (type != EBPFTLS_OPENED) {
		ebpftls_control_close(fds, count);
		return confused(failure);
	}
	expected = message.opened.rings;
	if (take_opened(client, &message.opened, fds, count, failure) != 0)
		return -1;
	while (client->ring_count < expected) {
		type = await(client, &message, fds, &count, failure);
		if (type < 0)
			return -1;
		if (type != EBPFTLS_RINGS) {
			ebpftls_control_close(fds, count);
			return confused(failure);
		}
		if (take_rings(client, expected, &message.rings, fds, count,
			       failure) != 0)
			return -1;
	}
	return 0;
}

int
ebpftls_client_start(struct ebpftls_client *client,
		     const struct ebpftls_open *request,
		     struct ebpftls_failure *failure)
{
	struct ebpftls_reach reach;
	int result;

	client->sock = ebpftls_client_reach(&reach, failure);
	if (client->sock < 0)
		return -1;
	result = negotiate(client, request, failure);
	if (result != 0)
		release(client);
	return result;
}

int
ebpftls_client_ask(struct ebpftls_client *client,
		   const struct ebpftls_hooked *question)
{
	union ebpftls_any_message message = { .hooked = *question };

	return ebpftls_control_send(client->sock, &message, EBPFTLS_HOOKED,
				    NULL, 0);
}

static int
send_part(struct ebpftls_client *client, const struct ebpftls_filter_part *part,
	  int answer)
{
	union ebpftls_any_message message = { .filter_part = *part };

	return ebpftls_control_send(client->sock, &message, EBPFTLS_FILTER,
				    &answer, part->first == 0);
}

/* In as many parts as it takes; none is an empty one. */
static int
send_program(struct ebpftls_client *client, const void *program, uint32_t count,
	     uint32_t link_size, int answer)
{
	const struct ebpftls_instruction *next = program;
	struct ebpftls_filter_part part = {
		.link_size = link_size,
		.total = count,
	};
	int error;

	do {
		part.count = count - part.first;
		if (part.count > EBPFTLS_PART_MAX)
			part.count = EBPFTLS_PART_MAX;
		memcpy(part.instructions, next, part.count * sizeof(*next));
		error = send_part(client, &part, answer);
		part.first += part.count;
		next += part.count;
	} while (error == 0 && part.first < count);
	return error;
}

/* Returns as ebpftls_client_filter(). */
static int
await_verdict(int sock, struct ebpftls_failure *failure)
{
	const int64_t until = milliseconds() + ANSWER_MS;
	union ebpftls_any_message message;
	int fds[EBPFTLS_RINGS_MAX], type;
	size_t count;

	type = await_any(sock, until, &message, fds, &count, failure);
	if (type < 0)
		return -1;
	ebpftls_control_close(fds, count);
	if (type == EBPFTLS_FILTER_ON)
		return message.filter_on.settled != 0;
	if (type == EBPFTLS_FILTER_OFF)
		return fail(failure, EBPFTLS_REASON_OTHER, "%s",
			    message.filter_off.text);
	return confused(failure);
}

int
ebpftls_client_filter(struct ebpftls_client *client, const void *program,
		      uint32_t count, uint32_t link_size,
		      struct ebpftls_failure *failure)
{
	bool fits = count <= EBPFTLS_FILTER_MAX;
	int pair[2], result;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fail(failure, EBPFTLS_REASON_OTHER, "socketpair: %s",
			    strerror(errno));
	result =
	    send_program(client, program, fits ? count : 0, link_size, pair[1]);
	/* the agent's, or nobody's */
	close(pair[1]);
	if (result == 0)
		result = await_verdict(pair[0], failure);
	else
		result = fail(failure, EBPFTLS_REASON_OTHER,
			      "cannot speak to the ebpftls agent: %s",
			      strerror(-result));
	close(pair[0]);
	if (fits)
		return result;
	return fail(failure, EBPFTLS_REASON_OTHER,
		    "it has more than %d instructions", EBPFTLS_FILTER_MAX);
}

/* --- what comes, which several threads may take in ----------------------- */

static void
lock(const struct ebpftls_client *client)
{
	if (client->lock != NULL)
		client->lock(client->context);
}

static void
unlock(const struct ebpftls_client *client)
{
	if (client->unlock != NULL)
		client->unlock(client->context);
}

/* The descriptors are taken or closed. */
static void
read_answer(struct ebpftls_secrets_answer *answer, int type,
	    const union ebpftls_any_message *message, int *fds, size_t count)
{
	const uint32_t size = message->secrets_on.size;

	answer->fd = -1;
	if (type == EBPFTLS_SECRETS_ON && count == 1 && size != 0 &&
	    (size & (size - 1)) == 0) {
		answer->fd = fds[0];
		answer->size = size;
		return;
	}
	ebpftls_control_close(fds, count);
	if (type == EBPFTLS_SECRETS_OFF)
		fail(&answer->failure, message->secrets_off.reason, "%s",
		     message->secrets_off.text);
	else
		confused(&answer->failure);
}

/* It is kept for the thread that asked. False: it is no such answer. */
static bool
take_answer(struct ebpftls_client *client, int type,
	    const union ebpftls_any_message *message, int *fds, size_t count)
{
	if (type != EBPFTLS_SECRETS_ON && type != EBPFTLS_SECRETS_OFF)
		return false;
	if (client->answered || client->settled)
		ebpftls_control_close(fds, count);
	else
		read_answer(&client->secrets, type, message, fds, count);
	client->answered = true;
	return true;
}

/* False: there is nothing. */
static bool
take_next(struct ebpftls_client *client)
{
	struct pollfd wait = { .fd = client->sock, .events = POLLIN };
	union ebpftls_any_message message;
	int fds[EBPFTLS_RINGS_MAX], type;
	size_t count;

	if (poll(&wait, 1, 0) <= 0)
		return false;
	/* who has the same connection after a fork() may have been faster */
	type = ebpftls_control_receive_now(client->sock, &message, fds, &count);
	if (type == -EAGAIN)
		return false;
	if (take_answer(client, type, &message, fds, count))
		return true;
	if (type > 0)
		ebpftls_control_close(fds, count);
	if (!take_news(client, type, &message))
		client->ended = true;
	return true;
}

static void
take_all(struct ebpftls_client *client)
{
	for (int i = 0; i < AT_ONCE && !client->ended && take_next(client); i++)
		;
}

int
ebpftls_client_check(struct ebpftls_client *client,
		     struct ebpftls_failure *failure)
{
	int result = 0;

	lock(client);
	take_all(client);
	if (client->gone)
		result = fail(failure, EBPFTLS_REASON_OTHER, "%s", GONE);
	else if (client->ended)
		result = fail(
		    failure, EBPFTLS_REASON_OTHER,
		    "the ebpftls agent has ended, and the capture with it");
	unlock(client);
	return result;
}

/* Whether there is nothing to wait for any more. */
static bool
is_settled(struct ebpftls_client *client)
{
	bool settled;

	lock(client);
	take_all(client);
	settled = client->answered || client->ended;
	unlock(client);
	return settled;
}

/* Waits without the lock, so that others can read packets. */
static void
await_answer(struct ebpftls_client *client)
{
	const int64_t until = milliseconds() + ANSWER_MS;
	struct pollfd wait = { .fd = client->sock, .events = POLLIN };
	int left;

	while (!is_settled(client) && (left = milliseconds_to(until)) > 0)
		poll(&wait, 1, left < LOOK_MS ? left : LOOK_MS);
}

/* Hands out the answer, or what there is instead of one. */
static int
settle(struct ebpftls_client *client, size_t *size,
       struct ebpftls_failure *failure)
{
	int fd;

	lock(client);
	fd = client->secrets.fd;
	if (fd >= 0)
		*size = client->secrets.size;
	else if (client->answered)
		*failure = client->secrets.failure;
	else
		fail(failure, EBPFTLS_REASON_OTHER, "%s",
		     client->ended ? ENDED : SILENT);
	client->secrets.fd = -1;
	client->settled = true;
	unlock(client);
	return fd;
}

int
ebpftls_client_secrets(struct ebpftls_client *client, size_t *size,
		       struct ebpftls_failure *failure)
{
	union ebpftls_any_message message;
	int error;

	memset(&message, 0, sizeof(message));
	error = ebpftls_control_send(client->sock, &message, EBPFTLS_SECRETS,
				     NULL, 0);
	if (error != 0)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "cannot speak to the ebpftls agent: %s",
			    strerror(-error));
	await_answer(client);
	return settle(client, size, failure);
}

void
ebpftls_client_stop(struct ebpftls_client *client)
{
	struct pollfd agent = { .fd = client->fds[EBPFTLS_FD_AGENT],
				.events = POLLIN };

	client->fds[EBPFTLS_FD_AGENT] = -1;
	release(client);
	if (agent.fd >= 0) {
		poll(&agent, 1, STOP_MS);
		close(agent.fd);
	}
}
