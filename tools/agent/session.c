// SPDX-License-Identifier: BSD-3-Clause
/*
 * One capture. Whatever is made here lasts until session_run() returns or
 * this process dies: nothing is pinned, nothing outlives it.
 */
#define _GNU_SOURCE

#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach.h"
#include "capture.h"
#include "check.h"
#include "clock.h"
#include "discover.h"
#include "ebpftls-control-io.h"
#include "failure.h"
#include "filter.h"
#include "kernel-types.h"
#include "links.h"
#include "netns.h"
#include "owners.h"
#include "peer.h"
#include "people.h"
#include "policy.h"
#include "privileges.h"
#include "secrets.h"
#include "select.h"
#include "uevents.h"

#define REQUEST_WITHIN 10	   /* seconds from the connection */
#define LIMITED_BUFFER (64U << 20) /* most for who is not root, of a CPU */

struct session {
	int sock;
	struct peer peer;
	struct ebpftls_caller caller; /* what the peer may be told */
	struct ebpftls_open request;
	bool any;
	struct link link; /* that the request names */
	bool found;

	int cgroup; /* root of the unified hierarchy, or a negative errno */
	struct selection selection;
	bool has_owners;
	struct failure no_owners; /* if they were asked for */
	struct owners owners;

	struct capture capture;
	struct filter filter;
	struct attachments attachments;
	int links;  /* rtnetlink */
	int clock;  /* readable when the clock was stepped */
	int events; /* readable when a CPU or a module may have come */
	int packet; /* packet socket: promiscuous mode, injecting */
	bool gone;  /* the interface */

	bool asked; /* for secrets */
	bool told;  /* whether there are any */
	struct secrets *secrets;
	struct discover *discover;
	struct people *people; /* or NULL: not asked for, or not to be had */
};

/* Who has connected need not be anybody who may capture. */
static void
wait_no_longer(int sock, time_t seconds)
{
	const struct timeval limit = { .tv_sec = seconds };

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static int
receive_request(struct session *session, struct failure *failure)
{
	union ebpftls_any_message message;
	int fds[EBPFTLS_RINGS_MAX], type;
	size_t count;

	wait_no_longer(session->sock, REQUEST_WITHIN);
	type = ebpftls_control_receive(session->sock, &message, fds, &count);
	wait_no_longer(session->sock, 0);
	if (type > 0)
		ebpftls_control_close(fds, count);
	if (type != EBPFTLS_OPEN)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "the ebpftls agent was asked for what it does not "
			    "know - is it of the same version as libpcap?");
	session->request = message.open;
	session->any = strcmp(message.open.interface, "any") == 0;
	if (message.open.snaplen == 0 ||
	    message.open.snaplen > EBPFTLS_SNAPLEN_MAX)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "a snapshot length of %u bytes is not possible",
			    message.open.snaplen);
	return 0;
}

/* Where the peer is, and from there where it wants to go. */
static int
enter_namespace(struct session *session, struct failure *failure)
{
	if (netns_enter_peer(session->sock, failure) != 0)
		return -1;
	if (netns_enter(session->request.netns, failure) == 0)
		return 0;
	/* else it would learn what there is where it may not look */
	if (session->caller.limited)
		fail(failure, EBPFTLS_REASON_NO_SUCH_DEVICE,
		     "no network namespace '%s' that can be entered",
		     session->request.netns);
	return -1;
}

/* Applications have words of their own for that. */
static int
fail_no_device(struct failure *failure)
{
	fail(failure, EBPFTLS_REASON_NO_SUCH_DEVICE, "%s", "");
	return fail_remedy(failure, "\"ip link\" shows which there are; those "
				    "of other namespaces are NAME@NAMESPACE");
}

static int
match_name(void *context, const struct link *link)
{
	struct session *session = context;

	if (strcmp(link->name, session->request.interface) == 0) {
		session->link = *link;
		session->found = true;
	}
	return 0;
}

static int
find_interface(struct session *session, struct failure *failure)
{
	int error;

	session->links = links_open();
	if (session->links < 0)
		return fail(failure, EBPFTLS_REASON_OTHER, "rtnetlink: %s",
			    strerror(-session->links));
	if (session->any)
		return 0;
	error = links_list(session->links, match_name, session);
	if (error != 0)
		return fail(failure, EBPFTLS_REASON_OTHER, "rtnetlink: %s",
			    strerror(-error));
	if (!session->found)
		return fail_no_device(failure);
	if (!(session->link.flags & IFF_UP)) {
		fail(failure, EBPFTLS_REASON_NOT_UP, "%s", "");
		return fail_remedy(failure, "sudo ip link set %s up",
				   session->link.name);
	}
	return 0;
}

