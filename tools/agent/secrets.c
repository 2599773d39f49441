// SPDX-License-Identifier: BSD-3-Clause
/* Loads the program that takes TLS secrets, and attaches it where it is told.
 */
#define _GNU_SOURCE

#include "secrets.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/types.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "kernel-types.h"
#include "load.h"
#include "secrets.skel.h"

#define PROGRAM	    "the program that takes TLS secrets"
#define RING_SIZE   (UINT32_C(1) << 20) /* some 9,000 secrets */
#define NEWS_MAX    64	 /* anybody can make files that are news */
#define LAST_MOMENT 3000 /* milliseconds to take hooks off in */
#define PATH_SIZE   sizeof("/proc/self/fd/-2147483648")

/* Of the kernel's ABI, but not in the headers of the oldest libbpf. */
#define TRACE_UPROBE_MULTI ((enum bpf_attach_type)48)

struct create_uprobe_multi {
	__u32 program;
	__u32 target;
	__u32 attach_type;
	__u32 flags;
	__aligned_u64 path;
	__aligned_u64 offsets;
	__aligned_u64 reference_counters;
	__aligned_u64 cookies;
	__u32 count;
	__u32 multi_flags;
	__u32 pid; /* 0: of all processes */
	__u32 padding;
};

/* All hooks of a file. Known by the index of the first. */
struct attachment {
	uint32_t hooks[SCAN_HOOKS_MAX];
	uint32_t count;
	int multi; /* a link for all hooks, or -1 */
	struct bpf_link *links[SCAN_HOOKS_MAX]; /* or one for each */
	uint32_t faults;
	uint16_t number;	      /* of its secrets; 0: there are no more */
	bool is_new;		      /* nobody has been told of it */
	char path[EBPFTLS_TEXT_SIZE]; /* as far as it fits */
	char report[96];
	bool is_news; /* the report */
	bool off;     /* and all hooks with it */
};

struct news {
	struct news *next;
	char text[256];
};

struct secrets {
	struct secrets_bpf *skeleton;
	struct ring_buffer *complaints;
	bool multi;
	struct attachment *hooks[SECRETS_HOOKS_MAX]; /* whose, or NULL */
	struct news *first; /* that is not about an attachment */
	uint32_t told;	    /* so many */
	uint16_t numbers;   /* of attachments, so far */
	bool full;	    /* has been told */
	char news[256];
};

/* --- processes that may be left behind ---------------------------------------
 */

static int
compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Whatever else is open would not end with the agent. Sorts them. */
static void
close_all_but(int *fds, size_t count)
{
	int from = 0;

	qsort(fds, count, sizeof(fds[0]), compare_fds);
	for (size_t i = 0; i < count; from = fds[i++] + 1)
		if (fds[i] > from)
			syscall(SYS_close_range, from, fds[i] - 1, 0);
	syscall(SYS_close_range, from, ~0U, 0);
}

/* --- loading -------------------------------------------------------------- */

static int
create_multi(int program, const char *path, const unsigned long *offsets,
	     const __u64 *cookies, uint32_t count)
{
	struct create_uprobe_multi arguments = {
		.program = (__u32)program,
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cookies = (uintptr_t)cookies,
		.count = count,
	};
	long fd =
	    syscall(SYS_bpf, BPF_LINK_CREATE, &arguments, sizeof(arguments));

	return fd < 0 ? -errno : (int)fd;
}

/*
 * Kernels without such links load the program all the same. Those that have
 * them look at the path: a folder has no code.
 */
static bool
has_multi(int program)
{
	unsigned long offset = 0;
	__u64 cookie = 0;

	return create_multi(program, "/", &offset, &cookie, 1) == -EBADF;
}

static int
program_fd(const struct secrets_bpf *skeleton)
{
	return bpf_program__fd(skeleton->progs.ebpftls_uprobe);
}

