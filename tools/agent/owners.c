// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loads the hooks that note whose each socket is: always those of the cgroup
 * root, and of the others as many as the kernel has.
 */
#define _GNU_SOURCE

#include "owners.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernel-types.h"
#include "load.h"
#include "oldsockets.h"
#include "owners.skel.h"

#define HOOKS	      "the programs that note whose each socket is"
#define EVENTS_SIZE   (256 * 1024U)
#define STACK_SIZE    (16 * 1024U)
#define PROCESSES_MAX (64 * 1024U)
#define USERS_MAX     (64 * 1024U) /* sockets in use at once */

/* What the kernel can do. */
struct facts {
	uint32_t task_type; /* that the current task can be cast to, or 0 */
	bool task_btf;	    /* the current task can be looked into */
	bool cgroup;	    /* and asked for its cgroup, everywhere */
	bool tracing;	    /* and socket storage be written from there */
	bool apart;	    /* or who uses sockets be kept beside it */
	bool trampoline;    /* fentry and fexit */
	bool received;	    /* sock_recv_length */
	bool sent;	    /* sock_send_length */
	bool read;	    /* tcp_rcv_space_adjust */
	bool iterator;
	bool near;    /* senders in other network namespaces matter */
	bool cgroups; /* more hooks of the cgroup root than the first */
	int accept_arguments;
};

static int
open_root(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		return fd;
	close(fd);
	return -ENOENT;
}

static int
open_mounted(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	int fd = -ENOENT;
	struct mntent *entry;

	if (mounts == NULL)
		return -errno;
	while (fd < 0 && (entry = getmntent(mounts)) != NULL)
		if (strcmp(entry->mnt_type, "cgroup2") == 0)
			fd = open_root(entry->mnt_dir);
	endmntent(mounts);
	return fd;
}

/*
 * A mount that nobody sees and that ends with its descriptor. Only where
 * there is no other: a new one takes the options from those that there are.
 */
static int
mount_own(void)
{
	int context = fsopen("cgroup2", FSOPEN_CLOEXEC), fd = -1;

	if (context < 0)
		return -errno;
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	if (fd < 0)
		fd = -errno;
	close(context);
	return fd;
}

int
owners_open_cgroup(void)
{
	int fd = open_mounted();

	return fd >= 0 ? fd : mount_own();
}

static bool
has_function(const struct btf *btf, const char *name)
{
	return btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
}

static int
count_arguments(const struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	const struct btf_type *type;

	if (id < 0)
		return 0;
	type = btf__type_by_id(btf, btf__type_by_id(btf, (__u32)id)->type);
	return type == NULL ? 0 : btf_vlen(type);
}

/* Some kernels have no trampolines, and tell only who attaches one. */
static bool
try_trampoline(const struct btf *btf)
{
	const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options,
		    .expected_attach_type = BPF_TRACE_FENTRY);
	int id = btf__find_by_name_kind(btf, "security_socket_recvmsg",
					BTF_KIND_FUNC);
	int program, link = -1;

	if (id < 0)
		return false;
	options.attach_btf_id = (__u32)id;
	program = bpf_prog_load(BPF_PROG_TYPE_TRACING, NULL, "GPL", nothing, 2,
				&options);
	if (program < 0)
		return false;
	link = bpf_raw_tracepoint_open(NULL, program);
	if (link >= 0)
		close(link);
	close(program);
	return link >= 0;
}

static void
ask_kernel(struct facts *facts)
{
	const struct btf *btf = kernel_types();
	int task_type;

	memset(facts, 0, sizeof(*facts));
	facts->task_btf =
	    libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS,
				    BPF_FUNC_get_current_task_btf, NULL) == 1;
	facts->cgroup =
	    libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS,
				    BPF_FUNC_get_current_cgroup_id, NULL) == 1;
	if (btf == NULL)
		return;
	task_type = btf__find_by_name_kind(btf, "task_struct", BTF_KIND_STRUCT);
	if (task_type > 0 && has_function(btf, "bpf_rdonly_cast"))
		facts->task_type = (uint32_t)task_type;
	facts->tracing = has_function(btf, "bpf_sk_storage_tracing_allowed");
	facts->trampoline = try_trampoline(btf);
	facts->apart = !facts->tracing && facts->trampoline;
	facts->received =
	    facts->tracing &&
	    btf__find_by_name_kind(btf, "btf_trace_sock_recv_length",
				   BTF_KIND_TYPEDEF) > 0;
	facts->sent = facts->tracing &&
		      btf__find_by_name_kind(btf, "btf_trace_sock_send_length",
					     BTF_KIND_TYPEDEF) > 0;
	facts->read =
	    (facts->tracing || facts->apart) &&
	    btf__find_by_name_kind(btf, "btf_trace_tcp_rcv_space_adjust",
				   BTF_KIND_TYPEDEF) > 0;
	facts->iterator =
	    facts->tracing && has_function(btf, "bpf_sock_from_file");
	facts->accept_arguments = count_arguments(btf, "inet_csk_accept");
}