/*
 * A packet socket that receives nothing: through it the application injects,
 * and while it lives it keeps the interface promiscuous.
 */
static int
open_packet_socket(struct session *session, struct failure *failure)
{
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = session->link.ifindex,
	};
	const struct packet_mreq promiscuous = {
		.mr_ifindex = session->link.ifindex,
		.mr_type = PACKET_MR_PROMISC,
	};

	if (session->any)
		return 0;
	session->packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (session->packet < 0 ||
	    bind(session->packet, (const struct sockaddr *)&address,
		 sizeof(address)) != 0)
		return fail_refused(failure, errno,
				    "cannot open a packet socket");
	if (!session->request.promisc ||
	    setsockopt(session->packet, SOL_PACKET, PACKET_ADD_MEMBERSHIP,
		       &promiscuous, sizeof(promiscuous)) == 0)
		return 0;
	if (errno == EPERM || errno == EACCES)
		return fail(failure, EBPFTLS_REASON_NO_PROMISC_PERMISSION,
			    "Attempt to set promiscuous mode failed - "
			    "CAP_NET_ADMIN may be required");
	return fail(failure, EBPFTLS_REASON_OTHER,
		    "cannot set promiscuous mode: %s", strerror(errno));
}

static bool
has_ethernet_header(const struct link *link)
{
	return link->hatype == ARPHRD_ETHER || link->hatype == ARPHRD_LOOPBACK;
}

/* All packets are captured all the same when this fails, but not some. */
static int
load_owners(struct session *session, struct failure *failure)
{
	if (!session->request.owners)
		return 0;
	session->has_owners =
	    owners_load(&session->owners, session->cgroup,
			session->any || session->link.near, &session->selection,
			&session->no_owners) == 0;
	if (session->has_owners)
		return 0;
	owners_close(&session->owners);
	if (session->selection.settings.kinds == 0)
		return 0;
	*failure = session->no_owners;
	return -1;
}

static int
load_capture(struct session *session, struct ebpftls_config *config,
	     struct failure *failure)
{
	bool loopback = session->link.flags & IFF_LOOPBACK;
	const struct capture_options options = {
		.config = config,
		.caller = &session->caller,
		.owners = session->has_owners ? &session->owners : NULL,
		.loopback = session->any || loopback,
		.others = session->any || !loopback,
		.blind = session->events < 0,
	};
	int result;

	config->owners = session->has_owners;
	result = capture_load(&session->capture, &options, failure);
	kernel_types_close();
	return result;
}

static int
load(struct session *session, struct failure *failure)
{
	struct ebpftls_config config = {
		.snaplen = session->request.snaplen,
		.immediate = session->request.immediate,
		.cooked = session->any || !has_ethernet_header(&session->link),
	};
	socklen_t size = sizeof(config.own_socket);

	if (session->packet >= 0 &&
	    getsockopt(session->packet, SOL_SOCKET, SO_COOKIE,
		       &config.own_socket, &size) != 0)
		return fail(failure, EBPFTLS_REASON_OTHER, "SO_COOKIE: %s",
			    strerror(errno));
	if (load_owners(session, failure) != 0)
		return -1;
	return load_capture(session, &config, failure);
}

static int
make_buffer(struct session *session, struct failure *failure)
{
	uint32_t size = session->request.buffer_size;

	if (session->caller.limited && size > LIMITED_BUFFER)
		size = LIMITED_BUFFER;
	if (capture_make_rings(&session->capture, size, failure) != 0)
		return -1;
	session->clock = clock_watch(&capture_shared(&session->capture)->clock);
	if (session->clock < 0)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "cannot watch the clock: %s",
			    strerror(-session->clock));
	return 0;
}

/* An interface that vanishes meanwhile is none of ours. */
static int
attach_link(void *context, const struct link *link)
{
	struct session *session = context;
	int error;

	if (link->gone) {
		attach_forget(&session->attachments, link->ifindex);
		return 0;
	}
	error = attach_add(&session->attachments, link);
	return error == -ENODEV ? 0 : error;
}

static void
choose_programs(struct session *session)
{
	session->attachments.programs[0] =
	    capture_ingress_fd(&session->capture);
	session->attachments.programs[1] = capture_egress_fd(&session->capture);
	session->attachments.loopback = capture_loopback_fd(&session->capture);
}

