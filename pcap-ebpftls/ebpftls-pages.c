// SPDX-License-Identifier: BSD-3-Clause
/* Maps the pages that the agent shares. */
#define _GNU_SOURCE

#include "ebpftls-pages.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOT_FORKED 0x65627066u

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
	pages->witness = map(page, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages->shared == NULL || pages->counters == NULL ||
	    pages->bell_heard == NULL || pages->bell_rung == NULL ||
	    pages->witness == NULL ||
	    madvise(pages->witness, page, MADV_WIPEONFORK) != 0)
		return false;
	*pages->witness = NOT_FORKED;
	return true;
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

int
ebpftls_pages_map(struct ebpftls_pages *pages,
		  const struct ebpftls_client *client, uint32_t snaplen)
{
	int error;

	memset(pages, 0, sizeof(*pages));
	pages->ring_size = client->ring_size;
	pages->counters_size =
	    whole_pages(client->counters * sizeof(struct ebpftls_counters));
	if (map_shared(pages, client) && map_rings(pages, client, snaplen))
		return 0;
	error = -errno;
	ebpftls_pages_unmap(pages);
	return error;
}

bool
ebpftls_pages_forked(const struct ebpftls_pages *pages)
{
	return *pages->witness != NOT_FORKED;
}

int
ebpftls_pages_remap(struct ebpftls_pages *pages,
		    const struct ebpftls_client *client)
{
	for (uint32_t i = 0; i < pages->ring_count; i++) {
		struct ebpftls_ring *ring = &pages->rings[i];
		const uint8_t *before = ring->data;

		if (!map_ring(pages, ring, client->rings[i].fd))
			return -errno;
		/* a frame that waits for its turn lies where it lay, but
		 * elsewhere; one put together is ordinary memory */
		if (ring->state == EBPFTLS_RING_FRAME &&
		    ring->bytes >= before && ring->bytes < before + ring->size)
			ring->bytes = ring->data + (ring->bytes - before);
	}
	*pages->witness = NOT_FORKED;
	return 0;
}

static void
unmap_rings(struct ebpftls_pages *pages)
{
	size_t page = page_size();

	/* in a child that never read there is nothing to unmap */
	if (pages->witness != NULL && ebpftls_pages_forked(pages))
		pages->ring_count = 0;
	for (uint32_t i = 0; i < pages->ring_count; i++)
		unmap(pages->rings[i].data - page, page + pages->ring_size);
	free(pages->rings);
	free(pages->assembly);
}

void
ebpftls_pages_unmap(struct ebpftls_pages *pages)
{
	size_t page = page_size();

	unmap_rings(pages);
	unmap(pages->shared, page);
	unmap(pages->counters, pages->counters_size);
	unmap(pages->bell_heard, page);
	unmap(pages->bell_rung, page);
	unmap(pages->witness, page);
	memset(pages, 0, sizeof(*pages));
}
