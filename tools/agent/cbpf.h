/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes extended BPF for TC of a classic program, as libpcap's filters are.
 * The result judges a frame as the module does in user space
 * (ebpftls-filter.h), but by the whole frame.
 */
#ifndef CBPF_H
#define CBPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* <linux/filter.h>, <linux/bpf.h>; libpcap's headers call both bpf_insn */
struct sock_filter;
struct bpf_insn;

struct cbpf_options {
	bool outgoing; /* the packet type is PACKET_OUTGOING */
	/*
	 * Of the header that the consumer makes and the filter was compiled
	 * for: 0 none, the frame is as it is; 16 SLL, 20 SLL2. Of it the
	 * protocol, the packet type and the interface can be read; behind it
	 * is what stands in the frame at ebpftls_verdict.network.
	 */
	uint32_t link_size;
	int verdict_fd;	 /* per-CPU array of one struct ebpftls_verdict */
	int programs_fd; /* array of programs */
	uint32_t accept; /* slot to go on with, ebpftls_verdict.keep set */
	int reject;	 /* slot to go on with, or -1: return TC_ACT_UNSPEC */
};

/*
 * Returns how many instructions it made, which the caller frees, or a negative
 * error: -EINVAL: the program is malformed; -ENOTSUP: it loads what cannot be
 * told here, or loops; -E2BIG: it is too long; -ENOMEM. The descriptors may be
 * anything until the result is loaded.
 */
int cbpf_translate(const struct sock_filter *program, size_t count,
		   const struct cbpf_options *options, struct bpf_insn **insns);

#endif
