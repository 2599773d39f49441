// SPDX-License-Identifier: BSD-3-Clause
/*
 * Goes through the headers of a packet. All lengths in it are as its sender
 * pleased, and it may have been cut anywhere.
 */
#include "ebpftls-packet.h"

#include <string.h>

#include "ebpftls-pktap.h"

#define LINKTYPE_ETHERNET   1
#define LINKTYPE_RAW	    101
#define LINKTYPE_LINUX_SLL  113
#define LINKTYPE_PKTAP	    258
#define LINKTYPE_LINUX_SLL2 276

/* As PKTAP's header has it: this one link type has another number there. */
#define DLT_RAW 12

#define TYPE_IPV4   0x0800
#define TYPE_IPV6   0x86dd
#define TYPE_VLAN   0x8100
#define TYPE_QINQ   0x88a8
#define TYPE_QINQ_1 0x9100 /* before there was a standard */

#define NEXT_HOPOPTS  0
#define NEXT_ROUTING  43
#define NEXT_FRAGMENT 44
#define NEXT_AH	      51
#define NEXT_DSTOPTS  60
#define HEADERS_MAX   8 /* of IPv6, one behind the other */

/* What is left of a packet. */
struct view {
	const uint8_t *at;
	uint32_t left; /* of what was captured */
	uint32_t len;  /* of what was on the wire */
};

static uint16_t
be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t
be32(const uint8_t *at)
{
	return (uint32_t)be16(at) << 16 | be16(at + 2);
}

static bool
advance(struct view *view, uint32_t bytes)
{
	if (view->left < bytes)
		return false;
	view->at += bytes;
	view->left -= bytes;
	view->len -= bytes;
	return true;
}

/* No more than `len` bytes of it belong to the packet. */
static void
limit(struct view *view, uint32_t len)
{
	view->len = len;
	if (view->left > len)
		view->left = len;
}

/* Behind our header of PKTAP. Returns the link type there; -1: none. */
static int
skip_pktap(struct view *view)
{
	const uint8_t *dlt;

	if (!advance(view, EBPFTLS_PKTAP_SIZE))
		return -1;
	dlt = view->at - EBPFTLS_PKTAP_SIZE + 8;
	if (dlt[0] == DLT_RAW && dlt[1] == 0)
		return LINKTYPE_RAW;
	return dlt[1] << 8 | dlt[0]; /* none has more bits */
}

/* Behind the link-layer header and all VLAN tags; 0: no IP. */
static uint16_t
skip_link(struct view *view, int linktype)
{
	static const struct {
		int linktype;
		uint8_t size;
		uint8_t type_at;
	} links[] = {
		{ LINKTYPE_ETHERNET, 14, 12 },
		{ LINKTYPE_LINUX_SLL, 16, 14 },
		{ LINKTYPE_LINUX_SLL2, 20, 0 },
	};
	uint16_t type;

	if (linktype == LINKTYPE_PKTAP)
		linktype = skip_pktap(view);
	if (linktype == LINKTYPE_RAW) {
		if (view->left == 0)
			return 0;
		return view->at[0] >> 4 == 6 ? TYPE_IPV6 : TYPE_IPV4;
	}
	for (unsigned int i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		if (links[i].linktype != linktype)
			continue;
		if (!advance(view, links[i].size))
			return 0;
		type = be16(view->at - links[i].size + links[i].type_at);
		while (type == TYPE_VLAN || type == TYPE_QINQ ||
		       type == TYPE_QINQ_1) {
			if (!advance(view, 4))
				return 0;
			type = be16(view->at - 2);
		}
		return type;
	}
	return 0;
}

static bool
skip_ipv4(struct view *view, struct ebpftls_segment *segment)
{
	const uint8_t *ip = view->at;
	uint32_t header, total;

	if (view->left < 20 || ip[0] >> 4 != 4)
		return false;
	header = (ip[0] & 15) * 4u;
	total = be16(ip + 2);
	if (total == 0) /* it was cut into pieces only after this place */
		total = view->left;
	if (header < 20 || total < header || (be16(ip + 6) & 0x1fff) != 0)
		return false;
	limit(view, total);
	segment->protocol = ip[9];
	segment->source = ip + 12;
	segment->destination = ip + 16;
	segment->address_size = 4;
	return advance(view, header);
}

