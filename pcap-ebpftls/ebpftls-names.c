// SPDX-License-Identifier: BSD-3-Clause
/* Remembers the names of interfaces for a second. */
#include "ebpftls-names.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT_NS UINT64_C(1000000000)

int
ebpftls_names_open(struct ebpftls_names *names)
{
	memset(names, 0, sizeof(*names));
	names->sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return names->sock < 0 ? -errno : 0;
}

/* The name of one that is gone stays: packets of it may still be waiting. */
static void
look_up(const struct ebpftls_names *names, struct ebpftls_interface_name *entry,
	uint32_t ifindex)
{
	struct ifreq request = { .ifr_ifindex = (int)ifindex };

	if (entry->ifindex != ifindex)
		entry->name[0] = '\0';
	entry->ifindex = ifindex;
	if (ioctl(names->sock, SIOCGIFNAME, &request) == 0)
		memcpy(entry->name, request.ifr_name, sizeof(entry->name));
}

const char *
ebpftls_names_of(struct ebpftls_names *names, uint32_t ifindex, uint64_t now)
{
	struct ebpftls_interface_name *entry =
	    &names->entries[ifindex % EBPFTLS_NAMES];

	if (names->sock < 0)
		return "";
	if (entry->ifindex != ifindex || now >= entry->until) {
		look_up(names, entry, ifindex);
		entry->until = now + KEPT_NS;
	}
	return entry->name;
}

void
ebpftls_names_close(struct ebpftls_names *names)
{
	if (names->sock >= 0)
		close(names->sock);
	names->sock = -1;
}
