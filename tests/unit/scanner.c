// SPDX-License-Identifier: BSD-3-Clause
/*
 * The process that scans, with a scan_file() that does what the first bytes
 * of the file say.
 */
#define _GNU_SOURCE

#include "scanner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void
spin(void)
{
	for (volatile unsigned int i = 0;; i++)
		;
}

static uint32_t files; /* that this process has had */

/* What the process can do that it should not be able to. */
static uint32_t
powers(void)
{
	return (uint32_t)(open("/dev/null", O_RDONLY) >= 0) |
	       (uint32_t)(fork() >= 0) << 1 |
	       (uint32_t)(kill(getppid(), 0) == 0) << 2 |
	       (uint32_t)(dup(0) >= 0) << 3;
}

/* As if the file had made the process do so. */
static void
say_at_once(struct scan_result *result)
{
	struct iovec part = { result, sizeof(*result) };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };

	check(sendmsg(0, &packet, 0) == sizeof(*result));
}

bool
scan_file(int fd, struct scan_result *result)
{
	char order[8] = "";

	result->labels = (uint32_t)pread(fd, order, sizeof(order) - 1, 0);
	if (strcmp(order, "die") == 0)
		raise(SIGKILL);
	if (strcmp(order, "crash") == 0)
		_exit(1);
	if (strcmp(order, "spin") == 0)
		spin();
	if (strcmp(order, "lie") == 0)
		result->count = SCAN_HOOKS_MAX + 1;
	if (strcmp(order, "twice") == 0)
		say_at_once(result);
	result->why[0] = (char)('0' + files++ % 10);
	if (strcmp(order, "powers") == 0)
		result->labels = powers();
	return strcmp(order, "nomem") != 0;
}

static enum scanner_answer
ask_one(struct scanner *scanner, const char *order, bool alone,
	struct scan_result *result)
{
	int fd = memfd_create("order", MFD_CLOEXEC);
	enum scanner_answer answer = SCANNER_NOT_YET;

	check(write(fd, order, strlen(order)) == (ssize_t)strlen(order));
	scanner_submit(scanner, fd, alone);
	while (answer == SCANNER_NOT_YET) {
		struct pollfd wait = { scanner_fd(scanner), POLLIN, 0 };

		if (!check(poll(&wait, 1, 20000) == 1))
			break;
		answer = scanner_take(scanner, result);
	}
	close(fd);
	return answer;
}

static enum scanner_answer
ask(struct scanner *scanner, const char *order, struct scan_result *result)
{
	return ask_one(scanner, order, false, result);
}

static void
answers(void)
{
	struct scanner *scanner = scanner_open();
	struct scan_result result;

	for (uint32_t i = 0; i < 3; i++) {
		check(ask(scanner, "xxx" + i, &result) == SCANNER_DONE);
		check(result.labels == 3 - i && result.count == 0);
	}
	scanner_close(scanner);
}

static void
survives(const char *order, const char *why)
{
	struct scanner *scanner = scanner_open();
	struct scan_result result;

	check(ask(scanner, order, &result) == SCANNER_FAILED);
	check(result.count == 0 && strcmp(result.why, why) == 0);
	check(ask(scanner, "x", &result) == SCANNER_DONE);
	check(result.labels == 1);
	scanner_close(scanner);
	/* a service must have CAP_KILL for that */
	check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

/* Nobody waits for an answer then. */
static void
may_die_idle(void)
{
	struct scanner *scanner = scanner_open();
	struct pollfd idle = { scanner_fd(scanner), POLLIN, 0 };
	struct scan_result result;
	pid_t pid;

	check(ask(scanner, "x", &result) == SCANNER_DONE);
	pid = check_child();
	if (pid == 0) {
		check_skip("this kernel does not tell of children");
	} else {
		check_kill(pid);
		check(poll(&idle, 1, 0) == 0);
		check(ask(scanner, "xx", &result) == SCANNER_DONE);
		check(result.labels == 2);
	}
	scanner_close(scanner);
}

static void
survives_a_death(void)
{
	survives("crash", "the scan of it failed");
	survives("nomem", "the scan of it failed");
}

static void
stops_what_takes_too_long(void)
{
	survives("spin", "the scan of it takes too long");
}

static void
believes_no_lie(void)
{
	survives("lie", "the scan of it failed");
}

static void
is_powerless(void)
{
	struct scanner *scanner = scanner_open();
	struct scan_result result;

	check(ask(scanner, "powers", &result) == SCANNER_DONE);
	check(result.labels == 0);
	scanner_close(scanner);
}

/* Which file it was for its process. */
static char
number(struct scanner *scanner, const char *order, bool alone)
{
	struct scan_result result;

	check(ask_one(scanner, order, alone, &result) == SCANNER_DONE);
	return result.why[0];
}

static void
keeps_files_apart(void)
{
	struct scanner *scanner = scanner_open();

	check(number(scanner, "x", false) == '0');
	check(number(scanner, "x", false) == '1');
	check(number(scanner, "x", true) == '0');
	check(number(scanner, "x", true) == '0');
	check(number(scanner, "x", false) == '0');
	check(number(scanner, "x", false) == '1');
	scanner_close(scanner);
}

/* What a file made it say in advance is not the answer for the next. */
static void
hears_no_echo(void)
{
	struct scanner *scanner = scanner_open();
	struct scan_result result;

	check(ask(scanner, "twice", &result) == SCANNER_DONE);
	check(result.labels == 5);
	usleep(100000); /* until it has answered, too */
	check(ask(scanner, "x", &result) == SCANNER_DONE);
	check(result.labels == 1 && result.why[0] == '0');
	scanner_close(scanner);
}

static void
knows_what_is_possible(void)
{
	static struct scan_result result;
	struct ebpftls_hook *hook = &result.hooks[0];

	check(scanner_valid(&result));
	result.count = 1;
	hook->name_count = EBPFTLS_NAMES_MAX;
	hook->names[1].label = EBPFTLS_LABELS - 1;
	hook->random.loads = EBPFTLS_LOADS_MAX;
	check(scanner_valid(&result));
	hook->names[1].label = EBPFTLS_LABELS;
	check(!scanner_valid(&result));
	hook->names[1].label = 0;
	hook->random.loads = EBPFTLS_LOADS_MAX + 1;
	check(!scanner_valid(&result));
	hook->random.loads = 0;
	hook->name_count = EBPFTLS_NAMES_MAX + 1;
	check(!scanner_valid(&result));
	hook->name_count = 0;
	hook->secret.reg = 32;
	check(!scanner_valid(&result));
	hook->secret.reg = 0;
	memset(result.why, 'x', sizeof(result.why));
	check(!scanner_valid(&result));
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "answers", answers },
		{ "a file that kills it", survives_a_death },
		{ "death without work", may_die_idle },
		{ "a file without an end", stops_what_takes_too_long },
		{ "a result that cannot be", believes_no_lie },
		{ "no powers", is_powerless },
		{ "a process of its own", keeps_files_apart },
		{ "an answer that nobody asked for", hears_no_echo },
		{ "what a result can be", knows_what_is_possible },
		{ NULL, NULL },
	};

	return check_main(cases);
}
