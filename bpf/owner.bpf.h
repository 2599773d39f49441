/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/*
 * Whose a socket is: the maps that hold it, and how they are read and
 * written. Both the hooks (owners.bpf.c) and the capture include this; the
 * agent sees to it that they mean the same maps.
 */
#ifndef EBPFTLS_OWNER_BPF_H
#define EBPFTLS_OWNER_BPF_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "events.h"
#include "select.bpf.h"

#define AF_INET		2
#define AF_INET6	10
#define AF_PACKET	17
#define TCP_ESTABLISHED 1
#define TCP_CLOSE	7 /* also UDP that is not connected */
#define TCP_LISTEN	10
#define PF_KTHREAD	0x00200000
#define SOCK_DEAD	1 /* of skc_flags: closed by whoever had it */

#define SOFTIRQ_OFFSET 0x100 /* of preempt_count: serving one */

#define KNOWN_MAX  16384
#define FILES_MAX  4096 /* descriptors that are looked through, at most */
#define FILES_RUN  16	/* of them at once: a table has a multiple of it */
#define FILES_PART 256	/* of them in one call */

/* Keeps clang from proving what the verifier cannot see it has proved. */
#define opaque(variable) asm volatile("" : "+r"(variable))

/* The few members of the kernel's own structs that are looked at. */
struct kuid {
	unsigned int val;
};

typedef struct kuid kuid_t;

struct cred {
	kuid_t euid;
} __attribute__((preserve_access_index));

struct kernfs_node {
	__u64 id;
} __attribute__((preserve_access_index));

struct cgroup {
	struct kernfs_node *kn;
} __attribute__((preserve_access_index));

struct css_set {
	struct cgroup *dfl_cgrp;
} __attribute__((preserve_access_index));

struct thread_info {
	__u32 preempt_count;
} __attribute__((preserve_access_index));

struct file;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} __attribute__((preserve_access_index));

struct files_struct {
	struct fdtable *fdt;
} __attribute__((preserve_access_index));

struct io_uring_task;

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	unsigned int flags;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_boottime;
	const struct cred *cred;
	char comm[16];
	struct css_set *cgroups;
	struct files_struct *files;
	struct io_uring_task *io_uring;
	__u64 self_exec_id;
} __attribute__((preserve_access_index));

struct socket {
	struct file *file;
	struct sock *sk;
} __attribute__((preserve_access_index));

struct sock_common {
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_net_refcnt : 1;
	unsigned long skc_flags;
} __attribute__((preserve_access_index));

typedef struct {
	int owned;
} __attribute__((preserve_access_index)) socket_lock_t;

struct bpf_prog;

struct sock_reuseport {
	struct bpf_prog *prog;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	__u16 sk_protocol;
	struct socket *sk_socket;
	struct sock_reuseport *sk_reuseport_cb;
} __attribute__((preserve_access_index));

/*
 * What a socket's storage holds. Several CPUs may write and read it at once,
 * without a lock, as not all programs may take one: `check` shows whether
 * what was read is of one piece.
 */
struct held {
	struct ebpftls_owner owner;
	__u64 program; /* counts what the process has executed */
	__u64 sock;    /* that it was written for: an accepted one's is not */
	__u64 check;
	__u64 seen; /* in a frame, and the agent has been told */
};

struct old {
	struct ebpftls_owner owner;
	__u64 listens; /* what was found was a listener */
};

struct process {
	__u64 start;
	__u32 pid;
	__u32 program; /* OLD: not known which */
};

#define OLD ((__u32)-1)

/* Who used a socket last; an accepted one begins as the listener was. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct held);
} owners SEC(".maps");

/*
 * Who had a socket when the capture began, as far as nobody has used it since.
 * Apart, so that what comes to know it late never replaces what is newer.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct old);
} old_owners SEC(".maps");

/* Of whom the agent has been told: 1, and that they are in a frame: 2. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, KNOWN_MAX);
	__type(key, struct process);
	__type(value, __u8);
} known SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* a good many: the agent */
} owner_events SEC(".maps");

/* Programs of all kinds may look into the current task. */
const volatile bool task_btf;

/* Programs of all kinds may ask for the current task's cgroup. */
const volatile bool cgroup_known;

/* Bytes, of a task in the kernel. */
const volatile __u32 stack_size;

/* The kernel's number of struct task_struct, if cast() can be. */
const volatile __u32 task_type;

void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

/* Both branches are there; the verifier takes one away. */
#define READ(from, member) \
	(task_btf ? (from)->member : BPF_CORE_READ(from, member))

