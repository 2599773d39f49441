/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/*
 * What of a packet says which socket it is for: addresses, ports, and what
 * kind of packet it is.
 */
#ifndef EBPFTLS_FLOW_BPF_H
#define EBPFTLS_FLOW_BPF_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETH_IP	   bpf_htons(0x0800)
#define ETH_ARP	   bpf_htons(0x0806)
#define ETH_VLAN   bpf_htons(0x8100)
#define ETH_IPV6   bpf_htons(0x86dd)
#define ETH_QINQ   bpf_htons(0x88a8)
#define VLAN_SIZE  4
#define VLAN_TAGS  2
#define EXTENSIONS 8

#define IP_ICMP	    1
#define IP_TCP	    6
#define IP_UDP	    17
#define IP_ICMPV6   58
#define IP_HOP	    0
#define IP_ROUTING  43
#define IP_FRAGMENT 44
#define IP_AH	    51
#define IP_DSTOPTS  60

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

struct ip4 {
	__u8 size; /* version and number of words */
	__u8 service;
	__be16 length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 sum;
	__be32 source;
	__be32 target;
};

struct ip6 {
	__be32 label;
	__be16 length;
	__u8 protocol;
	__u8 hops;
	__be32 source[4];
	__be32 target[4];
};

/* All extension headers begin so, the fragment header is this. */
struct extension {
	__u8 protocol;
	__u8 length;
	__be16 fragment;
	__be32 id;
};

/* The first bytes of what IP carries. */
struct transport {
	union {
		struct {
			__be16 source;
			__be16 target;
		};
		struct {
			__u8 type;
			__u8 code;
			__be16 checksum;
		};
	};
	union {
		struct {
			__be16 echo;
			__be16 number;
		};
		__be32 sequence;
	};
};

struct packet {
	struct bpf_sock_tuple tuple; /* ports 0 where there are none */
	__u32 start;		     /* of what IP carries */
	__u32 id;		     /* of all fragments of a packet */
	struct transport transport;
	__u8 v6;
	__u8 protocol;
	__u8 flags;	/* TCP's */
	__u8 first : 1; /* has the transport header */
	__u8 last : 1;
	union {
		struct ip4 ip4;
		struct ip6 ip6;
	} header;
	struct extension extension;
};

enum flow_kind {
	FLOW_PORTS,
	FLOW_ECHO,
	FLOW_FRAGMENT,
	FLOW_RAW,
	FLOW_LOOPED, /* as FLOW_PORTS, of what is sent on lo */
};

/* As seen from this machine. IPv4 addresses are where IPv6 maps them. */
struct flow {
	__be32 local[4];
	__be32 remote[4];
	union {
		struct {
			__be16 local_port;
			__be16 remote_port;
		};
		__u32 id; /* of an echo, of fragments or of one packet */
	};
	__u8 protocol;
	__u8 kind;
	__u16 reserved;
};

/* Everything is read relative to the network header. */
static __always_inline bool
load(struct __sk_buff *skb, __u32 offset, void *to, __u32 size)
{
	return bpf_skb_load_bytes_relative(skb, offset, to, size,
					   BPF_HDR_START_NET) == 0;
}

static __always_inline bool
parse_ip4(struct __sk_buff *skb, struct packet *packet, __u32 offset)
{
	struct ip4 *ip = &packet->header.ip4;
	__u16 fragment;

	if (!load(skb, offset, ip, sizeof(*ip)))
		return false;
	fragment = bpf_ntohs(ip->fragment);
	packet->v6 = 0;
	packet->tuple.ipv4.saddr = ip->source;
	packet->tuple.ipv4.daddr = ip->target;
	packet->protocol = ip->protocol;
	packet->id = ip->id;
	packet->first = (fragment & 0x1fff) == 0;
	packet->last = (fragment & 0x2000) == 0;
	packet->start = offset + (ip->size & 15) * 4;
	return true;
}

/* Goes on to what the packet carries, or to an unknown header. */
static __always_inline bool
skip_extensions(struct __sk_buff *skb, struct packet *packet)
{
	struct extension *extension = &packet->extension;

	for (int i = 0; i < EXTENSIONS; i++) {
		__u8 protocol = packet->protocol;
		__u16 fragment;

		if (protocol != IP_HOP && protocol != IP_ROUTING &&
		    protocol != IP_FRAGMENT && protocol != IP_AH &&
		    protocol != IP_DSTOPTS)
			return true;
		if (!packet->first)
			return true;
		if (!load(skb, packet->start, extension, sizeof(*extension)))
			return false;
		packet->protocol = extension->protocol;
		if (protocol == IP_FRAGMENT) {
			fragment = bpf_ntohs(extension->fragment);
			packet->id = extension->id;
			packet->first = (fragment & 0xfff8) == 0;
			packet->last = (fragment & 1) == 0;
			packet->start += sizeof(*extension);
		} else if (protocol == IP_AH) {
			packet->start += (extension->length + 2) * 4;
		} else {
			packet->start += (extension->length + 1) * 8;
		}
	}
	return false;
}

