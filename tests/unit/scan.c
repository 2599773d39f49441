// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does the scanner find the function that gets the secrets, and where they
 * are? It is asked of programs that compilers make here, whose symbols tell,
 * and of this system's TLS libraries, which give the client random themselves
 * when they are asked. And does it find nothing where there is nothing?
 */
#define _GNU_SOURCE

#include "scan.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <linux/perf_event.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scan-elf.h"
#include "scan-labels.h"
#include "unit/check.h"

#define RANDOM_SIZE 32
#define PATH_SIZE   4096

#if defined(__x86_64__)
enum { FIRST = 7, SECOND = 6, THIRD = 2, FOURTH = 1, FIFTH = 8, SIXTH = 9 };
static const uint8_t go_registers[] = { 0, 3, 1, 7, 6, 8, 9, 10 };
#else
enum { FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH };
static const uint8_t go_registers[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
#endif

static struct scan_result result;

static void
scan_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	memset(&result, 0xff, sizeof(result));
	if (check(fd >= 0)) {
		scan_file(fd, &result);
		close(fd);
	}
}

static bool
is_register(const struct ebpftls_place *place, uint8_t reg)
{
	return place->known && place->reg == reg && place->loads == 0 &&
	       place->offset[0] == 0;
}

/* --- what the file itself says -------------------------------------------- */

static bool
search_symbols(Elf *elf, Elf_Scn *section, const char *name, uint64_t *address)
{
	Elf_Data *data = elf_getdata(section, NULL);
	GElf_Shdr header;
	GElf_Sym symbol;

	if (gelf_getshdr(section, &header) == NULL ||
	    header.sh_type != SHT_SYMTAB || data == NULL)
		return false;
	for (int i = 0; gelf_getsym(data, i, &symbol) != NULL; i++) {
		const char *text =
		    elf_strptr(elf, header.sh_link, symbol.st_name);

		if (text != NULL && strcmp(text, name) == 0 &&
		    symbol.st_value != 0) {
			*address = symbol.st_value;
			return true;
		}
	}
	return false;
}

/* The address that a symbol of a program that is not stripped has, or 0. */
static uint64_t
find_symbol(const char *path, const char *name)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf_Scn *section = NULL;
	uint64_t address = 0;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	while ((section = elf_nextscn(elf, section)) != NULL &&
	       !search_symbols(elf, section, name, &address))
		;
	elf_end(elf);
	close(fd);
	return address;
}

/*
 * Is the hook at this address, and are its names what the file has there? The
 * text is what CLIENT_RANDOM is called.
 */
static void
check_hook(const char *path, const struct ebpftls_hook *hook, uint64_t address,
	   const char *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct scan_elf elf;

	if (check(scan_elf_open(&elf, fd) == NULL)) {
		check(address != 0);
		check(hook->offset == scan_elf_offset(&elf, address));
		check(hook->name_count <= EBPFTLS_NAMES_MAX);
		for (uint32_t i = 0; i < hook->name_count; i++) {
			const struct ebpftls_name *name = &hook->names[i];
			const uint8_t *at =
			    scan_elf_at(&elf,
					address + (uint64_t)name->distance,
					strlen(text));

			check(name->label < EBPFTLS_LABELS);
			check(at != NULL &&
			      (memcmp(at, text, strlen(text)) == 0) ==
				  (name->label == EBPFTLS_CLIENT_RANDOM));
		}
	}
	scan_elf_close(&elf);
	close(fd);
}

/* --- programs made here --------------------------------------------------- */

static const char *const optimisations[] = { "0", "1", "2", "3", "s" };
static const char *const kinds[] = {
	"-shared -fPIC",
	"-static-pie -fPIE",
	"-static -fno-pie -Wl,-no-pie",
};

struct compiler {
	const char *command;
	uint8_t arguments[6]; /* registers that hold them */
	bool arm64;
};

#define CLANG "clang -fuse-ld=lld -target "

static const struct compiler compilers[] = {
	{ CLANG "x86_64-linux-gnu", { 7, 6, 2, 1, 8, 9 }, false },
	{ CLANG "aarch64-linux-gnu", { 0, 1, 2, 3, 4, 5 }, true },
	{ CLANG "aarch64-linux-gnu -Wl,--no-rosegment",
	  { 0, 1, 2, 3, 4, 5 },
	  true },
	{ "gcc", { FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH }, FIRST == 0 },
};

