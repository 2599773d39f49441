/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/*
 * Finds out whose a frame is, on this machine: the process that sent it and
 * the one that it is for. Only for TC programs. What cannot be told for
 * certain is not told.
 */
#ifndef EBPFTLS_ENDS_BPF_H
#define EBPFTLS_ENDS_BPF_H

#include "flow.bpf.h"
#include "owner.bpf.h"
#include "users.bpf.h"

#define LOOPBACK_IFINDEX 1
#define PACKET_HOST	 0
#define PACKET_BROADCAST 1
#define PACKET_MULTICAST 2
#define PACKET_OTHERHOST 3

#define SOCK_STREAM 1
#define SOCK_RAW    3

#define PRE_ROUTING	   0
#define LOCAL_IN	   1
#define IPVS_PRIORITY	   98	/* of LOCAL_IN; and 99 */
#define NAT_PRIORITY	   -100 /* of what translates addresses */
#define CONNTRACK_PRIORITY -200
#define RAW_PRIORITY	   -300
#define DEFRAG_PRIORITY	   -400
#define EARLY_PRIORITY	   -450 /* of raw tables that come before that */
#define FIRST_PRIORITY	   (-2147483647 - 1) /* of bridges: not twice */
#define HOOKS_MAX	   16
#define ADDRESSES_MAX	   16 /* of a device: beyond, nobody looks */
#define DEVICES_MAX	   64
#define VLAN_ID		   0xfff

/* What bpf_fib_lookup() says of addresses of this machine. */
#define FIB_HERE       4 /* not forwarded */
#define FIB_NO_FORWARD 5 /* nothing is */

#define FLOWS_MAX   16384
#define STASHED_MAX 4096

#define SECOND	      1000000000ULL
#define FLOW_AGE      (120 * SECOND) /* longer than TIME_WAIT lasts */
#define FRAGMENTS_AGE (5 * SECOND)
#define STASH_AGE     SECOND

/*
 * Of flows that have no socket any more, or never had one that a packet's
 * addresses lead to. Its place may be given to another flow while it is read:
 * `check` shows whose it is.
 */
struct remembered {
	struct ebpftls_owner owner;
	__u64 lasting; /* until something else is remembered */
	__u64 check;
	__u64 time; /* changes by itself */
};

/*
 * What a frame's ends are found with. Too large for the stack; and global
 * functions, which are verified once and not wherever they are called, find it
 * here.
 */
struct ends {
	struct ebpftls_owner owner; /* what was found */
	__u64 untold;		    /* its program, as tell_seen() needs it */
	struct held now;
	struct packet packet;
	struct flow flow;
	struct remembered remembered; /* of that flow */
	__u32 reading;		      /* enum reading */
	__u8 unsure; /* whether what was found by its port gets it */
	__u8 bound;  /* that is bound to a device on top of this one */
	__u16 reserved;
};

/* What `packet` is of the frame that is being looked at. */
enum reading {
	READ_NOT_YET,
	READ_NOTHING,
	READ_ALL,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ends);
} ends SEC(".maps");

static __always_inline struct ends *
get_ends(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&ends, &zero);
}

/* The packet that begins there, behind the frame's network header. */
__noinline int
read_packet(struct __sk_buff *skb, __u32 offset, bool v6)
{
	struct ends *end = get_ends();

	return end && parse(skb, &end->packet, offset, v6);
}

__noinline int
read_frame(struct __sk_buff *skb)
{
	struct ends *end = get_ends();
	struct packet *packet;
	__be16 protocol;
	__u32 offset;

	if (!end)
		return false;
	if (end->reading != READ_NOT_YET)
		return end->reading == READ_ALL;
	end->reading = READ_NOTHING;
	packet = &end->packet;
	offset = skip_tags(skb, packet, &protocol);
	if ((protocol != ETH_IP && protocol != ETH_IPV6) ||
	    !read_packet(skb, offset, protocol == ETH_IPV6))
		return false;
	if (packet->protocol == IP_TCP && packet->first)
		load(skb, packet->start + 13, &packet->flags, 1);
	end->reading = READ_ALL;
	return true;
}

/* Goes on to the packet that an error quotes: that one's sender gets it. */
__noinline int
read_quoted(struct __sk_buff *skb)
{
	struct ends *end = get_ends();
	struct packet *packet;

	if (!end)
		return 0;
	packet = &end->packet;
	return read_packet(skb, packet->start + 8, packet->v6) && packet->first;
}

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FLOWS_MAX);
	__type(key, struct flow);
	__type(value, struct remembered);
} flows SEC(".maps");

/* Senders of frames that are on their way through lo, by sk_buff. */
struct stashed {
	struct ebpftls_owner owner;
	__u64 untold; /* as in struct ends */
	__u64 time;
	__u32 len;
	__u32 protocol;
	__u64 check; /* as in struct remembered */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STASHED_MAX);
	__type(key, __u64);
	__type(value, struct stashed);
} stash SEC(".maps");

static __always_inline bool
is_kernels(__u64 sk)
{
	struct sock *inner = (struct sock *)sk;

	return !BPF_CORE_READ_BITFIELD_PROBED(inner,
					      __sk_common.skc_net_refcnt);
}

static __always_inline void
set_kind(struct ebpftls_owner *owner, enum ebpftls_kind kind)
{
	__builtin_memset(owner, 0, sizeof(*owner));
	owner->kind = kind;
}

/* Copies what is held, if it is of one piece; `now` is for that. */
static __always_inline void
copy_held(struct ebpftls_owner *owner, struct held *now,
	  const struct held *held)
{
	*now = *held;
	asm volatile("" : : : "memory");
	if (sum(now) == now->check)
		*owner = now->owner;
	else
		set_kind(owner, EBPFTLS_OF_UNKNOWN);
}

/*
 * Of what is held, and now is in `owner`, a frame is being captured; or, of
 * some processes only, may be: then the agent is told when that is clear.
 */
