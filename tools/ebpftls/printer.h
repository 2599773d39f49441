/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Has packets printed by a tcpdump of its own, and puts the processes in front
 * of each. Nothing here waits for tcpdump.
 */
#ifndef TOOL_PRINTER_H
#define TOOL_PRINTER_H

#include <pcap/pcap.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ends.h"
#include "lines.h"

#define PRINTER_AHEAD 4096

struct printer {
	pid_t pid;
	int to, from; /* pipes; `to` is -1 when no packet comes any more */
	bool finished;
	bool abandoned;
	bool colour;
	int width; /* of the column with the processes */

	/* what tcpdump has not taken yet */
	uint8_t *bytes;
	size_t start, end, size;

	/* of the packets that are not printed yet, by their number */
	struct ends ends[PRINTER_AHEAD];
	unsigned int written;

	struct lines lines;
	char last_message[256];
};

/*
 * Starts tcpdump for packets of a link type and length, with its `options`,
 * one word. Returns 0, or -1 after it has said why not.
 */
int printer_start(struct printer *printer, int linktype, int snaplen,
		  const char *options);

/* How many packets it can take now. */
int printer_room(const struct printer *printer);

/* Takes a packet. Returns 0, or -1 after it has said why not. */
int printer_add(struct printer *printer, const struct ends *ends,
		const struct pcap_pkthdr *header, const uint8_t *bytes);

/* What to poll for before the next printer_work(). */
void printer_poll(const struct printer *printer, struct pollfd fds[2]);

/* Gives and takes what is possible; false when tcpdump has closed its end. */
bool printer_work(struct printer *printer);

/* No packet comes any more; printer_work() goes on to work. */
void printer_finish(struct printer *printer);

/* What is not printed yet is not waited for. */
void printer_abandon(struct printer *printer);

/*
 * After printer_work() returned false: 0 if all packets were printed, or it was
 * abandoned; -1 after it has said what happened.
 */
int printer_end(struct printer *printer);

#endif
