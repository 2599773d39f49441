/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel says of a frame when it runs a translated filter. In a
 * network namespace of its own, on one CPU.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "events.h"

/* A frame, and what stands beside its bytes. */
struct sample {
	uint8_t *bytes;
	uint32_t len;
	uint16_t tpid; /* a tag in metadata; 0: none */
	uint16_t tci;
	bool untagged;	  /* the tag has been taken away again */
	uint8_t type;	  /* PACKET_HOST .. PACKET_OTHERHOST */
	uint16_t network; /* offset, whether there or not */

	struct ebpftls_frame frame; /* what the capture program says of it */
};

/* How frames come to the filter. */
enum kernel_way {
	KERNEL_TEST_RUN,
	KERNEL_DEVICE, /* through lo, in several pieces of memory */
};

/* Ends the program when it cannot. */
void kernel_open(void);

void kernel_choose(enum kernel_way way);

/* Whether rejected frames go on to another program, or nowhere. */
void kernel_set_reject(bool reject);

/*
 * Translates a filter and has the kernel take it for all that is judged until
 * the next. Returns what cbpf_translate() does; -EACCES: the verifier refuses
 * it, whose log is then printed.
 */
int kernel_load(const void *program, size_t count, uint32_t link_size,
		bool outgoing);

/* Fills in sample->frame. */
void kernel_describe(struct sample *sample);

/* How many bytes to keep; 0: rejected. */
uint32_t kernel_judge(const struct sample *sample);

/* How much of the frame is in the first piece; of KERNEL_DEVICE. */
uint32_t kernel_first_piece(const struct sample *sample);

/* How many frames have come to the program for rejected ones. */
uint32_t kernel_rejected(void);

void kernel_close(void);

#endif
