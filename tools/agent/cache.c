// SPDX-License-Identifier: BSD-3-Clause
/*
 * Results of scans in memory and in one file, which is read and written as a
 * whole; whatever is wrong with it, it is as if it were not there.
 *
 * It is believed only of the very same inode. Build ids are part of the
 * content: with that of a TLS library, a file of somebody else's could hide
 * the library, or have hooks put where there is other code in it.
 */
#define _GNU_SOURCE

#include "cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checksum.h"
#include "elffile.h"
#include "scanner.h"

#define FILE_NAME   "results"
#define NEW_NAME    "results.new"
#define MAGIC	    "ebpftls scans\n\r\032"
#define VERSION	    4
#define BARREN_MAX  20000
#define FERTILE_MAX 1024
#define SLOTS	    65536 /* a power of two, of which less than half is used */
#define SECOND	    INT64_C(1000000000)

struct header {
	char magic[16];
	uint32_t version;
	uint32_t fertile;
	uint32_t barren;
	uint32_t reserved;
	struct file_id agent; /* another one may find something else */
	uint64_t checksum;    /* of all that follows */
};

struct fertile {
	struct file_id id;
	char path[260];
	struct scan_result result;
};

struct cache {
	int folder; /* or -1: there is none */
	bool changed;
	struct file_id agent;
	uint32_t fertile_count;
	uint32_t barren_count;
	struct fertile *fertile;
	struct file_id *barren;
	bool fertile_used[FERTILE_MAX]; /* in this run: worth keeping */
	bool barren_used[BARREN_MAX];
	uint32_t slots[SLOTS]; /* indices into barren, plus 1 */
};

static const char *const labels[EBPFTLS_LABELS] = EBPFTLS_LABEL_NAMES;

struct file_id
file_id(const struct stat *st)
{
	return (struct file_id){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.changed = st->st_ctim.tv_sec * SECOND + st->st_ctim.tv_nsec,
	};
}

