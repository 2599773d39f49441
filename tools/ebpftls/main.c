// SPDX-License-Identifier: BSD-3-Clause
/* ebpftls: what tcpdump alone cannot show. The table of its commands. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "extcap.h"

/* Not 0, and not what a command that is run is likely to end with. */
#define FAILED_RUN 125

static const struct command commands[] = {
	{
	    .name = "watch",
	    .rest = "[EXPRESSION]",
	    .summary = "Shows packets as tcpdump prints them, each with the "
		       "process that sent or got it.",
	    .run = watch,
	    .failed = 1,
	    .misuse = 2,
	    .options = {
		{ "i", "interface", "IFACE", false,
		  "capture there, by default on any" },
		{ "c", NULL, "COUNT", false, "end after so many packets" },
		{ "eKnNqStuvxX", NULL, NULL, false,
		  "how tcpdump prints: see tcpdump(8)" },
	    },
	},
	{
	    .name = "run",
	    .rest = "[EXPRESSION] -- COMMAND [ARG...]",
	    .summary = "Runs COMMAND and captures what it and its children "
		       "send and get, decryptable.",
	    .run = run,
	    .failed = FAILED_RUN,
	    .misuse = FAILED_RUN,
	    .options = {
		{ "w", "write", "FILE", true, "the pcapng file to write" },
		{ "i", "interface", "IFACE", false,
		  "capture there, by default on any" },
	    },
	},
	{
	    .name = "seal",
	    .rest = "FILE...",
	    .summary = "Puts secrets and processes into files of a dumpcap "
		       "that was killed or had no room.",
	    .run = seal,
	    .failed = 1,
	    .misuse = 2,
	},
	{
	    .name = "strip",
	    .rest = "FILE",
	    .summary = "Copies a pcapng file without the secrets in it.",
	    .run = strip,
	    .failed = 1,
	    .misuse = 2,
	    .options = {
		{ "o", "output", "OUT", true, "the file to write" },
		{ "p", "processes", NULL, false,
		  "leave out also whose the packets are" },
	    },
	},
	{
	    .name = "doctor",
	    .rest = "[PROGRAM...]",
	    .summary = "Says what can be captured here, by PROGRAM, and what "
		       "helps where that is not all.",
	    .run = doctor,
	    .failed = 2,
	    .misuse = 3,
	    .options = {
		{ "i", "interface", "IFACE", false,
		  "look there, by default at any" },
	    },
	},
	{
	    .name = "report",
	    .rest = "FILE|-",
	    .summary = "Says of each TLS connection in a pcapng file whether "
		       "it decrypts, or why not.",
	    .run = report,
	    .failed = 1,
	    .misuse = 2,
	},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int
usage(FILE *to, int status)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		fputs(i == 0 ? "usage: " : "       ", to);
		command_synopsis(&commands[i], to);
	}
	fputs("       ebpftls COMMAND --help\n", to);
	return status;
}

/*
 * What was closed by who started us stays useless, but no file that is opened
 * gets its number, and with that what is printed.
 */
static void
occupy_standard_files(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	occupy_standard_files();
	if (extcap_is_meant(argc, argv))
		return extcap(argc, argv);
	if (strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0)
		return usage(stdout, EXIT_SUCCESS);
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(&commands[i], argc - 1,
					       argv + 1);
	if (argc > 1)
		complain("there is no command '%s'", name);
	return usage(stderr, 2);
}
