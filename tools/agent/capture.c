// SPDX-License-Identifier: BSD-3-Clause
/* Loads the capture programs and makes their perf buffer. */
#define _GNU_SOURCE

#include "capture.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture.skel.h"
#include "kernel-types.h"
#include "load.h"
#include "uevents.h"

#define PROGRAMS "the capture programs"

/* Is there while the kernel tracks connections. */
#define CONNTRACK "/proc/sys/net/netfilter/nf_conntrack_max"

/* By what netfilter gives packets to sockets that they are not for. */
#define MODULES	 "/sys/module"
#define DIVERTER "nf_tproxy_ipv"
#define DIVERTS	 "nf_tproxy_get_sock_v4"

#define KIB (size_t)1024
#define MIB (1024 * KIB)

/*
 * What was measured: more than 16 MiB a CPU costs cache misses, less than 4
 * loses frames. On many CPUs all rings together are bounded instead.
 */
#define DEFAULT_RING  (4 * MIB)
#define DEFAULT_TOTAL (64 * MIB)
#define TOTAL_FACTOR  4 /* times what the application asked for */

/* Records around a whole frame, however many samples it takes. */
#define RECORDS_SIZE (4 * KIB)

/* The programs take the hooks' maps, and what they know of the kernel. */
static int
share_maps(struct capture_bpf *skeleton, const struct owners *owners)
{
	struct bpf_map *map;
	int error = 0;

	bpf_object__for_each_map(map, skeleton->obj)
	{
		int fd = owners_map_fd(owners, bpf_map__name(map));

		if (fd >= 0 && error == 0)
			error = bpf_map__reuse_fd(map, fd);
	}
	skeleton->rodata->task_btf = owners->task_btf;
	skeleton->rodata->task_type = owners->task_type;
	skeleton->rodata->cgroup_known = owners->cgroup;
	memcpy((void *)&skeleton->rodata->selection, &owners->selection,
	       sizeof(owners->selection));
	skeleton->rodata->stack_size = owners->stack_size;
	skeleton->rodata->sends_seen = owners->sends;
	skeleton->rodata->users_apart = owners->apart;
	return error;
}

/* Without owners there need not be what they are found with. */
static void
leave_out_owners(struct capture_bpf *skeleton)
{
	bpf_map__set_autocreate(skeleton->maps.owners, false);
	bpf_map__set_autocreate(skeleton->maps.old_owners, false);
	bpf_map__set_autocreate(skeleton->maps.users, false);
	bpf_map__set_autocreate(skeleton->maps.users_lost, false);
	bpf_map__set_autocreate(skeleton->maps.known, false);
	bpf_map__set_autocreate(skeleton->maps.owner_events, false);
	bpf_map__set_autocreate(skeleton->maps.wanted, false);
	bpf_map__set_autocreate(skeleton->maps.relatives, false);
	bpf_map__set_autocreate(skeleton->maps.flows, false);
	bpf_map__set_autocreate(skeleton->maps.stash, false);
	bpf_map__set_autocreate(skeleton->maps.ends, false);
	bpf_map__set_autocreate(skeleton->maps.records, false);
}

/* What is not attached anywhere need not be loaded, which takes its time. */
static void
choose_programs(struct capture_bpf *skeleton,
		const struct capture_options *options, bool conntrack)
{
	bool owners = options->owners != NULL;
	bool loopback = owners && options->loopback;

	bpf_program__set_autoload(skeleton->progs.capture_ingress, !conntrack);
	bpf_program__set_autoload(skeleton->progs.capture_conntrack, conntrack);
	bpf_program__set_autoload(skeleton->progs.capture_egress,
				  options->others);
	bpf_program__set_autoload(skeleton->progs.ebpftls_egress,
				  options->others);
	bpf_program__set_autoload(skeleton->progs.capture_loopback, loopback);
	bpf_program__set_autoload(skeleton->progs.ebpftls_loopback, loopback);
	bpf_program__set_autoload(skeleton->progs.capture_reject, owners);
}

