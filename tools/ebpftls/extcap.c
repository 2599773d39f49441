// SPDX-License-Identifier: BSD-3-Clause
/*
 * A source for Wireshark and tshark, by their extcap protocol: they list what
 * there is, and have a capture written into a pipe. What libpcap writes there
 * has secrets and processes in it, which the packets alone would not have.
 */
#define _GNU_SOURCE

#include "extcap.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "command.h"
#include "device.h"

enum word {
	LIST = 256,
	VERSION,
	LINKS,
	CONFIG,
	CAPTURE,
	INTERFACE,
	FILTER,
	FIFO,
	NETNS,
	OPTIONS,
	WORDS
};

static const struct option words[] = {
	{ "extcap-interfaces", no_argument, NULL, LIST },
	{ "extcap-version", required_argument, NULL, VERSION },
	{ "extcap-dlts", no_argument, NULL, LINKS },
	{ "extcap-config", no_argument, NULL, CONFIG },
	{ "capture", no_argument, NULL, CAPTURE },
	{ "extcap-interface", required_argument, NULL, INTERFACE },
	{ "extcap-capture-filter", required_argument, NULL, FILTER },
	{ "fifo", required_argument, NULL, FIFO },
	{ "netns", required_argument, NULL, NETNS },
	{ "device-options", required_argument, NULL, OPTIONS },
	{ NULL, 0, NULL, 0 },
};

struct request {
	const char *value[WORDS - LIST]; /* by word; NULL: it was not said */
};

static const char *
said(const struct request *request, enum word word)
{
	return request->value[word - LIST];
}

bool
extcap_is_meant(int argc, char **argv)
{
	return argc > 1 && strncmp(argv[1], "--", 2) == 0 &&
	       (strcmp(argv[1], "--capture") == 0 ||
		strncmp(argv[1], "--extcap-", strlen("--extcap-")) == 0);
}

/* Their sentences have braces around each value. */
static bool
fits_sentence(const char *text)
{
	return text[strcspn(text, "{}")] == '\0';
}

static int
list(void)
{
	char text[PCAP_ERRBUF_SIZE];
	pcap_if_t *all;

	puts("extcap {version=1.0}{display=ebpftls}");
	if (pcap_findalldevs(&all, text) != 0) {
		complain("%s", text);
		return EXIT_FAILURE;
	}
	for (pcap_if_t *device = all; device != NULL; device = device->next)
		if (strncmp(device->name, DEVICE_PREFIX,
			    strlen(DEVICE_PREFIX)) == 0 &&
		    fits_sentence(device->name))
			printf("interface {value=%s}{display=%s}\n",
			       device->name, device->description);
	pcap_freealldevs(all);
	return EXIT_SUCCESS;
}

static int
show_config(void)
{
	puts("arg {number=0}{call=--netns}{display=Network namespace}"
	     "{type=string}{tooltip=Name, path, or a process in it; nothing: "
	     "this one}");
	puts("arg {number=1}{call=--device-options}{display=Device options}"
	     "{type=string}{tooltip=For example pid=1234,children or "
	     "comm=curl: see pcap-ebpftls(7)}");
	return EXIT_SUCCESS;
}

/* Returns NULL after it has said why. */
static pcap_t *
open_device(const struct request *request)
{
	const char *interface = said(request, INTERFACE);
	const char *netns = said(request, NETNS);
	const char *options = said(request, OPTIONS);
	char *place, *further;
	pcap_t *pcap = NULL;

	if (strncmp(interface, DEVICE_PREFIX, strlen(DEVICE_PREFIX)) == 0)
		interface += strlen(DEVICE_PREFIX);
	if (asprintf(&place, "%s%s%s", interface,
		     netns != NULL && *netns != '\0' ? "@" : "",
		     netns != NULL ? netns : "") < 0)
		return NULL;
	if (asprintf(&further, "%s%s",
		     options != NULL && *options != '\0' ? "," : "",
		     options != NULL ? options : "") >= 0) {
		pcap = device_open(place, further);
		free(further);
	}
	free(place);
	return pcap;
}

