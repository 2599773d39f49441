// SPDX-License-Identifier: BSD-3-Clause
/*
 * From newcomers to messages: in order, never waiting, never growing, with a
 * /proc in which processes can hang.
 */
#define _GNU_SOURCE

#include "people.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "ebpftls-control-io.h"

#define TICK UINT64_C(10000000)

static char base[64];
static int ring, ours, theirs;
static struct people *people;

/* --- the surroundings ----------------------------------------------------- */

static const char *
in_folder(uint32_t pid, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%u/%s", base, pid, name);
	return path;
}

static void
put(uint32_t pid, const char *name, const char *text)
{
	FILE *file = fopen(in_folder(pid, name), "w");

	if (!check(file != NULL))
		return;
	fputs(text, file);
	fclose(file);
}

static void
make_process(uint32_t pid)
{
	char text[256];

	check(mkdir(in_folder(pid, ""), 0700) == 0);
	snprintf(text, sizeof(text),
		 "%u (x) S 1 5 5 0 -1 4 9 8 7 6 5 4 3 2 20 0 1 0 500 8\n", pid);
	put(pid, "stat", text);
	put(pid, "cmdline", "command");
	check(symlink("/bin/x", in_folder(pid, "exe")) == 0);
}

/* Opening it is possible, but nothing comes. Returns what keeps it so. */
static int
make_hang(uint32_t pid)
{
	make_process(pid);
	unlink(in_folder(pid, "cmdline"));
	check(mkfifo(in_folder(pid, "cmdline"), 0600) == 0);
	return open(in_folder(pid, "cmdline"), O_RDWR | O_CLOEXEC);
}

static struct ebpftls_newcomer
newcomer(uint32_t pid)
{
	return (struct ebpftls_newcomer){
		.owner = { .start = 500 * TICK,
			   .pid = pid,
			   .kind = EBPFTLS_OF_PROCESS,
			   .comm = "x" },
		.parent = 1,
		.seen = 1,
	};
}

/*
 * False, and said so, where there can be no ring. What would wait for the
 * module fails in the end.
 */
