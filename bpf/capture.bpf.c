// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0
/*
 * Puts every frame that passes TC ingress or egress, and a filter if there is
 * one, into the perf buffer of the CPU it passes on, and before it whose it is.
 * Changes nothing and decides nothing: all programs always hand the frame on to
 * whoever comes next.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "conntrack.bpf.h"
#include "ends.bpf.h"
#include "events.h"
#include "fence.bpf.h"

#define TC_NEXT		-1 /* TCX_NEXT and TC_ACT_UNSPEC alike */
#define PACKET_OUTGOING 4
#define PACKET_LOOPBACK 5
#define CONTINUATIONS	16 /* of at most CHUNK bytes: more than any snaplen */
#define CHUNK		32000

/* Before the network header, of what a cooked header is made of. */
#define LINK_HEADER 32

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile struct ebpftls_config config;

/* Who gets the frames. */
const volatile struct ebpftls_caller caller;

struct ebpftls_shared shared;

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} skb_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* as many as CPUs are possible: the agent */
	__type(key, __u32);
	__type(value, struct ebpftls_counters);
} counters SEC(".maps");

/* Its descriptor is readable from a ring until the consumer has heard it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* a page at least: the agent */
} doorbell SEC(".maps");

struct record {
	struct ebpftls_frame frame;
	struct ebpftls_owner owners[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct record);
} records SEC(".maps");

struct chunk {
	struct ebpftls_frame frame;
	__u8 bytes[CHUNK];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct chunk);
} chunks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, EBPFTLS_SLOTS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebpftls_verdict);
} verdicts SEC(".maps");

/*
 * Sends the part of the frame that starts at `offset`. Returns its length, or
 * 0 when it could not. Global, so that it is verified once and not once for
 * each turn of the loop that calls it.
 */
__noinline int
continue_frame(struct __sk_buff *skb, __u32 offset, __u32 caplen)
{
	__u32 zero = 0;
	__u64 length = caplen - offset, size;
	struct chunk *chunk = bpf_map_lookup_elem(&chunks, &zero);

	if (!chunk || offset >= caplen)
		return 0;
	if (length > CHUNK)
		length = CHUNK;
	/* n - 1 < max, then + 1: older verifiers learn n >= 1 only this way */
	length -= 1;
	opaque(length);
	if (length >= CHUNK)
		return 0;
	if (bpf_skb_load_bytes(skb, offset, chunk->bytes, length + 1))
		return 0;
	chunk->frame.offset = offset;
	chunk->frame.here = length + 1;
	size = length;
	opaque(size);
	if (size >= CHUNK)
		return 0;
	if (bpf_perf_event_output(skb, &skb_events, BPF_F_CURRENT_CPU, chunk,
				  sizeof(struct ebpftls_frame) + size + 1))
		return 0;
	return length + 1;
}

/* The first sample of a frame, with as many owners as there are. */
static __always_inline long
output_first(struct __sk_buff *skb, struct ebpftls_frame *frame)
{
	__u64 flags = BPF_F_CURRENT_CPU | ((__u64)frame->here << 32);
	struct record *record;
	__u32 zero = 0;

	if (!config.owners || !frame->owners)
		return bpf_perf_event_output(skb, &skb_events, flags, frame,
					     sizeof(*frame));
	record = bpf_map_lookup_elem(&records, &zero);
	if (!record)
		return -1;
	record->frame = *frame;
	if (frame->owners == (EBPFTLS_SENDER | EBPFTLS_RECEIVER))
		return bpf_perf_event_output(skb, &skb_events, flags, record,
					     sizeof(*record));
	return bpf_perf_event_output(skb, &skb_events, flags, record,
				     sizeof(*record) -
					 sizeof(record->owners[1]));
}

static __always_inline long
output_long(struct __sk_buff *skb, struct ebpftls_frame *frame,
	    struct ebpftls_counters *count)
{
	__u32 zero = 0, offset = EBPFTLS_FIRST_MAX;
	struct chunk *chunk = bpf_map_lookup_elem(&chunks, &zero);
	long error;

	if (!chunk)
		return -1;
	frame->here = offset;
	chunk->frame = *frame;
	chunk->frame.owners = 0;
	count->writing = 1;
	error = output_first(skb, frame);
	for (int i = 0; i < CONTINUATIONS; i++) {
		int sent;

		if (error || offset >= frame->caplen)
			break;
		sent = continue_frame(skb, offset, frame->caplen);
		if (sent <= 0)
			error = -1;
		else
			offset += sent;
	}
	/* the consumer reads the ring again once it has seen this 0, and must
	 * find there what was sent */
	order_stores();
	count->writing = 0;
	return error;
}

static __always_inline long
output(struct __sk_buff *skb, struct ebpftls_frame *frame,
       struct ebpftls_counters *count)
{
	if (frame->caplen > EBPFTLS_FIRST_MAX)
		return output_long(skb, frame, count);
	frame->here = frame->caplen;
	return output_first(skb, frame);
}

