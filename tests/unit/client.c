// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does the client take from an agent what it needs, and from one that is mad,
 * mute or dead nothing but a reason? The agent here is a child of ours behind
 * a service socket, that does as it is told.
 */
#define _GNU_SOURCE

#include "ebpftls-client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ebpftls-control-io.h"
#include "unit/check.h"

#define IMPATIENT_MS 50
#define NEEDED	     0xfu /* bits of the descriptors that must be there */
#define CPUS	     80u
#define NOBODY	     65534
#define LIFE_SECONDS 60 /* of an agent that nobody ends */

/* What the agent does once it has read the request. */
typedef void agent(int sock);

static struct ebpftls_client client;
static struct ebpftls_failure failure;
static const struct ebpftls_open request = {
	.snaplen = 1234,
	.interface = "lo",
	.netns = "test",
};

/* Gets what the agent says of processes. */
static void (*to_hear)(void *context, const struct ebpftls_process *facts);
static unsigned int heard_count;

static char folder[] = "/tmp/ebpftls-client-XXXXXX";
static char path[sizeof(folder) + 16];
static pid_t child;

/* --- patience ------------------------------------------------------------ */

static bool impatient;
static int longest_wait;

/* Somebody else who reads what comes, when this side knows of it already. */
static void (*rival)(int sock);

/* Instead of the C library's: seconds pass with each look at the clock. */
static bool hurried;

int
clock_gettime(clockid_t clock, struct timespec *time)
{
	static time_t passed;
	const long result = syscall(SYS_clock_gettime, clock, time);

	passed += hurried;
	time->tv_sec += passed;
	return (int)result;
}

/* Likewise: nobody waits a minute for a test. */
int
poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	void (*const other)(int) = rival;
	struct timespec limit;
	int ready;

	if (timeout_ms > longest_wait)
		longest_wait = timeout_ms;
	if (impatient && timeout_ms > IMPATIENT_MS)
		timeout_ms = IMPATIENT_MS;
	limit.tv_sec = timeout_ms / 1000;
	limit.tv_nsec = timeout_ms % 1000 * 1000000L;
	ready = ppoll(fds, count, timeout_ms < 0 ? NULL : &limit, NULL);
	if (ready > 0 && other != NULL) {
		rival = NULL;
		other(fds->fd);
		rival = other;
	}
	return ready;
}

/* --- the agent ----------------------------------------------------------- */

static void
wait_for_end(int sock)
{
	char byte;

	while (recv(sock, &byte, 1, 0) > 0)
		;
}

/* The read end of a pipe: ready when the agent, who has the other, is gone. */
static int
life(void)
{
	static int both[2] = { -1, -1 };

	if (both[0] < 0 && pipe(both) != 0)
		abort();
	return both[0];
}

static void
say(int sock, union ebpftls_any_message message, enum ebpftls_message type,
    size_t descriptors)
{
	int list[EBPFTLS_RINGS_MAX];
	int nothing = open("/dev/null", O_RDWR);

	for (int i = 0; i < EBPFTLS_RINGS_MAX; i++)
		list[i] = i == EBPFTLS_FD_AGENT ? life() : nothing;
	ebpftls_control_send(sock, &message, type, list, descriptors);
}

static void
say_opened(int sock, struct ebpftls_opened opened, size_t descriptors)
{
	const union ebpftls_any_message message = { .opened = opened };

	say(sock, message, EBPFTLS_OPENED, descriptors);
}

/* The rings of `count` CPUs from `first` on. */
static void
say_rings(int sock, uint32_t first, uint32_t count, size_t descriptors)
{
	union ebpftls_any_message message = { .rings.count = count };

	for (uint32_t i = 0; i < count; i++)
		message.rings.cpu[i] = first + i;
	say(sock, message, EBPFTLS_RINGS, descriptors);
}

static struct ebpftls_opened
usual(void)
{
	return (struct ebpftls_opened){
		.present = NEEDED,
		.rings = 70,
		.counters = CPUS,
		.ring_size = 8192,
		.hatype = 772,
	};
}

static void
good(int sock)
{
	say_opened(sock, usual(), 4);
	say_rings(sock, 5, 64, 64);
	say_rings(sock, 69, 6, 6);
	wait_for_end(sock);
}

static void
generous(int sock)
{
	struct ebpftls_opened opened = usual();

	opened.present = 0x7f;
	opened.rings = 1;
	say_opened(sock, opened, 7);
	say_rings(sock, 0, 1, 1);
	wait_for_end(sock);
}

