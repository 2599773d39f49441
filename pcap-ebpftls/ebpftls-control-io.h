/* SPDX-License-Identifier: BSD-3-Clause */
/* How the messages of ebpftls-control.h travel. */
#ifndef EBPFTLS_CONTROL_IO_H
#define EBPFTLS_CONTROL_IO_H

#include <stdbool.h>
#include <stddef.h>

#include "ebpftls-control.h"

/* Whether `size` received bytes are one message of this protocol. */
bool ebpftls_control_valid(const union ebpftls_any_message *message,
			   size_t size);

/*
 * Fills in the header and sends the message with at most EBPFTLS_RINGS_MAX
 * descriptors, which stay the caller's. Returns 0 or a negative errno.
 */
int ebpftls_control_send(int sock, union ebpftls_any_message *message,
			 enum ebpftls_message type, const int *fds,
			 size_t count);

/*
 * Receives one message. Returns its type; 0 when the peer has closed the
 * connection; a negative errno, -EBADMSG for what is not a message. The
 * descriptors are the caller's, close-on-exec.
 */
int ebpftls_control_receive(int sock, union ebpftls_any_message *message,
			    int fds[EBPFTLS_RINGS_MAX], size_t *count);

/* The same, but does not wait: -EAGAIN when there is nothing. */
int ebpftls_control_receive_now(int sock, union ebpftls_any_message *message,
				int fds[EBPFTLS_RINGS_MAX], size_t *count);

/* Closes those that are not -1. */
void ebpftls_control_close(int *fds, size_t count);

#endif
