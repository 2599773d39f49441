// SPDX-License-Identifier: BSD-3-Clause
/* Reads the kernel's events of devices, of which CPUs are some. */
#define _GNU_SOURCE

#include "cpus.h"

#include <ctype.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KERNEL_EVENTS 1 /* the group; others are those of programs */
#define EVENT_SIZE    2048
#define ONLINE	      "online@/devices/system/cpu/cpu"

int
cpus_watch(void)
{
	const struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = KERNEL_EVENTS,
	};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 &&
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

void
cpus_read(int fd, cpus_handler *came, void *context)
{
	const size_t prefix = strlen(ONLINE);
	char event[EVENT_SIZE + 1];

	for (;;) {
		struct sockaddr_nl from = { .nl_pid = 0 };
		socklen_t from_size = sizeof(from);
		ssize_t got = recvfrom(fd, event, EVENT_SIZE, MSG_DONTWAIT,
				       (struct sockaddr *)&from, &from_size);

		if (got < 0 && errno == ENOBUFS)
			came(context, CPUS_ANY);
		else if (got < 0 && errno != EINTR)
			return;
		/* programs can send here, too, if they may */
		if (got < 0 || from.nl_pid != 0)
			continue;
		event[got] = '\0';
		if (strncmp(event, ONLINE, prefix) == 0 &&
		    isdigit((unsigned char)event[prefix]))
			came(context,
			     (uint32_t)strtoul(event + prefix, NULL, 10));
	}
}
