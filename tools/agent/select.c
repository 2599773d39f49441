// SPDX-License-Identifier: BSD-3-Clause
/*
 * Turns what a capture asks for into what the kernel compares: a path into a
 * device and an inode, a cgroup or a container into the id of a cgroup.
 */
#define _GNU_SOURCE

#include "select.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ebpftls-control-io.h"
#include "peer.h"
#include "process.h"

#define CGROUP_DEPTH 64
#define MINOR_BITS   20 /* of a device's number inside the kernel */

/* A search for a container's cgroups. */
struct search {
	struct selection *selection;
	const char *wanted; /* the id, or how it begins */
	char id[PROCESS_CONTAINER_LEN + 1];
	bool ambiguous;
	bool full;
};

static bool
add(struct selection *selection, const struct ebpftls_wanted *wanted)
{
	if (selection->count == SELECT_WANTED_MAX)
		return false;
	selection->wanted[selection->count++] = *wanted;
	selection->settings.kinds |= (uint8_t)(1U << wanted->kind);
	return true;
}

static bool
add_number(struct selection *selection, enum ebpftls_want kind, uint64_t number)
{
	const struct ebpftls_wanted wanted = {
		.kind = kind,
		.number = { number, 0 },
	};

	return add(selection, &wanted);
}

static void
add_comm(struct selection *selection, const char *comm)
{
	struct ebpftls_wanted wanted = { .kind = EBPFTLS_WANT_COMM };

	memcpy(wanted.comm, comm, strnlen(comm, sizeof(wanted.comm) - 1));
	add(selection, &wanted);
}

/* The number behind `name` in /proc/self/fdinfo/FD. */
static bool
read_fdinfo(int fd, const char *name, uint64_t *number)
{
	char path[48], line[128];
	size_t length = strlen(name);
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), file) != NULL) {
		found = strncmp(line, name, length) == 0;
		if (found)
			*number = strtoull(line + length, NULL, 10);
	}
	fclose(file);
	return found;
}

/* The device of a file system that is mounted where `pid` is. */
static bool
find_device(pid_t pid, uint64_t mount, uint64_t *device)
{
	unsigned int major_number, minor_number;
	unsigned long long id;
	bool found = false;
	size_t size = 0;
	char path[32], *line = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	while (!found && getline(&line, &size, file) > 0) {
		found = sscanf(line, "%llu %*u %u:%u", &id, &major_number,
			       &minor_number) == 3 &&
			id == mount;
		if (found)
			*device =
			    (uint64_t)major_number << MINOR_BITS | minor_number;
	}
	free(line);
	fclose(file);
	return found;
}

/*
 * Inode and device as the kernel compares them: stat() tells of others where
 * a file system has layers or subvolumes.
 */
static bool
identify(int fd, pid_t pid, struct ebpftls_wanted *wanted)
{
	uint64_t mount, inode, device;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	if (!S_ISREG(st.st_mode)) {
		errno = EISDIR;
		return false;
	}
	inode = st.st_ino;
	device = (uint64_t)major(st.st_dev) << MINOR_BITS | minor(st.st_dev);
	read_fdinfo(fd, "ino:", &inode);
	if (read_fdinfo(fd, "mnt_id:", &mount))
		find_device(pid, mount, &device);
	wanted->kind = EBPFTLS_WANT_EXE;
	wanted->number[0] = inode;
	wanted->number[1] = device;
	return true;
}

static int
add_exe(struct selection *selection, const char *path, const struct peer *peer,
	int root, struct failure *failure)
{
	struct ebpftls_wanted wanted;
	int fd = peer_open(peer, root, path, 0);
	bool found = fd >= 0 && identify(fd, peer->pid, &wanted);
	int error = fd >= 0 ? errno : -fd;

	if (found) {
		add(selection, &wanted);
		selection->files[selection->file_count++] = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	if (error == EISDIR)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "exe=%s: this is not a file", path);
	return fail(failure, EBPFTLS_REASON_OTHER, "exe=%s: %s", path,
		    strerror(error));
}

