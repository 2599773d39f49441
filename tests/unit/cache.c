// SPDX-License-Identifier: BSD-3-Clause
/* What the cache remembers, and of which files it believes it. */
#define _GNU_SOURCE

#include "cache.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#error "the agent knows no code of this machine"
#endif

#define HOOK	 0x400
#define LABEL	 0x800
#define SIZE	 0x1000
#define RANDOM	 "CLIENT_RANDOM"
#define BARREN	 3000
#define WARM_MAX 50000 /* microseconds for so many */

static char folder[64];

/* A file with a hook and a label; closed by the caller. */
static int
make_file(const char *name, struct stat *st)
{
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segments[1];
	} start = {
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
				     ELFCLASS64, ELFDATA2LSB },
			.e_machine = MACHINE,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
		.segments = {
			{ .p_type = PT_LOAD, .p_vaddr = 0x10000,
			  .p_filesz = SIZE },
		},
	};
	static uint8_t bytes[SIZE];
	char path[128];
	int fd;

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, &start, sizeof(start));
	memset(bytes + HOOK, 0x90, 16);
	memcpy(bytes + LABEL, RANDOM, sizeof(RANDOM));
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check(fd >= 0 && pwrite(fd, bytes, SIZE, 0) == SIZE);
	check(fstat(fd, st) == 0);
	return fd;
}

static const struct scan_result *
one_hook(void)
{
	static struct scan_result result;

	result.count = 1;
	result.labels = 1;
	result.hooks[0].offset = HOOK;
	result.hooks[0].label.known = 1;
	result.hooks[0].name_count = 1;
	result.hooks[0].names[0].distance = LABEL - HOOK;
	result.hooks[0].names[0].label = EBPFTLS_CLIENT_RANDOM;
	memset(result.code[0], 0x90, sizeof(result.code[0]));
	return &result;
}

static void
begin(void)
{
	strcpy(folder, "/tmp/ebpftls-unit.XXXXXX");
	check(mkdtemp(folder) != NULL);
	setenv("EBPFTLS_CACHE", folder, 1);
}

static void
end(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	check(system(command) == 0);
}

/* What the next run finds of what this one adds. */
static struct cache *
next_run(struct cache *cache)
{
	cache_save(cache);
	cache_close(cache);
	return cache_open();
}

static void
remembers(void)
{
	const struct scan_result none = { .why = "nothing" };
	struct scan_result result;
	struct stat with, without;
	struct file_id id;
	struct cache *cache;
	int a, b;

	begin();
	cache = cache_open();
	a = make_file("a", &with);
	b = make_file("b", &without);
	id = file_id(&without);
	check(!cache_find(cache, a, &with, &result));
	check(!cache_is_barren(cache, &id));
	cache_add(cache, &with, "/a", one_hook());
	cache_add(cache, &without, "/b", &none);
	cache = next_run(cache);
	check(cache_find(cache, a, &with, &result));
	check_bytes(&result, one_hook(), sizeof(result));
	check(cache_is_barren(cache, &id));
	id = file_id(&with);
	check(!cache_is_barren(cache, &id));
	check(!cache_find(cache, b, &without, &result));
	check(strcmp(cache_path(cache, 0), "/a") == 0);
	check(cache_path(cache, 1) == NULL);
	cache_close(cache);
	close(a);
	close(b);
	end();
}

/* The same content, even with the same owner and time, is another file. */
static void
knows_no_copy(void)
{
	struct scan_result result;
	struct stat st, copy;
	struct cache *cache;
	int a, b;

	begin();
	cache = cache_open();
	a = make_file("a", &st);
	b = make_file("b", &copy);
	copy.st_ctim = st.st_ctim;
	cache_add(cache, &st, "/a", one_hook());
	check(!cache_find(cache, b, &copy, &result));
	copy = st;
	copy.st_dev++;
	check(!cache_find(cache, a, &copy, &result));
	copy = st;
	copy.st_ctim.tv_nsec ^= 1;
	check(!cache_find(cache, a, &copy, &result));
	copy = st;
	copy.st_size++;
	check(!cache_find(cache, a, &copy, &result));
	check(cache_find(cache, a, &st, &result));
	cache_close(cache);
	close(a);
	close(b);
	end();
}

