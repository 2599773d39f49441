// SPDX-License-Identifier: BSD-3-Clause
/* Opens an ebpftls device, and says in plain words why that is not possible. */
#define _GNU_SOURCE

#include "device.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "library.h"

/* How long packets may wait for others that are older: nobody notices. */
#define TIMEOUT_MS 10

static void
explain(pcap_t *pcap, const char *name, int status)
{
	const char *kind = pcap_statustostr(status), *text = pcap_geterr(pcap);

	if (!library_is_ours(pcap_findalldevs, pcap_freealldevs))
		complain("the libpcap that was found (%s) knows no ebpftls "
			 "devices: start this by build/run, or see \"ldconfig "
			 "-p\" after make install",
			 pcap_lib_version());
	else if (status == PCAP_ERROR || strcmp(kind, text) == 0)
		complain("%s: %s", name, text);
	else
		complain("%s: %s: %s", name, kind, text);
}

pcap_t *
device_open(const char *interface, const char *options)
{
	char text[PCAP_ERRBUF_SIZE], *name;
	pcap_t *pcap = NULL;
	int status = 0;

	if (asprintf(&name, DEVICE_PREFIX "%s%s", interface, options) < 0)
		return NULL;
	pcap = pcap_create(name, text);
	if (pcap == NULL) {
		complain("%s: %s", name, text);
	} else {
		pcap_set_timeout(pcap, TIMEOUT_MS);
		status = pcap_activate(pcap);
	}
	if (status < 0)
		explain(pcap, name, status);
	else if (status > 0)
		complain("%s: %s", name, pcap_geterr(pcap));
	if (pcap != NULL &&
	    (status < 0 || pcap_setnonblock(pcap, 1, text) != 0)) {
		pcap_close(pcap);
		pcap = NULL;
	}
	free(name);
	return pcap;
}

/* The words with a blank after each; NULL without memory. */
static char *
join(char **words, int count)
{
	size_t size = 1;
	char *joined;

	for (int i = 0; i < count; i++)
		size += strlen(words[i]) + 1;
	joined = calloc(1, size);
	for (int i = 0; joined != NULL && i < count; i++) {
		strcat(joined, words[i]);
		strcat(joined, " ");
	}
	return joined;
}

int
device_filter(pcap_t *pcap, char **words, int count)
{
	struct bpf_program program;
	char *expression;
	int status;

	if (count == 0)
		return 0;
	expression = join(words, count);
	if (expression == NULL)
		return complain("no memory");
	status =
	    pcap_compile(pcap, &program, expression, 1, PCAP_NETMASK_UNKNOWN);
	free(expression);
	if (status == 0) {
		status = pcap_setfilter(pcap, &program);
		pcap_freecode(&program);
	}
	return status == 0 ? 0 : complain("%s", pcap_geterr(pcap));
}

static const char *
plural(unsigned int count)
{
	return count == 1 ? "" : "s";
}

void
device_close(pcap_t *pcap, unsigned int captured)
{
	struct pcap_stat stats;

	fprintf(stderr, "%u packet%s captured\n", captured, plural(captured));
	if (pcap_stats(pcap, &stats) == 0)
		fprintf(stderr,
			"%u packet%s received by filter\n"
			"%u packet%s dropped by kernel\n",
			stats.ps_recv, plural(stats.ps_recv), stats.ps_drop,
			plural(stats.ps_drop));
	pcap_close(pcap);
}
