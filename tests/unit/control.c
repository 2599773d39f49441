// SPDX-License-Identifier: BSD-3-Clause
/*
 * Do the messages between module and agent arrive whole with their
 * descriptors, and is everything else refused without a trace?
 */
#define _GNU_SOURCE

#include "ebpftls-control-io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "unit/check.h"

#define TOO_MANY 100 /* descriptors; the kernel sends up to 253 */

static const size_t sizes[] = {
	[EBPFTLS_OPEN] = sizeof(struct ebpftls_open),
	[EBPFTLS_OPENED] = sizeof(struct ebpftls_opened),
	[EBPFTLS_RINGS] = sizeof(struct ebpftls_rings),
	[EBPFTLS_ERROR] = sizeof(struct ebpftls_error),
	[EBPFTLS_GONE] = sizeof(struct ebpftls_gone),
	[EBPFTLS_SECRETS] = sizeof(struct ebpftls_secrets),
	[EBPFTLS_SECRETS_ON] = sizeof(struct ebpftls_secrets_on),
	[EBPFTLS_SECRETS_OFF] = sizeof(struct ebpftls_secrets_off),
	[EBPFTLS_NOTE] = sizeof(struct ebpftls_note),
	[EBPFTLS_PROCESS] = sizeof(struct ebpftls_process),
	[EBPFTLS_HOOKED] = sizeof(struct ebpftls_hooked),
	[EBPFTLS_FINDING] = sizeof(struct ebpftls_finding),
	[EBPFTLS_FILTER] = sizeof(struct ebpftls_filter_part),
	[EBPFTLS_FILTER_ON] = sizeof(struct ebpftls_filter_on),
	[EBPFTLS_FILTER_OFF] = sizeof(struct ebpftls_filter_off),
	[EBPFTLS_LIBRARY] = sizeof(struct ebpftls_library),
};

#define LAST EBPFTLS_LIBRARY

#define TEXT(type, message, text)                                    \
	{                                                            \
		type, offsetof(struct message, text) +               \
			  sizeof(((struct message *)NULL)->text) - 1 \
	}

/* Where a text of this type of message ends at the latest. */
static const struct {
	enum ebpftls_message type;
	size_t last;
} ends[] = {
	TEXT(EBPFTLS_OPEN, ebpftls_open, interface),
	TEXT(EBPFTLS_OPEN, ebpftls_open, netns),
	TEXT(EBPFTLS_OPEN, ebpftls_open, wants.comm[0]),
	TEXT(EBPFTLS_OPEN, ebpftls_open, wants.comm[EBPFTLS_WANTS_MAX - 1]),
	TEXT(EBPFTLS_OPEN, ebpftls_open, wants.exe[0]),
	TEXT(EBPFTLS_OPEN, ebpftls_open, wants.exe[EBPFTLS_WANTS_MAX - 1]),
	TEXT(EBPFTLS_OPEN, ebpftls_open, wants.cgroup[0]),
	TEXT(EBPFTLS_OPEN, ebpftls_open, wants.cgroup[EBPFTLS_WANTS_MAX - 1]),
	TEXT(EBPFTLS_OPENED, ebpftls_opened, no_owners),
	TEXT(EBPFTLS_ERROR, ebpftls_error, text),
	TEXT(EBPFTLS_SECRETS_OFF, ebpftls_secrets_off, text),
	TEXT(EBPFTLS_NOTE, ebpftls_note, text),
	TEXT(EBPFTLS_PROCESS, ebpftls_process, comm),
	TEXT(EBPFTLS_PROCESS, ebpftls_process, exe),
	TEXT(EBPFTLS_PROCESS, ebpftls_process, command),
	TEXT(EBPFTLS_PROCESS, ebpftls_process, cgroup),
	TEXT(EBPFTLS_PROCESS, ebpftls_process, container),
	TEXT(EBPFTLS_FINDING, ebpftls_finding, part),
	TEXT(EBPFTLS_FINDING, ebpftls_finding, text),
	TEXT(EBPFTLS_FINDING, ebpftls_finding, remedy),
	TEXT(EBPFTLS_FILTER_OFF, ebpftls_filter_off, text),
	TEXT(EBPFTLS_LIBRARY, ebpftls_library, path),
};

#define ENDS (sizeof(ends) / sizeof(ends[0]))

/* The two ends of a connection; the sender is the peer, whoever that is. */
static int ours, peers;

/* What was received last. */
static union ebpftls_any_message got;
static int fds[EBPFTLS_RINGS_MAX];
static size_t count;

static void
connect_both(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		abort();
	ours = pair[0];
	peers = pair[1];
}

