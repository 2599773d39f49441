// SPDX-License-Identifier: BSD-3-Clause
/*
 * The ebpftls capture source: the operations of a pcap_t on a device
 * "ebpftls:INTERFACE". Does nothing but join what the other files do to
 * libpcap's own; only this file sees its internals.
 *
 * Opening a device needs an agent with privileges (ebpftls-client.h);
 * everything after that needs none.
 */
#define _GNU_SOURCE

#include <config.h>

#include "pcap-int.h"
#include "pcap/sll.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ebpftls-journal.h"
#include "ebpftls-pktap.h"
#include "ebpftls-target.h"
#include "pcap-ebpftls-handle.h"
#include "pcap-ebpftls.h"

/* The names of libpcap's internal routines changed together with this. */
#ifndef PCAP_ERROR_CAPTURE_NOTSUP
#define PCAP_ERROR_CAPTURE_NOTSUP    PCAP_ERROR
#define pcapint_add_dev		     add_dev
#define pcapint_breakloop_common     pcap_breakloop_common
#define pcapint_cleanup_live_common  pcap_cleanup_live_common
#define pcapint_fmt_errmsg_for_errno pcap_fmt_errmsg_for_errno
#define pcapint_install_bpf_program  install_bpf_program
/* Up to then pcap-linux.c forgets this warning, and programs rely on that. */
#define PROMISC_ON_ANY 0
#else
#define PROMISC_ON_ANY PCAP_WARNING_PROMISC_NOTSUP
#endif

/* What makes pcap_compile() use the Linux-only loads of metadata. */
#ifdef BPF_SPECIAL_BASIC_HANDLING
#define CODEGEN_FLAGS (BPF_SPECIAL_VLAN_HANDLING | BPF_SPECIAL_BASIC_HANDLING)
#else
#define CODEGEN_FLAGS BPF_SPECIAL_VLAN_HANDLING
#endif

/* Not in glibc's <net/if_arp.h>. */
#define HATYPE_IP6GRE 823

/* How long a program may take from its time stamp to its record. */
#define SLACK_NS 50000

/*
 * As long as frames keep coming there are always some that are younger. What
 * waits then is lost when the program is interrupted.
 */
#define PAUSE_MAX_NS 8000000

/* How long it may take to notice that the agent has gone. */
#define DEAF_NS 10000000

#define SECOND 1000000000

#define MARK_AGENT 1

/* Of epb_flags. */
#define DIRECTION_IN  1
#define DIRECTION_OUT 2

static int
fail(pcap_t *p, const struct ebpftls_failure *failure)
{
	snprintf(p->errbuf, PCAP_ERRBUF_SIZE, "%s", failure->text);
	switch (failure->reason) {
	case EBPFTLS_REASON_NO_SUCH_DEVICE:
		return PCAP_ERROR_NO_SUCH_DEVICE;
	case EBPFTLS_REASON_NOT_UP:
		return PCAP_ERROR_IFACE_NOT_UP;
	case EBPFTLS_REASON_NO_PERMISSION:
		return PCAP_ERROR_PERM_DENIED;
	case EBPFTLS_REASON_NO_PROMISC_PERMISSION:
		return PCAP_ERROR_PROMISC_PERM_DENIED;
	case EBPFTLS_REASON_NOT_SUPPORTED:
		return PCAP_ERROR_CAPTURE_NOTSUP;
	default:
		return PCAP_ERROR;
	}
}

static int
fail_errno(pcap_t *p, int error, const char *what)
{
	pcapint_fmt_errmsg_for_errno(p->errbuf, PCAP_ERRBUF_SIZE, -error, "%s",
				     what);
	return PCAP_ERROR;
}

uint64_t
pcap_ebpftls_monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* The number in a file of the interface's statistics. */
static uint64_t
read_statistic(int fd)
{
	char text[32];
	ssize_t length;

	if (fd < 0)
		return 0;
	length = pread(fd, text, sizeof(text) - 1, 0);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	return strtoull(text, NULL, 10);
}

static uint64_t
interface_drops(const struct ebpftls_client *client)
{
	return read_statistic(client->fds[EBPFTLS_FD_MISSED]) +
	       read_statistic(client->fds[EBPFTLS_FD_FIFO]);
}

static void
count_frames(const struct pcap_ebpftls *handle, uint64_t *seen,
	     uint64_t *dropped)
{
	for (uint32_t i = 0; i < handle->client.counters; i++) {
		*seen += handle->pages.counters[i].seen;
		*dropped += handle->pages.counters[i].dropped;
	}
}

/*
 * "ps_recv" counts the frames that passed the filter, and also those that
 * it has not seen yet or never will, because there was no room for them;
 * the latter are "ps_drop". May be called from a signal handler.
 */
