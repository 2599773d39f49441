// SPDX-License-Identifier: BSD-3-Clause
/*
 * TC filters on clsact qdiscs.
 *
 * The handle of a filter is a number that its agent has for itself alone in
 * this network namespace: it listens on an abstract socket of that name, so
 * anybody can ask whether it lives, also from another pid namespace. One bit
 * says that the qdisc was made for captures; every capture that comes to
 * share it passes the bit on, and the last one takes the qdisc away.
 */
#define _GNU_SOURCE

#include "clsact.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "links.h"
#include "netlink.h"

#define OUR_NAME    "ebpftls_" /* what our programs' names begin with */
#define MADE_QDISC  0x80000000U
#define IDENTITY    0x7fffffffU
#define FILTERS_MAX 64
#define EVERY_DEAD  0 /* instead of an identity */
#define LOCK_MS	    2000

static const enum bpf_tc_attach_point points[] = { BPF_TC_INGRESS,
						   BPF_TC_EGRESS };

static struct {
	uint32_t id; /* 0: not made yet */
	int name;    /* the socket that shows that we live */
	int guard;   /* the guard wakes when this is closed */
} self = { 0, -1, -1 };

struct filter {
	uint32_t handle;
	uint32_t priority;
	uint32_t chain;
	bool ours;
};

static socklen_t
name_of(uint32_t id, struct sockaddr_un *address)
{
	int length;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	length = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1,
			  "ebpftls-%08x", id);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)length);
}

static bool
is_alive(uint32_t id)
{
	struct sockaddr_un address;
	socklen_t size = name_of(id, &address);
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool refused;

	if (sock < 0)
		return true;
	refused = connect(sock, (struct sockaddr *)&address, size) != 0 &&
		  errno == ECONNREFUSED;
	close(sock);
	return !refused;
}

/* Fills in one filter of a dump; false when it says nothing of one. */
static bool
parse(const struct nlmsghdr *message, struct filter *filter)
{
	const struct tcmsg *tc = NLMSG_DATA(message);
	const struct rtattr *attribute = TCA_RTA(tc), *inner;
	int left = (int)message->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*tc));

	if (message->nlmsg_type != RTM_NEWTFILTER || left < 0 ||
	    tc->tcm_handle == 0)
		return false;
	filter->handle = tc->tcm_handle;
	filter->priority = TC_H_MAJ(tc->tcm_info) >> 16;
	filter->chain = 0;
	filter->ours = false;
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		int size = (int)RTA_PAYLOAD(attribute);

		if (attribute->rta_type == TCA_CHAIN &&
		    size >= (int)sizeof(filter->chain))
			memcpy(&filter->chain, RTA_DATA(attribute),
			       sizeof(filter->chain));
		if (attribute->rta_type != TCA_OPTIONS)
			continue;
		for (inner = RTA_DATA(attribute); RTA_OK(inner, size);
		     inner = RTA_NEXT(inner, size))
			if (inner->rta_type == TCA_BPF_NAME &&
			    strncmp(RTA_DATA(inner), OUR_NAME,
				    sizeof(OUR_NAME) - 1) == 0)
				filter->ours = true;
	}
	return true;
}

struct filter_list {
	struct filter *filters;
	size_t count;
};

static int
take(void *context, const struct nlmsghdr *message)
{
	struct filter_list *list = context;

	if (list->count < FILTERS_MAX &&
	    parse(message, &list->filters[list->count]))
		list->count++;
	return 0;
}

/* The filters at one point, at most FILTERS_MAX. Returns how many. */
static size_t
list_filters(int ifindex, enum bpf_tc_attach_point point,
	     struct filter filters[FILTERS_MAX])
{
	const struct {
		struct nlmsghdr header;
		struct tcmsg tc;
	} request = {
		.header.nlmsg_len = sizeof(request),
		.header.nlmsg_type = RTM_GETTFILTER,
		.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		.tc.tcm_ifindex = ifindex,
		.tc.tcm_parent = TC_H_MAKE(TC_H_CLSACT, point == BPF_TC_INGRESS
							    ? TC_H_MIN_INGRESS
							    : TC_H_MIN_EGRESS),
	};
	struct filter_list list = { filters, 0 };
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (sock < 0)
		return 0;
	netlink_dump(sock, &request, sizeof(request), take, &list);
	close(sock);
	return list.count;
}

/* `id`: whose filters go; EVERY_DEAD: those whose agent has died. */
static bool
must_go(const struct filter *filter, uint32_t id)
{
	uint32_t owner = filter->handle & IDENTITY;

	if (!filter->ours)
		return false;
	return id == EVERY_DEAD ? !is_alive(owner) : owner == id;
}

/*
 * Captures that share a qdisc make and remove it one after the other. The
 * lock is on the network namespace itself and ends with its holder. Anybody
 * can hold it who is in the namespace: so after a while we go on without.
 * Returns a descriptor to close.
 */
static int
lock(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	for (int i = 0; i < LOCK_MS && flock(fd, LOCK_EX | LOCK_NB) != 0 &&
			errno == EWOULDBLOCK;
	     i++)
		usleep(1000);
	return fd;
}

