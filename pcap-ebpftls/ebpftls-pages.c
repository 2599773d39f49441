// SPDX-License-Identifier: BSD-3-Clause
/*
 * Maps the pages that the agent shares. A child does not inherit those of perf
 * events, but may have a packet in hand that lies in them, if it was forked in
 * a callback: they are mapped again where they were, before fork() returns.
 */
#define _GNU_SOURCE

#include "ebpftls-pages.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* All that is mapped, under `lock`; whole at any time, should a signal handler
 * fork in between. */
static struct ebpftls_pages *all;
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static size_t
page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t
whole_pages(size_t size)
{
	size_t page = page_size();

	return (size + page - 1) / page * page;
}

/* mmap() that leaves NULL, not MAP_FAILED, and an errno behind. */
static void *
map(size_t size, int protection, int flags, int fd, off_t offset)
{
	void *address = mmap(NULL, size, protection, flags, fd, offset);

	return address == MAP_FAILED ? NULL : address;
}

static void
unmap(const volatile void *address, size_t size)
{
	if (address != NULL)
		munmap((void *)(uintptr_t)address, size);
}

static bool
map_shared(struct ebpftls_pages *pages, const struct ebpftls_client *client)
{
	size_t page = page_size();
	int doorbell = client->fds[EBPFTLS_FD_DOORBELL];

	pages->shared = map(page, PROT_READ | PROT_WRITE, MAP_SHARED,
			    client->fds[EBPFTLS_FD_SHARED], 0);
	pages->counters = map(pages->counters_size, PROT_READ, MAP_SHARED,
			      client->fds[EBPFTLS_FD_COUNTERS], 0);
	/* of a BPF ring buffer: what was read, then what was written */
	pages->bell_heard =
	    map(page, PROT_READ | PROT_WRITE, MAP_SHARED, doorbell, 0);
	pages->bell_rung =
	    map(page, PROT_READ, MAP_SHARED, doorbell, (off_t)page);
	return pages->shared != NULL && pages->counters != NULL &&
	       pages->bell_heard != NULL && pages->bell_rung != NULL;
}

/* Fills in what depends on where the pages lie. */
static bool
map_ring(const struct ebpftls_pages *pages, struct ebpftls_ring *ring, int fd)
{
	size_t page = page_size();
	struct perf_event_mmap_page *base =
	    map(page + pages->ring_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		0);

	if (base == NULL)
		return false;
	ring->head = (const uint64_t *)&base->data_head;
	ring->tail = (uint64_t *)&base->data_tail;
	ring->data = (const uint8_t *)base + page;
	return true;
}

static bool
map_rings(struct ebpftls_pages *pages, const struct ebpftls_client *client,
	  uint32_t snaplen)
{
	size_t assembly = EBPFTLS_HEADROOM + (size_t)snaplen;

	pages->rings = calloc(client->ring_count, sizeof(*pages->rings));
	pages->assembly = malloc(assembly * client->ring_count);
	if (pages->rings == NULL || pages->assembly == NULL) {
		errno = ENOMEM;
		return false;
	}
	for (uint32_t i = 0; i < client->ring_count; i++) {
		struct ebpftls_ring *ring = &pages->rings[i];

		if (!map_ring(pages, ring, client->rings[i].fd))
			return false;
		ring->size = pages->ring_size;
		ring->writing =
		    (const uint64_t *)&pages->counters[client->rings[i].cpu]
			.writing;
		ring->assembly = pages->assembly + i * assembly;
		ring->capacity = snaplen;
		ebpftls_ring_start(ring);
		pages->ring_count++;
	}
	return true;
}

/* --- the child of a fork() ------------------------------------------------ */

static void
before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void
after_fork_in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

/* False: something else is there now, or there is no memory. */
static bool
map_again(const struct ebpftls_ring *ring, size_t page, int fd)
{
	void *address = (void *)(uintptr_t)(ring->data - page);
	const size_t size = page + ring->size;
	void *mapped = mmap(address, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);

	return mapped == address;
}

/* With system calls alone: other threads are gone with locks of theirs. */
static void
after_fork_in_child(void)
{
	static const pthread_mutex_t unlocked =
	    PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	const size_t page = page_size();

	for (struct ebpftls_pages *p = all; p != NULL; p = p->next) {
		uint32_t count = 0;

		while (count < p->ring_count &&
		       map_again(&p->rings[count], page,
				 p->client->rings[count].fd))
			count++;
		p->ring_count = count;
	}
	lock = unlocked;
}

static void
fork_handlers(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static void
list_add(struct ebpftls_pages *pages)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fork_handlers);
	pthread_mutex_lock(&lock);
	pages->next = all;
	all = pages;
	pthread_mutex_unlock(&lock);
}

/* It need not be there. */
static void
list_remove(const struct ebpftls_pages *pages)
{
	struct ebpftls_pages **link = &all;

	pthread_mutex_lock(&lock);
	while (*link != NULL && *link != pages)
		link = &(*link)->next;
	if (*link != NULL)
		*link = pages->next;
	pthread_mutex_unlock(&lock);
}

bool
ebpftls_pages_whole(const struct ebpftls_pages *pages)
{
	return pages->ring_count == pages->client->ring_count;
}

/* --- all of it ----------------------------------------------------------- */

int
ebpftls_pages_map(struct ebpftls_pages *pages,
		  const struct ebpftls_client *client, uint32_t snaplen)
{
	int error;

	memset(pages, 0, sizeof(*pages));
	pages->client = client;
	pages->ring_size = client->ring_size;
	pages->counters_size =
	    whole_pages(client->counters * sizeof(struct ebpftls_counters));
	if (map_shared(pages, client) && map_rings(pages, client, snaplen)) {
		list_add(pages);
		return 0;
	}
	error = -errno;
	ebpftls_pages_unmap(pages);
	return error;
}

static void
unmap_rings(struct ebpftls_pages *pages)
{
	size_t page = page_size();

	for (uint32_t i = 0; i < pages->ring_count; i++)
		unmap(pages->rings[i].data - page, page + pages->ring_size);
	free(pages->rings);
	free(pages->assembly);
}

void
ebpftls_pages_unmap(struct ebpftls_pages *pages)
{
	size_t page = page_size();

	list_remove(pages);
	unmap_rings(pages);
	unmap(pages->shared, page);
	unmap(pages->counters, pages->counters_size);
	unmap(pages->bell_heard, page);
	unmap(pages->bell_rung, page);
	memset(pages, 0, sizeof(*pages));
}