int
pcap_ebpftls_stats(pcap_t *p, struct pcap_stat *stats)
{
	const struct pcap_ebpftls *handle = p->priv;
	uint64_t seen = 0, dropped = 0;

	memset(stats, 0, sizeof(*stats));
	if (!handle->started)
		return 0;
	count_frames(handle, &seen, &dropped);
	stats->ps_recv = (u_int)(seen - handle->rejected);
	stats->ps_drop = (u_int)dropped;
	if (p->opt.promisc)
		stats->ps_ifdrop = (u_int)(interface_drops(&handle->client) -
					   handle->if_drops);
	return 0;
}

static void
free_filter(struct ebpftls_filter *filter)
{
	if (filter != NULL)
		ebpftls_filter_free(filter);
	free(filter);
}

/* Everything that start() and activate() got; may be called at any time. */
static void
release(struct pcap_ebpftls *handle)
{
	pcap_ebpftls_end_dumps(handle);
	ebpftls_order_close(&handle->order);
	ebpftls_pages_unmap(&handle->pages);
	ebpftls_client_stop(&handle->client);
	ebpftls_wait_close(&handle->wait);
	free_filter(handle->filter);
	free_filter(handle->next_filter);
	handle->filter = handle->next_filter = NULL;
	ebpftls_names_close(&handle->names);
	handle->started = false;
}

static void
ebpftls_cleanup(pcap_t *p)
{
	release(p->priv);
	ebpftls_journals_seal();
	p->fd = p->selectable_fd = -1;
	pcapint_cleanup_live_common(p);
}

bool
pcap_ebpftls_is(const pcap_t *p)
{
	return p->cleanup_op == ebpftls_cleanup;
}

/* What wakes: the agent's messages, the doorbell, a ring a quarter full. */
static int
watch(struct pcap_ebpftls *handle)
{
	const struct ebpftls_client *client = &handle->client;
	struct ebpftls_wait *wait = &handle->wait;
	int error = ebpftls_wait_watch(wait, client->sock, MARK_AGENT);

	if (error == 0)
		error = ebpftls_wait_watch(wait,
					   client->fds[EBPFTLS_FD_DOORBELL], 0);
	for (uint32_t i = 0; error == 0 && i < client->ring_count; i++)
		error = ebpftls_wait_watch(wait, client->rings[i].fd, 0);
	return error;
}

static int
start(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;
	struct ebpftls_failure failure;
	/* where our link-layer header replaces a longer one, more is needed */
	struct ebpftls_open request = {
		.snaplen = (uint32_t)handle->snapshot +
			   (handle->any ? EBPFTLS_LINK_HEADER_MAX : 0),
		.buffer_size = (uint32_t)p->opt.buffer_size,
		.promisc = p->opt.promisc != 0,
		.immediate = p->opt.immediate != 0,
		.owners = handle->device.naming != 0 ||
			  ebpftls_device_selects(&handle->device),
		.wants = handle->device.wants,
	};
	int error;

	memcpy(request.interface, handle->device.interface,
	       sizeof(request.interface));
	memcpy(request.netns, handle->device.netns, sizeof(request.netns));
	error = pcap_ebpftls_meet_people(handle);
	if (error != 0)
		return fail_errno(p, error, "cannot remember processes");
	if (ebpftls_client_start(&handle->client, &request, &failure) != 0)
		return fail(p, &failure);
	error =
	    ebpftls_pages_map(&handle->pages, &handle->client, request.snaplen);
	if (error == 0)
		error = watch(handle);
	if (error == 0 &&
	    !ebpftls_order_open(&handle->order, handle->pages.rings,
				handle->pages.ring_count))
		error = -ENOMEM;
	if (error != 0) {
		ebpftls_pages_unmap(&handle->pages);
		ebpftls_client_stop(&handle->client);
		return fail_errno(p, error, "cannot map the capture buffer");
	}
	handle->wait.waiting = &handle->pages.shared->waiting;
	handle->wait.bell_rung = handle->pages.bell_rung;
	handle->wait.bell_heard = handle->pages.bell_heard;
	ebpftls_wait_start(&handle->wait, pcap_ebpftls_monotonic());
	handle->if_drops = interface_drops(&handle->client);
	handle->started = true;
	return 0;
}

/* What a read has to see to first. */
int
pcap_ebpftls_ensure_started(pcap_t *p)
{
	const struct pcap_ebpftls *handle = p->priv;

	if (!handle->started)
		return start(p);
	if (ebpftls_pages_whole(&handle->pages))
		return 0;
	snprintf(p->errbuf, PCAP_ERRBUF_SIZE,
		 "the capture buffer could not be mapped after a fork");
	return PCAP_ERROR;
}