/* What is in a slot from the beginning, or -1: it was not loaded. */
static int
program_of(const struct capture *capture, enum ebpftls_slot slot)
{
	const struct capture_bpf *skeleton = capture->skeleton;
	int conntrack = bpf_program__fd(skeleton->progs.capture_conntrack);

	switch (slot) {
	case EBPFTLS_SLOT_IN:
	case EBPFTLS_SLOT_ACCEPT_IN:
		return conntrack >= 0
			   ? conntrack
			   : bpf_program__fd(skeleton->progs.capture_ingress);
	case EBPFTLS_SLOT_OUT:
	case EBPFTLS_SLOT_ACCEPT_OUT:
		return bpf_program__fd(skeleton->progs.capture_egress);
	case EBPFTLS_SLOT_LO:
	case EBPFTLS_SLOT_ACCEPT_LO:
		return bpf_program__fd(skeleton->progs.capture_loopback);
	default:
		return bpf_program__fd(skeleton->progs.capture_reject);
	}
}

bool
capture_has(const struct capture *capture, enum ebpftls_slot slot)
{
	return program_of(capture, slot) >= 0;
}

int
capture_set_filter(const struct capture *capture, enum ebpftls_slot slot,
		   int filter)
{
	int program = program_of(capture, slot);

	if (program < 0)
		return 0;
	if (filter >= 0)
		program = filter;
	if (bpf_map_update_elem(capture_programs_fd(capture), &slot, &program,
				BPF_ANY) != 0)
		return -errno;
	return 0;
}

static int
fill_slots(const struct capture *capture)
{
	int error = 0;

	for (int slot = 0; error == 0 && slot < EBPFTLS_SLOTS; slot++)
		error =
		    capture_set_filter(capture, (enum ebpftls_slot)slot, -1);
	return error;
}

/* Or may be, as far as can be told. */
static bool
has_diverter_module(void)
{
	return access(MODULES, F_OK) != 0 ||
	       access(MODULES "/" DIVERTER "4", F_OK) == 0 ||
	       access(MODULES "/" DIVERTER "6", F_OK) == 0;
}

static bool
has_diverter(void)
{
	const struct btf *types = kernel_types();

	return has_diverter_module() || types == NULL ||
	       btf__find_by_name_kind(types, DIVERTS, BTF_KIND_FUNC) > 0;
}

static int
load(struct capture *capture, const struct capture_options *options,
     bool conntrack)
{
	LIBBPF_OPTS(bpf_object_open_opts, types,
		    .btf_custom_path = kernel_types_path());
	struct capture_bpf *skeleton = capture_bpf__open_opts(&types);
	int error = 0;

	if (skeleton == NULL)
		return -errno;
	capture->skeleton = skeleton;
	memcpy((void *)&skeleton->rodata->config, options->config,
	       sizeof(*options->config));
	memcpy((void *)&skeleton->rodata->caller, options->caller,
	       sizeof(*options->caller));
	bpf_map__set_max_entries(skeleton->maps.skb_events, capture->cpus);
	bpf_map__set_max_entries(skeleton->maps.counters, capture->cpus);
	bpf_map__set_max_entries(skeleton->maps.doorbell,
				 (uint32_t)getpagesize());
	choose_programs(skeleton, options, conntrack);
	skeleton->data_tproxy->tproxy =
	    options->owners != NULL && (options->blind || has_diverter());
	if (options->owners != NULL)
		error = share_maps(skeleton, options->owners);
	else
		leave_out_owners(skeleton);
	kernel_types_fill(skeleton->obj);
	if (error == 0)
		error = capture_bpf__load(skeleton);
	return error == 0 ? fill_slots(capture) : error;
}

/* By the descriptor, as only CAP_SYS_ADMIN may ask for types by their number.
 */
static struct btf *
read_types(int fd)
{
	struct bpf_btf_info info = { .btf = 0 };
	__u32 length = sizeof(info), size;
	struct btf *btf = NULL;
	void *bytes;

	if (bpf_obj_get_info_by_fd(fd, &info, &length) != 0)
		return NULL;
	size = info.btf_size;
	bytes = malloc(size);
	memset(&info, 0, sizeof(info));
	info.btf = (uintptr_t)bytes;
	info.btf_size = size;
	if (bytes != NULL && bpf_obj_get_info_by_fd(fd, &info, &length) == 0)
		btf = btf__new(bytes, size);
	free(bytes);
	return btf;
}