/* The programs that are not on every kernel. */
static void
choose(struct owners_bpf *skeleton, const struct facts *facts)
{
	bool accept = facts->trampoline;
	bool receive = facts->trampoline && !facts->received;
	bool scan = facts->cgroups && !facts->iterator;

	bpf_program__set_autoload(skeleton->progs.owners_received,
				  facts->received);
	bpf_program__set_autoload(skeleton->progs.owners_bind4, facts->cgroups);
	bpf_program__set_autoload(skeleton->progs.owners_bind6, facts->cgroups);
	bpf_program__set_autoload(skeleton->progs.owners_accept4,
				  facts->cgroups);
	bpf_program__set_autoload(skeleton->progs.owners_accept6,
				  facts->cgroups);
	bpf_program__set_autoload(skeleton->progs.owners_sent,
				  facts->cgroups && facts->near);
	bpf_program__set_autoload(skeleton->progs.owners_has_sent,
				  facts->sent && !facts->trampoline);
	bpf_program__set_autoload(skeleton->progs.owners_send,
				  facts->trampoline);
	bpf_program__set_autoload(skeleton->progs.owners_read, facts->read);
	bpf_program__set_autoload(skeleton->progs.owners_receive, receive);
	bpf_program__set_autoload(skeleton->progs.owners_accepted,
				  accept && facts->accept_arguments == 2);
	bpf_program__set_autoload(skeleton->progs.owners_accepted_before_610,
				  accept && facts->accept_arguments == 4);
	bpf_program__set_autoload(skeleton->progs.owners_freed, facts->apart);
	bpf_program__set_autoload(skeleton->progs.owners_old, facts->iterator);
	bpf_program__set_autoload(skeleton->progs.owners_processes, scan);
	bpf_program__set_autoload(skeleton->progs.owners_holders, scan);
	if (facts->iterator)
		bpf_map__set_max_entries(skeleton->maps.holders, 1);
	bpf_program__set_autoload(skeleton->progs.owners_recvmsg4,
				  facts->cgroups && !facts->received &&
				      !receive);
	bpf_program__set_autoload(skeleton->progs.owners_recvmsg6,
				  facts->cgroups && !facts->received &&
				      !receive);
}

/* What follows processes from the chosen ones to their children. */
static void
set_selection(struct owners_bpf *skeleton, const struct selection *selection)
{
	bool children = selection->settings.children;

	memcpy((void *)&skeleton->rodata->selection, &selection->settings,
	       sizeof(selection->settings));
	bpf_program__set_autoload(skeleton->progs.select_forked, children);
	bpf_program__set_autoload(skeleton->progs.select_freed, children);
	bpf_program__set_autoload(skeleton->progs.select_existing,
				  children ||
				      select_has(selection, EBPFTLS_WANT_PID));
	if (!children)
		bpf_map__set_max_entries(skeleton->maps.relatives, 1);
}

static int
load(struct owners *owners, const struct facts *facts,
     const struct selection *selection)
{
	LIBBPF_OPTS(bpf_object_open_opts, options,
		    .btf_custom_path = kernel_types_path());
	struct owners_bpf *skeleton = owners_bpf__open_opts(&options);
	int error;

	if (skeleton == NULL)
		return -errno;
	owners->skeleton = skeleton;
	owners->task_btf = facts->task_btf;
	owners->task_type = facts->task_type;
	owners->cgroup = facts->cgroup;
	skeleton->rodata->task_btf = owners->task_btf;
	skeleton->rodata->task_type = owners->task_type;
	skeleton->rodata->cgroup_known = owners->cgroup;
	skeleton->rodata->stack_size = owners->stack_size;
	owners->apart = facts->apart;
	skeleton->rodata->users_apart = owners->apart;
	if (owners->apart)
		bpf_map__set_max_entries(skeleton->maps.users, USERS_MAX);
	bpf_map__set_max_entries(skeleton->maps.owner_events, EVENTS_SIZE);
	choose(skeleton, facts);
	set_selection(skeleton, selection);
	kernel_types_fill(skeleton->obj);
	error = owners_bpf__load(skeleton);
	if (error != 0)
		owners_close(owners);
	return error;
}

/* With all hooks that should work, else with those of cgroups, else with the
 * one that there must be. */
