// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does the kernel take every secret that passes a hook, as it was, and nothing
 * else, and leave nothing behind? The hooks are written by hand, for a library
 * of the test's own. All that is done on this kernel is done again as on
 * kernels that can do less: the test's own syscall() refuses the rest.
 */
#define _GNU_SOURCE

#include <bpf/bpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "secrets.h"
#include "unit/check.h"
#include "unit/secrets/stack.h"

#define NOBODY	     65534
#define PROGRAMS     8
#define THREADS	     4
#define EACH	     600 /* together: more than the ring can hold */
#define RECORD_SIZE  (sizeof(struct ebpftls_secret) + BPF_RINGBUF_HDR_SZ)
#define WAIT	     60000
#define UPROBE_MULTI 48

#if defined(__aarch64__)
enum { ARG0 = 0, ARG1 = 1, ARG2 = 2, ARG3 = 3, STACK = 31, ARG8 = 0 };
#define TRAP_SIZE 4
#else
enum { ARG0 = 7, ARG1 = 6, ARG2 = 2, ARG3 = 1, STACK = 4, ARG8 = 24 };
#define TRAP_SIZE 1
#endif

/* --- kernels that can do less --------------------------------------------- */

/* Who gets the secrets. */
static const struct ebpftls_caller root;

static struct {
	bool multi, cookies;
} without;

static bool
calls_helper(const union bpf_attr *attr, int helper)
{
	const struct bpf_insn *insns = (const void *)(uintptr_t)attr->insns;

	for (uint32_t i = 0; i < attr->insn_cnt; i++)
		if (insns[i].code == (BPF_JMP | BPF_CALL) &&
		    insns[i].src_reg == 0 && insns[i].imm == helper)
			return true;
	return false;
}

/* What the verifier says of a helper that it does not know. */
static bool
log_unknown(const union bpf_attr *attr)
{
	if (attr->log_level != 0 && attr->log_size != 0)
		snprintf((char *)(uintptr_t)attr->log_buf, attr->log_size,
			 "invalid func unknown#%d\n",
			 BPF_FUNC_get_attach_cookie);
	return true;
}

static bool
is_refused(long command, const union bpf_attr *attr)
{
	if (command == BPF_LINK_CREATE)
		return without.multi &&
		       attr->link_create.attach_type == UPROBE_MULTI;
	if (command != BPF_PROG_LOAD)
		return false;
	return without.cookies &&
	       calls_helper(attr, BPF_FUNC_get_attach_cookie) &&
	       log_unknown(attr);
}

/* Through which libbpf, too, speaks to the kernel. */
long
syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list args;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_bpf &&
	    is_refused((int)a[0], (const union bpf_attr *)a[1])) {
		errno = EINVAL;
		return -1;
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* --- the library, and programs that use it -------------------------------- */

static char folder[] = "/tmp/ebpftls-secrets.XXXXXX";
static char library_path[sizeof(folder) + 16];
static char program_path[sizeof(folder) + 16];
static void *library;

struct program {
	pid_t pid;
	FILE *in, *out;
};

static bool
compile(const char *source, const char *to, const char *how)
{
	const char *top = getenv("TOP");
	char command[1024];

	snprintf(command, sizeof(command),
		 "gcc -O1 -Wall %s -o %s %s/tests/unit/secrets/%s -ldl", how,
		 to, top != NULL ? top : ".", source);
	return system(command) == 0;
}

static bool
make_files(void)
{
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0)
		return false;
	snprintf(library_path, sizeof(library_path), "%s/library.so", folder);
	snprintf(program_path, sizeof(program_path), "%s/program", folder);
	if (!compile("library.c", library_path, "-shared -fPIC") ||
	    !compile("program.c", program_path, "-pthread"))
		return false;
	library = dlopen(library_path, RTLD_NOW);
	return library != NULL;
}

static void
remove_files(void)
{
	char command[sizeof(folder) + 8];

	if (library != NULL)
		dlclose(library);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command) != 0)
		fprintf(stderr, "%s: not removed\n", folder);
}

static void
copy_library(const char *to)
{
	char command[sizeof(library_path) * 2 + 16];

	snprintf(command, sizeof(command), "cp %s %s", library_path, to);
	check(system(command) == 0);
}

