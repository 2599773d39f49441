// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does a child of a fork() have the pages of perf events where its parent has
 * them? With events of this process, which the agent would open and hand over.
 */
#define _GNU_SOURCE

#include "ebpftls-pages.h"

#include <linux/perf_event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "unit/check.h"

#define RINGS	2
#define SNAPLEN 64
#define RECORD	16 /* PERF_RECORD_COMM, without the identifiers behind */
#define SECONDS 20 /* for a child to hang */

/* One handle. */
struct handle {
	struct ebpftls_client client;
	struct ebpftls_ring_fd rings[RINGS];
	struct ebpftls_pages pages;
};

static size_t page;

static int
open_event(void)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.size = sizeof(attributes),
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.comm = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1,
			    PERF_FLAG_FD_CLOEXEC);
}

static int
open_memory(void)
{
	int fd = memfd_create("pages", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 4 * (off_t)page) != 0)
		abort();
	return fd;
}

static void
close_handle(struct handle *handle)
{
	ebpftls_pages_unmap(&handle->pages);
	for (int i = 0; i < EBPFTLS_FDS; i++)
		if (handle->client.fds[i] >= 0)
			close(handle->client.fds[i]);
	for (uint32_t i = 0; i < handle->client.ring_count; i++)
		close(handle->rings[i].fd);
}

/* False: this machine lets us have no events. */
static bool
open_handle(struct handle *handle)
{
	struct ebpftls_client *client = &handle->client;

	memset(handle, 0, sizeof(*handle));
	for (int i = 0; i < EBPFTLS_FDS; i++)
		client->fds[i] = i <= EBPFTLS_FD_DOORBELL ? open_memory() : -1;
	client->rings = handle->rings;
	client->ring_size = (uint32_t)page;
	client->counters = 1;
	while (client->ring_count < RINGS &&
	       (handle->rings[client->ring_count].fd = open_event()) >= 0)
		client->ring_count++;
	if (client->ring_count == RINGS &&
	    check(ebpftls_pages_map(&handle->pages, client, SNAPLEN) == 0))
		return true;
	close_handle(handle);
	check_skip("no perf events");
	return false;
}

/* What a packet would lie in. */
static const uint8_t *
data(const struct handle *handle, uint32_t ring)
{
	return handle->pages.rings[ring].data;
}

/* Has the kernel write a record into all rings, this one, say. */
static void
have_written(const struct handle *handle, uint32_t ring, uint8_t *record)
{
	check(prctl(PR_SET_NAME, "pages", 0, 0, 0) == 0);
	check(*handle->pages.rings[ring].head >= RECORD);
	memcpy(record, data(handle, ring), RECORD);
}

static pid_t
begin_child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		alarm(SECONDS);
	return pid;
}

static void
ends_well(pid_t pid)
{
	int status = -1;

	check(waitpid(pid, &status, 0) == pid && status == 0);
}

/* --- cases ---------------------------------------------------------------- */

/* What the child reads and releases there is what its parent does. */
static void
same_pages(void)
{
	struct handle handles[2];
	uint8_t records[2][RINGS][RECORD];
	pid_t pid;

	if (!open_handle(&handles[0]) || !open_handle(&handles[1]))
		return;
	for (uint32_t i = 0; i < 2 * RINGS; i++)
		have_written(&handles[i / 2], i % 2, records[i / 2][i % 2]);
	pid = begin_child();
	if (pid == 0) {
		for (uint32_t i = 0; i < 2 * RINGS; i++) {
			if (memcmp(data(&handles[i / 2], i % 2),
				   records[i / 2][i % 2], RECORD) != 0)
				_exit(1);
			*handles[i / 2].pages.rings[i % 2].tail = 8 + i;
		}
		for (int i = 0; i < 2; i++) {
			if (!ebpftls_pages_whole(&handles[i].pages))
				_exit(2);
			ebpftls_pages_unmap(&handles[i].pages);
		}
		_exit(0);
	}
	ends_well(pid);
	for (uint32_t i = 0; i < 2 * RINGS; i++)
		check(*handles[i / 2].pages.rings[i % 2].tail == 8 + i);
	close_handle(&handles[0]);
	close_handle(&handles[1]);
}

/* And so in a child of the child, whose parent is gone; without what is closed.
 */
static void
grandchild(void)
{
	struct handle handles[2];
	uint8_t record[RECORD];
	int ends[2];
	char byte = 0;

	if (!open_handle(&handles[0]) || !open_handle(&handles[1]))
		return;
	if (pipe(ends) != 0)
		abort();
	have_written(&handles[1], 0, record);
	close_handle(&handles[0]);
	if (begin_child() == 0) {
		if (fork() != 0)
			_exit(0);
		if (memcmp(data(&handles[1], 0), record, RECORD) == 0)
			(void)!write(ends[1], "x", 1);
		_exit(0);
	}
	wait(NULL);
	close(ends[1]);
	check(read(ends[0], &byte, 1) == 1 && byte == 'x');
	close(ends[0]);
	close_handle(&handles[1]);
}

/* Where another mapping is to be in the child, made before ours; or NULL. */
static void *taken;

static void
take_place(void)
{
	if (taken != NULL &&
	    mmap(taken, page, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == taken)
		*(char *)taken = 't';
}

/* What is there in the meantime stays as it is, also at the end. */
static void
place_taken(void)
{
	struct handle handle;
	const uint8_t *place;
	pid_t pid;

	if (!open_handle(&handle))
		return;
	place = data(&handle, 1);
	taken = (void *)(uintptr_t)place;
	pid = begin_child();
	taken = NULL;
	if (pid == 0) {
		if (ebpftls_pages_whole(&handle.pages) || *place != 't')
			_exit(1);
		ebpftls_pages_unmap(&handle.pages);
		_exit(*place != 't');
	}
	ends_well(pid);
	check(ebpftls_pages_whole(&handle.pages));
	close_handle(&handle);
}

static atomic_bool busy;

static void *
map_and_unmap(void *argument)
{
	struct handle *handle = argument;

	while (busy) {
		ebpftls_pages_unmap(&handle->pages);
		if (ebpftls_pages_map(&handle->pages, &handle->client,
				      SNAPLEN) != 0)
			abort();
	}
	return NULL;
}

/* Handles begin and end in other threads. */
static void
threads(void)
{
	struct handle other, mine;
	uint8_t record[RECORD];
	pthread_t thread;
	pid_t pid;

	if (!open_handle(&other) || !open_handle(&mine))
		return;
	have_written(&mine, 0, record);
	busy = true;
	if (pthread_create(&thread, NULL, map_and_unmap, &other) != 0)
		abort();
	for (int i = 0; i < 100; i++) {
		pid = begin_child();
		if (pid == 0) {
			if (memcmp(data(&mine, 0), record, RECORD) != 0)
				_exit(1);
			ebpftls_pages_unmap(&mine.pages);
			_exit(0);
		}
		ends_well(pid);
	}
	busy = false;
	pthread_join(thread, NULL);
	close_handle(&other);
	close_handle(&mine);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "a child has the pages of its parent", same_pages },
		{ "a child of a child", grandchild },
		{ "another mapping in their place", place_taken },
		{ "handles of other threads", threads },
		{ NULL, NULL },
	};

	page = (size_t)sysconf(_SC_PAGESIZE);
	/* before the first handle's */
	pthread_atfork(NULL, NULL, take_place);
	return check_main(cases);
}
