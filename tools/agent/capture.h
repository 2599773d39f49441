/* SPDX-License-Identifier: BSD-3-Clause */
/* The capture programs and their perf buffer: the kernel's half. */
#ifndef AGENT_CAPTURE_H
#define AGENT_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

#include "events.h"
#include "failure.h"

struct capture_ring {
	uint32_t cpu;
	int fd;
	void *pages; /* mapped as long as the capture lives: then the
		      * consumer may map them without any privilege */
};

struct capture {
	struct capture_bpf *skeleton;
	struct capture_ring *rings;
	size_t ring_count;
	size_t ring_size; /* bytes of data */
	uint32_t cpus;	  /* that are possible */
};

/* Loads the programs. Returns 0 or -1; either way capture_close() frees. */
int capture_load(struct capture *capture, const struct ebpftls_config *config,
		 struct failure *failure);

/*
 * Makes a ring for each CPU. `buffer_size` is what the application asked for,
 * 0 for nothing in particular; a ring always has room for one whole frame.
 */
int capture_make_rings(struct capture *capture, uint32_t buffer_size,
		       struct failure *failure);

/* Descriptors of the maps that the consumer shares, and of the programs. */
int capture_shared_fd(const struct capture *capture);
int capture_counters_fd(const struct capture *capture);
int capture_doorbell_fd(const struct capture *capture);
int capture_ingress_fd(const struct capture *capture);
int capture_egress_fd(const struct capture *capture);

struct ebpftls_shared *capture_shared(const struct capture *capture);

void capture_close(struct capture *capture);

#endif
