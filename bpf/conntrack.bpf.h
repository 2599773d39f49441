/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/*
 * Whom a packet is for whose addresses will be translated after it is
 * captured, as the kernel's connection tracking knows it.
 */
#ifndef EBPFTLS_CONNTRACK_BPF_H
#define EBPFTLS_CONNTRACK_BPF_H

#include "ends.bpf.h"

#define CURRENT_NETNS -1

union nf_inet_addr {
	__u32 all[4];
} __attribute__((preserve_access_index));

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union {
		__be16 all;
	} u;
} __attribute__((preserve_access_index));

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
	} dst;
} __attribute__((preserve_access_index));

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
} __attribute__((preserve_access_index));

struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
} __attribute__((preserve_access_index));

/* As it was at first; the kernel knows both by their sizes. */
struct conntrack_options {
	__s32 netns;
	__s32 error;
	__u8 protocol;
	__u8 direction;
	__u8 reserved[2];
};

struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb,
				  struct bpf_sock_tuple *tuple, __u32 size,
				  struct conntrack_options *options,
				  __u32 options_size) __ksym __weak;
void bpf_ct_release(struct nf_conn *connection) __ksym __weak;

/* Takes the addresses of what is the answer to this packet, turned round. */
static __always_inline void
read_turned(struct bpf_sock_tuple *tuple, struct nf_conntrack_tuple *answer,
	    bool v6)
{
	if (v6) {
		BPF_CORE_READ_INTO(&tuple->ipv6.saddr, answer, dst.u3.all);
		BPF_CORE_READ_INTO(&tuple->ipv6.daddr, answer, src.u3.all);
		tuple->ipv6.sport = BPF_CORE_READ(answer, dst.u.all);
		tuple->ipv6.dport = BPF_CORE_READ(answer, src.u.all);
	} else {
		tuple->ipv4.saddr = BPF_CORE_READ(answer, dst.u3.all[0]);
		tuple->ipv4.daddr = BPF_CORE_READ(answer, src.u3.all[0]);
		tuple->ipv4.sport = BPF_CORE_READ(answer, dst.u.all);
		tuple->ipv4.dport = BPF_CORE_READ(answer, src.u.all);
	}
}

static __always_inline bool
is_same_tuple(const struct bpf_sock_tuple *a, const struct bpf_sock_tuple *b,
	      bool v6)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;
	__u32 difference = 0;

#pragma unroll
	for (int i = 0; i < (int)(sizeof(a->ipv6) / sizeof(*x)); i++)
		if (v6 || i < (int)(sizeof(a->ipv4) / sizeof(*x)))
			difference |= x[i] ^ y[i];
	return difference == 0;
}

/* The addresses that the packet gets; false if it is of no connection. */
static __always_inline bool
translate(struct __sk_buff *skb, struct packet *packet,
	  struct bpf_sock_tuple *tuple)
{
	struct conntrack_options options = {
		.netns = CURRENT_NETNS,
		.protocol = packet->protocol,
	};
	struct nf_conn *connection, *inner;

	if (packet->v6)
		connection = bpf_skb_ct_lookup(skb, &packet->tuple,
					       sizeof(packet->tuple.ipv6),
					       &options, sizeof(options));
	else
		connection = bpf_skb_ct_lookup(skb, &packet->tuple,
					       sizeof(packet->tuple.ipv4),
					       &options, sizeof(options));
	if (!connection)
		return false;
	inner = (struct nf_conn *)number(connection);
	read_turned(tuple,
		    options.direction ? &inner->tuplehash[0].tuple
				      : &inner->tuplehash[1].tuple,
		    packet->v6);
	bpf_ct_release(connection);
	return true;
}

/* For what find_receiver() has guessed: whether anybody here gets it. */
__noinline int
find_translated(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct ends *end = get_ends();
	struct packet *packet;
	int place, found = LISTENER;
	bool same;

	if (!end)
		return false;
	packet = &end->packet;
	if (!translate(skb, packet, &tuple)) {
		set_kind(&end->owner, EBPFTLS_OF_UNKNOWN);
		return packet->protocol != IP_TCP;
	}
	same = is_same_tuple(&tuple, &packet->tuple, packet->v6);
	if (!same)
		packet->tuple = tuple;
	place = find_place(skb);
	if (place == ELSEWHERE)
		return false;
	if (!same) {
		end->owner.kind = 0;
		found = look_up(skb);
	}
	/* by more than its port: for that very socket, wherever it is */
	if (found != SOCKET && end->owner.kind &&
	    (packet->protocol == IP_TCP || end->unsure ||
	     place == PERHAPS_HERE))
		set_kind(&end->owner, EBPFTLS_OF_UNKNOWN);
	return end->owner.kind != 0;
}

#endif