/* Goes behind one extension header. False: there is none, or it is cut. */
static bool
skip_extension(struct view *view, uint8_t *next)
{
	const uint8_t *header = view->at;
	uint32_t size;

	if (view->left < 8)
		return false;
	switch (*next) {
	case NEXT_HOPOPTS:
	case NEXT_ROUTING:
	case NEXT_DSTOPTS:
		size = header[1] * 8u + 8;
		break;
	case NEXT_AH:
		size = header[1] * 4u + 8;
		break;
	case NEXT_FRAGMENT:
		if ((be16(header + 2) & 0xfff8) != 0)
			return false;
		size = 8;
		break;
	default:
		return false;
	}
	*next = header[0];
	return advance(view, size);
}

static bool
skip_ipv6(struct view *view, struct ebpftls_segment *segment)
{
	const uint8_t *ip = view->at;
	uint32_t length;
	uint8_t next;

	if (view->left < 40 || ip[0] >> 4 != 6)
		return false;
	length = be16(ip + 4);
	if (length == 0) /* a jumbogram: likewise */
		length = view->left - 40;
	limit(view, 40 + length);
	next = ip[6];
	if (!advance(view, 40))
		return false;
	for (int i = 0;
	     i < HEADERS_MAX && next != EBPFTLS_TCP && next != EBPFTLS_UDP; i++)
		if (!skip_extension(view, &next))
			return false;
	segment->protocol = next;
	segment->source = ip + 8;
	segment->destination = ip + 24;
	segment->address_size = 16;
	return true;
}

static bool
skip_tcp(struct view *view, struct ebpftls_segment *segment)
{
	const uint8_t *tcp = view->at;
	uint32_t header;

	if (view->left < 20)
		return false;
	header = (tcp[12] >> 4) * 4u;
	if (header < 20 || header > view->len)
		return false;
	segment->sequence = be32(tcp + 4);
	segment->acknowledged = be32(tcp + 8);
	segment->flags = tcp[13];
	if (segment->flags & EBPFTLS_TCP_SYN)
		segment->sequence++;
	if (advance(view, header))
		return true;
	view->len -= header; /* cut in its options */
	view->left = 0;
	return true;
}

static bool
skip_udp(struct view *view, struct ebpftls_segment *segment)
{
	const uint8_t *udp = view->at;
	uint32_t length;

	if (view->left < 8)
		return false;
	length = be16(udp + 4);
	if (length >= 8 && length < view->len)
		limit(view, length);
	segment->sequence = 0;
	segment->acknowledged = 0;
	segment->flags = 0;
	return advance(view, 8);
}

bool
ebpftls_packet_parse(struct ebpftls_segment *segment, int linktype,
		     const uint8_t *bytes, uint32_t caplen)
{
	struct view view = { bytes, caplen, caplen };
	const uint8_t *transport;
	uint16_t type = skip_link(&view, linktype);

	if (type == TYPE_IPV4) {
		if (!skip_ipv4(&view, segment))
			return false;
	} else if (type != TYPE_IPV6 || !skip_ipv6(&view, segment)) {
		return false;
	}
	transport = view.at;
	if (segment->protocol == EBPFTLS_TCP) {
		if (!skip_tcp(&view, segment))
			return false;
	} else if (segment->protocol != EBPFTLS_UDP ||
		   !skip_udp(&view, segment)) {
		return false;
	}
	segment->source_port = be16(transport);
	segment->destination_port = be16(transport + 2);
	segment->payload = view.at;
	segment->caplen = view.left;
	segment->len = view.len;
	return true;
}

uint8_t
ebpftls_packet_tuple(const struct ebpftls_segment *segment,
		     struct ebpftls_tuple *tuple)
{
	int order = memcmp(segment->source, segment->destination,
			   segment->address_size);
	uint8_t from;

	if (order == 0)
		order = segment->source_port - segment->destination_port;
	from = order > 0;
	memset(tuple, 0, sizeof(*tuple));
	memcpy(tuple->address[from], segment->source, segment->address_size);
	memcpy(tuple->address[!from], segment->destination,
	       segment->address_size);
	tuple->port[from] = segment->source_port;
	tuple->port[!from] = segment->destination_port;
	tuple->address_size = segment->address_size;
	tuple->protocol = segment->protocol;
	return from;
}
