// SPDX-License-Identifier: BSD-3-Clause
/* ebpftls report: does each TLS connection in a file decrypt? */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "colour.h"
#include "command.h"
#include "inspect.h"
#include "table.h"

/* Followed at once. */
#define CONNECTIONS_MAX 65536

static bool
set(void *settings, char letter, const char *argument)
{
	(void)settings;
	(void)letter;
	(void)argument;
	return true;
}

static void
tell(void *context, const struct connection *connection)
{
	table_line(context, connection);
}

/* What is still being captured is told as it ends. */
static bool
is_live(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && !S_ISREG(status.st_mode);
}

/* Returns the exit status. */
static int
report_on(const struct command *self, const char *path, int fd)
{
	struct inspection inspection;
	struct table table = { .to = stdout, .colour = colour_is_wanted() };
	const char *why = inspect(&inspection, fd, CONNECTIONS_MAX,
				  is_live(fd) ? tell : NULL, &table);
	bool good = true;

	if (inspection.list != NULL || why == NULL)
		good = table_write(&table, &inspection);
	if (inspection.cut)
		complain("%s: it ends inside of a block", path);
	if (why != NULL)
		complain("%s: %s", path, why);
	inspection_free(&inspection);
	if (fflush(stdout) != 0) {
		complain("cannot write: %s", strerror(errno));
		return self->misuse;
	}
	if (why != NULL)
		return self->misuse;
	return good ? EXIT_SUCCESS : self->failed;
}

/*
 * What writes into the pipe is ended by an interrupt, which comes to us as
 * well: we end when it has.
 */
static int
standard_input(void)
{
	signal(SIGINT, SIG_IGN);
	return dup(STDIN_FILENO);
}

int
report(const struct command *self, int argc, char **argv)
{
	const int first = command_parse(self, argc, argv, set, NULL);
	const char *path;
	int fd, status;

	if (argc - first != 1)
		command_misused(self, first == argc ? "which file?"
						    : "one file, please");
	path = argv[first];
	fd = strcmp(path, "-") == 0 ? standard_input()
				    : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		complain("%s: %s", path, strerror(errno));
		return self->misuse;
	}
	status = report_on(self, path, fd);
	close(fd);
	return status;
}