static void
close_both(void)
{
	close(ours);
	close(peers);
}

static int
receive(void)
{
	memset(&got, 0xaa, sizeof(got));
	return ebpftls_control_receive(ours, &got, fds, &count);
}

static void
fill_part(struct ebpftls_filter_part *part)
{
	part->total = EBPFTLS_FILTER_MAX;
	part->first = EBPFTLS_FILTER_MAX - EBPFTLS_PART_MAX;
	part->count = EBPFTLS_PART_MAX;
}

static void
fill_wants(struct ebpftls_wants *wants)
{
	for (int i = 0; i < EBPFTLS_WANTS; i++)
		wants->count[i] = EBPFTLS_WANTS_MAX;
	for (int i = 0; i < EBPFTLS_WANTS_MAX; i++) {
		wants->comm[i][sizeof(wants->comm[i]) - 1] = '\0';
		wants->exe[i][sizeof(wants->exe[i]) - 1] = '\0';
		wants->cgroup[i][sizeof(wants->cgroup[i]) - 1] = '\0';
	}
}

/* A correct message of this type, with every string filled to its end. */
static union ebpftls_any_message
example(enum ebpftls_message type)
{
	union ebpftls_any_message message;

	memset(&message, 0x5a, sizeof(message));
	message.header.magic = EBPFTLS_CONTROL_MAGIC;
	message.header.version = EBPFTLS_CONTROL_VERSION;
	message.header.type = (uint16_t)type;
	message.header.size = (uint32_t)sizes[type];
	for (size_t i = 0; i < ENDS; i++)
		if (ends[i].type == type)
			((char *)&message)[ends[i].last] = '\0';
	if (type == EBPFTLS_RINGS)
		message.rings.count = EBPFTLS_RINGS_MAX;
	if (type == EBPFTLS_FINDING)
		message.finding.state = EBPFTLS_STATE_NO;
	if (type == EBPFTLS_OPEN)
		fill_wants(&message.open.wants);
	if (type == EBPFTLS_FILTER)
		fill_part(&message.filter_part);
	return message;
}

/* Sends any bytes with any number of descriptors. */
static void
send_raw(const void *bytes, size_t size, int descriptors)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(TOO_MANY * sizeof(int))];
	} control;
	struct iovec part = { (void *)(uintptr_t)bytes, size };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };
	int *list = (int *)CMSG_DATA(&control.header);

	memset(&control, 0, sizeof(control));
	if (descriptors > 0) {
		size_t length = (size_t)descriptors * sizeof(int);

		packet.msg_control = &control;
		packet.msg_controllen = CMSG_SPACE(length);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(length);
		for (int i = 0; i < descriptors; i++)
			list[i] = peers;
	}
	if (sendmsg(peers, &packet, MSG_NOSIGNAL) != (ssize_t)size)
		abort();
}

/* These bytes are refused, and nothing of them stays. */
static void
is_refused(const void *bytes, size_t size)
{
	for (int descriptors = 0; descriptors <= 3; descriptors += 3) {
		int before = check_descriptors();

		send_raw(bytes, size, descriptors);
		check(receive() == -EBADMSG);
		check(count == 0);
		check(check_descriptors() == before);
	}
}

static bool
same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* One message with so many descriptors, which alternate between two files. */
static void
one_trip(enum ebpftls_message type, size_t descriptors)
{
	union ebpftls_any_message message = example(type), want = message;
	int list[EBPFTLS_RINGS_MAX];

	for (size_t i = 0; i < descriptors; i++)
		list[i] = i % 2 ? peers : ours;
	memset(&message.header, 0, sizeof(message.header));
	check(ebpftls_control_send(peers, &message, type, list, descriptors) ==
	      0);
	check(receive() == (int)type);
	check_bytes(&got, &want, sizes[type]);
	if (!check(count == descriptors))
		return;
	for (size_t i = 0; i < count; i++) {
		check(same_file(fds[i], list[i]));
		check(fcntl(fds[i], F_GETFD) == FD_CLOEXEC);
	}
	ebpftls_control_close(fds, count);
}

static void
round_trips(void)
{
	static const size_t descriptors[] = { 0, 1, 7, EBPFTLS_RINGS_MAX };

	connect_both();
	for (int type = EBPFTLS_OPEN; type <= LAST; type++)
		for (int i = 0; i < 4; i++)
			one_trip((enum ebpftls_message)type, descriptors[i]);
	close_both();
}

