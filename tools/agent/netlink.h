/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads rtnetlink messages. */
#ifndef AGENT_NETLINK_H
#define AGENT_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>

/* Called for each message; anything but 0 ends the reading with it. */
typedef int netlink_handler(void *context, const struct nlmsghdr *message);

/*
 * Receives one datagram of messages. Returns 0 or a negative errno or what
 * the handler returned; `done` is set at the end of a dump.
 */
int netlink_receive(int sock, int flags, netlink_handler *handler,
		    void *context, bool *done);

/* Sends a request for a dump and receives it all. */
int netlink_dump(int sock, const void *request, size_t size,
		 netlink_handler *handler, void *context);

#endif