/* Whether these types say what the verifier may look at by itself. */
static bool
has_functions(int fd)
{
	struct btf *btf = read_types(fd);
	const struct btf_type *type;
	bool found = false;
	__u32 id = 1;

	while (btf != NULL && !found &&
	       (type = btf__type_by_id(btf, id++)) != NULL)
		found = btf_is_func(type) && btf_vlen(type) == BTF_FUNC_GLOBAL;
	btf__free(btf);
	return found;
}

/*
 * When there is no room for types, libbpf does without them, or parts of them.
 * But then the verifier takes functions for parts of their callers, and is half
 * a minute at it before it gives up.
 */
static int
need_types(struct bpf_program *program, struct bpf_prog_load_opts *options,
	   long cookie)
{
	(void)program;
	(void)cookie;
	return has_functions((int)options->prog_btf_fd) ? 0 : -ENOMEM;
}

static int
watch_loading(void)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, options,
		    .prog_prepare_load_fn = need_types);
	static int handler;

	if (handler <= 0)
		handler =
		    libbpf_register_prog_handler("tc", BPF_PROG_TYPE_SCHED_CLS,
						 0, &options);
	return handler > 0 ? 0 : handler;
}

int
capture_load(struct capture *capture, const struct capture_options *options,
	     struct failure *failure)
{
	bool conntrack =
	    options->owners != NULL && access(CONNTRACK, F_OK) == 0;
	int cpus, error;

	memset(capture, 0, sizeof(*capture));
	load_quietly();
	cpus = libbpf_num_possible_cpus();
	if (cpus <= 0)
		return fail(failure, EBPFTLS_REASON_OTHER,
			    "cannot tell how many CPUs there may be");
	capture->cpus = (uint32_t)cpus;
	error = watch_loading();
	if (error != 0)
		return load_refused(failure, -error, PROGRAMS);
	error = load(capture, options, conntrack);
	/* older kernels have connections that no program can ask for */
	capture->no_conntrack =
	    error != 0 && error != -EPERM && error != -ENOMEM && conntrack;
	if (capture->no_conntrack) {
		capture_bpf__destroy(capture->skeleton);
		capture->skeleton = NULL;
		error = load(capture, options, false);
	}
	return error != 0 ? load_refused(failure, -error, PROGRAMS) : 0;
}

static size_t
power_of_two(size_t size)
{
	size_t power = (size_t)getpagesize();

	while (power < size)
		power *= 2;
	return power;
}

static size_t
choose_ring_size(size_t asked, size_t cpus, size_t least)
{
	size_t size = power_of_two(asked ? asked : DEFAULT_RING);
	size_t total = TOTAL_FACTOR * asked;

	if (total < DEFAULT_TOTAL)
		total = DEFAULT_TOTAL;
	while (size > least && size * cpus > total)
		size /= 2;
	return size < least ? least : size;
}

/*
 * One wake-up for a quarter of a ring; what comes in smaller numbers the
 * consumer learns of by the doorbell and by its timer.
 */
static int
open_event(uint32_t cpu, size_t size)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.size = sizeof(attributes),
		.sample_type = PERF_SAMPLE_RAW,
		.sample_period = 1,
		.watermark = 1,
		.wakeup_watermark = (uint32_t)(size / 4),
	};
	int fd = (int)syscall(SYS_perf_event_open, &attributes, -1, (int)cpu,
			      -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int
open_ring(struct capture_ring *ring, size_t size)
{
	size_t mapped = size + (size_t)getpagesize();

	ring->fd = open_event(ring->cpu, size);
	if (ring->fd < 0)
		return ring->fd;
	ring->pages =
	    mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	if (ring->pages == MAP_FAILED) {
		int error = -errno;

		close(ring->fd);
		return error;
	}
	return 0;
}

static void
close_rings(struct capture *capture)
{
	for (size_t i = 0; i < capture->ring_count; i++) {
		munmap(capture->rings[i].pages,
		       capture->ring_size + (size_t)getpagesize());
		close(capture->rings[i].fd);
	}
	capture->ring_count = 0;
}

/* A CPU that is off line has no ring: what it would write is counted. */
static int
open_rings(struct capture *capture)
{
	int map = bpf_map__fd(capture->skeleton->maps.skb_events);
	int error = 0;

	for (uint32_t cpu = 0; error == 0 && cpu < capture->cpus; cpu++) {
		struct capture_ring *ring =
		    &capture->rings[capture->ring_count];

		ring->cpu = cpu;
		error = open_ring(ring, capture->ring_size);
		if (error == -ENODEV) {
			error = 0;
			continue;
		}
		if (error != 0)
			break;
		capture->ring_count++;
		if (bpf_map_update_elem(map, &cpu, &ring->fd, BPF_ANY) != 0)
			error = -errno;
	}
	if (error != 0)
		close_rings(capture);
	return error;
}

/* The application goes on with what it has mapped: that is the ring. */
static void
renew(const struct capture *capture, struct capture_ring *ring)
{
	int map = bpf_map__fd(capture->skeleton->maps.skb_events);
	int fd = open_event(ring->cpu, capture->ring_size);

	if (fd < 0)
		return;
	if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, ring->fd) != 0 ||
	    bpf_map_update_elem(map, &ring->cpu, &fd, BPF_ANY) != 0) {
		close(fd);
		return;
	}
	close(ring->fd);
	ring->fd = fd;
}

