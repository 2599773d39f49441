/*
 * process.c: the capture and the process it lives in: fork, rights that are
 * dropped, children that the program may not see, and what is left of a
 * closed handle.
 */
#define _GNU_SOURCE
#include "api.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- fork --------------------------------------------------------------- */

static pid_t
fork_or_fail(void)
{
	pid_t pid = fork();

	require(pid != -1, "fork: %s", strerror(errno));
	return pid;
}

/* What a child does with the handle: report five packets, then end. */
static void
child_captures(pcap_t *p)
{
	struct seen s = { 0 };
	int n;

	alarm(20);
	shared->ready = 1;
	n = pcap_loop(p, 5, see, (u_char *)&s);
	if (n != 0)
		fail("in the child: pcap_loop: %d, %s", n, pcap_geterr(p));
	shared->count = s.count;
	pcap_close(p);
	_exit(0);
}

static void
five_for_the_child(void)
{
	require(wait_for(shared->ready, 3000), "the child does not begin");
	send_many(IN4, 1, 5);
	require(wait_for(shared->count == 5 || shared->why[0], 5000),
		"the child captures nothing");
}

static pcap_t *
open_to_inherit(void)
{
	return open_dev(dev(IF_A), .blocking = 1, .promisc = 1,
			.filter = "udp dst port 4711");
}

static void
fork_parent_closes(void)
{
	pcap_t *p = open_to_inherit();
	pid_t pid = fork_or_fail();

	if (pid == 0) {
		require(wait_for(shared->count == 100, 3000), "no close");
		child_captures(p);
	}
	pcap_close(p);
	shared->count = 100;
	five_for_the_child();
	waitpid(pid, NULL, 0);
}

/* The program forks when all is set up, and the parent ends at once. */
static void
fork_parent_exits(void)
{
	pid_t parent = fork_or_fail();

	if (parent == 0) {
		pcap_t *p = open_to_inherit();

		if (fork_or_fail() != 0)
			_exit(0);
		child_captures(p);
	}
	waitpid(parent, NULL, 0);
	five_for_the_child();
}

static void
daemonize(void)
{
	int null;

	if (fork_or_fail() != 0)
		_exit(0);
	setsid();
	if (fork_or_fail() != 0)
		_exit(0);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	require(chdir("/") == 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 &&
		    dup2(null, 2) == 2,
		"daemonize: %s", strerror(errno));
}

static void
fork_daemon(void)
{
	pid_t pid = fork_or_fail();

	if (pid == 0) {
		pcap_t *p = open_to_inherit();

		daemonize();
		child_captures(p);
	}
	waitpid(pid, NULL, 0);
	five_for_the_child();
}

/* Packets that came before the fork are the child's as well. */
static void
fork_with_packets_waiting(void)
{
	pid_t parent;

	path_open(IN4);
	parent = fork_or_fail();
	if (parent == 0) {
		pcap_t *p = open_to_inherit();

		send_many(IN4, 1, 5);
		if (fork_or_fail() != 0)
			_exit(0);
		child_captures(p);
	}
	waitpid(parent, NULL, 0);
	require(wait_for(shared->count == 5 || shared->why[0], 5000),
		"the child does not get what was queued");
}

