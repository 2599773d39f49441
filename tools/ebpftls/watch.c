// SPDX-License-Identifier: BSD-3-Clause
/* ebpftls watch: packets as they come, each with its process in front. */
#define _GNU_SOURCE

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "device.h"
#include "ends.h"
#include "printer.h"
#include "user.h"

struct watch {
	const char *interface;
	unsigned int limit; /* 0: none */
	char tcpdump[64];   /* options, as one word */
	pcap_t *pcap;
	struct printer *printer;
	bool capturing;
	int64_t deadline; /* 0: none */
	bool failed;
};

/* How long what has come may take to be printed after a signal. */
#define LAST_MS 2000

static int stop_fd;

static bool
set_limit(struct watch *watch, const char *argument)
{
	char *end;
	unsigned long number = strtoul(argument, &end, 10);

	watch->limit = (unsigned int)number;
	return *argument >= '1' && *argument <= '9' && *end == '\0' &&
	       number <= INT32_MAX;
}

static bool
set(void *settings, char letter, const char *argument)
{
	struct watch *watch = settings;
	size_t length = strlen(watch->tcpdump);

	switch (letter) {
	case 'i':
		watch->interface = argument;
		return true;
	case 'c':
		return set_limit(watch, argument);
	default:
		/* nothing that tcpdump knows is repeated so often */
		if (length < sizeof(watch->tcpdump) - 1)
			watch->tcpdump[length] = letter;
		return true;
	}
}

static void
stop(int signal)
{
	int saved = errno;

	(void)signal;
	eventfd_write(stop_fd, 1);
	errno = saved;
}

static int
catch_signals(void)
{
	struct sigaction action = { .sa_handler = stop,
				    .sa_flags = SA_RESTART };

	stop_fd = eventfd(0, EFD_CLOEXEC);
	if (stop_fd < 0)
		return complain("eventfd: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return 0;
}

/* The packet behind the header is what tcpdump prints. */
static void
pass_on(u_char *user, const struct pcap_pkthdr *header, const u_char *bytes)
{
	struct watch *watch = (struct watch *)user;
	struct pcap_pkthdr inner = *header;
	struct ends ends;
	size_t size = ends_read(bytes, header->caplen, &ends);

	if (size == 0) {
		complain("a packet without the name of its process came");
		watch->failed = true;
		return;
	}
	inner.caplen -= (bpf_u_int32)size;
	inner.len -= (bpf_u_int32)size;
	if (printer_add(watch->printer, &ends, &inner, bytes + size) != 0)
		watch->failed = true;
}

/* How many packets may be read now. */
static int
wanted(const struct watch *watch)
{
	int room = watch->capturing ? printer_room(watch->printer) : 0;
	unsigned int left = watch->limit - watch->printer->written;

	if (watch->limit != 0 && left < (unsigned int)room)
		room = (int)left;
	return room;
}

static void
capture(struct watch *watch)
{
	int status =
	    pcap_dispatch(watch->pcap, wanted(watch), pass_on, (u_char *)watch);

	if (status < 0) {
		complain("%s", pcap_geterr(watch->pcap));
		watch->failed = true;
	}
	if (watch->failed ||
	    (watch->limit != 0 && watch->printer->written == watch->limit))
		watch->capturing = false;
}

/* Who does not read on has seen enough: no reason to complain. */
static void
flush(struct watch *watch)
{
	if (fflush(stdout) == 0 || watch->failed)
		return;
	if (errno != EPIPE)
		complain("cannot write: %s", strerror(errno));
	watch->failed = true;
	printer_abandon(watch->printer);
}

/* For poll(). Unlike tcpdump, we do not wait for name servers. */
static int
patience(const struct watch *watch)
{
	int64_t now = now_ms();

	if (watch->deadline == 0)
		return -1;
	return now < watch->deadline ? (int)(watch->deadline - now) : 0;
}

static void
give_up(struct watch *watch)
{
	if (watch->printer->abandoned)
		return;
	complain("tcpdump has not printed %u packets in time",
		 watch->printer->written - watch->printer->lines.seen);
	printer_abandon(watch->printer);
	watch->failed = true;
}

/* Until tcpdump has printed all, and ends. */
static void
loop(struct watch *watch)
{
	struct pollfd fds[4] = { { .events = POLLIN }, { .events = POLLIN } };

	do {
		flush(watch);
		if (!watch->capturing)
			printer_finish(watch->printer);
		fds[0].fd = wanted(watch) > 0
				? pcap_get_selectable_fd(watch->pcap)
				: -1;
		fds[1].fd = watch->deadline == 0 ? stop_fd : -1;
		printer_poll(watch->printer, fds + 2);
		if (poll(fds, 4, patience(watch)) < 0)
			continue;
		if (fds[1].revents != 0) {
			watch->capturing = false;
			watch->deadline = now_ms() + LAST_MS;
		}
		if (watch->deadline != 0 && patience(watch) == 0)
			give_up(watch);
		if (watch->capturing && fds[0].revents != 0)
			capture(watch);
	} while (printer_work(watch->printer));
	/* before what is said at the end */
	flush(watch);
}

/* With privileges; what follows needs none. */
static int
open_capture(struct watch *watch, char **words, int count)
{
	int linktype, snaplen;

	watch->pcap = device_open(watch->interface, "");
	if (watch->pcap == NULL)
		return -1;
	linktype = pcap_datalink(watch->pcap);
	snaplen = pcap_snapshot(watch->pcap);
	if (pcap_set_datalink(watch->pcap, DLT_PKTAP) != 0)
		return complain("%s", pcap_geterr(watch->pcap));
	if (device_filter(watch->pcap, words, count) != 0 || user_drop() != 0)
		return -1;
	return printer_start(watch->printer, linktype, snaplen, watch->tcpdump);
}

int
watch(const struct command *self, int argc, char **argv)
{
	static struct printer printer;
	struct watch watch = { .interface = "any",
			       .tcpdump = "-",
			       .printer = &printer,
			       .capturing = true };
	int first = command_parse(self, argc, argv, set, &watch);

	if (strcmp(watch.tcpdump, "-") == 0)
		strcpy(watch.tcpdump, "-l");
	if (open_capture(&watch, argv + first, argc - first) != 0)
		return self->failed;
	if (catch_signals() != 0)
		return self->failed;
	loop(&watch);
	if (printer_end(&printer) != 0)
		watch.failed = true;
	device_close(watch.pcap, printer.lines.seen);
	return watch.failed ? self->failed : EXIT_SUCCESS;
}