static bool
build(const char *path, const struct compiler *compiler, int stack,
      const char *optimisation, const char *kind)
{
	char command[PATH_SIZE];

	snprintf(command, sizeof(command),
		 "%s -DSTACK=%d -O%s %s -ffreestanding -fno-stack-protector "
		 "-nostdlib -o %s %s/tests/data/keylog.c 2>/dev/null",
		 compiler->command, stack, optimisation, kind, path,
		 getenv("TOP"));
	return check(system(command) == 0);
}

static bool
is_random(const struct ebpftls_place *place, uint8_t reg, int32_t first,
	  int32_t second)
{
	return place->known && place->reg == reg &&
	       place->loads == (second != 0) && place->offset[0] == first &&
	       (second == 0 || place->offset[1] == second);
}

/* The random is at session + first, or at *(session + first) + second. */
static void
check_log(const char *path, const struct compiler *compiler, int32_t first,
	  int32_t second)
{
	const struct ebpftls_hook *hook = &result.hooks[0];

	check_hook(path, hook, find_symbol(path, "log_secret"),
		   "CLIENT_RANDOM");
	check(hook->strict == 1 && hook->name_count >= 6);
	check(is_register(&hook->label, compiler->arguments[1]));
	check(is_register(&hook->secret, compiler->arguments[2]));
	check(is_register(&hook->length, compiler->arguments[3]));
	check(is_random(&hook->random, compiler->arguments[0], first, second));
}

/* Label, session, random, 32, secret, length: all of them arguments. */
static void
check_inner_log(const char *path, const struct compiler *compiler)
{
	const struct ebpftls_hook *hook = &result.hooks[0];

	check_hook(path, hook, find_symbol(path, "log_secret"),
		   "CLIENT_RANDOM");
	check(hook->strict == 1 && hook->name_count >= 6);
	check(is_register(&hook->label, compiler->arguments[0]));
	check(is_register(&hook->random, compiler->arguments[2]));
	check(is_register(&hook->secret, compiler->arguments[4]));
	check(is_register(&hook->length, compiler->arguments[5]));
}

/* The seventh argument, which x86-64 has on the stack, and 32 bytes more. */
static void
check_prf(const char *path, const struct compiler *compiler)
{
	const struct ebpftls_hook *hook = &result.hooks[1];

	check_hook(path, hook, find_symbol(path, "_gnutls_prf_raw"),
		   "key expansion");
	check(hook->strict == 0 && hook->name_count == 1);
	check(is_register(&hook->label, compiler->arguments[4]));
	check(is_register(&hook->secret, compiler->arguments[2]));
	check(hook->length.known == 0);
	if (compiler->arm64)
		check(is_random(&hook->random, 6, 32, 0));
	else
		check(is_random(&hook->random, 4, 8, 32));
}

static void
check_go_log(const char *path)
{
	const struct ebpftls_hook *hook = &result.hooks[0];

	check_hook(path, hook, find_symbol(path, "log_secret"),
		   "CLIENT_RANDOM");
	check(hook->strict == 1 && hook->name_count >= 6);
	check(is_register(&hook->label, 1));
	check(is_register(&hook->random, 3));
	check(is_register(&hook->secret, 6));
	check(is_register(&hook->length, 7));
}

static void
check_go_keys(const char *path)
{
	const struct ebpftls_hook *hook = &result.hooks[1];

	check_hook(path, hook, find_symbol(path, "make_keys"), "");
	check(hook->strict == 0 && hook->label.known == 0);
	check(is_register(&hook->secret, 2));
	check(is_register(&hook->length, 3));
	check(is_register(&hook->random, 5));
}

static void
check_nothing(const char *path, const char *why)
{
	scan_path(path);
	check(result.count == 0);
	if (!check(strstr(result.why, why) != NULL))
		printf("# %s: %s\n", path, result.why);
}

/* Whether there are so many hooks, and nothing to complain of. */
static bool
has_hooks(uint32_t count)
{
	return check(result.labels == 6) && check(result.count == count) &&
	       check(result.why[0] == '\0');
}