/*
 * Does the application want frames of this direction and protocol? Those
 * that go out through lo come in through it as well, and are captured then.
 */
static bool
wanted(const pcap_t *p, const struct ebpftls_frame *frame)
{
	bool outgoing = frame->pkttype == PACKET_OUTGOING;

	if (p->direction == (outgoing ? PCAP_D_IN : PCAP_D_OUT))
		return false;
	if (p->opt.protocol == 0 || p->opt.protocol == ETH_P_ALL)
		return true;
	/* as a packet socket for one protocol does not see what goes out */
	return !outgoing && ntohs(frame->protocol) == p->opt.protocol;
}

/* The link type of packets without the header of PKTAP. */
static int
inner_linktype(const pcap_t *p)
{
	return p->linktype == DLT_PKTAP ? (int)p->dlt_list[0] : p->linktype;
}

/* Of what stands before such a packet. */
static int
header_size(const pcap_t *p)
{
	return p->linktype == DLT_PKTAP ? EBPFTLS_PKTAP_SIZE : 0;
}

int
ebpftls_filter_linktype(pcap_t *p)
{
	return pcap_ebpftls_is(p) ? inner_linktype(p) : pcap_datalink(p);
}

/* "" if it is one of another network namespace, and not the only one. */
static const char *
interface_of(struct pcap_ebpftls *handle, uint32_t ifindex)
{
	return handle->any
		   ? ebpftls_names_of(&handle->names, ifindex, handle->now)
		   : handle->device.interface;
}

static void
add_pktap(pcap_t *p, struct ebpftls_ring *ring, struct ebpftls_packet *packet)
{
	struct pcap_ebpftls *handle = p->priv;
	struct ebpftls_pktap facts = {
		.interface = interface_of(handle, ring->frame.ifindex),
		.dlt = inner_linktype(p),
		.link_size = ebpftls_frame_link_size(handle->link),
		.protocol_be = packet->protocol_be,
		.outgoing = ring->frame.pkttype == PACKET_OUTGOING,
		.sender = ring->sender,
		.receiver = ring->receiver,
	};

	ebpftls_pktap_write(ebpftls_frame_prepend(packet, ring,
						  EBPFTLS_PKTAP_SIZE),
			    &facts);
}

static void
take_over_filter(struct pcap_ebpftls *handle)
{
	struct ebpftls_filter *next;

	if (__atomic_load_n(&handle->next_filter, __ATOMIC_RELAXED) == NULL)
		return;
	next =
	    __atomic_exchange_n(&handle->next_filter, NULL, __ATOMIC_ACQUIRE);
	if (next == NULL)
		return;
	free_filter(handle->filter);
	handle->filter = next;
}

/*
 * How much of the packet to keep; 0: nothing. Another thread may set a filter
 * meanwhile: so first comes whether the kernel has judged, and then the filter,
 * which was there before that.
 */
static u_int
judge(struct pcap_ebpftls *handle, const struct ebpftls_ring *ring,
      const struct ebpftls_packet *packet)
{
	bool judged = ebpftls_ring_trusted(ring);
	u_int keep;

	take_over_filter(handle);
	if (judged || handle->filter == NULL)
		return ring->frame.keep;
	keep = ebpftls_filter_run(handle->filter, &ring->frame, packet);
	return keep < ring->frame.keep ? keep : ring->frame.keep;
}

/* Makes the packet; false when it is not one for the application. */
static bool
make_packet(pcap_t *p, struct ebpftls_ring *ring, struct pcap_pkthdr *header,
	    const u_char **bytes)
{
	struct pcap_ebpftls *handle = p->priv;
	struct ebpftls_packet packet;
	uint64_t time;
	u_int keep;

	ebpftls_frame_link(&packet, ring, handle->link);
	keep = judge(handle, ring, &packet);
	if (keep == 0) {
		handle->rejected++;
		return false;
	}
	if (!wanted(p, &ring->frame))
		return false;
	if (packet.caplen > keep)
		packet.caplen = keep;
	ebpftls_frame_finish(&packet, ring, handle->link,
			     (uint32_t)(p->snapshot - header_size(p)));
	if (p->linktype == DLT_PKTAP)
		add_pktap(p, ring, &packet);

	time = ebpftls_clock_wall(&handle->clock, ring->frame.time);
	header->ts.tv_sec = (time_t)(time / SECOND);
	header->ts.tv_usec = (suseconds_t)(time % SECOND);
	if (p->opt.tstamp_precision != PCAP_TSTAMP_PRECISION_NANO)
		header->ts.tv_usec /= 1000;
	header->caplen = packet.caplen;
	header->len = packet.len;
	*bytes = packet.bytes;
	handle->current.bytes = packet.bytes;
	handle->current.header = *header;
	handle->current.direction = ring->frame.pkttype == PACKET_OUTGOING
					? DIRECTION_OUT
					: DIRECTION_IN;
	handle->current.sender = ring->sender;
	handle->current.receiver = ring->receiver;
	return true;
}

