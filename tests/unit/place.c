// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where a probe that belongs to a function is put, and by which registers its
 * values are found there. The functions are this program's own, each the
 * shape of one that some compiler makes; nothing calls them.
 */
#define _GNU_SOURCE

#include "scan.h"

#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include "unit/check.h"

#if defined(__x86_64__)

enum { AX, CX, DX, BX, SP, BP, SI, DI, R8, R9, R10, R11, R12, R13 };

#define FUNCTION(name, code)                                            \
	void name(void);                                                \
	__asm__(".pushsection .text." #name ",\"ax\",@progbits\n" #name \
		":\n" code "\n.popsection\n")

FUNCTION(pushes_first, "push %r12; ret");
FUNCTION(begins_with_endbr, "endbr64; push %rbp; ret");
FUNCTION(hands_on, "mov %rdi,%rax; mov %rdx,%r8; mov %rsi,%rdi;"
		   "mov %rcx,%r9; lea 0x160(%rax),%rdx; mov $32,%ecx;"
		   "mov %rax,%rsi; jmp pushes_first");
FUNCTION(hands_on_short, "mov %rdi,%rax; .byte 0xeb, 0; ret");
FUNCTION(saves_and_calls, "mov %rdi,%rbx; mov %rsi,%r13; call pushes_first");
FUNCTION(loses_label, "xor %esi,%esi; push %rbx; ret");
FUNCTION(halves_length, "mov %ecx,%eax; mov %eax,%ecx; push %rbx; ret");
FUNCTION(has_a_deeper_stack, "sub $24,%rsp; jmp pushes_first");
FUNCTION(moves_pointer, "add $16,%rdi; jne pushes_first");
FUNCTION(compares_first, "cmp 16(%r14),%rsp; jbe pushes_first; push %rbp; ret");
FUNCTION(leaves_early, "test %rdi,%rdi; ret; push %rbx");
FUNCTION(goes_anywhere, "mov %rdi,%rax; jmp *%rsi");
FUNCTION(takes_its_time, ".rept 16; mov %rdi,%rax; .endr; push %rbx; ret");
FUNCTION(is_just_in_time, ".rept 15; mov %rdi,%rax; .endr; push %rbx; ret");
FUNCTION(pushes_half, ".byte 0x66, 0x50; ret");
FUNCTION(calls_half, ".byte 0x66, 0xe8, 0, 0; ret");

static struct scan_result result;

static int
find_base(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	*(uint64_t *)data = info->dlpi_addr;
	return 1; /* the program is the first */
}

/* The linker of this program gives code an address of its own. */
static uint64_t
offset_of(void (*function)(void))
{
	uint64_t base = 0, address = (uint64_t)(uintptr_t)function;
	const ElfW(Ehdr) * header;
	const ElfW(Phdr) * segments;

	dl_iterate_phdr(find_base, &base);
	header = (const void *)base;
	segments = (const void *)(base + header->e_phoff);
	for (int i = 0; i < header->e_phnum; i++) {
		const ElfW(Phdr) *segment = &segments[i];
		uint64_t distance = address - base - segment->p_vaddr;

		if (segment->p_type == PT_LOAD && distance < segment->p_filesz)
			return segment->p_offset + distance;
	}
	return 0;
}

static void
place(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (check(fd >= 0)) {
		scan_place(fd, &result);
		close(fd);
	}
}

/* log(session, label, secret, length), the random at *(session + 8) + 48. */
static struct ebpftls_hook *
hook_at(uint64_t offset)
{
	memset(&result, 0, sizeof(result));
	result.count = 1;
	result.hooks[0] = (struct ebpftls_hook){
		.offset = offset,
		.label = { .reg = SI, .known = 1 },
		.secret = { .reg = DX, .known = 1 },
		.length = { .reg = CX, .known = 1 },
		.random = { .reg = DI,
			    .loads = 1,
			    .known = 1,
			    .offset = { 8, 48 } },
		.name_count = 2,
		.names = { { .distance = 1000 }, { .distance = -1000 } },
	};
	return &result.hooks[0];
}

