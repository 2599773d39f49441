/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/*
 * Who uses a socket, on kernels whose functions can be hooked, but whose hooks
 * cannot write to a socket's storage: in a map of its own, by the socket's
 * address. An entry is newer than the storage, for who writes to that takes it
 * away, and so does the end of the socket. Other kernels have none of it.
 */
#ifndef EBPFTLS_USERS_BPF_H
#define EBPFTLS_USERS_BPF_H

#include "owner.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* a good many if it is needed: the agent */
	__type(key, __u64);
	__type(value, struct held);
} users SEC(".maps");

/* Not 0: an entry had no room. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} users_lost SEC(".maps");

/* Whether it is needed. */
const volatile bool users_apart;

static __always_inline struct held *
find_user(__u64 sk)
{
	return users_apart ? bpf_map_lookup_elem(&users, &sk) : NULL;
}

static __always_inline void
forget_user(__u64 sk)
{
	if (users_apart)
		bpf_map_delete_elem(&users, &sk);
}

/* Whether the storage says already that `task`, the current one, uses it. */
static __always_inline bool
is_noted(const struct held *held, __u64 sk, struct task_struct *task)
{
	return held && !users_apart && is_held(held, sk, task);
}

/* Then any socket may have a user that is not there, for good. */
static __always_inline bool
is_user_lost(void)
{
	__u32 zero = 0;
	__u64 *lost;

	if (!users_apart)
		return false;
	lost = bpf_map_lookup_elem(&users_lost, &zero);
	return !lost || *lost;
}

static __always_inline void
lose_user(void)
{
	const __u64 yes = 1;
	__u32 zero = 0;

	bpf_map_update_elem(&users_lost, &zero, &yes, BPF_ANY);
}

/*
 * `task` uses the socket now, if `holding` says so; else nobody knows who. What
 * threads of the kernel do to a process's socket is for some process, but not
 * known which.
 */
static __always_inline void
note_user(__u64 sk, struct task_struct *task, enum holding holding)
{
	struct held *before = find_user(sk), now;

	if (holding == HOLDS && !is_kthread(task)) {
		describe_current(&now, sk, task);
		if (selection.kinds)
			now.owner.chosen = choose(&now.owner, task, false);
		now.check = sum(&now);
	} else {
		leave(&now, sk);
	}
	if (before && is_same(before, &now))
		return;
	if (bpf_map_update_elem(&users, &sk, &now, BPF_ANY))
		lose_user();
	if (now.owner.kind == EBPFTLS_OF_PROCESS)
		announce(&now, task);
}

/* The same of who sends, who need not have the socket. */
static __always_inline void
note_sending_user(__u64 sk, struct task_struct *task)
{
	struct held *before = find_user(sk);
	int holding = HOLDS_NOT;

	if (before || is_file(sk))
		holding = is_kthread(task) ? HOLDS_PERHAPS : holds(sk);
	if (holding != HOLDS_NOT)
		note_user(sk, task, holding);
}

#endif