static void
check_program(const char *path, const struct compiler *compiler, int stack,
	      bool shared)
{
	scan_path(path);
	if (stack == 1 && has_hooks(1)) {
		check_log(path, compiler, 0x160, 0);
	} else if (stack == 2 && has_hooks(1)) {
		check_log(path, compiler, 0x270, 0x30);
	} else if (stack == 3 && shared && has_hooks(2)) {
		check_log(path, compiler, 0x160, 0);
		check_prf(path, compiler);
	} else if (stack == 3 && !shared) {
		check_nothing(path, "secrets");
	} else if (stack == 4) {
		check_nothing(path, "no client random");
	} else if (stack == 5 && has_hooks(2)) {
		check_go_log(path);
		check_go_keys(path);
	} else if (stack == 6 && has_hooks(1)) {
		check_inner_log(path, compiler);
	}
}

/* One way to log, by all compilers in all ways. */
static void
try_stack(int stack)
{
	char path[] = "/tmp/ebpftls-scan-XXXXXX";

	close(mkstemp(path));
	for (size_t i = 0; i < 4 * 5 * 3; i++) {
		const struct compiler *compiler = &compilers[i / 15];
		const char *kind = kinds[i % 3];

		if (stack == 5 && !compiler->arm64)
			continue;
		if (!build(path, compiler, stack, optimisations[i / 3 % 5],
			   kind))
			break;
		check_program(path, compiler, stack, kind == kinds[0]);
	}
	unlink(path);
}

static void
openssl_like(void)
{
	try_stack(1);
}

static void
openssl_like_inlined(void)
{
	try_stack(6);
}

static void
boringssl_like(void)
{
	try_stack(2);
}

static void
gnutls_like(void)
{
	try_stack(3);
}

static void
reader(void)
{
	try_stack(4);
}

static void
go_like(void)
{
	try_stack(5);
}

/* --- this system's libraries ---------------------------------------------- */

static void *
find(void *library, const char *name)
{
	void *function = dlsym(library, name);

	check(function != NULL);
	return function;
}

/* What a program would read there if it were probed with this argument. */
static const void *
follow(const struct ebpftls_place *place, const void *argument)
{
	const char *at = argument;

	for (int i = 0; i < place->loads; i++)
		memcpy(&at, at + place->offset[i], sizeof(at));
	return at + place->offset[place->loads];
}

/* Scans the file that the function is in. */
static void
scan_library_of(void *function, Dl_info *info)
{
	if (check(dladdr(function, info) != 0))
		scan_path(info->dli_fname);
}

static void
check_log_hook(const struct ebpftls_hook *hook)
{
	check(hook->strict == 1);
	check(hook->name_count >= result.labels);
	check(is_register(&hook->label, SECOND));
	check(is_register(&hook->secret, THIRD));
	check(is_register(&hook->length, FOURTH));
	check(hook->random.reg == FIRST);
}

/* Begins a handshake, so that there is a client random. */
static void *
begin_openssl(void *library, void **context)
{
	void *(*method)(void) = find(library, "TLS_client_method");
	void *(*new_context)(void *) = find(library, "SSL_CTX_new");
	void *(*new_session)(void *) = find(library, "SSL_new");
	void *(*memory)(void) = find(library, "BIO_s_mem");
	void *(*new_bio)(void *) = find(library, "BIO_new");
	void (*set_bio)(void *, void *, void *) = find(library, "SSL_set_bio");
	int (*connect)(void *) = find(library, "SSL_connect");
	void *session;

	*context = new_context(method());
	session = new_session(*context);
	set_bio(session, new_bio(memory()), new_bio(memory()));
	check(connect(session) < 0);
	return session;
}

static void
check_openssl(const char *name, uint32_t labels)
{
	void *library = dlopen(name, RTLD_NOW), *context, *session;
	size_t (*get)(void *, void *, size_t);
	void (*free_session)(void *), (*free_context)(void *);
	uint8_t random[RANDOM_SIZE];
	Dl_info info;

	if (library == NULL) {
		check_skip("no such library here");
		return;
	}
	get = find(library, "SSL_get_client_random");
	free_session = find(library, "SSL_free");
	free_context = find(library, "SSL_CTX_free");
	session = begin_openssl(library, &context);
	check(get(session, random, sizeof(random)) == sizeof(random));
	scan_library_of(get, &info);
	check(result.labels >= labels);
	if (check(result.count == 1)) {
		check_log_hook(&result.hooks[0]);
		check_bytes(follow(&result.hooks[0].random, session), random,
			    sizeof(random));
	}
	free_session(session);
	free_context(context);
}

static void
openssl(void)
{
	check_openssl("libssl.so.3", 8);
}

static void
openssl_1_1(void)
{
	check_openssl("libssl.so.1.1", 8);
}

