// SPDX-License-Identifier: BSD-3-Clause
/*
 * From mappings to hooks, with processes, kernel records and hooks of the
 * test's own, and a scan_file() that does what the file says: whatever goes
 * wrong for a while, in the end all is hooked that should be.
 */
#define _GNU_SOURCE

#include "discover.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "folders.h"
#include "inventory.h"
#include "process.h"
#include "watch.h"

#if defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_X86_64
#endif

#define ORDER_AT 0x200
#define LARGE	 (20 * 1048576)
#define MOST	 4
#define WAIT	 60000 /* milliseconds */

static char folder[64];

static int64_t
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- the scanner ------------------------------------------------------------
 */

/* "slow" takes a second, "plain" has nothing. */
bool
scan_file(int fd, struct scan_result *result)
{
	char order[8] = "";
	int64_t end = milliseconds() + 1000;

	if (pread(fd, order, sizeof(order) - 1, ORDER_AT) < 0)
		return false;
	while (strcmp(order, "slow") == 0 && milliseconds() < end)
		;
	result->count = strcmp(order, "plain") != 0;
	return true;
}

void
scan_place(int fd, struct scan_result *result)
{
	(void)fd;
	(void)result;
}

/* --- what is mapped ---------------------------------------------------------
 */

struct processes {
	struct mapping list[MOST];
	char paths[MOST][128];
	size_t count;
};

static struct processes before; /* what a look at all sees */
static struct processes news;	/* mmap records */
static struct processes own;	/* of this process, when it is asked about */
static struct processes shelf;	/* what the linker's folders have */
static bool lost;		/* some records */
static int watching = -1;

struct watch {
	int nothing;
};

struct inventory {
	const struct processes *processes;
	size_t next;
	int fd; /* readable until it is done */
	bool ready;
	struct inventory_missed missed;
};

static void
map(struct processes *processes, const char *name)
{
	size_t i = processes->count++;
	struct mapping *mapping = &processes->list[i];
	struct stat st;

	snprintf(processes->paths[i], sizeof(processes->paths[i]), "%s/%s",
		 folder, name);
	check(stat(processes->paths[i], &st) == 0);
	*mapping = (struct mapping){
		.pid = (uint32_t)getpid(),
		.dev = st.st_dev,
		.ino = st.st_ino,
		.recent = processes == &news,
		.path = processes->paths[i],
	};
}

struct watch *
watch_start(struct failure *failure)
{
	static struct watch watch;

	(void)failure;
	watching = eventfd(0, EFD_CLOEXEC);
	return &watch;
}

int
watch_fd(const struct watch *watch)
{
	(void)watch;
	return watching;
}

bool
watch_read(struct watch *watch,
	   void (*found)(void *context, const struct mapping *mapping),
	   void *context)
{
	bool complete = !lost;

	(void)watch;
	lost = false;
	for (size_t i = 0; i < news.count; i++)
		found(context, &news.list[i]);
	news.count = 0;
	return complete;
}

void
watch_cpu_came(struct watch *watch, uint32_t cpu)
{
	(void)watch;
	check(cpu == 1);
	lost = true;
}

void
watch_close(struct watch *watch)
{
	(void)watch;
	close(watching);
}

struct inventory *
inventory_open(const char *proc)
{
	struct inventory *inventory = calloc(1, sizeof(*inventory));

	check(strcmp(proc, "/proc") == 0);
	inventory->fd = eventfd(0, EFD_CLOEXEC);
	return inventory;
}

int
inventory_fd(const struct inventory *inventory)
{
	return inventory->fd;
}

void
inventory_all(struct inventory *inventory)
{
	inventory->processes = &before;
	inventory->next = 0;
	eventfd_write(inventory->fd, 1);
}

void
inventory_one(struct inventory *inventory, uint32_t pid, int process)
{
	check(pid == (uint32_t)getpid());
	close(process);
	inventory->processes = &own;
	inventory->next = 0;
	eventfd_write(inventory->fd, 1);
}