/* What was lost up to now came before the packets that are still to come. */
static void
note_drops(struct pcap_ebpftls *handle)
{
	uint64_t seen = 0, dropped = 0;

	count_frames(handle, &seen, &dropped);
	handle->current.dropped += (uint32_t)(dropped - handle->dropped);
	handle->dropped = dropped;
}

static void
hear_agent(struct pcap_ebpftls *handle)
{
	if (ebpftls_client_check(&handle->client, &handle->end) != 0)
		handle->ended = true;
}

/* To ask at each packet costs who reads them one by one as much as the packet.
 * That the agent has gone it does not say. */
static void
hear_agent_if_told(struct pcap_ebpftls *handle, uint64_t now)
{
	uint64_t told =
	    __atomic_load_n(&handle->pages.shared->told, __ATOMIC_ACQUIRE);

	if (told == handle->told && now - handle->heard < DEAF_NS)
		return;
	handle->told = told;
	handle->heard = now;
	hear_agent(handle);
}

/*
 * Frames that are too young to be sure that none is older are looked for again
 * after a while, which grows as long as others come: each time one is found is
 * a wake-up. A ring that fills wakes before. `all`: those that are not too
 * young have been taken; so what is `left` is.
 */
static void
look_again(struct pcap_ebpftls *handle, uint64_t now, bool left, bool all)
{
	uint64_t due = ebpftls_savefiles_due(&handle->savefiles);
	uint64_t longest = handle->wait.interval;
	bool young = left && all;

	if (longest > PAUSE_MAX_NS)
		longest = PAUSE_MAX_NS;
	handle->came |= handle->got_frames;
	if (all) {
		handle->pause = handle->came ? 2 * handle->pause : SLACK_NS;
		handle->came = false;
	}
	if (handle->pause > longest)
		handle->pause = longest;
	if (young && due > now + handle->pause)
		due = now + handle->pause;
	handle->pausing = young && handle->got_frames;
	ebpftls_wait_until(&handle->wait, due);
}

/*
 * Hands out what the rings hold, at most `max` packets. Returns how many, or
 * a PCAP_ERROR_. Does not wait, but sees to it that waiting ends when there are
 * more.
 */
static int
read_rings(pcap_t *p, int max, pcap_handler callback, u_char *user)
{
	struct pcap_ebpftls *handle = p->priv;
	struct ebpftls_order *order = &handle->order;
	struct ebpftls_ring *ring;
	struct pcap_pkthdr header;
	const u_char *bytes;
	uint64_t now = pcap_ebpftls_monotonic();
	bool left, stopped;
	int count = 0;

	ebpftls_clock_read(&handle->clock, &handle->pages.shared->clock);
	note_drops(handle);
	handle->current.bytes = NULL;
	handle->got_frames = false;
	/* what is known of processes is there before their packets */
	hear_agent_if_told(handle, now);
	/* those of servers are there before the packets that need them */
	pcap_ebpftls_work(handle, now);
	pcap_ebpftls_begin_journal(p);
	ebpftls_order_begin(order,
			    p->opt.immediate ? UINT64_MAX : now - SLACK_NS);
	while (count < max && !p->break_loop &&
	       (ring = ebpftls_order_next(order)) != NULL) {
		handle->got_frames = true;
		if (make_packet(p, ring, &header, &bytes)) {
			pcap_ebpftls_journal(p, &header, bytes);
			callback(user, &header, bytes);
			count++;
		}
	}
	ebpftls_order_end(order);
	if (order->current == NULL)
		handle->current.bytes = NULL;
	pcap_ebpftls_flush_journal(handle);
	if (order->broken) {
		snprintf(p->errbuf, PCAP_ERRBUF_SIZE,
			 "corrupted record in the kernel's capture buffer");
		return PCAP_ERROR;
	}
	stopped = count == max || p->break_loop;
	left = ebpftls_order_more(order);
	look_again(handle, now, left, !stopped);
	ebpftls_wait_prepare(&handle->wait, now, handle->got_frames,
			     left && stopped);
	/* what came before the doorbell was asked for does not ring it */
	if (p->opt.immediate && ebpftls_order_more(order))
		ebpftls_wait_prepare(&handle->wait, now, false, true);
	return count;
}

