/* SPDX-License-Identifier: BSD-3-Clause */
/* The consumer's filter, as programs that frames come to before the capture. */
#ifndef AGENT_FILTER_H
#define AGENT_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>

#include "capture.h"
#include "ebpftls-control.h"

struct filter {
	struct sock_filter *program; /* as far as it has come */
	uint32_t total;
	uint32_t count;
	uint32_t link_size;
	int answer; /* where the answer goes, while one is due */
};

/* Before anything has come. */
void filter_init(struct filter *filter);

/*
 * Takes in one part. `answer` is a connection that comes with the first, else
 * -1, and is the filter's from now on. When it is the last part, the capture
 * is put behind the filter and the consumer told so; where that cannot be,
 * all frames are captured, and the consumer told why. Returns false if the
 * part is not one to be expected here.
 */
bool filter_take(struct filter *filter, const struct ebpftls_filter_part *part,
		 int answer, const struct capture *capture);

/*
 * Whether the kernel takes filters for this capture: returns 0, or the negative
 * errno with which it refuses them.
 */
int filter_try(const struct capture *capture);

void filter_close(struct filter *filter);

#endif