/* Each by itself, and not at once. */
enum inventory_step
inventory_step(struct inventory *inventory,
	       void (*found)(void *context, const struct mapping *mapping),
	       void *context)
{
	inventory->ready = !inventory->ready;
	if (!inventory->ready)
		return INVENTORY_NOT_YET;
	if (inventory->next == inventory->processes->count) {
		eventfd_t count;

		eventfd_read(inventory->fd, &count);
		return INVENTORY_DONE;
	}
	found(context, &inventory->processes->list[inventory->next++]);
	return INVENTORY_MORE;
}

const struct inventory_missed *
inventory_missed(const struct inventory *inventory)
{
	return &inventory->missed;
}

void
inventory_close(struct inventory *inventory)
{
	if (inventory != NULL)
		close(inventory->fd);
	free(inventory);
}

struct libraries *
libraries_open(void)
{
	return calloc(1, 1);
}

bool
libraries_next(struct libraries *libraries, char path[PATH_MAX])
{
	(void)libraries;
	if (shelf.count == 0)
		return false;
	strcpy(path, shelf.paths[--shelf.count]);
	return true;
}

void
libraries_close(struct libraries *libraries)
{
	free(libraries);
}

/* --- the hooks
 * ----------------------------------------------------------------
 */

static char hooked[MOST][128]; /* names of files, or "" */
static int room;
static int refusals; /* that are still to come */
static bool off[MOST];
static char told[512];

int
secrets_attach(struct secrets *secrets, int fd,
	       const struct scan_result *result)
{
	char link[64], path[PATH_MAX] = "";

	(void)secrets;
	check(result->count == 1);
	if (refusals > 0) {
		refusals--;
		return -ETIMEDOUT;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	check(readlink(link, path, sizeof(path) - 1) > 0);
	for (int i = 0; i < room; i++) {
		if (hooked[i][0] != '\0')
			continue;
		snprintf(hooked[i], sizeof(hooked[i]), "%s",
			 strrchr(path, '/') + 1);
		return i;
	}
	return -ENOSPC;
}

void
secrets_not_attached(struct secrets *secrets, int fd, int error)
{
	(void)fd;
	secrets_tell(secrets, "no hooks: %d", error);
}

void
secrets_detach(struct secrets *secrets, int attachment)
{
	(void)secrets;
	hooked[attachment][0] = '\0';
	off[attachment] = false;
}

bool
secrets_is_off(const struct secrets *secrets, int attachment)
{
	(void)secrets;
	return off[attachment];
}

void
secrets_tell(struct secrets *secrets, const char *format, ...)
{
	va_list args;

	(void)secrets;
	va_start(args, format);
	vsnprintf(told, sizeof(told), format, args);
	va_end(args);
}

static bool
is_hooked(const char *name)
{
	for (int i = 0; i < MOST; i++)
		if (strcmp(hooked[i], name) == 0)
			return true;
	return false;
}

/* --- a machine that is short of something
 * -------------------------------------
 */

static bool no_sockets;

int
socketpair(int domain, int type, int protocol, int pair[2])
{
	static int (*real)(int, int, int, int[2]);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "socketpair");
	if (!no_sockets)
		return real(domain, type, protocol, pair);
	errno = ENOMEM;
	return -1;
}

/* No descriptor is free. */
static struct rlimit
use_up_descriptors(void)
{
	struct rlimit was, none;
	int fd = open("/", O_PATH | O_CLOEXEC);

	getrlimit(RLIMIT_NOFILE, &was);
	none = was;
	none.rlim_cur = (rlim_t)fd;
	close(fd);
	setrlimit(RLIMIT_NOFILE, &none);
	return was;
}

/* --- cases ------------------------------------------------------------------
 */

static void
make(const char *name, const char *order, off_t size)
{
	struct {
		Elf64_Ehdr header;
		char rest[ORDER_AT - sizeof(Elf64_Ehdr)];
		char order[8];
	} file = {
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
				     ELFCLASS64, ELFDATA2LSB },
			.e_machine = MACHINE,
			.e_phentsize = sizeof(Elf64_Phdr),
		},
	};
	char path[128];
	int fd;

	strcpy(file.order, order);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0755);
	check(pwrite(fd, &file, sizeof(file), 0) == sizeof(file));
	check(ftruncate(fd, size) == 0);
	close(fd);
}

