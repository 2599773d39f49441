/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether this process captures for Wireshark or tshark. */
#ifndef EBPFTLS_WIRESHARK_H
#define EBPFTLS_WIRESHARK_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Is this dumpcap, started by a program that reads what it writes? These have
 * a source of their own for our devices, which gives them more.
 */
bool ebpftls_wireshark_reads(void);

/* The same, of the words of a command line, each with a 0 behind it. */
bool ebpftls_wireshark_is_child(const char *words, size_t size);

#endif