static int
fail_attach(struct failure *failure, int error)
{
	if (error == -ENODEV)
		return fail_no_device(failure);
	if (error != -EADDRINUSE)
		return fail_refused(failure, -error,
				    "cannot attach the capture programs");
	fail(
	    failure, EBPFTLS_REASON_OTHER,
	    "somebody's \"ingress\" qdisc is where this kernel's captures need "
	    "a \"clsact\" qdisc, see tc(8)");
	return fail_remedy(failure,
			   "\"tc filter show dev INTERFACE ingress\" shows "
			   "what it is for; its owner can have the same "
			   "filters on a clsact qdisc");
}

static int
attach(struct session *session, struct failure *failure)
{
	int error;

	choose_programs(session);
	if (session->any)
		error = links_list(session->links, attach_link, session);
	else
		error = attach_add(&session->attachments, &session->link);
	return error == 0 ? 0 : fail_attach(failure, error);
}

static int
open_statistic(const struct session *session, const char *name)
{
	char path[128];

	if (session->any || !session->request.promisc)
		return -1;
	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s",
		 session->link.name, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int
send_opened(const struct session *session)
{
	const struct capture *capture = &session->capture;
	const int all[EBPFTLS_FDS] = {
		[EBPFTLS_FD_SHARED] = capture_shared_fd(capture),
		[EBPFTLS_FD_COUNTERS] = capture_counters_fd(capture),
		[EBPFTLS_FD_DOORBELL] = capture_doorbell_fd(capture),
		[EBPFTLS_FD_AGENT] = (int)syscall(SYS_pidfd_open, getpid(), 0),
		[EBPFTLS_FD_PACKET] =
		    session->caller.limited ? -1 : session->packet,
		[EBPFTLS_FD_MISSED] =
		    open_statistic(session, "rx_missed_errors"),
		[EBPFTLS_FD_FIFO] = open_statistic(session, "rx_fifo_errors"),
	};
	union ebpftls_any_message message = {
		.opened.rings = (uint32_t)capture->ring_count,
		.opened.counters = capture->cpus,
		.opened.ring_size = (uint32_t)capture->ring_size,
		.opened.hatype = session->link.hatype,
	};
	int fds[EBPFTLS_FDS], error;
	size_t count = 0;

	if (session->request.owners && !session->has_owners)
		memcpy(message.opened.no_owners, session->no_owners.text,
		       sizeof(message.opened.no_owners));
	for (int i = 0; i < EBPFTLS_FDS; i++) {
		if (all[i] < 0)
			continue;
		message.opened.present |= 1U << i;
		fds[count++] = all[i];
	}
	error = ebpftls_control_send(session->sock, &message, EBPFTLS_OPENED,
				     fds, count);
	for (int i = EBPFTLS_FD_AGENT; i < EBPFTLS_FDS; i++)
		if (all[i] >= 0 && all[i] != session->packet)
			close(all[i]);
	return error;
}

static int
send_rings(const struct session *session)
{
	const struct capture *capture = &session->capture;
	size_t next = 0;
	int error = 0;

	while (error == 0 && next < capture->ring_count) {
		union ebpftls_any_message message;
		int fds[EBPFTLS_RINGS_MAX];
		uint32_t count = 0;

		memset(&message, 0, sizeof(message));
		while (count < EBPFTLS_RINGS_MAX &&
		       next < capture->ring_count) {
			message.rings.cpu[count] = capture->rings[next].cpu;
			fds[count++] = capture->rings[next++].fd;
		}
		message.rings.count = count;
		error = ebpftls_control_send(session->sock, &message,
					     EBPFTLS_RINGS, fds, count);
	}
	return error;
}

/* `how`: privileges_begin() or privileges_settle(). */
static int
give_up_privileges(int (*how)(void), struct failure *failure)
{
	if (how() == 0)
		return 0;
	return fail(failure, EBPFTLS_REASON_OTHER,
		    "ebpftls-agent cannot give up its privileges: %s",
		    strerror(errno));
}

/* Before /sys is another one. */
static int
resolve(struct session *session, struct failure *failure)
{
	if (session->request.owners)
		session->cgroup = owners_open_cgroup();
	if (select_resolve(&session->selection, &session->request.wants,
			   session->sock, session->cgroup, failure) != 0)
		return -1;
	return select_limit(&session->selection, &session->caller, failure);
}

static int
set_up(struct session *session, struct failure *failure)
{
	int error;

	session->events = uevents_watch();
	if (resolve(session, failure) != 0 ||
	    enter_namespace(session, failure) != 0 ||
	    find_interface(session, failure) != 0 ||
	    open_packet_socket(session, failure) != 0 ||
	    load(session, failure) != 0 || make_buffer(session, failure) != 0 ||
	    attach(session, failure) != 0 ||
	    give_up_privileges(privileges_settle, failure) != 0)
		return -1;
	error = send_opened(session);
	if (error == 0)
		error = send_rings(session);
	if (error != 0)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "cannot answer the application: %s",
			    strerror(-error));
	return 0;
}

