/* SPDX-License-Identifier: BSD-3-Clause */
/* The libpcap that a program finds. */
#ifndef TOOL_LIBRARY_H
#define TOOL_LIBRARY_H

#include <limits.h>
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether the devices that a libpcap lists are also ours. */
bool library_is_ours(int (*list)(pcap_if_t **, char *),
		     void (*free_list)(pcap_if_t *));

/* The file of the libpcap that this tool has found itself. */
bool library_own(char path[PATH_MAX]);

/*
 * Asks the dynamic linker which libpcap the program at `program` would get,
 * if the caller started it. False if it does not name one, or there is no way
 * to ask.
 */
bool library_find(const char *program, char path[PATH_MAX]);

/* Whether the program would have privileges of its file's, not its caller's:
 * then it takes no advice from the environment. */
bool library_is_secure(const char *program);

enum library_result {
	LIBRARY_BROKEN,	 /* cannot be loaded */
	LIBRARY_FOREIGN, /* has no devices of ours */
	LIBRARY_REFUSED, /* has them, but no capture */
	LIBRARY_CAPTURES,
};

/*
 * Opens a capture with the libpcap at `path` and closes it again, in a process
 * of its own. Without `device` it is only asked for its devices. What it has
 * to say is in `text`.
 */
enum library_result library_try(const char *path, const char *device,
				char *text, size_t size);

#endif