/*
 * A consumer that does not ask for immediate delivery looks at its rings a
 * good while after it has set `waiting`, so a stale value here costs nothing.
 * One that does looks at once, and then the record must be visible before
 * `waiting` is read.
 */
static __always_inline void
wake_consumer(void)
{
	__u64 token = 0;

	if (config.immediate)
		order_all(&shared.fence);
	if (!shared.waiting)
		return;
	shared.waiting = 0;
	bpf_ringbuf_output(&doorbell, &token, sizeof(token),
			   BPF_RB_FORCE_WAKEUP);
}

/* One that a sender has never set is where the frame begins. */
static __always_inline __u32
network_offset(struct __sk_buff *skb)
{
	struct sk_buff *inner = (struct sk_buff *)skb;
	unsigned char *head = BPF_CORE_READ(inner, head);
	unsigned char *data = BPF_CORE_READ(inner, data);
	__u16 offset = BPF_CORE_READ(inner, network_header) - (data - head);

	return offset <= skb->len ? offset : 0;
}

static __always_inline struct ebpftls_verdict *
get_verdict(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&verdicts, &zero);
}

/* What the filter said of this frame, if there was one, and of no other. */
static __always_inline __u32
take_keep(struct ebpftls_verdict *verdict)
{
	__u32 keep = verdict->keep;

	verdict->keep = 0;
	return keep ? keep : ~0U;
}

/*
 * How much of the frame is captured. What a filter keeps of a cooked packet is
 * counted from a header that only the consumer makes, and cuts then.
 */
static __always_inline __u32
limit_length(const struct ebpftls_verdict *verdict, __u64 keep, __u32 length)
{
	if (config.cooked)
		keep += verdict->network + LINK_HEADER;
	if (length > config.snaplen)
		length = config.snaplen;
	return length < keep ? length : keep;
}

static __always_inline void
describe_for_cooking(struct __sk_buff *skb,
		     const struct ebpftls_verdict *verdict,
		     struct ebpftls_frame *frame)
{
	struct sk_buff *inner = (struct sk_buff *)skb;

	frame->hatype = BPF_CORE_READ(inner, dev, type);
	frame->network = verdict->network;
}

/* The receiver, if there is one; `conntrack`: who is guessed can be found. */
static __always_inline bool
has_receiver(struct __sk_buff *skb, struct ends *end, __u64 now, bool conntrack)
{
	int verdict = find_receiver(skb, now);

	if (verdict != GUESS)
		return verdict;
	if (conntrack)
		return find_translated(skb);
	set_kind(&end->owner, EBPFTLS_OF_UNKNOWN);
	/* nothing but what opens a connection is a listener's */
	return end->packet.protocol != IP_TCP;
}

static __always_inline void
tell_untold(const struct ebpftls_owner *owner, __u64 program)
{
	if (program && owner->kind == EBPFTLS_OF_PROCESS)
		tell_seen(owner, program);
}

static __always_inline void
hide(struct ebpftls_owner *owner)
{
	if (owner->kind == EBPFTLS_OF_PROCESS && owner->uid != caller.uid)
		set_kind(owner, EBPFTLS_OF_UNKNOWN);
}

/* Of others the caller learns no more than that they are there. */
static __always_inline void
hide_others(void)
{
	__u32 zero = 0;
	struct record *record = bpf_map_lookup_elem(&records, &zero);

	if (!record)
		return;
	hide(&record->owners[0]);
	hide(&record->owners[1]);
}

/*
 * Finds the owners of a frame and leaves them in the record that it will be.
 * False if the frame is not asked for.
 */
static __always_inline bool
find_all_owners(struct __sk_buff *skb, struct ebpftls_frame *frame, bool out,
		bool conntrack)
{
	__u32 zero = 0;
	struct record *record = bpf_map_lookup_elem(&records, &zero);
	struct ends *end = get_ends();
	struct ebpftls_owner *next;
	__u64 untold = 0;

	if (!record || !end)
		return true;
	next = &record->owners[0];
	end->untold = 0;
	if (out ? find_sender(skb, frame->time)
		: find_near_or_stashed(skb, frame->time)) {
		frame->owners = EBPFTLS_SENDER;
		*next++ = end->owner;
		untold = end->untold;
	}
	end->untold = 0;
	if (!out && has_receiver(skb, end, frame->time, conntrack)) {
		frame->owners |= EBPFTLS_RECEIVER;
		*next = end->owner;
	}
	if (!selection.kinds)
		return true;
	if (!is_asked_for(record->owners, frame->owners))
		return false;
	if (frame->owners & EBPFTLS_SENDER)
		tell_untold(&record->owners[0], untold);
	if (frame->owners & EBPFTLS_RECEIVER)
		tell_untold(next, end->untold);
	return true;
}

static __always_inline bool
find_owners(struct __sk_buff *skb, struct ebpftls_frame *frame, bool out,
	    bool conntrack)
{
	bool asked_for = find_all_owners(skb, frame, out, conntrack);

	if (caller.hidden)
		hide_others();
	return asked_for;
}

