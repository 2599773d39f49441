// SPDX-License-Identifier: BSD-3-Clause
/* Reads rtnetlink messages. */
#define _GNU_SOURCE

#include "netlink.h"

#include <errno.h>
#include <sys/socket.h>

#define MESSAGES_SIZE 65536

static int
handle(const struct nlmsghdr *message, netlink_handler *handler, void *context,
       bool *done)
{
	const struct nlmsgerr *error = NLMSG_DATA(message);

	switch (message->nlmsg_type) {
	case NLMSG_DONE:
		*done = true;
		return 0;
	case NLMSG_ERROR:
		*done = true;
		return message->nlmsg_len < NLMSG_LENGTH(sizeof(*error))
			   ? -EBADMSG
			   : error->error;
	default:
		return handler(context, message);
	}
}

int
netlink_receive(int sock, int flags, netlink_handler *handler, void *context,
		bool *done)
{
	/* not static: a handler may well ask rtnetlink something itself */
	_Alignas(struct nlmsghdr) char buffer[MESSAGES_SIZE];
	struct sockaddr_nl from = { .nl_pid = 0 };
	socklen_t from_size;
	const char *at = buffer;
	ssize_t left;
	int result = 0;

	/* root of a network namespace can send here, too: not the kernel */
	do {
		from_size = sizeof(from);
		left = recvfrom(sock, buffer, sizeof(buffer), flags,
				(struct sockaddr *)&from, &from_size);
	} while (left < 0 ? errno == EINTR : from.nl_pid != 0);
	if (left < 0)
		return -errno;
	while (result == 0 && !*done &&
	       left >= (ssize_t)sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *message = (const void *)at;
		ssize_t size;

		if (message->nlmsg_len < sizeof(*message) ||
		    message->nlmsg_len > (size_t)left)
			return -EBADMSG;
		size = NLMSG_ALIGN((ssize_t)message->nlmsg_len);
		result = handle(message, handler, context, done);
		at += size;
		left -= size;
	}
	return result;
}

int
netlink_dump(int sock, const void *request, size_t size,
	     netlink_handler *handler, void *context)
{
	bool done = false;
	int result = 0;

	if (send(sock, request, size, 0) < 0)
		return -errno;
	while (result == 0 && !done)
		result = netlink_receive(sock, 0, handler, context, &done);
	return result;
}