static void
refusing(int sock)
{
	union ebpftls_any_message message;

	memset(&message, 0, sizeof(message));
	message.error.reason = EBPFTLS_REASON_NOT_UP;
	memset(message.error.text, 'n', EBPFTLS_TEXT_SIZE - 1);
	say(sock, message, EBPFTLS_ERROR, 0);
}

static void
refusing_with_descriptors(int sock)
{
	const union ebpftls_any_message message = {
		.error = { .reason = EBPFTLS_REASON_OTHER, .text = "no" },
	};

	say(sock, message, EBPFTLS_ERROR, 9);
}

static void
refusing_late(int sock)
{
	say_opened(sock, usual(), 4);
	say_rings(sock, 0, 3, 3);
	refusing(sock);
}

static void
silent(int sock)
{
	wait_for_end(sock);
}

static void
silent_later(int sock)
{
	say_opened(sock, usual(), 4);
	say_rings(sock, 0, 64, 64);
	wait_for_end(sock);
}

static void
gone(int sock)
{
	(void)sock;
}

static void
gone_after_opened(int sock)
{
	say_opened(sock, usual(), 4);
}

static void
gone_after_rings(int sock)
{
	say_opened(sock, usual(), 4);
	say_rings(sock, 0, 64, 64);
}

static void
garbage(int sock)
{
	send(sock, "ebpftls", 7, 0);
	wait_for_end(sock);
}

static void
other_version(int sock)
{
	struct ebpftls_opened opened = usual();

	opened.header.magic = EBPFTLS_CONTROL_MAGIC;
	opened.header.version = EBPFTLS_CONTROL_VERSION + 1;
	opened.header.type = EBPFTLS_OPENED;
	opened.header.size = sizeof(opened);
	send(sock, &opened, sizeof(opened), 0);
	wait_for_end(sock);
}

static void
garbage_later(int sock)
{
	say_opened(sock, usual(), 4);
	garbage(sock);
}

static void
rings_first(int sock)
{
	say_rings(sock, 0, 3, 3);
	wait_for_end(sock);
}

static void
echo(int sock)
{
	const union ebpftls_any_message message = { .open = request };

	say(sock, message, EBPFTLS_OPEN, 5);
	wait_for_end(sock);
}

static void
opened_twice(int sock)
{
	say_opened(sock, usual(), 4);
	say_opened(sock, usual(), 4);
	wait_for_end(sock);
}

/* What an OPENED may be like that is not to be taken; run one by one. */
static const struct {
	struct ebpftls_opened opened;
	size_t descriptors;
} bad_opened[] = {
	{ { .present = 0xf, .rings = 0, .counters = 8, .ring_size = 64 }, 4 },
	{ { .present = 0xf, .rings = 65537, .counters = 8, .ring_size = 64 },
	  4 },
	{ { .present = 0xf,
	    .rings = UINT32_MAX,
	    .counters = 8,
	    .ring_size = 64 },
	  4 },
	{ { .present = 0xf, .rings = 1, .counters = 65537, .ring_size = 64 },
	  4 },
	{ { .present = 0xf, .rings = 1, .counters = 8, .ring_size = 0 }, 4 },
	{ { .present = 0xf, .rings = 1, .counters = 8, .ring_size = 65 }, 4 },
	{ { .present = 0xf, .rings = 1, .counters = 8, .ring_size = 96 }, 4 },
	{ { .present = 0x0, .rings = 1, .counters = 8, .ring_size = 64 }, 0 },
	{ { .present = 0xf, .rings = 1, .counters = 8, .ring_size = 64 }, 0 },
	{ { .present = 0xf, .rings = 1, .counters = 8, .ring_size = 64 }, 3 },
	{ { .present = 0xf, .rings = 1, .counters = 8, .ring_size = 64 }, 5 },
	{ { .present = 0xf, .rings = 1, .counters = 8, .ring_size = 64 }, 64 },
	{ { .present = 0x7, .rings = 1, .counters = 8, .ring_size = 64 }, 3 },
	{ { .present = 0xb, .rings = 1, .counters = 8, .ring_size = 64 }, 3 },
	{ { .present = 0xd, .rings = 1, .counters = 8, .ring_size = 64 }, 3 },
	{ { .present = 0xe, .rings = 1, .counters = 8, .ring_size = 64 }, 3 },
	{ { .present = 0x70, .rings = 1, .counters = 8, .ring_size = 64 }, 3 },
	{ { .present = 0x8f, .rings = 1, .counters = 8, .ring_size = 64 }, 4 },
	{ { .present = 0x8f, .rings = 1, .counters = 8, .ring_size = 64 }, 5 },
	{ { .present = UINT32_MAX, .rings = 1, .counters = 8, .ring_size = 64 },
	  32 },
};

