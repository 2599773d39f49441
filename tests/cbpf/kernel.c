// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs translated filters in the kernel, between programs put together here:
 * one that gives the frame its metadata and one that says what was kept.
 */
#define _GNU_SOURCE
#include "kernel.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cbpf.h"

#define LOG_SIZE     (1 << 20)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum slot { FILTER, ACCEPT, REJECT, DESCRIBE, SLOTS };

/* A test run takes nothing shorter if that says to be IPv6: it is cut. */
#define SHORTEST 64

/* Of struct __sk_buff.cb, through which a test run tells its program. */
enum { TPID, TCI, TYPE, SLOT, NETWORK };

/* The same, back from the program DESCRIBE. */
enum { SAID_PROTOCOL, SAID_TYPE, SAID_PRESENT, SAID_TPID, SAID_TCI };

#define FIELD(name)	    ((__s16)offsetof(struct __sk_buff, name))
#define CB(n)		    ((__s16)(FIELD(cb) + 4 * (n)))
#define VERDICT(name)	    ((__s16)offsetof(struct ebpftls_verdict, name))
#define INSN(c, d, s, o, i) ((struct bpf_insn){ c, d, s, o, i })
#define MOVE(d, s)	    INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define SET(d, value)	    INSN(BPF_ALU | BPF_MOV | BPF_K, d, 0, 0, value)
#define ADD(d, value)	    INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, value)
#define READ(d, s, at)	    INSN(BPF_LDX | BPF_MEM | BPF_W, d, s, at, 0)
#define WRITE(d, at, s)	    INSN(BPF_STX | BPF_MEM | BPF_W, d, s, at, 0)
#define CLEAR(d, at)	    INSN(BPF_ST | BPF_MEM | BPF_W, d, 0, at, 0)
#define IF_ZERO(d, skip)    INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, skip, 0)
#define CALL(helper)	    INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define MAP(d, fd)                                                    \
	INSN(BPF_LD | BPF_IMM | BPF_DW, d, BPF_PSEUDO_MAP_FD, 0, fd), \
	    INSN(0, 0, 0, 0, 0)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* 8 instructions, after which r0 is where the map's one value is. */
#define FIND(map)                                            \
	CLEAR(10, -4), MOVE(2, 10), ADD(2, -4), MAP(1, map), \
	    CALL(BPF_FUNC_map_lookup_elem),                  \
	    INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 1, 0), EXIT

static struct {
	int verdict;
	int programs;
	int rejected; /* count */
	int entry;    /* of a test run */
	int judge[2]; /* what follows when accepted, for each way */
	int measure;
	int reject; /* slot, or -1 */
	enum kernel_way way;
	int socket;
} kernel = { .reject = -1 };

