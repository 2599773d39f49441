// SPDX-License-Identifier: BSD-3-Clause
/*
 * Looks through the descriptors, and into the files that are open for writing.
 * Of programs that have none nothing else is looked at: profiles of AppArmor
 * need not allow it.
 *
 * No file is opened in this process: it could have record locks on it, which it
 * would lose when the file is closed again.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "ebpftls-target.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ebpftls-apart.h"
#include "ebpftls-reader.h"

#define PROGRAM "dumpcap"
#define WRITER	"Dumpcap"

/* Descriptors among which dumpcap's is. */
#define FIRST 3
#define LAST  1024

/* After so many files, the numbers of dumpcap's -b begin again. */
#define NUMBERS 100000UL

/* --- the process ---------------------------------------------------------- */

/*
 * With this argument tshark and Wireshark say that they are the parent. It is
 * always one of its own, or begins one.
 */
static bool
has_parent(void)
{
	FILE *file = fopen("/proc/self/cmdline", "re");
	char *argument = NULL;
	size_t size = 0;
	bool found = file == NULL;

	while (!found && getdelim(&argument, &size, '\0', file) > 0)
		found = strncmp(argument, "-Z", 2) == 0;
	free(argument);
	if (file != NULL)
		fclose(file);
	return found;
}

static bool
is_dumpcap(void)
{
	return strcmp(program_invocation_short_name, PROGRAM) == 0;
}

bool
ebpftls_target_is_likely(void)
{
	return is_dumpcap() && !has_parent();
}

bool
ebpftls_target_is_read(void)
{
	return is_dumpcap() && has_parent();
}

/* --- files ---------------------------------------------------------------- */

static bool
is_same(const struct stat *status, uint64_t device, uint64_t inode)
{
	return status->st_dev == device && status->st_ino == inode;
}

/* What was redirected by who started us is not dumpcap's own. */
static bool
is_standard(const struct stat *status)
{
	struct stat standard;

	for (int fd = 0; fd < FIRST; fd++) {
		if (fstat(fd, &standard) == 0 &&
		    is_same(&standard, status->st_dev, status->st_ino))
			return true;
	}
	return false;
}

/* Whether one may write to a descriptor, to a file that others find, too. */
static bool
is_output(int fd, struct stat *status)
{
	const int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY &&
	       (flags & O_PATH) == 0 && fstat(fd, status) == 0 &&
	       S_ISREG(status->st_mode) && status->st_nlink == 1;
}

/*
 * NAME_00001_20261121120000.pcapng, or with the numbers the other way round:
 * where the first number begins, which of the two counts, and what follows.
 */
struct series {
	size_t name;
	unsigned long number;
	const char *suffix;
};

static bool
is_numbered(const char *path, struct series *series)
{
	const char *name = basename(path), *end = strrchr(name, '.');
	size_t shortest = SIZE_MAX;

	if (end == NULL)
		end = name + strlen(name);
	*series = (struct series){ .suffix = end };
	for (int groups = 0; groups < 2; groups++) {
		const char *at = end;

		while (at > name && isdigit((unsigned char)at[-1]))
			at--;
		if (at == end || at == name || at[-1] != '_')
			return false;
		/* the other one is the time */
		if ((size_t)(end - at) < shortest) {
			shortest = (size_t)(end - at);
			series->number = strtoul(at, NULL, 10);
		}
		end = at - 1;
	}
	series->name = (size_t)(end - name);
	return true;
}

static bool
is_device(const struct ebpftls_option_read *name, const char *device)
{
	return name->size == strlen(device) &&
	       memcmp(name->value, device, name->size) == 0;
}

static bool
is_writer(struct ebpftls_reader *reader)
{
	struct ebpftls_option_read option;
	struct ebpftls_block block;

	return ebpftls_reader_next(reader, &block) == EBPFTLS_READ_BLOCK &&
	       ebpftls_block_option(reader, &block, EBPFTLS_SHB_USERAPPL,
				    &option) &&
	       option.size >= sizeof(WRITER) - 1 &&
	       memcmp(option.value, WRITER, sizeof(WRITER) - 1) == 0;
}

/* Looks for the one interface of this name; there may be packets already. */
static bool
find_interface(struct ebpftls_reader *reader, const char *device,
	       struct ebpftls_target *target)
{
	struct ebpftls_option_read name;
	struct ebpftls_block block;
	uint32_t interface = 0;
	int found = 0;

