// SPDX-License-Identifier: BSD-3-Clause
/*
 * From the ring through the reader, in this order, to what is kept; and from
 * there to the module, when a frame is of that process. Newcomers wait in the
 * ring while there are many for the reader, and facts wait in the queue while
 * the connection is full. It is never filled: what else is sent on it may have
 * to wait then, and with it the agent.
 */
#define _GNU_SOURCE

#include "people.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "checksum.h"
#include "ebpftls-control-io.h"
#include "process.h"
#include "reader.h"

#define WAITING_MAX 128 /* for the reader: a descriptor each */
#define KEPT_MAX    4096
#define SENT_MAX    4096
#define SEND_BUFFER (2 << 20) /* for the facts of some 450 processes */

struct newcomer {
	struct ebpftls_newcomer who;
	int folder; /* of /proc, or -1 */
};

/* What was last sent of some process: these two say whether it is the same. */
struct sent {
	uint32_t pid;
	uint64_t hash;
};

struct people {
	const struct peer *peer; /* who is told, or NULL: root */
	bool hidden;		 /* from the peer: all but its own */
	int epoll;
	int proc;
	int sock;
	bool watches_ring; /* whether epoll does */
	bool watches_sock;
	struct ring_buffer *ring;
	struct reader *reader;
	struct newcomer waiting[WAITING_MAX]; /* the first is being read */
	size_t first_waiting, waiting_count;
	struct ebpftls_process *kept[KEPT_MAX];		/* by pid */
	struct ebpftls_process queue[PEOPLE_QUEUE_MAX]; /* to be sent */
	size_t first, count;
	struct sent sent[SENT_MAX];
};

/* --- sending -------------------------------------------------------------- */

static void
put(struct people *people, const struct ebpftls_process *facts)
{
	size_t last = (people->first + people->count) % PEOPLE_QUEUE_MAX;

	people->queue[last] = *facts;
	if (people->count < PEOPLE_QUEUE_MAX)
		people->count++;
	else
		people->first = (people->first + 1) % PEOPLE_QUEUE_MAX;
}

/* Notes that it is sent; false: these very facts have been. */
static bool
is_new(struct people *people, const struct ebpftls_process *facts)
{
	struct sent *sent = &people->sent[facts->pid % SENT_MAX];
	uint64_t hash = checksum(facts, sizeof(*facts));

	if (sent->pid == facts->pid && sent->hash == hash)
		return false;
	*sent = (struct sent){ facts->pid, hash };
	return true;
}

/* A socket is writable while three quarters of its buffer are free. */
static bool
can_send(int sock)
{
	struct pollfd wait = { .fd = sock, .events = POLLOUT };

	return poll(&wait, 1, 0) == 1 && (wait.revents & POLLOUT);
}

static void
send_queue(struct people *people)
{
	while (people->count > 0 && can_send(people->sock)) {
		union ebpftls_any_message message = {
			.process = people->queue[people->first],
		};

		if (is_new(people, &message.process))
			ebpftls_control_send(people->sock, &message,
					     EBPFTLS_PROCESS, NULL, 0);
		people->first = (people->first + 1) % PEOPLE_QUEUE_MAX;
		people->count--;
	}
}

/* --- reading -------------------------------------------------------------- */

/* In the place of the last one with such a number. */
static void
keep(struct people *people, const struct ebpftls_process *facts)
{
	struct ebpftls_process **kept = &people->kept[facts->pid % KEPT_MAX];

	if (*kept == NULL)
		*kept = malloc(sizeof(**kept));
	if (*kept != NULL)
		**kept = *facts;
}

/* What was read of it, or NULL: nothing, or before it had another name. */
static const struct ebpftls_process *
kept_of(const struct people *people, const struct ebpftls_owner *owner)
{
	const struct ebpftls_process *kept =
	    people->kept[owner->pid % KEPT_MAX];

	return kept != NULL && kept->pid == owner->pid &&
		       kept->start == owner->start &&
		       strcmp(kept->comm, owner->comm) == 0
		   ? kept
		   : NULL;
}

static struct newcomer *
first_waiting(struct people *people)
{
	return &people->waiting[people->first_waiting];
}

/* The same process among those that wait to be read, the last; or NULL. */
static struct newcomer *
find_waiting(struct people *people, const struct ebpftls_owner *owner)
{
	for (size_t i = people->waiting_count; i > 0; i--) {
		size_t at = (people->first_waiting + i - 1) % WAITING_MAX;
		struct newcomer *waiting = &people->waiting[at];

		if (memcmp(&waiting->who.owner, owner, sizeof(*owner)) == 0)
			return waiting;
	}
	return NULL;
}

static void
take_off(struct people *people, const struct ebpftls_process *facts)
{
	int folder = first_waiting(people)->folder;

	keep(people, facts);
	if (first_waiting(people)->who.seen)
		put(people, facts);
	if (folder >= 0)
		close(folder);
	people->first_waiting = (people->first_waiting + 1) % WAITING_MAX;
	people->waiting_count--;
}

