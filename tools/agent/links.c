// SPDX-License-Identifier: BSD-3-Clause
/* Asks rtnetlink for interfaces and listens to it. */
#define _GNU_SOURCE

#include "links.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink.h"

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
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		if (attribute->rta_type == IFLA_IFNAME)
			snprintf(link->name, sizeof(link->name), "%.*s",
				 (int)RTA_PAYLOAD(attribute),
				 (const char *)RTA_DATA(attribute));
		if (attribute->rta_type == IFLA_LINKINFO ||
		    attribute->rta_type == IFLA_MASTER)
			link->near = true;
	}
	return true;
}

/* Whom links_list() and links_read() call. */
struct reader {
	links_handler *handler;
	void *context;
};

static int
tell(void *context, const struct nlmsghdr *message)
{
	const struct reader *reader = context;
	struct link link;

	if (!parse(message, &link))
		return 0;
	return reader->handler(reader->context, &link);
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
	struct reader reader = { handler, context };

	return netlink_dump(fd, &request, sizeof(request), tell, &reader);
}

int
links_read(int fd, links_handler *handler, void *context)
{
	struct reader reader = { handler, context };
	bool done = false;
	int result;

	do
		result =
		    netlink_receive(fd, MSG_DONTWAIT, tell, &reader, &done);
	while (result == 0 && !done);
	/* the socket's own word, not a message's: what came before is lost */
	if (result == -ENOBUFS && !done)
		return links_list(fd, handler, context);
	return result == -EAGAIN ? 0 : result;
}

bool
links_exists(int ifindex)
{
	char name[IF_NAMESIZE];

	/* or it cannot be known */
	return if_indextoname((unsigned int)ifindex, name) != NULL ||
	       errno != ENXIO;
}
