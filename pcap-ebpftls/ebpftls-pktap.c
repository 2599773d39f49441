// SPDX-License-Identifier: BSD-3-Clause
/* Writes the header of DLT_PKTAP. It is little-endian on every host. */
#include "ebpftls-pktap.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>

#define TYPE_PACKET 1
#define FLAG_IN	    1
#define FLAG_OUT    2
#define FAMILY_IPV4 2
#define FAMILY_IPV6 30 /* Darwin's */
#define NO_PROCESS  UINT32_MAX

/* What nothing is known of, or means nothing on Linux, is 0. */
struct header {
	uint32_t length;
	uint32_t type;
	uint32_t dlt;
	char interface[24];
	uint32_t flags;
	uint32_t family;
	uint32_t link_size;
	uint32_t trailer_size;
	uint32_t pid;
	char comm[20];
	uint32_t service_class;
	uint16_t interface_type;
	uint16_t interface_unit;
	uint32_t effective_pid;
	char effective_comm[20];
};

_Static_assert(sizeof(struct header) == EBPFTLS_PKTAP_SIZE, "PKTAP");

static uint32_t
family_of(uint16_t protocol_be)
{
	switch (ntohs(protocol_be)) {
	case ETH_P_IP:
		return FAMILY_IPV4;
	case ETH_P_IPV6:
		return FAMILY_IPV6;
	default:
		return 0;
	}
}

static void
name(uint32_t *pid, char comm[20], const struct ebpftls_owner *owner)
{
	*pid = htole32(NO_PROCESS);
	if (owner == NULL)
		return;
	if (owner->kind == EBPFTLS_OF_KERNEL) {
		*pid = 0;
		strcpy(comm, "kernel");
	} else if (owner->kind == EBPFTLS_OF_PROCESS) {
		*pid = htole32(owner->pid);
		memcpy(comm, owner->comm, sizeof(owner->comm));
	} else {
		strcpy(comm, "unknown");
	}
}

void
ebpftls_pktap_write(uint8_t to[EBPFTLS_PKTAP_SIZE],
		    const struct ebpftls_pktap *facts)
{
	struct header header = {
		.length = htole32(EBPFTLS_PKTAP_SIZE),
		.type = htole32(TYPE_PACKET),
		.dlt = htole32((uint32_t)facts->dlt),
		.flags = htole32(facts->outgoing ? FLAG_OUT : FLAG_IN),
		.family = htole32(family_of(facts->protocol_be)),
		.link_size = htole32(facts->link_size),
	};
	const struct ebpftls_owner *first = facts->sender, *second = NULL;

	if (first == NULL)
		first = facts->receiver;
	else
		second = facts->receiver;
	snprintf(header.interface, sizeof(header.interface), "%s",
		 facts->interface);
	name(&header.pid, header.comm, first);
	name(&header.effective_pid, header.effective_comm, second);
	memcpy(to, &header, sizeof(header));
}