static bool
begin(void)
{
	const struct timeval soon = { .tv_usec = 1000 };
	struct failure failure;
	int pair[2];

	ring =
	    bpf_map_create(BPF_MAP_TYPE_RINGBUF, "events", 0, 0, 65536, NULL);
	if (ring < 0) {
		check_skip("no BPF ring buffers for us");
		return false;
	}
	strcpy(base, "/tmp/ebpftls-unit.XXXXXX");
	check(mkdtemp(base) != NULL);
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	ours = pair[0];
	theirs = pair[1];
	setsockopt(ours, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	people = people_start(ring, ours, base, NULL, false, &failure);
	return check(people != NULL);
}

static void
end(void)
{
	char command[128];

	people_close(people);
	close(ring);
	close(ours);
	close(theirs);
	snprintf(command, sizeof(command), "rm -r %s", base);
	check(system(command) == 0);
}

static void
work_once(void)
{
	struct pollfd wait = { people_fd(people), POLLIN, 0 };

	if (check(poll(&wait, 1, 20000) == 1))
		people_work(people);
}

static void
saw(const struct ebpftls_newcomer *who)
{
	while (!check_failed && !people_saw(people, who))
		work_once();
	people_work(people);
}

static void
saw_pid(uint32_t pid)
{
	struct ebpftls_newcomer who = newcomer(pid);

	saw(&who);
}

/* False: nothing has been sent. */
static bool
receive(union ebpftls_any_message *message)
{
	struct pollfd wait = { theirs, POLLIN, 0 };
	int fds[EBPFTLS_RINGS_MAX];
	size_t count;

	if (poll(&wait, 1, 0) != 1)
		return false;
	check(ebpftls_control_receive(theirs, message, fds, &count) ==
	      EBPFTLS_PROCESS);
	return true;
}

static struct ebpftls_process
next(void)
{
	union ebpftls_any_message message;

	memset(&message, 0, sizeof(message));
	while (!check_failed && !receive(&message))
		work_once();
	return message.process;
}

/* --- cases ---------------------------------------------------------------- */

static void
sends_facts(void)
{
	struct ebpftls_process facts;

	if (!begin())
		return;
	make_process(7);
	saw_pid(7);
	facts = next();
	check(facts.pid == 7 && facts.start == 500 * TICK);
	check(facts.parent == 1 && strcmp(facts.comm, "x") == 0);
	check(strcmp(facts.exe, "/bin/x") == 0);
	check(strcmp(facts.command, "command") == 0);
	end();
}

/* Until all that were seen are in the queue, and nothing can be sent. */
static void
work_until_idle(void)
{
	struct pollfd wait = { people_fd(people), POLLIN, 0 };

	while (!check_failed && poll(&wait, 1, 200) == 1)
		people_work(people);
}

/* Who is in no frame is not told of; who was soon gone, all the same. */
static void
sends_what_is_seen(void)
{
	struct ebpftls_newcomer who = newcomer(7), other = newcomer(8);
	char command[160];
	struct ebpftls_process facts;

	if (!begin())
		return;
	make_process(7);
	make_process(8);
	who.seen = other.seen = 0;
	saw(&other);
	saw(&who);
	work_until_idle();
	snprintf(command, sizeof(command), "rm -r %s/7", base);
	check(system(command) == 0);
	who.seen = 1;
	who.parent = 0;
	saw(&who);
	facts = next();
	check(facts.pid == 7 && facts.parent == 1);
	check(strcmp(facts.command, "command") == 0);
	/* both at once: it is still being read */
	make_process(9);
	who = newcomer(9);
	who.seen = 0;
	check(people_saw(people, &who));
	who.seen = 1;
	saw(&who);
	check(next().pid == 9);
	end();
}

/* More than are read at once, some of whom are no more. */
static void
keeps_the_order(void)
{
	if (!begin())
		return;
	for (uint32_t pid = 1; pid <= 300; pid += 3)
		make_process(pid);
	for (uint32_t pid = 1; pid <= 300; pid++)
		saw_pid(pid);
	for (uint32_t pid = 1; pid <= 300; pid++) {
		struct ebpftls_process facts = next();

		check(facts.pid == pid);
		check((facts.exe[0] != '\0') == (pid % 3 == 1));
	}
	end();
}

static void
says_nothing_twice(void)
{
	struct ebpftls_newcomer again = newcomer(7);

	if (!begin())
		return;
	make_process(7);
	for (int i = 0; i < 5; i++)
		saw_pid(7);
	strcpy(again.owner.comm, "y");
	saw(&again);
	saw(&again);
	put(7, "cmdline", "other");
	/* of another process, and the first again, which runs another program
	 */
	again.owner.start += TICK;
	saw(&again);
	again = newcomer(7);
	again.seen = 0;
	saw(&again);
	saw_pid(7);
	saw_pid(8);
	check(strcmp(next().comm, "x") == 0);
	check(strcmp(next().comm, "y") == 0);
	check(next().start == 501 * TICK);
	check(strcmp(next().command, "other") == 0);
	check(next().pid == 8);
	end();
}

static void
bounds_the_queue(void)
{
	const uint32_t most = 3 * PEOPLE_QUEUE_MAX;
	union ebpftls_any_message message;
	uint32_t pid = 0, early = 0, late = 0;

	if (!begin())
		return;
	for (uint32_t i = 1; i <= most; i++)
		saw_pid(i);
	work_until_idle();
	while (receive(&message)) {
		check(message.process.pid == ++pid);
		early++;
	}
	work_once();
	check(receive(&message) && message.process.pid > pid + 1);
	for (pid = message.process.pid, late = 1; pid < most; late++)
		check(next().pid == ++pid);
	check(early > 0 && late == PEOPLE_QUEUE_MAX);
	/* and what was dropped can be told later */
	saw_pid(early + 1);
	check(next().pid == early + 1);
	end();
}

/* What else the agent says would wait without that, and the agent with it. */
static void
leaves_room(void)
{
	union ebpftls_any_message note;

	if (!begin())
		return;
	for (uint32_t i = 1; i <= PEOPLE_QUEUE_MAX; i++)
		saw_pid(i);
	work_until_idle();
	for (int i = 0; i < 20; i++) {
		memset(&note, 0, sizeof(note));
		check(ebpftls_control_send(ours, &note, EBPFTLS_NOTE, NULL,
					   0) == 0);
	}
	end();
}

static void
ends_with_the_peer(void)
{
	if (!begin())
		return;
	for (uint32_t i = 1; i <= 500; i++)
		saw_pid(i);
	close(theirs);
	theirs = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (uint32_t i = 501; i <= 600; i++)
		saw_pid(i);
	end();
}

/* What can be known of it is, and all the others are served. */
static void
survives_one_that_hangs(void)
{
	struct ebpftls_process facts;
	int hang;

	if (!begin())
		return;
	make_process(1);
	hang = make_hang(2);
	make_process(3);
	for (uint32_t pid = 1; pid <= 3; pid++)
		saw_pid(pid);
	check(next().pid == 1);
	facts = next();
	check(facts.pid == 2 && strcmp(facts.exe, "/bin/x") == 0);
	check(facts.command[0] == '\0');
	facts = next();
	check(facts.pid == 3 && strcmp(facts.command, "command") == 0);
	close(hang);
	end();
}

static int64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* The first makes it wait, but the hundredth cannot. */
static void
loses_its_patience(void)
{
	int hangs[100];
	int64_t start;

	if (!begin())
		return;
	for (uint32_t i = 0; i < 100; i++)
		hangs[i] = make_hang(1 + i);
	start = now();
	for (uint32_t i = 0; i < 100; i++)
		saw_pid(1 + i);
	for (uint32_t i = 0; i < 100; i++)
		check(next().pid == 1 + i);
	/* 100 times the first wait are 20 seconds */
	check(now() - start < 10000);
	/* and it comes back */
	for (uint32_t i = 0; i < 100; i++) {
		make_process(1001 + i);
		saw_pid(1001 + i);
		check(next().command[0] != '\0' || i == 0);
	}
	ebpftls_control_close(hangs, 100);
	end();
}

static void
replaces_the_reader(void)
{
	struct pollfd idle = { .events = POLLIN };
	pid_t reader;

	if (!begin())
		return;
	idle.fd = people_fd(people);
	make_process(1);
	saw_pid(1);
	check(next().pid == 1);
	reader = check_child();
	if (reader == 0) {
		check_skip("this kernel does not tell of children");
	} else {
		check_kill(reader);
		check(poll(&idle, 1, 0) == 0);
		for (uint32_t pid = 2; pid <= 4; pid++) {
			make_process(pid);
			saw_pid(pid);
			check(next().pid == pid);
		}
		make_process(5);
		saw_pid(5);
		check(strcmp(next().command, "command") == 0);
	}
	end();
}

static bool
has_only_its_socket(pid_t pid)
{
	char path[64];

	for (int fd = 1; fd < 20; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		if (access(path, F_OK) == 0)
			return false;
	}
	return true;
}

/* What the reader must not keep, if it cannot end. */
static void
reader_holds_nothing(void)
{
	pid_t reader;

	if (!begin())
		return;
	make_process(1);
	saw_pid(1);
	check(next().pid == 1);
	reader = check_child();
	/* it closes the process's folder after it has answered */
	for (int i = 0; i < 5000 && !has_only_its_socket(reader); i++)
		poll(NULL, 0, 1);
	if (reader == 0)
		check_skip("this kernel does not tell of children");
	else
		check(has_only_its_socket(reader));
	end();
}

/* --- the ring ------------------------------------------------------------- */

#define WORDS (sizeof(struct ebpftls_newcomer) / 8)

/* A program that puts what it is called with into the ring; or -1. */
static int
load_writer(void)
{
	const int16_t size = sizeof(struct ebpftls_newcomer);
	const struct bpf_insn tail[] = {
		{ BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0,
		  ring },
		{ 0, 0, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0 },
		{ BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -size },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, size },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0 },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output },
		{ BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	struct bpf_insn program[2 * WORDS + sizeof(tail) / sizeof(tail[0])];
	LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = BPF_F_SLEEPABLE);

	for (size_t i = 0; i < WORDS; i++) {
		int16_t at = (int16_t)(8 * i);

		program[2 * i] =
		    (struct bpf_insn){ BPF_LDX | BPF_DW | BPF_MEM, BPF_REG_2,
				       BPF_REG_1, at, 0 };
		program[2 * i + 1] =
		    (struct bpf_insn){ BPF_STX | BPF_DW | BPF_MEM, BPF_REG_10,
				       BPF_REG_2, (int16_t)(at - size), 0 };
	}
	memcpy(program + 2 * WORDS, tail, sizeof(tail));
	return bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "writer", "GPL", program,
			     sizeof(program) / sizeof(program[0]), &options);
}