/* As the peer sees them, who may live in a mount namespace of its own. */
static int
add_exes(struct selection *selection, const struct ebpftls_wants *wants,
	 const struct peer *peer, struct failure *failure)
{
	char path[32];
	int root, result = 0;

	if (wants->count[EBPFTLS_WANT_EXE] == 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/root", (int)peer->pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return fail(failure, EBPFTLS_REASON_OTHER, "exe=: %s: %s", path,
			    strerror(errno));
	for (uint32_t i = 0; result == 0 && i < wants->count[EBPFTLS_WANT_EXE];
	     i++)
		result = add_exe(selection, wants->exe[i], peer, root, failure);
	close(root);
	return result;
}

/* 0 if there is none. */
static uint64_t
cgroup_id(int folder)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + sizeof(uint64_t)];
	} name = { .handle.handle_bytes = sizeof(uint64_t) };
	uint64_t id = 0;
	int mount;

	if (name_to_handle_at(folder, "", &name.handle, &mount,
			      AT_EMPTY_PATH) == 0)
		memcpy(&id, name.handle.f_handle, sizeof(id));
	return id;
}

static bool
add_cgroup(struct selection *selection, int folder)
{
	uint64_t id = cgroup_id(folder);

	return id != 0 && add_number(selection, EBPFTLS_WANT_CGROUP, id);
}

static int
add_path(struct selection *selection, const char *path, const struct peer *peer,
	 int root, struct failure *failure)
{
	int fd = peer_open(peer, root, path, O_DIRECTORY);
	bool added = fd >= 0 && add_cgroup(selection, fd);
	int error = fd >= 0 ? errno : -fd;

	if (fd >= 0)
		close(fd);
	if (added)
		return 0;
	return fail(failure, EBPFTLS_REASON_OTHER,
		    "cgroup=%s: not in the unified hierarchy: %s", path,
		    strerror(error));
}

static void
take_container(struct search *search, int folder, const char *id)
{
	if (strncmp(id, search->wanted, strlen(search->wanted)) != 0)
		return;
	if (search->id[0] == '\0')
		memcpy(search->id, id, PROCESS_CONTAINER_LEN);
	else if (strncmp(search->id, id, PROCESS_CONTAINER_LEN) != 0)
		search->ambiguous = true;
	if (!add_cgroup(search->selection, folder))
		search->full = true;
}

/* Takes `folder` over. */
static void
look_for_container(struct search *search, int folder, int depth)
{
	DIR *dir = fdopendir(folder);
	struct dirent *entry;

	if (dir == NULL) {
		close(folder);
		return;
	}
	while (depth > 0 && (entry = readdir(dir)) != NULL) {
		const char *id =
		    process_container_id(entry->d_name, strlen(entry->d_name));
		int fd;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		fd = openat(folder, entry->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (id != NULL)
			take_container(search, fd, id);
		look_for_container(search, fd, depth - 1);
	}
	closedir(dir);
}

static int
add_container(struct selection *selection, const char *id, int root,
	      struct failure *failure)
{
	struct search search = { .selection = selection, .wanted = id };
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		look_for_container(&search, fd, CGROUP_DEPTH);
	if (search.ambiguous)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "cgroup=%s: there are several containers whose "
			    "ids begin so",
			    id);
	if (search.full)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "cgroup=%s: this container has too many cgroups",
			    id);
	if (search.id[0] != '\0')
		return 0;
	return fail(failure, EBPFTLS_REASON_OTHER,
		    "cgroup=%s: there is no such container in the unified "
		    "hierarchy",
		    id);
}

static int
add_cgroups(struct selection *selection, const struct ebpftls_wants *wants,
	    const struct peer *peer, int root, struct failure *failure)
{
	uint32_t count = wants->count[EBPFTLS_WANT_CGROUP];
	int result = 0;

	if (count > 0 && root < 0)
		return fail(failure, EBPFTLS_REASON_NOT_SUPPORTED,
			    "cgroup=: there is no unified hierarchy: %s",
			    strerror(-root));
	for (uint32_t i = 0; result == 0 && i < count; i++)
		result = wants->cgroup[i][0] == '/'
			     ? add_path(selection, wants->cgroup[i], peer, root,
					failure)
			     : add_container(selection, wants->cgroup[i], root,
					     failure);
	return result;
}