static void
clean(int ifindex, uint32_t id)
{
	LIBBPF_OPTS(bpf_tc_hook, qdisc, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct filter list[FILTERS_MAX];
	bool made_qdisc = false, used = false;
	int locked = lock();

	for (size_t i = 0; i < 2; i++) {
		size_t count = list_filters(ifindex, points[i], list);

		used |= count == FILTERS_MAX; /* there may be more */
		for (size_t j = 0; j < count; j++) {
			LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
				    .attach_point = points[i]);
			LIBBPF_OPTS(bpf_tc_opts, which,
				    .handle = list[j].handle,
				    .priority = list[j].priority);

			if (!must_go(&list[j], id) ||
			    bpf_tc_detach(&hook, &which) != 0)
				used = true;
			else if (list[j].handle & MADE_QDISC)
				made_qdisc = true;
		}
	}
	if (made_qdisc && !used)
		bpf_tc_hook_destroy(&qdisc);
	close(locked);
}

static int
clean_link(void *context, const struct link *link)
{
	clean(link->ifindex, *(const uint32_t *)context);
	return 0;
}

static void
clean_everywhere(uint32_t id)
{
	int sock = links_open();

	if (sock < 0)
		return;
	links_list(sock, clean_link, &id);
	close(sock);
}

/*
 * Waits, with nothing else open, for the end of the agent, however it comes.
 * It takes no signals: it lives no longer than the agent plus a moment.
 */
__attribute__((noreturn)) static void
guard(uint32_t id, int end)
{
	char byte;

	setsid();
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_IGN);
	prctl(PR_SET_NAME, "ebpftls-guard");
	if (dup2(end, 0) == 0)
		syscall(SYS_close_range, 1U, ~0U, 0U);
	while (read(0, &byte, 1) < 0 && errno == EINTR)
		;
	clean_everywhere(id);
	_exit(0);
}

static int
start_guard(uint32_t id)
{
	int pair[2];
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		guard(id, pair[0]);
	close(pair[0]);
	if (pid < 0) {
		int error = -errno;

		close(pair[1]);
		return error;
	}
	self.guard = pair[1];
	return 0;
}

/* Takes a number that nobody has, and the socket that shows it. */
static int
take_identity(void)
{
	struct sockaddr_un address;
	socklen_t size;
	int error;

	self.name = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (self.name < 0)
		return -errno;
	do {
		uint32_t id;

		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			return -EIO;
		self.id = (id & IDENTITY) | 1;
		size = name_of(self.id, &address);
		error = bind(self.name, (struct sockaddr *)&address, size) != 0
			    ? -errno
			    : 0;
	} while (error == -EADDRINUSE);
	return error;
}

static int
begin(void)
{
	int error = take_identity();

	if (error == 0)
		error = start_guard(self.id);
	if (error != 0) {
		self.id = 0;
		return error;
	}
	clean_everywhere(EVERY_DEAD);
	return 0;
}

/* Whether the qdisc is one that the last capture takes away. */
static int
make_qdisc(int ifindex, bool *made)
{
	LIBBPF_OPTS(bpf_tc_hook, qdisc, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct filter list[FILTERS_MAX];
	int error = bpf_tc_hook_create(&qdisc);

	*made = error == 0;
	if (error != -EEXIST)
		return error;
	for (size_t i = 0; i < 2; i++) {
		size_t count = list_filters(ifindex, points[i], list);

		for (size_t j = 0; j < count; j++)
			if (list[j].ours && (list[j].handle & MADE_QDISC))
				*made = true;
	}
	return 0;
}

/*
 * Before all that are there. Where the first has priority 1 it is that one:
 * among BPF filters of one priority, the newest comes first.
 */
static int
add_filter(int ifindex, enum bpf_tc_attach_point point, int program,
	   uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program, .handle = handle);
	struct filter list[FILTERS_MAX];
	size_t count = list_filters(ifindex, point, list);
	int error;

	for (size_t i = 0; i < count; i++) {
		/* an "ingress" qdisc shows the same at either point */
		if ((list[i].handle & IDENTITY) == self.id && list[i].ours)
			return -EADDRINUSE;
		if (list[i].chain == 0 && (options.priority == 0 ||
					   list[i].priority < options.priority))
			options.priority = list[i].priority;
	}
	if (options.priority > 1)
		options.priority--;
	error = bpf_tc_attach(&hook, &options);
	if (error == 0 || options.priority != 1)
		return error;
	/* another kind of filter has it: nobody can come before that */
	options.priority = 0;
	return bpf_tc_attach(&hook, &options);
}

int
clsact_attach(const int programs[2], int ifindex)
{
	int error = self.id == 0 ? begin() : 0, locked;
	bool made;

	if (error != 0)
		return error;
	locked = lock();
	error = make_qdisc(ifindex, &made);
	for (int i = 1; error == 0 && i >= 0; i--)
		if (programs[i] >= 0)
			error = add_filter(ifindex, points[i], programs[i],
					   self.id | (made ? MADE_QDISC : 0));
	close(locked);
	if (error != 0)
		clean(ifindex, self.id);
	return error;
}

void
clsact_detach(void)
{
	if (self.id == 0)
		return;
	clean_everywhere(self.id);
	close(self.guard);
	close(self.name);
	self.id = 0;
}
