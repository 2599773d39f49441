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

enum ebpftls_kind {
	EBPFTLS_OF_PROCESS = 1,
	EBPFTLS_OF_KERNEL,  /* a socket of the kernel's own, or no socket at all
			     */
	EBPFTLS_OF_UNKNOWN, /* a socket of this machine, but not whose */
};

/* The process at one end of a frame, as it was when it last used the socket. */
struct ebpftls_owner {
	__u64 start;  /* of the process: nanoseconds since boot */
	__u64 cgroup; /* id in the unified hierarchy, or 0 */
	__u32 pid;
	__u32 tid;
	__u32 uid;    /* effective */
	__u16 kind;   /* enum ebpftls_kind; all else is 0 if it is no process */
	__u16 chosen; /* 1: the capture is for this process among others */
	char comm[16]; /* of the process, not of the thread; ends with a 0 */
};

/*
 * One record of the ring buffer owner_events: a process that had no socket
 * before, or none since it has run another program; and again when the first
 * frame of it is captured.
 */
struct ebpftls_newcomer {
	struct ebpftls_owner owner;
	__u32 parent; /* pid, or 0: not known */
	__u32 seen;   /* in a frame */
};

/* By what a capture chooses processes. */
enum ebpftls_want {
	EBPFTLS_WANT_PID,
	EBPFTLS_WANT_UID,
	EBPFTLS_WANT_COMM,
	EBPFTLS_WANT_EXE,
	EBPFTLS_WANT_CGROUP,
	EBPFTLS_WANTS
};

/* Key of the map `wanted`. */
struct ebpftls_wanted {
	__u64 kind; /* enum ebpftls_want */
	union {
		__u64 number[2]; /* of a file: inode and device; else one */
		char comm[16];	 /* with zeros to its end */
	};
};

/* What is settled before the programs are loaded. */
struct ebpftls_selection {
	__u8 kinds;    /* bits 1 << EBPFTLS_WANT_*, all to hold; 0: no choice */
	__u8 children; /* and whom those have forked; */
	__u8 same;     /* of them, who has the uid that is asked for */
	__u8 unknown;  /* and frames of which no process is known */
	__u8 reserved[4];
};

/* Of ebpftls_frame.owners. */
#define EBPFTLS_SENDER	 1
#define EBPFTLS_RECEIVER 2

/*
 * One sample of the perf buffer skb_events: this header, in the first sample
 * of a frame a struct ebpftls_owner for each bit in `owners`, the sender's
 * first, then `here` bytes of the frame. No bit: nobody on this machine, as
 * far as can be told. A frame that does not fit one sample (its size has 16
 * bits) goes on in the samples that follow on the same CPU: same time, growing
 * offset.
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
	__u8 owners;   /* EBPFTLS_SENDER | EBPFTLS_RECEIVER */
	__u32 keep;    /* of the packet, as the filter says; never 0 */
	__u32 reserved;
};

/*
 * What is attached to interfaces only goes on to one of the first three slots
 * of the map `programs`. These hold the same as the next three, the programs
 * that capture, or a filter: with what it accepts that goes on to those, and
 * with what it rejects to the last one, if need be.
 */
enum ebpftls_slot {
	EBPFTLS_SLOT_IN,
	EBPFTLS_SLOT_OUT,
	EBPFTLS_SLOT_LO, /* what goes out on lo, where it comes in again */
	EBPFTLS_SLOT_ACCEPT_IN,
	EBPFTLS_SLOT_ACCEPT_OUT,
	EBPFTLS_SLOT_ACCEPT_LO,
	EBPFTLS_SLOT_REJECT, /* of what goes out */
	EBPFTLS_SLOTS
};

/* Counted per CPU in the map `counters`, which the consumer maps read-only. */
struct ebpftls_counters {
	__u64 seen;    /* frames meant for the consumer */
	__u64 dropped; /* of these, frames for which there was no room */
	__u64 writing; /* 1 while a frame of several samples is being written */
	__u64 reserved[5];
};

