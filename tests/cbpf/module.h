/* SPDX-License-Identifier: BSD-3-Clause */
/* What the module itself says of a frame: its filter on its packet. */
#ifndef MODULE_H
#define MODULE_H

#include <linux/if_packet.h>

#include "cbpf/kernel.h"
#include "ebpftls-filter.h"
#include "unit/check.h"

#define MODULE_LINKS 3 /* as is, SLL, SLL2 */

/* A frame as the module sees it, for one kind of filter. */
struct view {
	struct ebpftls_ring ring;
	struct ebpftls_packet packet;
};

/* A frame, on its way in and on its way out. */
struct subject {
	struct sample sample;
	struct view views[MODULE_LINKS][2];
};

static inline enum ebpftls_link
module_link(uint32_t number)
{
	static const enum ebpftls_link links[MODULE_LINKS] = {
		EBPFTLS_LINK_AS_IS, EBPFTLS_LINK_SLL, EBPFTLS_LINK_SLL2
	};

	return links[number];
}

static inline void
module_view(struct view *view, const struct sample *sample, uint32_t link,
	    bool outgoing)
{
	struct ebpftls_ring *ring = &view->ring;

	ring->state = EBPFTLS_RING_FRAME;
	ring->frame = sample->frame;
	if (outgoing)
		ring->frame.pkttype = PACKET_OUTGOING;
	ring->bytes = sample->bytes;
	ring->capacity = sample->len;
	ring->assembly = malloc(EBPFTLS_HEADROOM + (size_t)sample->len);
	if (ring->assembly == NULL)
		abort();
	ebpftls_frame_link(&view->packet, ring, module_link(link));
}

/* Takes over the sample's bytes; its frame has been described. */
static inline void
module_see(struct subject *subject, const struct sample *sample)
{
	memset(subject, 0, sizeof(*subject));
	subject->sample = *sample;
	for (uint32_t i = 0; i < MODULE_LINKS; i++) {
		module_view(&subject->views[i][0], sample, i, false);
		module_view(&subject->views[i][1], sample, i, true);
	}
}

static inline void
module_forget(struct subject *subject)
{
	for (uint32_t i = 0; i < MODULE_LINKS; i++) {
		free(subject->views[i][0].ring.assembly);
		free(subject->views[i][1].ring.assembly);
	}
	free(subject->sample.bytes);
}

static inline uint32_t
module_judge(struct ebpftls_filter *filter, const struct subject *subject,
	     uint32_t link, bool outgoing)
{
	const struct view *view = &subject->views[link][outgoing];

	return ebpftls_filter_run(filter, &view->ring.frame, &view->packet);
}

#endif
