/* SPDX-License-Identifier: BSD-3-Clause */
/* What pcap-ebpftls.c and pcap-ebpftls-dump.c keep for one pcap_t. */
#ifndef PCAP_EBPFTLS_HANDLE_H
#define PCAP_EBPFTLS_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpftls-client.h"
#include "ebpftls-clock.h"
#include "ebpftls-device.h"
#include "ebpftls-filter.h"
#include "ebpftls-frame.h"
#include "ebpftls-keylog.h"
#include "ebpftls-names.h"
#include "ebpftls-order.h"
#include "ebpftls-pages.h"
#include "ebpftls-recent.h"
#include "ebpftls-savefile.h"
#include "ebpftls-secrets.h"
#include "ebpftls-target.h"
#include "ebpftls-wait.h"

/* Of a device: what is said of it in lists and files. */
#define EBPFTLS_DESCRIPTION "%s, captured by eBPF"

/* The packet that the application's callback has in hand. */
struct pcap_ebpftls_current {
	const u_char *bytes; /* NULL: there is none */
	struct pcap_pkthdr header;
	uint8_t direction;		      /* of epb_flags */
	uint32_t dropped;		      /* since the packet before it */
	const struct ebpftls_owner *sender;   /* NULL: nobody here */
	const struct ebpftls_owner *receiver; /* likewise */
};

/* Of the file that dumpcap writes, if it is to be sealed: docs/sealing.md. */
struct pcap_ebpftls_journal {
	bool looked; /* for that file */
	struct ebpftls_target target;
	FILE *file; /* NULL: there is no journal */
	struct ebpftls_savefile *save;
	uint64_t flushed; /* monotonic */

	/* what may not be written yet, if another file may follow and another
	 * thread writes them; or NULL */
	struct ebpftls_recent *recent;
};

struct pcap_ebpftls {
	pcap_t *pcap;
	struct ebpftls_device device;
	struct ebpftls_client client;
	struct ebpftls_pages pages;
	struct ebpftls_order order;
	struct ebpftls_wait wait;
	uint64_t pause; /* until young frames are looked for: nanoseconds */
	bool pausing;	/* not over, and nothing else is to be read */
	struct ebpftls_filter *filter;	    /* NULL: all packets pass */
	struct ebpftls_filter *next_filter; /* to be taken over */
	struct ebpftls_failure no_filter;   /* in the kernel: why, or "" */
	struct ebpftls_clock clock;
	struct ebpftls_failure end; /* why the capture ended */

	enum ebpftls_link link; /* with PKTAP: behind its header */
	int snapshot;		/* without that header, unlike p->snapshot */
	struct ebpftls_names names;
	bool any;
	bool started;
	bool ended;
	bool nonblock;
	bool selects;	   /* the application may */
	bool got_frames;   /* in the last pass, wanted or not */
	bool came;	   /* some, since all had been taken */
	uint64_t told;	   /* by the agent, as far as it has been heard */
	uint64_t heard;	   /* monotonic time of that */
	uint64_t rejected; /* frames that did not pass here */
	uint64_t if_drops; /* the interface's, when the capture began */

	struct pcap_ebpftls_current current;
	uint64_t dropped;  /* frames, of which the savefiles know */
	uint64_t now;	   /* monotonic time of the pass over the rings */
	unsigned int tick; /* nanoseconds of a unit of tv_usec */

	bool asked;			   /* the agent, for secrets */
	struct ebpftls_failure no_secrets; /* why there are none, or "" */
	int secrets_fd;
	struct ebpftls_secret_ring secrets;
	uint32_t secrets_lost;
	uint32_t answers;	       /* about processes, from the agent */
	struct ebpftls_people *people; /* NULL: packets have no owners */
	uint64_t boot; /* wall clock time of the machine's start */
	struct ebpftls_keylog keylog;
	struct ebpftls_savefiles savefiles;
	struct pcap_ebpftls_journal journal;
	char comment[4096]; /* on the capture, at a file's end */
};

bool pcap_ebpftls_is(const pcap_t *p);

uint64_t pcap_ebpftls_monotonic(void);

/* Whatever a capture needs before its first packet. Returns 0 or -1. */
int pcap_ebpftls_ensure_started(pcap_t *p);

int pcap_ebpftls_stats(pcap_t *p, struct pcap_stat *stats);

/* Makes ready for what the agent says of processes. Returns 0 or -errno. */
int pcap_ebpftls_meet_people(struct pcap_ebpftls *handle);

/* Opens the key log; at activation, with the privileges of that moment. */
int pcap_ebpftls_open_keylog(pcap_t *p);

/*
 * Has secrets taken from now on, if that is wanted and possible: `no_secrets`
 * says why not. Returns 0 or a negative errno.
 */
int pcap_ebpftls_take_secrets(struct pcap_ebpftls *handle);

/* Hands on the secrets that have come, and what waited for them. */
void pcap_ebpftls_work(struct pcap_ebpftls *handle, uint64_t now);

/*
 * At activation: whether sealing is what this handle is likely to be for. Then
 * secrets are taken from now on, and errbuf says what will happen.
 */
bool pcap_ebpftls_announce_seal(pcap_t *p);

/* Before packets are delivered, each of them, and after. */
void pcap_ebpftls_begin_journal(pcap_t *p);
void pcap_ebpftls_journal(pcap_t *p, const struct pcap_pkthdr *header,
			  const u_char *bytes);
void pcap_ebpftls_flush_journal(struct pcap_ebpftls *handle);

/* At the capture's end, before savefiles are closed; and after. */
void pcap_ebpftls_last_journal(struct pcap_ebpftls *handle);
void pcap_ebpftls_end_journal(struct pcap_ebpftls *handle);

/* Ends all savefiles and the key log. */
void pcap_ebpftls_end_dumps(struct pcap_ebpftls *handle);

#endif
