// SPDX-License-Identifier: BSD-3-Clause
/* What is read of a process, whatever it has done to its entries in /proc. */
#define _GNU_SOURCE

#include "process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2  "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define TICK UINT64_C(10000000)
#define PID  1234

static const struct ebpftls_newcomer somebody = {
	.owner = { .start = 500 * TICK + 123,
		   .pid = PID,
		   .uid = 1000,
		   .kind = EBPFTLS_OF_PROCESS,
		   .comm = "curl" },
	.parent = 77,
};

/* --- a /proc that is made up ---------------------------------------------- */

static char base[64];
static int proc;
static struct ebpftls_process facts;

static const char *
in_folder(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%d/%s", base, PID, name);
	return path;
}

static void
put(const char *name, const void *bytes, size_t size)
{
	FILE *file = fopen(in_folder(name), "w");

	if (!check(file != NULL))
		return;
	check(fwrite(bytes, 1, size, file) == size);
	fclose(file);
}

static void
put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static void
put_stat(const char *comm, unsigned int parent, unsigned int ticks)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "%d (%s) S %u 5 5 0 -1 4194560 9 8 7 6 5 4 3 2 20 0 1 0 %u "
		 "8192 300 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1\n",
		 PID, comm, parent, ticks);
	put_text("stat", text);
}

static void
put_exe(const char *target)
{
	unlink(in_folder("exe"));
	check(symlink(target, in_folder("exe")) == 0);
}

static void
begin(void)
{
	strcpy(base, "/tmp/ebpftls-unit.XXXXXX");
	check(mkdtemp(base) != NULL);
	check(mkdir(in_folder(""), 0700) == 0);
	proc = open(base, O_PATH | O_CLOEXEC);
	put_stat("curl", 99, 500);
	put_exe("/usr/bin/curl");
	put("cmdline", "curl\0-v\0x", sizeof("curl\0-v\0x"));
	put_text("cgroup", "0::/user.slice\n");
}

static void
end(void)
{
	char command[128];

	close(proc);
	snprintf(command, sizeof(command), "rm -r %s", base);
	check(system(command) == 0);
}

/* Whether /proc had anything to say. */
static bool
read_one(const struct ebpftls_newcomer *who)
{
	int folder = process_open(proc, who->owner.pid);
	bool found = false;

	process_known(who, &facts);
	if (folder < 0)
		return false;
	found = process_read(folder, who, &facts);
	if (found)
		process_read_command(folder, &facts);
	close(folder);
	return found;
}

static bool
is(const char *exe, const char *command, const char *cgroup)
{
	return strcmp(facts.exe, exe) == 0 &&
	       strcmp(facts.command, command) == 0 &&
	       strcmp(facts.cgroup, cgroup) == 0;
}

static void
reads_all(void)
{
	begin();
	check(read_one(&somebody));
	check(is("/usr/bin/curl", "curl -v x", "/user.slice"));
	check(facts.pid == PID && facts.start == somebody.owner.start);
	check(facts.uid == 1000 && facts.parent == 77);
	check(strcmp(facts.comm, "curl") == 0 && facts.container[0] == '\0');
	end();
}

static void
asks_stat_for_the_parent(void)
{
	struct ebpftls_newcomer orphan = somebody;

	begin();
	orphan.parent = 0;
	check(read_one(&orphan) && facts.parent == 99);
	end();
}

static void
knows_the_process(void)
{
	static const struct {
		unsigned int ticks;
		uint64_t start;
		bool same;
	} cases[] = {
		{ 500, 500 * TICK, true },
		{ 500, 501 * TICK - 1, true },
		{ 500, 501 * TICK, false },
		{ 500, 500 * TICK - 1, false },
		{ 0, 0, true },
		{ 501, 500 * TICK, false },
	};

	begin();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ebpftls_newcomer who = somebody;

		who.owner.start = cases[i].start;
		put_stat("curl", 99, cases[i].ticks);
		check(read_one(&who) == cases[i].same);
		check((facts.exe[0] != '\0') == cases[i].same);
		check(facts.pid == PID && facts.uid == 1000);
	}
	end();
}

