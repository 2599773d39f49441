// SPDX-License-Identifier: BSD-3-Clause
/*
 * A program that uses the library, as its standard input says, line by line;
 * answers each line with its number of milliseconds:
 *
 *   open PATH			dlopen() the library
 *   run PROGRAM THREADS COUNT	so many threads log so many secrets each
 *   master PROGRAM COUNT	by log_master()
 *   prf PROGRAM LABEL		by prf(), with labels[LABEL]
 *   cold			what is not in memory
 *   never			what will never be
 *   unread			one whose label is not in memory
 *   label, length, zero, int	one that is wrong, or only looks so
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "stack.h"

#define THREADS_MAX 16

struct job {
	struct stack_id id;
	uint32_t count;
};

static void (*log_secret)(struct stack_session *, const char *, const uint8_t *,
			  size_t);
static void (*log_master)(void ****, const uint8_t **);
static void (*prf)(long, const char *, const uint8_t *, long, long, long, long,
		   long, const uint8_t *);
static const char (*labels)[64];
static struct stack_handshake *cold_handshake;
static uint8_t *cold_secret;

static void
open_library(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);

	if (library == NULL)
		exit(EXIT_FAILURE);
	*(void **)&log_secret = dlsym(library, "log_secret");
	*(void **)&log_master = dlsym(library, "log_master");
	*(void **)&prf = dlsym(library, "prf");
	labels = dlsym(library, "labels");
	cold_handshake = dlsym(library, "cold_handshake");
	cold_secret = dlsym(library, "cold_secret");
}

static void *
run(void *argument)
{
	struct job *job = argument;
	struct stack_handshake handshake;
	struct stack_session session = { NULL, &handshake };
	uint8_t secret[48];

	for (uint32_t i = 1; i <= job->count; i++) {
		job->id.number = i;
		stack_random(handshake.random, &job->id);
		stack_secret(secret, &job->id);
		log_secret(&session, labels[stack_label(&job->id)], secret,
			   stack_length(&job->id));
	}
	return NULL;
}

static void
run_threads(uint32_t program, uint32_t threads, uint32_t count)
{
	struct job jobs[THREADS_MAX];
	pthread_t ids[THREADS_MAX];

	for (uint32_t i = 0; i < threads && i < THREADS_MAX; i++) {
		jobs[i] = (struct job){ { program, i, 0 }, count };
		pthread_create(&ids[i], NULL, run, &jobs[i]);
	}
	for (uint32_t i = 0; i < threads && i < THREADS_MAX; i++)
		pthread_join(ids[i], NULL);
}

static void
run_master(uint32_t program, uint32_t count)
{
	struct stack_id id = { program, 0, 0 };
	uint8_t random[32], secret[48];
	const uint8_t *master = secret;
	void *third = random, *second[3] = { NULL, NULL, &third };
	void *first[2] = { NULL, second };
	void *session = first;

	for (id.number = 1; id.number <= count; id.number++) {
		stack_random(random, &id);
		stack_secret(secret, &id);
		log_master((void ****)&session, &master);
	}
}

static void
run_prf(uint32_t program, uint32_t label)
{
	struct stack_id id = { program, 0, 10 };
	uint8_t random[32], secret[48];

	stack_random(random, &id);
	stack_secret(secret, &id);
	prf(1, labels[label], secret, 4, 5, 6, 7, 8, random);
}

static void
run_cold(void)
{
	struct stack_session session = { NULL, cold_handshake };

	madvise((void *)(uintptr_t)labels, STACK_PAGE, MADV_DONTNEED);
	madvise(cold_handshake, STACK_PAGE, MADV_DONTNEED);
	madvise(cold_secret, STACK_PAGE, MADV_DONTNEED);
	log_secret(&session, labels[1], cold_secret, 48);
}

/* Whoever touches the page waits for it, and this program never gives it. */
static void
run_never(void)
{
	struct stack_session session = { NULL, cold_handshake };
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range.len = STACK_PAGE,
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	uint8_t *page = mmap(NULL, STACK_PAGE, PROT_READ,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	range.range.start = (uintptr_t)page;
	if (page == MAP_FAILED || fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0 ||
	    ioctl(fd, UFFDIO_REGISTER, &range) != 0)
		exit(EXIT_FAILURE);
	log_secret(&session, labels[1], page, 48);
}

static void
run_odd(const char *what)
{
	struct stack_id id = { 99, 0, 1 };
	struct stack_handshake handshake;
	struct stack_session session = { NULL, &handshake };
	uint8_t secret[48];
	const char *label = labels[1];
	size_t length = 32;

	stack_random(handshake.random, &id);
	stack_secret(secret, &id);
	if (strcmp(what, "label") == 0)
		label = labels[STACK_LABELS];
	else if (strcmp(what, "length") == 0)
		length = 33;
	else if (strcmp(what, "short") == 0)
		label = labels[0];
	else if (strcmp(what, "zero") == 0)
		memset(secret, 0, sizeof(secret));
	else if (strcmp(what, "random") == 0)
		memset(handshake.random, 0, sizeof(handshake.random));
	else if (strcmp(what, "unread") == 0)
		madvise((void *)(uintptr_t)labels, STACK_PAGE, MADV_DONTNEED);
	else if (strcmp(what, "int") == 0)
		length += (size_t)1 << 32;
	log_secret(&session, label, secret, length);
}

static void
obey(char *line)
{
	uint32_t a, b, c;

	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "open ", 5) == 0)
		open_library(line + 5);
	else if (sscanf(line, "run %u %u %u", &a, &b, &c) == 3)
		run_threads(a, b, c);
	else if (sscanf(line, "master %u %u", &a, &b) == 2)
		run_master(a, b);
	else if (sscanf(line, "prf %u %u", &a, &b) == 2)
		run_prf(a, b);
	else if (strcmp(line, "cold") == 0)
		run_cold();
	else if (strcmp(line, "never") == 0)
		run_never();
	else
		run_odd(line);
}

int
main(void)
{
	char line[512];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct timespec begin, end;

		clock_gettime(CLOCK_MONOTONIC, &begin);
		obey(line);
		clock_gettime(CLOCK_MONOTONIC, &end);
		printf("%.3f\n",
		       (double)(end.tv_sec - begin.tv_sec) * 1e3 +
			   (double)(end.tv_nsec - begin.tv_nsec) / 1e6);
		fflush(stdout);
	}
	return EXIT_SUCCESS;
}