/*
 * A frame that a filter rejects still changes what is known of owners. True if
 * this is one: then that is all there is to do.
 */
static __always_inline bool
is_rejected(struct __sk_buff *skb, struct ebpftls_verdict *verdict)
{
	if (!config.owners || !verdict->rejected)
		return false;
	verdict->rejected = 0;
	find_sender(skb, bpf_ktime_get_ns());
	return true;
}

static __always_inline int
capture(struct __sk_buff *skb, __u8 pkttype, bool conntrack)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct ebpftls_counters *count = bpf_map_lookup_elem(&counters, &cpu);
	struct ebpftls_verdict *verdict = get_verdict();
	struct ebpftls_frame frame = {
		.time = bpf_ktime_get_ns(),
		.len = skb->len,
		.ifindex = skb->ifindex,
		.protocol = skb->protocol,
		.pkttype = pkttype,
	};

	if (!count || !verdict ||
	    (pkttype == PACKET_OUTGOING && is_rejected(skb, verdict)))
		return TC_NEXT;
	frame.keep = take_keep(verdict);
	frame.caplen = limit_length(verdict, frame.keep, frame.len);
	if (skb->vlan_present) {
		frame.vlan_tpid = skb->vlan_proto;
		frame.vlan_tci = skb->vlan_tci;
	}
	if (config.cooked)
		describe_for_cooking(skb, verdict, &frame);
	if (config.owners &&
	    !find_owners(skb, &frame, pkttype == PACKET_OUTGOING, conntrack))
		return TC_NEXT;
	count->seen++;
	if (output(skb, &frame, count))
		count->dropped++;
	wake_consumer();
	return TC_NEXT;
}

SEC("tc")
int
capture_ingress(struct __sk_buff *skb)
{
	return capture(skb, skb->pkt_type, false);
}

/* The same, where it can be asked what addresses are translated to. */
SEC("tc")
int
capture_conntrack(struct __sk_buff *skb)
{
	return capture(skb, skb->pkt_type, true);
}

SEC("tc")
int
capture_egress(struct __sk_buff *skb)
{
	return capture(skb, PACKET_OUTGOING, false);
}

/* On lo, where frames are captured on their way in, and senders are known on
 * their way out. */
SEC("tc")
int
capture_loopback(struct __sk_buff *skb)
{
	struct ebpftls_verdict *verdict = get_verdict();
	struct ends *end = get_ends();

	if (!verdict || !end || is_rejected(skb, verdict))
		return TC_NEXT;
	take_keep(verdict);
	stash_sender(skb, end, bpf_ktime_get_ns());
	return TC_NEXT;
}

/*
 * With what goes out and is rejected. Who sends it is known already where there
 * is a hook for that.
 */
SEC("tc")
int
capture_reject(struct __sk_buff *skb)
{
	struct ebpftls_verdict *verdict;

	if (!needs_sender(skb)) {
		if (!sends_seen && !skb->ingress_ifindex)
			note_caller_of(skb);
		return TC_NEXT;
	}
	verdict = get_verdict();
	if (!verdict)
		return TC_NEXT;
	verdict->rejected = 1;
	if (skb->ifindex == LOOPBACK_IFINDEX)
		bpf_tail_call_static(skb, &programs, EBPFTLS_SLOT_ACCEPT_LO);
	else
		bpf_tail_call_static(skb, &programs, EBPFTLS_SLOT_ACCEPT_OUT);
	return TC_NEXT;
}

/* A slot that is not known when this is compiled costs an indirect jump. */
static __always_inline int
enter(struct __sk_buff *skb, const enum ebpftls_slot slot)
{
	struct ebpftls_verdict *verdict;

	if (config.cooked) {
		verdict = get_verdict();
		if (!verdict)
			return TC_NEXT;
		verdict->network = network_offset(skb);
	}
	bpf_tail_call_static(skb, &programs, slot);
	return TC_NEXT;
}

SEC("tc")
int
ebpftls_ingress(struct __sk_buff *skb)
{
	/* a multicast copy on its way back to local sockets, not a frame */
	if (skb->pkt_type == PACKET_LOOPBACK)
		return TC_NEXT;
	return enter(skb, EBPFTLS_SLOT_IN);
}

SEC("tc")
int
ebpftls_egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	/* as a packet socket, the consumer does not see what it injects */
	if (sk && sk->family == AF_PACKET &&
	    bpf_get_socket_cookie(skb) == config.own_socket)
		return TC_NEXT;
	return enter(skb, EBPFTLS_SLOT_OUT);
}

/* A frame that may be cut into others, which a filter may accept, is none that
 * it can reject. */
SEC("tc")
int
ebpftls_loopback(struct __sk_buff *skb)
{
	if (skb->gso_size)
		return enter(skb, EBPFTLS_SLOT_ACCEPT_LO);
	return enter(skb, EBPFTLS_SLOT_LO);
}
