/* SPDX-License-Identifier: BSD-3-Clause */
/* The device string: ebpftls:INTERFACE[@NETNS][,OPTION=VALUE...] */
#ifndef EBPFTLS_DEVICE_H
#define EBPFTLS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "ebpftls-control.h"

#define EBPFTLS_PREFIX "ebpftls:"

#define EBPFTLS_PATH_SIZE 512

/*
 * How long a packet may wait for the secrets it needs: under overload they
 * took 20 ms at most; a person at a live display does not notice 200.
 */
#define EBPFTLS_HOLD_MS	    200
#define EBPFTLS_HOLD_MS_MAX 10000

struct ebpftls_device {
	char interface[EBPFTLS_NAME_SIZE];
	char netns[EBPFTLS_NETNS_SIZE]; /* "": the caller's own */

	bool classic;			/* savefile=pcap */
	bool no_secrets;		/* secrets=off */
	bool no_seal;			/* seal=off */
	unsigned int naming;		/* process=, EBPFTLS_BY_*; 0: off */
	uint32_t hold_ms;		/* hold=MILLISECONDS */
	char keylog[EBPFTLS_PATH_SIZE]; /* keylog=PATH, or "" */
	struct ebpftls_wants wants;	/* pid=, uid=, comm=, ... */
};

/* Whether the name is meant for us. Looks at nothing but the name. */
bool ebpftls_device_is_ours(const char *name);

/* Whether the capture is for some processes only. */
bool ebpftls_device_selects(const struct ebpftls_device *device);

/*
 * Takes the string apart. Returns 0 or the reason why it names no device,
 * and then says in `text` what is wrong with it; an empty text means that
 * the reason says it all.
 */
enum ebpftls_reason ebpftls_device_parse(const char *name,
					 struct ebpftls_device *device,
					 char *text, size_t size);

#endif
