/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the module inside libpcap and the agent say to each other, over one
 * SOCK_SEQPACKET connection per capture: fixed-size messages, each with a
 * header that names version, type and size. A receiver refuses every message
 * whose three do not fit, and takes no string that is not terminated.
 *
 *	module -> agent   OPEN, for the network namespace that the connection
 *	                  was made in
 *	agent -> module   ERROR, and the end of the connection; or
 *	                  OPENED with the descriptors of the shared pages, then
 *	                  RINGS, as often as the perf descriptors need it;
 *	                  later, at most once, GONE
 *	                  and PROCESS, as soon as there is a frame of one, and
 *	                  again when it runs another program; not for all,
 *	                  where there are very many
 *	module -> agent   SECRETS, at most once, at any time after that
 *	agent -> module   SECRETS_ON with the descriptor of the ring buffer, or
 *	                  SECRETS_OFF and why; the capture goes on;
 *	                  after that NOTE, as often as something becomes of
 *	                  the secrets that their reader should know,
 *	                  and LIBRARY for each file that gives them
 *	module -> agent   HOOKED, a question about a process
 *	agent -> module   HOOKED, its answer
 *	module -> agent   FILTER, as often as a filter needs it, at any time
 *	                  after OPENED; the first with one descriptor, the end
 *	                  of another such connection, for the answer: who sets
 *	                  a filter need not be who reads this one
 *	agent -> module   FILTER_ON or FILTER_OFF, there
 *
 * If OPEN asks for a check only, the agent does what it does for a capture, but
 * hands nothing over and takes no frames:
 *
 *	agent -> module   FINDING, as often as there is something to tell, and
 *	                  one of no part when that was all
 *
 * The connection is the capture: when either side closes it, the agent takes
 * everything down and exits.
 */
#ifndef EBPFTLS_CONTROL_H
#define EBPFTLS_CONTROL_H

#include <stdint.h>

#include "events.h"

#define EBPFTLS_CONTROL_MAGIC	0x65624c53
#define EBPFTLS_CONTROL_VERSION 1

#define EBPFTLS_NAME_SIZE  16 /* IFNAMSIZ */
#define EBPFTLS_NETNS_SIZE 256
#define EBPFTLS_TEXT_SIZE  256 /* PCAP_ERRBUF_SIZE */
#define EBPFTLS_RINGS_MAX  64  /* the kernel's limit is 253 descriptors */

/* An Ethernet header with the tags of any frame that is seen in practice. */
#define EBPFTLS_LINK_HEADER_MAX 32

/* libpcap's largest snapshot length, of a frame whose header is replaced */
#define EBPFTLS_SNAPLEN_MAX (262144 + EBPFTLS_LINK_HEADER_MAX)

enum ebpftls_message {
	EBPFTLS_OPEN = 1,
	EBPFTLS_OPENED,
	EBPFTLS_RINGS,
	EBPFTLS_ERROR,
	EBPFTLS_GONE,
	EBPFTLS_SECRETS,
	EBPFTLS_SECRETS_ON,
	EBPFTLS_SECRETS_OFF,
	EBPFTLS_NOTE,
	EBPFTLS_PROCESS,
	EBPFTLS_HOOKED,
	EBPFTLS_FINDING,
	EBPFTLS_FILTER,
	EBPFTLS_FILTER_ON,
	EBPFTLS_FILTER_OFF,
	EBPFTLS_LIBRARY,
};

/* Why there is no capture; each has its PCAP_ERROR_ code. */
enum ebpftls_reason {
	EBPFTLS_REASON_OTHER = 1,
	EBPFTLS_REASON_NO_SUCH_DEVICE,
	EBPFTLS_REASON_NOT_UP,
	EBPFTLS_REASON_NO_PERMISSION,
	EBPFTLS_REASON_NO_PROMISC_PERMISSION,
	EBPFTLS_REASON_NOT_SUPPORTED,
};

struct ebpftls_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t size; /* of the whole message */
};

#define EBPFTLS_WANTS_MAX 32 /* of each kind */