static struct discover *
begin(void)
{
	struct failure failure;

	strcpy(folder, "/tmp/ebpftls-unit.XXXXXX");
	check(mkdtemp(folder) != NULL);
	setenv("EBPFTLS_CACHE", folder, 1);
	memset(hooked, 0, sizeof(hooked));
	memset(off, 0, sizeof(off));
	told[0] = '\0';
	before.count = news.count = own.count = shelf.count = 0;
	room = MOST;
	refusals = 0;
	return discover_start(NULL, &failure);
}

static void
end(struct discover *discover)
{
	char command[128];

	discover_close(discover);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	check(system(command) == 0);
}

static bool
has_happened(const char *name, bool on)
{
	return is_hooked(name) == on;
}

/* Works until the file is hooked, or is not. */
static bool
work_until(struct discover *discover, const char *name, bool on)
{
	int64_t last = milliseconds() + WAIT;

	discover_work(discover);
	while (!has_happened(name, on) && milliseconds() < last) {
		struct pollfd wait = { discover_fd(discover), POLLIN, 0 };

		if (poll(&wait, 1, 100) > 0)
			discover_work(discover);
	}
	return check(has_happened(name, on));
}

static void
work_until_settled(struct discover *discover)
{
	while (!discover_settled(discover))
		discover_work(discover);
}

/* More would come, but there are files enough to wait for. */
static void
sleeps_while_it_scans(void)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	struct discover *discover = begin();
	struct pollfd wait = { discover_fd(discover), POLLIN, 0 };
	unsigned int count = 0;

	for (size_t i = 0; i < MOST; i++) {
		make(names[i], "slow", 4096);
		map(&before, names[i]);
	}
	while (!is_hooked("b") && poll(&wait, 1, WAIT) > 0) {
		discover_work(discover);
		count++;
	}
	check(is_hooked("b") && count < 50);
	work_until(discover, "d", true);
	end(discover);
}

static void
hooks_what_is_mapped(void)
{
	struct discover *discover = begin();

	make("a", "", 4096);
	make("b", "", 4096);
	map(&before, "a");
	work_until(discover, "a", true);
	work_until_settled(discover);
	map(&news, "b");
	work_until(discover, "b", true);
	check(discover_files(discover) == 2 && told[0] == '\0');
	end(discover);
}

static void
small_before_large(void)
{
	struct discover *discover = begin();

	make("large", "slow", LARGE);
	make("small", "", 4096);
	map(&news, "large");
	map(&news, "small");
	work_until(discover, "small", true);
	check(!is_hooked("large"));
	work_until(discover, "large", true);
	end(discover);
}

/* Of the linker's folders, unless somebody has it mapped. */
static void
does_not_wait_for_large_libraries(void)
{
	struct discover *discover = begin();

	make("large", "slow", LARGE);
	make("mapped", "slow", LARGE);
	make("small", "", 4096);
	map(&shelf, "small");
	map(&shelf, "mapped");
	map(&shelf, "large");
	map(&before, "mapped");
	work_until_settled(discover);
	check(is_hooked("small") && is_hooked("mapped") && !is_hooked("large"));
	work_until(discover, "large", true);
	end(discover);
}

/* What was missed may have been mapped by who shakes hands now. */
static void
looks_again_before_them(void)
{
	struct discover *discover = begin();

	make("large", "slow", LARGE);
	make("larger", "slow", LARGE);
	make("missed", "", 4096);
	map(&shelf, "large");
	map(&shelf, "larger");
	work_until_settled(discover);
	map(&before, "missed");
	lost = true;
	work_until(discover, "missed", true);
	check(!is_hooked("large") || !is_hooked("larger"));
	work_until(discover, "large", true);
	work_until(discover, "larger", true);
	end(discover);
}