/* `multi`: one link for all hooks of a file. */
static int
load_way(struct secrets *secrets, const struct ebpftls_caller *caller,
	 bool multi)
{
	/* who is not limited is not compared with anybody */
	LIBBPF_OPTS(bpf_object_open_opts, types,
		    .btf_custom_path =
			caller->limited ? NULL : kernel_types_none());
	struct secrets_bpf *skeleton = secrets_bpf__open_opts(&types);
	int error;

	if (skeleton == NULL)
		return -errno;
	if (multi)
		bpf_program__set_expected_attach_type(skeleton->progs
							  .ebpftls_uprobe,
						      TRACE_UPROBE_MULTI);
	memcpy((void *)&skeleton->rodata->caller, caller, sizeof(*caller));
	bpf_map__set_max_entries(skeleton->maps.hooks, SECRETS_HOOKS_MAX);
	bpf_map__set_max_entries(skeleton->maps.secret_events, RING_SIZE);
	bpf_map__set_max_entries(skeleton->maps.complaints,
				 (uint32_t)getpagesize());
	error = secrets_bpf__load(skeleton);
	if (error == 0 && multi && !has_multi(program_fd(skeleton)))
		error = -EOPNOTSUPP;
	if (error != 0) {
		secrets_bpf__destroy(skeleton);
		return error;
	}
	secrets->skeleton = skeleton;
	secrets->multi = multi;
	return 0;
}

static int
load(struct secrets *secrets, const struct ebpftls_caller *caller)
{
	int error = load_way(secrets, caller, true);

	if (error != 0 && error != -EPERM)
		error = load_way(secrets, caller, false);
	kernel_types_close();
	return error;
}

/* Without cookies a program cannot tell which probe it was called by. */
static int
refused(struct failure *failure, int error)
{
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE,
				    BPF_FUNC_get_attach_cookie, NULL) == 0) {
		fail(failure, EBPFTLS_REASON_NOT_SUPPORTED,
		     "no TLS secrets: this kernel has no BPF cookies, which "
		     "came with Linux 5.15");
		return fail_remedy(failure, "boot a newer kernel");
	}
	return load_refused(failure, error, PROGRAM);
}

/* --- complaints ----------------------------------------------------------- */

static void
take_off(struct attachment *attachment)
{
	if (attachment->multi >= 0)
		close(attachment->multi);
	attachment->multi = -1;
	for (uint32_t i = 0; i < attachment->count; i++) {
		bpf_link__destroy(attachment->links[i]);
		attachment->links[i] = NULL;
	}
}

static void
report(struct attachment *attachment, uint32_t why)
{
	static const char *const words[] = {
		[EBPFTLS_WHY_LABEL] = "an unknown label",
		[EBPFTLS_WHY_LENGTH] = "a length that no secret has",
		[EBPFTLS_WHY_ZERO] = "zeros for a secret",
	};

	if (why < sizeof(words) / sizeof(words[0]))
		snprintf(attachment->report, sizeof(attachment->report),
			 "hooks taken off: one gave %s", words[why]);
	else
		snprintf(attachment->report, sizeof(attachment->report),
			 "secrets that could not be read: %u",
			 attachment->faults);
}

static int
hear(void *context, void *data, size_t size)
{
	struct secrets *secrets = context;
	struct ebpftls_complaint complaint;
	struct attachment *attachment = NULL;

	if (size < sizeof(complaint))
		return 0;
	memcpy(&complaint, data, sizeof(complaint));
	if (complaint.hook < SECRETS_HOOKS_MAX)
		attachment = secrets->hooks[complaint.hook];
	if (attachment == NULL)
		return 0;
	if (complaint.why == EBPFTLS_WHY_FAULT) {
		attachment->faults++;
	} else {
		take_off(attachment);
		attachment->off = attachment->is_news = true;
	}
	report(attachment, complaint.why);
	/* that has taken its time */
	return complaint.why == EBPFTLS_WHY_FAULT ? 0 : -ECANCELED;
}

int
secrets_complaints_fd(const struct secrets *secrets)
{
	return ring_buffer__epoll_fd(secrets->complaints);
}

void
secrets_complaints(struct secrets *secrets)
{
	ring_buffer__consume(secrets->complaints);
}

const char *
secrets_report(const struct secrets *secrets, int attachment)
{
	const char *text = secrets->hooks[attachment]->report;

	return text[0] != '\0' ? text : NULL;
}

