// SPDX-License-Identifier: BSD-3-Clause
/* Sends and receives the messages of ebpftls-control.h; both sides use it. */
#define _GNU_SOURCE

#include "ebpftls-control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ebpftls-control-io.h"

static const size_t sizes[] = {
	[EBPFTLS_OPEN] = sizeof(struct ebpftls_open),
	[EBPFTLS_OPENED] = sizeof(struct ebpftls_opened),
	[EBPFTLS_RINGS] = sizeof(struct ebpftls_rings),
	[EBPFTLS_ERROR] = sizeof(struct ebpftls_error),
	[EBPFTLS_GONE] = sizeof(struct ebpftls_gone),
	[EBPFTLS_SECRETS] = sizeof(struct ebpftls_secrets),
	[EBPFTLS_SECRETS_ON] = sizeof(struct ebpftls_secrets_on),
	[EBPFTLS_SECRETS_OFF] = sizeof(struct ebpftls_secrets_off),
	[EBPFTLS_NOTE] = sizeof(struct ebpftls_note),
	[EBPFTLS_PROCESS] = sizeof(struct ebpftls_process),
	[EBPFTLS_HOOKED] = sizeof(struct ebpftls_hooked),
	[EBPFTLS_FINDING] = sizeof(struct ebpftls_finding),
	[EBPFTLS_FILTER] = sizeof(struct ebpftls_filter_part),
	[EBPFTLS_FILTER_ON] = sizeof(struct ebpftls_filter_on),
	[EBPFTLS_FILTER_OFF] = sizeof(struct ebpftls_filter_off),
	[EBPFTLS_LIBRARY] = sizeof(struct ebpftls_library),
};

static bool
terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool
are_wants(const struct ebpftls_wants *wants, bool owners)
{
	for (int i = 0; i < EBPFTLS_WANTS; i++)
		if (wants->count[i] > (owners ? EBPFTLS_WANTS_MAX : 0))
			return false;
	for (int i = 0; i < EBPFTLS_WANTS_MAX; i++)
		if (!terminated(wants->comm[i], sizeof(wants->comm[i])) ||
		    !terminated(wants->exe[i], sizeof(wants->exe[i])) ||
		    !terminated(wants->cgroup[i], sizeof(wants->cgroup[i])))
			return false;
	return true;
}

static bool
is_process(const struct ebpftls_process *process)
{
	return terminated(process->comm, sizeof(process->comm)) &&
	       terminated(process->exe, sizeof(process->exe)) &&
	       terminated(process->command, sizeof(process->command)) &&
	       terminated(process->cgroup, sizeof(process->cgroup)) &&
	       terminated(process->container, sizeof(process->container));
}

static bool
is_finding(const struct ebpftls_finding *finding)
{
	return finding->state <= EBPFTLS_STATE_NO &&
	       terminated(finding->part, sizeof(finding->part)) &&
	       terminated(finding->text, sizeof(finding->text)) &&
	       terminated(finding->remedy, sizeof(finding->remedy));
}

static bool
is_part(const struct ebpftls_filter_part *part)
{
	if (part->total == 0)
		return part->first == 0 && part->count == 0;
	return part->total <= EBPFTLS_FILTER_MAX && part->first < part->total &&
	       part->count > 0 && part->count <= EBPFTLS_PART_MAX &&
	       part->count <= part->total - part->first;
}

bool
ebpftls_control_valid(const union ebpftls_any_message *message, size_t size)
{
	const struct ebpftls_header *header = &message->header;

	if (size < sizeof(*header) || header->magic != EBPFTLS_CONTROL_MAGIC ||
	    header->version != EBPFTLS_CONTROL_VERSION || header->type == 0 ||
	    header->type >= sizeof(sizes) / sizeof(sizes[0]) ||
	    header->size != size || sizes[header->type] != size)
		return false;
	switch (header->type) {
	case EBPFTLS_OPEN:
		return terminated(message->open.interface,
				  sizeof(message->open.interface)) &&
		       terminated(message->open.netns,
				  sizeof(message->open.netns)) &&
		       are_wants(&message->open.wants, message->open.owners);
	case EBPFTLS_OPENED:
		return terminated(message->opened.no_owners,
				  sizeof(message->opened.no_owners));
	case EBPFTLS_RINGS:
		return message->rings.count <= EBPFTLS_RINGS_MAX;
	case EBPFTLS_ERROR:
		return terminated(message->error.text,
				  sizeof(message->error.text));
	case EBPFTLS_SECRETS_OFF:
		return terminated(message->secrets_off.text,
				  sizeof(message->secrets_off.text));
	case EBPFTLS_NOTE:
		return terminated(message->note.text,
				  sizeof(message->note.text));
	case EBPFTLS_PROCESS:
		return is_process(&message->process);
	case EBPFTLS_FINDING:
		return is_finding(&message->finding);
	case EBPFTLS_FILTER:
		return is_part(&message->filter_part);
	case EBPFTLS_FILTER_OFF:
		return terminated(message->filter_off.text,
				  sizeof(message->filter_off.text));
	case EBPFTLS_LIBRARY:
		return terminated(message->library.path,
				  sizeof(message->library.path));
	default:
		return true;
	}
}

int
ebpftls_control_send(int sock, union ebpftls_any_message *message,
		     enum ebpftls_message type, const int *fds, size_t count)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(EBPFTLS_RINGS_MAX * sizeof(int))];
	} control;
	struct iovec part = { message, sizes[type] };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t sent;

	message->header.magic = EBPFTLS_CONTROL_MAGIC;
	message->header.version = EBPFTLS_CONTROL_VERSION;
	message->header.type = (uint16_t)type;
	message->header.size = (uint32_t)sizes[type];
	if (count > 0) {
		memset(&control, 0, sizeof(control));
		packet.msg_control = &control;
		packet.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	do
		sent = sendmsg(sock, &packet, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* Hands out the descriptors of a message; returns how many there were. */
static size_t
take_descriptors(struct msghdr *packet, int *fds)
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(packet); c != NULL;
	     c = CMSG_NXTHDR(packet, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds + count, CMSG_DATA(c), bytes);
		count += bytes / sizeof(int);
	}
	return count;
}

void
ebpftls_control_close(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int
receive(int sock, int flags, union ebpftls_any_message *message,
	int fds[EBPFTLS_RINGS_MAX], size_t *count)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(EBPFTLS_RINGS_MAX * sizeof(int))];
	} control;
	struct iovec part = { message, sizeof(*message) };
	struct msghdr packet = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t size;

	*count = 0;
	do
		size = recvmsg(sock, &packet, MSG_CMSG_CLOEXEC | flags);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	*count = take_descriptors(&packet, fds);
	if (size == 0 && *count == 0)
		return 0;
	if ((packet.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
	    !ebpftls_control_valid(message, (size_t)size)) {
		ebpftls_control_close(fds, *count);
		*count = 0;
		return -EBADMSG;
	}
	return message->header.type;
}

int
ebpftls_control_receive(int sock, union ebpftls_any_message *message,
			int fds[EBPFTLS_RINGS_MAX], size_t *count)
{
	return receive(sock, 0, message, fds, count);
}

int
ebpftls_control_receive_now(int sock, union ebpftls_any_message *message,
			    int fds[EBPFTLS_RINGS_MAX], size_t *count)
{
	return receive(sock, MSG_DONTWAIT, message, fds, count);
}