static int
load_most(struct owners *owners, const struct facts *facts,
	  const struct selection *selection, struct failure *failure)
{
	const struct facts levels[] = {
		*facts,
		{ .task_btf = facts->task_btf,
		  .cgroup = facts->cgroup,
		  .near = facts->near,
		  .cgroups = true },
		{ .near = false },
	};
	int error = -EINVAL;

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		error = load(owners, &levels[i], selection);
		if (error == 0)
			return 0;
		/* no sign that the kernel does not know something */
		if (error == -EPERM || error == -ENOMEM || error == -EMFILE)
			break;
	}
	return load_refused(failure, -error, HOOKS);
}

/* Returns 1, 0 if the program was not loaded, or a negative errno. */
static int
attach_to_cgroup(const struct bpf_program *program, int cgroup,
		 struct bpf_link **link)
{
	if (bpf_program__fd(program) < 0)
		return 0;
	*link = bpf_program__attach_cgroup(program, cgroup);
	return *link == NULL ? -errno : 1;
}

/* It is worse without, but it can be done without. */
static void
try_attach(const struct bpf_program *program, struct bpf_link **link)
{
	if (bpf_program__fd(program) >= 0)
		*link = bpf_program__attach(program);
}

static int
attach_to_forks(struct owners_bpf *skeleton)
{
	skeleton->links.select_forked =
	    bpf_program__attach(skeleton->progs.select_forked);
	skeleton->links.select_freed =
	    bpf_program__attach(skeleton->progs.select_freed);
	return skeleton->links.select_forked == NULL ||
		       skeleton->links.select_freed == NULL
		   ? -errno
		   : 0;
}

static int
attach(struct owners *owners, int cgroup, struct failure *failure)
{
	struct owners_bpf *skeleton = owners->skeleton;
	int error = attach_to_cgroup(skeleton->progs.owners_create, cgroup,
				     &skeleton->links.owners_create);

	if (error < 0)
		return fail_refused(failure, -error,
				    "cannot attach " HOOKS " to the cgroup "
				    "root");
	attach_to_cgroup(skeleton->progs.owners_bind4, cgroup,
			 &skeleton->links.owners_bind4);
	attach_to_cgroup(skeleton->progs.owners_bind6, cgroup,
			 &skeleton->links.owners_bind6);
	owners->sends = attach_to_cgroup(skeleton->progs.owners_sent, cgroup,
					 &skeleton->links.owners_sent) > 0;
	skeleton->bss->sends_seen = owners->sends;
	attach_to_cgroup(skeleton->progs.owners_accept4, cgroup,
			 &skeleton->links.owners_accept4);
	attach_to_cgroup(skeleton->progs.owners_accept6, cgroup,
			 &skeleton->links.owners_accept6);
	attach_to_cgroup(skeleton->progs.owners_recvmsg4, cgroup,
			 &skeleton->links.owners_recvmsg4);
	attach_to_cgroup(skeleton->progs.owners_recvmsg6, cgroup,
			 &skeleton->links.owners_recvmsg6);
	if (owners->apart) {
		/* first: what stays behind a socket would name a wrong one */
		try_attach(skeleton->progs.owners_freed,
			   &skeleton->links.owners_freed);
		if (skeleton->links.owners_freed == NULL)
			return 0;
	}
	try_attach(skeleton->progs.owners_received,
		   &skeleton->links.owners_received);
	try_attach(skeleton->progs.owners_has_sent,
		   &skeleton->links.owners_has_sent);
	try_attach(skeleton->progs.owners_send, &skeleton->links.owners_send);
	try_attach(skeleton->progs.owners_read, &skeleton->links.owners_read);
	try_attach(skeleton->progs.owners_receive,
		   &skeleton->links.owners_receive);
	try_attach(skeleton->progs.owners_accepted,
		   &skeleton->links.owners_accepted);
	try_attach(skeleton->progs.owners_accepted_before_610,
		   &skeleton->links.owners_accepted_before_610);
	return 0;
}

/*
 * Returns how many bytes the program has written, or a negative errno. With
 * room for `limit` bytes they are kept.
 */
static ssize_t
iterate(const struct bpf_program *program, void *bytes, size_t limit)
{
	struct bpf_link *link = NULL;
	char rest[64];
	ssize_t size, all = 0;
	int fd;

	try_attach(program, &link);
	if (link == NULL)
		return -EOPNOTSUPP;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0)
		all = -errno;
	while (fd >= 0) {
		bool room = (size_t)all < limit;

		size = read(fd, room ? (char *)bytes + all : rest,
			    room ? limit - (size_t)all : sizeof(rest));
		if (size > 0)
			all += size;
		else if (size < 0 && errno == EAGAIN)
			continue;
		else if (size < 0)
			all = -errno;
		if (size <= 0)
			break;
	}
	if (fd >= 0)
		close(fd);
	bpf_link__destroy(link);
	return all;
}

/*
 * Fills in who is chosen, before anybody's sockets are looked at. Who forks
 * meanwhile is followed; the parents of those that are there may come after
 * them, so it takes until nobody new is found.
 */