static void
require(bool holds, const char *what)
{
	if (holds)
		return;
	printf("FAIL cbpf: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static int
load(const struct bpf_insn *insns, size_t count)
{
	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "cbpf", "Dual BSD/GPL",
			     insns, count, NULL);
}

static void
put_in_slot(uint32_t slot, int program)
{
	require(bpf_map_update_elem(kernel.programs, &slot, &program, 0) == 0,
		"program array");
}

/*
 * Dresses the frame as cb says, cuts it to the length in mark, and goes on with
 * the slot that cb says.
 */
static int
load_entry(void)
{
	const struct bpf_insn insns[] = {
		MOVE(6, 1),
		READ(2, 6, CB(TPID)),
		IF_ZERO(2, 3),
		READ(3, 6, CB(TCI)),
		MOVE(1, 6),
		CALL(BPF_FUNC_skb_vlan_push),
		READ(2, 6, CB(TPID)),
		INSN(BPF_ALU | BPF_RSH | BPF_K, 2, 0, 0, 16),
		IF_ZERO(2, 2),
		MOVE(1, 6),
		CALL(BPF_FUNC_skb_vlan_pop),
		MOVE(1, 6),
		READ(2, 6, CB(TYPE)),
		CALL(BPF_FUNC_skb_change_type),
		READ(2, 6, FIELD(mark)),
		IF_ZERO(2, 3),
		MOVE(1, 6),
		SET(3, 0),
		CALL(BPF_FUNC_skb_change_tail),
		FIND(kernel.verdict),
		READ(1, 6, CB(NETWORK)),
		WRITE(0, VERDICT(network), 1),
		CLEAR(0, VERDICT(keep)),
		MOVE(1, 6),
		MAP(2, kernel.programs),
		READ(3, 6, CB(SLOT)),
		CALL(BPF_FUNC_tail_call),
		SET(0, -1),
		EXIT,
	};

	return load(insns, COUNT(insns));
}

/* The same for a device, where nothing is to be dressed. */
static int
load_device_entry(void)
{
	const struct bpf_insn insns[] = {
		MOVE(6, 1),
		FIND(kernel.verdict),
		SET(1, ETH_HLEN),
		WRITE(0, VERDICT(network), 1),
		CLEAR(0, VERDICT(keep)),
		MOVE(1, 6),
		MAP(2, kernel.programs),
		SET(3, FILTER),
		CALL(BPF_FUNC_tail_call),
		SET(0, TC_ACT_SHOT),
		EXIT,
	};

	return load(insns, COUNT(insns));
}

/* Returns one less than is kept: -1 is for what comes back without it. */
static int
load_accept(void)
{
	const struct bpf_insn insns[] = {
		FIND(kernel.verdict),
		READ(0, 0, VERDICT(keep)),
		INSN(BPF_ALU | BPF_ADD | BPF_K, 0, 0, 0, -1),
		EXIT,
	};

	return load(insns, COUNT(insns));
}

/* What is kept is read from the map. */
static int
load_device_accept(void)
{
	const struct bpf_insn insns[] = { SET(0, TC_ACT_STOLEN), EXIT };

	return load(insns, COUNT(insns));
}

static int
load_reject(void)
{
	const struct bpf_insn insns[] = {
		FIND(kernel.rejected), READ(1, 0, 0), ADD(1, 1),
		WRITE(0, 0, 1),	       SET(0, -1),    EXIT,
	};

	return load(insns, COUNT(insns));
}

/* As bpf/capture.bpf.c. */
static int
load_describe(void)
{
	const struct bpf_insn insns[] = {
		READ(2, 1, FIELD(protocol)),	 WRITE(1, CB(SAID_PROTOCOL), 2),
		READ(2, 1, FIELD(pkt_type)),	 WRITE(1, CB(SAID_TYPE), 2),
		READ(2, 1, FIELD(vlan_present)), WRITE(1, CB(SAID_PRESENT), 2),
		READ(2, 1, FIELD(vlan_proto)),	 WRITE(1, CB(SAID_TPID), 2),
		READ(2, 1, FIELD(vlan_tci)),	 WRITE(1, CB(SAID_TCI), 2),
		READ(2, 1, FIELD(len)),		 WRITE(1, FIELD(mark), 2),
		READ(0, 1, FIELD(ifindex)),	 EXIT,
	};

	return load(insns, COUNT(insns));
}

/* Keeps as many bytes as the first piece has. */
static int
load_measure(void)
{
	const struct bpf_insn insns[] = {
		READ(6, 1, FIELD(data_end)),
		READ(2, 1, FIELD(data)),
		INSN(BPF_ALU64 | BPF_SUB | BPF_X, 6, 2, 0, 0),
		FIND(kernel.verdict),
		WRITE(0, VERDICT(keep), 6),
		SET(0, TC_ACT_STOLEN),
		EXIT,
	};

	return load(insns, COUNT(insns));
}

static void
make_maps(void)
{
	kernel.verdict =
	    bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "verdict", 4,
			   sizeof(struct ebpftls_verdict), 1, NULL);
	kernel.rejected =
	    bpf_map_create(BPF_MAP_TYPE_ARRAY, "rejected", 4, 4, 1, NULL);
	kernel.programs = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "programs", 4,
					 4, SLOTS, NULL);
	require(kernel.verdict >= 0 && kernel.rejected >= 0 &&
		    kernel.programs >= 0,
		"maps");
}

static void
load_programs(void)
{
	int reject = load_reject(), describe = load_describe();

	kernel.entry = load_entry();
	kernel.judge[KERNEL_TEST_RUN] = load_accept();
	kernel.judge[KERNEL_DEVICE] = load_device_accept();
	kernel.measure = load_measure();
	require(reject >= 0 && describe >= 0 && kernel.entry >= 0 &&
		    kernel.judge[0] >= 0 && kernel.judge[1] >= 0 &&
		    kernel.measure >= 0,
		"programs");
	put_in_slot(REJECT, reject);
	put_in_slot(DESCRIBE, describe);
	close(reject);
	close(describe);
}

static void
bring_up_lo(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	require(ioctl(fd, SIOCGIFFLAGS, &request) == 0, "lo");
	request.ifr_flags |= IFF_UP;
	require(ioctl(fd, SIOCSIFFLAGS, &request) == 0, "lo up");
	close(fd);
}

/* Its frames come with a header of virtio, which says what is not in pieces. */
static void
open_socket(void)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex("lo"),
	};
	int one = 1;

	kernel.socket = socket(AF_PACKET, SOCK_RAW, 0);
	require(kernel.socket >= 0, "packet socket");
	require(setsockopt(kernel.socket, SOL_PACKET, PACKET_VNET_HDR, &one,
			   sizeof(one)) == 0,
		"virtio header");
	require(bind(kernel.socket, (struct sockaddr *)&address,
		     sizeof(address)) == 0,
		"bind");
}

static void
attach(void)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = load_device_entry());
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("lo"),
		    .attach_point = BPF_TC_EGRESS);

	require(opts.prog_fd >= 0, "entry");
	require(bpf_tc_hook_create(&hook) == 0, "clsact");
	require(bpf_tc_attach(&hook, &opts) == 0, "attach");
	close(opts.prog_fd);
}

