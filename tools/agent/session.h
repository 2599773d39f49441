/* SPDX-License-Identifier: BSD-3-Clause */
/* One capture, from the request on a connection to its end. */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <stdbool.h>

struct session_options {
	const char *group; /* whose members may capture too; or NULL */
	bool clsact;	   /* filters even where TCX links could be had */
};

/*
 * Serves the connection `sock` until its end. What goes wrong is told to the
 * peer. Returns 0, or -1 when there was no capture.
 */
int session_run(int sock, const struct session_options *options);

#endif
