// SPDX-License-Identifier: BSD-3-Clause
/*
 * Attaches the capture programs: by TCX links, which end with their
 * descriptor, where the kernel has them, else by filters on a clsact qdisc.
 */
#define _GNU_SOURCE

#include "attach.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "clsact.h"

/* Not in the headers of the oldest libbpf; numbers of the kernel's ABI. */
#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_EGRESS  ((enum bpf_attach_type)47)
#define TCX_BEFORE  (1U << 3)

static int
attach_tcx(int program, int ifindex, enum bpf_attach_type type)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = TCX_BEFORE);
	int fd = bpf_link_create(program, ifindex, type, &options);

	return fd < 0 ? -errno : fd;
}

static void
detach(struct attachment *attachment)
{
	for (int i = 0; i < 2; i++)
		if (attachment->links[i] >= 0)
			close(attachment->links[i]);
}

/* A kernel without TCX does not know the attach types: EINVAL. */
static int
attach_links(struct attachments *attachments, const int programs[2],
	     int ifindex, struct attachment *new)
{
	static const enum bpf_attach_type types[] = { TCX_INGRESS, TCX_EGRESS };

	/* on lo what goes out is looked at before it comes in again */
	for (int i = 1; i >= 0; i--) {
		if (programs[i] < 0)
			continue;
		new->links[i] = attach_tcx(programs[i], ifindex, types[i]);
		if (new->links[i] == -EINVAL && attachments->count == 0) {
			attachments->clsact = true;
			return 0;
		}
		if (new->links[i] < 0)
			return new->links[i];
	}
	return 0;
}

static bool
make_space(struct attachments *attachments)
{
	size_t space = attachments->space ? 2 * attachments->space : 8;
	struct attachment *list;

	if (attachments->count < attachments->space)
		return true;
	list = realloc(attachments->list, space * sizeof(*list));
	if (list == NULL)
		return false;
	attachments->list = list;
	attachments->space = space;
	return true;
}

static struct attachment *
find(struct attachments *attachments, int ifindex)
{
	for (size_t i = 0; i < attachments->count; i++)
		if (attachments->list[i].ifindex == ifindex)
			return &attachments->list[i];
	return NULL;
}

int
attach_add(struct attachments *attachments, const struct link *link)
{
	struct attachment new = { link->ifindex, { -1, -1 } };
	int programs[2] = { attachments->programs[0],
			    link->flags & IFF_LOOPBACK
				? attachments->loopback
				: attachments->programs[1] };
	int error = 0;

	if (find(attachments, link->ifindex) != NULL)
		return 0;
	if (!make_space(attachments))
		return -ENOMEM;
	if (!attachments->clsact)
		error =
		    attach_links(attachments, programs, link->ifindex, &new);
	if (error == 0 && attachments->clsact)
		error = clsact_attach(programs, link->ifindex);
	if (error != 0) {
		detach(&new);
		return error;
	}
	attachments->list[attachments->count++] = new;
	return 0;
}

void
attach_forget(struct attachments *attachments, int ifindex)
{
	struct attachment *gone = find(attachments, ifindex);

	if (gone == NULL)
		return;
	detach(gone);
	*gone = attachments->list[--attachments->count];
}

void
attach_close(struct attachments *attachments)
{
	for (size_t i = 0; i < attachments->count; i++)
		detach(&attachments->list[i]);
	if (attachments->clsact)
		clsact_detach();
	free(attachments->list);
	attachments->list = NULL;
	attachments->count = attachments->space = 0;
}