static void
no_descriptors_for_a_while(void)
{
	struct discover *discover = begin();
	struct rlimit was;

	make("first", "", 4096);
	make("a", "", 4096);
	map(&before, "first");
	work_until(discover, "first", true);
	work_until_settled(discover);
	map(&before, "a");
	map(&news, "a");
	was = use_up_descriptors();
	discover_work(discover);
	setrlimit(RLIMIT_NOFILE, &was);
	check(!is_hooked("a"));
	work_until(discover, "a", true);
	end(discover);
}

static void
no_processes_for_a_while(void)
{
	struct discover *discover = begin();

	make("a", "", 4096);
	map(&before, "a");
	no_sockets = true;
	for (int i = 0; i < 10; i++)
		discover_work(discover);
	no_sockets = false;
	check(!is_hooked("a"));
	work_until(discover, "a", true);
	end(discover);
}

static void
no_hooks_for_a_while(void)
{
	struct discover *discover = begin();

	make("a", "", 4096);
	map(&before, "a");
	refusals = 2;
	work_until(discover, "a", true);
	check(told[0] == '\0');
	end(discover);
}

/* A kernel that refuses a file is asked some times, and no more. */
static void
no_hooks_at_all(void)
{
	struct discover *discover = begin();
	int64_t last = milliseconds() + WAIT;

	make("a", "", 4096);
	map(&before, "a");
	refusals = 100;
	while (told[0] == '\0' && milliseconds() < last)
		discover_work(discover);
	check(strcmp(told, "no hooks: -110") == 0 && refusals > 50);
	work_until_settled(discover);
	refusals = 0;
	lost = true;
	discover_work(discover);
	check(!is_hooked("a"));
	end(discover);
}

static void
no_scanner_for_a_while(void)
{
	struct discover *discover = begin();

	make("a", "", 4096);
	make("b", "", 4096);
	map(&before, "a");
	work_until(discover, "a", true);
	work_until_settled(discover);
	map(&before, "b");
	map(&news, "b");
	no_sockets = true;
	while (told[0] == '\0')
		discover_work(discover);
	no_sockets = false;
	check(strstr(told, "no process for the scan") != NULL);
	work_until(discover, "b", true);
	end(discover);
}

static void
records_that_were_lost(void)
{
	struct discover *discover = begin();

	work_until_settled(discover);
	make("a", "", 4096);
	map(&before, "a");
	lost = true;
	work_until(discover, "a", true);
	end(discover);
}

/* Nobody has seen what was mapped on it before the kernel told of it. */
static void
cpu_that_came(void)
{
	struct discover *discover = begin();

	make("a", "", 4096);
	work_until_settled(discover);
	map(&before, "a");
	discover_cpu_came(discover, 1);
	work_until(discover, "a", true);
	end(discover);
}

static void
file_that_changed(void)
{
	struct discover *discover = begin();

	make("a", "", 4096);
	map(&before, "a");
	work_until(discover, "a", true);
	work_until_settled(discover);
	strcpy(hooked[0], "old");
	make("a", "new", 8192);
	map(&news, "a");
	work_until(discover, "a", true);
	check(!is_hooked("old") && discover_files(discover) == 1);
	end(discover);
}

/* It has hooks as long as there is room, and its process is there. */
static void
gives_hooks_back(void)
{
	struct discover *discover = begin();

	room = 2;
	make("a", "", 4096);
	make("b", "", 4096);
	make("c", "", 4096);
	map(&before, "a");
	map(&before, "b");
	work_until(discover, "b", true);
	work_until_settled(discover);
	before.count = 0;
	map(&before, "b");
	map(&before, "c");
	discover_work(discover);
	check(is_hooked("a"));
	map(&news, "c");
	work_until(discover, "c", true);
	check(!is_hooked("a") && is_hooked("b"));
	check(discover_files(discover) == 2);
	end(discover);
}

static void
gives_wrong_hooks_back(void)
{
	struct discover *discover = begin();

	room = 1;
	make("a", "", 4096);
	make("b", "", 4096);
	map(&before, "a");
	work_until(discover, "a", true);
	work_until_settled(discover);
	off[0] = true;
	map(&before, "b");
	map(&news, "b");
	work_until(discover, "b", true);
	check(!is_hooked("a"));
	end(discover);
}

