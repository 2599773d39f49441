// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0
/*
 * Takes secrets where a TLS stack hands them on. One program serves all
 * stacks: `hooks` says for each probe where it finds what, and what cannot be
 * a secret is not sent but complained about.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "events.h"
#include "trace.bpf.h"

#define FINE  (-1) /* no reason to complain */
#define SHORT 32
#define LONG  48

/* Of one hook: one is enough, if it is not about a page. */
#define COMPLAINTS_MAX 16

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Who gets the secrets. */
const volatile struct ebpftls_caller caller;

__u32 lost; /* secrets for which secret_events had no room */

/* The index is the cookie of the probe. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* as many as there may be: the agent */
	__type(key, __u32);
	__type(value, struct ebpftls_hook);
} hooks SEC(".maps");

/* One for all CPUs, which keeps the order. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* a good many: the agent */
} secret_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* a page at least: the agent */
} complaints SEC(".maps");

#if defined(__TARGET_ARCH_x86)

#define REGISTERS 16

/* Returns the address of the probe. */
static __always_inline __u64
copy_registers(const bpf_user_pt_regs_t *context, __u64 *registers)
{
	registers[0] = context->rax;
	registers[1] = context->rcx;
	registers[2] = context->rdx;
	registers[3] = context->rbx;
	registers[4] = context->rsp;
	registers[5] = context->rbp;
	registers[6] = context->rsi;
	registers[7] = context->rdi;
	registers[8] = context->r8;
	registers[9] = context->r9;
	registers[10] = context->r10;
	registers[11] = context->r11;
	registers[12] = context->r12;
	registers[13] = context->r13;
	registers[14] = context->r14;
	registers[15] = context->r15;
	return context->rip;
}

#elif defined(__TARGET_ARCH_arm64)

#define REGISTERS 32

static __always_inline __u64
copy_registers(const bpf_user_pt_regs_t *context, __u64 *registers)
{
#pragma unroll
	for (int i = 0; i < REGISTERS - 1; i++)
		registers[i] = context->regs[i];
	registers[REGISTERS - 1] = context->sp;
	return context->pc;
}

#else /* whose code nobody scans: there will be no hook */

#define REGISTERS 1

static __always_inline __u64
copy_registers(const bpf_user_pt_regs_t *context, __u64 *registers)
{
	(void)context;
	registers[0] = 0;
	return 0;
}

#endif

/*
 * Never waits for a page. What is read here the thread itself has just written
 * or used; but a program that waited could be kept by whoever serves the page,
 * and with it all on this machine who take such a program down.
 */
static __always_inline bool
read(void *to, __u32 size, __u64 from)
{
	return bpf_probe_read_user(to, size, (void *)from) == 0;
}

static __always_inline bool
find(const struct ebpftls_place *place, const __u64 *registers, __u64 *value)
{
	__u64 found = registers[place->reg % REGISTERS];
	__u32 loads = place->loads;

	if (loads > EBPFTLS_LOADS_MAX)
		return false;
	for (__u32 i = 0; i < EBPFTLS_LOADS_MAX; i++) {
		if (i >= loads)
			break;
		if (!read(&found, sizeof(found), found + place->offset[i]))
			return false;
	}
	*value = found + place->offset[loads];
	return true;
}

static __always_inline int
find_label(const struct ebpftls_hook *hook, const __u64 *registers, __u64 ip,
	   __u8 *label)
{
	__u64 address;

	if (!hook->label.known) {
		*label = hook->names[0].label;
		return FINE;
	}
	if (!find(&hook->label, registers, &address))
		return EBPFTLS_WHY_FAULT;
	for (__u32 i = 0; i < EBPFTLS_NAMES_MAX; i++) {
		if (i >= hook->name_count)
			break;
		if (hook->names[i].distance == (__s64)(address - ip)) {
			*label = hook->names[i].label;
			return FINE;
		}
	}
	return EBPFTLS_WHY_LABEL;
}

