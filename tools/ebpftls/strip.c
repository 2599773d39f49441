// SPDX-License-Identifier: BSD-3-Clause
/* ebpftls strip: a copy of a file for people who are not to decrypt it. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bare.h"
#include "command.h"
#include "ebpftls-replace.h"

struct strip {
	const char *output;
	bool processes;
};

static bool
set(void *settings, char letter, const char *argument)
{
	struct strip *strip = settings;

	if (letter == 'p')
		strip->processes = true;
	else
		strip->output = argument;
	return letter == 'p' || *argument != '\0';
}

/* A link stays one: what it leads to is replaced. */
static int
begin(struct ebpftls_replace *replace, const char *output)
{
	char file[PATH_MAX];

	if (realpath(output, file) != NULL)
		output = file;
	return ebpftls_replace_begin(replace, output, 0);
}

/* Copies all blocks. Returns whether that is all there is in the file. */
static bool
copy(const struct strip *strip, const char *path, struct ebpftls_reader *reader,
     struct ebpftls_replace *replace, uint8_t *bare)
{
	struct ebpftls_block block;
	enum ebpftls_read status;
	size_t size;

	while ((status = ebpftls_reader_next(reader, &block)) ==
		   EBPFTLS_READ_BLOCK &&
	       replace->error == 0) {
		size = bare_block(reader, &block, strip->processes, bare);
		ebpftls_replace_put(replace, bare, size);
	}
	switch (status) {
	case EBPFTLS_READ_FAILED:
		complain("%s: %s", path, strerror(errno));
		return false;
	case EBPFTLS_READ_BROKEN:
		complain("%s: it is no pcapng file, or a broken one", path);
		return false;
	case EBPFTLS_READ_CUT:
		complain("%s: it ends inside of a block, which is left out",
			 path);
		return true;
	default:
		return true;
	}
}

/* As any new file of the caller's. */
static struct stat
usual(void)
{
	const mode_t mask = umask(077);

	umask(mask);
	return (struct stat){
		.st_uid = geteuid(),
		.st_gid = getegid(),
		.st_mode = 0666 & ~mask,
	};
}

static int
finish(const struct strip *strip, struct ebpftls_replace *replace, bool whole)
{
	const struct stat like = usual();
	int error;

	if (!whole) {
		ebpftls_replace_abandon(replace);
		return -1;
	}
	error = ebpftls_replace_finish(replace, &like, -1);
	return error == 0 ? 0
			  : complain("%s: %s", strip->output,
				     ebpftls_replace_why(error));
}

static int
strip_file(const struct strip *strip, const char *path, int fd)
{
	uint8_t *bare = malloc(EBPFTLS_BLOCK_MAX);
	struct ebpftls_replace replace;
	struct ebpftls_reader reader;
	int error;

	error = ebpftls_reader_init(&reader, fd) && bare != NULL
		    ? begin(&replace, strip->output)
		    : -ENOMEM;
	if (error != 0)
		error = complain("%s: %s", strip->output,
				 ebpftls_replace_why(error));
	else
		error = finish(strip, &replace,
			       copy(strip, path, &reader, &replace, bare));
	ebpftls_reader_free(&reader);
	free(bare);
	return error;
}

int
strip(const struct command *self, int argc, char **argv)
{
	struct strip strip = { .output = NULL };
	int first = command_parse(self, argc, argv, set, &strip);
	int fd, error;

	if (strip.output == NULL)
		command_misused(self, "-o OUT is missing");
	if (first != argc - 1)
		command_misused(self, "which file? One");
	fd = open(argv[first], O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		complain("%s: %s", argv[first], strerror(errno));
		return self->failed;
	}
	error = strip_file(&strip, argv[first], fd);
	close(fd);
	return error == 0 ? EXIT_SUCCESS : self->failed;
}