static int
find_chosen(struct owners_bpf *skeleton, const struct selection *selection,
	    struct failure *failure)
{
	int wanted = bpf_map__fd(skeleton->maps.wanted);
	int error = select_fill(selection, wanted);
	ssize_t found = 0;

	if (error == 0 && selection->settings.children)
		error = attach_to_forks(skeleton);
	if (error == 0 &&
	    bpf_program__autoload(skeleton->progs.select_existing))
		do
			found =
			    iterate(skeleton->progs.select_existing, NULL, 0);
		while (found > 0);
	if (error != 0 || found < 0)
		return fail_refused(failure, error != 0 ? -error : (int)-found,
				    "cannot find the processes to capture");
	return select_check_pids(selection, wanted, failure);
}

/* One by one, if the kernel cannot. */
static void
find_old_sockets(struct owners_bpf *skeleton)
{
	const size_t limit = PROCESSES_MAX * sizeof(struct ebpftls_owner);
	const struct oldsockets_maps maps = {
		.owners = bpf_map__fd(skeleton->maps.old_owners),
		.holders = bpf_map__fd(skeleton->maps.holders),
	};
	struct ebpftls_owner *processes;
	ssize_t size;

	if (iterate(skeleton->progs.owners_old, NULL, 0) >= 0)
		return;
	processes = malloc(limit);
	if (processes == NULL)
		return;
	size = iterate(skeleton->progs.owners_processes, processes, limit);
	if (size > (ssize_t)limit)
		size = (ssize_t)limit;
	if (size > 0)
		oldsockets_scan(&maps, processes,
				(size_t)size / sizeof(*processes));
	free(processes);
	iterate(skeleton->progs.owners_holders, NULL, 0);
}

int
owners_load(struct owners *owners, int cgroup, bool near,
	    const struct selection *selection, struct failure *failure)
{
	struct facts facts;

	memset(owners, 0, sizeof(*owners));
	load_quietly();
	if (cgroup < 0) {
		fail(failure, EBPFTLS_REASON_NOT_SUPPORTED,
		     "there is no cgroup2 file system, and none can be "
		     "mounted (%s): mount one, as by 'mount -t cgroup2 none "
		     "/sys/fs/cgroup'",
		     strerror(-cgroup));
		return fail_remedy(failure,
				   "sudo mount -t cgroup2 none /sys/fs/cgroup");
	}
	owners->stack_size = (uint32_t)getpagesize() > STACK_SIZE
				 ? (uint32_t)getpagesize()
				 : STACK_SIZE;
	owners->selection = selection->settings;
	ask_kernel(&facts);
	facts.near = near;
	facts.cgroups = true;
	if (load_most(owners, &facts, selection, failure) != 0 ||
	    find_chosen(owners->skeleton, selection, failure) != 0 ||
	    attach(owners, cgroup, failure) != 0)
		return -1;
	find_old_sockets(owners->skeleton);
	return 0;
}

int
owners_map_fd(const struct owners *owners, const char *name)
{
	if (strcmp(name, "owners") == 0)
		return bpf_map__fd(owners->skeleton->maps.owners);
	if (strcmp(name, "old_owners") == 0)
		return bpf_map__fd(owners->skeleton->maps.old_owners);
	if (strcmp(name, "users") == 0)
		return bpf_map__fd(owners->skeleton->maps.users);
	if (strcmp(name, "users_lost") == 0)
		return bpf_map__fd(owners->skeleton->maps.users_lost);
	if (strcmp(name, "known") == 0)
		return bpf_map__fd(owners->skeleton->maps.known);
	if (strcmp(name, "wanted") == 0)
		return bpf_map__fd(owners->skeleton->maps.wanted);
	if (strcmp(name, "relatives") == 0)
		return bpf_map__fd(owners->skeleton->maps.relatives);
	if (strcmp(name, "owner_events") == 0)
		return bpf_map__fd(owners->skeleton->maps.owner_events);
	return -1;
}

/* Iterators are attached for as long as they are run. */
bool
owners_has(const struct owners *owners, const char *program)
{
	const struct bpf_object_skeleton *all = owners->skeleton->skeleton;

	for (int i = 0; i < all->prog_cnt; i++) {
		const struct bpf_program *prog = *all->progs[i].prog;

		if (strcmp(all->progs[i].name, program) == 0)
			return *all->progs[i].link != NULL ||
			       (bpf_program__fd(prog) >= 0 &&
				bpf_program__expected_attach_type(prog) ==
				    BPF_TRACE_ITER);
	}
	return false;
}

int
owners_events_fd(const struct owners *owners)
{
	return bpf_map__fd(owners->skeleton->maps.owner_events);
}

void
owners_close(struct owners *owners)
{
	owners_bpf__destroy(owners->skeleton);
	owners->skeleton = NULL;
}
