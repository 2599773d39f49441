// SPDX-License-Identifier: BSD-3-Clause
/*
 * Puts a filter before the capture programs, by what is in the slots that
 * frames come to first. A frame is judged by what it finds there; so once no
 * program runs any more that began before a change, the change is complete.
 */
#define _GNU_SOURCE

#include "filter.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cbpf.h"
#include "ebpftls-control-io.h"
#include "load.h"

#define NAME	"ebpftls_filter"
#define LICENSE "Dual BSD/GPL"

/* Where the headers that the consumer makes have the packet type. */
#define SLL_SIZE      16
#define SLL_TYPE_AT   0
#define SLL_TYPE_END  2
#define SLL2_SIZE     20
#define SLL2_TYPE_AT  10
#define SLL2_TYPE_END 11

#define SLOTS 3 /* that have a filter: IN, OUT, LO */

_Static_assert(sizeof(struct ebpftls_instruction) == sizeof(struct sock_filter),
	       "instruction");

void
filter_init(struct filter *filter)
{
	memset(filter, 0, sizeof(*filter));
	filter->answer = -1;
}

static void
forget(struct filter *filter)
{
	free(filter->program);
	if (filter->answer >= 0)
		close(filter->answer);
	filter_init(filter);
}

/*
 * The first part is there: whatever came before is not completed any more.
 * Without memory the parts are only counted, until there is an answer due.
 */
static void
begin(struct filter *filter, const struct ebpftls_filter_part *part, int answer)
{
	forget(filter);
	/* who does not take the answer does without */
	fcntl(answer, F_SETFL, O_NONBLOCK);
	filter->answer = answer;
	filter->total = part->total;
	filter->link_size = part->link_size;
	filter->program = calloc(part->total + 1, sizeof(*filter->program));
}

static uint32_t
load_size(const struct sock_filter *load)
{
	switch (BPF_SIZE(load->code)) {
	case BPF_W:
		return 4;
	case BPF_H:
		return 2;
	default:
		return 1;
	}
}

/* What a frame on lo does not have yet when it goes out. */
static bool
reads_packet_type(const struct filter *filter)
{
	uint32_t from = 0, to = 0;

	if (filter->link_size == SLL_SIZE) {
		from = SLL_TYPE_AT;
		to = SLL_TYPE_END;
	} else if (filter->link_size == SLL2_SIZE) {
		from = SLL2_TYPE_AT;
		to = SLL2_TYPE_END;
	}
	for (uint32_t i = 0; i < filter->total; i++) {
		const struct sock_filter *load = &filter->program[i];

		if (BPF_CLASS(load->code) != BPF_LD ||
		    BPF_MODE(load->code) != BPF_ABS)
			continue;
		if (load->k == (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE) ||
		    (load->k < to && load->k + load_size(load) > from))
			return true;
	}
	return false;
}

/* Returns a descriptor, or a negative errno. */
static int
load_program(const struct filter *filter, const struct capture *capture,
	     enum ebpftls_slot slot)
{
	const bool out = slot != EBPFTLS_SLOT_IN;
	const struct cbpf_options options = {
		.outgoing = slot == EBPFTLS_SLOT_OUT,
		.link_size = filter->link_size,
		.verdict_fd = capture_verdicts_fd(capture),
		.programs_fd = capture_programs_fd(capture),
		.accept = slot + EBPFTLS_SLOT_ACCEPT_IN,
		.reject = out && capture_has(capture, EBPFTLS_SLOT_REJECT)
			      ? EBPFTLS_SLOT_REJECT
			      : -1,
	};
	struct bpf_insn *program;
	int count =
	    cbpf_translate(filter->program, filter->total, &options, &program);
	int fd;

	if (count < 0)
		return count;
	fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, NAME, LICENSE, program,
			   (size_t)count, NULL);
	if (fd < 0)
		fd = -errno;
	free(program);
	return fd;
}

