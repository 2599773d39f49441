// SPDX-License-Identifier: BSD-3-Clause
/*
 * The kernel's mmap records: an event on each CPU that counts nothing, but
 * tells of mappings.
 */
#define _GNU_SOURCE

#include "watch.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "uevents.h"

#define RING_SIZE (256 * (size_t)1024)

struct watch {
	int epoll;
	bool missed; /* what was mapped while nobody looked */
	size_t count;
	struct ring {
		int fd; /* or -1: there is no such CPU now */
		struct perf_event_mmap_page *pages;
	} rings[];
};

/* PERF_RECORD_MMAP2, as perf_event.h only describes it. */
struct record {
	struct perf_event_header header;
	uint32_t pid;
	uint32_t tid;
	uint64_t start;
	uint64_t length;
	uint64_t offset;
	uint32_t major;
	uint32_t minor;
	uint64_t ino;
	uint64_t generation;
	uint32_t protection;
	uint32_t flags;
	char path[PATH_MAX + 8];
};

static int
open_ring(struct watch *watch, int cpu)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.size = sizeof(attributes),
		.mmap = 1,
		.mmap2 = 1,
		.watermark = 1,
		.wakeup_watermark = 1,
	};
	struct ring *ring = &watch->rings[cpu];
	struct epoll_event event = { .events = EPOLLIN };

	ring->fd = (int)syscall(SYS_perf_event_open, &attributes, -1, cpu, -1,
				PERF_FLAG_FD_CLOEXEC);
	if (ring->fd < 0)
		return errno == ENODEV ? 0 : -errno;
	ring->pages = mmap(NULL, RING_SIZE + (size_t)getpagesize(),
			   PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	if (ring->pages == MAP_FAILED ||
	    epoll_ctl(watch->epoll, EPOLL_CTL_ADD, ring->fd, &event) != 0) {
		int error = -errno;

		if (ring->pages != MAP_FAILED)
			munmap(ring->pages, RING_SIZE + (size_t)getpagesize());
		close(ring->fd);
		ring->fd = -1;
		return error;
	}
	return 0;
}

static void
close_ring(struct ring *ring)
{
	if (ring->fd < 0)
		return;
	munmap(ring->pages, RING_SIZE + (size_t)getpagesize());
	close(ring->fd);
	ring->fd = -1;
}

void
watch_cpu_came(struct watch *watch, uint32_t cpu)
{
	for (size_t i = 0; i < watch->count; i++) {
		if (cpu != CPUS_ANY && cpu != i)
			continue;
		close_ring(&watch->rings[i]);
		open_ring(watch, (int)i);
		watch->missed = true;
	}
}

struct watch *
watch_start(struct failure *failure)
{
	int cpus = libbpf_num_possible_cpus(), error = 0;
	struct watch *watch;

	watch = calloc(1, sizeof(*watch) + (size_t)(cpus > 0 ? cpus : 0) *
					       sizeof(watch->rings[0]));
	if (watch == NULL) {
		fail(failure, EBPFTLS_REASON_OTHER, "out of memory");
		return NULL;
	}
	for (int cpu = 0; cpu < cpus; cpu++)
		watch->rings[watch->count++].fd = -1;
	watch->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (watch->epoll < 0)
		error = -errno;
	for (int cpu = 0; error == 0 && cpu < cpus; cpu++)
		error = open_ring(watch, cpu);
	if (error == 0)
		return watch;
	fail_refused(failure, -error, "cannot watch for programs that start");
	watch_close(watch);
	return NULL;
}

int
watch_fd(const struct watch *watch)
{
	return watch->epoll;
}

/* Out of the ring, which may end in the middle of it. */
static void
copy(const struct ring *ring, uint64_t from, void *to, size_t length)
{
	const char *data = (const char *)ring->pages + getpagesize();
	size_t start = from % RING_SIZE, first = RING_SIZE - start;

	if (first > length)
		first = length;
	memcpy(to, data + start, first);
	memcpy((char *)to + first, data, length - first);
}

static bool
take(const struct record *record, struct mapping *mapping)
{
	/* a process that has gone by now, or is of no concern here, has none */
	if (record->path[0] != '/' || record->ino == 0 || record->pid == 0 ||
	    record->pid == UINT32_MAX)
		return false;
	*mapping = (struct mapping){
		.pid = record->pid,
		.start = record->start,
		.end = record->start + record->length,
		.dev = makedev(record->major, record->minor),
		.ino = record->ino,
		.recent = true,
		.generation = record->generation,
		.path = record->path,
	};
	return true;
}

static bool
read_ring(struct ring *ring,
	  void (*found)(void *context, const struct mapping *mapping),
	  void *context)
{
	uint64_t head =
	    __atomic_load_n(&ring->pages->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = ring->pages->data_tail;
	/* a record about the loss comes only with the next one */
	bool complete = head - tail <= RING_SIZE - sizeof(struct record);

	while (tail < head) {
		struct mapping mapping;
		struct record record;
		size_t size;

		copy(ring, tail, &record.header, sizeof(record.header));
		size = record.header.size;
		if (size < sizeof(record.header) || size > head - tail) {
			/* where the next one begins, nobody knows */
			tail = head;
			complete = false;
			break;
		}
		tail += size;
		if (record.header.type == PERF_RECORD_LOST)
			complete = false;
		if (record.header.type != PERF_RECORD_MMAP2)
			continue;
		if (size > sizeof(record) - 1)
			size = sizeof(record) - 1;
		copy(ring, tail - record.header.size, &record, size);
		((char *)&record)[size] = '\0';
		if (size > offsetof(struct record, path) &&
		    take(&record, &mapping))
			found(context, &mapping);
	}
	__atomic_store_n(&ring->pages->data_tail, tail, __ATOMIC_RELEASE);
	return complete;
}

bool
watch_read(struct watch *watch,
	   void (*found)(void *context, const struct mapping *mapping),
	   void *context)
{
	bool complete = !watch->missed;

	watch->missed = false;
	for (size_t i = 0; i < watch->count; i++)
		if (watch->rings[i].fd >= 0)
			complete &= read_ring(&watch->rings[i], found, context);
	return complete;
}

void
watch_close(struct watch *watch)
{
	if (watch == NULL)
		return;
	for (size_t i = 0; i < watch->count; i++)
		close_ring(&watch->rings[i]);
	if (watch->epoll >= 0)
		close(watch->epoll);
	free(watch);
}
