/* SPDX-License-Identifier: BSD-3-Clause */
/* An ebpftls device, as each command opens and closes it. */
#ifndef TOOL_DEVICE_H
#define TOOL_DEVICE_H

#include <pcap/pcap.h>

#define DEVICE_PREFIX "ebpftls:"

/*
 * Opens ebpftls:INTERFACE with further options of the device, each after a
 * comma. Reads of it do not wait. NULL after it has said why not.
 */
pcap_t *device_open(const char *interface, const char *options);

/* Makes one expression of `count` words the filter. Returns 0, or -1. */
int device_filter(pcap_t *pcap, char **words, int count);

/* Closes it, and says what tcpdump says at its end. */
void device_close(pcap_t *pcap, unsigned int captured);

#endif
