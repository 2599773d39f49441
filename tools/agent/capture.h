/* SPDX-License-Identifier: BSD-3-Clause */
/* The capture programs and their perf buffer: the kernel's half. */
#ifndef AGENT_CAPTURE_H
#define AGENT_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "events.h"
#include "failure.h"
#include "owners.h"

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
	size_t ring_size;   /* bytes of data */
	size_t wanted_size; /* it would be, if there were the memory */
	uint32_t cpus;	    /* that are possible */
	bool no_conntrack;  /* though the kernel tracks connections */
};

struct capture_options {
	const struct ebpftls_config *config;
	const struct ebpftls_caller *caller;
	/* What has the maps that the programs share with the hooks, or NULL:
	 * then config->owners must not be set, else it must. */
	const struct owners *owners;
	bool loopback; /* it will be attached to loopback interfaces */
	bool others;   /* and to others */
	bool blind;    /* to modules that come later */
};

/* Loads the programs. Returns 0 or -1; either way capture_close() frees. */
int capture_load(struct capture *capture, const struct capture_options *options,
		 struct failure *failure);

/*
 * Makes a ring for each CPU. `buffer_size` is what the application asked for,
 * 0 for nothing in particular; a ring always has room for one whole frame.
 */
int capture_make_rings(struct capture *capture, uint32_t buffer_size,
		       struct failure *failure);

/*
 * A CPU is there again: see uevents.h. One that was not there when the rings
 * were made has none: what it would write is counted.
 */
void capture_cpu_came(struct capture *capture, uint32_t cpu);

/* A module is there, see uevents.h. */
void capture_module_came(struct capture *capture, const char *name);

/* Whether a program of this capture belongs there. */
bool capture_has(const struct capture *capture, enum ebpftls_slot slot);

/*
 * What frames come to first, in one of the slots IN, OUT and LO: a filter, or
 * with -1 the program that captures; nothing where there is none. Returns 0 or
 * a negative errno.
 */
int capture_set_filter(const struct capture *capture, enum ebpftls_slot slot,
		       int filter);

/* Descriptors of the maps that filters use. */
int capture_programs_fd(const struct capture *capture);
int capture_verdicts_fd(const struct capture *capture);

/* Of the maps that the consumer shares, and of the programs to attach. */
int capture_shared_fd(const struct capture *capture);
int capture_counters_fd(const struct capture *capture);
int capture_doorbell_fd(const struct capture *capture);
int capture_ingress_fd(const struct capture *capture);
int capture_egress_fd(const struct capture *capture);	/* or -1: not loaded */
int capture_loopback_fd(const struct capture *capture); /* likewise */

struct ebpftls_shared *capture_shared(const struct capture *capture);

void capture_close(struct capture *capture);

#endif
