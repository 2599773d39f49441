/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/*
 * Which processes the capture is for. That is worked out where a socket gets
 * another owner, not for each frame. Both the hooks (owners.bpf.c) and the
 * capture include this; the agent sees to it that they mean the same maps.
 */
#ifndef EBPFTLS_SELECT_BPF_H
#define EBPFTLS_SELECT_BPF_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "events.h"

#define WANTED_MAX    256
#define RELATIVES_MAX 32768 /* as many pids as there are by default */
#define CGROUP_DEPTH  64

#define WANTS(what) (selection.kinds & (1 << EBPFTLS_WANT_##what))

/*
 * What is looked at here of the kernel's own structs. All of it is probed, as
 * that can be done in programs of any kind, and this is done rarely.
 */
struct super_block {
	__u32 s_dev;
} __attribute__((preserve_access_index));

struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
} __attribute__((preserve_access_index));

struct file___select {
	struct inode *f_inode;
} __attribute__((preserve_access_index));

struct mm_struct {
	struct file___select *exe_file;
} __attribute__((preserve_access_index));

struct kernfs_node___select {
	__u64 id;
} __attribute__((preserve_access_index));

struct cgroup_subsys_state {
	struct cgroup___select *cgroup;
	struct cgroup_subsys_state *parent;
} __attribute__((preserve_access_index));

struct cgroup___select {
	struct cgroup_subsys_state self;
	struct kernfs_node___select *kn;
} __attribute__((preserve_access_index));

struct css_set___select {
	struct cgroup___select *dfl_cgrp;
} __attribute__((preserve_access_index));

struct task_struct___select {
	struct mm_struct *mm;
	struct css_set___select *cgroups;
} __attribute__((preserve_access_index));

const volatile struct ebpftls_selection selection;

/* The value of a pid is the start of the process that has it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WANTED_MAX);
	__type(key, struct ebpftls_wanted);
	__type(value, __u64);
} wanted SEC(".maps");

struct relative {
	__u64 start;
	__u64 pid;
};

/* Whom chosen processes have forked, and those again. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, RELATIVES_MAX); /* 1 if nobody asks: the agent */
	__type(key, struct relative);
	__type(value, __u8);
} relatives SEC(".maps");

static __always_inline __u64 *
find_wanted(enum ebpftls_want kind, __u64 first, __u64 second)
{
	struct ebpftls_wanted key = {
		.kind = kind,
		.number = { first, second },
	};

	return bpf_map_lookup_elem(&wanted, &key);
}

static __always_inline bool
wants_pid(const struct ebpftls_owner *owner)
{
	__u64 *start = find_wanted(EBPFTLS_WANT_PID, owner->pid, 0);

	return start && *start == owner->start;
}

/* Not every kernel clears what is behind the end of a name. */
static __always_inline bool
wants_comm(const struct ebpftls_owner *owner)
{
	struct ebpftls_wanted key = { .kind = EBPFTLS_WANT_COMM };

#pragma unroll
	for (int i = 0; i < (int)sizeof(key.comm); i++) {
		if (!owner->comm[i])
			break;
		key.comm[i] = owner->comm[i];
	}
	return bpf_map_lookup_elem(&wanted, &key) != NULL;
}

/* A process that exits has no file any more: it is what it was `before`. */
static __always_inline bool
wants_exe(struct task_struct___select *task, bool before)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct inode *inode;

	if (!mm)
		return before;
	inode = BPF_CORE_READ(mm, exe_file, f_inode);
	return inode &&
	       find_wanted(EBPFTLS_WANT_EXE, BPF_CORE_READ(inode, i_ino),
			   BPF_CORE_READ(inode, i_sb, s_dev));
}

static __always_inline bool
wants_cgroup(struct task_struct___select *task)
{
	struct cgroup___select *cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);

	for (int i = 0; i < CGROUP_DEPTH && cgroup; i++) {
		if (find_wanted(EBPFTLS_WANT_CGROUP,
				BPF_CORE_READ(cgroup, kn, id), 0))
			return true;
		cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
	}
	return false;
}

static __always_inline bool
wants_user(const struct ebpftls_owner *owner)
{
	return find_wanted(EBPFTLS_WANT_UID, owner->uid, 0) != NULL;
}

static __always_inline bool
is_relative(const struct ebpftls_owner *owner)
{
	struct relative key = { owner->start, owner->pid };

	return bpf_map_lookup_elem(&relatives, &key) != NULL;
}

/* No part of its callers, as there are many of them. */
static __noinline bool
matches(const struct ebpftls_owner *owner, void *task, bool before)
{
	return (!WANTS(PID) || wants_pid(owner)) &&
	       (!WANTS(UID) || wants_user(owner)) &&
	       (!WANTS(COMM) || wants_comm(owner)) &&
	       (!WANTS(EXE) || wants_exe(task, before)) &&
	       (!WANTS(CGROUP) || wants_cgroup(task));
}

/*
 * Whether the capture is for the process that `owner` describes; `before`:
 * whether it was for the very program when it used the socket before.
 */
static __always_inline bool
choose(const struct ebpftls_owner *owner, void *task, bool before)
{
	return (selection.children && is_relative(owner) &&
		(!selection.same || wants_user(owner))) ||
	       matches(owner, task, before);
}

/*
 * Whether a frame with these owners is asked for. At an unknown end there may
 * be anybody; at no end, or with the kernel alone, there is no process.
 */
static __always_inline bool
is_asked_for(const struct ebpftls_owner owners[2], __u8 ends)
{
	bool process = false;

#pragma unroll
	for (int i = 0; i < 2; i++) {
		if (i == 0 ? !ends
			   : ends != (EBPFTLS_SENDER | EBPFTLS_RECEIVER))
			break;
		if (owners[i].chosen ||
		    (selection.unknown && owners[i].kind == EBPFTLS_OF_UNKNOWN))
			return true;
		process |= owners[i].kind == EBPFTLS_OF_PROCESS;
	}
	return selection.unknown && !process;
}

#endif
