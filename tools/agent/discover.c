// SPDX-License-Identifier: BSD-3-Clause
/*
 * From mappings and libraries to hooks. Each file goes one way: who maps it
 * is known, it is opened, looked up, scanned if need be, and hooked. There
 * are two lanes of such files, as what has just been mapped will soon shake
 * hands, while what was there at the start can wait for it.
 */
#define _GNU_SOURCE

#include "discover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "cache.h"
#include "ebpftls-control-io.h"
#include "elffile.h"
#include "files.h"
#include "folders.h"
#include "inventory.h"
#include "overlay.h"
#include "scanner.h"
#include "watch.h"

#define MILLISECOND INT64_C(1000000)
#define SLICE	    (8 * MILLISECOND)
#define QUEUE_MAX   16384
#define TRIES	    3			  /* to scan a file */
#define PATIENCE    (10000 * MILLISECOND) /* for what is there at the start */

/* A mapping that waits for its turn; with pid 0 just a path. */
struct item {
	struct item *next;
	struct mapping mapping;
	bool library; /* of a standard folder */
	char path[];
};

/* An open file that waits for the scanner, or is with it; fd -1: none. */
struct target {
	int fd;
	bool overlay;
	bool alone; /* may be anybody's: it has a scanner of its own */
	struct stat st;
	char path[PATH_MAX];
};

struct lane {
	struct item *first;
	struct item **last;
	size_t count;
	struct target held;
};

struct discover {
	struct secrets *secrets;
	struct watch *watch;
	struct scanner *scanner;
	struct cache *cache;
	struct files *files;
	int epoll;
	int more; /* eventfd: there is more to do at once */

	struct lane urgent;
	struct lane initial;
	struct target scanned;

	/* what is still to be gone through: NULL when it has been */
	struct inventory *inventory;
	struct libraries *libraries;
	size_t known; /* paths of the cache */
	int64_t start;
	bool settled;
	bool initials_turn;
	bool lost; /* a mapping: look at all again */
	uint32_t hooked;
};

static int64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 * MILLISECOND + t.tv_nsec;
}

/* --- lanes ------------------------------------------------------------------
 */

static void
lane_open(struct lane *lane)
{
	lane->last = &lane->first;
	lane->held.fd = -1;
}

static bool
lane_put(struct lane *lane, const struct mapping *mapping, bool library)
{
	size_t length = strlen(mapping->path) + 1;
	struct item *item;

	if (lane->count == QUEUE_MAX)
		return false;
	item = malloc(sizeof(*item) + length);
	if (item == NULL)
		return false;
	item->next = NULL;
	item->mapping = *mapping;
	item->library = library;
	memcpy(item->path, mapping->path, length);
	item->mapping.path = item->path;
	*lane->last = item;
	lane->last = &item->next;
	lane->count++;
	return true;
}

/* The caller frees it. */
static struct item *
lane_get(struct lane *lane)
{
	struct item *item = lane->first;

	if (item == NULL)
		return NULL;
	lane->first = item->next;
	if (lane->first == NULL)
		lane->last = &lane->first;
	lane->count--;
	return item;
}

static void
lane_close(struct lane *lane)
{
	struct item *item;

	while ((item = lane_get(lane)) != NULL)
		free(item);
	if (lane->held.fd >= 0)
		close(lane->held.fd);
}

/* --- a file -----------------------------------------------------------------
 */

static void
unhook(struct discover *discover, struct file *file)
{
	if (file->attachment < 0)
		return;
	secrets_detach(discover->secrets, file->attachment);
	file->attachment = -1;
	discover->hooked--;
}

static void
hook(struct discover *discover, const struct target *target,
     const struct scan_result *result)
{
	struct file *file =
	    files_find(discover->files, &target->st, target->overlay);
	struct stat st;
	int attachment;

	if (file == NULL || result->count == 0)
		return;
	attachment = secrets_attach(discover->secrets, target->fd, result);
	if (attachment < 0)
		return;
	file->attachment = attachment;
	discover->hooked++;
	/* the places are those of what was looked at, not of anything since */
	if (fstat(target->fd, &st) != 0 || !files_same(&st, &target->st))
		unhook(discover, file);
}

/* A busy machine may have been the reason. */
static void
scan_failed(struct discover *discover, const struct target *target)
{
	struct file *file =
	    files_find(discover->files, &target->st, target->overlay);

	if (file != NULL)
		file->again = ++file->failures < TRIES;
}

/* What was found in a file that changed meanwhile is of no use. */
static void
finish_scan(struct discover *discover, enum scanner_answer answer,
	    const struct scan_result *result)
{
	struct target *target = &discover->scanned;
	struct stat st;

	if (answer != SCANNER_DONE) {
		scan_failed(discover, target);
	} else if (fstat(target->fd, &st) == 0 &&
		   files_same(&st, &target->st)) {
		cache_add(discover->cache, target->fd, &target->st,
			  target->path, result);
		hook(discover, target, result);
	}
	close(target->fd);
	target->fd = -1;
}