static void
is_not_fooled_by_a_name(void)
{
	static const char *const names[] = {
		"",
		")",
		") R 1",
		") S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
		"a\n1 (b) S 3",
		"((((",
		"\xff\x80 )(",
	};

	begin();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct ebpftls_newcomer who = somebody;

		who.parent = 0;
		put_stat(names[i], 42, 500);
		check(read_one(&who) && facts.parent == 42);
	}
	end();
}

static void
needs_a_whole_stat(void)
{
	static const char *const texts[] = {
		"",
		"1234",
		"1234 (curl",
		"1234 (curl)",
		"1234 (curl) S 1 2 3",
		"1234 (curl) S x 5 5 0 -1 4 9 8 7 6 5 4 3 2 20 0 1 0 500 8",
		"1234 (curl) S 99 5 5 0 -1 4 9 8 7 6 5 4 3 2 20 0 1 0",
	};

	begin();
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put_text("stat", texts[i]);
		check(!read_one(&somebody));
		check(is("", "", "") && facts.parent == 77);
	}
	end();
}

/* Each file can go while the others are read. */
static void
takes_what_there_is(void)
{
	begin();
	unlink(in_folder("exe"));
	check(read_one(&somebody) && is("", "curl -v x", "/user.slice"));
	unlink(in_folder("cmdline"));
	check(read_one(&somebody) && is("", "", "/user.slice"));
	unlink(in_folder("cgroup"));
	check(read_one(&somebody) && is("", "", ""));
	unlink(in_folder("stat"));
	check(!read_one(&somebody) && facts.uid == 1000);
	check(mkdir(in_folder("stat"), 0700) == 0);
	check(!read_one(&somebody) && facts.uid == 1000);
	end();
}

static void
knows_nobody(void)
{
	struct ebpftls_newcomer who = somebody;

	begin();
	who.owner.pid = UINT32_MAX;
	check(!read_one(&who));
	check(facts.pid == UINT32_MAX && strcmp(facts.comm, "curl") == 0);
	memset(who.owner.comm, 'x', sizeof(who.owner.comm));
	check(!read_one(&who));
	check(strlen(facts.comm) == sizeof(facts.comm) - 1);
	end();
}

static void
reads_commands(void)
{
	static const struct {
		const char *bytes;
		size_t size;
		const char *want;
	} cases[] = {
		{ "", 0, "" },
		{ "\0\0\0", 3, "" },
		{ "a", 1, "a" },
		{ "a\0b", 4, "a b" },
		{ "a\0\0b\0\0\0", 7, "a  b" },
		{ "\0a", 3, " a" },
		{ "a b\0c\n\\=\xff\x01", 10, "a b c\n\\=\xff\x01" },
		{ "title: x   ", 11, "title: x   " },
	};

	begin();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put("cmdline", cases[i].bytes, cases[i].size);
		check(read_one(&somebody));
		check(strcmp(facts.command, cases[i].want) == 0);
	}
	end();
}

static void
cuts_commands(void)
{
	const size_t size = 2 << 20, most = EBPFTLS_COMMAND_SIZE - 1;
	char *bytes = malloc(size);

	begin();
	memset(bytes, 'x', size);
	bytes[4] = '\0';
	for (size_t some = most - 1; some <= most + 1; some++) {
		put("cmdline", bytes, some);
		check(read_one(&somebody));
		check(strlen(facts.command) == (some < most ? some : most));
		check(strncmp(facts.command, "xxxx xx", 7) == 0);
	}
	put("cmdline", bytes, size);
	check(read_one(&somebody) && strlen(facts.command) == most);
	memset(bytes, 0, size);
	put("cmdline", bytes, size);
	check(read_one(&somebody) && facts.command[0] == '\0');
	free(bytes);
	end();
}

static void
reads_any_exe(void)
{
	char longest[2000];

	begin();
	put_exe("/tmp/a b (deleted)");
	check(read_one(&somebody));
	check(strcmp(facts.exe, "/tmp/a b (deleted)") == 0);
	put_exe("/memfd:\n\xff=\\ (deleted)");
	check(read_one(&somebody));
	check(strcmp(facts.exe, "/memfd:\n\xff=\\ (deleted)") == 0);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	put_exe(longest);
	check(read_one(&somebody));
	check(strlen(facts.exe) == sizeof(facts.exe) - 1);
	end();
}