/* When this process began, as /proc has it. */
static uint64_t
own_start(void)
{
	FILE *file = fopen("/proc/self/stat", "re");
	char text[1024] = "";
	uint64_t ticks = 0;
	uint32_t parent;

	check(fread(text, 1, sizeof(text) - 1, file) > 0);
	check(process_parse_stat(text, &parent, &ticks));
	fclose(file);
	return ticks * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* What is said of this process. */
static enum ebpftls_answer
answer(struct discover *discover)
{
	static uint64_t number;
	struct ebpftls_hooked it = {
		.pid = (uint32_t)getpid(),
		.start = own_start(),
		.number = ++number,
	};
	int64_t last = milliseconds() + WAIT;

	check(discover_ask(discover, &it));
	do
		discover_work(discover);
	while (!discover_answer(discover, &it) && milliseconds() < last);
	check(it.number == number);
	return it.answer;
}

/* "Not known" only until it is: files have to be looked at. */
static void
await_answer(struct discover *discover, enum ebpftls_answer wanted)
{
	enum ebpftls_answer got;

	while ((got = answer(discover)) == EBPFTLS_NOT_KNOWN)
		;
	check(got == wanted);
}

/* By what it has mapped, and what it maps. */
static void
says_who_has_hooks(void)
{
	struct discover *discover = begin();

	work_until_settled(discover);
	make("a", "plain", 4096);
	make("b", "plain", 4096);
	make("c", "", 4096);
	map(&own, "a");
	await_answer(discover, EBPFTLS_NOT_HOOKED);
	map(&own, "b");
	map(&news, "b");
	await_answer(discover, EBPFTLS_NOT_HOOKED);
	map(&news, "b");
	check(answer(discover) == EBPFTLS_NOT_HOOKED);
	map(&own, "c");
	map(&news, "c");
	await_answer(discover, EBPFTLS_IS_HOOKED);
	end(discover);
}

/* Files that nobody can scan now may have hooks. */
static void
says_what_it_does_not_know(void)
{
	struct discover *discover = begin();

	work_until_settled(discover);
	make("a", "plain", 4096);
	make("slow", "slow", 4096);
	map(&own, "a");
	await_answer(discover, EBPFTLS_NOT_HOOKED);
	map(&news, "slow");
	check(answer(discover) == EBPFTLS_NOT_KNOWN);
	map(&own, "slow");
	await_answer(discover, EBPFTLS_IS_HOOKED);
	end(discover);
}

/* The process is read again, and then has more than was told. */
static void
says_so_after_a_loss(void)
{
	struct discover *discover = begin();

	work_until_settled(discover);
	make("a", "plain", 4096);
	make("b", "", 4096);
	map(&own, "a");
	await_answer(discover, EBPFTLS_NOT_HOOKED);
	map(&own, "b");
	check(answer(discover) == EBPFTLS_NOT_HOOKED);
	lost = true;
	await_answer(discover, EBPFTLS_IS_HOOKED);
	end(discover);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "hooks what is mapped", hooks_what_is_mapped },
		{ "while it scans", sleeps_while_it_scans },
		{ "small files before large ones", small_before_large },
		{ "large libraries later", does_not_wait_for_large_libraries },
		{ "a look before those", looks_again_before_them },
		{ "no descriptors for a while", no_descriptors_for_a_while },
		{ "no processes for a while", no_processes_for_a_while },
		{ "no scanner for a while", no_scanner_for_a_while },
		{ "no hooks for a while", no_hooks_for_a_while },
		{ "no hooks at all", no_hooks_at_all },
		{ "records that were lost", records_that_were_lost },
		{ "a CPU that came", cpu_that_came },
		{ "a file that changed", file_that_changed },
		{ "hooks that nobody needs", gives_hooks_back },
		{ "hooks that were wrong", gives_wrong_hooks_back },
		{ "who has hooked code", says_who_has_hooks },
		{ "who may have some", says_what_it_does_not_know },
		{ "who has some after a loss", says_so_after_a_loss },
		{ NULL, NULL },
	};

	return check_main(cases);
}