static void
boringssl(void)
{
	check_openssl("/usr/lib/x86_64-linux-gnu/android/libssl.so.0", 7);
}

static ssize_t
swallow(void *context, const void *bytes, size_t size)
{
	(void)context;
	(void)bytes;
	return (ssize_t)size;
}

static ssize_t
starve(void *context, void *bytes, size_t size)
{
	(void)context;
	(void)bytes;
	(void)size;
	errno = EAGAIN;
	return -1;
}

struct datum {
	unsigned char *data;
	unsigned int size;
};

static void *
begin_gnutls(void *library)
{
	int (*init)(void **, unsigned int) = find(library, "gnutls_init");
	int (*priority)(void *) = find(library, "gnutls_set_default_priority");
	void (*set_push)(void *, void *) =
	    find(library, "gnutls_transport_set_push_function");
	void (*set_pull)(void *, void *) =
	    find(library, "gnutls_transport_set_pull_function");
	int (*handshake)(void *) = find(library, "gnutls_handshake");
	void *session;

	check(init(&session, 2) == 0); /* GNUTLS_CLIENT */
	check(priority(session) == 0);
	set_push(session, (void *)swallow);
	set_pull(session, (void *)starve);
	check(handshake(session) < 0);
	return session;
}

/* What makes TLS 1.2's keys is exported; the label is its fifth argument. */
static void
check_gnutls_prf(void *library, const struct ebpftls_hook *hook)
{
	void *function = find(library, "_gnutls_prf_raw");
	Dl_info info;

	check(dladdr(function, &info) != 0);
	check_hook(info.dli_fname, hook,
		   (uint64_t)((char *)function - (char *)info.dli_fbase),
		   "key expansion");
	check(hook->strict == 0 && hook->name_count >= 1);
	check(hook->length.known == 0);
	check(is_register(&hook->secret, THIRD));
}

static void
gnutls(void)
{
	void *library = dlopen("libgnutls.so.30", RTLD_NOW), *session;
	void (*get)(void *, struct datum *, struct datum *);
	void (*deinit)(void *);
	struct datum client, server;
	Dl_info info;

	if (library == NULL) {
		check_skip("no such library here");
		return;
	}
	get = find(library, "gnutls_session_get_random");
	deinit = find(library, "gnutls_deinit");
	session = begin_gnutls(library);
	get(session, &client, &server);
	scan_library_of(get, &info);
	check(result.labels == 8);
	if (check(result.count == 2)) {
		check_log_hook(&result.hooks[0]);
		check(follow(&result.hooks[0].random, session) == client.data);
		check_gnutls_prf(library, &result.hooks[1]);
	}
	deinit(session);
}

/* Programs with OpenSSL inside that are not always stripped. */
static void
node(void)
{
	const char *path = "/usr/bin/node";
	uint64_t address =
	    access(path, R_OK) == 0 ? find_symbol(path, "ssl_log_secret") : 0;

	if (address == 0) {
		check_skip("no node with symbols here");
		return;
	}
	scan_path(path);
	if (check(result.count == 1)) {
		check_hook(path, &result.hooks[0], address, "CLIENT_RANDOM");
		check_log_hook(&result.hooks[0]);
	}
}

/* --- Go ------------------------------------------------------------------- */

/*
 * Most of Go's functions begin with a comparison of the stack pointer, or of
 * what is below it, with where the stack ends.
 */
static bool
begins_go_function(const struct ebpftls_hook *hook, int fd)
{
	static const uint8_t beginnings[][4] = {
		{ 0x49, 0x3b, 0x66, 0x10 }, /* cmp 0x10(%r14), %rsp */
		{ 0x4c, 0x8d, 0x64, 0x24 }, /* lea -small(%rsp), %r12 */
		{ 0x4c, 0x8d, 0xa4, 0x24 }, /* lea -large(%rsp), %r12 */
		{ 0x90, 0x0b, 0x40, 0xf9 }, /* ldr x16, [x28, #0x10] */
	};
	uint8_t code[4];

	if (pread(fd, code, sizeof(code), (off_t)hook->offset) != sizeof(code))
		return false;
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(code); i++)
		if (memcmp(code, beginnings[i], sizeof(code)) == 0)
			return true;
	return false;
}