static bool
is_at(const struct ebpftls_place *where, uint8_t reg, int32_t first,
      int32_t second)
{
	return where->known && where->reg == reg && where->offset[0] == first &&
	       where->offset[1] == second;
}

/* Is the hook so many bytes behind where the function begins? */
static void
check_moved(void (*function)(void), uint64_t bytes)
{
	const struct ebpftls_hook *hook = &result.hooks[0];

	check(hook->offset == offset_of(function) + bytes);
	check(hook->names[0].distance == 1000 - (int64_t)bytes);
	check(hook->names[1].distance == -1000 - (int64_t)bytes);
}

/* Moves the hook of a function, and says which registers have it then. */
static void
check_place(void (*function)(void), uint64_t bytes, uint8_t label,
	    uint8_t secret, uint8_t length, uint8_t session)
{
	struct ebpftls_hook *hook = hook_at(offset_of(function));

	place();
	check_moved(function, bytes);
	check(is_at(&hook->label, label, 0, 0));
	check(is_at(&hook->secret, secret, 0, 0));
	check(is_at(&hook->length, length, 0, 0));
	check(is_at(&hook->random, session, 8, 48));
}

static void
first(void)
{
	check_place(pushes_first, 0, SI, DX, CX, DI);
}

static void
later(void)
{
	check_place(begins_with_endbr, 4, SI, DX, CX, DI);
	check_place(compares_first, 4, SI, DX, CX, DI);
	check_place(is_just_in_time, 45, SI, DX, CX, AX);
}

static void
other_registers(void)
{
	check_place(hands_on, 27, DI, R8, R9, AX);
	check_place(hands_on_short, 3, SI, DX, CX, AX);
	check_place(saves_and_calls, 6, SI, DX, CX, BX);
}

static void
nowhere(void)
{
	static void (*const functions[])(void) = {
		loses_label,	halves_length, leaves_early, goes_anywhere,
		takes_its_time, pushes_half,   calls_half,
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++)
		check_place(functions[i], 0, SI, DX, CX, DI);
}

static void
on_the_stack(void)
{
	struct ebpftls_hook *hook = hook_at(offset_of(has_a_deeper_stack));

	hook->random.reg = SP;
	place();
	check_moved(has_a_deeper_stack, 4);
	check(is_at(&hook->random, SP, 8 + 24, 48));
}

static void
pointer_that_moves(void)
{
	struct ebpftls_hook *hook = hook_at(offset_of(moves_pointer));

	place();
	check_moved(moves_pointer, 4);
	check(is_at(&hook->random, DI, 8 - 16, 48));
	hook = hook_at(offset_of(moves_pointer));
	hook->random.offset[0] = INT32_MIN;
	place();
	check_moved(moves_pointer, 0);
	check(is_at(&hook->random, DI, INT32_MIN, 48));
}

/* What a hook does without may be lost. */
static void
unknown_values(void)
{
	struct ebpftls_hook *hook = hook_at(offset_of(loses_label));

	hook->label.known = 0;
	hook->length.known = 0;
	place();
	check_moved(loses_label, 2);
	check(!hook->label.known && !hook->length.known);
}

static void
not_code(void)
{
	static const uint64_t offsets[] = { 0, 64, 1, UINT64_MAX,
					    UINT64_C(1) << 40 };

	for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++) {
		struct ebpftls_hook *hook = hook_at(offsets[i]), before = *hook;

		place();
		check(memcmp(hook, &before, sizeof(before)) == 0);
	}
}

static const struct check_case cases[] = {
	{ "the first instruction", first },
	{ "a later one", later },
	{ "values in other registers", other_registers },
	{ "no better place", nowhere },
	{ "values on the stack", on_the_stack },
	{ "a pointer that moves", pointer_that_moves },
	{ "values that are not wanted", unknown_values },
	{ "no code there", not_code },
	{ NULL, NULL },
};

#else

static void
no_better_place(void)
{
	check_skip("this machine's probes cost the same everywhere");
}

static const struct check_case cases[] = {
	{ "nothing to move", no_better_place },
	{ NULL, NULL },
};

#endif

int
main(void)
{
	return check_main(cases);
}
