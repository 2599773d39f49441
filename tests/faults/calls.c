/*
 * calls.c: system calls of which one fails, by seccomp's user notification:
 * the kernel asks here before each, in the victim and in all that it starts.
 *
 * A place is a system call and the way to it: the return addresses on the
 * stack that are those of our own code, so that a loop counts once.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "faults.h"

#define STACK  8192 /* bytes of it that are looked at */
#define DEPTH  4    /* addresses that make a place */
#define PLACES 4096
#define KNOWN  64

#define C(name, error)                       \
	{                                    \
		SYS_##name, #name, E##error, \
	}

/* Those that can fail for a reason of the kernel's, and the reason. */
static const struct call {
	int number;
	const char *name;
	int error;
} calls[] = {
	C(open, MFILE),
	C(openat, MFILE),
	C(openat2, MFILE),
	C(read, IO),
	C(pread64, IO),
	C(readv, IO),
	C(write, NOSPC),
	C(pwrite64, NOSPC),
	C(writev, NOSPC),
	C(lseek, IO),
	C(stat, IO),
	C(fstat, IO),
	C(lstat, IO),
	C(newfstatat, IO),
	C(statx, IO),
	C(fstatfs, IO),
	C(getdents64, IO),
	C(readlink, IO),
	C(readlinkat, IO),
	C(fcntl, MFILE),
	C(dup, MFILE),
	C(dup2, MFILE),
	C(dup3, MFILE),
	C(pipe2, MFILE),
	C(socket, MFILE),
	C(socketpair, MFILE),
	C(connect, NOMEM),
	C(bind, NOMEM),
	C(getsockopt, NOBUFS),
	C(setsockopt, NOBUFS),
	C(getsockname, NOBUFS),
	C(sendto, NOBUFS),
	C(sendmsg, NOBUFS),
	C(recvfrom, NOMEM),
	C(recvmsg, NOMEM),
	C(ioctl, NOMEM),
	C(poll, NOMEM),
	C(ppoll, NOMEM),
	C(epoll_create1, MFILE),
	C(epoll_ctl, NOSPC),
	C(eventfd2, MFILE),
	C(timerfd_create, MFILE),
	C(timerfd_settime, INVAL),
	C(inotify_init1, MFILE),
	C(inotify_add_watch, NOSPC),
	C(memfd_create, MFILE),
	C(mmap, NOMEM),
	C(mremap, NOMEM),
	C(mprotect, NOMEM),
	C(clone, AGAIN),
	C(clone3, AGAIN),
	C(fork, AGAIN),
	C(vfork, AGAIN),
	C(execve, NOMEM),
	C(bpf, NOMEM),
	C(perf_event_open, MFILE),
	C(pidfd_open, MFILE),
	C(pidfd_getfd, MFILE),
	C(setns, NOMEM),
	C(unshare, NOMEM),
	C(mount, NOMEM),
	C(umount2, NOMEM),
	C(prctl, INVAL),
	C(setsid, PERM),
	C(chdir, ACCES),
	C(fchdir, ACCES),
	C(close_range, MFILE),
	C(prlimit64, PERM),
	C(ftruncate, IO),
	C(fallocate, NOSPC),
	C(fsync, IO),
	C(rename, NOSPC),
	C(renameat, NOSPC),
	C(unlink, ROFS),
	C(unlinkat, ROFS),
	C(mkdir, NOSPC),
	C(fchmod, PERM),
	C(faccessat2, IO),
	C(access, IO),
	C(getrandom, NOSYS),
	C(process_vm_readv, SRCH),
	C(kcmp, SRCH),
	C(uname, FAULT),
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* What a process is. */
struct known {
	pid_t pid;
	bool agent;
	bool begun;	     /* its loader has done its work */
	uint64_t start, end; /* of its own code */
};

static int listener = -1;
static pid_t target;
static const struct plan *plan;
static unsigned int left;
static uint64_t places[PLACES];
static struct known known[KNOWN];
static size_t known_count;

static void
die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* --- in the victim ---------------------------------------------------------
 */

void
calls_watch(void)
{
	struct sock_filter code[2 * CALLS + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog program = { .filter = code };
	size_t n = 1;
	int fd;

	for (size_t i = 0; i < CALLS; i++) {
		code[n++] =
		    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
						 (uint32_t)calls[i].number, 0,
						 1);
		code[n++] =
		    (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						 SECCOMP_RET_USER_NOTIF);
	}
	code[n++] =
	    (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = (unsigned short)n;
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (fd < 0) {
		shared->step = "seccomp";
		_exit(EXIT_FAILURE);
	}
	shared->listener = fd;
	while (!shared->watched)
		sched_yield();
	close(fd);
}

/* --- in main.c's process ---------------------------------------------------
 */

void
calls_begin(const struct plan *its_plan, unsigned int nth, pid_t victim)
{
	plan = its_plan;
	left = nth;
	target = victim;
	known_count = 0;
	memset(places, 0, sizeof(places));
}

static void
listen_to_victim(void)
{
	int pidfd;

	if (shared->watched || shared->listener < 0)
		return;
	pidfd = (int)syscall(SYS_pidfd_open, target, 0);
	listener = (int)syscall(SYS_pidfd_getfd, pidfd, shared->listener, 0);
	close(pidfd);
	if (listener < 0)
		die("pidfd_getfd");
	shared->watched = true;
}

/* Where its own code is: of the agent the program, else libpcap. */
static void
find_code(struct known *process)
{
	char path[64], line[512];
	const char *name = process->agent ? "/ebpftls-agent" : "/libpcap.so";
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", process->pid);
	maps = fopen(path, "re");
	process->start = UINT64_MAX;
	process->end = 0;
	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		uint64_t start, end;

		if (strstr(line, name) == NULL ||
		    sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2)
			continue;
		if (start < process->start)
			process->start = start;
		if (end > process->end)
			process->end = end;
	}
	if (maps != NULL)
		fclose(maps);
}

static bool
runs_agent(pid_t pid)
{
	char path[64], exe[512];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	length = readlink(path, exe, sizeof(exe) - 1);
	exe[length > 0 ? length : 0] = '\0';
	return strstr(exe, "/ebpftls-agent") != NULL;
}

/* A process becomes the agent by executing it, and is so from then on. */
static struct known *
know(pid_t pid)
{
	struct known *process = known;

	while (process < known + known_count && process->pid != pid)
		process++;
	if (process == known + KNOWN)
		process = known;
	if (process == known + known_count)
		known_count++;
	else if (process->agent || pid == target)
		return process;
	process->pid = pid;
	process->begun = pid == target;
	process->agent = pid != target && runs_agent(pid);
	find_code(process);
	return process;
}

/* The addresses on the stack that are in its own code; not all were called. */
static int
read_stack(const struct known *process, uint64_t ways[DEPTH])
{
	uint64_t stack[STACK / sizeof(uint64_t)], pointer;
	char path[64], line[256], *word;
	ssize_t length;
	int fd, count = 0;

	snprintf(path, sizeof(path), "/proc/%d/syscall", process->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	close(fd);
	if (length <= 0)
		return 0;
	line[length] = '\0';
	/* the last two words are the stack's and the instruction's address */
	word = strrchr(line, ' ');
	if (word == NULL)
		return 0;
	*word = '\0';
	word = strrchr(line, ' ');
	pointer = word != NULL ? strtoull(word, NULL, 16) : 0;
	snprintf(path, sizeof(path), "/proc/%d/mem", process->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : pread(fd, stack, sizeof(stack), (off_t)pointer);
	close(fd);
	for (ssize_t i = 0; i < length / 8 && count < DEPTH; i++)
		if (stack[i] >= process->start && stack[i] < process->end)
			ways[count++] = stack[i];
	return count;
}

static bool
is_new(uint64_t hash)
{
	size_t at = hash % PLACES;

	for (; places[at] != 0; at = (at + 1) % PLACES)
		if (places[at] == hash)
			return false;
	places[at] = hash;
	return true;
}

static const struct call *
call_of(int number)
{
	for (size_t i = 0; i < CALLS; i++)
		if (calls[i].number == number)
			return &calls[i];
	die("a call that was not asked for");
	return NULL;
}

static void
tell(const struct call *call, const struct known *process, const uint64_t *ways,
     int count)
{
	size_t length;

	snprintf(shared->place, sizeof(shared->place), "%s in %s at %s",
		 call->name, process->agent ? "the agent" : "the program",
		 shared->step);
	for (int i = 0; i < count; i++) {
		length = strlen(shared->place);
		snprintf(shared->place + length, sizeof(shared->place) - length,
			 " +0x%" PRIx64, ways[i] - process->start);
	}
}

/* Is this the one? */
static bool
fails(const struct call *call, pid_t pid)
{
	uint64_t ways[DEPTH] = { 0 }, hash = 14695981039346656037u;
	struct known *process;
	int count;

	if (left == 0 || (pid == target && !shared->armed))
		return false;
	process = know(pid);
	if (process->agent != plan->agent)
		return false;
	/* glibc's loader does not survive everything; its last call is this */
	if (process->agent && !process->begun) {
		process->begun = call->number == SYS_prlimit64;
		return false;
	}
	count = read_stack(process, ways);
	for (int i = 0; i < count; i++)
		hash = (hash ^ (ways[i] - process->start)) * 1099511628211u;
	hash = (hash ^ (uint64_t)call->number) * 1099511628211u;
	if (!is_new(hash) || --left > 0)
		return false;
	tell(call, process, ways, count);
	return true;
}

static void
serve_one(void)
{
	struct seccomp_notif request;
	struct seccomp_notif_resp response;
	const struct call *call;

	memset(&request, 0, sizeof(request));
	memset(&response, 0, sizeof(response));
	/* who asked may have died */
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0)
		return;
	call = call_of(request.data.nr);
	response.id = request.id;
	if (fails(call, (pid_t)request.pid))
		response.error = -call->error;
	else
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

void
calls_serve(int milliseconds)
{
	struct pollfd wait = { .events = POLLIN };

	listen_to_victim();
	wait.fd = listener;
	while (poll(&wait, 1, milliseconds) > 0 && (wait.revents & POLLIN)) {
		serve_one();
		milliseconds = 0;
	}
	/* all that it watched are gone */
	if (wait.revents & POLLHUP)
		calls_end();
}

void
calls_end(void)
{
	if (listener >= 0)
		close(listener);
	listener = -1;
}