/*
 * Which processes the capture is for: of each kind that has values one must
 * fit. None at all: all processes.
 */
struct ebpftls_wants {
	uint32_t count[EBPFTLS_WANTS]; /* by enum ebpftls_want */
	uint32_t pid[EBPFTLS_WANTS_MAX];
	uint32_t uid[EBPFTLS_WANTS_MAX]; /* effective */
	char comm[EBPFTLS_WANTS_MAX][EBPFTLS_NAME_SIZE];
	char exe[EBPFTLS_WANTS_MAX][EBPFTLS_TEXT_SIZE];
	char cgroup[EBPFTLS_WANTS_MAX][EBPFTLS_TEXT_SIZE]; /* path, or a
							    * container's id */
	uint8_t children; /* and whom they fork */
	uint8_t unknown;  /* and packets of which no process is known */
	uint8_t reserved[2];
};

struct ebpftls_open {
	struct ebpftls_header header;
	uint32_t snaplen;
	uint32_t buffer_size; /* bytes; 0: the agent's default */
	uint8_t promisc;
	uint8_t immediate;
	uint8_t owners; /* say whose each frame is; `wants` need it */
	uint8_t check;	/* say what a capture would get, and end */
	char interface[EBPFTLS_NAME_SIZE]; /* or "any" */
	char netns[EBPFTLS_NETNS_SIZE];	   /* name, path, pid; "": its own */
	struct ebpftls_wants wants;
};

/*
 * The descriptors that come with OPENED, in this order. The last three are
 * there only if `present` has their bit.
 */
enum ebpftls_descriptor {
	EBPFTLS_FD_SHARED,   /* map of one struct ebpftls_shared */
	EBPFTLS_FD_COUNTERS, /* map of struct ebpftls_counters, by CPU */
	EBPFTLS_FD_DOORBELL, /* ring buffer map, one page of data */
	EBPFTLS_FD_AGENT,    /* pidfd: readable when all is taken down */
	EBPFTLS_FD_PACKET,   /* packet socket, for what is injected */
	EBPFTLS_FD_MISSED,   /* statistics/rx_missed_errors of the interface */
	EBPFTLS_FD_FIFO,     /* statistics/rx_fifo_errors */
	EBPFTLS_FDS
};

struct ebpftls_opened {
	struct ebpftls_header header;
	uint32_t present;   /* bits 1 << EBPFTLS_FD_* */
	uint32_t rings;	    /* how many perf descriptors will come */
	uint32_t counters;  /* entries of the counters map */
	uint32_t ring_size; /* bytes of data in each, a power of two */
	uint32_t hatype;    /* ARPHRD_*; meaningless for "any" */
	char no_owners[EBPFTLS_TEXT_SIZE]; /* why frames have none, or "" */
};

/* With `count` descriptors, of the rings of the CPUs named here. */
struct ebpftls_rings {
	struct ebpftls_header header;
	uint32_t count;
	uint32_t cpu[EBPFTLS_RINGS_MAX];
};

struct ebpftls_error {
	struct ebpftls_header header;
	uint32_t reason;
	char text[EBPFTLS_TEXT_SIZE];
};

/* The interface disappeared. */
struct ebpftls_gone {
	struct ebpftls_header header;
};

/* Take the TLS secrets of all processes. */
struct ebpftls_secrets {
	struct ebpftls_header header;
};

/*
 * Whatever has TLS code mapped now, or is found in the folders of libraries,
 * is hooked. With one descriptor: the ring buffer map secret_events.
 */
struct ebpftls_secrets_on {
	struct ebpftls_header header;
	uint32_t size;	/* bytes of data in the ring, a power of two */
	uint32_t files; /* that have hooks */
};

struct ebpftls_secrets_off {
	struct ebpftls_header header;
	uint32_t reason;
	char text[EBPFTLS_TEXT_SIZE];
};

struct ebpftls_note {
	struct ebpftls_header header;
	char text[EBPFTLS_TEXT_SIZE];
};

/* Secrets with this number come from this file. */
struct ebpftls_library {
	struct ebpftls_header header;
	uint32_t file;
	char path[EBPFTLS_TEXT_SIZE]; /* cut where it does not fit */
};