/* Unless it is the right one; also if the header says it is this one. */
static void
refuse_length(char *bytes, size_t size, size_t right)
{
	struct ebpftls_header header, honest;

	if (size == right)
		return;
	is_refused(bytes, size);
	memcpy(&header, bytes, sizeof(header));
	honest = header;
	honest.size = (uint32_t)size;
	memcpy(bytes, &honest, sizeof(honest));
	is_refused(bytes, size);
	memcpy(bytes, &header, sizeof(header));
}

/* Every one, of the long messages only some in the midst of long texts. */
static size_t
next_length(size_t size, size_t right)
{
	bool near = size + 64 > right && size < right + 64;

	return size + (size < 2048 || near ? 1 : 61);
}

/* Cut at every place, and with up to a whole message too much. */
static void
wrong_length(void)
{
	char bytes[2 * sizeof(union ebpftls_any_message)];

	connect_both();
	for (int type = EBPFTLS_OPEN; type <= LAST; type++) {
		union ebpftls_any_message message =
		    example((enum ebpftls_message)type);

		memset(bytes, 0x5a, sizeof(bytes));
		memcpy(bytes, &message, sizes[type]);
		for (size_t size = 1; size <= sizeof(bytes);
		     size = next_length(size, sizes[type]))
			refuse_length(bytes, size, sizes[type]);
	}
	close_both();
}

/* All three of a header must fit, also when the length is right. */
static void
wrong_header(void)
{
	connect_both();
	for (int type = EBPFTLS_OPEN; type <= LAST; type++) {
		const union ebpftls_any_message good =
		    example((enum ebpftls_message)type);
		union ebpftls_any_message bad[8];

		for (int i = 0; i < 8; i++)
			bad[i] = good;
		bad[0].header.magic = 0;
		bad[1].header.magic = __builtin_bswap32(EBPFTLS_CONTROL_MAGIC);
		bad[2].header.version = EBPFTLS_CONTROL_VERSION + 1;
		bad[3].header.version = 0;
		bad[4].header.type = 0;
		bad[5].header.type = LAST + 1;
		bad[6].header.type = UINT16_MAX;
		bad[7].header.size++;
		for (int i = 0; i < 8; i++)
			is_refused(&bad[i], sizes[type]);
	}
	close_both();
}

/* Of two types of one size, one cannot pass for the other. */
static void
wrong_contents(void)
{
	union ebpftls_any_message message;

	connect_both();
	for (size_t i = 0; i < ENDS; i++) {
		message = example(ends[i].type);
		((char *)&message)[ends[i].last] = 'x';
		is_refused(&message, sizes[ends[i].type]);
	}
	for (int i = 0; i < EBPFTLS_WANTS; i++) {
		message = example(EBPFTLS_OPEN);
		message.open.wants.count[i]++;
		is_refused(&message, sizes[EBPFTLS_OPEN]);
	}
	message = example(EBPFTLS_OPEN);
	message.open.owners = 0;
	is_refused(&message, sizes[EBPFTLS_OPEN]);
	message = example(EBPFTLS_FINDING);
	message.finding.state++;
	is_refused(&message, sizes[EBPFTLS_FINDING]);
	message = example(EBPFTLS_RINGS);
	message.rings.count++;
	is_refused(&message, sizes[EBPFTLS_RINGS]);
	message.rings.count = UINT32_MAX;
	is_refused(&message, sizes[EBPFTLS_RINGS]);
	close_both();
}

/* A part lies within its filter, and is not empty unless that is. */
static void
parts_of_filters(void)
{
	static const struct {
		uint32_t total, first, count;
		bool good;
	} parts[] = {
		{ 0, 0, 0, true },
		{ 1, 0, 1, true },
		{ EBPFTLS_FILTER_MAX, 0, EBPFTLS_PART_MAX, true },
		{ EBPFTLS_FILTER_MAX, EBPFTLS_FILTER_MAX - 1, 1, true },
		{ 0, 0, 1, false },
		{ 0, 1, 0, false },
		{ 1, 0, 0, false },
		{ 1, 1, 0, false },
		{ 1, 1, 1, false },
		{ 1, 0, 2, false },
		{ 10, 9, 2, false },
		{ 10, UINT32_MAX, 2, false },
		{ 10, 2, UINT32_MAX, false },
		{ EBPFTLS_FILTER_MAX, 0, EBPFTLS_PART_MAX + 1, false },
		{ EBPFTLS_FILTER_MAX + 1, 0, 1, false },
		{ UINT32_MAX, UINT32_MAX - 1, 1, false },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		union ebpftls_any_message message = example(EBPFTLS_FILTER);

		message.filter_part.total = parts[i].total;
		message.filter_part.first = parts[i].first;
		message.filter_part.count = parts[i].count;
		check(ebpftls_control_valid(&message, sizes[EBPFTLS_FILTER]) ==
		      parts[i].good);
	}
}

