// SPDX-License-Identifier: BSD-3-Clause
/* ebpftls seal: finishes what pcap_close() of dumpcap did not get to do. */
#define _GNU_SOURCE

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "ebpftls-seal.h"

/* What was kept lies beside the file itself, not beside a link to it. */
static bool
seal_file(const char *path)
{
	struct ebpftls_seal work = { .unfinished = true };
	char file[PATH_MAX];

	work.path = realpath(path, file);
	if (work.path == NULL) {
		complain("%s: %s", path, strerror(errno));
		return false;
	}
	switch (ebpftls_seal(&work)) {
	case 0:
		if (work.known < work.packets)
			complain("%s: of %" PRIu64 " packets the last %" PRIu64
				 " say nothing of their processes",
				 path, work.packets, work.packets - work.known);
		if (work.cut > 0)
			complain("%s: half a block at its end is left out",
				 path);
		return true;
	case 1:
		complain("%s: nothing was kept for it: there is no "
			 "%s.unsealed-0",
			 path, file);
		return false;
	default:
		complain("%s: %s", path, work.why);
		return false;
	}
}

static bool
set(void *settings, char letter, const char *argument)
{
	(void)settings;
	(void)letter;
	(void)argument;
	return true;
}

int
seal(const struct command *self, int argc, char **argv)
{
	int first = command_parse(self, argc, argv, set, NULL);
	bool done = true;

	if (first == argc)
		command_misused(self, "which file?");
	for (int i = first; i < argc; i++)
		done &= seal_file(argv[i]);
	return done ? EXIT_SUCCESS : self->failed;
}