/* Waits for something to read. Returns 0 or a PCAP_ERROR_. */
static int
wait_for_frames(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;
	int marks;

	if (handle->ended)
		return 0;
	marks = ebpftls_wait_poll(&handle->wait, handle->nonblock ? 0 : -1);
	if (marks < 0 && marks != -EINTR)
		return fail_errno(p, marks, "epoll_wait");
	if (marks > 0 && (marks & MARK_AGENT))
		hear_agent(handle);
	return 0;
}

void
ebpftls_selects(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;

	if (pcap_ebpftls_is(p))
		__atomic_store_n(&handle->selects, true, __ATOMIC_RELAXED);
}

static int
ebpftls_read(pcap_t *p, int max, pcap_handler callback, u_char *user)
{
	struct pcap_ebpftls *handle = p->priv;
	bool selects = !handle->nonblock &&
		       __atomic_load_n(&handle->selects, __ATOMIC_RELAXED);
	bool told;
	int count;

	if (pcap_ebpftls_ensure_started(p) != 0)
		return PCAP_ERROR;
	told = selects && ebpftls_wait_ready(&handle->wait);
	if (PACKET_COUNT_IS_UNLIMITED(max))
		max = INT_MAX;
	for (;;) {
		/* pcap_dump() cannot say that packets get lost there */
		int error = ebpftls_savefiles_error(&handle->savefiles);
		bool had_ended = handle->ended;

		if (error != 0)
			return fail_errno(p, -error,
					  "a savefile cannot be written");
		if (handle->pausing && !handle->nonblock && !told) {
			count = wait_for_frames(p);
			if (count != 0)
				return count;
		}
		count = read_rings(p, max, callback, user);
		if (p->break_loop) {
			p->break_loop = 0;
			return PCAP_ERROR_BREAK;
		}
		if (count != 0)
			return count;
		if (had_ended)
			return fail(p, &handle->end);
		/*
		 * select() may have said that there is something to read. That
		 * was no packet, or none that passes, which nobody is told
		 * twice: a ring tells of being filled only once.
		 */
		if ((told || (selects && handle->got_frames)) && !handle->ended)
			return 0;
		count = wait_for_frames(p);
		if (count != 0)
			return count;
		if (handle->nonblock && !handle->ended)
			return 0;
	}
}

static void
ebpftls_breakloop(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;

	pcapint_breakloop_common(p);
	ebpftls_wait_kick(&handle->wait);
}

static bool
is_cooked(const struct pcap_ebpftls *handle)
{
	return handle->link == EBPFTLS_LINK_SLL ||
	       handle->link == EBPFTLS_LINK_SLL2;
}

static int
ebpftls_inject(pcap_t *p, const void *bytes, int size)
{
	struct pcap_ebpftls *handle = p->priv;
	ssize_t sent;

	if (handle->any) {
		snprintf(p->errbuf, PCAP_ERRBUF_SIZE,
			 "Sending packets isn't "
			 "supported on the \"any\" device");
		return -1;
	}
	if (p->linktype == DLT_PKTAP) {
		snprintf(p->errbuf, PCAP_ERRBUF_SIZE,
			 "Sending packets isn't supported with PKTAP headers");
		return -1;
	}
	if (is_cooked(handle)) {
		snprintf(p->errbuf, PCAP_ERRBUF_SIZE,
			 "Sending packets isn't supported in cooked mode");
		return -1;
	}
	if (pcap_ebpftls_ensure_started(p) != 0)
		return -1;
	if (handle->client.fds[EBPFTLS_FD_PACKET] < 0) {
		snprintf(p->errbuf, PCAP_ERRBUF_SIZE,
			 "Sending packets needs root, not the ebpftls service");
		return -1;
	}
	sent =
	    send(handle->client.fds[EBPFTLS_FD_PACKET], bytes, (size_t)size, 0);
	if (sent < 0) {
		fail_errno(p, -errno, "send");
		return -1;
	}
	return (int)sent;
}

/* What the next packet is judged by. */
static int
hand_over_filter(pcap_t *p, const struct bpf_program *program)
{
	struct pcap_ebpftls *handle = p->priv;
	struct ebpftls_filter *filter = calloc(1, sizeof(*filter));

	if (filter == NULL)
		return fail_errno(p, -ENOMEM, "no memory for the filter");
	if (ebpftls_filter_set(filter, program, p->errbuf, PCAP_ERRBUF_SIZE) !=
	    0) {
		free(filter);
		return -1;
	}
	free_filter(__atomic_exchange_n(&handle->next_filter, filter,
					__ATOMIC_ACQ_REL));
	return 0;
}