/* What the peer has to know: rather than that, it hears that this ends. */
static void
tell(struct session *session, union ebpftls_any_message *message,
     enum ebpftls_message type, const int *fds, size_t count)
{
	if (ebpftls_control_send(session->sock, message, type, fds, count) != 0)
		shutdown(session->sock, SHUT_RDWR);
}

static int
link_changed(void *context, const struct link *link)
{
	struct session *session = context;

	if (session->any)
		attach_link(session, link);
	else if (link->gone && link->ifindex == session->link.ifindex)
		session->gone = true;
	return 0;
}

/* Forgets what has gone while rtnetlink could not tell. */
static void
forget_missing(struct session *session)
{
	struct attachments *attachments = &session->attachments;

	for (size_t i = attachments->count; i > 0; i--)
		if (!links_exists(attachments->list[i - 1].ifindex))
			attach_forget(attachments,
				      attachments->list[i - 1].ifindex);
	if (!session->any && attachments->count == 0)
		session->gone = true;
}

static void
links_changed(struct session *session)
{
	union ebpftls_any_message message;
	bool was_gone = session->gone;

	links_read(session->links, link_changed, session);
	forget_missing(session);
	if (!session->gone || was_gone)
		return;
	memset(&message, 0, sizeof(message));
	tell(session, &message, EBPFTLS_GONE, NULL, 0);
}

static void
secrets_off(struct session *session, const struct failure *failure)
{
	union ebpftls_any_message message;

	memset(&message, 0, sizeof(message));
	message.secrets_off.reason = failure->reason;
	memcpy(message.secrets_off.text, failure->text,
	       sizeof(message.secrets_off.text));
	tell(session, &message, EBPFTLS_SECRETS_OFF, NULL, 0);
	session->told = true;
}

/* Packets are captured all the same when this fails. */
static void
start_secrets(struct session *session)
{
	struct failure failure;

	session->secrets = secrets_load(&session->caller, &failure);
	if (session->secrets != NULL)
		session->discover = discover_start(session->secrets, &failure);
	if (session->discover == NULL) {
		secrets_close(session->secrets);
		session->secrets = NULL;
		secrets_off(session, &failure);
	}
}

/* Whose packets they are is said all the same when this fails. */
static void
start_people(struct session *session)
{
	struct failure failure;

	if (session->has_owners)
		session->people =
		    people_start(owners_events_fd(&session->owners),
				 session->sock, "/proc",
				 session->caller.limited ? &session->peer
							 : NULL,
				 session->caller.hidden, &failure);
}

/* What the one who reads the file should know. */
static void
tell_news(struct session *session)
{
	const char *news;

	while ((news = secrets_news(session->secrets)) != NULL) {
		union ebpftls_any_message message;

		/* files of anybody, that it need not be able to see */
		if (session->caller.limited && news[0] == '/')
			continue;
		memset(&message, 0, sizeof(message));
		snprintf(message.note.text, sizeof(message.note.text), "%s",
			 news);
		ebpftls_control_send(session->sock, &message, EBPFTLS_NOTE,
				     NULL, 0);
	}
}

/* Files of anybody, which one who is limited need not be able to see. */
static void
tell_libraries(struct session *session)
{
	union ebpftls_any_message message;
	const char *path;
	uint32_t number;

	while (!session->caller.limited &&
	       secrets_library(session->secrets, &number, &path)) {
		memset(&message, 0, sizeof(message));
		message.library.file = number;
		snprintf(message.library.path, sizeof(message.library.path),
			 "%s", path);
		ebpftls_control_send(session->sock, &message, EBPFTLS_LIBRARY,
				     NULL, 0);
	}
}

static void
answer(struct session *session, const struct ebpftls_hooked *answer)
{
	union ebpftls_any_message message = { .hooked = *answer };

	ebpftls_control_send(session->sock, &message, EBPFTLS_HOOKED, NULL, 0);
}