/* And a RINGS, of which 70 were promised and 64 have come. */
static const struct {
	uint32_t first;
	uint32_t count;
	size_t descriptors;
} bad_rings[] = {
	{ 0, 0, 0 },  { 0, 0, 1 },  { 0, 6, 0 },	  { 0, 6, 5 },
	{ 0, 5, 6 },  { 0, 7, 7 },  { 0, 64, 64 },	  { CPUS, 1, 1 },
	{ 75, 6, 6 }, { 0, 64, 6 }, { UINT32_MAX, 1, 1 },
};

static size_t chosen;

static void
choose_opened(int sock)
{
	say_opened(sock, bad_opened[chosen].opened,
		   bad_opened[chosen].descriptors);
	say_rings(sock, 0, 1, 1);
	wait_for_end(sock);
}

static void
choose_rings(int sock)
{
	say_opened(sock, usual(), 4);
	say_rings(sock, 0, 64, 64);
	say_rings(sock, bad_rings[chosen].first, bad_rings[chosen].count,
		  bad_rings[chosen].descriptors);
	wait_for_end(sock);
}

/* --- the two of them ----------------------------------------------------- */

__attribute__((noreturn)) static void
be_agent(int listener, agent *act)
{
	union ebpftls_any_message message;
	int fds[EBPFTLS_RINGS_MAX], sock;
	size_t count;

	alarm(LIFE_SECONDS);
	sock = accept(listener, NULL, NULL);
	if (ebpftls_control_receive(sock, &message, fds, &count) !=
		EBPFTLS_OPEN ||
	    message.open.snaplen != request.snaplen ||
	    strcmp(message.open.interface, request.interface) != 0 ||
	    strcmp(message.open.netns, request.netns) != 0)
		_exit(EXIT_FAILURE);
	act(sock);
	_exit(EXIT_SUCCESS);
}

static int
listen_on(const char *where)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", where);
	if (listener < 0 ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(listener, 1) != 0)
		abort();
	return listener;
}

/* Starts the client with this agent behind the service socket. */
static int
start(agent *act)
{
	int listener = listen_on(path), result;

	child = fork();
	if (child == 0)
		be_agent(listener, act);
	close(listener);
	memset(&failure, 0xff, sizeof(failure));
	ebpftls_client_init(&client);
	client.process = to_hear;
	client.context = &heard_count;
	result = ebpftls_client_start(&client, &request, &failure);
	unlink(path);
	return result;
}

/* The agent saw the request it should, and then the connection's end. */
static void
reap(void)
{
	int status;

	check(waitpid(child, &status, 0) == child && status == 0);
}

static bool
is_stopped(void)
{
	bool all =
	    client.sock == -1 && client.rings == NULL && client.ring_count == 0;

	for (int i = 0; i < EBPFTLS_FDS; i++)
		all = all && client.fds[i] == -1;
	return all;
}

/* Fails, says why, and leaves nothing behind. */
static void
fails(agent *act, enum ebpftls_reason reason, const char *text)
{
	int before = check_descriptors();

	check(start(act) == -1);
	check(failure.reason == reason);
	check(memchr(failure.text, '\0', sizeof(failure.text)) != NULL);
	if (!check(strstr(failure.text, text) != NULL))
		printf("the text was '%s'\n", failure.text);
	check(is_stopped());
	check(check_descriptors() == before);
	reap();
}

static void
opened(void)
{
	check(start(good) == 0);
	check(client.ring_count == 70 && client.ring_size == 8192);
	check(client.counters == CPUS && client.hatype == 772);
	for (uint32_t i = 0; i < client.ring_count; i++) {
		check(client.rings[i].cpu == 5 + i);
		check(fcntl(client.rings[i].fd, F_GETFD) == FD_CLOEXEC);
	}
	for (int i = 0; i < EBPFTLS_FDS; i++)
		check((client.fds[i] >= 0) == (i <= EBPFTLS_FD_AGENT));
	check(ebpftls_client_check(&client, &failure) == 0);
	ebpftls_client_stop(&client);
	check(is_stopped());
	ebpftls_client_stop(&client);
	reap();
}

static void
all_descriptors(void)
{
	check(start(generous) == 0);
	for (int i = 0; i < EBPFTLS_FDS; i++)
		check(client.fds[i] >= 0);
	ebpftls_client_stop(&client);
	reap();
}

static void
refused(void)
{
	char text[EBPFTLS_TEXT_SIZE] = "";

	memset(text, 'n', sizeof(text) - 1);
	fails(refusing, EBPFTLS_REASON_NOT_UP, text);
	fails(refusing_late, EBPFTLS_REASON_NOT_UP, text);
	fails(refusing_with_descriptors, EBPFTLS_REASON_OTHER, "no");
}