/*
 * From where on the kernel says so, it judges; what it has written before is
 * judged here, and everything if it does not.
 */
static void
filter_in_kernel(struct pcap_ebpftls *handle, const struct bpf_program *program)
{
	uint32_t link_size =
	    is_cooked(handle) ? ebpftls_frame_link_size(handle->link) : 0;
	struct ebpftls_failure failure = { .text = "" };
	int settled;

	for (uint32_t i = 0; i < handle->pages.ring_count; i++)
		ebpftls_ring_doubt(&handle->pages.rings[i]);
	settled = ebpftls_client_filter(&handle->client, program->bf_insns,
					program->bf_len, link_size, &failure);
	for (uint32_t i = 0; settled > 0 && i < handle->pages.ring_count; i++)
		ebpftls_ring_trust(&handle->pages.rings[i]);
	handle->no_filter = failure;
}

static int
ebpftls_setfilter(pcap_t *p, struct bpf_program *program)
{
	struct pcap_ebpftls *handle = p->priv;

	if (program == NULL) {
		snprintf(p->errbuf, PCAP_ERRBUF_SIZE,
			 "setfilter: No filter specified");
		return -1;
	}
	if (pcap_ebpftls_ensure_started(p) != 0 ||
	    pcapint_install_bpf_program(p, program) < 0)
		return -1;
	if (hand_over_filter(p, program) != 0)
		return -1;
	filter_in_kernel(handle, program);
	return 0;
}

static int
ebpftls_setdirection(pcap_t *p, pcap_direction_t direction)
{
	p->direction = direction;
	return 0;
}

static int
ebpftls_getnonblock(pcap_t *p)
{
	const struct pcap_ebpftls *handle = p->priv;

	return handle->nonblock;
}

static int
ebpftls_setnonblock(pcap_t *p, int nonblock)
{
	struct pcap_ebpftls *handle = p->priv;

	handle->nonblock = nonblock != 0;
	return 0;
}

static enum ebpftls_link
link_of(int linktype)
{
	switch (linktype) {
	case DLT_EN10MB:
	case DLT_DOCSIS:
		return EBPFTLS_LINK_ETHERNET;
	case DLT_LINUX_SLL:
		return EBPFTLS_LINK_SLL;
	case DLT_LINUX_SLL2:
		return EBPFTLS_LINK_SLL2;
	default:
		return EBPFTLS_LINK_AS_IS;
	}
}

/* What applications and files are told is the length with all headers. */
static void
set_snapshot(pcap_t *p, int snapshot)
{
	struct pcap_ebpftls *handle = p->priv;

	handle->snapshot = p->snapshot = snapshot;
	p->snapshot += header_size(p);
	/* readers refuse more */
	if (p->snapshot > MAXIMUM_SNAPLEN)
		p->snapshot = MAXIMUM_SNAPLEN;
}

static int
ebpftls_set_datalink(pcap_t *p, int linktype)
{
	struct pcap_ebpftls *handle = p->priv;

	p->linktype = linktype;
	handle->link = link_of(inner_linktype(p));
	set_snapshot(p, handle->snapshot);
	/* without it the names are not known, which is no reason to fail */
	if (linktype == DLT_PKTAP && handle->any && handle->names.sock < 0 &&
	    handle->device.netns[0] == '\0')
		ebpftls_names_open(&handle->names);
	return 0;
}

/* Without memory for the list there is just no choice. */
static void
set_linktypes(pcap_t *p, int linktype, int other)
{
	ebpftls_set_datalink(p, linktype);
	p->dlt_list = malloc(3 * sizeof(*p->dlt_list));
	if (p->dlt_list == NULL)
		return;
	p->dlt_list[p->dlt_count++] = (u_int)linktype;
	if (other >= 0)
		p->dlt_list[p->dlt_count++] = (u_int)other;
	p->dlt_list[p->dlt_count++] = DLT_PKTAP;
}

/*
 * The link types that pcap-linux.c has for devices on which TC runs: those
 * with an Ethernet header, and those with none.
 */
