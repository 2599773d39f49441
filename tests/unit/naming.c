// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does a file say of each packet whose it is, and what is known of a process
 * when it has to: at first, when it changes, when the pid is another's?
 *
 * What is said of a packet is shown as a line: C comment, T pid/tid, P and R
 * number of a process block; the blocks before it as B pid/name.
 */
#include "ebpftls-naming.h"

#include "unit/check.h"

#define BOOT  UINT64_C(1795250520000000000)
#define DATE  "start=2026-11-21T08:42:00."
#define LIMIT 8192
#define BOTH  (EBPFTLS_BY_COMMENT | EBPFTLS_BY_BLOCK)

static struct ebpftls_people *people;
static struct ebpftls_naming *naming;
static struct ebpftls_blocks blocks;
static char line[4 * 8192];
static uint64_t now;

static void
set_up(unsigned int by)
{
	people = ebpftls_people_new(LIMIT);
	naming = ebpftls_naming_new(by, BOOT);
	check(ebpftls_blocks_reserve(&blocks, EBPFTLS_NAMING_BLOCKS_MAX));
}

static void
tear_down(void)
{
	ebpftls_naming_free(naming);
	ebpftls_people_free(people);
	ebpftls_blocks_free(&blocks);
}

static struct ebpftls_owner
person(uint32_t pid, uint64_t start, const char *comm)
{
	struct ebpftls_owner owner = {
		.start = start,
		.pid = pid,
		.tid = pid + 1,
		.uid = 33,
		.kind = EBPFTLS_OF_PROCESS,
	};

	strcpy(owner.comm, comm);
	return owner;
}

static void
learn(uint32_t pid, uint64_t start, const char *exe)
{
	struct ebpftls_process facts;

	memset(&facts, 0, sizeof(facts));
	facts.pid = pid;
	facts.start = start;
	strcpy(facts.exe, exe);
	ebpftls_people_learn(people, &facts);
}

/* No more than packets say. */
static void
know(const struct ebpftls_owner *owner)
{
	struct ebpftls_process facts;

	memset(&facts, 0, sizeof(facts));
	facts.pid = owner->pid;
	facts.start = owner->start;
	facts.uid = owner->uid;
	memcpy(facts.comm, owner->comm, sizeof(facts.comm));
	ebpftls_people_learn(people, &facts);
}

