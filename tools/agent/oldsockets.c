// SPDX-License-Identifier: BSD-3-Clause
/* Finds the sockets of processes, by /proc and by copies of descriptors. */
#define _GNU_SOURCE

#include "oldsockets.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process.h"

/* As struct old in bpf/owner.bpf.h. */
struct oldsocket {
	struct ebpftls_owner owner;
	uint64_t listens;
};

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
scan_descriptor(const struct oldsockets_maps *maps, int pidfd, int number,
		const struct ebpftls_owner *owner)
{
	int sock = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	const uint8_t yes = 1;

	if (sock < 0)
		return;
	if (is_ours(sock)) {
		write_owner(maps->owners, sock, owner);
		bpf_map_update_elem(maps->holders, &owner->pid, &yes, BPF_ANY);
	}
	close(sock);
}

/* All of them, if the pid is still this process's. */
static void
scan_process(const struct oldsockets_maps *maps, int proc,
	     const struct ebpftls_owner *owner)
{
	int pidfd = (int)syscall(SYS_pidfd_open, owner->pid, 0);
	int folder = process_open(proc, owner->pid);
	int fds = openat(folder, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fds < 0 ? NULL : fdopendir(fds);
	char target[16];
	struct dirent *entry;
	uint32_t parent;

	if (dir != NULL && pidfd >= 0 &&
	    process_began(folder, owner->start, &parent))
		while ((entry = readdir(dir)) != NULL)
			if (readlinkat(fds, entry->d_name, target,
				       sizeof(target)) > 7 &&
			    memcmp(target, "socket:", 7) == 0)
				scan_descriptor(maps, pidfd,
						atoi(entry->d_name), owner);
	if (dir != NULL)
		closedir(dir);
	else if (fds >= 0)
		close(fds);
	if (folder >= 0)
		close(folder);
	if (pidfd >= 0)
		close(pidfd);
}

void
oldsockets_scan(const struct oldsockets_maps *maps,
		const struct ebpftls_owner *processes, size_t count)
{
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (proc < 0)
		return;
	for (size_t i = 0; i < count; i++)
		scan_process(maps, proc, &processes[i]);
	close(proc);
}