static void
start_scan(struct discover *discover, struct target *target)
{
	discover->scanned = *target;
	target->fd = -1;
	scanner_submit(discover->scanner, discover->scanned.fd,
		       discover->scanned.alone);
}

/* Whether there is something to do for it. Who wrote into it moved its code. */
static bool
note(struct discover *discover, const struct target *target)
{
	struct file *file =
	    files_find(discover->files, &target->st, target->overlay);
	struct file_id id = file_id(&target->st);
	bool again = file != NULL && file->again;

	if (again)
		file->again = false;
	if (file != NULL)
		return again;
	file = files_find_stale(discover->files, &target->st);
	if (file != NULL)
		unhook(discover, file);
	return files_add(discover->files, &target->st, target->overlay) !=
		   NULL &&
	       !cache_is_barren(discover->cache, &id);
}

static bool
is_roots(const struct stat *st)
{
	return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Has the file that `fd` stands for hooked, now or later. */
static void
begin(struct discover *discover, struct lane *lane, int fd,
      const struct stat *st, const struct item *item)
{
	struct target target = {
		.overlay = mapping_is_overlay(fd),
		.alone = !item->library || !is_roots(st),
		.st = *st,
	};
	struct scan_result result;
	struct elf elf;

	if (!note(discover, &target))
		return;
	target.fd = mapping_reopen(fd);
	if (target.fd < 0)
		return;
	/* an emulator maps what it runs: there, a probe would break it */
	if (!elf_read(target.fd, &elf)) {
		close(target.fd);
		return;
	}
	snprintf(target.path, sizeof(target.path), "%s", item->path);
	if (cache_find(discover->cache, target.fd, st, &result)) {
		hook(discover, &target, &result);
		close(target.fd);
	} else if (discover->scanned.fd < 0) {
		start_scan(discover, &target);
	} else {
		lane->held = target;
	}
}

static void
found_path(struct discover *discover, const char *path, bool library)
{
	lane_put(&discover->initial, &(struct mapping){ .path = path },
		 library);
}

static int
open_item(const struct item *item, struct stat *st)
{
	int fd;

	if (item->mapping.pid != 0)
		return mapping_open(&item->mapping, st);
	fd = open(item->path, O_PATH | O_CLOEXEC);
	if (fd < 0 || (fstat(fd, st) == 0 && S_ISREG(st->st_mode)))
		return fd;
	close(fd);
	return -1;
}

static void
look_at(struct discover *discover, struct lane *lane, const struct item *item)
{
	char path[PATH_MAX];
	const struct file *file;
	struct stat st;
	int fd = open_item(item, &st);
	bool overlay, other_device;

	if (fd < 0) {
		if (item->mapping.pid != 0)
			files_missed(discover->files, &item->mapping, now());
		return;
	}
	overlay = mapping_is_overlay(fd);
	other_device = mapping_has_other_device(fd);
	begin(discover, lane, fd, &st, item);
	close(fd);
	if (item->mapping.pid == 0)
		return;
	file = files_find(discover->files, &st, overlay);
	if (file != NULL && !other_device)
		files_saw(discover->files, &item->mapping,
			  file->attachment >= 0, now());
	/* what has just been mapped cannot have been copied up since */
	if (overlay && lane == &discover->initial &&
	    overlay_find_lower(&item->mapping, path))
		found_path(discover, path, false);
}

/* --- where files come from ---------------------------------------------------
 */

static void
found(struct discover *discover, struct lane *lane,
      const struct mapping *mapping)
{
	if (!files_is_fresh(discover->files, mapping, now()) &&
	    !lane_put(lane, mapping, false))
		discover->lost = true;
}

static void
found_now(void *context, const struct mapping *mapping)
{
	struct discover *discover = context;

	found(discover, &discover->urgent, mapping);
}

static void
found_before(void *context, const struct mapping *mapping)
{
	struct discover *discover = context;

	found(discover, &discover->initial, mapping);
}

/*
 * Goes on with what is to be gone through. False when that is at its end.
 * Libraries come before mappings: most files that are mapped are known then,
 * and need no scanner of their own.
 */
static bool
find_more(struct discover *discover)
{
	char path[PATH_MAX];
	const char *known;

	known = cache_path(discover->cache, discover->known);
	if (known != NULL) {
		discover->known++;
		found_path(discover, known, false);
		return true;
	}
	if (discover->libraries != NULL) {
		if (libraries_next(discover->libraries, path)) {
			found_path(discover, path, true);
			return true;
		}
		libraries_close(discover->libraries);
		discover->libraries = NULL;
	}
	if (discover->inventory != NULL) {
		if (inventory_step(discover->inventory, found_before, discover))
			return true;
		inventory_close(discover->inventory);
		discover->inventory = NULL;
	}
	return false;
}

/* --- a bit at a time ---------------------------------------------------------
 */

/* Takes one file from the lane. False if there is none, or it must wait. */
static bool
advance(struct discover *discover, struct lane *lane)
{
	struct item *item;

	if (lane->held.fd >= 0) {
		if (discover->scanned.fd >= 0)
			return false;
		start_scan(discover, &lane->held);
		return true;
	}
	item = lane_get(lane);
	if (item == NULL)
		return false;
	look_at(discover, lane, item);
	free(item);
	return true;
}

static bool
take_answer(struct discover *discover)
{
	struct scan_result result;
	enum scanner_answer answer;

	if (discover->scanned.fd < 0)
		return false;
	answer = scanner_take(discover->scanner, &result);
	if (answer == SCANNER_NOT_YET)
		return false;
	finish_scan(discover, answer, &result);
	return true;
}

static bool
is_idle(const struct discover *discover)
{
	return discover->initial.first == NULL &&
	       discover->initial.held.fd < 0 && discover->scanned.fd < 0;
}

/* By turns: new mappings may come faster than they can be looked at. */
static bool
advance_either(struct discover *discover)
{
	struct lane *lanes[] = { &discover->urgent, &discover->initial };
	bool turn = discover->initials_turn;

	if (!advance(discover, lanes[turn]))
		return advance(discover, lanes[!turn]);
	discover->initials_turn = !turn;
	return true;
}

/* False when there is nothing to do before something happens. */
static bool
step(struct discover *discover)
{
	bool more = false;

	if (!watch_read(discover->watch, found_now, discover))
		discover->lost = true;
	if (discover->initial.first == NULL && discover->initial.held.fd < 0)
		more = find_more(discover);
	if (take_answer(discover) || advance_either(discover) || more)
		return true;
	if (!is_idle(discover))
		return false;
	if (!discover->settled)
		cache_save(discover->cache);
	discover->settled = true;
	if (!discover->lost)
		return false;
	discover->lost = false;
	discover->inventory = inventory_open();
	return discover->inventory != NULL;
}

void
discover_work(struct discover *discover)
{
	int64_t end = now() + SLICE;
	eventfd_t count;
	bool more;

	eventfd_read(discover->more, &count);
	do
		more = step(discover);
	while (more && now() < end);
	if (more)
		eventfd_write(discover->more, 1);
}

int
discover_fd(const struct discover *discover)
{
	return discover->epoll;
}

bool
discover_settled(const struct discover *discover)
{
	return discover->settled || now() - discover->start > PATIENCE;
}

uint32_t
discover_files(const struct discover *discover)
{
	return discover->hooked;
}

/* --- begin and end
 * ------------------------------------------------------------ */

static bool
listen_to(const struct discover *discover, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(discover->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool
open_all(struct discover *discover)
{
	discover->files = files_open();
	discover->cache = cache_open();
	discover->scanner = scanner_open();
	discover->inventory = inventory_open();
	discover->libraries = libraries_open();
	discover->epoll = epoll_create1(EPOLL_CLOEXEC);
	discover->more = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	return discover->files != NULL && discover->cache != NULL &&
	       discover->scanner != NULL && discover->inventory != NULL &&
	       discover->libraries != NULL && discover->epoll >= 0 &&
	       discover->more >= 0 &&
	       listen_to(discover, watch_fd(discover->watch)) &&
	       listen_to(discover, scanner_fd(discover->scanner)) &&
	       listen_to(discover, discover->more);
}

struct discover *
discover_start(struct secrets *secrets, struct failure *failure)
{
	struct discover *discover = calloc(1, sizeof(*discover));

	if (discover == NULL) {
		fail(failure, EBPFTLS_REASON_OTHER, "out of memory");
		return NULL;
	}
	discover->secrets = secrets;
	discover->start = now();
	discover->epoll = discover->more = discover->scanned.fd = -1;
	lane_open(&discover->urgent);
	lane_open(&discover->initial);
	/* first, so that nothing is missed between this and the inventory */
	discover->watch = watch_start(failure);
	if (discover->watch != NULL && open_all(discover))
		return discover;
	if (discover->watch != NULL)
		fail(failure, EBPFTLS_REASON_OTHER,
		     "cannot look for TLS libraries: %s", strerror(errno));
	discover_close(discover);
	return NULL;
}

void
discover_close(struct discover *discover)
{
	if (discover == NULL)
		return;
	watch_close(discover->watch);
	scanner_close(discover->scanner);
	inventory_close(discover->inventory);
	libraries_close(discover->libraries);
	lane_close(&discover->urgent);
	lane_close(&discover->initial);
	if (discover->cache != NULL)
		cache_save(discover->cache);
	cache_close(discover->cache);
	files_close(discover->files);
	ebpftls_control_close((int[]){ discover->epoll, discover->more,
				       discover->scanned.fd },
			      3);
	free(discover);
}