static bool
start(struct program *program)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		abort();
	program->pid = fork();
	if (program->pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execl(program_path, program_path, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	program->in = fdopen(in[1], "w");
	program->out = fdopen(out[0], "r");
	return program->pid > 0;
}

__attribute__((format(printf, 2, 3))) static void
tell(struct program *program, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(program->in, format, args);
	va_end(args);
	fputc('\n', program->in);
	fflush(program->in);
}

/* Until it has done what it was told. */
static void
hear_from(struct program *program)
{
	char line[64];

	check(fgets(line, sizeof(line), program->out) != NULL);
}

#define have(program, ...) (tell(program, __VA_ARGS__), hear_from(program))

static void
stop(struct program *program)
{
	int status;

	fclose(program->in);
	fclose(program->out);
	check(waitpid(program->pid, &status, 0) == program->pid);
	check(status == 0); /* a probe must not hurt it */
}

static struct program
start_with(const char *path)
{
	struct program program;

	check(start(&program));
	have(&program, "open %s", path);
	return program;
}

/* --- hooks, written by hand ------------------------------------------------
 */

struct segment {
	uintptr_t address;
	uint64_t offset;
};

static int
find_segment(struct dl_phdr_info *info, size_t size, void *context)
{
	struct segment *segment = context;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t start_of = info->dlpi_addr + header->p_vaddr;

		if (header->p_type != PT_LOAD || segment->address < start_of ||
		    segment->address >= start_of + header->p_memsz)
			continue;
		segment->offset =
		    segment->address - start_of + header->p_offset;
		return 1;
	}
	return 0;
}

static uint64_t
file_offset(const void *address)
{
	struct segment segment = { (uintptr_t)address, 0 };

	check(dl_iterate_phdr(find_segment, &segment) == 1);
	return segment.offset;
}

static struct ebpftls_place
place(int reg, int loads, const int *offsets)
{
	struct ebpftls_place place = {
		.reg = (uint8_t)reg,
		.loads = (uint8_t)loads,
		.known = 1,
	};

	for (int i = 0; i <= loads; i++)
		place.offset[i] = offsets[i];
	return place;
}

#define PLACE(reg, loads, ...) place(reg, loads, (const int[]){ __VA_ARGS__ })

static void
name(struct ebpftls_hook *hook, const void *function, uint32_t index,
     uint32_t label)
{
	const char(*labels)[64] = dlsym(library, "labels");

	hook->names[hook->name_count].label = label;
	hook->names[hook->name_count++].distance =
	    (const char *)labels[index] - (const char *)function;
}

static struct ebpftls_hook
hook_log_secret(void)
{
	const void *function = dlsym(library, "log_secret");
	struct ebpftls_hook hook = {
		.offset = file_offset(function),
		.label = PLACE(ARG1, 0, 0),
		.secret = PLACE(ARG2, 0, 0),
		.length = PLACE(ARG3, 0, 0),
		.random = PLACE(ARG0, 1, 8, 0x20),
		.strict = 1,
	};

	for (uint32_t i = STACK_LABELS; i-- > 0;)
		name(&hook, function, i, i);
	return hook;
}

static struct ebpftls_hook
hook_log_master(void)
{
	struct ebpftls_hook hook = {
		.offset = file_offset(dlsym(library, "log_master")),
		.secret = PLACE(ARG1, 1, 0, 0),
		.random = PLACE(ARG0, 4, 0, 8, 16, 0, 0),
		.names = { { .label = EBPFTLS_CLIENT_RANDOM } },
		.name_count = 1,
		.strict = 1,
	};

	return hook;
}

static struct ebpftls_hook
hook_prf(void)
{
	const void *function = dlsym(library, "prf");
	struct ebpftls_hook hook = {
		.offset = file_offset(function),
		.label = PLACE(ARG1, 0, 0),
		.secret = PLACE(ARG2, 0, 0),
		.random = PLACE(STACK, 1, ARG8, 0),
	};

	name(&hook, function, 3, EBPFTLS_CLIENT_RANDOM);
	return hook;
}

static struct scan_result
all_hooks(void)
{
	return (struct scan_result){
		.count = 3,
		.hooks = { hook_log_secret(), hook_log_master(), hook_prf() },
	};
}

static int
attach_to(struct secrets *secrets, const char *path)
{
	struct scan_result hooks = all_hooks();
	int fd = open(path, O_RDONLY | O_CLOEXEC), attachment;

	check(fd >= 0);
	attachment = secrets_attach(secrets, fd, &hooks);
	check(attachment >= 0);
	close(fd);
	return attachment;
}

/* --- what the consumer does ----------------------------------------------- */

struct reader {
	uint64_t *read;
	const uint64_t *written;
	const uint8_t *data;
	size_t page, size;
	int fd;
};

