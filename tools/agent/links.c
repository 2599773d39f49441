// SPDX-License-Identifier: BSD-3-Clause
/* Asks rtnetlink for interfaces and listens to it. */
#define _GNU_SOURCE

#include "links.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGES_SIZE 65536

int
links_open(void)
{
	const struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

static bool
parse(const struct nlmsghdr *message, struct link *link)
{
	const struct ifinfomsg *info = NLMSG_DATA(message);
	const struct rtattr *attribute = IFLA_RTA(info);
	int left = (int)message->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*info));

	if ((message->nlmsg_type != RTM_NEWLINK &&
	     message->nlmsg_type != RTM_DELLINK) ||
	    left < 0 || info->ifi_family != AF_UNSPEC)
		return false;
	memset(link, 0, sizeof(*link));
	link->ifindex = info->ifi_index;
	link->flags = info->ifi_flags;
	link->hatype = info->ifi_type;
	link->gone = message->nlmsg_type == RTM_DELLINK;
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == IFLA_IFNAME)
			strncpy(link->name, RTA_DATA(attribute),
				sizeof(link->name) - 1);
	return true;
}

/* One datagram; `done` at the end of a dump. */
static int
read_datagram(int fd, int flags, links_handler *handler, void *context,
	      bool *done)
{
	/* not static: a handler may well ask rtnetlink something itself */
	_Alignas(struct nlmsghdr) char buffer[MESSAGES_SIZE];
	const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
	ssize_t size;
	struct link link;
	int result = 0;

	do
		size = recv(fd, buffer, sizeof(buffer), flags);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	for (int left = (int)size; result == 0 && NLMSG_OK(message, left);
	     message = NLMSG_NEXT(message, left)) {
		if (message->nlmsg_type == NLMSG_DONE)
			*done = true;
		else if (parse(message, &link))
			result = handler(context, &link);
	}
	return result;
}

int
links_list(int fd, links_handler *handler, void *context)
{
	const struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} request = {
		.header.nlmsg_len = sizeof(request),
		.header.nlmsg_type = RTM_GETLINK,
		.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		.info.ifi_family = AF_UNSPEC,
	};
	bool done = false;
	int result = 0;

	if (send(fd, &request, sizeof(request), 0) < 0)
		return -errno;
	while (result == 0 && !done)
		result = read_datagram(fd, 0, handler, context, &done);
	return result;
}

int
links_read(int fd, links_handler *handler, void *context)
{
	bool done = false;
	int result;

	do
		result =
		    read_datagram(fd, MSG_DONTWAIT, handler, context, &done);
	while (result == 0);
	if (result == -ENOBUFS)
		return links_list(fd, handler, context);
	return result == -EAGAIN ? 0 : result;
}

bool
links_exists(int ifindex)
{
	char name[IF_NAMESIZE];

	return if_indextoname((unsigned int)ifindex, name) != NULL;
}
