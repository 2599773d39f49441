// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for a datagram of rtnetlink's about interfaces, and for an
 * event of the kernel's about a device or a module.
 */
#define _GNU_SOURCE
#include "links.h"
#include "uevents.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "require.h"

#define DATAGRAM_MAX 65536
#define LINKS_MAX    4096 /* more than there are headers in a datagram */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int
take(void *context, const struct link *link)
{
	unsigned int *count = context;

	require(memchr(link->name, '\0', sizeof(link->name)) != NULL);
	require(++*count < LINKS_MAX);
	return 0;
}

static void
cpu_came(void *context, uint32_t cpu)
{
	unsigned int *count = context;

	(void)cpu;
	++*count;
}

static void
module_came(void *context, const char *name)
{
	unsigned int *count = context;

	require(strlen(name) < DATAGRAM_MAX);
	++*count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct uevents_handlers came = { cpu_came, module_came };
	unsigned int count = 0;
	int ends[2];

	if (size == 0 || size > DATAGRAM_MAX)
		return 0;
	require(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0);
	require(send(ends[1], bytes, size, 0) == (ssize_t)size);
	links_read(ends[0], take, &count);
	require(send(ends[1], bytes, size, 0) == (ssize_t)size);
	count = 0;
	uevents_read(ends[0], &came, &count);
	require(count <= 1);
	close(ends[0]);
	close(ends[1]);
	return 0;
}