/* Some stacks count in an int, whose register has anything above it. */
static __always_inline int
find_length(const struct ebpftls_hook *hook, const __u64 *registers,
	    struct ebpftls_secret *record)
{
	__u64 length = LONG;

	if (hook->length.known && !find(&hook->length, registers, &length))
		return EBPFTLS_WHY_FAULT;
	if ((__u32)length != LONG &&
	    ((__u32)length != SHORT || record->label == EBPFTLS_CLIENT_RANDOM))
		return EBPFTLS_WHY_LENGTH;
	record->length = length;
	return FINE;
}

static __always_inline bool
is_zero(const __u8 *bytes)
{
	const __u64 *words = (const __u64 *)bytes;

	return (words[0] | words[1] | words[2] | words[3]) == 0;
}

static __always_inline int
read_secret(const struct ebpftls_hook *hook, const __u64 *registers,
	    struct ebpftls_secret *record)
{
	__u64 secret, random;
	bool ok;

	if (!find(&hook->secret, registers, &secret) ||
	    !find(&hook->random, registers, &random) ||
	    !read(record->random, sizeof(record->random), random))
		return EBPFTLS_WHY_FAULT;
	if (record->length == LONG)
		ok = read(record->secret, LONG, secret);
	else
		ok = read(record->secret, SHORT, secret);
	if (!ok)
		return EBPFTLS_WHY_FAULT;
	if (is_zero(record->random) || is_zero(record->secret))
		return EBPFTLS_WHY_ZERO;
	return FINE;
}

/*
 * A wake-up for each would cost more than all else: the reader looks when it
 * has packets, or waits for secrets. Only if there are many it is woken.
 */
static __always_inline __u64
how_to_wake(void)
{
	__u64 here = bpf_ringbuf_query(&secret_events, BPF_RB_AVAIL_DATA);
	__u64 room = bpf_ringbuf_query(&secret_events, BPF_RB_RING_SIZE);

	return here > room / 4 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void
send(struct ebpftls_secret *record)
{
	__u64 thread = bpf_get_current_pid_tgid();

	record->pid = thread >> 32;
	record->tid = (__u32)thread;
	record->lost = *(volatile __u32 *)&lost;
	if (bpf_ringbuf_output(&secret_events, record, sizeof(*record),
			       how_to_wake()))
		__sync_fetch_and_add(&lost, 1);
}

/* The kernel's stack is not the place to leave secrets. */
static __always_inline void
wipe(struct ebpftls_secret *record)
{
	__builtin_memset(record, 0, sizeof(*record));
	asm volatile("" : : "r"(record) : "memory");
}

SEC("uprobe")
int
ebpftls_uprobe(bpf_user_pt_regs_t *context)
{
	struct ebpftls_secret record = { .time = bpf_ktime_get_ns() };
	__u32 index = bpf_get_attach_cookie(context);
	struct ebpftls_hook *hook = bpf_map_lookup_elem(&hooks, &index);
	__u64 registers[REGISTERS], ip;
	int why;

	if (!hook || (caller.limited && !may_trace_current(&caller)))
		return 0;
	record.file = hook->file;
	ip = copy_registers(context, registers);
	why = find_label(hook, registers, ip, &record.label);
	if (why == FINE)
		why = find_length(hook, registers, &record);
	if (why == FINE)
		why = read_secret(hook, registers, &record);
	if (why == FINE) {
		send(&record);
		hook->proved = 1;
	}
	wipe(&record);
	/* anybody may call what has proved right with anything */
	if (why != FINE && hook->strict && !hook->proved &&
	    hook->complaints < COMPLAINTS_MAX) {
		struct ebpftls_complaint complaint = { index, why };

		hook->complaints++;
		bpf_ringbuf_output(&complaints, &complaint, sizeof(complaint),
				   0);
	}
	return 0;
}