/*
 * For whom a capture is, settled before the programs are loaded. All zero: for
 * root, who gets everything.
 */
struct ebpftls_caller {
	__u32 uid;
	__u32 gid;
	__u32 limited; /* 1: secrets only of what these could trace */
	__u32 hidden;  /* 1: /proc hides from them who else there is */
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
	__u64 told; /* grows when the agent may have sent a message */
	__u64 reserved[5];
	struct ebpftls_clock clock;
};

/* What is settled before the programs are loaded. */
struct ebpftls_config {
	__u64 own_socket; /* cookie of the consumer's own packet socket */
	__u32 snaplen;
	__u8 immediate; /* every frame wakes a waiting consumer */
	__u8 cooked;	/* the consumer makes link-layer headers itself */
	__u8 owners;	/* records say whose the frame is */
	__u8 reserved;
};

/*
 * What the programs that a frame passes on one CPU tell each other: the one
 * value, per CPU, of the map `verdicts`.
 */
struct ebpftls_verdict {
	__u32 network;	/* as ebpftls_frame.network */
	__u32 keep;	/* bytes of the packet, a made header included; set by
			 * who accepts it, and 0 between frames */
	__u32 rejected; /* but its sender is wanted; 0 between frames */
	__u32 reserved;
};

/* What TLS stacks call their secrets, in the words of SSLKEYLOGFILE. */
enum ebpftls_label {
	EBPFTLS_CLIENT_RANDOM,
	EBPFTLS_CLIENT_EARLY_TRAFFIC_SECRET,
	EBPFTLS_CLIENT_HANDSHAKE_TRAFFIC_SECRET,
	EBPFTLS_SERVER_HANDSHAKE_TRAFFIC_SECRET,
	EBPFTLS_CLIENT_TRAFFIC_SECRET_0,
	EBPFTLS_SERVER_TRAFFIC_SECRET_0,
	EBPFTLS_CLIENT_TRAFFIC_SECRET_N,
	EBPFTLS_SERVER_TRAFFIC_SECRET_N,
	EBPFTLS_EARLY_EXPORTER_SECRET,
	EBPFTLS_EXPORTER_SECRET,
	EBPFTLS_LABELS
};