/* A program forks for something else: its child's end changes nothing. */
static void
fork_child_ends(void)
{
	pcap_t *p =
	    open_dev(dev(IF_A), .timeout = 10, .filter = "udp dst port 4711");
	pid_t pid;

	send_many(IN4, 0, 3);
	pid = fork_or_fail();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	send_many(IN4, 3, 3);
	expect(p, 0, 6);
	pid = fork_or_fail();
	if (pid == 0) {
		pcap_close(p);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	send_many(IN4, 6, 3);
	expect(p, 6, 3);
	pcap_close(p);
}

/* A child looks at the packet in hand: with 1 it ends if that is another. */
static void
fork_and_compare(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	unsigned *children = (unsigned *)(void *)user;
	u_char before[512];
	int status = -1;
	pid_t pid;

	require(h->caplen <= sizeof(before), "%u bytes", h->caplen);
	memcpy(before, bytes, h->caplen);
	pid = fork_or_fail();
	if (pid == 0)
		_exit(memcmp(before, bytes, h->caplen) != 0);
	require(waitpid(pid, &status, 0) == pid && status == 0,
		"the child ends with status %x", status);
	++*children;
}

static void
fork_with_packet_in_hand(void)
{
	pcap_t *p =
	    open_dev(dev(IF_A), .timeout = 10, .filter = "udp dst port 4711");
	struct pcap_pkthdr *h;
	const u_char *bytes;
	unsigned n = 0;

	send_many(IN4, 0, 5);
	require(wait_for(pcap_dispatch(p, -1, fork_and_compare, (u_char *)&n) <
				 0 ||
			     n == 5,
			 5000) &&
		    n == 5,
		"%u children: %s", n, pcap_geterr(p));
	send_seq(IN4, 5);
	require(wait_for(pcap_next_ex(p, &h, &bytes) == 1, 3000), "no packet");
	fork_and_compare((u_char *)&n, h, bytes);
	pcap_close(p);
}

/* Who forks in a callback, and what became of that. */
struct forking {
	pcap_t *p;
	int forked;
	pid_t pid;
	struct seen seen; /* the child's */
};

static void
fork_at_first(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct forking *f = (struct forking *)(void *)user;

	if (f->forked) {
		see((u_char *)&f->seen, h, bytes);
		return;
	}
	f->forked = 1;
	f->pid = fork_or_fail();
	if (f->pid != 0) {
		pcap_breakloop(f->p);
		return;
	}
	alarm(20);
	require(wait_for(shared->count == 100, 3000), "no close");
	require(frame_seq(h, bytes) == 0, "another packet in the child");
	shared->ready = 1;
}

/* The child returns from the callback into the loop, and reads on. */
static void
fork_in_callback(void)
{
	static struct forking f;
	int n;

	f.p = open_to_inherit();
	send_seq(IN4, 0);
	n = pcap_loop(f.p, 6, fork_at_first, (u_char *)&f);
	if (f.pid == 0) {
		if (n != 0)
			fail("in the child: pcap_loop: %d, %s", n,
			     pcap_geterr(f.p));
		shared->count = f.seen.count;
		pcap_close(f.p);
		_exit(0);
	}
	require(n == PCAP_ERROR_BREAK, "pcap_loop: %d", n);
	pcap_close(f.p);
	shared->count = 100;
	five_for_the_child();
	waitpid(f.pid, NULL, 0);
}

/* All rights are gone when packets start, as with tcpdump -Z. */
static void
rights_dropped(void)
{
	pcap_t *p = open_dev(dev(IF_A), .promisc = 1, .timeout = 10);
	pcap_t *any = open_dev(dev("any"), .timeout = 10);
	struct pcap_stat st;

	path_open(IN4);
	path_open(IN4_ALT);
	require(setgroups(0, NULL) == 0 && setgid(65534) == 0 &&
		    setuid(65534) == 0,
		"setuid: %s", strerror(errno));
	send_many(IN4, 0, 10);
	expect(p, 0, 10);
	expect(any, 0, 10);
	set_filter(p, "udp dst port 4712");
	send_many(IN4, 10, 3);
	send_many(IN4_ALT, 13, 3);
	expect(p, 13, 3);
	require(pcap_stats(p, &st) == 0, "stats: %s", pcap_geterr(p));
	require(pcap_setdirection(p, PCAP_D_IN) == 0, "direction: %s",
		pcap_geterr(p));
	pcap_close(any);
	pcap_close(p);
}

/* --- children ----------------------------------------------------------- */

static volatile sig_atomic_t sigchlds, reaped;

static void
reap(int sig)
{
	int err = errno;

	(void)sig;
	sigchlds++;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		reaped++;
	errno = err;
}

/* Zombies whose parent is this process. */
static unsigned
zombies(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	unsigned n = 0;
	char path[280], state;
	int ppid;
	FILE *f;

	require(proc != NULL, "/proc: %s", strerror(errno));
	while ((d = readdir(proc)) != NULL) {
		snprintf(path, sizeof(path), "/proc/%s/stat", d->d_name);
		if (d->d_name[0] < '1' || d->d_name[0] > '9' ||
		    (f = fopen(path, "re")) == NULL)
			continue;
		if (fscanf(f, "%*d (%*[^)]) %c %d", &state, &ppid) == 2)
			n += ppid == getpid() && state == 'Z';
		fclose(f);
	}
	closedir(proc);
	return n;
}

static void
no_child(const char *when)
{
	errno = 0;
	require(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD,
		"%s: waitpid finds a child", when);
	require(zombies() == 0, "%s: %u zombies", when, zombies());
}

/* Open, capture and close, looking for children at each step. */
static void
life_without_children(void)
{
	pcap_t *p =
	    open_dev(dev(IF_A), .filter = "udp dst port 4711", .promisc = 1);

	no_child("after open");
	send_many(IN4, 0, 3);
	expect(p, 0, 3);
	no_child("after reading");
	pcap_close(p);
	no_child("after close");
	/* What ends a little later may not turn into a zombie either. */
	require(!wait_for(zombies() > 0, 500), "a zombie after close");
	no_child("at the end");
}

static void
sigchld_handler(void)
{
	struct sigaction sa = { .sa_handler = reap };
	sigset_t pending;

	sigaction(SIGCHLD, &sa, NULL);
	life_without_children();
	require(sigchlds == 0 && reaped == 0, "%d SIGCHLD, %d children",
		(int)sigchlds, (int)reaped);
	sigemptyset(&pending);
	sigaddset(&pending, SIGCHLD);
	sigprocmask(SIG_BLOCK, &pending, NULL);
	life_without_children();
	sigpending(&pending);
	require(!sigismember(&pending, SIGCHLD), "a blocked SIGCHLD waits");
}

static void
sigchld_ignored(void)
{
	signal(SIGCHLD, SIG_IGN);
	life_without_children();
}

static void *
wait_for_any_child(void *arg)
{
	pid_t own = *(pid_t *)arg, got;
	int status;

	while ((got = wait(&status)) != -1) {
		require(got == own, "wait() found %d, which is not ours",
			(int)got);
		require(WIFEXITED(status) && WEXITSTATUS(status) == 7,
			"status %x", status);
		shared->count++;
	}
	return NULL;
}

/* A thread sits in wait(): it gets the program's own child, no other. */
static void
sigchld_wait_in_thread(void)
{
	int hold[2];
	pid_t own;
	pthread_t t;
	char c;
	int i;

	require(pipe2(hold, O_CLOEXEC) == 0, "pipe: %s", strerror(errno));
	own = fork_or_fail();
	if (own == 0) {
		close(hold[1]);
		(void)!read(hold[0], &c, 1);
		_exit(7);
	}
	thread_start(&t, wait_for_any_child, &own);
	for (i = 0; i < 5; i++)
		pcap_close(open_dev(dev(IF_A), .filter = "udp"));
	require(shared->count == 0, "wait() returned");
	close(hold[1]);
	thread_join(t, "wait()");
	require(shared->count == 1, "%u children", shared->count);
}

/* --- what a closed handle leaves behind ---------------------------------- */

static unsigned
entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	require(dir != NULL, "%s: %s", path, strerror(errno));
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static unsigned
mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned n = 0;
	int c;

	require(f != NULL, "maps: %s", strerror(errno));
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static long
resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = 0;

	require(f != NULL && fscanf(f, "%*d %ld", &pages) == 1, "statm");
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void
cycle(unsigned i)
{
	pcap_t *p =
	    open_dev(dev(i % 5 == 4 ? "any" : IF_A), .promisc = i % 5 != 4,
		     .immediate = i % 2, .filter = "udp dst port 4711");

	send_many(IN4, i, 2);
	expect(p, i, 2);
	pcap_close(p);
	/* And what fails leaves nothing either. */
	p = create_dev(dev("nosuch0"));
	require(pcap_activate(p) < 0, "nosuch0");
	pcap_close(p);
	/* libpcap 1.10.3 itself loses an eventfd here for a plain device. */
	if (ours)
		pcap_close(create_dev(dev(IF_A)));
}

static void
open_close_leaves_nothing(void)
{
	unsigned i, fds, maps, tasks;
	long rss;

	for (i = 0; i < 10; i++)
		cycle(i);
	fds = entries("/proc/self/fd");
	tasks = entries("/proc/self/task");
	maps = mappings();
	rss = resident_kib();
	for (i = 0; i < 50; i++)
		cycle(i);
	require(entries("/proc/self/fd") == fds, "%u descriptors, then %u", fds,
		entries("/proc/self/fd"));
	require(entries("/proc/self/task") == tasks, "%u threads, then %u",
		tasks, entries("/proc/self/task"));
	require(mappings() <= maps + 2, "%u mappings, then %u", maps,
		mappings());
	require(resident_kib() <= rss + 256, "%ld KiB, then %ld KiB", rss,
		resident_kib());
}

/* Whether another process finds a file locked. */
static int
is_locked(const char *path)
{
	int status;
	pid_t pid = fork_or_fail();

	if (pid == 0) {
		struct flock lock = { .l_type = F_WRLCK };
		int fd = open(path, O_RDWR | O_CLOEXEC);

		_exit(fd < 0 || fcntl(fd, F_GETLK, &lock) != 0 ||
		      lock.l_type == F_UNLCK);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* The program's own, on files that have nothing to do with the capture. */
static void
record_locks_stay(void)
{
	const int modes[] = { O_WRONLY, O_RDWR };

	for (unsigned i = 0; i < 2; i++) {
		char path[] = "/tmp/api-process-XXXXXX";
		int made = mkstemp(path), fd = open(path, modes[i] | O_CLOEXEC);
		pcap_t *p;

		close(made);
		require(fd >= 0 && write(fd, "text", 4) == 4 &&
			    lockf(fd, F_LOCK, 0) == 0,
			"lock: %s", strerror(errno));
		p = open_dev(dev(IF_A), .filter = "udp dst port 4711");
		send_many(IN4, 1, 5);
		expect(p, 1, 5);
		pcap_close(p);
		require(is_locked(path), "the lock is gone");
		close(fd);
		unlink(path);
	}
}

static void
no_thread(void)
{
	unsigned before = entries("/proc/self/task");
	pcap_t *p = open_dev(dev(IF_A));

	send_seq(IN4, 1);
	expect(p, 1, 1);
	require(entries("/proc/self/task") == before, "a thread is there");
	pcap_close(p);
}

/* Plain libpcap does not do this; ours lets no program it runs inherit. */
static void
close_on_exec(void)
{
	char before[1024] = { 0 };
	pcap_t *p;
	int fd, flags;

	for (fd = 0; fd < 1024; fd++)
		before[fd] = fcntl(fd, F_GETFD) != -1;
	p = open_dev(dev(IF_A), .promisc = 1, .filter = "udp");
	wait_readable(p, 0);
	for (fd = 0; fd < 1024; fd++) {
		flags = fcntl(fd, F_GETFD);
		require(before[fd] || flags == -1 || (flags & FD_CLOEXEC) != 0,
			"descriptor %d is not close-on-exec", fd);
	}
	pcap_close(p);
}

static const struct api_case cases[] = {
	{ "fork-parent-closes", fork_parent_closes, BOTH },
	{ "fork-parent-exits", fork_parent_exits, BOTH },
	{ "fork-daemon", fork_daemon, BOTH },
	{ "fork-with-packets-waiting", fork_with_packets_waiting, BOTH },
	{ "fork-child-ends", fork_child_ends, BOTH },
	{ "fork-with-packet-in-hand", fork_with_packet_in_hand, BOTH },
	{ "fork-in-callback", fork_in_callback, BOTH },
	{ "rights-dropped", rights_dropped, BOTH },
	{ "sigchld-handler", sigchld_handler, BOTH },
	{ "sigchld-ignored", sigchld_ignored, BOTH },
	{ "sigchld-wait-in-thread", sigchld_wait_in_thread, BOTH },
	{ "open-close-leaves-nothing", open_close_leaves_nothing, BOTH },
	{ "record-locks-stay", record_locks_stay, BOTH },
	{ "no-thread", no_thread, BOTH },
	{ "close-on-exec", close_on_exec, OURS },
	{ NULL, NULL, 0 },
};

int
main(int argc, char **argv)
{
	return api_main(argc, argv, cases);
}
