// SPDX-License-Identifier: BSD-3-Clause
/* Whose the sockets are that are older than the capture, by /proc. */
#define _GNU_SOURCE

#include "oldsockets.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process.h"

#define STAT_SIZE 1024

/* As struct old in bpf/owner.bpf.h. */
struct oldsocket {
	struct ebpftls_owner owner;
	uint64_t listens;
};

/* The rest of a line in /proc/PID/status, behind `name`. */
static unsigned long
status_number(const char *status, const char *name, int column)
{
	const char *at = strstr(status, name);
	char *end;
	unsigned long value = 0;

	if (at == NULL)
		return 0;
	at += strlen(name);
	for (int i = 0; i <= column; i++) {
		value = strtoul(at, &end, 10);
		at = end;
	}
	return value;
}

/* The name may hold any byte: it ends with the last parenthesis. */
bool
oldsockets_describe(int process, uint32_t pid, bool chosen,
		    struct ebpftls_owner *owner)
{
	char stat[STAT_SIZE], status[4 * STAT_SIZE];
	const char *name;
	uint32_t parent;
	uint64_t ticks;
	size_t length;

	if (process_read_text(process, "stat", stat, sizeof(stat)) == 0 ||
	    process_read_text(process, "status", status, sizeof(status)) == 0 ||
	    !process_parse_stat(stat, &parent, &ticks))
		return false;
	name = strchr(stat, '(');
	if (name == NULL)
		return false;
	memset(owner, 0, sizeof(*owner));
	length = (size_t)(strrchr(stat, ')') - name - 1);
	if (length >= sizeof(owner->comm))
		length = sizeof(owner->comm) - 1;
	memcpy(owner->comm, name + 1, length);
	owner->pid = owner->tid = pid;
	owner->start = ticks * (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
	owner->uid = (uint32_t)status_number(status, "\nUid:", 1);
	owner->kind = EBPFTLS_OF_PROCESS;
	owner->chosen = chosen;
	return true;
}

static bool
is_ours(int sock)
{
	int domain = -1;
	socklen_t size = sizeof(domain);

	getsockopt(sock, SOL_SOCKET, SO_DOMAIN, &domain, &size);
	return domain == AF_INET || domain == AF_INET6 || domain == AF_PACKET;
}

static bool
listens(int sock)
{
	int listening = 0;
	socklen_t size = sizeof(listening);

	getsockopt(sock, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size);
	return listening;
}

/* As share() in owners.bpf.c. */
static void
write_owner(int map, int sock, const struct ebpftls_owner *owner)
{
	struct oldsocket new = { *owner, listens(sock) }, old;
	uint16_t all_chosen;

	if (bpf_map_update_elem(map, &sock, &new, BPF_NOEXIST) == 0 ||
	    bpf_map_lookup_elem(map, &sock, &old) != 0 ||
	    old.owner.pid == owner->pid)
		return;
	all_chosen = old.owner.chosen & owner->chosen;
	if (!new.listens) {
		memset(&old.owner, 0, sizeof(old.owner));
		old.owner.kind = EBPFTLS_OF_UNKNOWN;
		old.owner.chosen = all_chosen;
		bpf_map_update_elem(map, &sock, &old, BPF_ANY);
	} else if (owner->start < old.owner.start) {
		bpf_map_update_elem(map, &sock, &new, BPF_ANY);
	}
}

static void
scan_descriptor(int map, int pidfd, int number,
		const struct ebpftls_owner *owner)
{
	int sock = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

	if (sock < 0)
		return;
	if (is_ours(sock))
		write_owner(map, sock, owner);
	close(sock);
}

static int
compare_pids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void
scan_process(int map, int proc, const char *name, uint32_t pid, bool chosen)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int process = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fds =
	    process < 0 ? -1 : openat(process, "fd", O_RDONLY | O_CLOEXEC);
	DIR *dir = fds < 0 ? NULL : fdopendir(fds);
	struct ebpftls_owner owner;
	struct dirent *entry;
	char target[16];

	if (dir == NULL && fds >= 0)
		close(fds);
	if (dir != NULL && pidfd >= 0 &&
	    oldsockets_describe(process, pid, chosen, &owner))
		while ((entry = readdir(dir)) != NULL)
			if (readlinkat(fds, entry->d_name, target,
				       sizeof(target)) > 7 &&
			    memcmp(target, "socket:", 7) == 0)
				scan_descriptor(map, pidfd, atoi(entry->d_name),
						&owner);
	if (dir != NULL)
		closedir(dir);
	if (process >= 0)
		close(process);
	if (pidfd >= 0)
		close(pidfd);
}

void
oldsockets_scan(int map, const uint32_t *chosen, size_t count)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	uint32_t pid;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		pid = (uint32_t)strtoul(entry->d_name, NULL, 10);
		scan_process(map, dirfd(dir), entry->d_name, pid,
			     count > 0 &&
				 bsearch(&pid, chosen, count, sizeof(pid),
					 compare_pids) != NULL);
	}
	closedir(dir);
}