static void
write_ring(int writer, uint32_t pid)
{
	struct ebpftls_newcomer who = newcomer(pid);
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &who,
		    .ctx_size_in = sizeof(who));

	check(bpf_prog_test_run_opts(writer, &run) == 0);
}

/* More than it reads at once, and fewer than fit the ring. */
static void
reads_the_ring(void)
{
	int writer;

	if (!begin())
		return;
	writer = load_writer();
	if (writer < 0)
		check_skip("no program that could fill the ring");
	for (uint32_t pid = 1; writer >= 0 && pid <= 600; pid++) {
		make_process(pid);
		write_ring(writer, pid);
	}
	for (uint32_t pid = 1; writer >= 0 && pid <= 600; pid++) {
		struct ebpftls_process facts = next();

		check(facts.pid == pid && facts.exe[0] != '\0');
	}
	if (writer >= 0)
		close(writer);
	end();
}

static void
closes_nothing(void)
{
	people_close(NULL);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "facts are sent", sends_facts },
		{ "who is in no frame", sends_what_is_seen },
		{ "in order", keeps_the_order },
		{ "nothing is said twice", says_nothing_twice },
		{ "a module that does not listen", bounds_the_queue },
		{ "room for what else there is to say", leaves_room },
		{ "a module that has gone", ends_with_the_peer },
		{ "a process that hangs", survives_one_that_hangs },
		{ "a hundred that hang", loses_its_patience },
		{ "a reader that dies", replaces_the_reader },
		{ "a reader that holds nothing", reader_holds_nothing },
		{ "newcomers in the ring", reads_the_ring },
		{ "none to close", closes_nothing },
		{ NULL, NULL },
	};

	return check_main(cases);
}