static __always_inline struct task_struct *
current(void)
{
	if (task_btf)
		return (struct task_struct *)bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline bool
is_kthread(struct task_struct *task)
{
	return READ(task, flags) & PF_KTHREAD;
}

/*
 * The same address, as a number: what it points to may be probed. To swap the
 * bytes of a pointer makes a number of it, to swap them again makes it whole.
 */
static __always_inline __u64
number(void *pointer)
{
	__u64 value = (__u64)pointer;

	asm volatile("%0 = be64 %0\n\t%0 = be64 %0" : "+r"(value));
	return value;
}

/*
 * Whether the current process itself is at work, and has not merely been
 * interrupted: soft interrupts have a stack of their own, or a count where
 * they do not.
 */
static __always_inline bool
is_calling(struct task_struct *task)
{
	__u64 stack = (__u64)READ(task, stack), frame;
	__u32 count = 0;

	asm volatile("%0 = r10" : "=r"(frame));
	if (frame < stack || frame >= stack + stack_size || is_kthread(task))
		return false;
	if (bpf_core_field_exists(struct thread_info, preempt_count))
		bpf_core_read(&count, sizeof(count),
			      &task->thread_info.preempt_count);
	return !(count & SOFTIRQ_OFFSET);
}

/* As long as the owner of a TCP socket is at work, it has it locked. */
static __always_inline bool
is_locked(__u64 sk)
{
	struct sock *inner = (struct sock *)sk;

	return BPF_CORE_READ(inner, sk_lock.owned) != 0;
}

/* Whether a process's own call sends what is on its way out of `sk` now. */
static __always_inline bool
is_sending(struct task_struct *task, struct bpf_sock *sk)
{
	if (!is_calling(task))
		return false;
	return sk->family == AF_PACKET || sk->protocol != IPPROTO_TCP ||
	       is_locked(number(sk));
}

/* A process has made it, and has not closed it. */
static __always_inline bool
is_file(__u64 sk)
{
	struct sock *inner = (struct sock *)sk;

	return BPF_CORE_READ(inner, sk_socket, file) != NULL;
}

enum holding {
	HOLDS_NOT,
	HOLDS,
	HOLDS_PERHAPS,
};

/*
 * Whether the file is among the first descriptors of that table; an enum
 * holding. A function of its own, as the verifier goes through every turn of a
 * loop: so it does that for a part of the table, and not for all of it.
 */
__noinline int
holds_among(__u64 descriptors, __u32 count, __u64 file)
{
	const __u64 *fd = (const __u64 *)descriptors;
	__u64 run[FILES_RUN];

	for (__u32 i = 0; i < FILES_PART && i < count; i += FILES_RUN) {
		if (bpf_probe_read_kernel(run, sizeof(run), fd + i))
			return HOLDS_PERHAPS;
#pragma unroll
		for (int j = 0; j < FILES_RUN; j++)
			if (run[j] == file)
				return HOLDS;
	}
	return HOLDS_NOT;
}

/*
 * Whether the current process has a descriptor of the socket's file; an enum
 * holding. What it does to sockets of which it has none is not its own: it
 * closes for good what another process has left behind, looks at all that
 * there are, or says what becomes of packets that have been waiting. Only
 * io_uring sends for a process through what is no descriptor.
 */
__noinline int
holds(__u64 sk)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct sock *inner = (struct sock *)sk;
	struct socket *socket = BPF_CORE_READ(inner, sk_socket);
	struct file *file = BPF_CORE_READ(socket, file);
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **fd = BPF_CORE_READ(table, fd);
	__u32 count = BPF_CORE_READ(table, max_fds);
	int found;

	/* one that works for another socket, which has the file, as MPTCP's */
	if (!file)
		return socket ? HOLDS_PERHAPS : HOLDS_NOT;
	for (__u32 i = 0; i < FILES_MAX && i < count; i += FILES_PART) {
		found = holds_among((__u64)(fd + i), count - i, (__u64)file);
		if (found != HOLDS_NOT)
			return found;
	}
	if (count > FILES_MAX || (bpf_core_field_exists(task->io_uring) &&
				  BPF_CORE_READ(task, io_uring)))
		return HOLDS_PERHAPS;
	return HOLDS_NOT;
}