static void
looks_at_the_file(void)
{
	static const off_t at[] = { HOOK, HOOK + 15, LABEL, LABEL + 12 };
	struct scan_result result;
	struct stat st;
	struct cache *cache;
	int fd;

	begin();
	cache = cache_open();
	fd = make_file("a", &st);
	cache_add(cache, &st, "/a", one_hook());
	check(cache_find(cache, fd, &st, &result));
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint8_t old, other = 'x';

		check(pread(fd, &old, 1, at[i]) == 1 &&
		      pwrite(fd, &other, 1, at[i]) == 1);
		check(!cache_find(cache, fd, &st, &result));
		check(pwrite(fd, &old, 1, at[i]) == 1);
	}
	check(cache_find(cache, fd, &st, &result));
	cache_close(cache);
	close(fd);
	end();
}

static void
survives_corruption(void)
{
	struct scan_result result;
	char path[128];
	struct stat st;
	struct cache *cache;
	int fd, file;

	begin();
	fd = make_file("a", &st);
	snprintf(path, sizeof(path), "%s/results", folder);
	for (int i = 0; i < 100; i++) {
		off_t at;
		uint8_t byte;

		unlink(path);
		cache = cache_open();
		cache_add(cache, &st, "/a", one_hook());
		cache_save(cache);
		cache_close(cache);
		file = open(path, O_RDWR | O_CLOEXEC);
		at = (off_t)check_random((uint32_t)lseek(file, 0, SEEK_END));
		check(pread(file, &byte, 1, at) == 1);
		byte ^= (uint8_t)(1 + check_random(255));
		if (i % 4 == 0)
			check(ftruncate(file, at) == 0);
		else
			check(pwrite(file, &byte, 1, at) == 1);
		close(file);
		cache = cache_open();
		/* but for the header's reserved bytes */
		check(!cache_find(cache, fd, &st, &result) ||
		      (at >= 28 && at < 32));
		cache_close(cache);
	}
	close(fd);
	end();
}

static void
wants_no_others_file(void)
{
	struct scan_result result;
	char path[128];
	struct stat st;
	struct cache *cache;
	int fd;

	begin();
	fd = make_file("a", &st);
	cache = cache_open();
	cache_add(cache, &st, "/a", one_hook());
	cache_save(cache);
	cache_close(cache);
	snprintf(path, sizeof(path), "%s/results", folder);
	check(chmod(path, 0620) == 0);
	cache = cache_open();
	check(!cache_find(cache, fd, &st, &result));
	cache_close(cache);
	check(chmod(path, 0600) == 0 && chmod(folder, 0770) == 0);
	cache = cache_open();
	check(!cache_find(cache, fd, &st, &result));
	cache_close(cache);
	close(fd);
	end();
}

static int64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void
is_fast(void)
{
	const struct scan_result none = { .why = "nothing" };
	struct stat st = { .st_dev = 1, .st_ctim.tv_sec = 1 };
	struct cache *cache;
	int64_t start;

	begin();
	cache = cache_open();
	for (st.st_ino = 1; st.st_ino <= BARREN; st.st_ino++)
		cache_add(cache, &st, "", &none);
	cache_save(cache);
	cache_close(cache);
	start = now();
	cache = cache_open();
	for (st.st_ino = 1; st.st_ino <= BARREN; st.st_ino++) {
		struct file_id id = file_id(&st);

		check(cache_is_barren(cache, &id));
	}
	check(now() - start < WARM_MAX);
	cache_close(cache);
	end();
}

/* More than there is room for, run after run. */
static void
is_bounded(void)
{
	const struct scan_result none = { .why = "nothing" };
	struct stat st = { .st_dev = 1 }, file;
	struct file_id last;
	struct cache *cache;
	char path[128];

	begin();
	for (int run = 0; run < 6; run++) {
		cache = cache_open();
		for (int i = 0; i < 9000; i++) {
			st.st_ino++;
			cache_add(cache, &st, "", &none);
		}
		cache_save(cache);
		cache_close(cache);
	}
	snprintf(path, sizeof(path), "%s/results", folder);
	check(stat(path, &file) == 0 && file.st_size < 700000);
	last = file_id(&st);
	cache = cache_open();
	check(cache_is_barren(cache, &last));
	cache_close(cache);
	end();
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "from run to run", remembers },
		{ "a copy of a file", knows_no_copy },
		{ "a file that is not what it was", looks_at_the_file },
		{ "a corrupt cache", survives_corruption },
		{ "a cache that others can write to", wants_no_others_file },
		{ "3000 files in 50 ms", is_fast },
		{ "a cache that is full", is_bounded },
		{ NULL, NULL },
	};

	return check_main(cases);
}
