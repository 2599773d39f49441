/* SPDX-License-Identifier: BSD-3-Clause */
/* The service without systemd: everybody may connect, but nobody too often. */
#ifndef AGENT_LISTEN_H
#define AGENT_LISTEN_H

#include "session.h"

/*
 * Serves everybody who connects to the socket that it makes at this path, each
 * by a process of its own, in which it returns the status to exit with. In the
 * first it does not return, unless it cannot listen.
 */
int listen_for_ever(const char *path, const struct session_options *options);

#endif
