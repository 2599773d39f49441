// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does the agent put a filter before the capture once all its parts have come
 * in their order, say what became of it, refuse every other order, and keep no
 * descriptor? The capture and the kernel are this test's own.
 */
#define _GNU_SOURCE

#include "filter.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ebpftls-control-io.h"
#include "unit/check.h"

#define ALL   7u /* slots IN, OUT, LO */
#define SLOTS 3
#define SLL   16
#define SLL2  20

static struct filter filter;
static const struct capture capture;

static unsigned int there; /* slots that the capture has, as bits */
static int loads;	   /* that the kernel has been asked for */
static int refuse_at;	   /* the one that it refuses, or -1 */
static int refuse_slot;	   /* whose change it refuses, or -1 */
static bool filtered[SLOTS];

/* --- instead of the capture and the kernel ------------------------------- */

bool
capture_has(const struct capture *ignored, enum ebpftls_slot slot)
{
	(void)ignored;
	return there & 1u << slot;
}

int
capture_set_filter(const struct capture *ignored, enum ebpftls_slot slot,
		   int program)
{
	(void)ignored;
	if (slot >= SLOTS)
		abort();
	if (program >= 0 && slot == (enum ebpftls_slot)refuse_slot)
		return -ENOSPC;
	filtered[slot] = program >= 0 && capture_has(ignored, slot);
	return 0;
}

int
capture_programs_fd(const struct capture *ignored)
{
	(void)ignored;
	return 1;
}

int
capture_verdicts_fd(const struct capture *ignored)
{
	(void)ignored;
	return 2;
}

/* Of libbpf. */
int
bpf_prog_load(enum bpf_prog_type type, const char *name, const char *license,
	      const struct bpf_insn *insns, size_t count,
	      const struct bpf_prog_load_opts *options)
{
	(void)license;
	(void)insns;
	check(type == BPF_PROG_TYPE_SCHED_CLS && name != NULL && count > 0 &&
	      options == NULL);
	if (loads++ == refuse_at) {
		errno = EACCES;
		return -EACCES;
	}
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* --- the consumer ----------------------------------------------------------
 */

static int ours; /* where the answer comes, or -1 */

static void
begin(void)
{
	filter_init(&filter);
	there = ALL;
	loads = 0;
	refuse_at = refuse_slot = ours = -1;
	memset(filtered, 0, sizeof(filtered));
}

static void
end(void)
{
	filter_close(&filter);
	if (ours >= 0)
		close(ours);
	ours = -1;
}

static int
new_answer(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		abort();
	if (ours >= 0)
		close(ours);
	ours = pair[0];
	return pair[1];
}

static bool
gives_part(uint32_t total, uint32_t first, uint32_t count, uint32_t link_size,
	   struct sock_filter insn, int answer)
{
	struct ebpftls_filter_part part = {
		.link_size = link_size,
		.total = total,
		.first = first,
		.count = count,
	};

	for (uint32_t i = 0; i < count; i++)
		memcpy(&part.instructions[i], &insn, sizeof(insn));
	return filter_take(&filter, &part, answer, &capture);
}

/* Any number of these is a filter. */
static const struct sock_filter accept_all = { BPF_RET | BPF_K, 0, 0, 100 };

/* One part of a filter of these instructions. */
static bool
part(uint32_t total, uint32_t first, uint32_t count, int answer)
{
	return gives_part(total, first, count, 0, accept_all, answer);
}

/* The type of the answer, its text in `text`; 0: the end; -1: none yet. */
static int
answered(char text[EBPFTLS_TEXT_SIZE])
{
	struct pollfd wait = { .fd = ours, .events = POLLIN };
	union ebpftls_any_message message;
	int fds[EBPFTLS_RINGS_MAX], type;
	size_t count;

	text[0] = '\0';
	if (poll(&wait, 1, 0) != 1)
		return -1;
	type = ebpftls_control_receive(ours, &message, fds, &count);
	check(type <= 0 || count == 0);
	if (type == EBPFTLS_FILTER_OFF)
		memcpy(text, message.filter_off.text, EBPFTLS_TEXT_SIZE);
	return type;
}

static bool
is_on(void)
{
	char text[EBPFTLS_TEXT_SIZE];

	return check(answered(text) == EBPFTLS_FILTER_ON) &&
	       check(answered(text) == 0);
}

/* And no slot has a filter. */
static bool
is_off(const char *why)
{
	char text[EBPFTLS_TEXT_SIZE];

	if (!check(answered(text) == EBPFTLS_FILTER_OFF))
		return false;
	if (!check(strstr(text, why) != NULL))
		printf("the text was '%s'\n", text);
	return check(answered(text) == 0) &&
	       check(!filtered[0] && !filtered[1] && !filtered[2]);
}

/* --- cases -----------------------------------------------------------------
 */

static void
in_order(void)
{
	char text[EBPFTLS_TEXT_SIZE];
	int before = check_descriptors();

	begin();
	check(part(1, 0, 1, new_answer()));
	check(is_on() && filtered[0] && filtered[1] && filtered[2]);
	check(part(5, 0, 2, new_answer()));
	check(answered(text) == -1);
	check(part(5, 2, 1, -1));
	check(part(5, 3, 1, -1));
	check(answered(text) == -1);
	check(part(5, 4, 1, -1));
	check(is_on());
	end();
	check(check_descriptors() == before);
}

static void
thousand(void)
{
	int before;

	begin();
	before = check_descriptors();
	for (int i = 0; i < 1000; i++) {
		check(part(3, 0, 2, new_answer()) && part(3, 2, 1, -1));
		is_on();
	}
	check(loads == 3000);
	check(check_descriptors() == before + 1);
	end();
}

/* Whoever sent the first parts gets no answer, but sees the end. */
static void
begun_anew(void)
{
	char text[EBPFTLS_TEXT_SIZE];
	int first;

	begin();
	check(part(3, 0, 2, new_answer()));
	first = dup(ours);
	check(part(1, 0, 1, new_answer()));
	is_on();
	close(ours);
	ours = first;
	check(answered(text) == 0);
	check(!part(3, 2, 1, -1));
	end();
}

static void
everything_passes(void)
{
	begin();
	check(part(1, 0, 1, new_answer()));
	is_on();
	check(part(0, 0, 0, new_answer()));
	is_on();
	check(!filtered[0] && !filtered[1] && !filtered[2]);
	end();
}

/* Of a filter of 5 that has begun with 2. */
static void
out_of_order(void)
{
	static const struct {
		uint32_t total, first, count, link_size;
		bool answer;
	} wrong[] = {
		{ 5, 0, 2, 0, false },	 { 5, 1, 1, 0, false },
		{ 5, 3, 2, 0, false },	 { 5, 4, 1, 0, false },
		{ 4, 2, 1, 0, false },	 { 6, 2, 1, 0, false },
		{ 5, 2, 1, SLL, false }, { 5, 2, 1, 0, true },
	};
	int before = check_descriptors();

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int answer = -1;

		begin();
		check(part(5, 0, 2, new_answer()));
		if (wrong[i].answer)
			answer = new_answer();
		check(!gives_part(wrong[i].total, wrong[i].first,
				  wrong[i].count, wrong[i].link_size,
				  accept_all, answer));
		check(loads == 0);
		end();
		check(check_descriptors() == before);
	}
	begin();
	check(!part(5, 2, 1, -1));
	check(!part(1, 0, 1, -1));
	end();
}