/* Puts `programs` there, -1: none. Returns 0 or a negative errno. */
static int
set_slots(const struct capture *capture, const int programs[SLOTS])
{
	int error = 0;

	for (int slot = 0; error == 0 && slot < SLOTS; slot++)
		error = capture_set_filter(capture, (enum ebpftls_slot)slot,
					   programs[slot]);
	return error;
}

/* All frames pass. Returns 0 or a negative errno. */
static int
clear_slots(const struct capture *capture)
{
	return set_slots(capture, (const int[SLOTS]){ -1, -1, -1 });
}

/* Loads what the capture has a slot for. Returns 0 or a negative errno. */
static int
load_programs(const struct filter *filter, const struct capture *capture,
	      int programs[SLOTS])
{
	for (int slot = 0; slot < SLOTS; slot++) {
		programs[slot] = -1;
		if (!capture_has(capture, (enum ebpftls_slot)slot) ||
		    (slot == EBPFTLS_SLOT_LO && reads_packet_type(filter)))
			continue;
		programs[slot] =
		    load_program(filter, capture, (enum ebpftls_slot)slot);
		if (programs[slot] < 0)
			return programs[slot];
	}
	return 0;
}

/* Returns 0 or a negative errno. */
static int
apply(const struct filter *filter, const struct capture *capture)
{
	int programs[SLOTS] = { -1, -1, -1 };
	int error;

	load_quietly();
	/* when the change comes, what is on its way in has left its sender */
	capture_set_filter(capture, EBPFTLS_SLOT_LO, -1);
	error = load_programs(filter, capture, programs);
	if (error == 0)
		error = set_slots(capture, programs);
	ebpftls_control_close(programs, SLOTS);
	return error;
}

int
filter_try(const struct capture *capture)
{
	/* the filter "ip" */
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x800, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct filter filter = {
		.program = program,
		.total = sizeof(program) / sizeof(program[0]),
	};
	int programs[SLOTS] = { -1, -1, -1 };
	int error;

	load_quietly();
	error = load_programs(&filter, capture, programs);
	ebpftls_control_close(programs, SLOTS);
	return error;
}

/* Returns when what runs now has ended; false: it cannot be known when. */
static bool
settle(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0;
}

static void
describe(int error, char *text, size_t size)
{
	if (error == -ENOTSUP)
		snprintf(text, size, "it reads what the kernel does not have");
	else
		snprintf(text, size, "the kernel refuses it: %s",
			 strerror(-error));
}

static void
answer(const struct filter *filter, int error)
{
	union ebpftls_any_message message;

	memset(&message, 0, sizeof(message));
	if (error == 0)
		message.filter_on.settled = settle();
	else
		describe(error, message.filter_off.text,
			 sizeof(message.filter_off.text));
	ebpftls_control_send(filter->answer, &message,
			     error == 0 ? EBPFTLS_FILTER_ON
					: EBPFTLS_FILTER_OFF,
			     NULL, 0);
}

/* False: it cannot be told which filter is applied now. */
static bool
complete(struct filter *filter, const struct capture *capture)
{
	bool cleared = true;
	int error = 0;

	if (filter->program == NULL)
		error = -ENOMEM;
	else if (filter->total > 0)
		error = apply(filter, capture);
	if (filter->total == 0 || error != 0)
		cleared = clear_slots(capture) == 0;
	if (cleared)
		answer(filter, error);
	forget(filter);
	return cleared;
}

bool
filter_take(struct filter *filter, const struct ebpftls_filter_part *part,
	    int answer_to, const struct capture *capture)
{
	if (part->first == 0 && answer_to >= 0) {
		begin(filter, part, answer_to);
	} else if (answer_to >= 0) {
		close(answer_to);
		return false;
	} else if (filter->answer < 0 || part->first != filter->count ||
		   part->total != filter->total ||
		   part->link_size != filter->link_size) {
		return false;
	}
	if (filter->program != NULL)
		memcpy(filter->program + part->first, part->instructions,
		       part->count * sizeof(*filter->program));
	filter->count = part->first + part->count;
	return filter->count < filter->total || complete(filter, capture);
}

void
filter_close(struct filter *filter)
{
	forget(filter);
}
