/* SPDX-License-Identifier: BSD-3-Clause */
/* Gives up what root may do, once the capture is open. */
#ifndef TOOL_USER_H
#define TOOL_USER_H

/*
 * Root becomes the user tcpdump, or nobody; others stay who they are. Returns
 * 0, or -1 after it has said why not.
 */
int user_drop(void);

#endif