static bool
start_reading(struct reader *reader, int fd, uint32_t size)
{
	uint8_t *pages;

	reader->fd = fd;
	reader->size = size;
	reader->page = (size_t)getpagesize();
	reader->read =
	    mmap(NULL, reader->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pages = mmap(NULL, reader->page + 2 * reader->size, PROT_READ,
		     MAP_SHARED, fd, (off_t)reader->page);
	if (reader->read == MAP_FAILED || pages == MAP_FAILED)
		return false;
	reader->written = (const uint64_t *)pages;
	reader->data = pages + reader->page;
	return true;
}

static void
stop_reading(struct reader *reader)
{
	munmap(reader->read, reader->page);
	munmap((void *)(uintptr_t)reader->written,
	       reader->page + 2 * reader->size);
}

/* False when there is none. */
static bool
next(struct reader *reader, struct ebpftls_secret *secret)
{
	uint64_t at = *reader->read;
	const uint8_t *head = reader->data + (at & (reader->size - 1));
	uint32_t length;

	if (at >= __atomic_load_n(reader->written, __ATOMIC_ACQUIRE))
		return false;
	do
		length =
		    __atomic_load_n((const uint32_t *)head, __ATOMIC_ACQUIRE);
	while (length & BPF_RINGBUF_BUSY_BIT);
	check(length == sizeof(*secret));
	memcpy(secret, head + BPF_RINGBUF_HDR_SZ, sizeof(*secret));
	__atomic_store_n(reader->read,
			 at + BPF_RINGBUF_HDR_SZ + (length + 7) / 8 * 8,
			 __ATOMIC_RELEASE);
	return true;
}

static bool
is_readable(int fd, int timeout)
{
	struct pollfd pollfd = { fd, POLLIN, 0 };

	return poll(&pollfd, 1, timeout) == 1;
}

static uint64_t
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- a session of them all --------------------------------------------------
 */

struct fixture {
	struct secrets *secrets;
	struct reader reader;
	int attachment;
	struct program program;
};

/* False when there is nothing to do; for the case to return after that. */
static bool
load(struct fixture *fixture)
{
	struct failure failure;

	if (geteuid() != 0) {
		check_skip("only root may set probes");
		return false;
	}
	fixture->secrets = secrets_load(&root, &failure);
	if (fixture->secrets == NULL)
		fprintf(stderr, "%s\n", failure.text);
	return check(fixture->secrets != NULL) &&
	       check(start_reading(&fixture->reader,
				   secrets_ring_fd(fixture->secrets),
				   secrets_ring_size(fixture->secrets)));
}

static void
unload(struct fixture *fixture)
{
	stop_reading(&fixture->reader);
	secrets_close(fixture->secrets);
}

static bool
set_up(struct fixture *fixture)
{
	if (!load(fixture))
		return false;
	fixture->program = start_with(library_path);
	fixture->attachment = attach_to(fixture->secrets, library_path);
	return true;
}

static void
tear_down(struct fixture *fixture)
{
	stop(&fixture->program);
	unload(fixture);
}

/* One that log_secret() was given. */
static void
check_secret(const struct ebpftls_secret *secret, const struct stack_id *id)
{
	uint8_t random[32], bytes[48] = { 0 };

	stack_random(random, id);
	stack_secret(bytes, id);
	memset(bytes + stack_length(id), 0, sizeof(bytes) - stack_length(id));
	check(secret->label == stack_label(id));
	check(secret->length == stack_length(id));
	check_bytes(secret->random, random, sizeof(random));
	check_bytes(secret->secret, bytes, sizeof(bytes));
}

static struct stack_id
id_of(const struct ebpftls_secret *secret)
{
	struct stack_id id;

	memcpy(&id, secret->random, sizeof(id));
	return id;
}

static void
check_nothing(struct fixture *fixture)
{
	struct ebpftls_secret secret;

	check(!next(&fixture->reader, &secret));
	check(!is_readable(secrets_complaints_fd(fixture->secrets), 0));
	check(secrets_report(fixture->secrets, fixture->attachment) == NULL);
}

/* So many of one thread of a program, in their order, and no more. */
static void
check_run_of(struct fixture *fixture, const struct program *program,
	     uint32_t number, uint32_t count)
{
	struct ebpftls_secret secret;
	uint64_t before = 0;

	for (uint32_t i = 1; i <= count; i++) {
		if (!check(next(&fixture->reader, &secret)))
			return;
		check_secret(&secret, &(struct stack_id){ number, 0, i });
		check(secret.pid == (uint32_t)program->pid);
		check(secret.time >= before);
		check(secret.lost == 0);
		before = secret.time;
	}
	check_nothing(fixture);
}

/* --- cases ------------------------------------------------------------------
 */

static void
every_secret_as_it_was(void)
{
	struct fixture fixture;

	if (!set_up(&fixture))
		return;
	have(&fixture.program, "run 1 1 200");
	check_run_of(&fixture, &fixture.program, 1, 200);
	tear_down(&fixture);
}

static void
one_name_and_no_length(void)
{
	struct fixture fixture;
	struct ebpftls_secret secret;
	struct stack_id id = { 2, 0, 0 };

	if (!set_up(&fixture))
		return;
	have(&fixture.program, "master 2 20");
	while (++id.number <= 20) {
		uint8_t random[32], bytes[48];

		stack_random(random, &id);
		stack_secret(bytes, &id);
		check(next(&fixture.reader, &secret));
		check(secret.label == EBPFTLS_CLIENT_RANDOM);
		check(secret.length == 48);
		check_bytes(secret.random, random, sizeof(random));
		check_bytes(secret.secret, bytes, sizeof(bytes));
	}
	check_nothing(&fixture);
	tear_down(&fixture);
}

static void
other_labels_are_ignored(void)
{
	struct fixture fixture;
	struct ebpftls_secret secret;

	if (!set_up(&fixture))
		return;
	have(&fixture.program, "prf 3 1");
	have(&fixture.program, "prf 3 10");
	check_nothing(&fixture);
	have(&fixture.program, "prf 3 3");
	check(next(&fixture.reader, &secret));
	check_secret(&secret, &(struct stack_id){ 3, 0, 10 });
	check_nothing(&fixture);
	tear_down(&fixture);
}

static void
length_in_half_a_register(void)
{
	struct fixture fixture;
	struct ebpftls_secret secret;

	if (!set_up(&fixture))
		return;
	have(&fixture.program, "int");
	check(next(&fixture.reader, &secret));
	check(secret.length == 32);
	check_nothing(&fixture);
	tear_down(&fixture);
}

static uint32_t
see(struct reader *reader, uint32_t seen[PROGRAMS][THREADS])
{
	struct ebpftls_secret secret;
	uint32_t count = 0;

	for (; next(reader, &secret); count++) {
		struct stack_id id = id_of(&secret);

		if (!check(id.program < PROGRAMS && id.thread < THREADS))
			return count;
		/* each once, and those of a thread in their order */
		check(id.number == ++seen[id.program][id.thread]);
		check_secret(&secret, &id);
		check(secret.lost == 0);
	}
	return count;
}

/* Half of them have the library before the hooks are attached, half after. */
static void
many_programs_and_threads(void)
{
	struct fixture fixture;
	struct program programs[PROGRAMS];
	static uint32_t seen[PROGRAMS][THREADS];
	const uint32_t all = PROGRAMS * THREADS * EACH;
	uint32_t count = 0;

	memset(seen, 0, sizeof(seen));
	if (!load(&fixture))
		return;
	for (uint32_t i = 0; i < PROGRAMS / 2; i++)
		programs[i] = start_with(library_path);
	fixture.attachment = attach_to(fixture.secrets, library_path);
	for (uint32_t i = PROGRAMS / 2; i < PROGRAMS; i++)
		programs[i] = start_with(library_path);
	for (uint32_t i = 0; i < PROGRAMS; i++)
		tell(&programs[i], "run %u %u %u", i, THREADS, EACH);
	/* nobody is woken for the last ones */
	for (int i = 0; count < all && i < WAIT / 100; i++) {
		is_readable(fixture.reader.fd, 100);
		count += see(&fixture.reader, seen);
	}
	check(count == all);
	for (uint32_t i = 0; i < PROGRAMS; i++) {
		hear_from(&programs[i]);
		stop(&programs[i]);
	}
	check_nothing(&fixture);
	unload(&fixture);
}

static void
file_that_nobody_maps_yet(void)
{
	struct fixture fixture;
	char path[sizeof(folder) + 16];

	if (!load(&fixture))
		return;
	snprintf(path, sizeof(path), "%s/later.so", folder);
	copy_library(path);
	fixture.attachment = attach_to(fixture.secrets, path);
	fixture.program = start_with(path);
	have(&fixture.program, "run 4 1 10");
	check_run_of(&fixture, &fixture.program, 4, 10);
	tear_down(&fixture);
	unlink(path);
}

/* The descriptor of a mapping of the program, as discovery opens it. */
static int
open_mapping(const struct program *program, const char *path)
{
	char line[512], maps[64];
	int fd = -1;
	FILE *file;

	snprintf(maps, sizeof(maps), "/proc/%d/maps", program->pid);
	file = fopen(maps, "re");
	while (fd < 0 && file != NULL &&
	       fgets(line, sizeof(line), file) != NULL) {
		char mapping[sizeof(line) + 64];

		if (strstr(line, path) == NULL)
			continue;
		line[strcspn(line, " ")] = '\0';
		snprintf(mapping, sizeof(mapping), "/proc/%d/map_files/%s",
			 program->pid, line);
		fd = open(mapping, O_RDONLY | O_CLOEXEC);
	}
	if (file != NULL)
		fclose(file);
	return fd;
}

static void
file_deleted_and_replaced(void)
{
	struct fixture fixture;
	struct scan_result hooks = all_hooks();
	char path[sizeof(folder) + 16];
	struct program other;
	int fd;

	if (!load(&fixture))
		return;
	snprintf(path, sizeof(path), "%s/gone.so", folder);
	copy_library(path);
	fixture.program = start_with(path);
	unlink(path);
	copy_library(path);
	other = start_with(path);
	fd = open_mapping(&fixture.program, path);
	check(fd >= 0);
	fixture.attachment = secrets_attach(fixture.secrets, fd, &hooks);
	check(fixture.attachment >= 0);
	close(fd);
	have(&other, "run 6 1 10");
	have(&fixture.program, "run 5 1 10");
	check_run_of(&fixture, &fixture.program, 5, 10);
	stop(&other);
	tear_down(&fixture);
	unlink(path);
}

/* A label is never read, and nobody may have read it before. */
static void
label_not_in_memory(void)
{
	struct fixture fixture;
	struct ebpftls_secret secret;

	if (!set_up(&fixture))
		return;
	have(&fixture.program, "unread");
	check(next(&fixture.reader, &secret));
	check_secret(&secret, &(struct stack_id){ 99, 0, 1 });
	check_nothing(&fixture);
	tear_down(&fixture);
}

/* A fault is told, and does not take anything off. */
static void
pages_not_in_memory(void)
{
	struct fixture fixture;
	struct ebpftls_secret secret;

	if (!set_up(&fixture))
		return;
	have(&fixture.program, "cold");
	check(!next(&fixture.reader, &secret));
	check(is_readable(secrets_complaints_fd(fixture.secrets), 0));
	secrets_complaints(fixture.secrets);
	check(strcmp(secrets_report(fixture.secrets, fixture.attachment),
		     "secrets that could not be read: 1") == 0);
	have(&fixture.program, "int");
	check(next(&fixture.reader, &secret));
	tear_down(&fixture);
}

/* A page that its process never gives keeps neither that nor us waiting. */
static void
page_that_never_comes(void)
{
	struct fixture fixture;
	uint64_t before = milliseconds();
	pid_t rescue;

	if (!set_up(&fixture))
		return;
	/* what should not hang is to fail, and not to hang, if it does */
	rescue = fork();
	if (rescue == 0) {
		syscall(SYS_close_range, 3, ~0U, 0);
		sleep(5);
		kill(fixture.program.pid, SIGKILL);
		_exit(EXIT_SUCCESS);
	}
	tell(&fixture.program, "never");
	check(is_readable(fileno(fixture.program.out), 2000));
	unload(&fixture);
	check(milliseconds() < before + 3000);
	if (!check_failed)
		kill(rescue, SIGKILL);
	waitpid(rescue, NULL, 0);
	stop(&fixture.program);
}

static void
full_ring_is_counted(void)
{
	struct fixture fixture;
	struct ebpftls_secret secret;
	const uint32_t all = 10000;
	uint32_t here = 0;

	if (!set_up(&fixture))
		return;
	have(&fixture.program, "run 7 1 %u", all);
	while (next(&fixture.reader, &secret)) {
		here++;
		check_secret(&secret, &(struct stack_id){ 7, 0, here });
		check(secret.lost == 0);
	}
	check(here == secrets_ring_size(fixture.secrets) / RECORD_SIZE);
	have(&fixture.program, "run 8 1 1");
	check(next(&fixture.reader, &secret));
	check_secret(&secret, &(struct stack_id){ 8, 0, 1 });
	check(secret.lost == all - here);
	check_nothing(&fixture);
	tear_down(&fixture);
}

/* The first wrong hit ends it; other files' hooks stay. */
static void
check_complaint(const char *what, const char *report)
{
	struct fixture fixture;
	struct ebpftls_secret secret;
	struct program other;
	char path[sizeof(folder) + 16];
	int attachment;

	if (!set_up(&fixture))
		return;
	snprintf(path, sizeof(path), "%s/other.so", folder);
	copy_library(path);
	other = start_with(path);
	attachment = attach_to(fixture.secrets, path);
	check_nothing(&fixture);
	have(&fixture.program, "%s", what);
	check(!next(&fixture.reader, &secret));
	check(is_readable(secrets_complaints_fd(fixture.secrets), 0));
	secrets_complaints(fixture.secrets);
	check(strcmp(secrets_report(fixture.secrets, fixture.attachment),
		     report) == 0);
	check(!is_readable(secrets_complaints_fd(fixture.secrets), 0));
	have(&fixture.program, "run 9 1 5");
	have(&fixture.program, "master 9 5");
	check(!next(&fixture.reader, &secret));
	have(&other, "run 9 1 5");
	check(secrets_report(fixture.secrets, attachment) == NULL);
	secrets_detach(fixture.secrets, fixture.attachment);
	fixture.attachment = attachment;
	check_run_of(&fixture, &other, 9, 5);
	stop(&other);
	tear_down(&fixture);
	unlink(path);
}

static void
wrong_label(void)
{
	check_complaint("label", "hooks taken off: one gave an unknown label");
}

static void
wrong_length(void)
{
	check_complaint(
	    "length", "hooks taken off: one gave a length that no secret has");
}

static void
wrong_length_for_its_label(void)
{
	check_complaint(
	    "short", "hooks taken off: one gave a length that no secret has");
}

static void
zero_secret(void)
{
	check_complaint("zero", "hooks taken off: one gave zeros for a secret");
}

static void
zero_random(void)
{
	check_complaint("random",
			"hooks taken off: one gave zeros for a secret");
}

/* A hook that is free again is used again, and nothing old sticks to it. */
static void
complaint_about_one_that_left(void)
{
	struct fixture fixture;
	int before;

	if (!set_up(&fixture))
		return;
	have(&fixture.program, "label");
	before = fixture.attachment;
	secrets_detach(fixture.secrets, before);
	fixture.attachment = attach_to(fixture.secrets, library_path);
	check(fixture.attachment == before);
	secrets_complaints(fixture.secrets);
	have(&fixture.program, "run 10 1 5");
	check_run_of(&fixture, &fixture.program, 10, 5);
	tear_down(&fixture);
}

/* Also when the hook is one that another file had. */
static void
number_of_its_file(void)
{
	struct fixture fixture;
	struct ebpftls_secret secret;
	uint32_t before = 0, number = 0;
	const char *path;

	if (!set_up(&fixture))
		return;
	check(secrets_library(fixture.secrets, &before, &path));
	check(before != 0 && strcmp(path, library_path) == 0);
	check(!secrets_library(fixture.secrets, &number, &path));
	secrets_detach(fixture.secrets, fixture.attachment);
	fixture.attachment = attach_to(fixture.secrets, library_path);
	check(secrets_library(fixture.secrets, &number, &path));
	check(number != before && number != 0);
	have(&fixture.program, "master 13 1");
	check(next(&fixture.reader, &secret));
	check(secret.file == number);
	tear_down(&fixture);
}

static void
no_more_hooks_than_there_are(void)
{
	struct fixture fixture;
	struct scan_result hooks = { .count = SCAN_HOOKS_MAX };
	enum { ALL = SECRETS_HOOKS_MAX / SCAN_HOOKS_MAX };
	int attachments[ALL], fd;
	const char *news;
	uint64_t before, one;

	if (!set_up(&fixture))
		return;
	before = milliseconds();
	secrets_detach(fixture.secrets, fixture.attachment);
	one = milliseconds() - before;
	for (int i = 0; i < SCAN_HOOKS_MAX; i++)
		hooks.hooks[i] = hook_log_master();
	fd = open(library_path, O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < ALL; i++) {
		attachments[i] = secrets_attach(fixture.secrets, fd, &hooks);
		check(attachments[i] >= 0);
	}
	hooks.count = 1;
	check(secrets_news(fixture.secrets) == NULL);
	check(secrets_attach(fixture.secrets, fd, &hooks) == -ENOSPC);
	secrets_not_attached(fixture.secrets, fd, -ENOSPC);
	news = secrets_news(fixture.secrets);
	check(news != NULL && strstr(news, library_path) == news &&
	      strstr(news, ": all hooks are in use") != NULL);
	/* which is told once */
	secrets_not_attached(fixture.secrets, fd, -ENOSPC);
	check(secrets_news(fixture.secrets) == NULL);
	have(&fixture.program, "master 11 1");
	check(*fixture.reader.written == SECRETS_HOOKS_MAX * RECORD_SIZE);
	secrets_detach(fixture.secrets, attachments[ALL / 2]);
	have(&fixture.program, "master 11 1");
	check(*fixture.reader.written ==
	      (2 * SECRETS_HOOKS_MAX - SCAN_HOOKS_MAX) * RECORD_SIZE);
	check(secrets_attach(fixture.secrets, fd, &hooks) ==
	      attachments[ALL / 2]);
	close(fd);
	/* all of them go at once */
	before = milliseconds();
	unload(&fixture);
	check(milliseconds() - before < 1000 + ALL / 4 * one);
	stop(&fixture.program);
}

static void
what_cannot_be_attached(void)
{
	struct fixture fixture;
	struct scan_result hooks = all_hooks();
	int fd;

	if (!set_up(&fixture))
		return;
	check(secrets_attach(fixture.secrets, -1, &hooks) < 0);
	fd = open("/", O_RDONLY | O_CLOEXEC);
	check(secrets_attach(fixture.secrets, fd, &hooks) < 0);
	close(fd);
	fd = open(library_path, O_RDONLY | O_CLOEXEC);
	hooks.hooks[2].offset = UINT64_C(1) << 40;
	check(secrets_attach(fixture.secrets, fd, &hooks) < 0);
	/* it may yet work */
	check(secrets_news(fixture.secrets) == NULL);
	hooks.count = 0;
	check(secrets_attach(fixture.secrets, fd, &hooks) == -EINVAL);
	hooks.count = SCAN_HOOKS_MAX + 1;
	check(secrets_attach(fixture.secrets, fd, &hooks) == -EINVAL);
	close(fd);
	have(&fixture.program, "run 12 1 5");
	check_run_of(&fixture, &fixture.program, 12, 5);
	tear_down(&fixture);
}

/* What a process without any privilege does with the descriptor. */
static int
read_as_nobody(int fd, uint32_t size, uint32_t count)
{
	struct reader reader;
	struct ebpftls_secret secret;

	if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) != 0 ||
	    !start_reading(&reader, fd, size) || !is_readable(fd, WAIT))
		return EXIT_FAILURE;
	for (uint32_t i = 1; i <= count; i++) {
		if (!next(&reader, &secret))
			return EXIT_FAILURE;
		check_secret(&secret, &(struct stack_id){ 13, 0, i });
	}
	return check_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void
