/*
 * memory.c: allocations of which one fails. Part of the victim, and preloaded
 * by the agent: there the environment says which, FAULT_NTH, and a file in
 * FAULT_PLACE gets where that was.
 *
 * A place is a way of calls to an allocation, so that a loop counts once.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"

#define DEPTH  12
#define PLACES 16384
#define BLOCKS 65536

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static atomic_flag lock = ATOMIC_FLAG_INIT;
static _Thread_local bool inside; /* what we call allocates, too */
static atomic_bool armed;
static unsigned int left;
static uint64_t places[PLACES];

/* What was allocated since it was armed, and by whom. */
static struct {
	void *block;
	void *by[DEPTH];
	int depth;
} blocks[BLOCKS];
static size_t block_count;

static void
enter(void)
{
	inside = true;
	while (atomic_flag_test_and_set(&lock))
		;
}

static void
leave(void)
{
	atomic_flag_clear(&lock);
	inside = false;
}

static bool
is_new(void *const *by, int depth)
{
	uint64_t hash = 14695981039346656037u;
	size_t at;

	for (int i = 0; i < depth; i++)
		hash = (hash ^ (uintptr_t)by[i]) * 1099511628211u;
	for (at = hash % PLACES; places[at] != 0; at = (at + 1) % PLACES)
		if (places[at] == hash)
			return false;
	places[at] = hash;
	return true;
}

static void
tell(void *const *by, int depth)
{
	const char *path = getenv("FAULT_PLACE");
	int fd =
	    path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;

	if (fd < 0)
		return;
	backtrace_symbols_fd(by, depth, fd);
	close(fd);
}

/* Is this the one? The way to it goes to `by`. */
static bool
fails(void *by[DEPTH], int *depth)
{
	/* without this and what was called */
	*depth = backtrace(by, DEPTH);
	if (!is_new(by, *depth) || left == 0 || --left > 0)
		return false;
	tell(by, *depth);
	return true;
}

static void
keep(void *block, void *const *by, int depth)
{
	if (block == NULL || block_count == BLOCKS)
		return;
	blocks[block_count].block = block;
	blocks[block_count].depth = depth;
	memcpy(blocks[block_count++].by, by, (size_t)depth * sizeof(*by));
}

static void
forget(const void *block)
{
	for (size_t i = block_count; i > 0; i--)
		if (blocks[i - 1].block == block) {
			blocks[i - 1] = blocks[--block_count];
			return;
		}
}

/* malloc() and all its relatives: `old` is for realloc(). */
static void *
allocate(void *old, size_t size, size_t alignment, bool clear)
{
	void *by[DEPTH], *block = NULL;
	bool watch = armed && !inside, failed = false;
	int depth = 0;

	if (watch) {
		enter();
		failed = fails(by, &depth);
	}
	if (failed)
		errno = ENOMEM;
	else if (alignment != 0)
		block = __libc_memalign(alignment, size);
	else if (clear)
		block = __libc_calloc(1, size);
	else
		block = __libc_realloc(old, size);
	if (watch) {
		if (old != NULL && block != NULL)
			forget(old);
		keep(block, by, depth);
		leave();
	}
	return block;
}

void *
malloc(size_t size)
{
	return allocate(NULL, size, 0, false);
}

void *
calloc(size_t count, size_t size)
{
	if (size != 0 && count > PTRDIFF_MAX / size) {
		errno = ENOMEM;
		return NULL;
	}
	return allocate(NULL, count * size, 0, true);
}

void *
realloc(void *old, size_t size)
{
	return allocate(old, size, 0, false);
}

void *
reallocarray(void *old, size_t count, size_t size)
{
	if (size != 0 && count > PTRDIFF_MAX / size) {
		errno = ENOMEM;
		return NULL;
	}
	return allocate(old, count * size, 0, false);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	return allocate(NULL, size, alignment, false);
}

int
posix_memalign(void **block, size_t alignment, size_t size)
{
	*block = allocate(NULL, size, alignment, false);
	return *block != NULL ? 0 : ENOMEM;
}

void
free(void *block)
{
	if (block != NULL && armed && !inside) {
		enter();
		forget(block);
		leave();
	}
	__libc_free(block);
}

void
memory_arm(unsigned int nth)
{
	void *by[DEPTH];

	backtrace(by, DEPTH); /* loads a library the first time */
	left = nth;
	block_count = 0;
	memset(places, 0, sizeof(places));
	armed = true;
}

bool
memory_disarm(size_t allowed, char *text, size_t size)
{
	char **symbols;

	armed = false;
	if (block_count <= allowed)
		return false;
	text[0] = '\0';
	for (size_t b = 0; b < block_count; b++) {
		symbols = backtrace_symbols(blocks[b].by, blocks[b].depth);
		for (int i = 2; symbols != NULL && i < blocks[b].depth; i++)
			snprintf(text + strlen(text), size - strlen(text),
				 "%s ", symbols[i]);
		free(symbols);
	}
	return true;
}

__attribute__((constructor)) static void
arm_agent(void)
{
	const char *nth = getenv("FAULT_NTH");

	if (nth != NULL)
		memory_arm((unsigned int)strtoul(nth, NULL, 10));
}
