/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The processes that have sockets: looks at each when the kernel tells of it,
 * for it may be gone soon, and sends what there is to know to the module once
 * a frame of it has been captured. Nothing in here waits for anybody, and what
 * the module does not take in time is given up.
 */
#ifndef AGENT_PEOPLE_H
#define AGENT_PEOPLE_H

#include <stdbool.h>

#include "events.h"
#include "failure.h"
#include "peer.h"

/* Of whom the facts may wait to be sent; beyond that the oldest go. */
#define PEOPLE_QUEUE_MAX 1024

struct people;

/*
 * `ring` is the map owner_events, `sock` the connection, which both stay the
 * caller's, and `proc` where /proc is. `peer`, who is told and is not root, or
 * NULL, is the caller's too; `hidden`: it is told of its own processes only.
 * Nothing is sent before people_work(). Returns NULL and says why.
 */
struct people *people_start(int ring, int sock, const char *proc,
			    const struct peer *peer, bool hidden,
			    struct failure *failure);

/* Readable when people_work() has something to do. */
int people_fd(const struct people *people);
void people_work(struct people *people);

/*
 * A process was seen; people_work() hears that from the ring. False: come back
 * after the next people_work().
 */
bool people_saw(struct people *people, const struct ebpftls_newcomer *who);

/* NULL is allowed. */
void people_close(struct people *people);

#endif
