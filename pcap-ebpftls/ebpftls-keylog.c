// SPDX-License-Identifier: BSD-3-Clause
/* One line, one write: others may append to the same file. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "ebpftls-keylog.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ebpftls-write.h"

/*
 * Why there should be no secrets in it; NULL: they are safe there. One who may
 * write to the folder may have made it before us, and reads what is his own.
 */
static const char *
objection(const struct stat *status)
{
	if (status->st_uid != geteuid() && status->st_uid != 0)
		return "it is another user's - remove it, or give another path";
	if (S_ISREG(status->st_mode) && (status->st_mode & 077) != 0)
		return "others may read or write it - chmod 600 it, or give "
		       "another path";
	return NULL;
}

const char *
ebpftls_keylog_open(struct ebpftls_keylog *log, const char *path)
{
	const char *problem;
	struct stat status;

	*log = (struct ebpftls_keylog){
		.fd = open(path,
			   O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_CLOEXEC,
			   0600),
	};
	if (log->fd < 0 || fstat(log->fd, &status) != 0)
		problem = strerror(errno);
	else
		problem = objection(&status);
	if (problem != NULL)
		ebpftls_keylog_close(log);
	return problem;
}

/* Of a line some may be written; the next one must not be part of it. */
static void
write_line(struct ebpftls_keylog *log, const char *line, size_t length)
{
	const size_t done = ebpftls_write_all(log->fd, line, length);

	if (done == length) {
		log->cut = false;
		return;
	}
	if (log->lost++ == 0)
		log->error = errno;
	if (done > 0)
		log->cut = true;
}

void
ebpftls_keylog_write(struct ebpftls_keylog *log,
		     const struct ebpftls_secret *secret)
{
	char line[1 + EBPFTLS_LINE_SIZE] = "\n";
	const size_t length = ebpftls_keys_format(secret, line + 1);

	if (log->cut)
		write_line(log, line, 1 + length);
	else
		write_line(log, line + 1, length);
	explicit_bzero(line, sizeof(line));
}

void
ebpftls_keylog_close(struct ebpftls_keylog *log)
{
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
}