static void
ended(void)
{
	static agent *const agents[] = { gone, gone_after_opened,
					 gone_after_rings };

	for (int i = 0; i < 3; i++)
		fails(agents[i], EBPFTLS_REASON_OTHER,
		      "ended without an answer");
}

static void
never_answers(void)
{
	impatient = true;
	longest_wait = 0;
	fails(silent, EBPFTLS_REASON_OTHER, "does not answer");
	fails(silent_later, EBPFTLS_REASON_OTHER, "does not answer");
	check(longest_wait >= 10000 && longest_wait <= 60000);
	impatient = false;
}

static void
misunderstood(void)
{
	static agent *const agents[] = { garbage, other_version,
					 garbage_later };

	for (int i = 0; i < 3; i++)
		fails(agents[i], EBPFTLS_REASON_OTHER, "of one version?");
}

static void
unexpected(void)
{
	static agent *const agents[] = { rings_first, echo, opened_twice };

	for (int i = 0; i < 3; i++)
		fails(agents[i], EBPFTLS_REASON_OTHER, "not expected");
}

static void
wrong_opened(void)
{
	size_t count = sizeof(bad_opened) / sizeof(bad_opened[0]);

	for (chosen = 0; chosen < count; chosen++)
		fails(choose_opened, EBPFTLS_REASON_OTHER, "not expected");
}

static void
wrong_rings(void)
{
	size_t count = sizeof(bad_rings) / sizeof(bad_rings[0]);

	for (chosen = 0; chosen < count; chosen++)
		fails(choose_rings, EBPFTLS_REASON_OTHER, "not expected");
}

/* --- during the capture -------------------------------------------------- */

static void
interface_goes(int sock)
{
	union ebpftls_any_message message;

	generous(sock);
	memset(&message, 0, sizeof(message));
	say(sock, message, EBPFTLS_GONE, 2);
	wait_for_end(sock);
}

/* generous() ends when it is told to go on. */
static void
disappears(void)
{
	int before;

	check(start(interface_goes) == 0);
	before = check_descriptors();
	check(ebpftls_client_check(&client, &failure) == 0);
	check(send(client.sock, "", 0, 0) == 0);
	check(poll(&(struct pollfd){ .fd = client.sock, .events = POLLIN }, 1,
		   10000) == 1);
	check(ebpftls_client_check(&client, &failure) == -1);
	check(strcmp(failure.text, "The interface disappeared") == 0);
	check(check_descriptors() == before);
	ebpftls_client_stop(&client);
	reap();
}

/* --- secrets ---------------------------------------------------------------
 */

/* What is said when secrets are asked for; generous() has read that. */
static void
say_on(int sock, uint32_t size, size_t descriptors)
{
	const union ebpftls_any_message message = { .secrets_on.size = size };

	say(sock, message, EBPFTLS_SECRETS_ON, descriptors);
	wait_for_end(sock);
}

/* As generous(), but hears what it is asked for. */
static bool
asked(int sock)
{
	union ebpftls_any_message message;
	struct ebpftls_opened opened = usual();
	int fds[EBPFTLS_RINGS_MAX];
	size_t count;

	opened.rings = 1;
	say_opened(sock, opened, 4);
	say_rings(sock, 0, 1, 1);
	return ebpftls_control_receive(sock, &message, fds, &count) ==
	       EBPFTLS_SECRETS;
}

static void
secrets_on(int sock)
{
	if (asked(sock))
		say_on(sock, 4096, 1);
}

static void
secrets_on_late(int sock)
{
	union ebpftls_any_message message;

	memset(&message, 0, sizeof(message));
	if (!asked(sock))
		return;
	say(sock, message, EBPFTLS_GONE, 1);
	say_on(sock, 4096, 1);
}

static void
secrets_off(int sock)
{
	const union ebpftls_any_message message = {
		.secrets_off = { .reason = EBPFTLS_REASON_NO_PERMISSION,
				 .text = "lockdown" },
	};

	if (!asked(sock))
		return;
	say(sock, message, EBPFTLS_SECRETS_OFF, 3);
	wait_for_end(sock);
}

static void
secrets_without_ring(int sock)
{
	if (asked(sock))
		say_on(sock, 4096, 0);
}

static void
secrets_with_two(int sock)
{
	if (asked(sock))
		say_on(sock, 4096, 2);
}

static void
secrets_odd_size(int sock)
{
	if (asked(sock))
		say_on(sock, 4095, 1);
}

static void
secrets_no_size(int sock)
{
	if (asked(sock))
		say_on(sock, 0, 1);
}

static void
secrets_gone(int sock)
{
	asked(sock);
}

