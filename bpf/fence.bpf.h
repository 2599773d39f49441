/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0 */
/*
 * The order in which other CPUs see what a program does. The helpers that write
 * to rings publish a record by a store that nothing orders against what comes
 * after it, and an atomic addition whose result nobody wants does that on few
 * machines.
 */
#ifndef FENCE_BPF_H
#define FENCE_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#if defined(__TARGET_ARCH_x86)

/* Stores are seen in their order. */
static __always_inline void
order_stores(void)
{
	asm volatile("" : : : "memory");
}

/* And stores against loads by any locked instruction, such as on a word that
 * nobody reads. */
static __always_inline void
order_all(__u64 *word)
{
	__sync_fetch_and_add(word, 1);
}

#else

#define FENCES 64

struct fence {
	struct bpf_spin_lock lock;
	__u32 reserved[15]; /* a cache line */
};

/* CPUs have each their own, if there are no more than these. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FENCES);
	__type(key, __u32);
	__type(value, struct fence);
} fences SEC(".maps");

/*
 * What was before the first unlock is seen before what is after the second
 * lock. The kernel promises that of all but a store and a later load, arm64
 * does of these as well: a load-acquire does not pass an earlier store-release.
 * Not by an addition whose result is used, which is for newer kernels only.
 */
static __always_inline void
pass_locks(void)
{
	__u32 index = bpf_get_smp_processor_id() % FENCES;
	struct fence *fence = bpf_map_lookup_elem(&fences, &index);

	if (!fence)
		return;
	bpf_spin_lock(&fence->lock);
	bpf_spin_unlock(&fence->lock);
	bpf_spin_lock(&fence->lock);
	bpf_spin_unlock(&fence->lock);
}

static __always_inline void
order_stores(void)
{
	pass_locks();
}

static __always_inline void
order_all(__u64 *word)
{
	(void)word;
	pass_locks();
}

#endif

#endif
