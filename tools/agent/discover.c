// SPDX-License-Identifier: BSD-3-Clause
/*
 * From mappings and libraries to hooks. Each file goes one way: who maps it
 * is known, it is opened, looked up, scanned if need be, and hooked. There
 * are lanes of such files, as what has just been mapped will soon shake
 * hands, while what was there at the start can wait for it; and three desks
 * at which files are scanned, so that small ones need not wait for large ones.
 * Nobody waits for large libraries that nothing has mapped: there may be
 * gigabytes of them.
 *
 * Whatever may have been missed, for whatever reason, makes it look at all
 * processes again, after a while that grows if that goes on.
 */
#define _GNU_SOURCE

#include "discover.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "cache.h"
#include "clock.h"
#include "ebpftls-control-io.h"
#include "files.h"
#include "folders.h"
#include "inventory.h"
#include "opener.h"
#include "scanner.h"
#include "suspects.h"
#include "watch.h"

#define MILLISECOND INT64_C(1000000)
#define SLICE	    (8 * MILLISECOND)
#define SECOND	    (1000 * MILLISECOND)
#define QUEUE_MAX   16384
#define DESK_MAX    64			  /* open files */
#define AHEAD	    2			  /* of what was there at the start */
#define LARGE	    (16 * (off_t)1048576) /* takes more than a moment */
#define TRIES	    3			  /* to scan a file */
#define PATIENCE    (10 * SECOND)	  /* for what is there at the start */
#define PAUSE_MIN   SECOND		  /* between two looks at all */
#define PAUSE_MAX   (64 * SECOND)
#define HUNG_MAX    16
#define HUNG_FOR    (10 * SECOND) /* a filesystem is left alone */

/* A mapping that waits for its turn; with pid 0 just a path. */
struct item {
	struct item *next;
	struct mapping mapping;
	bool library;	 /* of a standard folder */
	uint32_t ticket; /* of a process that was asked about, or 0 */
	char path[];
};

/* An open file that waits for a scanner, or is with it. */
struct target {
	struct target *next;
	int fd;
	bool overlay;
	bool alone; /* may be anybody's: it has a scanner of its own */
	struct stat st;
	char path[];
};

/* The first is with the scanner. */
struct desk {
	struct scanner *scanner;
	struct target *first;
	struct target **last;
	size_t count;
};

enum { DESK_INITIAL, DESK_SMALL, DESK_LARGE, DESKS };

struct lane {
	struct item *first;
	struct item **last;
	size_t count;
};

/* A device with files that cannot be opened without waiting. */
struct hung {
	uint64_t dev;
	int64_t until;
};

struct discover {
	struct secrets *secrets;
	struct watch *watch;
	struct opener *opener;
	struct cache *cache;
	struct files *files;
	struct suspects *suspects;
	struct inventory *one; /* of these */
	uint32_t reading;      /* or 0 */
	int epoll;
	int more;  /* eventfd: there is more to do at once */
	int timer; /* for the next look at all */

	struct lane urgent;
	struct lane initial;
	struct lane later; /* one by one */
	struct desk desks[DESKS];
	struct hung hung[HUNG_MAX];
	size_t hung_next;

	struct inventory *all;
	bool looking;		     /* at these */
	struct libraries *libraries; /* NULL when they have been gone through */
	size_t known;		     /* paths of the cache */
	int64_t start;
	bool settled;
	bool saved; /* what was found up to now: the cache */
	bool initials_turn;
	bool lost;	   /* something: look at all again */
	bool room;	   /* some have been */
	bool full;	   /* no hooks are left: some are to be given back */
	uint32_t look;	   /* its number */
	int64_t next_look; /* not before */
	int64_t pause;
	bool told_never, told_absent;
	uint32_t hooked;
};

