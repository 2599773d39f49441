// SPDX-License-Identifier: BSD-3-Clause
/* Do comments say whose a packet is, whatever a process calls itself? */
#include "ebpftls-owner.h"

#include "unit/check.h"

#define BOOT (UINT64_C(1795250520) * 1000000000) /* 2026-11-21T08:42:00Z */

static const struct ebpftls_owner curl = {
	.start = 1123456789,
	.pid = 1234,
	.tid = 1235,
	.uid = 1000,
	.kind = EBPFTLS_OF_PROCESS,
	.comm = "curl",
};
static const struct ebpftls_owner nginx = {
	.start = 5,
	.pid = 5678,
	.tid = 5678,
	.uid = 33,
	.kind = EBPFTLS_OF_PROCESS,
	.comm = "nginx",
};
static const struct ebpftls_owner root = {
	.pid = 1,
	.kind = EBPFTLS_OF_PROCESS,
	.comm = "(sd-pam)",
};
static const struct ebpftls_owner kernel = { .kind = EBPFTLS_OF_KERNEL };
static const struct ebpftls_owner unknown = { .kind = EBPFTLS_OF_UNKNOWN };
static const struct ebpftls_owner longest = {
	.pid = UINT32_MAX,
	.uid = UINT32_MAX,
	.kind = EBPFTLS_OF_PROCESS,
	.comm = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
};

#define FF   "\\xff\\xff\\xff\\xff\\xff"
#define FF15 FF FF FF

static const struct {
	const struct ebpftls_owner *sender;
	const struct ebpftls_owner *receiver;
	const char *text;
} comments[] = {
	{ &curl, NULL, "pid=1234 comm=curl uid=1000" },
	{ NULL, &curl, "pid=1234 comm=curl uid=1000" },
	{ &root, NULL, "pid=1 comm=(sd-pam) uid=0" },
	{ &curl, &nginx,
	  "pid=1234 comm=curl uid=1000 to-pid=5678 to-comm=nginx to-uid=33" },
	{ &kernel, NULL, "pid=0 comm=kernel uid=0" },
	{ &kernel, &curl,
	  "pid=0 comm=kernel uid=0 to-pid=1234 to-comm=curl to-uid=1000" },
	{ &curl, &kernel,
	  "pid=1234 comm=curl uid=1000 to-pid=0 to-comm=kernel to-uid=0" },
	{ &unknown, NULL, "pid=unknown" },
	{ NULL, &unknown, "pid=unknown" },
	{ &unknown, &unknown, "pid=unknown to-pid=unknown" },
	{ &curl, &unknown, "pid=1234 comm=curl uid=1000 to-pid=unknown" },
	{ &unknown, &nginx, "pid=unknown to-pid=5678 to-comm=nginx to-uid=33" },
	{ &longest, &longest,
	  "pid=4294967295 comm=" FF15 " uid=4294967295 to-pid=4294967295 "
	  "to-comm=" FF15 " to-uid=4294967295" },
};

/* In memory of exactly the size that is asked for. */
static void
is_text(size_t length, char *text, const char *want)
{
	if (!check(length == strlen(want)) ||
	    !check(memcmp(text, want, length) == 0))
		printf("  it is '%.*s'\n", (int)length, text);
}

static void
each_comment(void)
{
	char *text = malloc(EBPFTLS_OWNERS_SIZE);

	for (size_t i = 0; i < sizeof(comments) / sizeof(comments[0]); i++)
		is_text(ebpftls_owner_comment(comments[i].sender,
					      comments[i].receiver, text),
			text, comments[i].text);
	free(text);
}

/* What stands for one byte. */
static void
expect(char *to, int byte, const char *plain)
{
	if ((byte > 0x20 && byte < 0x7f && strchr("\\=", byte) == NULL) ||
	    strchr(plain, byte) != NULL)
		sprintf(to, "a%cz", byte);
	else
		sprintf(to, "a\\x%02xz", byte);
}

static void
each_byte(void)
{
	char text[EBPFTLS_OWNERS_SIZE], value[8], want[64];
	struct ebpftls_owner owner = nginx;

	for (int byte = 1; byte < 256; byte++) {
		snprintf(owner.comm, sizeof(owner.comm), "a%cz", byte);
		expect(value, byte, "");
		snprintf(want, sizeof(want), "pid=5678 comm=%s uid=33", value);
		is_text(ebpftls_owner_comment(&owner, NULL, text), text, want);
		expect(value, byte, " =");
		is_text(ebpftls_owner_comm(&owner, text), text, value);
	}
}

