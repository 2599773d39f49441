/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the header of DLT_PKTAP, Apple's link type for packets of which the
 * process is known: in front of the packet as it is with its own link type.
 */
#ifndef EBPFTLS_PKTAP_H
#define EBPFTLS_PKTAP_H

#include <stdbool.h>
#include <stdint.h>

#include "events.h"

#define EBPFTLS_PKTAP_SIZE 108

struct ebpftls_pktap {
	const char *interface; /* "": not known */
	int dlt;	       /* of the packet behind the header */
	uint32_t link_size;    /* of that packet's link-layer header */
	uint16_t protocol_be;  /* what is in it, as Ethernet has it */
	bool outgoing;
	const struct ebpftls_owner *sender; /* NULL: nobody on this machine */
	const struct ebpftls_owner *receiver;
};

/*
 * The process is the one at this machine's end; if both ends are here, the
 * sender, and the "effective process" is the receiver.
 */
void ebpftls_pktap_write(uint8_t header[EBPFTLS_PKTAP_SIZE],
			 const struct ebpftls_pktap *facts);

#endif