static void
takes_secrets(void)
{
	size_t size = 0;
	int fd;

	check(start(secrets_on) == 0);
	fd = ebpftls_client_secrets(&client, &size, &failure);
	check(fd >= 0 && size == 4096);
	check(ebpftls_client_check(&client, &failure) == 0);
	close(fd);
	ebpftls_client_stop(&client);
	reap();
}

/* The interface may go while secrets are awaited; that is not forgotten. */
static void
gone_meanwhile(void)
{
	size_t size;
	int fd;

	check(start(secrets_on_late) == 0);
	fd = ebpftls_client_secrets(&client, &size, &failure);
	check(fd >= 0);
	check(ebpftls_client_check(&client, &failure) == -1);
	check(strcmp(failure.text, "The interface disappeared") == 0);
	close(fd);
	ebpftls_client_stop(&client);
	reap();
}

/* Nothing is left open, and the text says why. */
static void
no_secrets(void)
{
	static const struct {
		agent *agent;
		const char *text;
	} agents[] = {
		{ secrets_off, "lockdown" },
		{ secrets_without_ring, "not expected" },
		{ secrets_with_two, "not expected" },
		{ secrets_odd_size, "not expected" },
		{ secrets_no_size, "not expected" },
		{ secrets_gone, "ended" },
	};
	size_t size;

	for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
		int before;

		check(start(agents[i].agent) == 0);
		before = check_descriptors();
		check(ebpftls_client_secrets(&client, &size, &failure) == -1);
		if (!check(strstr(failure.text, agents[i].text) != NULL))
			printf("the text was '%s'\n", failure.text);
		check(check_descriptors() == before);
		ebpftls_client_stop(&client);
		reap();
	}
}

/* --- others who read the same ----------------------------------------------
 */

static void
secrets_on_twice(int sock)
{
	union ebpftls_any_message message = { .secrets_on.size = 4096 };

	if (!asked(sock))
		return;
	say(sock, message, EBPFTLS_SECRETS_ON, 1);
	say_on(sock, 8192, 1);
}

/* As another thread does that reads packets. */
static void
take_in(int sock)
{
	struct ebpftls_failure ignored;

	(void)sock;
	ebpftls_client_check(&client, &ignored);
}

/* As another process does that has the same connection. */
static void
take_away(int sock)
{
	union ebpftls_any_message message;
	int fds[EBPFTLS_RINGS_MAX];
	size_t count;

	if (ebpftls_control_receive_now(sock, &message, fds, &count) >= 0)
		ebpftls_control_close(fds, count);
}

/* The answer is there for who asked, and a second one is for nobody. */
static void
taken_in_by_another(void)
{
	size_t size = 0;
	int fd, before;

	check(start(secrets_on_twice) == 0);
	before = check_descriptors();
	rival = take_in;
	fd = ebpftls_client_secrets(&client, &size, &failure);
	rival = NULL;
	check(fd >= 0 && size == 4096);
	check(poll(&(struct pollfd){ .fd = client.sock, .events = POLLIN }, 1,
		   100) >= 0);
	check(ebpftls_client_check(&client, &failure) == 0);
	check(check_descriptors() == before + 1);
	close(fd);
	ebpftls_client_stop(&client);
	reap();
}

static void
refusal_taken_in(void)
{
	size_t size;

	check(start(secrets_off) == 0);
	rival = take_in;
	check(ebpftls_client_secrets(&client, &size, &failure) == -1);
	rival = NULL;
	check(failure.reason == EBPFTLS_REASON_NO_PERMISSION);
	check(strcmp(failure.text, "lockdown") == 0);
	check(ebpftls_client_check(&client, &failure) == 0);
	ebpftls_client_stop(&client);
	reap();
}

/* What is not there any more is waited for no longer than any answer. */
static void
taken_away(void)
{
	size_t size;

	check(start(secrets_on) == 0);
	rival = take_away;
	hurried = true;
	check(ebpftls_client_secrets(&client, &size, &failure) == -1);
	hurried = false;
	rival = NULL;
	check(strstr(failure.text, "does not answer") != NULL);
	check(ebpftls_client_check(&client, &failure) == 0);
	ebpftls_client_stop(&client);
	reap();
}

static void
news_taken_away(void)
{
	check(start(interface_goes) == 0);
	check(send(client.sock, "", 0, 0) == 0);
	check(poll(&(struct pollfd){ .fd = client.sock, .events = POLLIN }, 1,
		   10000) == 1);
	rival = take_away;
	check(ebpftls_client_check(&client, &failure) == 0);
	rival = NULL;
	ebpftls_client_stop(&client);
	reap();
}

