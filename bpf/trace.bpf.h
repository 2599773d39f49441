/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/*
 * Whether a user could trace the current process, by the kernel's own rule in
 * ptrace(2): who cannot must not have its secrets either.
 */
#ifndef EBPFTLS_TRACE_BPF_H
#define EBPFTLS_TRACE_BPF_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "events.h"

#define DUMPABLE_MASK 3
#define DUMPABLE      1 /* by its user, and not by root alone */

/* The few members of the kernel's own structs that are looked at. */
struct id {
	__u32 val;
} __attribute__((preserve_access_index));

struct user_namespace {
	int level;
	struct id owner;
} __attribute__((preserve_access_index));

struct cred {
	struct id uid, gid, suid, sgid, euid, egid;
	struct {
		__u64 whole;
	} cap_permitted;
	struct user_namespace *user_ns;
} __attribute__((preserve_access_index));

struct mm_struct {
	unsigned long flags;
} __attribute__((preserve_access_index));

/* Since Linux 6.18 */
struct mm_struct___bits {
	struct {
		__u64 whole;
	} flags;
} __attribute__((preserve_access_index));

struct task_struct {
	const struct cred *real_cred;
	struct mm_struct *mm;
} __attribute__((preserve_access_index));

/* In the initial namespace, the ids are those that everybody sees. */
static __always_inline bool
has_ids(const struct cred *cred, const volatile struct ebpftls_caller *caller)
{
	return BPF_CORE_READ(cred, uid.val) == caller->uid &&
	       BPF_CORE_READ(cred, euid.val) == caller->uid &&
	       BPF_CORE_READ(cred, suid.val) == caller->uid &&
	       BPF_CORE_READ(cred, gid.val) == caller->gid &&
	       BPF_CORE_READ(cred, egid.val) == caller->gid &&
	       BPF_CORE_READ(cred, sgid.val) == caller->gid;
}

/* Of capabilities the caller has none but over a namespace that it made. */
static __always_inline bool
is_not_above(const struct cred *cred,
	     const volatile struct ebpftls_caller *caller)
{
	struct user_namespace *ns = BPF_CORE_READ(cred, user_ns);
	int level = BPF_CORE_READ(ns, level);
	__u64 permitted = ~0ULL;

	if (level == 1)
		return BPF_CORE_READ(ns, owner.val) == caller->uid;
	if (level != 0 ||
	    bpf_core_read(&permitted, sizeof(permitted), &cred->cap_permitted))
		return false;
	return permitted == 0;
}

/* A program that not all may read, or that has changed its ids, is not. */
static __always_inline bool
is_dumpable(struct mm_struct *mm)
{
	struct mm_struct___bits *bits = (void *)mm;
	__u64 flags = 0;

	if (bpf_core_field_exists(bits->flags))
		bpf_core_read(&flags, sizeof(flags), &bits->flags);
	else
		bpf_core_read(&flags, sizeof(flags), &mm->flags);
	return (flags & DUMPABLE_MASK) == DUMPABLE;
}

static __always_inline bool
may_trace_current(const volatile struct ebpftls_caller *caller)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	const struct cred *cred = BPF_CORE_READ(task, real_cred);

	return has_ids(cred, caller) && is_not_above(cred, caller) &&
	       is_dumpable(BPF_CORE_READ(task, mm));
}

#endif