static int
add_files(struct selection *selection, const struct ebpftls_wants *wants,
	  int sock, int cgroup, struct failure *failure)
{
	struct peer peer;
	int error = peer_of(sock, &peer), result;

	if (error != 0)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "cannot tell who asks: %s", strerror(-error));
	result = add_exes(selection, wants, &peer, failure);
	if (result == 0)
		result = add_cgroups(selection, wants, &peer, cgroup, failure);
	peer_free(&peer);
	return result;
}

int
select_resolve(struct selection *selection, const struct ebpftls_wants *wants,
	       int sock, int cgroup, struct failure *failure)
{
	memset(selection, 0, sizeof(*selection));
	selection->settings.children = wants->children;
	selection->settings.unknown = wants->unknown;
	for (uint32_t i = 0; i < wants->count[EBPFTLS_WANT_PID]; i++)
		add_number(selection, EBPFTLS_WANT_PID, wants->pid[i]);
	for (uint32_t i = 0; i < wants->count[EBPFTLS_WANT_UID]; i++)
		add_number(selection, EBPFTLS_WANT_UID, wants->uid[i]);
	for (uint32_t i = 0; i < wants->count[EBPFTLS_WANT_COMM]; i++)
		add_comm(selection, wants->comm[i]);
	return add_files(selection, wants, sock, cgroup, failure);
}

static bool
is_user(const struct ebpftls_wanted *wanted, uint32_t uid)
{
	return wanted->kind == EBPFTLS_WANT_UID && wanted->number[0] == uid;
}

/* False if it was not among those that were asked for. */
static bool
keep_user(struct selection *selection, uint32_t uid)
{
	bool any = !select_has(selection, EBPFTLS_WANT_UID);
	size_t kept = 0;

	for (size_t i = 0; i < selection->count; i++) {
		const struct ebpftls_wanted *wanted = &selection->wanted[i];

		any |= is_user(wanted, uid);
		if (wanted->kind != EBPFTLS_WANT_UID)
			selection->wanted[kept++] = *wanted;
	}
	selection->count = kept;
	return any && add_number(selection, EBPFTLS_WANT_UID, uid);
}

int
select_limit(struct selection *selection, const struct ebpftls_caller *caller,
	     struct failure *failure)
{
	bool tells = caller->limited && select_has(selection, EBPFTLS_WANT_EXE);

	selection->settings.same = caller->hidden;
	if (selection->settings.kinds == 0 || (!caller->hidden && !tells) ||
	    keep_user(selection, caller->uid))
		return 0;
	return fail(failure, EBPFTLS_REASON_NO_PERMISSION,
		    "among the processes of other users only root can choose "
		    "by this");
}

void
select_close(struct selection *selection)
{
	ebpftls_control_close(selection->files, selection->file_count);
	selection->file_count = 0;
}

bool
select_has(const struct selection *selection, enum ebpftls_want kind)
{
	return selection->settings.kinds & (1U << kind);
}

int
select_fill(const struct selection *selection, int map)
{
	const uint64_t nothing = 0;

	for (size_t i = 0; i < selection->count; i++)
		if (bpf_map_update_elem(map, &selection->wanted[i], &nothing,
					BPF_ANY) != 0)
			return -errno;
	return 0;
}

int
select_check_pids(const struct selection *selection, int map,
		  struct failure *failure)
{
	for (size_t i = 0; i < selection->count; i++) {
		const struct ebpftls_wanted *wanted = &selection->wanted[i];
		uint64_t start = 0;

		if (wanted->kind != EBPFTLS_WANT_PID)
			continue;
		bpf_map_lookup_elem(map, wanted, &start);
		if (start == 0)
			return fail(failure, EBPFTLS_REASON_OTHER,
				    "pid=%u: there is no such process",
				    (unsigned int)wanted->number[0]);
	}
	return 0;
}
