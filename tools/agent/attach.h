/* SPDX-License-Identifier: BSD-3-Clause */
/* The capture programs on the interfaces, however this kernel attaches. */
#ifndef AGENT_ATTACH_H
#define AGENT_ATTACH_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"
#include "links.h"

struct attachment {
	int ifindex;
	int links[2]; /* descriptors of TCX links, ingress and egress, or -1 */
};

struct attachments {
	int programs[2]; /* descriptors: ingress, egress */
	int loopback;	 /* what is at a loopback's egress, or -1 */
	bool clsact;	 /* filters instead of links */
	struct attachment *list;
	size_t count;
	size_t space;
};

/*
 * Attaches to one interface, before all others there, so that what they do
 * to a frame does not keep us from seeing it; both directions, but on a
 * loopback interface only what comes in, which is all that passes, is
 * captured. One that is attached to already stays as it is. Returns 0 or a
 * negative errno.
 */
int attach_add(struct attachments *attachments, const struct link *link);

/* The interface is gone, and with it what was attached. */
void attach_forget(struct attachments *attachments, int ifindex);

/* Detaches everything. */
void attach_close(struct attachments *attachments);

#endif
