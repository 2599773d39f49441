// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0
/*
 * Notes whose a socket is whenever a process makes, accepts, reads or writes
 * one. Who sends at once the capture itself sees. Not every kernel has all
 * these hooks: the agent chooses. None of them changes what happens.
 */
#include "owner.bpf.h"
#include "users.bpf.h"

#define ALLOW	    1
#define HOLDERS_MAX 32768 /* as many pids as there are by default */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct tcp_sock {
	__u8 is_mptcp : 1;
} __attribute__((preserve_access_index));

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} __attribute__((preserve_access_index));

static __always_inline void
use(void *sk)
{
	struct task_struct *task = current();
	struct held now, *held;

	if (is_kthread(task))
		return;
	held =
	    bpf_sk_storage_get(&owners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!held)
		return;
	describe_current(&now, number(sk), task);
	take(held, &now, task);
	forget_user(number(sk));
}

/* For what hooks functions of the kernel. */
static __always_inline void
use_hooked(struct sock *sk)
{
	if (users_apart)
		note_user(number(sk), current(), HOLDS);
	else
		use(sk);
}

/* Of all that a process may have, what sends packets. */
static __always_inline bool
is_ours(struct sock *sk)
{
	unsigned short family = sk->__sk_common.skc_family;

	return family == AF_INET || family == AF_INET6 || family == AF_PACKET;
}

/* The kernel's own sockets are no files, whoever it is working for. */
static __always_inline void
use_file(struct sock *sk)
{
	if (!sk || !is_ours(sk))
		return;
	if (!users_apart && is_noted(bpf_sk_storage_get(&owners, sk, NULL, 0),
				     number(sk), current()))
		return;
	if (is_file(number(sk)))
		use_hooked(sk);
}

/* Whether owners_sent is attached: the agent. */
bool sends_seen;

/* What is sent need not go out in this call; but datagrams do. */
static __always_inline void
send_file(struct sock *sk)
{
	struct task_struct *task = current();
	enum holding holding;
	struct held now, *held;

	if (!sk || !is_ours(sk))
		return;
	if (users_apart) {
		note_sending_user(number(sk), task);
		return;
	}
	if (sends_seen && sk->sk_protocol == IPPROTO_UDP)
		return;
	held = bpf_sk_storage_get(&owners, sk, NULL, 0);
	if (!is_noted(held, number(sk), task) && !is_kthread(task))
		take_sent(sk, held, &now, task, &holding);
}

/*
 * MPTCP binds sockets of the kernel's own making. Of all others that have no
 * owner yet, that one binds them does not tell that they are his.
 */
static __always_inline int
bound(struct bpf_sock *ctx)
{
	struct tcp_sock *tcp = (struct tcp_sock *)number(ctx);

	if (bpf_sk_storage_get(&owners, ctx, NULL, 0) ||
	    (ctx->protocol == IPPROTO_TCP &&
	     bpf_core_field_exists(tcp->is_mptcp) &&
	     BPF_CORE_READ_BITFIELD_PROBED(tcp, is_mptcp)))
		use(ctx);
	return ALLOW;
}

SEC("cgroup/sock_create")
int
owners_create(struct bpf_sock *ctx)
{
	use(ctx);
	return ALLOW;
}

SEC("cgroup/post_bind4")
int
owners_bind4(struct bpf_sock *ctx)
{
	return bound(ctx);
}

SEC("cgroup/post_bind6")
int
owners_bind6(struct bpf_sock *ctx)
{
	return bound(ctx);
}

/*
 * What is sent where no capture program is, in another network namespace: for
 * captures that see its frames come in.
 */
SEC("cgroup_skb/egress")
int
owners_sent(struct __sk_buff *skb)
{
	struct task_struct *task = current();
	struct bpf_sock *sk = skb->sk;
	enum holding holding;
	struct held now, *held;

	if (!sk)
		return ALLOW;
	held = bpf_sk_storage_get(&owners, sk, NULL, 0);
	if (is_noted(held, number(sk), task))
		return ALLOW;
	sk = bpf_sk_fullsock(sk);
	if (sk && is_sending(task, sk) &&
	    take_sent(sk, held, &now, task, &holding))
		forget_user(number(sk));
	return ALLOW;
}

/* accept() asks for the peer's name, if its caller wants to know it. */
SEC("cgroup/getpeername4")
int
owners_accept4(struct bpf_sock_addr *ctx)
{
	if (ctx->sk)
		use(ctx->sk);
	return ALLOW;
}

SEC("cgroup/getpeername6")
int
owners_accept6(struct bpf_sock_addr *ctx)
{
	if (ctx->sk)
		use(ctx->sk);
	return ALLOW;
}

/* recvfrom() and recvmsg(), if the caller wants to know the sender. */
SEC("cgroup/recvmsg4")
int
owners_recvmsg4(struct bpf_sock_addr *ctx)
{
	if (ctx->sk)
		use(ctx->sk);
	return ALLOW;
}

SEC("cgroup/recvmsg6")
int
owners_recvmsg6(struct bpf_sock_addr *ctx)
{
	if (ctx->sk)
		use(ctx->sk);
	return ALLOW;
}

/* struct sock *sk, int ret, int flags */
SEC("tp_btf/sock_recv_length")
int
owners_received(__u64 *ctx)
{
	use_file((struct sock *)ctx[0]);
	return 0;
}

/*
 * struct sock *sk. Nothing else tells of splice(). What is not read by a
 * process, but by the kernel in its soft interrupts, is not locked.
 */
SEC("tp_btf/tcp_rcv_space_adjust")
int
owners_read(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];

	if (sk->sk_lock.owned)
		use_file(sk);
	return 0;
}