static void
finds_the_cgroup(void)
{
	static const char *const hybrid =
	    "12:pids:/other\n3:cpu,cpuacct:/x:y\n1:name=systemd:/0::/no\n"
	    "0::/init.scope/a b\n";
	static char text[70000];
	size_t at = 0;

	begin();
	put_text("cgroup", hybrid);
	check(read_one(&somebody));
	check(strcmp(facts.cgroup, "/init.scope/a b") == 0);
	put_text("cgroup", "5:pids:/x\n");
	check(read_one(&somebody) && facts.cgroup[0] == '\0');
	put_text("cgroup", "0::/gone (deleted)\n");
	check(read_one(&somebody));
	check(strcmp(facts.cgroup, "/gone (deleted)") == 0);
	/* long lines, and what follows them */
	for (int i = 13; i > 0; i--) {
		at += (size_t)sprintf(text + at, "%d:x:/", i);
		memset(text + at, 'y', 4000);
		at += 4000;
		text[at++] = '\n';
	}
	strcpy(text + at, "0::/last\n");
	put_text("cgroup", text);
	check(read_one(&somebody) && strcmp(facts.cgroup, "/last") == 0);
	memset(text, '/', sizeof(text) - 1);
	memcpy(text, "0::", 3);
	put_text("cgroup", text);
	check(read_one(&somebody));
	check(strlen(facts.cgroup) == sizeof(facts.cgroup) - 1);
	end();
}

static void
finds_the_container(void)
{
	static const struct {
		const char *cgroups;
		const char *container;
	} cases[] = {
		{ "0::/docker/" ID, ID },
		{ "0::/system.slice/docker-" ID ".scope", ID },
		{ "0::/machine.slice/libpod-" ID ".scope", ID },
		{ "0::/machine.slice/libpod-" ID ".scope/container", ID },
		{ "0::/user.slice/u/libpod-payload-" ID, ID },
		{ "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID
		  ".scope",
		  ID },
		{ "0::/system.slice/containerd.service/"
		  "kubepods-burstable-pod1.slice:cri-containerd:" ID,
		  ID },
		{ "0::/kubepods/besteffort/pod6a-77/" ID, ID },
		{ "0::/kubepods.slice/crio-" ID ".scope", ID },
		{ "0::/docker/" ID "/system.slice/nginx.service", ID },
		{ "0::/docker/" ID "/docker/" ID2, ID2 },
		{ "0::/../" ID, ID },
		{ "4:memory:/docker/" ID "\n0::/", ID },
		{ "4:memory:/x\n1:name=systemd:/docker/" ID "\n0::/", ID },
		{ "0::/docker/" ID " (deleted)", "" },
		{ "0::/machine.slice/libpod-conmon-" ID ".scope", "" },
		{ "0::/kubepods.slice/crio-conmon-" ID ".scope", "" },
		{ "0::/docker/0" ID, "" },
		{ "0::/docker/x" ID, "" },
		{ "0::/docker/0123456789abcdef", "" },
		{ "0::/docker/" ID "x", "" },
		{ "0::/docker/" ID ".scope.scope", "" },
		{ "0::/.scope", "" },
		{ "0::/", "" },
		{ "0::", "" },
		{ "", "" },
	};

	begin();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_text("cgroup", cases[i].cgroups);
		check(read_one(&somebody));
		if (!check(strcmp(facts.container, cases[i].container) == 0))
			printf("# %s\n", cases[i].cgroups);
	}
	end();
}

/* --- processes that are ----------------------------------------------------
 */

/*
 * A child that does `work`, says so, and waits for its end. Returns what is
 * known of it in advance.
 */
static struct ebpftls_newcomer
start_child(void (*work)(void))
{
	struct ebpftls_newcomer who = { .owner.uid = 5 };
	char path[64], text[1024];
	unsigned long long ticks = 0;
	int done[2];
	FILE *file;

	check(pipe(done) == 0);
	who.owner.pid = (uint32_t)fork();
	if (who.owner.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(done[1], 3);
		fcntl(3, F_SETFD, FD_CLOEXEC);
		close_range(4, ~0U, 0);
		work();
		close(3);
		for (;;)
			pause();
	}
	close(done[1]);
	check(read(done[0], text, 1) == 0);
	close(done[0]);
	snprintf(path, sizeof(path), "/proc/%u/stat", who.owner.pid);
	file = fopen(path, "r");
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	/* field 22; no blanks in what the children call themselves */
	if (strchr(text, ' ') != NULL)
		sscanf(strrchr(text, ')') + 2,
		       "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		       "%*s %*s %*s %*s %*s %*s %llu",
		       &ticks);
	who.owner.start = ticks * TICK + TICK / 2;
	return who;
}