static void
names_alone(void)
{
	char *text = malloc(EBPFTLS_COMM_SIZE);

	is_text(ebpftls_owner_comm(&longest, text), text, FF15);
	is_text(ebpftls_owner_comm(&kernel, text), text, "kernel");
	free(text);
}

static struct ebpftls_process
all_known(void)
{
	return (struct ebpftls_process){
		.pid = 1234,
		.start = 1123456789,
		.parent = 1,
		.uid = 1001,
		.comm = "curl",
		.exe = "/usr/bin/curl",
		.command = "curl https://example",
		.cgroup = "/user.slice",
		.container = "0123abcd",
	};
}

static void
in_a_line(void)
{
	char text[EBPFTLS_TEXT_SIZE], line[EBPFTLS_NOTE_SIZE];

	ebpftls_owner_line("/a b=c\n\xff", line);
	check(strcmp(line, "/a b=c\\x0a\\xff") == 0);
	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ebpftls_owner_line(text, line);
	check(strlen(line) == 4 * (sizeof(text) - 1));
}

static void
all_facts(void)
{
	const struct ebpftls_process facts = all_known();
	char text[EBPFTLS_FACTS_SIZE];

	is_text(ebpftls_owner_facts(&curl, &facts, BOOT, text), text,
		"process pid=1234 parent=1 "
		"start=2026-11-21T08:42:01.123456789Z uid=1001 comm=curl "
		"exe=/usr/bin/curl cgroup=/user.slice container=0123abcd "
		"cmd=curl\\x20https://example");
}

/* What the kernel said is known in any case. */
static void
missing_facts(void)
{
	struct ebpftls_process facts = { .uid = 7 };
	struct ebpftls_owner owner = curl;
	char text[EBPFTLS_FACTS_SIZE];

	is_text(ebpftls_owner_facts(&curl, NULL, BOOT, text), text,
		"process pid=1234 start=2026-11-21T08:42:01.123456789Z "
		"uid=1000 comm=curl");
	is_text(ebpftls_owner_facts(&nginx, NULL, 0, text), text,
		"process pid=5678 start=1970-01-01T00:00:00.000000005Z "
		"uid=33 comm=nginx");
	is_text(ebpftls_owner_facts(&curl, &facts, BOOT, text), text,
		"process pid=1234 start=2026-11-21T08:42:01.123456789Z uid=7 "
		"comm=curl");
	strcpy(facts.cgroup, "/a=b");
	is_text(ebpftls_owner_facts(&curl, &facts, BOOT, text), text,
		"process pid=1234 start=2026-11-21T08:42:01.123456789Z uid=7 "
		"comm=curl cgroup=/a\\x3db");
	owner.start = 0;
	owner.comm[0] = '\0';
	is_text(ebpftls_owner_facts(&owner, NULL, BOOT, text), text,
		"process pid=1234 uid=1000");
}

static void
fill(char *text, size_t size)
{
	memset(text, '\\', size - 1);
	text[size - 1] = '\0';
}

static void
longest_facts(void)
{
	struct ebpftls_process facts = { .parent = UINT32_MAX,
					 .uid = UINT32_MAX };
	char *text = malloc(EBPFTLS_FACTS_SIZE);
	size_t length;

	fill(facts.comm, sizeof(facts.comm));
	fill(facts.exe, sizeof(facts.exe));
	fill(facts.command, sizeof(facts.command));
	fill(facts.cgroup, sizeof(facts.cgroup));
	fill(facts.container, sizeof(facts.container));
	length = ebpftls_owner_facts(&longest, &facts, UINT64_MAX / 2, text);
	check(length > 4 * (15 + 255 + 1023 + 255 + 71));
	check(length < EBPFTLS_FACTS_SIZE);
	check(memcmp(text + length - 4, "\\x5c", 4) == 0);
	free(text);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "each comment", each_comment },
		{ "each byte in a name", each_byte },
		{ "names that stand alone", names_alone },
		{ "texts in a line", in_a_line },
		{ "all facts", all_facts },
		{ "facts that are missing", missing_facts },
		{ "the longest facts", longest_facts },
		{ NULL, NULL },
	};

	return check_main(cases);
}