static int
show_links(const struct request *request)
{
	pcap_t *pcap = open_device(request);
	int link;

	if (pcap == NULL)
		return EXIT_FAILURE;
	link = pcap_datalink(pcap);
	printf("dlt {number=%d}{name=%s}{display=%s}\n", link,
	       pcap_datalink_val_to_name(link),
	       pcap_datalink_val_to_description(link));
	pcap_close(pcap);
	return EXIT_SUCCESS;
}

/* Whatever is printed is what is wrong with the filter. */
static int
judge_filter(const struct request *request)
{
	struct bpf_program program;
	pcap_t *pcap = open_device(request);

	if (pcap == NULL)
		return EXIT_FAILURE;
	if (pcap_compile(pcap, &program, said(request, FILTER), 1,
			 PCAP_NETMASK_UNKNOWN) == 0)
		pcap_freecode(&program);
	else
		puts(pcap_geterr(pcap));
	pcap_close(pcap);
	return EXIT_SUCCESS;
}

/* Readable once somebody wants the end. */
static int
expect_end(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Returns 0 when it was asked to end, or has no reader any more. */
static int
capture_until_end(pcap_t *pcap, pcap_dumper_t *dumper)
{
	struct pollfd fds[] = {
		{ pcap_get_selectable_fd(pcap), POLLIN, 0 },
		{ expect_end(), POLLIN, 0 },
		{ fileno(pcap_dump_file(dumper)), 0, 0 },
	};
	bool asked = fds[1].fd < 0;

	while (!asked) {
		if (poll(fds, 3, -1) < 0)
			return complain("poll: %s", strerror(errno));
		asked = fds[1].revents != 0 || fds[2].revents != 0;
		if (pcap_dispatch(pcap, -1, pcap_dump, (u_char *)dumper) < 0)
			return complain("%s", pcap_geterr(pcap));
		if (pcap_dump_flush(dumper) != 0)
			asked = true;
	}
	close(fds[1].fd);
	return 0;
}

/* Closes the pipe in the end. */
static int
capture_into(const struct request *request, FILE *pipe)
{
	const char *filter = said(request, FILTER);
	pcap_t *pcap = open_device(request);
	pcap_dumper_t *dumper = NULL;
	int status = -1;

	if (pcap != NULL &&
	    device_filter(pcap, (char **)&filter, filter != NULL) == 0) {
		dumper = pcap_dump_fopen(pcap, pipe);
		status = dumper != NULL ? capture_until_end(pcap, dumper)
					: complain("%s", pcap_geterr(pcap));
	}
	if (dumper != NULL)
		pcap_dump_close(dumper);
	else
		fclose(pipe);
	if (pcap != NULL)
		pcap_close(pcap);
	return status;
}

/* The pipe first: only its end tells the reader that there is no capture. */
static int
capture(const struct request *request)
{
	const char *path = said(request, FIFO);
	FILE *pipe = fopen(path, "wb");

	if (pipe == NULL)
		complain("%s: %s", path, strerror(errno));
	return pipe != NULL && capture_into(request, pipe) == 0 ? EXIT_SUCCESS
								: EXIT_FAILURE;
}

int
extcap(int argc, char **argv)
{
	struct request request = { { NULL } };
	int word;

	while ((word = getopt_long(argc, argv, "", words, NULL)) != -1)
		if (word >= LIST)
			request.value[word - LIST] =
			    optarg != NULL ? optarg : "";
	if (said(&request, LIST) != NULL)
		return list();
	if (said(&request, INTERFACE) == NULL) {
		complain("--extcap-interface is missing");
		return EXIT_FAILURE;
	}
	if (said(&request, CONFIG) != NULL)
		return show_config();
	if (said(&request, LINKS) != NULL)
		return show_links(&request);
	if (said(&request, CAPTURE) != NULL && said(&request, FIFO) != NULL)
		return capture(&request);
	if (said(&request, FILTER) != NULL)
		return judge_filter(&request);
	complain("--fifo is missing");
	return EXIT_FAILURE;
}