bool
secrets_is_off(const struct secrets *secrets, int attachment)
{
	return secrets->hooks[attachment]->off;
}

void
secrets_tell(struct secrets *secrets, const char *format, ...)
{
	struct news **last = &secrets->first;
	va_list args;

	if (secrets->told++ >= NEWS_MAX)
		return;
	while (*last != NULL)
		last = &(*last)->next;
	*last = calloc(1, sizeof(**last));
	if (*last == NULL)
		return;
	va_start(args, format);
	vsnprintf((*last)->text, sizeof((*last)->text), format, args);
	va_end(args);
}

/* False if there is none. */
static bool
take_news(struct secrets *secrets)
{
	struct news *news = secrets->first;

	if (news == NULL)
		return false;
	memcpy(secrets->news, news->text, sizeof(secrets->news));
	secrets->first = news->next;
	free(news);
	return true;
}

const char *
secrets_news(struct secrets *secrets)
{
	if (take_news(secrets))
		return secrets->news;
	secrets->news[0] = '\0';
	for (uint32_t i = 0; secrets->news[0] == '\0' && i < SECRETS_HOOKS_MAX;
	     i++) {
		struct attachment *attachment = secrets->hooks[i];

		if (attachment == NULL || !attachment->is_news)
			continue;
		attachment->is_news = false;
		snprintf(secrets->news, sizeof(secrets->news), "%.128s: %s",
			 attachment->path, attachment->report);
	}
	return secrets->news[0] != '\0' ? secrets->news : NULL;
}

bool
secrets_library(struct secrets *secrets, uint32_t *number, const char **path)
{
	for (uint32_t i = 0; i < SECRETS_HOOKS_MAX; i++) {
		struct attachment *attachment = secrets->hooks[i];

		if (attachment == NULL || !attachment->is_new)
			continue;
		attachment->is_new = false;
		*number = attachment->number;
		*path = attachment->path;
		return true;
	}
	return false;
}

/* --- attaching ------------------------------------------------------------ */

/* Gives the attachment as many free hooks as it needs. */
static int
reserve(struct secrets *secrets, struct attachment *attachment, uint32_t count)
{
	for (uint32_t i = 0; i < SECRETS_HOOKS_MAX; i++) {
		if (attachment->count == count)
			break;
		if (secrets->hooks[i] != NULL)
			continue;
		secrets->hooks[i] = attachment;
		attachment->hooks[attachment->count++] = i;
	}
	return attachment->count == count ? 0 : -ENOSPC;
}

static void
release(struct secrets *secrets, struct attachment *attachment)
{
	take_off(attachment);
	/* what was complained about until now is about this attachment */
	while (ring_buffer__consume(secrets->complaints) < 0)
		;
	for (uint32_t i = 0; i < attachment->count; i++)
		secrets->hooks[attachment->hooks[i]] = NULL;
	free(attachment);
}

static int
write_hooks(struct secrets *secrets, const struct attachment *attachment,
	    const struct ebpftls_hook *hooks)
{
	int map = bpf_map__fd(secrets->skeleton->maps.hooks);

	for (uint32_t i = 0; i < attachment->count; i++) {
		struct ebpftls_hook hook = hooks[i];

		hook.file = attachment->number;
		if (bpf_map_update_elem(map, &attachment->hooks[i], &hook,
					BPF_ANY) != 0)
			return -errno;
	}
	return 0;
}

/* Of one attachment: what the child gives back is the link, or why not. */
struct order {
	int program;
	int file;
	unsigned long offsets[SCAN_HOOKS_MAX];
	__u64 cookies[SCAN_HOOKS_MAX];
	uint32_t count;
};

static int
obey(const struct order *order)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", order->file);
	return create_multi(order->program, path, order->offsets,
			    order->cookies, order->count);
}

__attribute__((noreturn)) static void
be_attacher(int sock, const struct order *order)
{
	int keep[] = { sock, order->program, order->file };
	int link;

	close_all_but(keep, sizeof(keep) / sizeof(keep[0]));
	link = obey(order);
	child_send(sock, &link, sizeof(link), link);
	_exit(EXIT_SUCCESS);
}