static void
too_many_descriptors(void)
{
	union ebpftls_any_message message = example(EBPFTLS_RINGS);
	int before;

	connect_both();
	before = check_descriptors();
	for (int n = EBPFTLS_RINGS_MAX + 1; n <= TOO_MANY; n += 5) {
		send_raw(&message, sizes[EBPFTLS_RINGS], n);
		check(receive() == -EBADMSG);
		check(count == 0);
		check(check_descriptors() == before);
	}
	close_both();
}

/* Nothing but a descriptor is not the end of the connection. */
static void
empty_message(void)
{
	int before;

	connect_both();
	before = check_descriptors();
	send_raw("", 0, 1);
	check(receive() == -EBADMSG);
	check(check_descriptors() == before);
	one_trip(EBPFTLS_GONE, 0);
	close_both();
}

/* What was sent before the end arrives before it. */
static void
peer_closes(void)
{
	union ebpftls_any_message message = example(EBPFTLS_GONE);

	connect_both();
	send_raw(&message, sizes[EBPFTLS_GONE], 0);
	close(peers);
	check(receive() == EBPFTLS_GONE);
	check(receive() == 0);
	check(receive() == 0);
	/* and no signal that would end the application */
	check(ebpftls_control_send(ours, &message, EBPFTLS_GONE, NULL, 0) ==
	      -EPIPE);
	close(ours);
}

static void
errors(void)
{
	union ebpftls_any_message message = example(EBPFTLS_GONE);
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	ours = nothing;
	check(receive() == -ENOTSOCK);
	check(count == 0);
	check(ebpftls_control_send(nothing, &message, EBPFTLS_GONE, NULL, 0) ==
	      -ENOTSOCK);
	connect_both();
	check(fcntl(ours, F_SETFL, O_NONBLOCK) == 0);
	check(receive() == -EAGAIN);
	check(ebpftls_control_send(peers, &message, EBPFTLS_GONE,
				   (const int[]){ -1 }, 1) == -EBADF);
	close_both();
	close(nothing);
}

static void
send_gone(int number)
{
	union ebpftls_any_message message = example(EBPFTLS_GONE);

	(void)number;
	send_raw(&message, sizes[EBPFTLS_GONE], 0);
}

/* A signal while it waits; only its handler sends what is waited for. */
static void
interrupted(void)
{
	const struct sigaction handle = { .sa_handler = send_gone };
	const struct itimerval soon = { .it_value.tv_usec = 10000 };

	connect_both();
	check(sigaction(SIGALRM, &handle, NULL) == 0);
	check(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	check(receive() == EBPFTLS_GONE);
	signal(SIGALRM, SIG_DFL);
	close_both();
}

/* Who was told that there is something may not be the first to take it. */
static void
nothing_there(void)
{
	union ebpftls_any_message message = { .note.text = "a note" };

	connect_both();
	count = 1;
	check(ebpftls_control_receive_now(ours, &got, fds, &count) == -EAGAIN);
	check(count == 0);
	check(ebpftls_control_send(peers, &message, EBPFTLS_NOTE, &peers, 1) ==
	      0);
	check(ebpftls_control_receive_now(ours, &got, fds, &count) ==
	      EBPFTLS_NOTE);
	check(count == 1 && strcmp(got.note.text, "a note") == 0);
	ebpftls_control_close(fds, count);
	check(ebpftls_control_receive_now(ours, &got, fds, &count) == -EAGAIN);
	close(peers);
	check(ebpftls_control_receive_now(ours, &got, fds, &count) == 0);
	close(ours);
}

/* Some of a list may be absent. */
static void
closing(void)
{
	int list[] = { -1, dup(0), -1, dup(0) };
	int before = check_descriptors();

	ebpftls_control_close(list, 4);
	check(check_descriptors() == before - 2);
	ebpftls_control_close(NULL, 0);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "every message with its descriptors", round_trips },
		{ "messages of the wrong length", wrong_length },
		{ "messages of another protocol or version", wrong_header },
		{ "strings without an end, counts too large", wrong_contents },
		{ "parts of filters", parts_of_filters },
		{ "too many descriptors", too_many_descriptors },
		{ "a descriptor without a message", empty_message },
		{ "the peer closes the connection", peer_closes },
		{ "errors of the socket", errors },
		{ "a signal while waiting", interrupted },
		{ "nothing there, and no waiting", nothing_there },
		{ "closing a list with gaps", closing },
		{ NULL, NULL },
	};

	return check_main(cases);
}
