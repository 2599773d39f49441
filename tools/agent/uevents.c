// SPDX-License-Identifier: BSD-3-Clause
/* Reads the kernel's events of devices, which CPUs are, and modules. */
#define _GNU_SOURCE

#include "uevents.h"

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
#define LOADED	      "add@/module/"

int
uevents_watch(void)
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

static void
take(const char *event, const struct uevents_handlers *handlers, void *context)
{
	const char *cpu = event + strlen(ONLINE);

	if (strncmp(event, LOADED, strlen(LOADED)) == 0)
		handlers->module_came(context, event + strlen(LOADED));
	else if (strncmp(event, ONLINE, strlen(ONLINE)) == 0 &&
		 isdigit((unsigned char)*cpu))
		handlers->cpu_came(context, (uint32_t)strtoul(cpu, NULL, 10));
}

void
uevents_read(int fd, const struct uevents_handlers *handlers, void *context)
{
	char event[EVENT_SIZE + 1];

	for (;;) {
		struct sockaddr_nl from = { .nl_pid = 0 };
		socklen_t from_size = sizeof(from);
		ssize_t got = recvfrom(fd, event, EVENT_SIZE, MSG_DONTWAIT,
				       (struct sockaddr *)&from, &from_size);

		if (got < 0 && errno == ENOBUFS) {
			handlers->cpu_came(context, CPUS_ANY);
			handlers->module_came(context, NULL);
		} else if (got < 0 && errno != EINTR) {
			return;
		}
		/* programs can send here, too, if they may */
		if (got < 0 || from.nl_pid != 0)
			continue;
		event[got] = '\0';
		take(event, handlers, context);
	}
}
