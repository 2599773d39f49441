/* SPDX-License-Identifier: BSD-3-Clause */
/* Starts the agent so that the application never notices a child. */
#ifndef EBPFTLS_SPAWN_H
#define EBPFTLS_SPAWN_H

/*
 * Runs `path` with the socket `sock` as its descriptor 0 and nothing else
 * open. Returns 0, or a negative errno when it could not be executed.
 */
int ebpftls_spawn(const char *path, int sock);

#endif