static uint32_t
word(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static char *
show_option(char *to, uint16_t code, const uint8_t *value, uint16_t size)
{
	switch (code) {
	case 1:
		return to + sprintf(to, "C[%.*s] ", size, (const char *)value);
	case 8:
		check(size == 8);
		return to +
		       sprintf(to, "T%u/%u ", word(value), word(value + 4));
	case 32769:
	case 32771:
		check(size == 4);
		return to + sprintf(to, "%c%u ", code == 32769 ? 'P' : 'R',
				    word(value));
	default:
		check(false);
		return to;
	}
}

static char *
show_options(char *to, const uint8_t *at, const uint8_t *end)
{
	uint16_t head[2];

	while (check(at + 4 <= end)) {
		memcpy(head, at, sizeof(head));
		if (!check(at + 4 + head[1] <= end))
			break;
		to = show_option(to, head[0], at + 4, head[1]);
		at += 4 + (head[1] + 3) / 4 * 4;
		if (at == end)
			break;
	}
	return to;
}

static char *
show_blocks(char *to)
{
	size_t at = 0;

	while (at < blocks.size) {
		const uint8_t *block = blocks.bytes + at;
		uint16_t head[2];

		memcpy(head, block + 12, sizeof(head));
		check(word(block) == 0x80000001u && head[0] == 2);
		to += sprintf(to, "B%u/%.*s ", word(block + 8), head[1],
			      (const char *)block + 16);
		at += word(block + 4);
	}
	check(at == blocks.size && at <= EBPFTLS_NAMING_BLOCKS_MAX);
	blocks.size = 0;
	return to;
}

/* What is said of a packet of these two. */
static const char *
said(const struct ebpftls_owner *sender, const struct ebpftls_owner *receiver)
{
	struct ebpftls_record record = { .time = now,
					 .sender = sender,
					 .receiver = receiver };
	char *to;

	ebpftls_naming_packet(naming, people, &record, &blocks);
	to = show_blocks(line);
	if (record.options_size > 0)
		to = show_options(to, record.options,
				  record.options + record.options_size);
	*to = '\0';
	if (to > line)
		to[-1] = '\0';
	return line;
}

static bool
is(const char *got, const char *want)
{
	if (strcmp(got, want) == 0)
		return true;
	printf("  there is \"%s\", wanted \"%s\"\n", got, want);
	return false;
}

#define CURL  "pid=7 comm=curl uid=33"
#define NGINX "pid=9 comm=nginx uid=33"

static void
both(void)
{
	const struct ebpftls_owner curl = person(7, 1, "curl");
	const struct ebpftls_owner nginx = person(9, 2, "nginx");

	set_up(BOTH);
	know(&curl);
	know(&nginx);
	check(is(said(&curl, NULL),
		 "B7/curl C[" CURL "] T7/8 P0 "
		 "C[process pid=7 " DATE "000000001Z uid=33 comm=curl]"));
	check(is(said(&curl, NULL), "C[" CURL "] T7/8 P0"));
	check(is(said(NULL, &curl), "C[" CURL "] T7/8 P0"));
	check(is(said(&nginx, &curl),
		 "B9/nginx C[" NGINX " to-pid=7 to-comm=curl to-uid=33] "
		 "T9/10 P1 R0 C[process pid=9 " DATE
		 "000000002Z uid=33 comm=nginx]"));
	check(is(said(&nginx, &curl),
		 "C[" NGINX " to-pid=7 to-comm=curl to-uid=33] T9/10 P1 R0"));
	check(is(said(&curl, &nginx),
		 "C[" CURL " to-pid=9 to-comm=nginx to-uid=33] T7/8 P0 R1"));
	check(is(said(&curl, &curl),
		 "C[" CURL " to-pid=7 to-comm=curl to-uid=33] T7/8 P0 R0"));
	check(is(said(NULL, NULL), ""));
	tear_down();
}

/* A reader of comments does not need blocks, nor the other way round. */
static void
one_of_them(void)
{
	const struct ebpftls_owner curl = person(7, 0, "curl");
	const struct ebpftls_owner nginx = person(9, 0, "nginx");

	set_up(EBPFTLS_BY_COMMENT);
	know(&curl);
	check(is(said(&curl, NULL),
		 "C[" CURL "] C[process pid=7 uid=33 comm=curl]"));
	check(is(said(&curl, NULL), "C[" CURL "]"));
	tear_down();
	set_up(EBPFTLS_BY_BLOCK);
	check(is(said(&curl, &nginx), "B7/curl B9/nginx T7/8 P0 R1"));
	check(is(said(&curl, &nginx), "T7/8 P0 R1"));
	tear_down();
}

static void
not_processes(void)
{
	const struct ebpftls_owner kernel = { .kind = EBPFTLS_OF_KERNEL };
	const struct ebpftls_owner unknown = { .kind = EBPFTLS_OF_UNKNOWN };
	const struct ebpftls_owner curl = person(7, 0, "curl");

	set_up(BOTH);
	check(is(said(&unknown, NULL), "C[pid=unknown]"));
	check(
	    is(said(&kernel, NULL), "B0/kernel C[pid=0 comm=kernel uid=0] P0"));
	check(is(said(NULL, &kernel), "C[pid=0 comm=kernel uid=0] P0"));
	check(is(said(&unknown, &kernel),
		 "C[pid=unknown to-pid=0 to-comm=kernel to-uid=0] R0"));
	said(&curl, NULL);
	check(is(said(&curl, &unknown), "C[" CURL " to-pid=unknown] T7/8 P1"));
	tear_down();
	set_up(EBPFTLS_BY_BLOCK);
	check(is(said(&unknown, NULL), ""));
	tear_down();
}

static void
facts_come_late(void)
{
	const struct ebpftls_owner curl = person(7, 1, "curl");
	const struct ebpftls_owner nginx = person(9, 0, "nginx");

	set_up(EBPFTLS_BY_COMMENT);
	check(is(said(&curl, NULL), "C[" CURL "]"));
	said(&nginx, NULL);
	learn(7, 1, "/bin/curl");
	learn(7, 2, "/bin/other");
	check(is(said(&nginx, NULL), "C[" NGINX "]"));
	check(is(said(&curl, NULL), "C[" CURL "] C[process pid=7 " DATE
				    "000000001Z uid=0 comm=curl "
				    "exe=/bin/curl]"));
	check(is(said(&curl, NULL), "C[" CURL "]"));
	learn(7, 1, "/bin/curl");
	check(is(said(&curl, NULL), "C[" CURL "]"));
	learn(7, 1, "/bin/wget");
	check(is(said(&curl, NULL), "C[" CURL "] C[process pid=7 " DATE
				    "000000001Z uid=0 comm=curl "
				    "exe=/bin/wget]"));
	check(is(said(&curl, NULL), "C[" CURL "]"));
	tear_down();
}

/* Until then it is said whose a packet is, by its name of the moment. */
static void
facts_are_awaited(void)
{
	const struct ebpftls_owner shell = person(7, 1, "sh");
	const struct ebpftls_owner curl = person(7, 1, "curl");
	const struct ebpftls_owner again = person(7, 2, "sh");

	set_up(BOTH);
	now = 0;
	check(is(said(&shell, NULL), "B7/sh C[pid=7 comm=sh uid=33] T7/8 P0"));
	check(is(said(&shell, NULL), "C[pid=7 comm=sh uid=33] T7/8 P0"));
	check(is(said(&curl, NULL), "B7/curl C[" CURL "] T7/8 P1"));
	check(is(said(&shell, NULL), "C[pid=7 comm=sh uid=33] T7/8 P0"));
	check(is(said(NULL, &curl), "C[" CURL "] T7/8 P1"));
	learn(7, 1, "/a");
	check(is(said(&curl, NULL), "C[" CURL "] T7/8 P1 C[process pid=7 " DATE
				    "000000001Z uid=0 comm=sh exe=/a]"));
	check(is(said(&curl, NULL), "C[" CURL "] T7/8 P1"));
	check(is(said(&shell, NULL), "C[pid=7 comm=sh uid=33] T7/8 P0"));
	check(is(said(&again, NULL),
		 "C[pid=7 comm=sh uid=33] T7/8 P0 C[process pid=7 " DATE
		 "000000002Z uid=33 comm=sh]"));
	tear_down();
}

/* The agent has a second; then there is nothing to wait for. */
static void
facts_do_not_come(void)
{
	const struct ebpftls_owner curl = person(7, 1, "curl");
	const struct ebpftls_owner again = person(7, 2, "curl");

	set_up(EBPFTLS_BY_COMMENT);
	now = 5000000000;
	check(is(said(&curl, NULL), "C[" CURL "]"));
	now += 999999999;
	check(is(said(&curl, NULL), "C[" CURL "]"));
	now++;
	check(is(said(&curl, NULL), "C[" CURL "] C[process pid=7 " DATE
				    "000000001Z uid=33 comm=curl]"));
	check(is(said(&curl, NULL), "C[" CURL "]"));
	/* of who had the pid before it is said in time */
	now = 0;
	tear_down();
	set_up(EBPFTLS_BY_COMMENT);
	check(is(said(&curl, NULL), "C[" CURL "]"));
	check(is(said(&again, NULL),
		 "C[" CURL "] C[process pid=7 " DATE
		 "000000001Z uid=33 comm=curl] C[process pid=7 " DATE
		 "000000002Z uid=33 comm=curl]"));
	tear_down();
}

/* What there is to be said at the end of the file. */
static const char *
rest(void)
{
	size_t size;
	uint8_t *options = ebpftls_naming_rest(naming, people, &size);
	char *to = line;

	check((options != NULL) == (size > 0));
	if (options != NULL)
		to = show_options(to, options, options + size);
	*to = '\0';
	free(options);
	return line;
}

static void
facts_come_too_late(void)
{
	const struct ebpftls_owner curl = person(7, 1, "curl");
	const struct ebpftls_owner nginx = person(9, 0, "nginx");
	const struct ebpftls_owner again = person(7, 2, "curl");

	set_up(EBPFTLS_BY_COMMENT);
	check(is(rest(), ""));
	learn(9, 0, "/b");
	said(&curl, &nginx);
	learn(7, 1, "/a");
	check(is(rest(), "C[process pid=7 " DATE
			 "000000001Z uid=0 comm=curl exe=/a] "));
	/* of who has the pid now */
	said(&again, NULL);
	check(is(rest(), ""));
	learn(7, 2, "/c");
	learn(9, 0, "/d");
	check(is(rest(), "C[process pid=9 uid=0 comm=nginx exe=/d] "
			 "C[process pid=7 " DATE
			 "000000002Z uid=0 comm=curl exe=/c] "));
	tear_down();
	/* and of whom nothing is known */
	set_up(EBPFTLS_BY_COMMENT);
	said(&nginx, NULL);
	check(is(rest(), "C[process pid=9 uid=33 comm=nginx] "));
	tear_down();
	set_up(EBPFTLS_BY_BLOCK);
	said(&curl, NULL);
	learn(7, 1, "/a");
	check(is(rest(), ""));
	tear_down();
}

/* No more than a block can hold. */
static void
too_much(void)
{
	struct ebpftls_process facts;
	size_t size;

	set_up(EBPFTLS_BY_COMMENT);
	memset(&facts, 0, sizeof(facts));
	memset(facts.command, ' ', sizeof(facts.command) - 1);
	for (uint32_t pid = 1; pid < 4000; pid++) {
		const struct ebpftls_owner owner = person(pid, 0, "w");

		said(&owner, NULL);
		facts.pid = pid;
		ebpftls_people_learn(people, &facts);
	}
	free(ebpftls_naming_rest(naming, people, &size));
	check(size > 180000 && size < 200000);
	tear_down();
}

/* Each change of who has it is said, so that a reader needs the last only. */
static void
pid_reuse(void)
{
	const struct ebpftls_owner first = person(7, 1, "curl");
	const struct ebpftls_owner second = person(7, 2, "curl");
	const char *of_first = "C[" CURL "] T7/8 P0 C[process pid=7 " DATE
			       "000000001Z uid=33 comm=curl]";
	const char *of_second = "C[" CURL "] T7/8 P0 C[process pid=7 " DATE
				"000000002Z uid=0 comm=curl exe=/b]";

	set_up(BOTH);
	know(&first);
	learn(7, 2, "/b");
	said(&first, NULL);
	check(is(said(&second, NULL), of_second));
	check(is(said(&second, NULL), "C[" CURL "] T7/8 P0"));
	check(is(said(&first, NULL), of_first));
	check(is(said(&first, NULL), "C[" CURL "] T7/8 P0"));
	check(is(said(&second, NULL), of_second));
	tear_down();
}

/* What a process calls itself, and its user, may change and change back. */
static void
other_names(void)
{
	struct ebpftls_owner owner = person(7, 0, "web content");
	struct ebpftls_owner renamed = person(7, 0, "wget");

	set_up(BOTH);
	know(&owner);
	check(is(said(&owner, NULL),
		 "B7/web content C[pid=7 comm=web\\x20content uid=33] T7/8 P0 "
		 "C[process pid=7 uid=33 comm=web\\x20content]"));
	check(is(said(&renamed, NULL),
		 "B7/wget C[pid=7 comm=wget uid=33] T7/8 P1"));
	owner.uid = 0;
	check(is(said(&owner, NULL),
		 "C[pid=7 comm=web\\x20content uid=0] T7/8 P0"));
	check(is(said(&renamed, NULL), "C[pid=7 comm=wget uid=33] T7/8 P1"));
	tear_down();
}

/* Facts of both ends at once, all as long as they can be. */
static void
longest(void)
{
	struct ebpftls_owner a = person(7, 1, "curl"), b = person(9, 2, "x");
	struct ebpftls_process facts;

	set_up(BOTH);
	memset(&facts, 0, sizeof(facts));
	memset(facts.exe, ' ', sizeof(facts.exe) - 1);
	memset(facts.command, ' ', sizeof(facts.command) - 1);
	memset(facts.cgroup, ' ', sizeof(facts.cgroup) - 1);
	memset(a.comm, ' ', sizeof(a.comm) - 1);
	memset(b.comm, '\n', sizeof(b.comm) - 1);
	facts.pid = 7;
	facts.start = 1;
	ebpftls_people_learn(people, &facts);
	facts.pid = 9;
	facts.start = 2;
	ebpftls_people_learn(people, &facts);
	check(strlen(said(&a, &b)) > 2 * 4 * (255 + 1023 + 255));
	check(strlen(said(&a, &b)) < 256);
	tear_down();
}

/* More than are remembered: what is forgotten is said again, not wrongly. */
static void
many(void)
{
	char block[32], want[128];

	set_up(BOTH);
	for (uint32_t number = 0; number < 10000; number++) {
		const uint32_t pid = 1 + number % 5000;
		const struct ebpftls_owner owner = person(pid, 1, "w");
		const int head = sprintf(block, "B%u/w ", pid);
		const int length =
		    sprintf(want, "C[pid=%u comm=w uid=33] T%u/%u P%u", pid,
			    pid, pid + 1, number);

		know(&owner);
		said(&owner, NULL);
		check(strncmp(line, block, (size_t)head) == 0);
		check(strncmp(line + head, want, (size_t)length) == 0);
		check(strstr(line, " C[process pid=") != NULL);
		check(is(said(&owner, NULL), want));
	}
	tear_down();
}

/* In turn, more than there are places for, with facts and without. */
static void
crowded(void)
{
	char want[128];

	set_up(BOTH);
	for (uint32_t number = 0; number < 6000; number++) {
		const uint32_t pid = 1 + number % 2000;
		const struct ebpftls_owner owner =
		    person(pid, 1, pid % 3 ? "w" : "v");
		const char *head, *facts;

		if (number < 2000 && pid % 2)
			know(&owner);
		sprintf(want, "C[pid=%u comm=%s uid=33] T%u/%u P%u", pid,
			owner.comm, pid, pid + 1, pid - 1);
		said(&owner, NULL);
		head = strstr(line, "C[");
		facts = strstr(line, " C[process pid=");
		check(head != NULL && strncmp(head, want, strlen(want)) == 0);
		check((facts != NULL) == (number < 2000 && pid % 2));
	}
	tear_down();
}

/* Of all pairs of some owners, whatever was said just before. */
static void
mixed(void)
{
	struct ebpftls_owner owners[40];
	char want[256];

	set_up(EBPFTLS_BY_COMMENT);
	for (uint32_t i = 0; i < 40; i++)
		owners[i] = person(1 + i % 37, 1, i % 2 ? "odd" : "even");
	for (int i = 0; i < 20000; i++) {
		const struct ebpftls_owner *a = &owners[check_random(40)];
		const struct ebpftls_owner *b = &owners[check_random(40)];
		const int length =
		    snprintf(want, sizeof(want),
			     "C[pid=%u comm=%s uid=33 to-pid=%u to-comm=%s "
			     "to-uid=33]",
			     a->pid, a->comm, b->pid, b->comm);

		if (check_random(100) == 0)
			learn(a->pid, 1, check_random(2) ? "/a" : "/b");
		check(strncmp(said(a, b), want, (size_t)length) == 0);
	}
	tear_down();
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "comments and blocks", both },
		{ "comments or blocks", one_of_them },
		{ "the kernel and who is not known", not_processes },
		{ "facts that come late and change", facts_come_late },
		{ "facts that are awaited", facts_are_awaited },
		{ "facts that do not come", facts_do_not_come },
		{ "facts that come after the last packet",
		  facts_come_too_late },
		{ "too many of these", too_much },
		{ "a pid that is used again", pid_reuse },
		{ "other names and users", other_names },
		{ "the longest texts", longest },
		{ "more processes than are remembered", many },
		{ "owners who share the places", crowded },
		{ "any owners after any others", mixed },
		{ NULL, NULL },
	};

	return check_main(cases);
}
