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
	const char *at = buffer;
	ssize_t left;
	int result = 0;

	do
		left = recv(sock, buffer, sizeof(buffer), flags);
	while (left < 0 && errno == EINTR);
	if (left < 0)
		return -errno;
	while (result == 0 && !*done &&
	       (size_t)left >= sizeof(struct nlmsghdr)) {
		const struct nlmsghdr *message = (const void *)at;
		ssize_t size = NLMSG_ALIGN(message->nlmsg_len);

		if (message->nlmsg_len < sizeof(*message) || size > left)
			return -EBADMSG;
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