static void
check_go(const char *path)
{
	const struct ebpftls_hook *log = &result.hooks[0];
	const struct ebpftls_hook *keys = &result.hooks[1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	scan_path(path);
	if (check(result.count == 2)) {
		check(begins_go_function(log, fd));
		check(log->strict == 1 && log->name_count >= 5);
		check(is_register(&log->label, go_registers[1]));
		check(is_register(&log->random, go_registers[3]));
		check(is_register(&log->secret, go_registers[6]));
		check(is_register(&log->length, go_registers[7]));
		check(begins_go_function(keys, fd));
		check(keys->strict == 0 && keys->label.known == 0);
		check(keys->name_count == 1 &&
		      keys->names[0].label == EBPFTLS_CLIENT_RANDOM);
		check(is_register(&keys->secret, go_registers[2]));
		check(is_register(&keys->length, go_registers[3]));
		check(is_register(&keys->random, go_registers[5]));
	}
	close(fd);
}

static void
go(void)
{
	static const char *const paths[] = {
		"/usr/lib/go/bin/go",	   "/usr/lib/go-1.19/bin/go",
		"/usr/lib/go-1.24/bin/go", "/usr/bin/caddy",
		"/usr/bin/docker",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], R_OK) == 0) {
			check_go(paths[i]);
			return;
		}
	check_skip("no program of Go's here");
}

/* --- nothing to find ------------------------------------------------------ */

static void
no_tls(void)
{
	Dl_info info;

	check(dladdr((void *)dlopen, &info) != 0);
	check_nothing(info.dli_fname, "no names of secrets");
	check_nothing("/etc/passwd", "not an ELF file");
	check_nothing("/dev/null", "not a file");
	check_nothing("/usr", "not a file");
}

/* Any end is one too early: that is a result, too. */
static void
cut_short(void)
{
	char path[] = "/tmp/ebpftls-scan-XXXXXX";
	int fd = mkstemp(path);
	struct stat status;

	close(fd);
	check(build(path, &compilers[0], 1, "2", kinds[0]));
	fd = open(path, O_RDWR | O_CLOEXEC);
	check(fstat(fd, &status) == 0);
	for (off_t size = status.st_size; size >= 0; size -= 7) {
		check(ftruncate(fd, size) == 0);
		scan_path(path);
		check(result.count <= SCAN_HOOKS_MAX);
		check(result.count != 0 || result.why[0] != '\0');
	}
	check(result.count == 0);
	close(fd);
	unlink(path);
}

/* --- what others do to a file --------------------------------------------- */

static int
open_uprobe(const char *path, uint64_t offset)
{
	struct perf_event_attr attributes = {
		.size = sizeof(attributes),
		.config1 = (uint64_t)(uintptr_t)path,
		.config2 = offset,
	};
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "r");

	if (file == NULL)
		return -1;
	if (fscanf(file, "%u", &attributes.type) != 1)
		attributes.type = 0;
	fclose(file);
	return (int)syscall(SYS_perf_event_open, &attributes, -1, 0, -1,
			    PERF_FLAG_FD_CLOEXEC);
}

/* The hook of another capture must not be in the way of ours. */
static void
probed(void)
{
	char path[] = "/tmp/ebpftls-scan-XXXXXX";
	int probe;

	close(mkstemp(path));
	check(build(path, &compilers[0], 1, "2", kinds[0]));
	scan_path(path);
	check(result.count == 1);
	probe = open_uprobe(path, result.hooks[0].offset);
	if (probe < 0) {
		check_skip("no right to place probes here");
	} else {
		scan_path(path);
		check(result.count == 1);
		close(probe);
	}
	unlink(path);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "programs that log as OpenSSL does", openssl_like },
		{ "programs into which that has been inlined",
		  openssl_like_inlined },
		{ "programs that log as BoringSSL does", boringssl_like },
		{ "programs that log as GnuTLS does", gnutls_like },
		{ "programs that only read logs", reader },
		{ "programs that log as Go's do", go_like },
		{ "OpenSSL 3: the random is where it says", openssl },
		{ "OpenSSL 1.1: the random is where it says", openssl_1_1 },
		{ "BoringSSL: the random is where it says", boringssl },
		{ "GnuTLS: the random is where it says", gnutls },
		{ "node: the function is what its symbols say", node },
		{ "Go: both functions, at their beginnings", go },
		{ "files without TLS", no_tls },
		{ "files that are cut short", cut_short },
		{ "a file with a probe in it", probed },
		{ NULL, NULL },
	};

	return check_main(cases);
}