static int
set_linktype_of_device(pcap_t *p, uint32_t hatype)
{
	switch (hatype) {
	case ARPHRD_ETHER:
		set_linktypes(p, DLT_EN10MB, DLT_DOCSIS);
		return 0;
	case ARPHRD_LOOPBACK:
		set_linktypes(p, DLT_EN10MB, -1);
		return 0;
	case ARPHRD_NONE:
	case ARPHRD_TUNNEL:
	case ARPHRD_SIT:
	case ARPHRD_SLIP:
	case ARPHRD_CSLIP:
	case ARPHRD_SLIP6:
	case ARPHRD_CSLIP6:
	case ARPHRD_ADAPT:
	case ARPHRD_RAWHDLC:
		set_linktypes(p, DLT_RAW, -1);
		return 0;
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL6:
	case ARPHRD_IPGRE:
	case HATYPE_IP6GRE:
	case ARPHRD_RAWIP:
		set_linktypes(p, DLT_LINUX_SLL, DLT_LINUX_SLL2);
		return 0;
	default:
		snprintf(p->errbuf, PCAP_ERRBUF_SIZE,
			 "ebpftls captures on "
			 "Ethernet and IP interfaces; this one is of type %u - "
			 "capture it without the prefix " EBPFTLS_PREFIX,
			 hatype);
		return PCAP_ERROR_CAPTURE_NOTSUP;
	}
}

/* What can be known of an interface without any privilege. */
static int
look_at_interface(pcap_t *p, uint32_t *hatype)
{
	const struct pcap_ebpftls *handle = p->priv;
	struct ifreq request = { .ifr_flags = 0 };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error = 0;

	if (sock < 0)
		return fail_errno(p, -errno, "socket");
	memcpy(request.ifr_name, handle->device.interface,
	       sizeof(request.ifr_name));
	if (ioctl(sock, SIOCGIFFLAGS, &request) != 0)
		error = PCAP_ERROR_NO_SUCH_DEVICE;
	else if (!(request.ifr_flags & IFF_UP))
		error = PCAP_ERROR_IFACE_NOT_UP;
	else if (ioctl(sock, SIOCGIFHWADDR, &request) != 0)
		error = PCAP_ERROR_NO_SUCH_DEVICE;
	else
		*hatype = request.ifr_hwaddr.sa_family;
	close(sock);
	return error;
}

/*
 * Programs that only ask a device for its link types, or list it with its
 * statistics, set nothing or a snapshot length of one byte. For them nothing
 * is attached until they read after all.
 */
static bool
is_probe(const pcap_t *p)
{
	const struct pcap_ebpftls *handle = p->priv;

	return p->snapshot <= 1 && !p->opt.promisc && p->opt.timeout == 0 &&
	       p->opt.buffer_size == 0 && !p->opt.immediate &&
	       handle->device.netns[0] == '\0' && handle->keylog.fd < 0;
}

/* For a key log they are taken from the beginning. */
static int
take_secrets(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;
	int error = pcap_ebpftls_take_secrets(handle);

	if (error != 0)
		return fail_errno(p, error, "cannot take secrets");
	if (handle->no_secrets.text[0] != '\0')
		return fail(p, &handle->no_secrets);
	return 0;
}

static int
open_device(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;
	bool probe = is_probe(p);
	uint32_t hatype = 0;
	int status = 0;

	/* a value that is not one means all there is, as in pcap-linux.c */
	if (p->snapshot <= 0 || p->snapshot > MAXIMUM_SNAPLEN)
		p->snapshot = MAXIMUM_SNAPLEN;
	set_snapshot(p, p->snapshot);
	if (!probe) {
		status = start(p);
		hatype = handle->client.hatype;
		if (status == 0 && handle->keylog.fd >= 0)
			status = take_secrets(p);
	} else if (!handle->any) {
		status = look_at_interface(p, &hatype);
	}
	/* select() must return, so that the first read can begin */
	if (probe)
		ebpftls_wait_prepare(&handle->wait, 0, false, true);
	if (status != 0)
		return status;
	if (handle->any)
		set_linktypes(p, DLT_LINUX_SLL2, DLT_LINUX_SLL);
	else
		status = set_linktype_of_device(p, hatype);
	/* a cooked header and a byte are kept in any case */
	if (is_cooked(handle) && p->snapshot < SLL2_HDR_LEN + 1)
		set_snapshot(p, SLL2_HDR_LEN + 1);
	return status;
}

static int
parse_device(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;
	struct ebpftls_failure failure;

	failure.reason =
	    ebpftls_device_parse(p->opt.device, &handle->device, failure.text,
				 sizeof(failure.text));
	if (failure.reason != 0)
		return fail(p, &failure);
	handle->any = strcmp(handle->device.interface, "any") == 0;
	return 0;
}

static void
set_operations(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;

	p->read_op = ebpftls_read;
	p->inject_op = ebpftls_inject;
	p->setfilter_op = ebpftls_setfilter;
	p->setdirection_op = ebpftls_setdirection;
	p->set_datalink_op = ebpftls_set_datalink;
	p->getnonblock_op = ebpftls_getnonblock;
	p->setnonblock_op = ebpftls_setnonblock;
	p->stats_op = pcap_ebpftls_stats;
	p->breakloop_op = ebpftls_breakloop;
	p->cleanup_op = ebpftls_cleanup;
	p->bpf_codegen_flags |= CODEGEN_FLAGS;
	p->fd = p->selectable_fd = handle->wait.epoll;
}