static __always_inline void
see(struct ends *end, struct held *held, const struct ebpftls_owner *owner)
{
	if (owner->kind != EBPFTLS_OF_PROCESS)
		return;
	if (selection.kinds) {
		end->untold = held->program;
	} else if (!held->seen) {
		held->seen = 1;
		tell_seen(owner, held->program);
	}
}

static __always_inline void
see_old(struct ends *end, const struct ebpftls_owner *owner)
{
	if (owner->kind != EBPFTLS_OF_PROCESS)
		return;
	if (selection.kinds)
		end->untold = OLD;
	else
		tell_seen(owner, OLD);
}

/*
 * Whether an accepted socket has been taken by a process, of which the
 * listener's owner need not be the one.
 */
static __always_inline bool
is_taken(__u64 sk)
{
	struct sock *inner = (struct sock *)sk;

	return BPF_CORE_READ(inner, sk_socket) ||
	       (BPF_CORE_READ(inner, __sk_common.skc_flags) & SOCK_DEAD);
}

/* Whether `owners` has who sends in other network namespaces too. */
const volatile bool sends_seen;

/* Whose a socket is that is not being used just now, and of which `stored` is
 * in `owners`. */
static __always_inline void
owner_held(struct ends *end, struct bpf_sock *sk, struct held *stored)
{
	struct ebpftls_owner *owner = &end->owner;
	__u64 inner = number(sk);
	struct held *held = find_user(inner);
	struct old *old;

	if (is_user_lost()) {
		set_kind(owner, EBPFTLS_OF_UNKNOWN);
		return;
	}
	if (!held)
		held = stored;
	if (held && held->owner.kind) {
		copy_held(owner, &end->now, held);
		if (end->now.sock != inner && is_taken(inner))
			set_kind(owner, EBPFTLS_OF_UNKNOWN);
		see(end, held, owner);
		return;
	}
	old = bpf_sk_storage_get(&old_owners, sk, NULL, 0);
	if (!old || !old->owner.kind)
		set_kind(owner, is_kernels(inner) ? EBPFTLS_OF_KERNEL
						  : EBPFTLS_OF_UNKNOWN);
	else if (old->listens && sk->state != TCP_LISTEN && is_taken(inner))
		set_kind(owner, EBPFTLS_OF_UNKNOWN);
	else
		*owner = old->owner;
	see_old(end, owner);
}

static __always_inline void
owner_of(struct ends *end, struct bpf_sock *sk)
{
	owner_held(end, sk, bpf_sk_storage_get(&owners, sk, NULL, 0));
}

static __always_inline bool
is_current(const struct ebpftls_owner *owner)
{
	struct task_struct *task = current();

	return owner->pid == (__u32)READ(task, tgid) &&
	       owner->start ==
		   BPF_CORE_READ(task, group_leader, start_boottime);
}

/*
 * The same for what may have been sent in another network namespace. No hook
 * sees what packet sockets send; but the soft interrupt in which a frame comes
 * out of a link between namespaces mostly is one of who sends it.
 */
static __always_inline void
owner_of_near(struct ends *end, struct bpf_sock *sk)
{
	struct ebpftls_owner *owner = &end->owner;

	owner_of(end, sk);
	if (owner->kind == EBPFTLS_OF_PROCESS &&
	    (sk->family == AF_PACKET ? !is_current(owner) : !sends_seen))
		set_kind(owner, EBPFTLS_OF_UNKNOWN);
}

/*
 * If the current process is sending through the socket, that is its now, and
 * what is held then is left in `end` too. In any case `held` is what is stored.
 */
static __always_inline bool
note_caller(struct ends *end, struct bpf_sock *sk, struct held **held)
{
	struct task_struct *task = current();
	enum holding holding;
	struct held *taken;

	*held = bpf_sk_storage_get(&owners, sk, NULL, 0);
	if (*held) {
		end->now = **held;
		if (is_noted(&end->now, number(sk), task))
			return true;
	}
	if (!is_sending(task, sk))
		return false;
	taken = take_sent(sk, *held, &end->now, task, &holding);
	if (!taken)
		return false;
	*held = taken;
	forget_user(number(sk));
	return holding == HOLDS;
}

