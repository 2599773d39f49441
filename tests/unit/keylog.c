// SPDX-License-Identifier: BSD-3-Clause
/* Does a key log get whole lines, and is it its owner's alone? */
#define _GNU_SOURCE
#include "ebpftls-keylog.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "unit/check.h"

static const char path[] = "keys";
static struct ebpftls_keylog keylog;

static struct ebpftls_secret
secret_of(uint8_t number)
{
	struct ebpftls_secret secret = { .label = 2, .length = 32 };

	memset(secret.random, number, sizeof(secret.random));
	memset(secret.secret, number, sizeof(secret.secret));
	return secret;
}

static void
put(uint8_t number)
{
	const struct ebpftls_secret secret = secret_of(number);

	ebpftls_keylog_write(&keylog, &secret);
}

/* Adds the line of a secret to a text. */
static void
add_line(char *text, uint8_t number)
{
	const struct ebpftls_secret secret = secret_of(number);
	char line[EBPFTLS_LINE_SIZE];

	strncat(text, line, ebpftls_keys_format(&secret, line));
}

/* Whether that is what can be read there. */
static bool
is_text(int fd, const char *want)
{
	char text[4096] = "";

	check(read(fd, text, sizeof(text) - 1) >= 0);
	return strcmp(text, want) == 0;
}

static bool
is_content(const char *want)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	const bool is = is_text(fd, want);

	close(fd);
	return is;
}

static void
appending(void)
{
	char want[1024] = "";
	struct stat status;

	unlink(path);
	for (uint8_t i = 1; i <= 3; i++) {
		check(ebpftls_keylog_open(&keylog, path) == NULL);
		put(i);
		ebpftls_keylog_close(&keylog);
		add_line(want, i);
	}
	check(is_content(want));
	check(stat(path, &status) == 0 && (status.st_mode & 0777) == 0600);
}

/* Nothing is opened, and what is there stays as it is. */
static void
refused(const char *why)
{
	const char *problem;

	problem = ebpftls_keylog_open(&keylog, path);
	check(problem != NULL && strstr(problem, why) != NULL);
	check(keylog.fd == -1);
	check(is_content(""));
}

static void
make_file(mode_t mode)
{
	unlink(path);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	chmod(path, mode);
}

static void
read_by_others(void)
{
	static const mode_t modes[] = { 0640, 0604, 0620, 0602 };

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		make_file(modes[i]);
		refused("others may read or write it");
	}
}

/* As one may be that a member of the folder's group has put there. */
static void
of_another_user(void)
{
	const uid_t other = 65534;

	if (geteuid() != 0) {
		check_skip("only root can make a file that is not its own");
		return;
	}
	make_file(0600);
	check(chown(path, other, (gid_t)-1) == 0);
	refused("remove it");
	/* it is that user's own, and root's is as safe */
	check(chmod(".", 0711) == 0 && seteuid(other) == 0);
	check(ebpftls_keylog_open(&keylog, path) == NULL);
	ebpftls_keylog_close(&keylog);
	check(ebpftls_keylog_open(&keylog, "/dev/zero") == NULL);
	ebpftls_keylog_close(&keylog);
	check(seteuid(0) == 0);
}

/* Secrets would go to whoever reads it. */
static void
pipe_of_another_user(void)
{
	int reader;

	if (geteuid() != 0) {
		check_skip("only root can make a pipe that is not its own");
		return;
	}
	unlink(path);
	check(mkfifo(path, 0600) == 0 && chown(path, 65534, (gid_t)-1) == 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	check(ebpftls_keylog_open(&keylog, path) != NULL);
	check(keylog.fd == -1);
	ebpftls_keylog_close(&keylog);
	close(reader);
}

static void
cannot_be_opened(void)
{
	const char *problem = ebpftls_keylog_open(&keylog, "none/keys");

	check(problem != NULL && strcmp(problem, strerror(ENOENT)) == 0);
	check(keylog.fd == -1);
}

static void
limit_size(rlim_t size)
{
	struct rlimit limit;

	signal(SIGXFSZ, size == RLIM_INFINITY ? SIG_DFL : SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
}

/* A disk that gets full: what comes after that has lines of its own. */
static void
full_disk(void)
{
	char want[1024] = "";

	unlink(path);
	check(ebpftls_keylog_open(&keylog, path) == NULL);
	put(1);
	add_line(want, 1);
	check(keylog.lost == 0);
	limit_size(strlen(want) + 10);
	put(2);
	put(3);
	limit_size(RLIM_INFINITY);
	check(keylog.lost == 2 && keylog.error == EFBIG);
	put(4);
	put(5);
	ebpftls_keylog_close(&keylog);
	add_line(want, 2);
	strcpy(strchr(want, '\n') + 1 + 10, "\n");
	add_line(want, 4);
	add_line(want, 5);
	check(is_content(want));
	check(keylog.lost == 2);
}

/* No part of any line was written, so there is none to be ended. */
static void
full_from_the_start(void)
{
	char want[1024] = "";

	unlink(path);
	check(ebpftls_keylog_open(&keylog, path) == NULL);
	limit_size(0);
	put(1);
	limit_size(RLIM_INFINITY);
	put(2);
	ebpftls_keylog_close(&keylog);
	add_line(want, 2);
	check(keylog.lost == 1);
	check(is_content(want));
}

static int pipe_end;

/* Makes room in the pipe. */
static void
on_alarm(int number)
{
	char bytes[4096];

	(void)number;
	while (read(pipe_end, bytes, sizeof(bytes)) > 0)
		;
}

/* A signal comes while a line has to wait. */
static void
interrupted(void)
{
	const struct itimerval soon = { .it_value = { 0, 50000 } };
	const struct sigaction action = { .sa_handler = on_alarm };
	char want[1024] = "";
	int ends[2];

	check(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	pipe_end = ends[0];
	while (write(ends[1], want, sizeof(want)) > 0)
		;
	fcntl(ends[1], F_SETFL, 0);
	keylog = (struct ebpftls_keylog){ .fd = ends[1] };
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	put(1);
	signal(SIGALRM, SIG_DFL);
	add_line(want, 1);
	check(keylog.lost == 0);
	check(is_text(pipe_end, want));
	ebpftls_keylog_close(&keylog);
	close(pipe_end);
}

static const struct check_case cases[] = {
	{ "lines are appended", appending },
	{ "a disk that gets full", full_disk },
	{ "a disk that is full", full_from_the_start },
	{ "interrupted writes", interrupted },
	{ "one that others may read", read_by_others },
	{ "one of another user", of_another_user },
	{ "a pipe of another user", pipe_of_another_user },
	{ "one that cannot be opened", cannot_be_opened },
	{ NULL, NULL },
};

int
main(void)
{
	return check_main_with_file(cases, path);
}
