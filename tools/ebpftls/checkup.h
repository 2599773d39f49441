/* SPDX-License-Identifier: BSD-3-Clause */
/* Has an agent say what a capture would get. */
#ifndef TOOL_CHECKUP_H
#define TOOL_CHECKUP_H

#include "ebpftls-client.h"
#include "ebpftls-device.h"
#include "findings.h"

/*
 * Reaches an agent as a capture on the device does, and adds what that finds.
 * What is impossible is then known; `reach` says which agent it was.
 */
void checkup(struct findings *findings, const struct ebpftls_device *device,
	     struct ebpftls_reach *reach);

#endif