static void
kernel_refuses(void)
{
	int before = check_descriptors();

	for (int i = 0; i < SLOTS; i++) {
		begin();
		check(part(1, 0, 1, new_answer()));
		is_on();
		loads = 0;
		refuse_at = i;
		check(part(1, 0, 1, new_answer()));
		is_off("the kernel refuses it: Permission denied");
		refuse_at = -1;
		refuse_slot = i;
		check(part(1, 0, 1, new_answer()));
		is_off("the kernel refuses it: No space");
		end();
	}
	check(check_descriptors() == before);
}

static void
not_translated(void)
{
	/* the address in the header that the consumer makes */
	const struct sock_filter load = { BPF_LD | BPF_B | BPF_ABS, 0, 0, 7 };
	const struct sock_filter bad = { 0xffff, 0, 0, 0 };

	begin();
	check(gives_part(2, 0, 1, SLL, load, new_answer()));
	check(gives_part(2, 1, 1, SLL, accept_all, -1));
	is_off("reads what the kernel does not have");
	check(gives_part(1, 0, 1, 0, bad, new_answer()));
	is_off("the kernel refuses it");
	check(loads == 0);
	end();
}

static void
not_all_slots(void)
{
	begin();
	for (there = 0; there <= ALL; there++) {
		loads = 0;
		check(part(1, 0, 1, new_answer()));
		is_on();
		check(loads == __builtin_popcount(there));
		for (int slot = 0; slot < SLOTS; slot++)
			check(filtered[slot] == (bool)(there & 1u << slot));
	}
	end();
}

/* What goes out on lo has not got the packet type yet that it comes in with. */
static void
packet_type(void)
{
	static const struct {
		uint32_t link_size;
		struct sock_filter load;
		bool on_lo;
	} loads_of[] = {
		{ 0, { BPF_LD | BPF_B | BPF_ABS, 0, 0, 23 }, true },
		{ 0, { BPF_LD | BPF_W | BPF_ABS, 0, 0, 0xfffff000 }, true },
		{ 0, { BPF_LD | BPF_W | BPF_ABS, 0, 0, 0xfffff004 }, false },
		{ 0, { BPF_LD | BPF_H | BPF_ABS, 0, 0, 0 }, true },
		{ 0, { BPF_LD | BPF_IMM, 0, 0, 0xfffff004 }, true },
		{ SLL, { BPF_LD | BPF_H | BPF_ABS, 0, 0, 0 }, false },
		{ SLL, { BPF_LD | BPF_H | BPF_ABS, 0, 0, 14 }, true },
		{ SLL, { BPF_LD | BPF_H | BPF_ABS, 0, 0, 10 + 16 }, true },
		{ SLL2, { BPF_LD | BPF_H | BPF_ABS, 0, 0, 0 }, true },
		{ SLL2, { BPF_LD | BPF_B | BPF_ABS, 0, 0, 10 }, false },
		{ SLL2, { BPF_LD | BPF_W | BPF_ABS, 0, 0, 4 }, true },
	};

	for (size_t i = 0; i < sizeof(loads_of) / sizeof(loads_of[0]); i++) {
		begin();
		check(gives_part(2, 0, 1, loads_of[i].link_size,
				 loads_of[i].load, new_answer()));
		check(
		    gives_part(2, 1, 1, loads_of[i].link_size, accept_all, -1));
		is_on();
		check(filtered[0] && filtered[1] &&
		      filtered[2] == loads_of[i].on_lo);
		end();
	}
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "parts in their order", in_order },
		{ "a thousand filters", thousand },
		{ "a filter is begun anew", begun_anew },
		{ "a filter that lets everything pass", everything_passes },
		{ "parts out of order", out_of_order },
		{ "the kernel refuses", kernel_refuses },
		{ "what cannot be translated", not_translated },
		{ "captures without all slots", not_all_slots },
		{ "filters that read the packet type", packet_type },
		{ NULL, NULL },
	};

	return check_main(cases);
}