__noinline int
note_caller_of(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct ends *end = get_ends();
	struct held *held;

	if (!end || !sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	return sk && note_caller(end, sk, &held);
}

/* Of what is sent here. */
static __always_inline void
owner_of_sent(struct ends *end, struct bpf_sock *sk)
{
	struct held *held;

	if (!note_caller(end, sk, &held)) {
		owner_held(end, sk, held);
		return;
	}
	end->owner = end->now.owner;
	see(end, held, &end->owner);
}

/*
 * These find what they are about in `ends`, and are no parts of those that call
 * them, of which there are many. The packet's flow as it goes out, or comes in.
 */
__noinline int
name_flow(bool out, __u32 kind)
{
	struct ends *end = get_ends();

	if (end)
		set_flow(&end->flow, &end->packet, out, kind);
	return 0;
}

static __always_inline __u64
digest_remembered(const struct ends *end)
{
	return digest(digest(0, &end->remembered,
			     offsetof(struct remembered, check)),
		      &end->flow, sizeof(end->flow));
}

/* Whose that flow was. */
__noinline int
recall(__u64 now, __u64 age)
{
	struct ends *end = get_ends();
	const struct remembered *found;
	struct remembered *is;

	if (!end)
		return false;
	found = bpf_map_lookup_elem(&flows, &end->flow);
	if (!found)
		return false;
	is = &end->remembered;
	*is = *found;
	asm volatile("" : : : "memory");
	if (is->check != digest_remembered(end) ||
	    (!is->lasting && now - is->time > age))
		return false;
	end->owner = is->owner;
	end->untold = 0;
	return true;
}

/* That it is that of the owner who was found. */
__noinline int
remember(__u64 now, bool lasting)
{
	struct ends *end = get_ends();
	struct remembered *found, *new;

	if (!end)
		return 0;
	new = &end->remembered;
	found = bpf_map_lookup_elem(&flows, &end->flow);
	if (found && found->owner.pid == end->owner.pid &&
	    found->owner.start == end->owner.start &&
	    found->owner.tid == end->owner.tid &&
	    found->owner.chosen == end->owner.chosen &&
	    found->lasting == lasting) {
		found->time = now;
		return 0;
	}
	new->owner = end->owner;
	new->lasting = lasting;
	new->time = now;
	new->check = digest_remembered(end);
	bpf_map_update_elem(&flows, &end->flow, new, BPF_ANY);
	return 0;
}

static __always_inline bool
is_opening(const struct packet *packet)
{
	return packet->protocol == IP_TCP &&
	       (packet->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static __always_inline bool
is_closing(const struct packet *packet)
{
	return packet->protocol == IP_TCP &&
	       (packet->flags & (TCP_FIN | TCP_RST));
}

static __always_inline bool
is_echo(const struct packet *packet, bool request)
{
	__u8 type = packet->transport.type;

	if (packet->v6)
		return packet->protocol == IP_ICMPV6 &&
		       type == (request ? 128 : 129);
	return packet->protocol == IP_ICMP && type == (request ? 8 : 0);
}

/* Quotes a packet that this machine has sent. */
static __always_inline bool
is_error(const struct packet *packet)
{
	__u8 type = packet->transport.type;

	if (packet->v6)
		return packet->protocol == IP_ICMPV6 && type >= 1 && type <= 4;
	return packet->protocol == IP_ICMP &&
	       (type == 3 || type == 5 || type == 11 || type == 12);
}

/*
 * Whether the packet has got other addresses or ports than its socket has:
 * then what answers it will not lead to that.
 */
static __always_inline bool
is_translated(const struct packet *packet, struct bpf_sock *sk)
{
	const struct bpf_sock_tuple *tuple = &packet->tuple;
	__be16 sport = packet->v6 ? tuple->ipv6.sport : tuple->ipv4.sport;
	__be16 dport = packet->v6 ? tuple->ipv6.dport : tuple->ipv4.dport;
	/* here, as a socket's members are only read at constant offsets */
	__be32 source4 = sk->src_ip4, target4 = sk->dst_ip4;
	__be32 source6 = sk->src_ip6[3], target6 = sk->dst_ip6[3];
	__be16 peer = (__be16)sk->dst_port;

	opaque(source4);
	opaque(target4);
	opaque(source6);
	opaque(target6);
	if (packet->protocol != IP_TCP && packet->protocol != IP_UDP)
		return false;
	if (sport != bpf_htons((__u16)sk->src_port))
		return true;
	if (!peer)
		return false;
	if (peer != dport)
		return true;
	if (packet->v6)
		return tuple->ipv6.saddr[3] != source6 ||
		       tuple->ipv6.daddr[3] != target6;
	return tuple->ipv4.saddr != source4 || tuple->ipv4.daddr != target4;
}

/* An error quotes what identifies the packet: an IPv4 header's number. */
static __always_inline void
note_raw(const struct ends *end, __u64 now)
{
	if (!end->packet.id)
		return;
	name_flow(true, FLOW_RAW);
	remember(now, false);
}

/* Of a frame with an Ethernet header and no options. */
struct plain {
	__u8 link[12];
	__be16 protocol;
	struct ip4 ip;
	__be16 source;
	__be16 target;
	__be32 numbers[2];
	__u8 words;
	__u8 flags;
} __attribute__((packed));

/*
 * Most frames: of them there is nothing to keep, and their first bytes tell it,
 * which are at hand. Whatever has other headers has not all this there.
 */
static __always_inline bool
is_plain(struct __sk_buff *skb, struct bpf_sock *sk)
{
	const struct plain *plain = (void *)(long)skb->data;
	const void *end = (void *)(long)skb->data_end;
	__be32 source = sk->src_ip4, target = sk->dst_ip4;
	__be16 peer = (__be16)sk->dst_port;

	if ((const void *)(plain + 1) > end || plain->protocol != ETH_IP ||
	    plain->ip.size != 0x45 ||
	    (plain->ip.fragment & bpf_htons(0x3fff)) ||
	    plain->ip.protocol != sk->protocol || sk->type == SOCK_RAW)
		return false;
	if (plain->ip.protocol == IP_TCP
		? plain->flags & (TCP_FIN | TCP_SYN | TCP_RST)
		: plain->ip.protocol != IP_UDP)
		return false;
	return plain->source == bpf_htons((__u16)sk->src_port) &&
	       (!peer || (peer == plain->target && plain->ip.source == source &&
			  plain->ip.target == target));
}

/* Keeps what will be needed to know whose the answers are. */
static __always_inline void
note_sent(struct __sk_buff *skb, struct ends *end, struct bpf_sock *sk,
	  __u64 now)
{
	struct packet *packet = &end->packet;

	if (is_plain(skb, sk) || !read_frame(skb) || !packet->first)
		return;
	if (is_echo(packet, true)) {
		name_flow(true, FLOW_ECHO);
		remember(now, false);
		return;
	}
	if (sk->family != AF_INET && sk->family != AF_INET6)
		return;
	if (sk->type == SOCK_RAW) {
		note_raw(end, now);
		return;
	}
	if (is_translated(packet, sk)) {
		name_flow(true, FLOW_PORTS);
		remember(now, true);
	} else if (is_closing(packet)) {
		name_flow(true, FLOW_PORTS);
		remember(now, false);
	} else if (is_opening(packet)) {
		name_flow(true, FLOW_PORTS);
		bpf_map_delete_elem(&flows, &end->flow);
	}
}

/* Of an answer that the kernel gives for a connection that is over. */
static __always_inline bool
recall_sender(struct __sk_buff *skb, struct ends *end, __u64 now)
{
	if (!read_frame(skb) || !end->packet.first ||
	    end->packet.protocol != IP_TCP)
		return false;
	name_flow(true, FLOW_PORTS);
	return recall(now, FLOW_AGE);
}

/* Older kernels send such answers, and refusals, by a socket of their own. */
static __always_inline bool
is_answering(struct bpf_sock *sk)
{
	return sk->type == SOCK_RAW && sk->protocol == IPPROTO_TCP;
}

/* Whose it was that is answered for, which only a refusal never had. */
static __always_inline void
find_answerer(struct __sk_buff *skb, struct ends *end, __u64 now)
{
	if (!recall_sender(skb, end, now))
		set_kind(&end->owner, end->packet.flags & TCP_RST
					  ? EBPFTLS_OF_KERNEL
					  : EBPFTLS_OF_UNKNOWN);
}

/*
 * A flow that was ours and is forwarded now is somebody else's. A function of
 * its own, as what leads to holds() has no stack to spare.
 */
__noinline int
forget_forwarded(struct __sk_buff *skb)
{
	struct ends *end = get_ends();
	const struct packet *packet;

	if (!end)
		return 0;
	packet = &end->packet;
	if (!read_frame(skb) || !packet->first ||
	    (packet->protocol != IP_UDP && !is_opening(packet)))
		return 0;
	name_flow(true, FLOW_PORTS);
	if (bpf_map_lookup_elem(&flows, &end->flow))
		bpf_map_delete_elem(&flows, &end->flow);
	return 0;
}

/*
 * Who sends what goes out here; false if nobody here does. Of each frame this
 * or find_near_or_stashed() comes first.
 */
__noinline int
find_sender(struct __sk_buff *skb, __u64 now)
{
	struct bpf_sock *sk = skb->sk, *full;
	struct ends *end = get_ends();
	struct ebpftls_owner *owner;

	if (!end)
		return false;
	end->reading = READ_NOT_YET;
	owner = &end->owner;
	if (!sk && skb->ingress_ifindex) {
		forget_forwarded(skb);
		return false;
	}
	if (!sk) {
		if (!recall_sender(skb, end, now))
			set_kind(owner, EBPFTLS_OF_KERNEL);
		return true;
	}
	full = bpf_sk_fullsock(sk);
	if (full) {
		if (skb->ingress_ifindex)
			owner_of_near(end, full);
		else
			owner_of_sent(end, full);
		if (owner->kind != EBPFTLS_OF_KERNEL)
			note_sent(skb, end, full, now);
		else if (is_answering(full))
			find_answerer(skb, end, now);
		return true;
	}
	full = bpf_get_listener_sock(sk);
	if (full) {
		owner_of(end, full);
		if (owner->kind != EBPFTLS_OF_KERNEL)
			note_sent(skb, end, full, now);
	} else if (!recall_sender(skb, end, now))
		set_kind(owner, EBPFTLS_OF_UNKNOWN);
	return true;
}

/*
 * Of what comes from near, for the last answers of its connection. Of that the
 * socket must be: what is sent by others can be made up.
 */
static __always_inline void
note_near(struct __sk_buff *skb, struct ends *end, struct bpf_sock *sk,
	  __u64 now)
{
	const struct packet *packet = &end->packet;

	if ((sk->family != AF_INET && sk->family != AF_INET6) ||
	    sk->type != SOCK_STREAM || sk->protocol != IPPROTO_TCP)
		return;
	if (!read_frame(skb) || !packet->first ||
	    !(is_closing(packet) || is_opening(packet)) ||
	    is_translated(packet, sk))
		return;
	name_flow(true, FLOW_PORTS);
	if (is_closing(packet))
		remember(now, false);
	else
		bpf_map_delete_elem(&flows, &end->flow);
}

/*
 * Whether a frame that goes out, but not into the capture, may change what is
 * known of owners of others: nothing is noted of most, see note_sent(), but of
 * datagrams whose addresses are translated. What is forwarded has no socket.
 */
static __always_inline bool
needs_sender(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return skb->ingress_ifindex != 0;
	sk = bpf_sk_fullsock(sk);
	return !sk ||
	       (sk->protocol != IP_UDP &&
		(sk->protocol != IP_TCP || sk->state != TCP_ESTABLISHED));
}

/*
 * A frame that comes in with a socket comes from one on this machine, in
 * another network namespace.
 */
static __always_inline bool
find_near_sender(struct __sk_buff *skb, struct ends *end, __u64 now)
{
	const struct ebpftls_owner *owner = &end->owner;
	struct bpf_sock *sk = skb->sk;

	if (!sk || (sk->family != AF_INET && sk->family != AF_INET6 &&
		    sk->family != AF_PACKET))
		return false;
	sk = bpf_sk_fullsock(sk);
	if (!sk) {
		sk = skb->sk;
		if (!sk)
			return false;
		sk = bpf_get_listener_sock(sk);
	}
	if (!sk) {
		if (!recall_sender(skb, end, now))
			set_kind(&end->owner, EBPFTLS_OF_UNKNOWN);
		return true;
	}
	owner_of_near(end, sk);
	if (owner->kind == EBPFTLS_OF_KERNEL && is_answering(sk))
		find_answerer(skb, end, now);
	else if (owner->kind == EBPFTLS_OF_PROCESS)
		note_near(skb, end, sk, now);
	return true;
}

/*
 * Leaves the sender for the same frame's way back in. One that is too long is
 * cut into others on the way, which only have its addresses.
 */
static __always_inline void
stash_sender(struct __sk_buff *skb, struct ends *end, __u64 now)
{
	struct stashed new = {
		.time = now,
		.len = skb->len,
		.protocol = skb->protocol,
	};
	__u64 key = number(skb);

	end->untold = 0;
	if (!find_sender(skb, now))
		return;
	new.owner = end->owner;
	new.untold = end->untold;
	new.check = digest(key, &new, offsetof(struct stashed, check));
	bpf_map_update_elem(&stash, &key, &new, BPF_ANY);
	if (skb->gso_size && read_frame(skb)) {
		name_flow(true, FLOW_LOOPED);
		remember(now, false);
	}
}

static __always_inline bool
unstash_sender(struct __sk_buff *skb, struct ends *end, __u64 now)
{
	__u64 key = number(skb);
	const struct stashed *found = bpf_map_lookup_elem(&stash, &key);
	struct stashed is;

	if (found) {
		is = *found;
		bpf_map_delete_elem(&stash, &key);
		if (is.len == skb->len && is.protocol == skb->protocol &&
		    now - is.time < STASH_AGE &&
		    digest(key, &is, offsetof(struct stashed, check)) ==
			is.check) {
			end->owner = is.owner;
			end->untold = is.untold;
			return true;
		}
	}
	if (!read_frame(skb))
		return false;
	name_flow(true, FLOW_LOOPED);
	return recall(now, STASH_AGE);
}

/* The sender of what comes in, if it is on this machine; on lo it always is. */
__noinline int
find_near_or_stashed(struct __sk_buff *skb, __u64 now)
{
	struct ends *end = get_ends();

	if (!end)
		return false;
	end->reading = READ_NOT_YET;
	if (skb->ifindex == LOOPBACK_IFINDEX) {
		if (!unstash_sender(skb, end, now))
			set_kind(&end->owner, EBPFTLS_OF_UNKNOWN);
		return true;
	}
	return find_near_sender(skb, end, now);
}

/* Of the sockets that share its port. */
static __always_inline struct sock_reuseport *
group_of(struct bpf_sock *sk)
{
	struct sock *inner = (struct sock *)number(sk);

	return BPF_CORE_READ(inner, sk_reuseport_cb);
}

/* Not all links have an address of their own for that. */
static __always_inline bool
is_for_many(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 daddr = bpf_ntohl(packet->tuple.ipv4.daddr);

	if (skb->pkt_type == PACKET_MULTICAST ||
	    skb->pkt_type == PACKET_BROADCAST)
		return true;
	if (packet->v6)
		return *(const __u8 *)packet->tuple.ipv6.daddr == 0xff;
	return daddr >= 0xe0000000 || daddr == 0x7fffffff;
}

static __always_inline bool
is_to_loopback(const struct packet *packet)
{
	const __be32 *daddr = packet->tuple.ipv6.daddr;

	if (packet->v6)
		return !(daddr[0] | daddr[1] | daddr[2]) &&
		       daddr[3] == bpf_htonl(1);
	return bpf_ntohl(packet->tuple.ipv4.daddr) >> 24 == 127;
}

/*
 * Whether a look-up need not have found the very socket that gets the packet:
 * of a group that shares a port a program may choose, and a multicast goes to
 * all that want it.
 */
static __always_inline bool
is_one_of_many(struct __sk_buff *skb, struct ends *end, struct bpf_sock *sk,
	       __u32 state)
{
	struct sock_reuseport *group;

	if (state != TCP_LISTEN && state != TCP_CLOSE)
		return false;
	if (end->packet.protocol == IP_UDP && is_for_many(skb, &end->packet))
		return true;
	group = group_of(sk);
	return group && BPF_CORE_READ(group, prog);
}

enum found {
	NOTHING,
	LISTENER, /* though the packet may be of a translated connection */
	ANY_PEER, /* a datagram socket that takes what comes from anywhere */
	SOCKET,
};

static __always_inline struct bpf_sock *
look_up_socket(struct __sk_buff *skb, struct packet *packet)
{
	__u32 size = tuple_size(packet);

	if (packet->protocol == IP_TCP)
		return bpf_skc_lookup_tcp(skb, &packet->tuple, size,
					  BPF_F_CURRENT_NETNS, 0);
	return bpf_sk_lookup_udp(skb, &packet->tuple, size, BPF_F_CURRENT_NETNS,
				 0);
}

/*
 * Who gets what opens a connection where one is over that had the same ports:
 * the listener. No connection has a port of 0.
 */
static __always_inline enum found
look_up_listener(struct __sk_buff *skb, struct ends *end)
{
	struct packet *packet = &end->packet;
	__be16 *port =
	    packet->v6 ? &packet->tuple.ipv6.sport : &packet->tuple.ipv4.sport;
	__be16 sport = *port;
	struct bpf_sock *sk, *full;
	enum found found = NOTHING;

	*port = 0;
	sk = look_up_socket(skb, packet);
	*port = sport;
	if (!sk)
		return NOTHING;
	full = bpf_sk_fullsock(sk);
	if (full && full->state == TCP_LISTEN) {
		found = LISTENER;
		if (group_of(full))
			set_kind(&end->owner, EBPFTLS_OF_UNKNOWN);
		else
			owner_of(end, full);
	}
	bpf_sk_release(sk);
	return found;
}

/* The owner of the socket that gets a packet of TCP or UDP; an enum found. */
__noinline int
look_up(struct __sk_buff *skb)
{
	struct ends *end = get_ends();
	enum found found = SOCKET;
	struct bpf_sock *sk, *full;
	__u32 state = TCP_LISTEN, bound;

	if (!end)
		return NOTHING;
	end->bound = false;
	sk = look_up_socket(skb, &end->packet);
	if (!sk)
		return NOTHING;
	full = bpf_sk_fullsock(sk);
	if (full) {
		state = full->state;
		/* or it is read again, by a pointer that may not be made */
		opaque(state);
		if (state == TCP_LISTEN)
			found = LISTENER;
		else if (state == TCP_CLOSE)
			found = ANY_PEER;
		bound = full->bound_dev_if;
		opaque(bound);
		end->bound = bound && bound != skb->ifindex;
	} else {
		full = bpf_get_listener_sock(sk);
	}
	if (full && !is_one_of_many(skb, end, full, state))
		owner_of(end, full);
	else
		set_kind(&end->owner, EBPFTLS_OF_UNKNOWN);
	bpf_sk_release(sk);
	if (full)
		return found;
	return is_opening(&end->packet) ? look_up_listener(skb, end) : NOTHING;
}

/* Makes the quoted packet, which went out, one that comes in. */
static __always_inline void
turn(struct packet *packet)
{
	struct bpf_sock_tuple *tuple = &packet->tuple;
	struct transport *transport = &packet->transport;

	if (packet->v6) {
		__builtin_memcpy(tuple->ipv6.saddr, packet->header.ip6.target,
				 16);
		__builtin_memcpy(tuple->ipv6.daddr, packet->header.ip6.source,
				 16);
		tuple->ipv6.sport = transport->target;
		tuple->ipv6.dport = transport->source;
	} else {
		tuple->ipv4.saddr = packet->header.ip4.target;
		tuple->ipv4.daddr = packet->header.ip4.source;
		tuple->ipv4.sport = transport->target;
		tuple->ipv4.dport = transport->source;
	}
}

/* Of the network namespace: what may translate addresses of what comes in. */
struct nf_hook_entries {
	__u16 num_hook_entries;
	struct {
		void *hook;
		void *priv;
	} hooks[];
} __attribute__((preserve_access_index));

struct nf_hook_ops {
	int priority;
} __attribute__((preserve_access_index));

struct netns_nf {
	struct nf_hook_entries *hooks_ipv4[5];
	struct nf_hook_entries *hooks_ipv6[5];
} __attribute__((preserve_access_index));

struct netns_ipvs;

struct list_head {
	struct list_head *next;
} __attribute__((preserve_access_index));

struct net {
	struct netns_nf nf;
	struct netns_ipvs *ipvs;
	struct list_head dev_base_head;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;

struct in_ifaddr {
	struct in_ifaddr *ifa_next;
	__be32 ifa_local;
} __attribute__((preserve_access_index));

struct in_device {
	struct in_ifaddr *ifa_list;
} __attribute__((preserve_access_index));

struct in6_addr___kernel {
	__be32 words[4];
};

struct inet6_ifaddr {
	struct in6_addr___kernel addr;
	struct list_head if_list;
} __attribute__((preserve_access_index));

struct inet6_dev {
	struct list_head addr_list;
} __attribute__((preserve_access_index));

/* Of what a device is part of, a master comes first. */
struct netdev_adjacent {
	bool master;
	struct list_head list;
} __attribute__((preserve_access_index));

struct net_device {
	unsigned short type;
	void *rx_handler;
	possible_net_t nd_net;
	struct in_device *ip_ptr;
	struct inet6_dev *ip6_ptr;
	struct list_head dev_list;
	struct {
		struct list_head upper;
	} adj_list;
} __attribute__((preserve_access_index));

struct sk_buff {
	struct net_device *dev;
	unsigned char *head;
	unsigned char *data;
	__u16 network_header;
} __attribute__((preserve_access_index));

#define DIVERTING   1
#define TRANSLATING 2
#define BALANCING   4 /* IPVS */

/* Netfilter may give packets to sockets that they are not for. */
volatile bool tproxy SEC(".data.tproxy");

/*
 * What has this place can be anything but a step on the way of all packets. Raw
 * rules are mostly for what is not to be tracked.
 */
static __always_inline bool
is_of_rules(int priority)
{
	return priority != CONNTRACK_PRIORITY &&
	       (tproxy || priority != RAW_PRIORITY) &&
	       priority != DEFRAG_PRIORITY && priority != EARLY_PRIORITY &&
	       priority != FIRST_PRIORITY;
}

/*
 * What a function may do that netfilter calls: on its way in, or `local`: when
 * it is known to be for this machine. Not inlined, nor are others below: the
 * verifier goes through each turn of a loop.
 */
__noinline int
judge_hook(__u64 description, bool local)
{
	struct nf_hook_ops *hook = (struct nf_hook_ops *)description;
	int priority = BPF_CORE_READ(hook, priority);

	if (local)
		return priority == IPVS_PRIORITY ||
			       priority == IPVS_PRIORITY + 1
			   ? BALANCING
			   : 0;
	if (priority == NAT_PRIORITY)
		return TRANSLATING;
	return is_of_rules(priority) ? DIVERTING : 0;
}

/* Of all of them at one point. Their descriptions lie behind them, in their
 * order. */
__noinline int
find_hooks(__u64 entries, bool local)
{
	struct nf_hook_entries *hooks = (struct nf_hook_entries *)entries;
	__u64 *descriptions, description;
	int found = 0;
	__u32 count;

	count = BPF_CORE_READ(hooks, num_hook_entries);
	descriptions = (void *)hooks + bpf_core_field_offset(hooks->hooks) +
		       (__u64)count * sizeof(hooks->hooks[0]);
	for (int i = 0; i < HOOKS_MAX && i < (int)count; i++)
		if (!bpf_probe_read_kernel(&description, sizeof(description),
					   &descriptions[i]))
			found |= judge_hook(description, local);
	if (count <= HOOKS_MAX)
		return found;
	return local ? BALANCING : TRANSLATING | DIVERTING;
}

static __always_inline struct nf_hook_entries *
hooks_at(struct net *net, bool v6, int point)
{
	return v6 ? BPF_CORE_READ(net, nf.hooks_ipv6[point])
		  : BPF_CORE_READ(net, nf.hooks_ipv4[point]);
}

/*
 * Whether there are rules here that may translate the addresses of what comes
 * in, or give it to another socket than it is addressed to.
 */
__noinline int
find_rules(struct __sk_buff *skb, bool v6)
{
	struct sk_buff *inner = (struct sk_buff *)number(skb);
	struct nf_hook_entries *hooks;
	struct net *net;
	int found = 0;

	/* a kernel without netfilter */
	if (!bpf_core_field_exists(struct net, nf.hooks_ipv4))
		return 0;
	net = BPF_CORE_READ(inner, dev, nd_net.net);
	hooks = hooks_at(net, v6, PRE_ROUTING);
	if (hooks)
		found = find_hooks((__u64)hooks, false);
	if (!bpf_core_field_exists(struct net, ipvs) ||
	    !BPF_CORE_READ(net, ipvs))
		return found;
	hooks = hooks_at(net, v6, LOCAL_IN);
	return hooks ? found | find_hooks((__u64)hooks, true) : found;
}

/* `device`: a number. */
__noinline int
has_address4(__u64 device, __u32 address)
{
	struct net_device *dev = (struct net_device *)device;
	struct in_ifaddr *at = BPF_CORE_READ(dev, ip_ptr, ifa_list);

	for (int i = 0; i < ADDRESSES_MAX && at; i++) {
		if (BPF_CORE_READ(at, ifa_local) == address)
			return true;
		at = BPF_CORE_READ(at, ifa_next);
	}
	return false;
}

/* The same of the address that the packet is for. */
__noinline int
has_address6(__u64 device)
{
	struct net_device *dev = (struct net_device *)device;
	struct inet6_dev *keeper = BPF_CORE_READ(dev, ip6_ptr);
	struct ends *end = get_ends();
	struct in6_addr___kernel found;
	struct list_head *head, *next;
	struct inet6_ifaddr *at;
	const __be32 *asked;

	/* where IPv6 is a module, it is not known what it keeps */
	if (!end || !keeper ||
	    !bpf_core_field_exists(struct inet6_ifaddr, if_list))
		return false;
	asked = end->packet.tuple.ipv6.daddr;
	head =
	    (void *)keeper + bpf_core_field_offset(struct inet6_dev, addr_list);
	next = BPF_CORE_READ(head, next);
	for (int i = 0; i < ADDRESSES_MAX && next && next != head; i++) {
		at = (void *)next -
		     bpf_core_field_offset(struct inet6_ifaddr, if_list);
		if (bpf_core_read(&found, sizeof(found), &at->addr))
			return false;
		if (found.words[0] == asked[0] && found.words[1] == asked[1] &&
		    found.words[2] == asked[2] && found.words[3] == asked[3])
			return true;
		next = BPF_CORE_READ(next, next);
	}
	return false;
}

__noinline int
has_address(__u64 device)
{
	struct ends *end = get_ends();

	if (!end)
		return false;
	return end->packet.v6
		   ? has_address6(device)
		   : has_address4(device, end->packet.tuple.ipv4.daddr);
}

/* Whether the packet's address is one of this machine, mostly of its device. */
__noinline int
has_own_address(struct __sk_buff *skb)
{
	struct sk_buff *inner = (struct sk_buff *)number(skb);
	struct net_device *dev = BPF_CORE_READ(inner, dev);
	struct net *net = BPF_CORE_READ(dev, nd_net.net);
	struct list_head *head, *next;

	if (has_address((__u64)dev))
		return true;
	head = (void *)net + bpf_core_field_offset(struct net, dev_base_head);
	next = BPF_CORE_READ(head, next);
	for (int i = 0; i < DEVICES_MAX && next && next != head; i++) {
		dev = (void *)next -
		      bpf_core_field_offset(struct net_device, dev_list);
		if (has_address((__u64)dev))
			return true;
		next = BPF_CORE_READ(next, next);
	}
	return false;
}

/*
 * Whether sockets that are not looked up here may get it: those of the VLAN
 * that it is of; or of the bridge, the bond or the VRF that the device is part
 * of.
 */
__noinline int
is_of_other_device(struct __sk_buff *skb)
{
	struct sk_buff *inner = (struct sk_buff *)number(skb);
	struct netdev_adjacent *adjacent;
	struct list_head *head, *next;

	if (skb->vlan_present && (skb->vlan_tci & VLAN_ID))
		return true;
	if (skb->protocol == ETH_VLAN || skb->protocol == ETH_QINQ ||
	    !bpf_core_field_exists(struct netdev_adjacent, list))
		return true;
	head = (void *)BPF_CORE_READ(inner, dev) +
	       bpf_core_field_offset(struct net_device, adj_list.upper);
	next = BPF_CORE_READ(head, next);
	if (!next || next == head)
		return false;
	adjacent =
	    (void *)next - bpf_core_field_offset(struct netdev_adjacent, list);
	return BPF_CORE_READ(adjacent, master);
}

enum place {
	ELSEWHERE,
	HERE,
	PERHAPS_HERE,
};

/*
 * Whether it is not passed on to another machine; an enum place. The kernel
 * does not say why it would not: an address of nobody here may have come with
 * the link's, which others may have, too.
 */
__noinline int
find_place(struct __sk_buff *skb)
{
	struct ends *end = get_ends();
	const struct packet *packet;
	struct bpf_fib_lookup fib = {
		.ifindex = skb->ifindex,
	};
	long result;

	if (!end)
		return ELSEWHERE;
	packet = &end->packet;
	fib.l4_protocol = packet->protocol;
	if (packet->v6) {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.ipv6_src, packet->tuple.ipv6.saddr, 16);
		__builtin_memcpy(fib.ipv6_dst, packet->tuple.ipv6.daddr, 16);
	} else {
		fib.family = AF_INET;
		fib.ipv4_src = packet->tuple.ipv4.saddr;
		fib.ipv4_dst = packet->tuple.ipv4.daddr;
	}
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	if (result != FIB_HERE && result != FIB_NO_FORWARD)
		return ELSEWHERE;
	return has_own_address(skb) ? HERE : PERHAPS_HERE;
}

enum verdict {
	NOBODY,
	SOMEBODY,
	GUESS, /* for somebody else, if its addresses are still translated */
};

/* As a port of a bridge, which may have another address, hands on to that. */
static __always_inline bool
has_upper(struct __sk_buff *skb)
{
	struct sk_buff *inner = (struct sk_buff *)number(skb);

	return BPF_CORE_READ(inner, dev, rx_handler) != NULL;
}

/*
 * The rules that may change what becomes of it. On lo addresses have been
 * translated before, and what has a loopback address nobody diverts.
 */
static __always_inline int
rules_for(struct __sk_buff *skb, const struct packet *packet, bool many)
{
	if (many)
		return 0;
	if (skb->ifindex != LOOPBACK_IFINDEX)
		return find_rules(skb, packet->v6);
	return is_to_loopback(packet)
		   ? 0
		   : find_rules(skb, packet->v6) & ~TRANSLATING;
}

/*
 * What a listener or a socket without a peer gets by its port only, it gets
 * only if it is not for another machine, no socket of another device takes it
 * and the addresses are not translated after this. Of what is for many nobody
 * is told. What has the address of another link is for a bridge here, if for
 * anybody. Nobody can tell of a connection that is being opened; of others the
 * kernel's connection tracking may know. An enum verdict.
 */
__noinline int
doubt(struct __sk_buff *skb)
{
	struct ends *end = get_ends();
	bool loopback = skb->ifindex == LOOPBACK_IFINDEX;
	bool other = skb->pkt_type == PACKET_OTHERHOST;
	bool many, opening, unsure = other;
	const struct packet *packet;
	int rules, place;

	if (!end)
		return NOBODY;
	packet = &end->packet;
	many = is_for_many(skb, packet);
	opening = is_opening(packet);
	rules = rules_for(skb, packet, many);
	if (other && !has_upper(skb))
		return NOBODY;
	/* tables of routes may be another one's, but a VRF's socket is its */
	if (!loopback && !many && !end->bound && !(rules & TRANSLATING)) {
		place = find_place(skb);
		if (place == ELSEWHERE)
			return NOBODY;
		unsure |= place == PERHAPS_HERE;
	}
	if (loopback)
		unsure |= packet->protocol == IP_UDP && rules;
	else
		unsure |= is_to_loopback(packet) ||
			  (tproxy && packet->protocol == IP_UDP &&
			   (rules & DIVERTING));
	unsure |= (rules & BALANCING) || (rules && opening);
	end->unsure =
	    unsure || (!loopback && !end->bound && is_of_other_device(skb));
	if (rules & TRANSLATING && !other && !opening)
		return GUESS;
	/* without SYN it may open a connection after all, by a cookie */
	if (end->unsure || (packet->protocol == IP_TCP && !opening))
		set_kind(&end->owner, EBPFTLS_OF_UNKNOWN);
	if (packet->protocol != IP_TCP || other || opening)
		return SOMEBODY;
	return (packet->flags & (TCP_RST | TCP_ACK)) == TCP_ACK ? SOMEBODY
								: NOBODY;
}

/*
 * TCP and UDP. Without a socket, or with one in TIME_WAIT, it may be
 * remembered whose the flow was.
 */
static __always_inline enum verdict
find_by_ports(struct __sk_buff *skb, struct ends *end, __u64 now)
{
	struct packet *packet = &end->packet;
	struct ebpftls_owner *owner = &end->owner;
	bool opening = is_opening(packet), closing = is_closing(packet);
	enum found found;

	owner->kind = 0;
	found = look_up(skb);
	if ((found == SOCKET || found == ANY_PEER) && !opening && !closing)
		return found == ANY_PEER ? doubt(skb)
		       : owner->kind	 ? SOMEBODY
					 : NOBODY;
	name_flow(false, FLOW_PORTS);
	if (opening)
		/* whatever had these ports, this is another connection */
		bpf_map_delete_elem(&flows, &end->flow);
	else if (found == NOTHING || found == LISTENER) {
		if (recall(now, FLOW_AGE))
			return SOMEBODY;
	} else if (owner->kind == EBPFTLS_OF_PROCESS)
		remember(now, false);
	if (found == LISTENER)
		return doubt(skb);
	return owner->kind != 0 ? SOMEBODY : NOBODY;
}

/* Neighbour and router discovery is the kernel's. */
static __always_inline bool
is_discovery(const struct packet *packet)
{
	return packet->v6 && packet->protocol == IP_ICMPV6 &&
	       packet->transport.type >= 133 && packet->transport.type <= 137;
}

/* The first fragment says for the others whose they are. */
static __always_inline bool
find_later_fragment(const struct ends *end, __u64 now)
{
	bool found;

	name_flow(false, FLOW_FRAGMENT);
	found = recall(now, FRAGMENTS_AGE);
	if (found && end->packet.last)
		bpf_map_delete_elem(&flows, &end->flow);
	return found;
}

static __always_inline enum verdict
find_whole(struct __sk_buff *skb, struct ends *end, __u64 now)
{
	struct packet *packet = &end->packet;
	bool echo = is_echo(packet, false), quoted = is_error(packet);

	if (is_discovery(packet) && skb->pkt_type == PACKET_HOST) {
		set_kind(&end->owner, EBPFTLS_OF_KERNEL);
		return SOMEBODY;
	}
	if (quoted && !read_quoted(skb))
		return NOBODY;
	if (echo || (quoted && is_echo(packet, true))) {
		name_flow(quoted, FLOW_ECHO);
		return recall(now, FLOW_AGE) ? SOMEBODY : NOBODY;
	}
	if (packet->protocol != IP_TCP && packet->protocol != IP_UDP) {
		name_flow(true, FLOW_RAW);
		return quoted && packet->id && recall(now, FLOW_AGE) ? SOMEBODY
								     : NOBODY;
	}
	if (quoted)
		turn(packet);
	return find_by_ports(skb, end, now);
}

/* Whom what comes in is for; an enum verdict. */
__noinline int
find_receiver(struct __sk_buff *skb, __u64 now)
{
	struct ends *end = get_ends();
	struct packet *packet;
	enum verdict verdict;
	bool fragments;

	if (!end)
		return NOBODY;
	packet = &end->packet;
	if (skb->protocol == ETH_ARP && skb->pkt_type == PACKET_HOST) {
		set_kind(&end->owner, EBPFTLS_OF_KERNEL);
		return SOMEBODY;
	}
	if (!read_frame(skb))
		return NOBODY;
	if (!packet->first)
		return find_later_fragment(end, now);
	/* of an error, the packet that it quotes is what is left then */
	fragments = !packet->last && !is_error(packet);
	verdict = find_whole(skb, end, now);
	if (!fragments || verdict == NOBODY)
		return verdict;
	if (verdict == GUESS)
		set_kind(&end->owner, EBPFTLS_OF_UNKNOWN);
	name_flow(false, FLOW_FRAGMENT);
	remember(now, false);
	return SOMEBODY;
}

#endif