	while (ebpftls_reader_next(reader, &block) == EBPFTLS_READ_BLOCK &&
	       block.type == EBPFTLS_BLOCK_INTERFACE) {
		if (ebpftls_block_option(reader, &block, EBPFTLS_IF_NAME,
					 &name) &&
		    is_device(&name, device)) {
			target->interface = interface;
			target->linktype =
			    ebpftls_reader_u16(reader, block.bytes + 8);
			found++;
		}
		interface++;
	}
	return found == 1;
}

/* Whether it is a pcapng file. The position of the descriptor stays. */
static bool
is_pcapng(int fd)
{
	uint32_t type;

	return pread(fd, &type, sizeof(type), 0) == sizeof(type) &&
	       type == EBPFTLS_BLOCK_SECTION;
}

/* Whether it begins as dumpcap begins it, for this device. */
static bool
is_for(const char *device, struct ebpftls_target *target)
{
	struct ebpftls_reader reader = { .bytes = NULL };
	struct stat status;
	bool found;
	/* whatever has its name by now, this does not wait */
	const int fd = open(target->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
					      O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return false;
	found = fstat(fd, &status) == 0 &&
		is_same(&status, target->device, target->inode) &&
		is_pcapng(fd) && ebpftls_reader_init(&reader, fd) &&
		is_writer(&reader) && find_interface(&reader, device, target);
	ebpftls_reader_free(&reader);
	close(fd);
	return found;
}

/* Files that may be the one, and which of them is. */
struct look {
	const char *device;
	struct ebpftls_target *targets;
	size_t count;
	struct ebpftls_target *found;
};

static void
look_into(void *context)
{
	struct look *look = context;

	for (size_t i = 0; i < look->count && look->found == NULL; i++)
		if (is_for(look->device, &look->targets[i]))
			look->found = &look->targets[i];
}

/* One may close such a descriptor: it unlocks nothing. */
static bool
hold(struct ebpftls_target *target)
{
	struct stat status;

	target->held = open(target->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return target->held >= 0 && fstat(target->held, &status) == 0 &&
	       is_same(&status, target->device, target->inode);
}

static char *
path_of(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length <= 0 || path[0] != '/')
		return NULL;
	path[length] = '\0';
	return strdup(path);
}

/* As far as can be told without opening it. Dumpcap does not append. */
static bool
is_likely(int fd, struct stat *status)
{
	int flags;

	if (!is_output(fd, status) || is_standard(status))
		return false;
	flags = fcntl(fd, F_GETFL);
	return (flags & O_APPEND) == 0 &&
	       ((flags & O_ACCMODE) == O_WRONLY || is_pcapng(fd));
}

static void
add(struct look *look, int fd, const struct stat *status)
{
	struct ebpftls_target *targets, *target;

	targets =
	    reallocarray(look->targets, look->count + 1, sizeof(*targets));
	if (targets == NULL)
		return;
	look->targets = targets;
	target = &targets[look->count];
	*target = (struct ebpftls_target){
		.path = path_of(fd),
		.fd = fd,
		.held = -1,
		.device = status->st_dev,
		.inode = status->st_ino,
	};
	if (target->path != NULL)
		look->count++;
}

/* Gives the one that was found away, and frees the others. */
static void
finish(struct look *look, struct ebpftls_target *target)
{
	if (look->found != NULL) {
		*target = *look->found;
		look->found->path = NULL;
	}
	for (size_t i = 0; i < look->count; i++)
		ebpftls_target_free(&look->targets[i]);
	free(look->targets);
}

bool
ebpftls_target_find(struct ebpftls_target *target, const char *device)
{
	struct look look = { .device = device };
	struct series series;
	struct stat status;

	*target = (struct ebpftls_target){ .path = NULL };
	for (int fd = FIRST; fd < LAST; fd++)
		if (is_likely(fd, &status))
			add(&look, fd, &status);
	if (look.count > 0)
		ebpftls_apart(look_into, &look);
	finish(&look, target);
	if (target->path == NULL)
		return false;
	target->one_of_many = is_numbered(target->path, &series);
	if (has_parent() || !hold(target))
		ebpftls_target_free(target);
	return target->path != NULL;
}

/* --- the next file ---------------------------------------------------------
 */

/* How far a file's number is behind that of another; 0: it is not of those. */
static unsigned long
distance(const char *name, const char *from)
{
	struct series here, there;

	if (!is_numbered(name, &here) || !is_numbered(from, &there) ||
	    here.name != there.name || strncmp(name, from, here.name) != 0 ||
	    strcmp(here.suffix, there.suffix) != 0)
		return 0;
	return (here.number + NUMBERS - there.number) % NUMBERS;
}

/* Files of earlier captures may lie there. One is begun when the last ends. */
static bool
is_later(DIR *folder, const char *name, const struct stat *last)
{
	const struct timespec *then = &last->st_mtim;
	struct stat status;

	return fstatat(dirfd(folder), name, &status, AT_SYMLINK_NOFOLLOW) ==
		   0 &&
	       (status.st_mtim.tv_sec > then->tv_sec ||
		(status.st_mtim.tv_sec == then->tv_sec &&
		 status.st_mtim.tv_nsec >= then->tv_nsec));
}

/* The name of the nearest file, in NAME_MAX + 1 bytes; "": there is none. */
static void
find_next(DIR *folder, const char *from, const struct stat *last, char *nearest)
{
	unsigned long least = NUMBERS / 2;
	const struct dirent *entry;

	nearest[0] = '\0';
	while ((entry = readdir(folder)) != NULL) {
		const unsigned long far = distance(entry->d_name, from);

		if (far > 0 && far < least &&
		    is_later(folder, entry->d_name, last)) {
			least = far;
			strcpy(nearest, entry->d_name);
		}
	}
}

/* Dumpcap's descriptor of a file, or -1. */
static int
descriptor_of(const struct stat *file)
{
	struct stat status;

	for (int fd = FIRST; fd < LAST; fd++)
		if (is_output(fd, &status) &&
		    is_same(&status, file->st_dev, file->st_ino))
			return fd;
	return -1;
}

static bool
take_next(struct ebpftls_target *next, const char *path, const char *device)
{
	struct look look = { .device = device, .targets = next, .count = 1 };
	struct stat status;

	if (lstat(path, &status) != 0 || !S_ISREG(status.st_mode) ||
	    status.st_nlink != 1 || status.st_uid != geteuid())
		return false;
	*next = (struct ebpftls_target){
		.path = strdup(path),
		.fd = descriptor_of(&status),
		.held = -1,
		.device = status.st_dev,
		.inode = status.st_ino,
		.one_of_many = true,
	};
	if (next->path != NULL && hold(next) &&
	    ebpftls_apart(look_into, &look) && look.found != NULL)
		return true;
	ebpftls_target_free(next);
	return false;
}

bool
ebpftls_target_next(struct ebpftls_target *next,
		    const struct ebpftls_target *target, const char *device)
{
	const char *from = basename(target->path);
	const int length = (int)(from - target->path);
	char name[NAME_MAX + 1], path[PATH_MAX];
	struct stat last;
	DIR *folder;

	if (fstat(target->held, &last) != 0)
		return false;
	snprintf(path, sizeof(path), "%.*s", length, target->path);
	folder = opendir(path);
	if (folder == NULL)
		return false;
	find_next(folder, from, &last, name);
	closedir(folder);
	return name[0] != '\0' &&
	       snprintf(path, sizeof(path), "%.*s%s", length, target->path,
			name) < (int)sizeof(path) &&
	       take_next(next, path, device);
}

void
ebpftls_target_free(struct ebpftls_target *target)
{
	if (target->path != NULL && target->held >= 0)
		close(target->held);
	free(target->path);
	*target = (struct ebpftls_target){ .path = NULL };
}

bool
ebpftls_target_is(const struct ebpftls_target *target)
{
	struct stat status;

	return fstat(target->fd, &status) == 0 &&
	       is_same(&status, target->device, target->inode);
}

bool
ebpftls_target_is_open(uint64_t device, uint64_t inode)
{
	struct stat status;

	for (int fd = 0; fd < LAST; fd++) {
		const int flags = fcntl(fd, F_GETFL);

		if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY &&
		    fstat(fd, &status) == 0 && is_same(&status, device, inode))
			return true;
	}
	return false;
}