static int
await_link(int sock)
{
	struct pollfd wait = { sock, POLLIN, 0 };
	int error, link;

	if (poll(&wait, 1, LAST_MOMENT) <= 0)
		return -ETIMEDOUT;
	if (child_receive(sock, &error, sizeof(error), &link) != sizeof(error))
		return -EPIPE;
	if (link >= 0)
		return link;
	return error < 0 ? error : -EMFILE;
}

/*
 * The kernel may read the file, and locks the memory of all who have it
 * mapped: that may take as long as somebody likes. So this is done by a
 * process that need not be waited for.
 */
static int
attach_aside(const struct order *order)
{
	int pair[2], link;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		be_attacher(pair[1], order);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -EAGAIN;
	}
	link = await_link(pair[0]);
	child_kill(pid, pair[0]);
	return link;
}

static int
attach_multi(struct secrets *secrets, struct attachment *attachment, int fd,
	     const struct ebpftls_hook *hooks)
{
	struct order order = {
		.program = program_fd(secrets->skeleton),
		.file = fd,
		.count = attachment->count,
	};

	for (uint32_t i = 0; i < attachment->count; i++) {
		order.offsets[i] = hooks[i].offset;
		order.cookies[i] = attachment->hooks[i];
	}
	attachment->multi = attach_aside(&order);
	return attachment->multi < 0 ? attachment->multi : 0;
}

static int
attach_each(struct secrets *secrets, struct attachment *attachment,
	    const char *path, const struct ebpftls_hook *hooks)
{
	for (uint32_t i = 0; i < attachment->count; i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, options,
			    .bpf_cookie = attachment->hooks[i]);

		attachment->links[i] =
		    bpf_program__attach_uprobe_opts(secrets->skeleton->progs
							.ebpftls_uprobe,
						    -1, path, hooks[i].offset,
						    &options);
		if (attachment->links[i] == NULL)
			return -errno;
	}
	return 0;
}

/* The name of a descriptor is that of its file, even of one with no other. */
static int
attach(struct secrets *secrets, struct attachment *attachment, int fd,
       const struct ebpftls_hook *hooks)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (secrets->multi)
		return attach_multi(secrets, attachment, fd, hooks);
	return attach_each(secrets, attachment, path, hooks);
}

static void
name(int fd, char path[EBPFTLS_TEXT_SIZE])
{
	char link[PATH_SIZE];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, EBPFTLS_TEXT_SIZE - 1);
	if (length < 0)
		path[0] = '?';
	path[length < 0 ? 1 : length] = '\0';
}

/* When there are no more hooks, the first file says so for all. */
void
secrets_not_attached(struct secrets *secrets, int fd, int error)
{
	char path[EBPFTLS_TEXT_SIZE];

	if (error == -ENOSPC && secrets->full)
		return;
	secrets->full |= error == -ENOSPC;
	name(fd, path);
	secrets_tell(secrets, "%s: cannot be hooked: %s", path,
		     error == -ENOSPC ? "all hooks are in use"
				      : strerror(-error));
}

int
secrets_attach(struct secrets *secrets, int fd,
	       const struct scan_result *result)
{
	struct attachment *attachment;
	int error;

	if (result->count == 0 || result->count > SCAN_HOOKS_MAX)
		return -EINVAL;
	attachment = calloc(1, sizeof(*attachment));
	if (attachment == NULL)
		return -ENOMEM;
	attachment->multi = -1;
	name(fd, attachment->path);
	if (secrets->numbers < UINT16_MAX)
		attachment->number = ++secrets->numbers;
	attachment->is_new = attachment->number != 0;
	error = reserve(secrets, attachment, result->count);
	if (error == 0)
		error = write_hooks(secrets, attachment, result->hooks);
	if (error == 0)
		error = attach(secrets, attachment, fd, result->hooks);
	if (error == 0)
		return (int)attachment->hooks[0];
	release(secrets, attachment);
	return error;
}

void
secrets_detach(struct secrets *secrets, int attachment)
{
	release(secrets, secrets->hooks[attachment]);
	secrets->full = false;
}