void
kernel_open(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	require(sched_setaffinity(0, sizeof(one), &one) == 0, "CPU");
	require(unshare(CLONE_NEWNET) == 0, "network namespace");
	make_maps();
	load_programs();
	bring_up_lo();
	open_socket();
	attach();
	kernel_choose(KERNEL_TEST_RUN);
}

void
kernel_choose(enum kernel_way way)
{
	kernel.way = way;
	put_in_slot(ACCEPT, kernel.judge[way]);
}

void
kernel_set_reject(bool reject)
{
	kernel.reject = reject ? REJECT : -1;
}

static void
explain(const struct bpf_insn *insns, size_t count)
{
	char *log = malloc(LOG_SIZE);
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_buf = log,
		    .log_size = LOG_SIZE, .log_level = 1);

	require(log != NULL, "memory");
	log[0] = '\0';
	bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "cbpf", "Dual BSD/GPL", insns,
		      count, &opts);
	printf("%s", strlen(log) > 2000 ? log + strlen(log) - 2000 : log);
	free(log);
}

int
kernel_load(const void *program, size_t count, uint32_t link_size,
	    bool outgoing)
{
	struct cbpf_options options = {
		.outgoing = outgoing,
		.link_size = link_size,
		.verdict_fd = kernel.verdict,
		.programs_fd = kernel.programs,
		.accept = ACCEPT,
		.reject = kernel.reject,
	};
	struct bpf_insn *insns = NULL;
	int made = cbpf_translate(program, count, &options, &insns);
	int filter;

	if (made < 0)
		return made;
	filter = load(insns, (size_t)made);
	if (filter >= 0) {
		put_in_slot(FILTER, filter);
		close(filter);
	} else {
		explain(insns, (size_t)made);
		made = -EACCES;
	}
	free(insns);
	return made;
}

/* A test run from the entry on; returns what the last program did. */
static uint32_t
run(const struct sample *sample, enum slot slot, struct __sk_buff *said)
{
	bool cut = sample->len < SHORTEST;
	struct __sk_buff context = {
		.mark = cut ? sample->len : 0,
		.cb[TPID] = htons(sample->tpid) | sample->untagged << 16,
		.cb[TCI] = sample->tci,
		.cb[TYPE] = sample->type,
		.cb[SLOT] = slot,
		.cb[NETWORK] = sample->network,
	};
	uint8_t longer[SHORTEST] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		    .data_in = cut ? longer : sample->bytes,
		    .data_size_in = cut ? SHORTEST : sample->len,
		    .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .ctx_out = said,
		    .ctx_size_out = said == NULL ? 0 : sizeof(*said));

	if (cut)
		memcpy(longer, sample->bytes, sample->len);
	require(bpf_prog_test_run_opts(kernel.entry, &opts) == 0, "test run");
	return opts.retval;
}

void
kernel_describe(struct sample *sample)
{
	struct __sk_buff said = { .len = 0 };
	struct ebpftls_frame *frame = &sample->frame;

	frame->ifindex = run(sample, DESCRIBE, &said);
	frame->len = frame->caplen = said.mark;
	require(frame->len == sample->len, "cut");
	frame->protocol = (__be16)said.cb[SAID_PROTOCOL];
	frame->pkttype = (uint8_t)said.cb[SAID_TYPE];
	frame->hatype = ARPHRD_ETHER;
	frame->network = sample->network;
	if (said.cb[SAID_PRESENT]) {
		frame->vlan_tpid = (__be16)said.cb[SAID_TPID];
		frame->vlan_tci = (uint16_t)said.cb[SAID_TCI];
	}
}

static uint32_t
read_keep(void)
{
	struct ebpftls_verdict values[libbpf_num_possible_cpus()];
	uint32_t zero = 0;

	require(bpf_map_lookup_elem(kernel.verdict, &zero, values) == 0,
		"verdict");
	return values[sched_getcpu()].keep;
}

static uint32_t
send_frame(const struct sample *sample)
{
	struct virtio_net_hdr header = {
		.hdr_len = (uint16_t)(ETH_HLEN + 2 + sample->len % 128),
	};
	struct iovec parts[] = {
		{ &header, sizeof(header) },
		{ sample->bytes, sample->len },
	};

	require(writev(kernel.socket, parts, 2) > 0, "send");
	return read_keep();
}

uint32_t
kernel_judge(const struct sample *sample)
{
	if (kernel.way == KERNEL_DEVICE)
		return send_frame(sample);
	return run(sample, FILTER, NULL) + 1;
}

uint32_t
kernel_first_piece(const struct sample *sample)
{
	put_in_slot(FILTER, kernel.measure);
	return send_frame(sample);
}

uint32_t
kernel_rejected(void)
{
	uint32_t zero = 0, count = 0;

	require(bpf_map_lookup_elem(kernel.rejected, &zero, &count) == 0,
		"count");
	return count;
}

void
kernel_close(void)
{
	close(kernel.socket);
	close(kernel.measure);
	close(kernel.judge[KERNEL_TEST_RUN]);
	close(kernel.judge[KERNEL_DEVICE]);
	close(kernel.entry);
	close(kernel.programs);
	close(kernel.rejected);
	close(kernel.verdict);
}