static void
give_answers(struct session *session)
{
	struct ebpftls_hooked found;

	while (discover_answer(session->discover, &found))
		answer(session, &found);
}

static void
discover_more(struct session *session)
{
	union ebpftls_any_message message;
	int ring = secrets_ring_fd(session->secrets);

	discover_work(session->discover);
	give_answers(session);
	if (session->told || !discover_settled(session->discover))
		return;
	memset(&message, 0, sizeof(message));
	message.secrets_on.size = secrets_ring_size(session->secrets);
	message.secrets_on.files = discover_files(session->discover);
	tell(session, &message, EBPFTLS_SECRETS_ON, &ring, 1);
	session->told = true;
}

/*
 * Of no other process the peer gets secrets, whatever it has mapped; of one
 * that has ended it may hear that.
 */
static bool
may_ask(const struct session *session, uint32_t pid)
{
	struct stat st;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%" PRIu32, pid);
	return !session->caller.limited || stat(path, &st) != 0 ||
	       st.st_uid == session->caller.uid;
}

/* What cannot be answered now is not known. */
static void
ask_discover(struct session *session, struct ebpftls_hooked *question)
{
	bool may = may_ask(session, question->pid);

	question->answer = may ? EBPFTLS_NOT_KNOWN : EBPFTLS_NOT_HOOKED;
	if (!may || session->discover == NULL ||
	    !discover_ask(session->discover, question))
		answer(session, question);
}

static bool
hear_filter(struct session *session, const struct ebpftls_filter_part *part,
	    int *fds, size_t count)
{
	if (count > 1) {
		ebpftls_control_close(fds, count);
		return false;
	}
	return filter_take(&session->filter, part, count == 1 ? fds[0] : -1,
			   &session->capture);
}

/* False at the connection's end, or when the peer says what makes no sense. */
static bool
hear(struct session *session)
{
	union ebpftls_any_message message;
	int fds[EBPFTLS_RINGS_MAX];
	size_t count;
	int type =
	    ebpftls_control_receive(session->sock, &message, fds, &count);

	if (type == EBPFTLS_FILTER)
		return hear_filter(session, &message.filter_part, fds, count);
	if (type > 0)
		ebpftls_control_close(fds, count);
	if (type == EBPFTLS_HOOKED) {
		ask_discover(session, &message.hooked);
		return true;
	}
	if (type != EBPFTLS_SECRETS)
		return false;
	if (!session->asked)
		start_secrets(session);
	session->asked = true;
	return true;
}

static void
cpu_came(void *context, uint32_t cpu)
{
	struct session *session = context;

	capture_cpu_came(&session->capture, cpu);
	if (session->discover != NULL)
		discover_cpu_came(session->discover, cpu);
}

static void
module_came(void *context, const char *name)
{
	struct session *session = context;

	capture_module_came(&session->capture, name);
}

