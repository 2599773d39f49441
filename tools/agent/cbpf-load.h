/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translates a filter's loads: of the frame, of what stands beside it, and of
 * the header that the consumer makes. What they do is ebpftls-filter.c's.
 */
#ifndef CBPF_LOAD_H
#define CBPF_LOAD_H

#include "cbpf-code.h"

#define SLL_SIZE  16
#define SLL2_SIZE 20

/* These return what all that translates an instruction does (cbpf-code.h). */
int cbpf_load_absolute(struct translation *t, const struct sock_filter *insn);
int cbpf_load_indirect(struct translation *t, const struct sock_filter *insn);

/* X becomes the length of the IPv4 header at k, and A stays. */
int cbpf_load_header_length(struct translation *t, uint32_t k);

#endif