enum ebpftls_state {
	EBPFTLS_STATE_OK,
	EBPFTLS_STATE_LIMITED,
	EBPFTLS_STATE_NO,
};

/* What a check found about one part of a capture. */
struct ebpftls_finding {
	struct ebpftls_header header;
	uint32_t state;
	char part[EBPFTLS_NAME_SIZE]; /* packets, processes, ...; "": the end */
	char text[EBPFTLS_TEXT_SIZE];
	char remedy[EBPFTLS_TEXT_SIZE]; /* a command, or what to do, or "" */
};

#define EBPFTLS_COMMAND_SIZE   1024
#define EBPFTLS_CONTAINER_SIZE 72

/*
 * What is not known, as the process has gone or hides it, is 0 or "". Texts
 * are cut where they do not fit, and may hold any byte.
 */
struct ebpftls_process {
	struct ebpftls_header header;
	uint32_t pid;
	uint64_t start; /* nanoseconds since boot; with pid: which process */
	uint32_t parent;
	uint32_t uid;
	char comm[EBPFTLS_NAME_SIZE];
	char exe[EBPFTLS_TEXT_SIZE];
	char command[EBPFTLS_COMMAND_SIZE]; /* arguments, a space between */
	char cgroup[EBPFTLS_TEXT_SIZE];
	char container[EBPFTLS_CONTAINER_SIZE]; /* id */
};

enum ebpftls_answer {
	EBPFTLS_NOT_KNOWN,
	EBPFTLS_NOT_HOOKED,
	EBPFTLS_IS_HOOKED,
	EBPFTLS_HAS_ENDED, /* what it gave is in the ring */
};

/*
 * Does this process have code mapped from which secrets are taken? The answer
 * is the question with `answer` filled in. It holds for all that the process
 * did before the question was sent; what it maps after that may change it.
 */
struct ebpftls_hooked {
	struct ebpftls_header header;
	uint32_t pid;
	uint64_t start;
	uint64_t number; /* which question of this process it is */
	uint32_t answer; /* enum ebpftls_answer */
};

#define EBPFTLS_FILTER_MAX 4096 /* instructions, as for the kernel's own */
#define EBPFTLS_PART_MAX   250

/* As the kernel and libpcap have it. */
struct ebpftls_instruction {
	uint16_t code;
	uint8_t jt;
	uint8_t jf;
	uint32_t k;
};

/*
 * A part of a filter for all frames from now on; the last part completes it.
 * They come in their order, and with 0 a new filter begins. An empty one,
 * which is one message, lets everything pass.
 */
struct ebpftls_filter_part {
	struct ebpftls_header header;
	uint32_t link_size; /* of the header that the module makes, or 0 */
	uint32_t total;	    /* instructions of the filter */
	uint32_t first;	    /* of them, in this part */
	uint32_t count;	    /* at least one, unless there are none at all */
	struct ebpftls_instruction instructions[EBPFTLS_PART_MAX];
};

/* No frame passes any more that the filter does not select. */
struct ebpftls_filter_on {
	struct ebpftls_header header;
	uint32_t settled; /* 1; 0: there may still be some */
};

/* All frames pass. */
struct ebpftls_filter_off {
	struct ebpftls_header header;
	char text[EBPFTLS_TEXT_SIZE]; /* why */
};

union ebpftls_any_message {
	struct ebpftls_header header;
	struct ebpftls_open open;
	struct ebpftls_opened opened;
	struct ebpftls_rings rings;
	struct ebpftls_error error;
	struct ebpftls_gone gone;
	struct ebpftls_secrets secrets;
	struct ebpftls_secrets_on secrets_on;
	struct ebpftls_secrets_off secrets_off;
	struct ebpftls_note note;
	struct ebpftls_process process;
	struct ebpftls_hooked hooked;
	struct ebpftls_finding finding;
	struct ebpftls_filter_part filter_part;
	struct ebpftls_filter_on filter_on;
	struct ebpftls_filter_off filter_off;
	struct ebpftls_library library;
};

#endif