read_without_privilege(void)
{
	struct fixture fixture;
	struct ebpftls_secret secret;
	int status;
	pid_t pid;

	if (!set_up(&fixture))
		return;
	have(&fixture.program, "run 13 1 20");
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(read_as_nobody(fixture.reader.fd,
				     secrets_ring_size(fixture.secrets), 20));
	check(waitpid(pid, &status, 0) == pid && status == 0);
	check(!next(&fixture.reader, &secret));
	tear_down(&fixture);
}

/* --- what is left ------------------------------------------------------------
 */

/* The BPF program that a process holds, by itself or by its links. */
static uint32_t
program_of(pid_t pid)
{
	char path[64], line[128];
	uint32_t id = 0;
	glob_t found;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/*", pid);
	check(glob(path, 0, NULL, &found) == 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		FILE *file = fopen(found.gl_pathv[i], "re");

		while (file != NULL && fgets(line, sizeof(line), file) != NULL)
			sscanf(line, "prog_id: %u", &id);
		if (file != NULL)
			fclose(file);
	}
	globfree(&found);
	return id;
}

/* The kernel frees in its own time. */
static bool
vanishes(uint32_t program)
{
	for (int i = 0; i < WAIT / 10; i++) {
		int fd = bpf_prog_get_fd_by_id(program);

		if (fd < 0)
			return errno == ENOENT;
		close(fd);
		usleep(10000);
	}
	return false;
}

static void
nothing_is_left(void)
{
	static const char *const functions[] = { "log_secret", "log_master",
						 "prf" };
	uint8_t before[3][TRAP_SIZE];
	struct fixture fixture;
	uint32_t program;

	for (int i = 0; i < 3; i++)
		memcpy(before[i], dlsym(library, functions[i]), TRAP_SIZE);
	if (!set_up(&fixture))
		return;
	program = program_of(getpid());
	check(program != 0);
	for (int i = 0; i < 3; i++)
		check(memcmp(before[i], dlsym(library, functions[i]),
			     TRAP_SIZE) != 0);
	have(&fixture.program, "run 14 1 5");
	unload(&fixture);
	for (int i = 0; i < 3; i++)
		check_bytes(dlsym(library, functions[i]), before[i], TRAP_SIZE);
	check(vanishes(program));
	have(&fixture.program, "run 14 1 5");
	stop(&fixture.program);
}

static void
nothing_is_left_of_one_killed(void)
{
	const uint8_t *function = dlsym(library, "log_secret");
	uint8_t before[TRAP_SIZE];
	uint32_t program;
	struct fixture fixture;
	int ready[2], status;
	char byte;
	pid_t pid;

	if (geteuid() != 0) {
		check_skip("only root may set probes");
		return;
	}
	memcpy(before, function, TRAP_SIZE);
	if (pipe2(ready, O_CLOEXEC) != 0)
		abort();
	pid = fork();
	if (pid == 0) {
		if (!load(&fixture) ||
		    attach_to(fixture.secrets, library_path) < 0 ||
		    write(ready[1], "", 1) != 1)
			_exit(EXIT_FAILURE);
		for (;;)
			pause();
	}
	close(ready[1]);
	check(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	check(memcmp(function, before, TRAP_SIZE) != 0);
	program = program_of(pid);
	check(program != 0);
	check(kill(pid, SIGKILL) == 0);
	check(waitpid(pid, &status, 0) == pid);
	check(vanishes(program));
	check_bytes(function, before, TRAP_SIZE);
}

/* --- refusals ----------------------------------------------------------------
 */

static void
no_privilege(void)
{
	struct failure failure;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0)
			_exit(EXIT_FAILURE);
		if (secrets_load(&root, &failure) != NULL ||
		    failure.reason != EBPFTLS_REASON_NO_PERMISSION ||
		    strstr(failure.text, "CAP_BPF is required") == NULL)
			_exit(EXIT_FAILURE);
		_exit(EXIT_SUCCESS);
	}
	check(waitpid(pid, &status, 0) == pid && status == 0);
}