static void
end_child(const struct ebpftls_newcomer *who)
{
	kill((pid_t)who->owner.pid, SIGKILL);
	check(waitpid((pid_t)who->owner.pid, NULL, 0) == (pid_t)who->owner.pid);
}

static void
rename_itself(void)
{
	prctl(PR_SET_NAME, ") R 1 (\n) S 2");
}

static void
run_sleep(void)
{
	static char arguments[100][100];
	char *list[102] = { (char *)(uintptr_t) "sleep",
			    (char *)(uintptr_t) "1000" };

	for (int i = 2; i < 100; i++) {
		memset(arguments[i], '0', 50);
		list[i] = arguments[i];
	}
	execv("/bin/sleep", list);
	_exit(1);
}

static void
reads_one_that_renamed_itself(void)
{
	struct ebpftls_newcomer who = start_child(rename_itself);
	char exe[256] = "";

	proc = open("/proc", O_PATH | O_CLOEXEC);
	check(read_one(&who));
	check(facts.parent == (uint32_t)getpid() && facts.uid == 5);
	check(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	check(strcmp(facts.exe, exe) == 0 && facts.command[0] != '\0');
	end_child(&who);
	close(proc);
}

static void
reads_one_that_ran_a_program(void)
{
	struct ebpftls_newcomer who = start_child(run_sleep);

	proc = open("/proc", O_PATH | O_CLOEXEC);
	/* the arguments come after the end of the old program */
	do
		check(read_one(&who));
	while (!check_failed && facts.command[0] == '\0');
	check(strstr(facts.exe, "/sleep") != NULL ||
	      strstr(facts.exe, "/busybox") != NULL ||
	      strstr(facts.exe, "/coreutils") != NULL);
	check(strncmp(facts.command, "sleep 1000 000", 14) == 0);
	check(strlen(facts.command) == sizeof(facts.command) - 1);
	end_child(&who);
	close(proc);
}

static void
misses_one_that_has_gone(void)
{
	struct ebpftls_newcomer who = start_child(rename_itself);
	int folder;

	proc = open("/proc", O_PATH | O_CLOEXEC);
	folder = process_open(proc, who.owner.pid);
	check(folder >= 0);
	end_child(&who);
	check(!read_one(&who));
	process_known(&who, &facts);
	check(!process_read(folder, &who, &facts));
	process_read_command(folder, &facts);
	check(is("", "", "") && facts.pid == who.owner.pid);
	close(folder);
	close(proc);
}

static void
reads_a_kernel_thread(void)
{
	struct ebpftls_newcomer who = { .owner.pid = 2 };
	int folder;

	proc = open("/proc", O_PATH | O_CLOEXEC);
	folder = process_open(proc, who.owner.pid);
	process_known(&who, &facts);
	process_read_command(folder, &facts);
	check(facts.command[0] == '\0');
	if (folder >= 0)
		close(folder);
	close(proc);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "all that there is to know", reads_all },
		{ "a parent that only stat knows", asks_stat_for_the_parent },
		{ "another process of that pid", knows_the_process },
		{ "names that look like more", is_not_fooled_by_a_name },
		{ "a stat that is none", needs_a_whole_stat },
		{ "files that have gone", takes_what_there_is },
		{ "a process that has gone", knows_nobody },
		{ "command lines", reads_commands },
		{ "command lines without an end", cuts_commands },
		{ "programs of any name", reads_any_exe },
		{ "the unified hierarchy", finds_the_cgroup },
		{ "containers", finds_the_container },
		{ "a real one with a hostile name",
		  reads_one_that_renamed_itself },
		{ "a real one that ran a program",
		  reads_one_that_ran_a_program },
		{ "a real one that ended meanwhile", misses_one_that_has_gone },
		{ "a thread of the kernel", reads_a_kernel_thread },
		{ NULL, NULL },
	};

	return check_main(cases);
}