#define EBPFTLS_LABEL_NAMES                                                    \
	{                                                                      \
		[EBPFTLS_CLIENT_RANDOM] = "CLIENT_RANDOM",                     \
		[EBPFTLS_CLIENT_EARLY_TRAFFIC_SECRET] =                        \
		    "CLIENT_EARLY_TRAFFIC_SECRET",                             \
		[EBPFTLS_CLIENT_HANDSHAKE_TRAFFIC_SECRET] =                    \
		    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",                         \
		[EBPFTLS_SERVER_HANDSHAKE_TRAFFIC_SECRET] =                    \
		    "SERVER_HANDSHAKE_TRAFFIC_SECRET",                         \
		[EBPFTLS_CLIENT_TRAFFIC_SECRET_0] = "CLIENT_TRAFFIC_SECRET_0", \
		[EBPFTLS_SERVER_TRAFFIC_SECRET_0] = "SERVER_TRAFFIC_SECRET_0", \
		[EBPFTLS_CLIENT_TRAFFIC_SECRET_N] = "CLIENT_TRAFFIC_SECRET_N", \
		[EBPFTLS_SERVER_TRAFFIC_SECRET_N] = "SERVER_TRAFFIC_SECRET_N", \
		[EBPFTLS_EARLY_EXPORTER_SECRET] = "EARLY_EXPORTER_SECRET",     \
		[EBPFTLS_EXPORTER_SECRET] = "EXPORTER_SECRET",                 \
	}

/* One record of the ring buffer secret_events. */
struct ebpftls_secret {
	__u64 time; /* CLOCK_MONOTONIC, nanoseconds */
	__u32 pid;
	__u32 tid;
	__u32 lost;  /* secrets for which there was no room, ever */
	__u16 file;  /* as ebpftls_hook.file */
	__u8 label;  /* enum ebpftls_label */
	__u8 length; /* of the secret: 32 or 48 */
	__u8 random[32];
	__u8 secret[48];
};

/*
 * Where a value is when a probe is hit: a register, then `loads` times "what
 * lies at this plus offset[i]", and at last plus offset[loads]. Registers
 * are numbered as the machine does: x86-64 ax cx dx bx sp bp si di r8..r15,
 * arm64 x0..x30 and 31 for sp.
 */
struct ebpftls_place {
	__u8 reg;
	__u8 loads; /* at most EBPFTLS_LOADS_MAX */
	__u8 known; /* 0: there is no such place */
	__u8 reserved;
	__s32 offset[5];
};

#define EBPFTLS_LOADS_MAX 4
#define EBPFTLS_NAMES_MAX 32

/* Where the code has the name of a secret, and which it is. */
struct ebpftls_name {
	__s64 distance; /* its address minus that of the probe */
	__u32 label;	/* enum ebpftls_label */
	__u32 reserved;
};

/*
 * How to take secrets where a TLS stack hands them on. A label is known by
 * its address, so its page need not be in memory. Without a place for the
 * label every hit is for names[0]; without one for the length it is 48.
 */
struct ebpftls_hook {
	__u64 offset; /* in the file: what the probe is attached to */
	struct ebpftls_place label;
	struct ebpftls_place secret;
	struct ebpftls_place length;
	struct ebpftls_place random;
	__u16 name_count;
	__u16 file;	 /* that it is in: as it is told; 0: it is not */
	__u8 strict;	 /* called with these labels only: others are errors */
	__u8 proved;	 /* has given a secret: what is wrong is its caller */
	__u8 complaints; /* so many; more are not sent */
	__u8 reserved;
	struct ebpftls_name names[EBPFTLS_NAMES_MAX];
};

/* Of the ring buffer `complaints`: a hit that no real secret explains. */
struct ebpftls_complaint {
	__u32 hook;
	__u32 why; /* enum ebpftls_why */
};

enum ebpftls_why {
	EBPFTLS_WHY_LABEL,  /* not one of the hook's names */
	EBPFTLS_WHY_LENGTH, /* no secret is that long */
	EBPFTLS_WHY_ZERO,   /* random or secret is all zero */
	EBPFTLS_WHY_FAULT,  /* what should be there cannot be read */
};

#pragma GCC diagnostic pop

/* perf_event_header (8), the raw size (4), and a multiple of 8 below 64 KiB */
#define EBPFTLS_SAMPLE_MAX (65528 - 8 - 4)
#define EBPFTLS_FIRST_MAX                                    \
	(EBPFTLS_SAMPLE_MAX - sizeof(struct ebpftls_frame) - \
	 2 * sizeof(struct ebpftls_owner))

_Static_assert(sizeof(struct ebpftls_frame) == 48, "frame header");
_Static_assert(sizeof(struct ebpftls_verdict) == 16, "verdict");
_Static_assert(sizeof(struct ebpftls_owner) == 48, "owner");
_Static_assert(sizeof(struct ebpftls_wanted) == 24, "wanted");
_Static_assert(sizeof(struct ebpftls_selection) == 8, "selection");
_Static_assert(sizeof(struct ebpftls_counters) == 64, "one cache line");
_Static_assert(sizeof(struct ebpftls_shared) == 200, "shared page");
_Static_assert(sizeof(struct ebpftls_config) == 16, "config");
_Static_assert(sizeof(struct ebpftls_caller) == 16, "caller");
_Static_assert(sizeof(struct ebpftls_secret) == 104, "secret");
_Static_assert(sizeof(struct ebpftls_place) == 24, "place");
_Static_assert(sizeof(struct ebpftls_hook) == 112 + 32 * 16, "hook");

#endif
