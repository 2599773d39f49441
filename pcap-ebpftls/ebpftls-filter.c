// SPDX-License-Identifier: BSD-3-Clause
/* Judges packets by a classic BPF program. */
#include "ebpftls-filter.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The kernel's <linux/filter.h> and <pcap/bpf.h> define the same names, so
 * its offsets for metadata are spelled out. They are part of its interface.
 */
#define METADATA	  (UINT32_MAX - 0x1000 + 1)
#define NEGATIVE	  (UINT32_MAX - 0x200000 + 1)
#define METADATA_PROTOCOL 0
#define METADATA_PKTTYPE  4
#define METADATA_IFINDEX  8
#define METADATA_TCI	  44
#define METADATA_TAGGED	  48
#define METADATA_TPID	  60

struct ebpftls_filter_load {
	size_t at; /* index of the instruction */
	uint32_t what;
};

static bool
is_absolute_load(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_LD &&
	       BPF_MODE(insn->code) == BPF_ABS;
}

static uint32_t
metadata(const struct ebpftls_frame *frame, uint32_t what)
{
	switch (what) {
	case METADATA_PROTOCOL:
		return ntohs(frame->protocol);
	case METADATA_PKTTYPE:
		return frame->pkttype;
	case METADATA_IFINDEX:
		return frame->ifindex;
	case METADATA_TCI:
		return frame->vlan_tci;
	case METADATA_TAGGED:
		return frame->vlan_tpid != 0;
	default: /* METADATA_TPID; set() lets nothing else through */
		return ntohs(frame->vlan_tpid);
	}
}

static bool
known(uint32_t what)
{
	switch (what) {
	case METADATA_PROTOCOL:
	case METADATA_PKTTYPE:
	case METADATA_IFINDEX:
	case METADATA_TCI:
	case METADATA_TAGGED:
	case METADATA_TPID:
		return true;
	default:
		return false;
	}
}

/* Makes constants of the loads of metadata, and remembers where they are. */
static int
replace_loads(struct ebpftls_filter *filter, char *text, size_t size)
{
	for (size_t i = 0; i < filter->program.bf_len; i++) {
		struct bpf_insn *insn = &filter->program.bf_insns[i];

		if (!is_absolute_load(insn) || insn->k < NEGATIVE)
			continue;
		if (insn->k < METADATA || !known(insn->k - METADATA)) {
			snprintf(text, size,
				 "the filter loads from offset %d, which "
				 "ebpftls does not know",
				 (int)insn->k);
			return -1;
		}
		filter->loads[filter->load_count].at = i;
		filter->loads[filter->load_count].what = insn->k - METADATA;
		filter->load_count++;
		insn->code = BPF_LD | BPF_IMM;
	}
	return 0;
}

int
ebpftls_filter_set(struct ebpftls_filter *filter,
		   const struct bpf_program *program, char *text, size_t size)
{
	struct ebpftls_filter new = { { program->bf_len, NULL }, NULL, 0 };
	size_t length = program->bf_len;

	new.program.bf_insns = calloc(length, sizeof(*program->bf_insns));
	new.loads = calloc(length, sizeof(*new.loads));
	if (new.program.bf_insns == NULL || new.loads == NULL) {
		snprintf(text, size, "no memory for the filter");
		ebpftls_filter_free(&new);
		return -1;
	}
	memcpy(new.program.bf_insns, program->bf_insns,
	       length * sizeof(*program->bf_insns));
	if (replace_loads(&new, text, size) != 0) {
		ebpftls_filter_free(&new);
		return -1;
	}
	ebpftls_filter_free(filter);
	*filter = new;
	return 0;
}

u_int
ebpftls_filter_run(struct ebpftls_filter *filter,
		   const struct ebpftls_frame *frame,
		   const struct ebpftls_packet *packet)
{
	struct pcap_pkthdr header = { .len = 0 };

	if (filter->program.bf_insns == NULL)
		return UINT32_MAX;
	for (size_t i = 0; i < filter->load_count; i++)
		filter->program.bf_insns[filter->loads[i].at].k =
		    metadata(frame, filter->loads[i].what);
	header.len = packet->filter_len;
	header.caplen = packet->caplen;
	return (u_int)pcap_offline_filter(&filter->program, &header,
					  packet->bytes);
}

void
ebpftls_filter_free(struct ebpftls_filter *filter)
{
	free(filter->program.bf_insns);
	free(filter->loads);
	filter->program.bf_insns = NULL;
	filter->loads = NULL;
	filter->load_count = 0;
}