/* Any error in one word changes it, for the factors are odd. */
static __always_inline __u64
digest(__u64 so_far, const void *data, __u32 size)
{
	const __u64 factor = 0x9e3779b97f4a7c15, *word = data;
	__u64 result = so_far * factor;

#pragma unroll
	for (int i = 0; i < (int)(size / sizeof(*word)); i++)
		result ^= word[i] * (factor * (2 * i + 3));
	return result;
}

static __always_inline __u64
sum(const struct held *held)
{
	return digest(0, held, offsetof(struct held, check));
}

/*
 * A process is what the leader of its threads is. Other structs are reached by
 * probing: to check a way that goes by their types takes the verifier longer
 * than all the rest.
 */
static __always_inline void
describe_leader(struct ebpftls_owner *owner, struct task_struct *task)
{
	__u64 *comm = (__u64 *)owner->comm;

	if (task_btf && task->pid == task->tgid) {
		owner->start = task->start_boottime;
		comm[0] = *(__u64 *)&task->comm[0];
		comm[1] = *(__u64 *)&task->comm[8];
	} else {
		struct task_struct *leader = BPF_CORE_READ(task, group_leader);

		owner->start = BPF_CORE_READ(leader, start_boottime);
		bpf_core_read(owner->comm, sizeof(owner->comm), &leader->comm);
	}
	owner->comm[15] = '\0';
}

static __always_inline void
describe_as(struct held *held, __u64 sk, struct task_struct *task, __u64 cgroup)
{
	describe_leader(&held->owner, task);
	held->owner.cgroup = cgroup;
	held->owner.pid = READ(task, tgid);
	held->owner.tid = READ(task, pid);
	held->owner.uid = BPF_CORE_READ(task, cred, euid.val);
	held->owner.kind = EBPFTLS_OF_PROCESS;
	held->owner.chosen = 0;
	held->program = READ(task, self_exec_id);
	held->sock = sk;
	held->check = sum(held);
	held->seen = 0;
}

static __always_inline void
describe(struct held *held, __u64 sk, struct task_struct *task)
{
	describe_as(held, sk, task,
		    BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id));
}

/* The same of current(): it costs less to ask than to read. */
static __always_inline void
describe_current(struct held *held, __u64 sk, struct task_struct *task)
{
	if (cgroup_known)
		describe_as(held, sk, task, bpf_get_current_cgroup_id());
	else
		describe(held, sk, task);
}

/*
 * The same task. At each pointer that is followed from one that it knows to be
 * there, the verifier looks through all names of types, a third of a
 * millisecond each time; it does not from what has been cast.
 */
static __always_inline const struct task_struct *
cast(const struct task_struct *task)
{
	if (!task_type)
		return task;
	return bpf_rdonly_cast(task, task_type);
}

/*
 * Whether `held` is to the word what would be written for current() now: then
 * there is nothing to do, whatever brought it here. This is asked at each
 * packet, and probing costs more than all the rest: only here, ways that go
 * by types are worth the time that they take the verifier.
 */
static __always_inline bool
is_held(const struct held *held, __u64 sk, struct task_struct *task)
{
	const __u64 *comm = (const __u64 *)held->owner.comm;
	const struct task_struct *from, *leader;

	if (!task_btf || held->sock != sk ||
	    held->owner.tid != (__u32)task->pid ||
	    held->owner.pid != (__u32)task->tgid ||
	    held->program != task->self_exec_id)
		return false;
	from = cast(task);
	if (held->owner.uid != from->cred->euid.val)
		return false;
	leader = from->group_leader;
	return held->owner.start == leader->start_boottime &&
	       comm[0] == *(__u64 *)&leader->comm[0] &&
	       comm[1] == *(__u64 *)&leader->comm[8] &&
	       held->owner.kind == EBPFTLS_OF_PROCESS &&
	       held->owner.cgroup == from->cgroups->dfl_cgrp->kn->id &&
	       sum(held) == held->check;
}

/* Tells the agent of a process that it does not know yet. */
static __always_inline void
announce(const struct held *held, struct task_struct *task)
{
	struct process process = {
		.start = held->owner.start,
		.pid = held->owner.pid,
		.program = (__u32)held->program,
	};
	struct ebpftls_newcomer *newcomer;
	__u8 yes = 1;

	if (bpf_map_lookup_elem(&known, &process))
		return;
	newcomer = bpf_ringbuf_reserve(&owner_events, sizeof(*newcomer), 0);
	if (!newcomer)
		return;
	newcomer->owner = held->owner;
	newcomer->parent = BPF_CORE_READ(task, real_parent, tgid);
	newcomer->seen = 0;
	bpf_ringbuf_submit(newcomer, 0);
	bpf_map_update_elem(&known, &process, &yes, BPF_ANY);
}

