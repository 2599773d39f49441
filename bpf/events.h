/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/*
 * The records and pages through which the BPF programs and user space speak.
 * The only header that both sides include: fixed-width types, all padding
 * written out, byte order said where it is not the host's.
 */
#ifndef EBPFTLS_EVENTS_H
#define EBPFTLS_EVENTS_H

#include <linux/types.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

/*
 * One sample of the perf buffer skb_events: this header, then `here` bytes of
 * the frame. A frame that does not fit one sample (its size has 16 bits) goes
 * on in the samples that follow on the same CPU: same time, growing offset.
 */
struct ebpftls_frame {
	__u64 time;   /* CLOCK_MONOTONIC, nanoseconds */
	__u32 len;    /* of the frame, without a tag in metadata */
	__u32 caplen; /* bytes of it in all its samples together */
	__u32 offset; /* in the frame, of this sample's first byte */
	__u32 here;   /* bytes of the frame in this sample */
	__u32 ifindex;
	__be16 protocol;  /* skb->protocol */
	__be16 vlan_tpid; /* of the tag in metadata; 0: there is none */
	__u16 vlan_tci;
	__u16 hatype;  /* ARPHRD_*; only where the capture is cooked */
	__u16 network; /* offset of the network header; likewise */
	__u8 pkttype;  /* PACKET_HOST .. PACKET_OUTGOING */
	__u8 reserved;
};

/* Counted per CPU in the map `counters`, which the consumer maps read-only. */
struct ebpftls_counters {
	__u64 seen;    /* frames meant for the consumer */
	__u64 dropped; /* of these, frames for which there was no room */
	__u64 writing; /* 1 while a frame of several samples is being written */
	__u64 reserved[5];
};

#define EBPFTLS_STEPS 8

struct ebpftls_step {
	__u64 since;  /* CLOCK_MONOTONIC: `offset` holds from here on */
	__s64 offset; /* CLOCK_REALTIME - CLOCK_MONOTONIC */
};

/*
 * When the wall clock is stepped, a monotonic time stamp must be converted
 * with the offset that held when it was taken. Written by the agent, which
 * makes `sequence` odd while it does.
 */
struct ebpftls_clock {
	__u64 sequence;
	struct ebpftls_step steps[EBPFTLS_STEPS]; /* the last one first */
};

/* The page that consumer, agent and programs share: the clock, which changes
 * rarely, has lines of its own. */
struct ebpftls_shared {
	__u64 waiting; /* the consumer sleeps: ring the doorbell */
	__u64 fence;
	__u64 reserved[6];
	struct ebpftls_clock clock;
};

/* What is settled before the programs are loaded. */
struct ebpftls_config {
	__u64 own_socket; /* cookie of the consumer's own packet socket */
	__u32 snaplen;
	__u8 immediate; /* every frame wakes a waiting consumer */
	__u8 cooked;	/* the consumer makes link-layer headers itself */
	__u8 reserved[2];
};

#pragma GCC diagnostic pop

/* perf_event_header (8), the raw size (4), and a multiple of 8 below 64 KiB */
#define EBPFTLS_SAMPLE_MAX (65528 - 8 - 4)
#define EBPFTLS_FIRST_MAX  (EBPFTLS_SAMPLE_MAX - sizeof(struct ebpftls_frame))

_Static_assert(sizeof(struct ebpftls_frame) == 40, "frame header");
_Static_assert(sizeof(struct ebpftls_counters) == 64, "one cache line");
_Static_assert(sizeof(struct ebpftls_shared) == 200, "shared page");
_Static_assert(sizeof(struct ebpftls_config) == 16, "config");

#endif