/* --- the whole ------------------------------------------------------------ */

struct secrets *
secrets_load(const struct ebpftls_caller *caller, struct failure *failure)
{
	struct secrets *secrets = calloc(1, sizeof(*secrets));
	int error;

	if (secrets == NULL) {
		fail(failure, EBPFTLS_REASON_OTHER, "out of memory");
		return NULL;
	}
	load_quietly();
	error = load(secrets, caller);
	if (error != 0) {
		refused(failure, -error);
		secrets_close(secrets);
		return NULL;
	}
	secrets->complaints =
	    ring_buffer__new(bpf_map__fd(secrets->skeleton->maps.complaints),
			     hear, secrets, NULL);
	if (secrets->complaints == NULL) {
		fail_refused(failure, errno,
			     "cannot read what the TLS hooks complain about");
		secrets_close(secrets);
		return NULL;
	}
	return secrets;
}

bool
secrets_multi(const struct secrets *secrets)
{
	return secrets->multi;
}

int
secrets_ring_fd(const struct secrets *secrets)
{
	return bpf_map__fd(secrets->skeleton->maps.secret_events);
}

uint32_t
secrets_ring_size(const struct secrets *secrets)
{
	return bpf_map__max_entries(secrets->skeleton->maps.secret_events);
}

static void *
take_off_attachment(void *attachment)
{
	take_off(attachment);
	return NULL;
}

/*
 * The kernel takes its time over each link, until no program can be running
 * any more, but waits for any number of them at once.
 */
static void
take_all_off(struct secrets *secrets)
{
	static pthread_t threads[SECRETS_HOOKS_MAX];
	size_t count = 0;

	for (uint32_t i = 0; i < SECRETS_HOOKS_MAX; i++) {
		struct attachment *attachment = secrets->hooks[i];

		if (attachment == NULL || attachment->hooks[0] != i)
			continue;
		if (pthread_create(&threads[count], NULL, take_off_attachment,
				   attachment) == 0)
			count++;
		else
			take_off(attachment);
	}
	while (count > 0)
		pthread_join(threads[--count], NULL);
}

static void
close_all_but_links(const struct secrets *secrets)
{
	static int fds[SECRETS_HOOKS_MAX];
	size_t count = 0;

	for (uint32_t i = 0; i < SECRETS_HOOKS_MAX; i++) {
		const struct attachment *attachment = secrets->hooks[i];

		if (attachment == NULL || attachment->hooks[0] != i)
			continue;
		if (attachment->multi >= 0)
			fds[count++] = attachment->multi;
		for (uint32_t j = 0; j < attachment->count; j++)
			if (attachment->links[j] != NULL)
				fds[count++] =
				    bpf_link__fd(attachment->links[j]);
	}
	close_all_but(fds, count);
}

/*
 * What the kernel waits for then is not ours alone: somebody else's program
 * that waits for a page, or a process whose memory is locked. So the last to
 * have the links is a process that need not be waited for. Without one, it is
 * done here.
 */
static pid_t
leave_to_child(struct secrets *secrets)
{
	pid_t pid = fork();

	if (pid > 0)
		return pid;
	if (pid == 0)
		close_all_but_links(secrets);
	take_all_off(secrets);
	if (pid == 0)
		_exit(EXIT_SUCCESS);
	return -1;
}

static void
wait_for_child(pid_t pid)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	for (int i = 0; i < LAST_MOMENT && waitpid(pid, NULL, WNOHANG) == 0;
	     i++)
		nanosleep(&moment, NULL);
}

void
secrets_close(struct secrets *secrets)
{
	pid_t child;

	if (secrets == NULL)
		return;
	child = leave_to_child(secrets);
	for (size_t i = 0; i < SECRETS_HOOKS_MAX; i++)
		if (secrets->hooks[i] != NULL)
			release(secrets, secrets->hooks[i]);
	if (child > 0)
		wait_for_child(child);
	while (take_news(secrets))
		;
	ring_buffer__free(secrets->complaints);
	secrets_bpf__destroy(secrets->skeleton);
	free(secrets);
}