/* Of one that has gone already there is nothing to read. */
static void
submit_next(struct people *people)
{
	struct ebpftls_process facts;

	while (people->waiting_count > 0 && first_waiting(people)->folder < 0) {
		process_known(&first_waiting(people)->who, &facts);
		take_off(people, &facts);
	}
	if (people->waiting_count > 0)
		reader_submit(people->reader, &first_waiting(people)->who,
			      first_waiting(people)->folder);
}

static void
take_facts(struct people *people)
{
	struct ebpftls_process facts;

	while (people->waiting_count > 0 &&
	       reader_take(people->reader, &facts)) {
		take_off(people, &facts);
		submit_next(people);
	}
}

/* Whether what there is to know has been read, or will be. */
static bool
is_known(struct people *people, const struct ebpftls_owner *owner)
{
	struct newcomer *waiting = find_waiting(people, owner);
	const struct ebpftls_process *kept = kept_of(people, owner);

	if (waiting != NULL)
		waiting->who.seen = 1;
	else if (kept != NULL)
		put(people, kept);
	return waiting != NULL || kept != NULL;
}

bool
people_saw(struct people *people, const struct ebpftls_newcomer *who)
{
	size_t last =
	    (people->first_waiting + people->waiting_count) % WAITING_MAX;

	if (who->seen && is_known(people, &who->owner))
		return true;
	if (people->waiting_count == WAITING_MAX)
		return false;
	people->waiting[last].who = *who;
	people->waiting[last].folder =
	    process_open(people->proc, who->owner.pid);
	if (people->waiting_count++ == 0)
		submit_next(people);
	return true;
}

/* The record is taken even when this says that it shall be the last. */
static int
hear(void *context, void *data, size_t size)
{
	struct people *people = context;
	struct ebpftls_newcomer who;

	if (size < sizeof(who))
		return 0;
	memcpy(&who, data, sizeof(who));
	if (people->hidden && who.owner.uid != people->peer->uid)
		return 0;
	people_saw(people, &who);
	take_facts(people);
	return people->waiting_count < WAITING_MAX ? 0 : -ECANCELED;
}

/* --- the whole ------------------------------------------------------------ */

static int
watch(struct people *people, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };

	return epoll_ctl(people->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Wakes only for what can be gone on with. */
static void
watch_if(struct people *people, int fd, uint32_t events, bool wanted,
	 bool *watched)
{
	if (wanted == *watched)
		return;
	if (wanted)
		watch(people, fd, events);
	else
		epoll_ctl(people->epoll, EPOLL_CTL_DEL, fd, NULL);
	*watched = wanted;
}

static int
set_up(struct people *people, int ring, const char *proc)
{
	people->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (people->epoll < 0)
		return -1;
	people->proc = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (people->proc < 0)
		return -1;
	people->ring = ring_buffer__new(ring, hear, people, NULL);
	if (people->ring == NULL)
		return -1;
	people->reader = reader_open(people->peer);
	if (people->reader == NULL)
		return -1;
	return watch(people, reader_fd(people->reader), EPOLLIN);
}

struct people *
people_start(int ring, int sock, const char *proc, const struct peer *peer,
	     bool hidden, struct failure *failure)
{
	struct people *people = calloc(1, sizeof(*people));
	const int size = SEND_BUFFER;

	if (people == NULL) {
		fail(failure, EBPFTLS_REASON_OTHER, "out of memory");
		return NULL;
	}
	people->epoll = people->proc = -1;
	people->sock = sock;
	people->peer = peer;
	people->hidden = hidden;
	if (set_up(people, ring, proc) != 0) {
		fail_refused(failure, errno,
			     "cannot read which processes have sockets");
		people_close(people);
		return NULL;
	}
	/* does less without: then the module has to come more often */
	setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	watch_if(people, ring_buffer__epoll_fd(people->ring), EPOLLIN, true,
		 &people->watches_ring);
	return people;
}

int
people_fd(const struct people *people)
{
	return people->epoll;
}

void
people_work(struct people *people)
{
	bool room;

	take_facts(people);
	room = people->waiting_count < WAITING_MAX;
	if (room)
		room = ring_buffer__consume(people->ring) >= 0;
	send_queue(people);
	watch_if(people, ring_buffer__epoll_fd(people->ring), EPOLLIN, room,
		 &people->watches_ring);
	watch_if(people, people->sock, EPOLLOUT, people->count > 0,
		 &people->watches_sock);
}

void
people_close(struct people *people)
{
	if (people == NULL)
		return;
	reader_close(people->reader);
	ring_buffer__free(people->ring);
	for (size_t i = 0; i < people->waiting_count; i++)
		ebpftls_control_close(&people
					   ->waiting[(people->first_waiting +
						      i) %
						     WAITING_MAX]
					   .folder,
				      1);
	ebpftls_control_close((int[]){ people->epoll, people->proc }, 2);
	for (size_t i = 0; i < KEPT_MAX; i++)
		free(people->kept[i]);
	free(people);
}