void
capture_cpu_came(struct capture *capture, uint32_t cpu)
{
	for (size_t i = 0; i < capture->ring_count; i++)
		if (cpu == CPUS_ANY || cpu == capture->rings[i].cpu)
			renew(capture, &capture->rings[i]);
}

/* Without CAP_IPC_LOCK only so much memory may be locked. */
static bool
is_too_much(int error)
{
	return error == -ENOMEM || error == -EPERM;
}

int
capture_make_rings(struct capture *capture, uint32_t buffer_size,
		   struct failure *failure)
{
	size_t frame = capture->skeleton->rodata->config.snaplen;
	size_t least = power_of_two(frame + RECORDS_SIZE);
	int error;

	capture->ring_size =
	    choose_ring_size(buffer_size, capture->cpus, least);
	capture->rings = calloc(capture->cpus, sizeof(*capture->rings));
	if (capture->rings == NULL)
		return fail(failure, EBPFTLS_REASON_OTHER, "out of memory");
	capture->wanted_size = capture->ring_size;
	/* as pcap-linux.c does: rather a smaller buffer than none */
	while (is_too_much(error = open_rings(capture)) &&
	       capture->ring_size > least)
		capture->ring_size /= 2;
	if (error == 0)
		return 0;
	return fail_refused(failure, -error, "cannot make the capture buffer");
}

void
capture_module_came(struct capture *capture, const char *name)
{
	if (name == NULL ? has_diverter_module()
			 : strncmp(name, DIVERTER, strlen(DIVERTER)) == 0)
		capture->skeleton->data_tproxy->tproxy = true;
}

int
capture_shared_fd(const struct capture *capture)
{
	return bpf_map__fd(capture->skeleton->maps.bss);
}

int
capture_counters_fd(const struct capture *capture)
{
	return bpf_map__fd(capture->skeleton->maps.counters);
}

int
capture_doorbell_fd(const struct capture *capture)
{
	return bpf_map__fd(capture->skeleton->maps.doorbell);
}

int
capture_programs_fd(const struct capture *capture)
{
	return bpf_map__fd(capture->skeleton->maps.programs);
}

int
capture_verdicts_fd(const struct capture *capture)
{
	return bpf_map__fd(capture->skeleton->maps.verdicts);
}

int
capture_ingress_fd(const struct capture *capture)
{
	return bpf_program__fd(capture->skeleton->progs.ebpftls_ingress);
}

int
capture_egress_fd(const struct capture *capture)
{
	return bpf_program__fd(capture->skeleton->progs.ebpftls_egress);
}

int
capture_loopback_fd(const struct capture *capture)
{
	return bpf_program__fd(capture->skeleton->progs.ebpftls_loopback);
}

struct ebpftls_shared *
capture_shared(const struct capture *capture)
{
	return &capture->skeleton->bss->shared;
}

void
capture_close(struct capture *capture)
{
	close_rings(capture);
	free(capture->rings);
	capture->rings = NULL;
	capture_bpf__destroy(capture->skeleton);
	capture->skeleton = NULL;
}