bool
file_id_equal(const struct file_id *a, const struct file_id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* --- files without hooks -------------------------------------------------- */

static uint32_t *
slot_of(struct cache *cache, const struct file_id *id)
{
	uint64_t hash = (id->ino ^ id->dev << 40) * 0x9e3779b97f4a7c15U;
	uint32_t at = (uint32_t)(hash >> 48);

	while (cache->slots[at % SLOTS] != 0 &&
	       !file_id_equal(&cache->barren[cache->slots[at % SLOTS] - 1], id))
		at++;
	return &cache->slots[at % SLOTS];
}

bool
cache_is_barren(struct cache *cache, const struct file_id *id)
{
	uint32_t index = *slot_of(cache, id);

	if (index == 0)
		return false;
	cache->barren_used[index - 1] = true;
	return true;
}

static void
add_barren(struct cache *cache, const struct file_id *id, bool used)
{
	uint32_t *slot = slot_of(cache, id);

	if (*slot != 0 || cache->barren_count == BARREN_MAX)
		return;
	cache->barren[cache->barren_count] = *id;
	cache->barren_used[cache->barren_count] = used;
	*slot = ++cache->barren_count;
}

/* --- files with hooks ------------------------------------------------------
 */

static bool
has_label(int fd, const struct elf *elf, const struct ebpftls_hook *hook,
	  const struct ebpftls_name *name)
{
	const char *label = labels[name->label];
	char text[32] = "";
	uint64_t address, offset;

	if (!elf_address(elf, hook->offset, &address) ||
	    !elf_offset(elf, address + (uint64_t)name->distance, &offset) ||
	    pread(fd, text, sizeof(text), (off_t)offset) <= 0)
		return false;
	/* what a master secret is taken for goes by another name */
	return memcmp(text, label, strlen(label)) == 0 ||
	       (name->label == EBPFTLS_CLIENT_RANDOM &&
		memcmp(text, "key expansion", 13) == 0);
}

static bool
has_hook(int fd, const struct elf *elf, const struct ebpftls_hook *hook,
	 const uint8_t code[SCAN_CODE_SIZE])
{
	uint8_t here[SCAN_CODE_SIZE];

	if (pread(fd, here, sizeof(here), (off_t)hook->offset) !=
		sizeof(here) ||
	    memcmp(here, code, sizeof(here)) != 0)
		return false;
	for (uint32_t i = 0; hook->label.known && i < hook->name_count; i++)
		if (!has_label(fd, elf, hook, &hook->names[i]))
			return false;
	return true;
}

static bool
fits(int fd, const struct elf *elf, const struct fertile *fertile)
{
	const struct scan_result *result = &fertile->result;

	for (uint32_t i = 0; i < result->count; i++)
		if (!has_hook(fd, elf, &result->hooks[i], result->code[i]))
			return false;
	return true;
}

bool
cache_find(struct cache *cache, int fd, const struct stat *st,
	   struct scan_result *result)
{
	struct file_id id = file_id(st);
	struct elf elf;

	if (cache->fertile_count == 0 || !elf_read(fd, &elf))
		return false;
	for (uint32_t i = 0; i < cache->fertile_count; i++) {
		struct fertile *fertile = &cache->fertile[i];

		if (!file_id_equal(&fertile->id, &id) ||
		    !fits(fd, &elf, fertile))
			continue;
		*result = fertile->result;
		return true;
	}
	return false;
}

void
cache_met(struct cache *cache, const struct stat *st)
{
	struct file_id id = file_id(st);

	for (uint32_t i = 0; i < cache->fertile_count; i++)
		if (file_id_equal(&cache->fertile[i].id, &id))
			cache->fertile_used[i] = true;
}

/* The first that was of no use in this run makes room. */
static struct fertile *
room_for_fertile(struct cache *cache)
{
	uint32_t i = 0;

	if (cache->fertile_count < FERTILE_MAX) {
		i = cache->fertile_count++;
	} else {
		while (i < FERTILE_MAX && cache->fertile_used[i])
			i++;
		if (i == FERTILE_MAX)
			return NULL;
	}
	cache->fertile_used[i] = true;
	return &cache->fertile[i];
}

static void
add_fertile(struct cache *cache, const struct stat *st, const char *path,
	    const struct scan_result *result)
{
	struct fertile *fertile = room_for_fertile(cache);

	if (fertile == NULL)
		return;
	memset(fertile, 0, sizeof(*fertile));
	fertile->id = file_id(st);
	fertile->result = *result;
	if (strlen(path) < sizeof(fertile->path))
		strcpy(fertile->path, path);
}

void
cache_add(struct cache *cache, const struct stat *st, const char *path,
	  const struct scan_result *result)
{
	struct file_id id = file_id(st);

	cache->changed = true;
	if (result->count == 0)
		add_barren(cache, &id, true);
	else
		add_fertile(cache, st, path, result);
}

const char *
cache_path(const struct cache *cache, size_t index)
{
	return index < cache->fertile_count ? cache->fertile[index].path : NULL;
}

/* --- the file ---------------------------------------------------------------
 */

static bool
is_sound(const struct fertile *fertile)
{
	return memchr(fertile->path, '\0', sizeof(fertile->path)) != NULL &&
	       fertile->result.count > 0 && scanner_valid(&fertile->result);
}

static bool
is_header(const struct cache *cache, const struct header *header, size_t rest)
{
	return memcmp(header->magic, MAGIC, sizeof(header->magic)) == 0 &&
	       header->version == VERSION && header->fertile <= FERTILE_MAX &&
	       header->barren <= BARREN_MAX &&
	       file_id_equal(&header->agent, &cache->agent) &&
	       rest == header->fertile * sizeof(struct fertile) +
			   header->barren * sizeof(struct file_id);
}

bool
cache_load(struct cache *cache, const uint8_t *bytes, size_t size)
{
	struct header header;
	struct file_id id;

	if (size < sizeof(header))
		return false;
	memcpy(&header, bytes, sizeof(header));
	bytes += sizeof(header);
	size -= sizeof(header);
	if (!is_header(cache, &header, size) ||
	    header.checksum != checksum(bytes, size))
		return false;
	memcpy(cache->fertile, bytes, header.fertile * sizeof(struct fertile));
	for (uint32_t i = 0; i < header.fertile; i++)
		if (!is_sound(&cache->fertile[i]))
			return false;
	cache->fertile_count = header.fertile;
	bytes += header.fertile * sizeof(struct fertile);
	for (uint32_t i = 0; i < header.barren; i++) {
		memcpy(&id, bytes + i * sizeof(id), sizeof(id));
		add_barren(cache, &id, false);
	}
	return true;
}

/* What others could have written to is none of ours. */
static bool
is_own(int fd, mode_t type, struct stat *st)
{
	return fstat(fd, st) == 0 && (st->st_mode & S_IFMT) == type &&
	       st->st_uid == geteuid() &&
	       (st->st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

static void
read_file(struct cache *cache)
{
	const size_t most = sizeof(struct header) +
			    FERTILE_MAX * sizeof(struct fertile) +
			    BARREN_MAX * sizeof(struct file_id);
	int fd = openat(cache->folder, FILE_NAME,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint8_t *bytes = NULL;
	struct stat st;

	if (fd < 0)
		return;
	if (is_own(fd, S_IFREG, &st) && (size_t)st.st_size <= most)
		bytes = malloc((size_t)st.st_size + 1);
	if (bytes != NULL && read(fd, bytes, (size_t)st.st_size) == st.st_size)
		cache_load(cache, bytes, (size_t)st.st_size);
	free(bytes);
	close(fd);
}

/* Files that are gone by now are those of which this run heard nothing. */
static uint32_t
collect_barren(const struct cache *cache, struct file_id *to)
{
	bool all = cache->barren_count <= BARREN_MAX / 2;
	uint32_t count = 0;

	for (uint32_t i = 0; i < cache->barren_count; i++)
		if (all || cache->barren_used[i])
			to[count++] = cache->barren[i];
	return count;
}

/* Returns the size of what is to be written. */
static size_t
collect(const struct cache *cache, uint8_t *bytes)
{
	struct header *header = (struct header *)bytes;
	uint8_t *rest = bytes + sizeof(*header);
	size_t size = cache->fertile_count * sizeof(struct fertile);

	memset(header, 0, sizeof(*header));
	memcpy(header->magic, MAGIC, sizeof(header->magic));
	header->version = VERSION;
	header->agent = cache->agent;
	header->fertile = cache->fertile_count;
	memcpy(rest, cache->fertile, size);
	header->barren = collect_barren(cache, (struct file_id *)(rest + size));
	size += header->barren * sizeof(struct file_id);
	header->checksum = checksum(rest, size);
	return sizeof(*header) + size;
}

static bool
write_file(const struct cache *cache, const void *bytes, size_t size)
{
	bool written;
	int fd;

	unlinkat(cache->folder, NEW_NAME, 0);
	fd = openat(cache->folder, NEW_NAME,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	written = write(fd, bytes, size) == (ssize_t)size;
	return close(fd) == 0 && written;
}

void
cache_save(struct cache *cache)
{
	uint8_t *bytes;

	if (cache->folder < 0 || !cache->changed)
		return;
	bytes = malloc(sizeof(struct header) +
		       cache->fertile_count * sizeof(struct fertile) +
		       cache->barren_count * sizeof(struct file_id));
	if (bytes == NULL)
		return;
	if (write_file(cache, bytes, collect(cache, bytes)))
		renameat(cache->folder, NEW_NAME, cache->folder, FILE_NAME);
	free(bytes);
	cache->changed = false;
}

struct cache *
cache_new(void)
{
	struct cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return NULL;
	cache->folder = -1;
	cache->fertile = calloc(FERTILE_MAX, sizeof(struct fertile));
	cache->barren = calloc(BARREN_MAX, sizeof(struct file_id));
	if (cache->fertile != NULL && cache->barren != NULL)
		return cache;
	cache_close(cache);
	return NULL;
}

struct cache *
cache_open(void)
{
	const char *path = secure_getenv("EBPFTLS_CACHE");
	struct cache *cache = cache_new();
	struct stat st;

	if (cache == NULL)
		return NULL;
	if (path == NULL)
		path = EBPFTLS_CACHE_PATH;
	if (stat("/proc/self/exe", &st) == 0)
		cache->agent = file_id(&st);
	mkdir(path, 0700);
	cache->folder =
	    open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (cache->folder >= 0 && !is_own(cache->folder, S_IFDIR, &st)) {
		close(cache->folder);
		cache->folder = -1;
	}
	if (cache->folder >= 0)
		read_file(cache);
	return cache;
}

void
cache_close(struct cache *cache)
{
	if (cache == NULL)
		return;
	if (cache->folder >= 0)
		close(cache->folder);
	free(cache->fertile);
	free(cache->barren);
	free(cache);
}