/* struct socket *sock, struct msghdr *msg, int size, int flags */
SEC("fentry/security_socket_recvmsg")
int
owners_receive(__u64 *ctx)
{
	use_file(((struct socket *)ctx[0])->sk);
	return 0;
}

/* struct sock *sk, int ret, int flags */
SEC("tp_btf/sock_send_length")
int
owners_has_sent(__u64 *ctx)
{
	send_file((struct sock *)ctx[0]);
	return 0;
}

/* struct socket *sock, struct msghdr *msg, int size */
SEC("fentry/security_socket_sendmsg")
int
owners_send(__u64 *ctx)
{
	send_file(((struct socket *)ctx[0])->sk);
	return 0;
}

/* struct sock *sk, struct proto_accept_arg *arg; returns struct sock * */
SEC("fexit/inet_csk_accept")
int
owners_accepted(__u64 *ctx)
{
	if (ctx[2])
		use_hooked((struct sock *)ctx[2]);
	return 0;
}

/* struct sock *sk, int flags, int *err, bool kern; returns the same */
SEC("fexit/inet_csk_accept")
int
owners_accepted_before_610(__u64 *ctx)
{
	if (ctx[4])
		use_hooked((struct sock *)ctx[4]);
	return 0;
}

/* struct sock *sk; another one may have its address soon */
SEC("fentry/security_sk_free")
int
owners_freed(__u64 *ctx)
{
	forget_user(number((void *)ctx[0]));
	return 0;
}

/*
 * Several processes may have one socket. A listener is that of the first of
 * them; of any other it is not known whose it is until one of them uses it. If
 * the capture is for all of them, it is for whoever that will be.
 */
static __always_inline void
share(struct ebpftls_owner *old, const struct ebpftls_owner *owner,
      bool listens)
{
	__u16 all_chosen = old->chosen & owner->chosen;

	if (old->pid == owner->pid)
		return;
	if (!listens) {
		__builtin_memset(old, 0, sizeof(*old));
		old->kind = EBPFTLS_OF_UNKNOWN;
		old->chosen = all_chosen;
	} else if (owner->start < old->start) {
		*old = *owner;
	}
}

SEC("iter/task_file")
int
owners_old(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct old *old;
	struct socket *socket;
	struct held now;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || !is_ours(sk))
		return 0;
	old = bpf_sk_storage_get(&old_owners, sk, NULL,
				 BPF_SK_STORAGE_GET_F_CREATE);
	if (!old)
		return 0;
	describe(&now, 0, task);
	if (selection.kinds)
		now.owner.chosen = choose(&now.owner, task, false);
	announce(&now, task);
	old->listens = sk->__sk_common.skc_state == TCP_LISTEN;
	if (!old->owner.kind)
		old->owner = now.owner;
	else
		share(&old->owner, &now.owner, old->listens);
	return 0;
}

/*
 * Who has such a socket, where the kernel does not tell and the agent has
 * looked through the processes that owners_processes has written.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HOLDERS_MAX); /* 1 if it can: the agent */
	__type(key, __u32);
	__type(value, __u8);
} holders SEC(".maps");

SEC("iter/task")
int
owners_processes(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct held now;

	if (!task || task->pid != task->tgid)
		return 0;
	describe(&now, 0, task);
	if (selection.kinds)
		now.owner.chosen = choose(&now.owner, task, false);
	bpf_seq_write(ctx->meta->seq, &now.owner, sizeof(now.owner));
	return 0;
}

/* Has those looked at while they are there. */
SEC("iter/task")
int
owners_holders(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct held now;
	__u32 pid;

	if (!task || task->pid != task->tgid)
		return 0;
	pid = task->tgid;
	if (!bpf_map_lookup_elem(&holders, &pid))
		return 0;
	describe(&now, 0, task);
	announce(&now, task);
	return 0;
}

static __always_inline bool
adopt(struct task_struct *child)
{
	struct relative key = { child->start_boottime, child->tgid };
	__u8 yes = 1;

	return !bpf_map_update_elem(&relatives, &key, &yes, BPF_NOEXIST);
}

/* Whose children are chosen, whatever became of him. */
static __always_inline bool
is_chosen_one(struct task_struct *task)
{
	struct held now;

	describe(&now, 0, task);
	return is_relative(&now.owner) || matches(&now.owner, task, false);
}

/* struct task_struct *parent, struct task_struct *child */
SEC("tp_btf/sched_process_fork")
int
select_forked(__u64 *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx[0];
	struct task_struct *child = (struct task_struct *)ctx[1];

	if (child->pid == child->tgid && is_chosen_one(parent))
		adopt(child);
	return 0;
}

/* struct task_struct *task; its last packets have gone before */
SEC("tp_btf/sched_process_free")
int
select_freed(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	struct relative key = { task->start_boottime, task->tgid };

	if (task->pid == task->tgid)
		bpf_map_delete_elem(&relatives, &key);
	return 0;
}

/*
 * The processes that there are already: who has a pid that is asked for, and
 * who is a child of somebody chosen. Writes a byte for each that it finds, and
 * is run until there are no more.
 */
SEC("iter/task")
int
select_existing(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *parent;
	bool found = false;
	__u64 *start;

	if (!task || task->pid != task->tgid)
		return 0;
	start = find_wanted(EBPFTLS_WANT_PID, task->tgid, 0);
	if (start && !*start) {
		*start = task->start_boottime;
		found = true;
	}
	parent = task->real_parent;
	if (selection.children && parent && is_chosen_one(parent))
		found |= adopt(task);
	if (found)
		bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}
