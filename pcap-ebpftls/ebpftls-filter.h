/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judges packets by a classic BPF program, including what pcap_compile()
 * emits for live Linux handles only: loads of metadata, which libpcap's own
 * interpreter does not know. They are the same for a whole packet, so they are
 * replaced by loads of constants, filled in before each run.
 */
#ifndef EBPFTLS_FILTER_H
#define EBPFTLS_FILTER_H

#include <pcap/pcap.h>
#include <stddef.h>

#include "ebpftls-frame.h"
#include "events.h"

struct ebpftls_filter {
	struct bpf_program program; /* no instructions: everything passes */
	struct ebpftls_filter_load *loads;
	size_t load_count;
};

/*
 * Takes a copy of a program that libpcap has found valid. Returns 0, or -1
 * with a text; then the filter is what it was before.
 */
int ebpftls_filter_set(struct ebpftls_filter *filter,
		       const struct bpf_program *program, char *text,
		       size_t size);

/* How many bytes of the packet to keep; 0: it does not pass. */
u_int ebpftls_filter_run(struct ebpftls_filter *filter,
			 const struct ebpftls_frame *frame,
			 const struct ebpftls_packet *packet);

void ebpftls_filter_free(struct ebpftls_filter *filter);

#endif