/* A child asked, say: the answer is for whom it meets, or for nobody. */
static void
answered_before(void)
{
	union ebpftls_any_message message;
	size_t size = 0;
	int fd;

	for (int i = 0; i < 2; i++) {
		memset(&message, 0, sizeof(message));
		check(start(secrets_on) == 0);
		check(ebpftls_control_send(client.sock, &message,
					   EBPFTLS_SECRETS, NULL, 0) == 0);
		while (!client.answered &&
		       check(ebpftls_client_check(&client, &failure) == 0))
			;
		if (i == 0) {
			fd = ebpftls_client_secrets(&client, &size, &failure);
			check(fd >= 0 && size == 4096);
			close(fd);
		}
		ebpftls_client_stop(&client);
		reap();
	}
}

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static atomic_bool reading;

static void
lock_mutex(void *context)
{
	(void)context;
	pthread_mutex_lock(&mutex);
}

static void
unlock_mutex(void *context)
{
	(void)context;
	pthread_mutex_unlock(&mutex);
}

static void *
read_on(void *unused)
{
	while (reading)
		take_in(client.sock);
	return unused;
}

static void
beside_a_reader(void)
{
	pthread_t reader;
	size_t size;
	int fd;

	for (int i = 0; i < 20; i++) {
		check(start(secrets_on) == 0);
		client.lock = lock_mutex;
		client.unlock = unlock_mutex;
		reading = true;
		if (pthread_create(&reader, NULL, read_on, NULL) != 0)
			abort();
		size = 0;
		fd = ebpftls_client_secrets(&client, &size, &failure);
		check(fd >= 0 && size == 4096);
		reading = false;
		pthread_join(reader, NULL);
		close(fd);
		ebpftls_client_stop(&client);
		reap();
	}
}

static void
killed(void)
{
	int status;

	check(start(generous) == 0);
	check(ebpftls_client_check(&client, &failure) == 0);
	kill(child, SIGKILL);
	check(waitpid(child, &status, 0) == child);
	for (int i = 0; i < 2; i++) {
		check(ebpftls_client_check(&client, &failure) == -1);
		check(strstr(failure.text, "agent has ended") != NULL);
	}
	ebpftls_client_stop(&client);
}

/* --- processes --------------------------------------------------------------
 */

#define CROWD 100 /* fits into the socket's buffer */

/* The pids of those that the client has heard of. */
static uint32_t heard[2 * CROWD];

static void
hear(void *context, const struct ebpftls_process *facts)
{
	check(context == &heard_count);
	if (check(heard_count < 2 * CROWD))
		heard[heard_count++] = facts->pid;
}

static void
say_process(int sock, uint32_t pid, size_t descriptors)
{
	union ebpftls_any_message message;

	memset(&message, 0, sizeof(message));
	message.process.pid = pid;
	say(sock, message, EBPFTLS_PROCESS, descriptors);
}

/* As secrets_on(), with processes before, between and behind all. */
static void
tells_always(int sock)
{
	union ebpftls_any_message message = { .note.text = "a note" };
	struct ebpftls_opened opened = usual();
	int fds[EBPFTLS_RINGS_MAX];
	size_t count;

	opened.rings = 1;
	strcpy(opened.no_owners, "too old a kernel");
	say_process(sock, 1, 0);
	say_opened(sock, opened, 4);
	say_process(sock, 2, 3);
	say_process(sock, 3, 0);
	say_rings(sock, 0, 1, 1);
	if (ebpftls_control_receive(sock, &message, fds, &count) !=
	    EBPFTLS_SECRETS)
		return;
	say_process(sock, 4, 0);
	strcpy(message.note.text, "a note");
	say(sock, message, EBPFTLS_NOTE, 0);
	say_process(sock, 5, 1);
	say_on(sock, 4096, 1);
	for (uint32_t pid = 6; pid < CROWD; pid++)
		say_process(sock, pid, 0);
	say(sock, message, EBPFTLS_NOTE, 0);
}

static int
start_to_hear(agent *act)
{
	to_hear = hear;
	heard_count = 0;
	return start(act);
}

static void
processes(void)
{
	size_t size;
	int fd, before;

	if (!check(start_to_hear(tells_always) == 0))
		return;
	check(strcmp(client.no_owners, "too old a kernel") == 0);
	check(heard_count >= 3);
	fd = ebpftls_client_secrets(&client, &size, &failure);
	check(fd >= 0 && heard_count == 5 && client.notes == 1);
	before = check_descriptors();
	check(send(client.sock, "", 0, 0) == 0);
	/* all that has come is taken in at once, and then the end is seen */
	while (ebpftls_client_check(&client, &failure) == 0)
		;
	check(strstr(failure.text, "agent has ended") != NULL);
	check(heard_count == CROWD - 1 && client.notes == 2);
	for (uint32_t i = 0; i < heard_count; i++)
		check(heard[i] == i + 1);
	check(check_descriptors() == before);
	close(fd);
	ebpftls_client_stop(&client);
	to_hear = NULL;
	reap();
}

