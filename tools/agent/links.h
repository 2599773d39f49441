/* SPDX-License-Identifier: BSD-3-Clause */
/* The interfaces of this network namespace, as rtnetlink tells of them. */
#ifndef AGENT_LINKS_H
#define AGENT_LINKS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct link {
	int ifindex;
	unsigned int flags; /* IFF_* */
	uint16_t hatype;    /* ARPHRD_* */
	char name[IF_NAMESIZE];
	bool near; /* may have frames of other network namespaces: it is made
		    * by software, or part of what is */
	bool gone;
};

/* Called for each interface; anything but 0 ends the reading with it. */
typedef int links_handler(void *context, const struct link *link);

/* A socket that hears of every change from now on, or a negative errno. */
int links_open(void);

/* Tells of all interfaces there are. Returns 0 or a negative errno. */
int links_list(int fd, links_handler *handler, void *context);

/*
 * Tells of the changes that have come; of all interfaces again when some
 * were missed, so that each may be told of more than once. Those that are
 * gone may go untold then: see links_exists(). Returns 0 or what the handler
 * returned or a negative errno.
 */
int links_read(int fd, links_handler *handler, void *context);

bool links_exists(int ifindex);

#endif
