// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for the kernel's records of mappings: a file is the ring
 * that the watch has for the first CPU. The first two bytes say where in the
 * ring the records begin, so that any of them may lie across its end.
 */
#define _GNU_SOURCE

#include "watch.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "require.h"

#define RING_SIZE (256 * (size_t)1024)
#define SHORTEST  sizeof(struct perf_event_header)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct perf_event_mmap_page *pages;

/* Through which the watch opens its events. */
long
syscall(long number, ...)
{
	size_t size = RING_SIZE + (size_t)getpagesize();
	va_list args;
	int cpu, fd;

	require(number == SYS_perf_event_open);
	va_start(args, number);
	(void)va_arg(args, void *);
	(void)va_arg(args, int);
	cpu = va_arg(args, int);
	va_end(args);
	if (cpu != 0) {
		errno = ENODEV;
		return -1;
	}
	fd = memfd_create("ring", MFD_CLOEXEC);
	require(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(pages != MAP_FAILED);
	return fd;
}

/* A file cannot be waited for. */
int
epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	(void)epoll;
	(void)operation;
	(void)fd;
	(void)event;
	return 0;
}

static void
take(void *context, const struct mapping *mapping)
{
	size_t *count = context;

	require(mapping->path[0] == '/' && mapping->pid != 0);
	require(strlen(mapping->path) < RING_SIZE);
	(*count)++;
}

static void
put(uint64_t at, const uint8_t *bytes, size_t size)
{
	uint8_t *data = (uint8_t *)pages + getpagesize();

	for (size_t i = 0; i < size; i++)
		data[(at + i) % RING_SIZE] = bytes[i];
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct watch *watch;
	struct failure failure;
	size_t count = 0;
	uint64_t start;

	if (size < 2 || size - 2 > RING_SIZE)
		return 0;
	if (watch == NULL)
		watch = watch_start(&failure);
	require(watch != NULL);
	start = 5 * RING_SIZE - (bytes[0] | (uint64_t)bytes[1] << 8);
	bytes += 2;
	size -= 2;
	put(start, bytes, size);
	pages->data_tail = start;
	pages->data_head = start + size;
	watch_read(watch, take, &count);
	require(pages->data_tail == start + size);
	require(count <= size / SHORTEST);
	return 0;
}