static void
chatters(int sock)
{
	for (uint32_t pid = 1; pid < CROWD; pid++)
		say_process(sock, pid, 0);
	wait_for_end(sock);
}

/* News are no answer, and do not make us wait any longer for one. */
static void
only_processes(void)
{
	impatient = true;
	fails(chatters, EBPFTLS_REASON_OTHER, "does not answer");
	impatient = false;
}

/* --- filters --------------------------------------------------------------
 */

#define LINK_SIZE 20

/* The filter that is asked for. */
static struct ebpftls_instruction program[EBPFTLS_FILTER_MAX + 1];
static uint32_t program_size;

/* Hears one part; whether it is the one that is due. `answer`: of the first. */
static bool
hear_part(int sock, uint32_t first, int *answer)
{
	union ebpftls_any_message message;
	const struct ebpftls_filter_part *part = &message.filter_part;
	int fds[EBPFTLS_RINGS_MAX];
	size_t count;

	if (ebpftls_control_receive(sock, &message, fds, &count) !=
		EBPFTLS_FILTER ||
	    count != (first == 0))
		return false;
	if (first == 0)
		*answer = fds[0];
	return part->link_size == LINK_SIZE && part->first == first &&
	       part->total ==
		   (program_size > EBPFTLS_FILTER_MAX ? 0 : program_size) &&
	       memcmp(part->instructions, program + first,
		      part->count * sizeof(program[0])) == 0;
}

/* As generous(), and then hears a filter. Where the answer goes, or -1. */
static int
hear_filter(int sock)
{
	struct ebpftls_opened opened = usual();
	int answer = -1;
	uint32_t first = 0;

	opened.rings = 1;
	say_opened(sock, opened, 4);
	say_rings(sock, 0, 1, 1);
	do {
		if (!hear_part(sock, first, &answer))
			return -1;
		first += EBPFTLS_PART_MAX;
	} while (program_size <= EBPFTLS_FILTER_MAX && first < program_size);
	return answer;
}

static void
filter_on(int sock)
{
	union ebpftls_any_message message = { .filter_on.settled = 1 };
	int answer = hear_filter(sock);

	/* news come on the other connection, and wait there */
	say_process(sock, 1, 0);
	say(answer, message, EBPFTLS_FILTER_ON, 0);
	wait_for_end(sock);
}

static void
filter_unsettled(int sock)
{
	union ebpftls_any_message message = { .filter_on.settled = 0 };

	say(hear_filter(sock), message, EBPFTLS_FILTER_ON, 2);
	wait_for_end(sock);
}

static void
filter_off(int sock)
{
	union ebpftls_any_message message = { .filter_off.text = "too odd" };

	say(hear_filter(sock), message, EBPFTLS_FILTER_OFF, 3);
	wait_for_end(sock);
}

static void
filter_confused(int sock)
{
	union ebpftls_any_message message = { .header.size = 0 };

	say(hear_filter(sock), message, EBPFTLS_GONE, 0);
	wait_for_end(sock);
}

static void
filter_garbage(int sock)
{
	send(hear_filter(sock), "ebpftls", 7, 0);
	wait_for_end(sock);
}

static void
filter_forgotten(int sock)
{
	close(hear_filter(sock));
	wait_for_end(sock);
}

static void
filter_slow(int sock)
{
	hear_filter(sock);
	wait_for_end(sock);
}

static void
filter_unheard(int sock)
{
	struct ebpftls_opened opened = usual();

	opened.rings = 1;
	say_opened(sock, opened, 4);
	say_rings(sock, 0, 1, 1);
}

static void
asks_for_filter(agent *act, uint32_t size, int result, const char *text)
{
	int before;

	program_size = size;
	for (uint32_t i = 0; i < size; i++)
		program[i] =
		    (struct ebpftls_instruction){ (uint16_t)(i * 3), (uint8_t)i,
						  (uint8_t)(i >> 8), ~i };
	check(start(act) == 0);
	before = check_descriptors();
	failure.text[0] = '\0';
	check(ebpftls_client_filter(&client, program, size, LINK_SIZE,
				    &failure) == result);
	if (!check(strstr(failure.text, text) != NULL))
		printf("the text was '%s'\n", failure.text);
	check(check_descriptors() == before);
	ebpftls_client_stop(&client);
	reap();
}