static void
serve(struct session *session)
{
	static const struct uevents_handlers came = { cpu_came, module_came };
	struct pollfd wait[] = {
		{ .fd = session->sock, .events = POLLIN },
		{ .fd = session->links, .events = POLLIN },
		{ .fd = session->clock, .events = POLLIN },
		{ .fd = session->events, .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
	};

	start_people(session);
	if (session->people != NULL)
		wait[6].fd = people_fd(session->people);
	for (;;) {
		if (session->discover != NULL) {
			wait[4].fd = discover_fd(session->discover);
			wait[5].fd = secrets_complaints_fd(session->secrets);
		}
		if (poll(wait, sizeof(wait) / sizeof(wait[0]), -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (wait[0].revents && !hear(session))
			return;
		if (wait[1].revents)
			links_changed(session);
		if (wait[2].revents)
			clock_stepped(session->clock,
				      &capture_shared(&session->capture)
					   ->clock);
		if (wait[3].revents)
			uevents_read(session->events, &came, session);
		if (wait[4].revents) {
			discover_more(session);
			tell_libraries(session);
		}
		if (wait[5].revents)
			secrets_complaints(session->secrets);
		if (wait[6].revents)
			people_work(session->people);
		if (session->told && session->secrets != NULL)
			tell_news(session);
		/* so the peer need not ask its socket at each packet */
		__atomic_add_fetch(&capture_shared(&session->capture)->told, 1,
				   __ATOMIC_RELEASE);
	}
}

/* --- a check ----------------------------------------------------------------
 */

/* Takes a step of a capture; false after it has told why that failed. */
static bool
try(struct session *session,
    int (*step)(struct session *session, struct failure *failure))
{
	struct failure failure;

	if (step(session, &failure) == 0)
		return true;
	check_failed(session->sock, EBPFTLS_STATE_NO, CHECK_PACKETS, &failure);
	return false;
}

static int
try_link(void *context, const struct link *link)
{
	struct session *session = context;
	int error = attach_link(session, link);
	struct failure failure;

	if (error == 0)
		return 0;
	fail_attach(&failure, error);
	check_failed_on(session->sock, link->name, &failure);
	return 0;
}

/* Each interface, and for a moment only. */
static int
try_attach(struct session *session, struct failure *failure)
{
	struct attachments *attachments = &session->attachments;

	choose_programs(session);
	if (!session->any && attach(session, failure) != 0)
		return -1;
	if (session->any)
		links_list(session->links, try_link, session);
	if (attachments->count > 0)
		check_tell(session->sock, EBPFTLS_STATE_OK, CHECK_PACKETS,
			   "the capture programs load, and attach to %zu "
			   "interface%s by %s",
			   attachments->count,
			   attachments->count == 1 ? "" : "s",
			   attachments->clsact ? "TC filters" : "TCX links");
	attach_close(attachments);
	return 0;
}

static void
tell_owners(struct session *session)
{
	if (session->has_owners)
		check_owners(session->sock, &session->owners);
	else
		check_failed(session->sock, EBPFTLS_STATE_NO, CHECK_PROCESSES,
			     &session->no_owners);
}

/*
 * All that is done for a capture, as far as one thing does not need another.
 * The buffer is made when nothing is attached any more, so that no frames come.
 */
static void
check(struct session *session)
{
	bool here;

	if (!try(session, resolve) || !try(session, enter_namespace))
		return;
	here = try(session, find_interface) && try(session, open_packet_socket);
	if (try(session, load)) {
		if (here)
			try(session, try_attach);
		if (try(session, make_buffer))
			check_buffer(session->sock, &session->capture);
		check_filters(session->sock, &session->capture);
	}
	if (session->request.owners)
		tell_owners(session);
	check_secrets(session->sock);
	check_namespaces(session->sock);
}

/* --- the whole --------------------------------------------------------------
 */

static void
refuse(const struct session *session, const struct failure *failure)
{
	union ebpftls_any_message message;

	if (session->request.check) {
		check_failed(session->sock, EBPFTLS_STATE_NO, CHECK_PACKETS,
			     failure);
		check_end(session->sock);
		return;
	}
	memset(&message, 0, sizeof(message));
	message.error.reason = failure->reason;
	memcpy(message.error.text, failure->text, sizeof(message.error.text));
	ebpftls_control_send(session->sock, &message, EBPFTLS_ERROR, NULL, 0);
}

static int
admit(struct session *session, const char *group, struct failure *failure)
{
	int error = peer_of(session->sock, &session->peer);

	if (error != 0)
		return fail(failure, EBPFTLS_REASON_NO_PERMISSION,
			    "cannot tell who asks: %s", strerror(-error));
	if (policy_admit(&session->peer, group, failure) != 0)
		return -1;
	session->caller = peer_limits(session->sock, &session->peer);
	return 0;
}

/* The request first: who gets a refusal has sent it. */
static int
run(struct session *session, const struct session_options *options)
{
	struct failure failure;

	failure_begin();
	if (give_up_privileges(privileges_begin, &failure) == 0 &&
	    receive_request(session, &failure) == 0 &&
	    admit(session, options->group, &failure) == 0) {
		if (session->request.check) {
			check(session);
			check_end(session->sock);
			return 0;
		}
		if (set_up(session, &failure) == 0) {
			serve(session);
			return 0;
		}
	}
	refuse(session, &failure);
	return -1;
}

int
session_run(int sock, const struct session_options *options)
{
	struct session session = {
		.sock = sock,
		.cgroup = -1,
		.attachments.clsact = options->clsact,
		.links = -1,
		.clock = -1,
		.events = -1,
		.packet = -1,
	};
	int result;

	filter_init(&session.filter);
	result = run(&session, options);
	people_close(session.people);
	peer_free(&session.peer);
	discover_close(session.discover);
	secrets_close(session.secrets);
	attach_close(&session.attachments);
	filter_close(&session.filter);
	capture_close(&session.capture);
	owners_close(&session.owners);
	select_close(&session.selection);
	ebpftls_control_close((int[]){ session.links, session.clock,
				       session.events, session.packet,
				       session.cgroup },
			      5);
	return result;
}