/* libpcap does not call cleanup_op when this fails. */
static int
ebpftls_activate(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;
	int status, warning = 0;

	memset(handle, 0, sizeof(*handle));
	ebpftls_client_init(&handle->client);
	handle->pcap = p;
	handle->secrets_fd = handle->keylog.fd = handle->names.sock = -1;
	status = parse_device(p);
	if (status != 0)
		return status;
	if (p->opt.rfmon)
		return PCAP_ERROR_RFMON_NOTSUP;
	status = ebpftls_wait_open(&handle->wait, p->opt.timeout,
				   p->opt.immediate != 0);
	if (status != 0)
		return fail_errno(p, status, "cannot make descriptors");
	/* all that fails from here on ends them as well */
	ebpftls_savefiles_init(&handle->savefiles);
	handle->pause = SLACK_NS;
	if (handle->any && p->opt.promisc) {
		p->opt.promisc = 0;
		snprintf(p->errbuf, PCAP_ERRBUF_SIZE,
			 "Promiscuous mode not supported on the \"any\" "
			 "device");
		warning = PROMISC_ON_ANY;
	}
	status = pcap_ebpftls_open_keylog(p);
	if (status == 0)
		status = open_device(p);
	if (status != 0) {
		release(handle);
		return status;
	}
	set_operations(p);
	if (handle->started && pcap_ebpftls_announce_seal(p))
		warning = PCAP_WARNING;
	return warning;
}

static int
ebpftls_can_set_rfmon(pcap_t *p _U_)
{
	return 0;
}

pcap_t *
ebpftls_create(const char *device, char *ebuf, int *is_ours)
{
	pcap_t *p;

	*is_ours = ebpftls_device_is_ours(device);
	if (!*is_ours)
		return NULL;
	p = PCAP_CREATE_COMMON(ebuf, struct pcap_ebpftls);
	if (p == NULL)
		return NULL;
	p->activate_op = ebpftls_activate;
	p->can_set_rfmon_op = ebpftls_can_set_rfmon;
	p->tstamp_precision_list = malloc(2 * sizeof(u_int));
	if (p->tstamp_precision_list == NULL) {
		pcapint_fmt_errmsg_for_errno(ebuf, PCAP_ERRBUF_SIZE, errno,
					     "malloc");
		pcap_close(p);
		return NULL;
	}
	p->tstamp_precision_list[0] = PCAP_TSTAMP_PRECISION_MICRO;
	p->tstamp_precision_list[1] = PCAP_TSTAMP_PRECISION_NANO;
	p->tstamp_precision_count = 2;
	return p;
}

static int
list_device(pcap_if_list_t *list, const char *interface, bool loopback,
	    char *errbuf)
{
	char name[sizeof(EBPFTLS_PREFIX) + IF_NAMESIZE];
	char description[64 + IF_NAMESIZE];
	/* not UP, not RUNNING: never the default device, last in the list */
	bpf_u_int32 flags = PCAP_IF_CONNECTION_STATUS_NOT_APPLICABLE;

	if (loopback)
		flags |= PCAP_IF_LOOPBACK;
	snprintf(name, sizeof(name), EBPFTLS_PREFIX "%s", interface);
	snprintf(description, sizeof(description), EBPFTLS_DESCRIPTION,
		 interface);
	return pcapint_add_dev(list, name, flags, description, errbuf) == NULL
		   ? PCAP_ERROR
		   : 0;
}

static bool
is_loopback(int sock, const char *interface)
{
	struct ifreq request = { .ifr_flags = 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	return ioctl(sock, SIOCGIFFLAGS, &request) == 0 &&
	       (request.ifr_flags & IFF_LOOPBACK);
}

/* An error would take the other sources' devices away as well. */
int
ebpftls_findalldevs(pcap_if_list_t *devlistp, char *err_str)
{
	struct if_nameindex *interfaces;
	int sock, status;

	/* they have a source of their own for our devices: none twice */
	if (ebpftls_target_is_read())
		return 0;
	interfaces = if_nameindex();
	if (interfaces == NULL)
		return 0;
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	status = list_device(devlistp, "any", false, err_str);
	for (struct if_nameindex *i = interfaces;
	     status == 0 && i->if_name != NULL; i++)
		status = list_device(devlistp, i->if_name,
				     is_loopback(sock, i->if_name), err_str);
	if (sock >= 0)
		close(sock);
	if_freenameindex(interfaces);
	return status;
}