/* A frame of this process is being captured. */
static __always_inline void
tell_seen(const struct ebpftls_owner *owner, __u64 program)
{
	struct process process = {
		.start = owner->start,
		.pid = owner->pid,
		.program = (__u32)program,
	};
	__u8 *told = bpf_map_lookup_elem(&known, &process), seen = 2;
	struct ebpftls_newcomer *newcomer;

	if (told && *told == seen)
		return;
	newcomer = bpf_ringbuf_reserve(&owner_events, sizeof(*newcomer), 0);
	if (!newcomer)
		return;
	newcomer->owner = *owner;
	newcomer->parent = 0;
	newcomer->seen = 1;
	bpf_ringbuf_submit(newcomer, 0);
	bpf_map_update_elem(&known, &process, &seen, BPF_ANY);
}

static __always_inline bool
is_same(const struct held *a, const struct held *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;
	__u64 difference = 0;

#pragma unroll
	for (int i = 0; i < (int)(offsetof(struct held, seen) / sizeof(*x));
	     i++)
		difference |= x[i] ^ y[i];
	return difference == 0;
}

/* Whether they say the same of the process, whichever its thread. */
static __always_inline bool
is_same_process(const struct held *a, const struct held *b)
{
	const __u64 *x = (const __u64 *)a->owner.comm;
	const __u64 *y = (const __u64 *)b->owner.comm;

	return a->owner.start == b->owner.start &&
	       a->owner.cgroup == b->owner.cgroup &&
	       a->owner.pid == b->owner.pid && a->owner.uid == b->owner.uid &&
	       a->owner.kind == b->owner.kind && a->program == b->program &&
	       x[0] == y[0] && x[1] == y[1];
}

static __always_inline bool
is_same_program(const struct held *a, const struct held *b)
{
	return a->owner.start == b->owner.start &&
	       a->owner.pid == b->owner.pid && a->program == b->program;
}

/*
 * A verdict holds as long as the process stays what it is. No part of its
 * callers, as what leads to holds() has no stack to spare.
 */
static __noinline void
judge(struct held *now, const struct held *held, struct task_struct *task)
{
	if (is_same_process(now, held) && sum(held) == held->check)
		now->owner.chosen = held->owner.chosen;
	else
		now->owner.chosen =
		    choose(&now->owner, task,
			   is_same_program(now, held) && held->owner.chosen);
	now->check = sum(now);
}

/* The socket that `held` belongs to is used by `task` now. */
static __always_inline void
take(struct held *held, struct held *now, struct task_struct *task)
{
	if (selection.kinds)
		judge(now, held, task);
	if (is_same(held, now))
		return;
	*held = *now;
	announce(now, task);
}

/* It is not known by whom it is used now. */
static __always_inline void
leave(struct held *held, __u64 sk)
{
	struct held nobody = {
		.owner.kind = EBPFTLS_OF_UNKNOWN,
		.sock = sk,
	};

	nobody.check = sum(&nobody);
	*held = nobody;
}

/* Whether it had the socket when the capture began, it alone. */
static __always_inline bool
had_before(void *sk, const struct held *now)
{
	const struct old *old = bpf_sk_storage_get(&old_owners, sk, NULL, 0);

	return old && old->owner.pid == now->owner.pid &&
	       old->owner.start == now->owner.start;
}

/*
 * The same for what `sk`, of which that is held or nothing, is sending in the
 * calls of `task`, if the socket is its own, which `holding` tells. Returns
 * what is held then, or NULL if that is nothing or as before.
 */
static __always_inline struct held *
take_sent(void *sk, struct held *held, struct held *now,
	  struct task_struct *task, enum holding *holding)
{
	describe_current(now, number(sk), task);
	*holding = HOLDS;
	if (!held || held->owner.pid != now->owner.pid ||
	    held->owner.start != now->owner.start) {
		*holding =
		    held || is_file(number(sk)) ? holds(number(sk)) : HOLDS_NOT;
		if (*holding == HOLDS_NOT)
			return NULL;
		if (*holding == HOLDS_PERHAPS && !held && had_before(sk, now))
			*holding = HOLDS;
		held = bpf_sk_storage_get(&owners, sk, NULL,
					  BPF_SK_STORAGE_GET_F_CREATE);
	}
	if (held && *holding == HOLDS)
		take(held, now, task);
	else if (held)
		leave(held, number(sk));
	return held;
}

#endif
