/* SPDX-License-Identifier: BSD-3-Clause */
/* What Wireshark and tshark ask of a program in their folder of sources. */
#ifndef TOOL_EXTCAP_H
#define TOOL_EXTCAP_H

#include <stdbool.h>

/* Is it they who call, and not a user? */
bool extcap_is_meant(int argc, char **argv);

/* Answers them. Returns the exit status. */
int extcap(int argc, char **argv);

#endif