static void
no_cookies(void)
{
	struct failure failure;

	if (geteuid() != 0) {
		check_skip("only root may set probes");
		return;
	}
	without.cookies = true;
	check(secrets_load(&root, &failure) == NULL);
	check(failure.reason == EBPFTLS_REASON_NOT_SUPPORTED);
	check(strstr(failure.text, "no BPF cookies") != NULL);
	without.cookies = false;
}

/* --- the cases on each kind of kernel
 * ----------------------------------------- */

static const struct check_case cases[] = {
	{ "every-secret-as-it-was", every_secret_as_it_was },
	{ "one-name-and-no-length", one_name_and_no_length },
	{ "other-labels-are-ignored", other_labels_are_ignored },
	{ "length-in-half-a-register", length_in_half_a_register },
	{ "many-programs-and-threads", many_programs_and_threads },
	{ "file-that-nobody-maps-yet", file_that_nobody_maps_yet },
	{ "file-deleted-and-replaced", file_deleted_and_replaced },
	{ "label-not-in-memory", label_not_in_memory },
	{ "pages-not-in-memory", pages_not_in_memory },
	{ "page-that-never-comes", page_that_never_comes },
	{ "full-ring-is-counted", full_ring_is_counted },
	{ "wrong-label", wrong_label },
	{ "wrong-length", wrong_length },
	{ "wrong-length-for-its-label", wrong_length_for_its_label },
	{ "zero-secret", zero_secret },
	{ "zero-random", zero_random },
	{ "complaint-about-one-that-left", complaint_about_one_that_left },
	{ "number-of-its-file", number_of_its_file },
	{ "what-cannot-be-attached", what_cannot_be_attached },
	{ "read-without-privilege", read_without_privilege },
	{ "nothing-is-left", nothing_is_left },
	{ "nothing-is-left-of-one-killed", nothing_is_left_of_one_killed },
	{ NULL, NULL },
};

/* These only on this one. */
static const struct check_case once[] = {
	{ "no-more-hooks-than-there-are", no_more_hooks_than_there_are },
	{ "no-privilege", no_privilege },
	{ "no-cookies", no_cookies },
	{ NULL, NULL },
};

/* All cases, their names with the kernel's before them. */
static int
run_on(const char *kernel)
{
	struct check_case named[sizeof(cases) / sizeof(cases[0])];
	char names[sizeof(cases) / sizeof(cases[0])][64];
	size_t i;

	for (i = 0; cases[i].name != NULL; i++) {
		snprintf(names[i], sizeof(names[i]), "%s/%s", kernel,
			 cases[i].name);
		named[i] = (struct check_case){ names[i], cases[i].run };
	}
	named[i] = cases[i];
	return check_main(named);
}

int
main(void)
{
	int failed = EXIT_SUCCESS;

	signal(SIGPIPE, SIG_IGN);
	if (!make_files()) {
		printf("FAIL secrets: the library cannot be made\n");
		return EXIT_FAILURE;
	}
	failed |= run_on("this-kernel");
	without.multi = true;
	failed |= run_on("no-multi");
	without.multi = false;
	failed |= check_main(once);
	remove_files();
	return failed;
}