static void
filters(void)
{
	static const uint32_t lengths[] = { 1, EBPFTLS_PART_MAX,
					    EBPFTLS_PART_MAX + 1,
					    EBPFTLS_FILTER_MAX };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		asks_for_filter(filter_on, lengths[i], 1, "");
	asks_for_filter(filter_unsettled, 7, 0, "");
}

/* And nothing waits longer than it must. */
static void
no_filter(void)
{
	asks_for_filter(filter_off, 7, -1, "too odd");
	asks_for_filter(filter_on, EBPFTLS_FILTER_MAX + 1, -1,
			"more than 4096 instructions");
	asks_for_filter(filter_confused, 7, -1, "not expected");
	asks_for_filter(filter_garbage, 7, -1, "of one version?");
	asks_for_filter(filter_forgotten, 7, -1, "ended without an answer");
	asks_for_filter(filter_unheard, 7, -1, "the ebpftls agent");
	impatient = true;
	asks_for_filter(filter_slow, 7, -1, "does not answer");
	impatient = false;
}

/* --- without a service --------------------------------------------------- */

/* No agent is reached; `text` is part of the reason. */
static void
unreachable(enum ebpftls_reason reason, const char *text)
{
	ebpftls_client_init(&client);
	check(ebpftls_client_start(&client, &request, &failure) == -1);
	check(failure.reason == reason);
	if (!check(strstr(failure.text, text) != NULL))
		printf("the text was '%s'\n", failure.text);
	check(is_stopped());
}

/* For a time, and only if we are root. */
static void
become(uid_t user)
{
	if (getuid() == 0 && seteuid(user) != 0)
		abort();
}

static void
no_service(void)
{
	char longer[300];

	become(NOBODY);
	unreachable(EBPFTLS_REASON_NO_PERMISSION, path);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	setenv("EBPFTLS_SOCKET", longer, 1);
	unreachable(EBPFTLS_REASON_NO_PERMISSION, "cannot reach");
	setenv("EBPFTLS_SOCKET", path, 1);
	become(0);
	/* one that its listener left behind */
	close(listen_on(path));
	chmod(path, 0666);
	become(NOBODY);
	unreachable(EBPFTLS_REASON_NO_PERMISSION, "only root can capture");
	become(0);
	unlink(path);
}

static unsigned int children_ended;

static void
count_child(int number)
{
	(void)number;
	children_ended++;
}

/* What is executed instead of an agent; the application has no child of it. */
static void
own_agent(void)
{
	if (geteuid() != 0) {
		check_skip("only root starts one");
		return;
	}
	signal(SIGCHLD, count_child);
	setenv("EBPFTLS_AGENT", "/nonexistent/agent", 1);
	unreachable(EBPFTLS_REASON_OTHER, "/nonexistent/agent");
	close(creat(path, 0644));
	setenv("EBPFTLS_AGENT", path, 1);
	unreachable(EBPFTLS_REASON_NO_PERMISSION, "Permission denied");
	unlink(path);
	setenv("EBPFTLS_AGENT", "/bin/true", 1);
	unreachable(EBPFTLS_REASON_OTHER, "ended without an answer");
	check(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD);
	check(children_ended == 0);
	signal(SIGCHLD, SIG_DFL);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "an agent that opens the capture", opened },
		{ "an agent that gives all descriptors", all_descriptors },
		{ "an agent that refuses", refused },
		{ "an agent that ends", ended },
		{ "an agent that never answers", never_answers },
		{ "an agent that speaks otherwise", misunderstood },
		{ "messages out of turn", unexpected },
		{ "nonsense instead of a capture", wrong_opened },
		{ "nonsense instead of rings", wrong_rings },
		{ "the interface disappears", disappears },
		{ "secrets are asked for", takes_secrets },
		{ "the interface goes meanwhile", gone_meanwhile },
		{ "there are no secrets", no_secrets },
		{ "an answer that another takes in", taken_in_by_another },
		{ "a refusal that another takes in", refusal_taken_in },
		{ "an answer that another takes away", taken_away },
		{ "news that another takes away", news_taken_away },
		{ "an answer to another", answered_before },
		{ "secrets beside a reader", beside_a_reader },
		{ "the agent is killed", killed },
		{ "processes at any time", processes },
		{ "processes and no answer", only_processes },
		{ "filters are asked for", filters },
		{ "no filter in the kernel", no_filter },
		{ "no service", no_service },
		{ "no service, but root", own_agent },
		{ NULL, NULL },
	};
	int status;

	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	chmod(folder, 0755);
	snprintf(path, sizeof(path), "%s/socket", folder);
	setenv("EBPFTLS_SOCKET", path, 1);
	status = check_main(cases);
	rmdir(folder);
	return status;
}