static int64_t
now(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/* --- lanes ------------------------------------------------------------------
 */

static void
lane_open(struct lane *lane)
{
	*lane = (struct lane){ .last = &lane->first };
}

static void
lane_add(struct lane *lane, struct item *item)
{
	item->next = NULL;
	*lane->last = item;
	lane->last = &item->next;
	lane->count++;
}

static bool
lane_put(struct lane *lane, const struct mapping *mapping, bool library,
	 uint32_t ticket)
{
	size_t length = strlen(mapping->path) + 1;
	struct item *item;

	if (lane->count == QUEUE_MAX)
		return false;
	item = malloc(sizeof(*item) + length);
	if (item == NULL)
		return false;
	item->mapping = *mapping;
	item->library = library;
	item->ticket = ticket;
	memcpy(item->path, mapping->path, length);
	item->mapping.path = item->path;
	lane_add(lane, item);
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
}

/* --- another look at all
 * ------------------------------------------------------
 */

static void
look_again(struct discover *discover)
{
	struct itimerspec when = { .it_value.tv_nsec = 1 };

	if (discover->lost)
		return;
	discover->lost = true;
	when.it_value.tv_sec = discover->next_look / SECOND;
	when.it_value.tv_nsec += discover->next_look % SECOND;
	timerfd_settime(discover->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* What was seen is known by now: looks may follow each other soon again. */
static void
calm_down(struct discover *discover)
{
	discover->pause = PAUSE_MIN;
}

static bool
listen_to(const struct discover *discover, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(discover->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* False if it is not yet time. */
static bool
start_look(struct discover *discover)
{
	if (now() < discover->next_look)
		return false;
	discover->lost = false;
	discover->next_look = now() + discover->pause;
	if (discover->pause < PAUSE_MAX)
		discover->pause *= 2;
	inventory_all(discover->all);
	discover->looking = true;
	discover->look++;
	files_forget_mappings(discover->files);
	return true;
}

static void
end_look(struct discover *discover)
{
	const struct inventory_missed *missed = inventory_missed(discover->all);

	if (missed->later > 0)
		look_again(discover);
	if (missed->never > 0 && !discover->told_never) {
		secrets_tell(discover->secrets,
			     "TLS code of %u processes is not seen: "
			     "/proc/PID/maps cannot be read",
			     missed->never);
		discover->told_never = true;
	}
	discover->looking = false;
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

/* A busy machine may have been the reason. False: it is none any more. */
static bool
try_again(struct discover *discover, struct file *file)
{
	file->again = ++file->failures < TRIES;
	if (file->again)
		look_again(discover);
	return file->again;
}

static void
hook_failed(struct discover *discover, struct file *file, int fd, int error)
{
	if (error == -ENOSPC) {
		file->again = true;
		/* the look that it takes to know who needs theirs no more */
		if (!discover->full)
			look_again(discover);
		discover->full = true;
	} else if (try_again(discover, file)) {
		return;
	}
	secrets_not_attached(discover->secrets, fd, error);
}

static void
hook(struct discover *discover, struct file *file, int fd,
     const struct scan_result *result)
{
	struct stat st;
	int attachment;

	if (result->count == 0)
		return;
	attachment = secrets_attach(discover->secrets, fd, result);
	if (attachment < 0) {
		hook_failed(discover, file, fd, attachment);
		return;
	}
	file->attachment = attachment;
	discover->hooked++;
	/* the places are those of what was looked at, not of anything since */
	if (!opener_stat(fd, &st) || !files_same(&st, &file->st)) {
		unhook(discover, file);
		look_again(discover);
	}
}

static bool
is_unseen(const struct file *file, const void *context)
{
	const struct discover *discover = context;

	return file->look != discover->look;
}

static bool
is_off(const struct file *file, const void *context)
{
	const struct discover *discover = context;

	return secrets_is_off(discover->secrets, file->attachment);
}

/*
 * Who had the file mapped has gone and needs its hooks no more, or a complaint
 * has taken them off. False if there are none of either.
 */
static bool
give_back(struct discover *discover)
{
	struct file *file =
	    files_find_hooked(discover->files, is_unseen, discover);

	if (file != NULL) {
		unhook(discover, file);
		files_remove(discover->files, file);
		return true;
	}
	file = files_find_hooked(discover->files, is_off, discover);
	if (file != NULL)
		unhook(discover, file);
	return file != NULL;
}

/* --- desks ------------------------------------------------------------------
 */

static void
desk_close(struct desk *desk)
{
	struct target *target;

	scanner_close(desk->scanner);
	while ((target = desk->first) != NULL) {
		desk->first = target->next;
		close(target->fd);
		free(target);
	}
}

static void
submit(struct desk *desk)
{
	if (desk->first != NULL)
		scanner_submit(desk->scanner, desk->first->fd,
			       desk->first->alone);
}

static struct desk *
desk_for(struct discover *discover, const struct lane *lane,
	 const struct stat *st)
{
	if (lane == &discover->initial)
		return &discover->desks[DESK_INITIAL];
	return &discover->desks[st->st_size < LARGE ? DESK_SMALL : DESK_LARGE];
}

/* Takes the descriptor. False: out of memory. */
static bool
desk_put(struct desk *desk, int fd, const struct opened *opened, bool alone,
	 const char *path)
{
	size_t length = strlen(path) + 1;
	struct target *target = malloc(sizeof(*target) + length);

	if (target == NULL)
		return false;
	target->next = NULL;
	target->fd = fd;
	target->overlay = opened->overlay;
	target->alone = alone;
	target->st = opened->st;
	memcpy(target->path, path, length);
	*desk->last = target;
	desk->last = &target->next;
	if (desk->count++ == 0)
		submit(desk);
	return true;
}

static struct target *
desk_get(struct desk *desk)
{
	struct target *target = desk->first;

	desk->first = target->next;
	if (desk->first == NULL)
		desk->last = &desk->first;
	desk->count--;
	submit(desk);
	return target;
}

static void
scan_failed(struct discover *discover, const struct target *target,
	    struct file *file, const struct scan_result *result)
{
	if (!try_again(discover, file))
		secrets_tell(discover->secrets, "%s: %s", target->path,
			     result->why);
}

static void
scanner_absent(struct discover *discover, struct file *file,
	       const struct scan_result *result)
{
	file->again = true;
	look_again(discover);
	if (!discover->told_absent)
		secrets_tell(discover->secrets,
			     "TLS code may be missed for now: %s", result->why);
	discover->told_absent = true;
}

/* What was found in a file that changed meanwhile is of no use. */
static void
finish_scan(struct discover *discover, const struct target *target,
	    enum scanner_answer answer, const struct scan_result *result)
{
	struct file *file =
	    files_find(discover->files, &target->st, target->overlay);
	struct stat st;

	if (file == NULL)
		return;
	file->pending = false;
	if (answer == SCANNER_ABSENT) {
		scanner_absent(discover, file, result);
	} else if (answer == SCANNER_FAILED) {
		scan_failed(discover, target, file, result);
	} else if (opener_stat(target->fd, &st) &&
		   files_same(&st, &target->st)) {
		cache_add(discover->cache, &target->st, target->path, result);
		hook(discover, file, target->fd, result);
	} else {
		file->again = true;
		look_again(discover);
	}
}

static bool
take_answer(struct discover *discover, struct desk *desk)
{
	struct scan_result result;
	enum scanner_answer answer;
	struct target *target;

	if (desk->first == NULL)
		return false;
	answer = scanner_take(desk->scanner, &result);
	if (answer == SCANNER_NOT_YET)
		return false;
	target = desk_get(desk);
	finish_scan(discover, target, answer, &result);
	close(target->fd);
	free(target);
	return true;
}

static bool
take_answers(struct discover *discover)
{
	bool any = false;

	for (size_t i = 0; i < DESKS; i++)
		any |= take_answer(discover, &discover->desks[i]);
	return any;
}

/* --- an open file
 * -------------------------------------------------------------
 */

static bool
is_roots(const struct stat *st)
{
	return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The file, if it was not looked at before. Who wrote into it moved its code.
 */
static struct file *
note(struct discover *discover, const struct opened *opened)
{
	const struct stat *st = &opened->st;
	struct file *file = files_find(discover->files, st, opened->overlay);
	struct file_id id = file_id(st);

	if (file != NULL) {
		file->look = discover->look;
		if (!file->again)
			return NULL;
		file->again = false;
		return file;
	}
	file = files_find_stale(discover->files, st, opened->overlay);
	if (file != NULL && !file->pending) {
		unhook(discover, file);
		files_remove(discover->files, file);
		/* others may still have what an overlay had there before */
		if (opened->overlay)
			look_again(discover);
	}
	file = files_add(discover->files, st, opened->overlay);
	if (file == NULL) {
		look_again(discover);
		return NULL;
	}
	file->look = discover->look;
	return cache_is_barren(discover->cache, &id) ? NULL : file;
}

static bool
can_wait(const struct discover *discover, const struct item *item,
	 const struct opened *opened)
{
	return item->library && !discover->settled &&
	       opened->st.st_size >= LARGE;
}

/* Has the file hooked, now or later. Takes the descriptor. */
static void
begin(struct discover *discover, struct lane *lane, const struct item *item,
      const struct opened *opened, int fd)
{
	struct file *file = note(discover, opened);
	bool alone = !item->library || !is_roots(&opened->st);

	if (file != NULL && opened->known) {
		cache_met(discover->cache, &opened->st);
		hook(discover, file, fd, &opened->result);
	} else if (file != NULL && fd >= 0 &&
		   can_wait(discover, item, opened) &&
		   lane_put(&discover->later, &item->mapping, true, 0)) {
		file->again = true;
	} else if (file != NULL && fd >= 0) {
		file->pending = desk_put(desk_for(discover, lane, &opened->st),
					 fd, opened, alone, item->path);
		if (file->pending)
			return;
		file->again = true;
		look_again(discover);
	}
	if (fd >= 0)
		close(fd);
}

static void
found_path(struct discover *discover, const char *path, bool library)
{
	lane_put(&discover->initial, &(struct mapping){ .path = path }, library,
		 0);
}

/* Disks take their time, too: only what has no device of its own is hung. */
static void
hangs(struct discover *discover, const struct item *item)
{
	uint64_t dev = item->mapping.dev;

	look_again(discover);
	if (item->mapping.pid == 0 || major(dev) != 0)
		return;
	secrets_tell(discover->secrets, "%s: cannot be opened in time",
		     item->path);
	discover->hung[discover->hung_next++ % HUNG_MAX] =
	    (struct hung){ dev, now() + HUNG_FOR };
}

static bool
is_hung(const struct discover *discover, const struct mapping *mapping)
{
	for (size_t i = 0; mapping->pid != 0 && i < HUNG_MAX; i++)
		if (discover->hung[i].dev == mapping->dev &&
		    discover->hung[i].until > now())
			return true;
	return false;
}

/* What the process has mapped may also be what lies below. */
static enum sight
sight_of(const struct file *file, const struct opened *opened)
{
	if (file == NULL)
		return SIGHT_UNCLEAR;
	if (file->attachment >= 0)
		return SIGHT_HOOKED;
	if (file->pending || file->again || opened->lower[0] != '\0')
		return SIGHT_UNCLEAR;
	return SIGHT_PLAIN;
}

static enum sight
look_at_opened(struct discover *discover, struct lane *lane,
	       const struct item *item, const struct opened *opened, int fd)
{
	const struct file *file;

	begin(discover, lane, item, opened, fd);
	if (item->mapping.pid == 0)
		return SIGHT_UNCLEAR;
	file = files_find(discover->files, &opened->st, opened->overlay);
	if (file != NULL && !opened->other_device)
		files_saw(discover->files, &item->mapping,
			  file->attachment >= 0 || file->pending, now());
	if (opened->lower[0] != '\0')
		found_path(discover, opened->lower, false);
	return sight_of(file, opened);
}

static enum sight
look_at(struct discover *discover, struct lane *lane, const struct item *item)
{
	struct opened opened;
	/* what has just been mapped cannot have been copied up since */
	bool lower = !item->mapping.recent && item->mapping.pid != 0;
	int fd;

	if (is_hung(discover, &item->mapping)) {
		look_again(discover);
		return SIGHT_UNCLEAR;
	}
	switch (
	    opener_ask(discover->opener, &item->mapping, lower, &opened, &fd)) {
	case OPENER_DONE:
		return look_at_opened(discover, lane, item, &opened, fd);
	case OPENER_GONE:
		if (item->mapping.pid != 0)
			files_missed(discover->files, &item->mapping, now());
		break;
	case OPENER_LATER:
		look_again(discover);
		break;
	case OPENER_HUNG:
		hangs(discover, item);
		break;
	}
	return SIGHT_UNCLEAR;
}

/* --- where files come from ---------------------------------------------------
 */

/* Of a process that was asked about, each is looked at. */
static void
found(struct discover *discover, struct lane *lane,
      const struct mapping *mapping)
{
	uint32_t ticket = suspects_expect(discover->suspects, mapping->pid);

	if ((ticket == 0 && files_is_fresh(discover->files, mapping, now())) ||
	    lane_put(lane, mapping, false, ticket))
		return;
	look_again(discover);
	if (ticket != 0)
		suspects_saw(discover->suspects, mapping->pid, ticket,
			     SIGHT_UNCLEAR);
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

/* As most libraries: they need not be opened to know it. */
static bool
is_barren(const struct discover *discover, const char *path)
{
	struct file_id id;
	struct stat st;

	if (lstat(path, &st) != 0)
		return false;
	id = file_id(&st);
	return cache_is_barren(discover->cache, &id);
}

/*
 * Goes on with what is to be gone through. False if there is nothing just now.
 * Mappings come before libraries: what runs may shake hands at any moment, and
 * with a cold disk all libraries take longer than anybody waits.
 */
static bool
find_more(struct discover *discover)
{
	enum inventory_step step;
	char path[PATH_MAX];
	const char *known;

	known = cache_path(discover->cache, discover->known);
	if (known != NULL) {
		discover->known++;
		found_path(discover, known, false);
		return true;
	}
	if (discover->looking) {
		step = inventory_step(discover->all, found_before, discover);
		if (step != INVENTORY_DONE)
			return step == INVENTORY_MORE;
		end_look(discover);
	}
	if (discover->libraries != NULL) {
		if (libraries_next(discover->libraries, path)) {
			if (!is_barren(discover, path))
				found_path(discover, path, true);
			return true;
		}
		libraries_close(discover->libraries);
		discover->libraries = NULL;
	}
	return false;
}

/* The same for a process that was asked about. */
static bool
read_suspect(struct discover *discover)
{
	struct suspects *suspects = discover->suspects;
	uint32_t pid = discover->reading;
	enum inventory_step step;
	const struct inventory_missed *missed = inventory_missed(discover->one);
	int folder;

	if (pid == 0) {
		folder = suspects_next(suspects, &pid);
		if (folder < 0)
			return false;
		inventory_one(discover->one, pid, folder);
		discover->reading = pid;
		return true;
	}
	step = inventory_step(discover->one, found_now, discover);
	if (step != INVENTORY_DONE)
		return step == INVENTORY_MORE;
	/* what could not be read may have anything */
	if (missed->later + missed->never > 0)
		suspects_saw(suspects, pid, suspects_expect(suspects, pid),
			     SIGHT_UNCLEAR);
	suspects_read(suspects, pid);
	discover->reading = 0;
	return true;
}

/* --- a bit at a time ---------------------------------------------------------
 */

/* Files that are open are not many. */
static bool
must_wait(const struct discover *discover, const struct lane *lane)
{
	const struct desk *desks = discover->desks;

	if (lane == &discover->initial)
		return desks[DESK_INITIAL].count >= AHEAD;
	return desks[DESK_SMALL].count >= DESK_MAX ||
	       desks[DESK_LARGE].count >= DESK_MAX;
}

/* Takes one file from the lane. False if there is none, or it must wait. */
static bool
advance(struct discover *discover, struct lane *lane)
{
	struct item *item;
	enum sight sight;

	if (must_wait(discover, lane))
		return false;
	item = lane_get(lane);
	if (item == NULL)
		return false;
	sight = look_at(discover, lane, item);
	if (item->ticket != 0)
		suspects_saw(discover->suspects, item->mapping.pid,
			     item->ticket, sight);
	free(item);
	return true;
}

static bool
is_idle(const struct discover *discover)
{
	return !discover->looking && discover->initial.first == NULL &&
	       discover->desks[DESK_INITIAL].count == 0;
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

/* All that was there has been seen. False when there is nothing to do. */
static bool
rest(struct discover *discover)
{
	if (!discover->saved)
		cache_save(discover->cache);
	discover->settled = discover->saved = true;
	if (discover->lost && start_look(discover))
		return true;
	if (discover->later.first != NULL) {
		lane_add(&discover->initial, lane_get(&discover->later));
		discover->saved = false;
		return true;
	}
	if (discover->lost)
		return false;
	if (discover->full && give_back(discover)) {
		discover->room = true;
		return true;
	}
	if (discover->room)
		look_again(discover);
	discover->full = discover->room = false;
	calm_down(discover);
	return false;
}

/* False when there is nothing to do before something happens. */
static bool
step(struct discover *discover)
{
	bool more;

	if (!watch_read(discover->watch, found_now, discover)) {
		suspects_forget(discover->suspects);
		look_again(discover);
	}
	suspects_heard(discover->suspects);
	more = read_suspect(discover);
	if (discover->initial.first == NULL)
		more |= find_more(discover);
	if (take_answers(discover) || advance_either(discover) || more)
		return true;
	return is_idle(discover) && rest(discover);
}

/* Only while something is done with what comes: the rest may wait long. */
static void
hear_of_all(struct discover *discover)
{
	struct epoll_event event = {
		.events = discover->initial.first == NULL ? EPOLLIN : 0,
	};

	epoll_ctl(discover->epoll, EPOLL_CTL_MOD, inventory_fd(discover->all),
		  &event);
}

void
discover_work(struct discover *discover)
{
	int64_t end = now() + SLICE;
	eventfd_t count;
	bool more;

	eventfd_read(discover->more, &count);
	(void)!read(discover->timer, &count, sizeof(count));
	do
		more = step(discover);
	while (more && now() < end);
	if (more)
		eventfd_write(discover->more, 1);
	hear_of_all(discover);
}

int
discover_fd(const struct discover *discover)
{
	return discover->epoll;
}

void
discover_cpu_came(struct discover *discover, uint32_t cpu)
{
	watch_cpu_came(discover->watch, cpu);
	eventfd_write(discover->more, 1);
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

bool
discover_ask(struct discover *discover, const struct ebpftls_hooked *question)
{
	eventfd_write(discover->more, 1);
	return suspects_ask(discover->suspects, question, now());
}

bool
discover_answer(struct discover *discover, struct ebpftls_hooked *answer)
{
	return suspects_answer(discover->suspects, answer);
}

/* --- begin and end
 * ------------------------------------------------------------ */

static bool
open_desks(struct discover *discover)
{
	for (size_t i = 0; i < DESKS; i++) {
		struct desk *desk = &discover->desks[i];

		desk->scanner = scanner_open();
		if (desk->scanner == NULL ||
		    !listen_to(discover, scanner_fd(desk->scanner)))
			return false;
	}
	return true;
}

/* Up to what fails: errno is why. */
static bool
open_all(struct discover *discover)
{
	return (discover->files = files_open()) != NULL &&
	       (discover->suspects = suspects_open("/proc")) != NULL &&
	       (discover->cache = cache_open()) != NULL &&
	       (discover->all = inventory_open("/proc")) != NULL &&
	       (discover->one = inventory_open("/proc")) != NULL &&
	       (discover->libraries = libraries_open()) != NULL &&
	       (discover->epoll = epoll_create1(EPOLL_CLOEXEC)) >= 0 &&
	       (discover->more = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0 &&
	       (discover->timer = timerfd_create(CLOCK_MONOTONIC,
						 TFD_CLOEXEC | TFD_NONBLOCK)) >=
		   0 &&
	       (discover->opener = opener_open(discover->cache)) != NULL &&
	       open_desks(discover) &&
	       listen_to(discover, inventory_fd(discover->all)) &&
	       listen_to(discover, inventory_fd(discover->one)) &&
	       listen_to(discover, watch_fd(discover->watch)) &&
	       listen_to(discover, discover->timer) &&
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
	discover->pause = PAUSE_MIN;
	discover->epoll = discover->more = discover->timer = -1;
	lane_open(&discover->urgent);
	lane_open(&discover->initial);
	lane_open(&discover->later);
	for (size_t i = 0; i < DESKS; i++)
		discover->desks[i].last = &discover->desks[i].first;
	/* first, so that nothing is missed between this and the inventory */
	discover->watch = watch_start(failure);
	if (discover->watch != NULL && open_all(discover)) {
		inventory_all(discover->all);
		discover->looking = true;
		return discover;
	}
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
	opener_close(discover->opener);
	for (size_t i = 0; i < DESKS; i++)
		desk_close(&discover->desks[i]);
	inventory_close(discover->all);
	inventory_close(discover->one);
	libraries_close(discover->libraries);
	suspects_close(discover->suspects);
	lane_close(&discover->urgent);
	lane_close(&discover->initial);
	lane_close(&discover->later);
	if (discover->cache != NULL)
		cache_save(discover->cache);
	cache_close(discover->cache);
	files_close(discover->files);
	ebpftls_control_close((int[]){ discover->epoll, discover->more,
				       discover->timer },
			      3);
	free(discover);
}
