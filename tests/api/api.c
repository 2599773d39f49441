/*
 * api.c: the harness of the API cases (see api.h), time, and threads.
 *
 * Each case runs in a child process, so that a crash, a hang or a leak of
 * one says nothing about the others.
 */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CASE_MS	  40000
#define EXIT_SKIP 77

int ours;
struct shared *shared;
pid_t harness;

/* --- verdicts ----------------------------------------------------------- */

static void
give_reason(const char *file, int line, const char *fmt, va_list ap)
{
	char why[sizeof(shared->why) / 2];

	vsnprintf(why, sizeof(why), fmt, ap);
	if (shared->why[0] != '\0')
		return;
	if (file != NULL)
		snprintf(shared->why, sizeof(shared->why), "%s:%d: %s", file,
			 line, why);
	else
		snprintf(shared->why, sizeof(shared->why), "%s", why);
}

void
fail_at(const char *file, int line, const char *fmt, ...)
{
	const char *slash = strrchr(file, '/');
	va_list ap;

	va_start(ap, fmt);
	give_reason(slash ? slash + 1 : file, line, fmt, ap);
	va_end(ap);
	_exit(1);
}

void
skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	give_reason(NULL, 0, fmt, ap);
	va_end(ap);
	_exit(EXIT_SKIP);
}

static pid_t
start_case(const struct api_case *c)
{
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	fflush(NULL);
	pid = fork();
	if (pid == -1) {
		perror("fork");
		exit(2);
	}
	if (pid == 0) {
		setpgid(0, 0);
		c->run();
		_exit(0);
	}
	setpgid(pid, pid);
	return pid;
}

/* Kill the children of the harness: what a case has left behind. */
static void
kill_children(void)
{
	char path[64];
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children",
		 (int)harness);
	f = fopen(path, "re");
	while (f != NULL && fscanf(f, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	if (f != NULL)
		fclose(f);
}

/*
 * The orphans of a case come to the harness. Those in its process group are
 * killed; what has left the group, as a daemon does, or any helper of the
 * capture, has to end by itself, for it has nothing to live for.
 */
static void
end_orphans(void)
{
	pid_t pid = 0;

	wait_for((pid = waitpid(-1, NULL, WNOHANG)) == -1, 3000);
	if (pid == -1)
		return;
	snprintf(shared->why, sizeof(shared->why),
		 "a process is left 3 s after the end of the case");
	kill_children();
	wait_for(waitpid(-1, NULL, WNOHANG) == -1, 3000);
}

static int
end_case(pid_t pid)
{
	struct pollfd ended = { .events = POLLIN };
	int status;

	ended.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (ended.fd == -1) {
		perror("pidfd_open");
		exit(2);
	}
	if (poll(&ended, 1, CASE_MS) == 0)
		snprintf(shared->why, sizeof(shared->why), "no end after %d s",
			 CASE_MS / 1000);
	close(ended.fd);
	kill(-pid, SIGKILL);
	waitpid(pid, &status, 0);
	end_orphans();
	return status;
}

static int
run_case(const struct api_case *c, const char *kind)
{
	int status = end_case(start_case(c));

	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP) {
		printf("SKIP %s %s: %s\n", c->name, kind, shared->why);
		return 0;
	}
	if (status == 0 && shared->why[0] == '\0') {
		printf("PASS %s %s\n", c->name, kind);
		return 0;
	}
	if (shared->why[0] == '\0')
		snprintf(shared->why, sizeof(shared->why), "died: %s",
			 WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
					     : "exit without a reason");
	printf("FAIL %s %s: %s\n", c->name, kind, shared->why);
	return 1;
}

static int
wanted(const char *name, char **names)
{
	if (*names == NULL)
		return 1;
	for (; *names != NULL; names++)
		if (strcmp(name, *names) == 0)
			return 1;
	return 0;
}

int
api_main(int argc, char **argv, const struct api_case *cases)
{
	int failed = 0;

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (; cases->name != NULL; cases++)
			puts(cases->name);
		return 0;
	}
	if (argc < 2 || (strcmp(argv[1], "plain") != 0 &&
			 strcmp(argv[1], "ebpftls") != 0)) {
		fprintf(stderr, "usage: %s plain|ebpftls [case...] | --list\n",
			argv[0]);
		return 2;
	}
	ours = strcmp(argv[1], "ebpftls") == 0;
	harness = getpid();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
		perror("mmap or prctl");
		return 2;
	}
	for (; cases->name != NULL; cases++)
		if ((cases->kinds & (ours ? OURS : PLAIN)) != 0 &&
		    wanted(cases->name, argv + 2))
			failed |= run_case(cases, argv[1]);
	return failed;
}

/* --- time, shell -------------------------------------------------------- */

long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
pause_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

void
sh(const char *fmt, ...)
{
	char cmd[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	require(system(cmd) == 0, "failed: %s", cmd);
}

long
sh_number(const char *after, const char *fmt, ...)
{
	char cmd[512], out[4096];
	const char *at;
	size_t len;
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	f = popen(cmd, "r");
	require(f != NULL, "popen: %s", strerror(errno));
	len = fread(out, 1, sizeof(out) - 1, f);
	require(pclose(f) == 0, "failed: %s", cmd);
	out[len] = '\0';
	at = strstr(out, after);
	require(at != NULL, "no \"%s\" in the output of: %s", after, cmd);
	return strtol(at + strlen(after), NULL, 10);
}

/* --- threads ------------------------------------------------------------ */

void
thread_start(pthread_t *t, void *(*run)(void *), void *arg)
{
	int err = pthread_create(t, NULL, run, arg);

	require(err == 0, "pthread_create: %s", strerror(err));
}

void
thread_join(pthread_t t, const char *who)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 10;
	require(pthread_timedjoin_np(t, NULL, &end) == 0, "%s does not end",
		who);
}

static void *
loop_run(void *arg)
{
	struct loop *l = arg;

	l->tid = gettid();
	l->result = pcap_loop(l->p, l->cnt, see, (u_char *)&l->seen);
	return NULL;
}

void
loop_start(struct loop *l, pcap_t *p, int cnt)
{
	memset(l, 0, sizeof(*l));
	l->p = p;
	l->cnt = cnt;
	thread_start(&l->thread, loop_run, l);
	wait_for(l->tid != 0, 3000);
}

int
loop_join(struct loop *l)
{
	thread_join(l->thread, "pcap_loop()");
	return l->result;
}

void
task_status(pid_t tid, char *state, unsigned long *switches)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
	f = fopen(path, "re");
	if (f == NULL) /* it has just ended */
		return;
	while (fgets(line, sizeof(line), f) != NULL) {
		sscanf(line, "State: %c", state);
		sscanf(line, "voluntary_ctxt_switches: %lu", switches);
	}
	fclose(f);
}

void
wait_blocked(pid_t tid)
{
	unsigned long before = 0, now = 0;
	char state = '?';
	int still = 0;
	long end = now_ms() + 5000;

	while (still < 10) {
		require(now_ms() < end, "thread does not block (state %c)",
			state);
		task_status(tid, &state, &now);
		still = state == 'S' && now == before ? still + 1 : 0;
		before = now;
		pause_ms(5);
	}
}