static __always_inline bool
parse_ip6(struct __sk_buff *skb, struct packet *packet, __u32 offset)
{
	struct ip6 *ip = &packet->header.ip6;

	if (!load(skb, offset, ip, sizeof(*ip)))
		return false;
	packet->v6 = 1;
	__builtin_memcpy(packet->tuple.ipv6.saddr, ip->source, 16);
	__builtin_memcpy(packet->tuple.ipv6.daddr, ip->target, 16);
	packet->protocol = ip->protocol;
	packet->id = 0;
	packet->first = packet->last = 1;
	packet->start = offset + sizeof(*ip);
	return skip_extensions(skb, packet);
}

static __always_inline bool
parse_transport(struct __sk_buff *skb, struct packet *packet)
{
	struct transport *transport = &packet->transport;
	bool ports = packet->protocol == IP_TCP || packet->protocol == IP_UDP;

	if (!load(skb, packet->start, transport, sizeof(*transport)))
		return false;
	if (packet->v6) {
		packet->tuple.ipv6.sport = ports ? transport->source : 0;
		packet->tuple.ipv6.dport = ports ? transport->target : 0;
	} else {
		packet->tuple.ipv4.sport = ports ? transport->source : 0;
		packet->tuple.ipv4.dport = ports ? transport->target : 0;
	}
	return true;
}

/* False if it is no IP packet, or too short to say whose it is. */
static __always_inline bool
parse(struct __sk_buff *skb, struct packet *packet, __u32 offset, bool v6)
{
	if (v6 ? !parse_ip6(skb, packet, offset)
	       : !parse_ip4(skb, packet, offset))
		return false;
	packet->flags = 0;
	if (packet->first && !parse_transport(skb, packet))
		return false;
	return true;
}

/*
 * Skips the VLAN tags that are still in the frame: leaves what comes then in
 * `protocol`. Returns where that begins.
 */
static __always_inline __u32
skip_tags(struct __sk_buff *skb, struct packet *packet, __be16 *protocol)
{
	__u32 offset = 0;

	*protocol = skb->protocol;
	for (int i = 0; i < VLAN_TAGS; i++) {
		if (*protocol != ETH_VLAN && *protocol != ETH_QINQ)
			break;
		if (!load(skb, offset + 2, &packet->extension.fragment,
			  sizeof(*protocol)))
			*protocol = 0;
		else
			*protocol = packet->extension.fragment;
		offset += VLAN_SIZE;
	}
	return offset;
}

static __always_inline void
map_ip4(__be32 to[4], __be32 address)
{
	to[0] = to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = address;
}

/* The flow of a packet that goes out, or of one that comes in. */
static __always_inline void
set_flow(struct flow *flow, const struct packet *packet, bool out,
	 enum flow_kind kind)
{
	__be32 *source = out ? flow->local : flow->remote;
	__be32 *target = out ? flow->remote : flow->local;
	__be16 sport = packet->tuple.ipv4.sport, dport;

	if (packet->v6) {
		__builtin_memcpy(source, packet->tuple.ipv6.saddr, 16);
		__builtin_memcpy(target, packet->tuple.ipv6.daddr, 16);
		sport = packet->tuple.ipv6.sport;
		dport = packet->tuple.ipv6.dport;
	} else {
		map_ip4(source, packet->tuple.ipv4.saddr);
		map_ip4(target, packet->tuple.ipv4.daddr);
		sport = packet->tuple.ipv4.sport;
		dport = packet->tuple.ipv4.dport;
	}
	flow->protocol = packet->protocol;
	flow->kind = kind;
	flow->reserved = 0;
	if (kind == FLOW_ECHO) {
		flow->id = packet->transport.echo;
	} else if (kind == FLOW_FRAGMENT || kind == FLOW_RAW) {
		flow->id = packet->id;
	} else {
		flow->local_port = out ? sport : dport;
		flow->remote_port = out ? dport : sport;
	}
}

static __always_inline __u32
tuple_size(const struct packet *packet)
{
	return packet->v6 ? sizeof(packet->tuple.ipv6)
			  : sizeof(packet->tuple.ipv4);
}

#endif
