// SPDX-License-Identifier: BSD-3-Clause
/* Which strings name a device of ours, and what is said of those that do not?
 */
#include "ebpftls-device.h"
#include "ebpftls-naming.h"

#include "unit/check.h"

#define N15  "abcdefghijklmno"
#define N51  "/run/netns/aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"
#define N255 N51 N51 N51 N51 N51

#define X16 "0123456789abcdef"
#define X64 X16 X16 X16 X16

#define OTHER  EBPFTLS_REASON_OTHER
#define NO_DEV EBPFTLS_REASON_NO_SUCH_DEVICE

/* A string, what it is taken for, or a part of what is said about it. */
static const struct {
	const char *name;
	enum ebpftls_reason reason;
	const char *interface;
	const char *netns;
	const char *text;
} devices[] = {
	{ "ebpftls:lo", 0, "lo", "", NULL },
	{ "ebpftls:any", 0, "any", "", NULL },
	{ "ebpftls:eth0.100", 0, "eth0.100", "", NULL },
	{ "ebpftls:br-0_x", 0, "br-0_x", "", NULL },
	{ "ebpftls:a", 0, "a", "", NULL },
	{ "ebpftls:eth0:1", 0, "eth0:1", "", NULL },
	{ "ebpftls:ebpftls:lo", 0, "ebpftls:lo", "", NULL },
	{ "ebpftls:a=b", 0, "a=b", "", NULL },
	{ "ebpftls: lo", 0, " lo", "", NULL },
	{ "ebpftls:\xc3\xbc", 0, "\xc3\xbc", "", NULL },
	{ "ebpftls:" N15, 0, N15, "", NULL },
	{ "ebpftls:lo@test", 0, "lo", "test", NULL },
	{ "ebpftls:any@1234", 0, "any", "1234", NULL },
	{ "ebpftls:lo@/run/netns/a", 0, "lo", "/run/netns/a", NULL },
	{ "ebpftls:lo@a@b", 0, "lo", "a@b", NULL },
	{ "ebpftls:lo@@", 0, "lo", "@", NULL },
	{ "ebpftls:lo@ns=1", 0, "lo", "ns=1", NULL },
	{ "ebpftls:" N15 "@" N255, 0, N15, N255, NULL },
	/* nothing can have such a name, and libpcap has a text for that */
	{ "ebpftls:" N15 "p", NO_DEV, NULL, NULL, "" },
	{ "ebpftls:" N15 "p@test", NO_DEV, NULL, NULL, "" },
	{ "ebpftls:" N15 "p,x=1", NO_DEV, NULL, NULL, "" },
	{ "ebpftls:" N255, NO_DEV, NULL, NULL, "" },
	{ "ebpftls:", NO_DEV, NULL, NULL, "no interface given" },
	{ "ebpftls:@", NO_DEV, NULL, NULL, "no interface given" },
	{ "ebpftls:@test", NO_DEV, NULL, NULL, "no interface given" },
	{ "ebpftls:,", NO_DEV, NULL, NULL, "no interface given" },
	{ "ebpftls:,comm=x", NO_DEV, NULL, NULL, "no interface given" },
	{ "ebpftls:lo@", OTHER, NULL, NULL, "no network namespace" },
	{ "ebpftls:lo@,x", OTHER, NULL, NULL, "no network namespace" },
	{ "ebpftls:lo@" N255 "e", OTHER, NULL, NULL, "is too long" },
	{ "ebpftls:lo@" N255 N255, OTHER, NULL, NULL, "is too long" },
	{ "ebpftls:lo,", OTHER, NULL, NULL, "missing after ','" },
	{ "ebpftls:lo,=", OTHER, NULL, NULL, "missing after ','" },
	{ "ebpftls:lo,,x", OTHER, NULL, NULL, "missing after ','" },
	{ "ebpftls:lo,=1", OTHER, NULL, NULL, "missing after ','" },
	{ "ebpftls:lo@test,", OTHER, NULL, NULL, "missing after ','" },
	{ "ebpftls:lo,colour=red", OTHER, NULL, NULL, "option 'colour'" },
	{ "ebpftls:lo,colour", OTHER, NULL, NULL, "option 'colour'" },
	{ "ebpftls:lo,a=1,b=2", OTHER, NULL, NULL, "option 'a'" },
	{ "ebpftls:lo,%s%n=1", OTHER, NULL, NULL, "option '%s%n'" },
	{ "ebpftls:lo@test,a=b@c", OTHER, NULL, NULL, "option 'a'" },
	{ "ebpftls:lo,a@b=c", OTHER, NULL, NULL, "option 'a@b'" },
	{ "ebpftls:lo,secrets", OTHER, NULL, NULL, "secrets= takes on or off" },
	{ "ebpftls:lo,seal=off", 0, "lo", "", NULL },
	{ "ebpftls:lo,seal=later", OTHER, NULL, NULL, "seal= takes on or off" },
	{ "ebpftls:lo,secrets=no", OTHER, NULL, NULL, "secrets= takes" },
	{ "ebpftls:lo,savefile=", OTHER, NULL, NULL, "savefile= takes" },
	{ "ebpftls:lo,process", OTHER, NULL, NULL, "process= takes comment" },
	{ "ebpftls:lo,process=on", OTHER, NULL, NULL, "process= takes" },
	{ "ebpftls:lo,process=bothx", OTHER, NULL, NULL, "process= takes" },
	{ "ebpftls:lo,hold=10001", OTHER, NULL, NULL, "hold= takes" },
	{ "ebpftls:lo,hold=-1", OTHER, NULL, NULL, "hold= takes" },
	{ "ebpftls:lo,hold=1s", OTHER, NULL, NULL, "hold= takes" },
	{ "ebpftls:lo,keylog=", OTHER, NULL, NULL, "keylog= takes" },
	{ "ebpftls:lo,keylog=" N255 N255 "ab", OTHER, NULL, NULL, "keylog=" },
	{ "ebpftls:lo,hold=5,x=1", OTHER, NULL, NULL, "option 'x'" },
	{ "ebpftls:lo,pid", OTHER, NULL, NULL, "pid= takes 1 to 4194304" },
	{ "ebpftls:lo,pid=", OTHER, NULL, NULL, "pid= takes" },
	{ "ebpftls:lo,pid=abc", OTHER, NULL, NULL, "pid= takes" },
	{ "ebpftls:lo,pid=0", OTHER, NULL, NULL, "pid= takes" },
	{ "ebpftls:lo,pid=-1", OTHER, NULL, NULL, "pid= takes" },
	{ "ebpftls:lo,pid=+1", OTHER, NULL, NULL, "pid= takes" },
	{ "ebpftls:lo,pid=1x", OTHER, NULL, NULL, "pid= takes" },
	{ "ebpftls:lo,pid=4194305", OTHER, NULL, NULL, "pid= takes" },
	{ "ebpftls:lo,pid=99999999999999999999", OTHER, NULL, NULL, "pid=" },
	{ "ebpftls:lo,pid=18446744073709551617", OTHER, NULL, NULL, "pid=" },
	{ "ebpftls:lo,pid=1,pid=x", OTHER, NULL, NULL, "pid= takes" },
	{ "ebpftls:lo,uid=", OTHER, NULL, NULL, "uid= takes 0 to" },
	{ "ebpftls:lo,uid=root", OTHER, NULL, NULL, "uid= takes" },
	{ "ebpftls:lo,uid=4294967295", OTHER, NULL, NULL, "uid= takes" },
	{ "ebpftls:lo,uid=4294967296", OTHER, NULL, NULL, "uid= takes" },
	{ "ebpftls:lo,uid=-1", OTHER, NULL, NULL, "uid= takes" },
	{ "ebpftls:lo,comm=", OTHER, NULL, NULL, "comm= takes a name" },
	{ "ebpftls:lo,comm", OTHER, NULL, NULL, "comm= takes" },
	{ "ebpftls:lo,comm=" N15 "p", OTHER, NULL, NULL, "1 to 15 bytes" },
	{ "ebpftls:lo,exe=", OTHER, NULL, NULL, "exe= takes an absolute" },
	{ "ebpftls:lo,exe=curl", OTHER, NULL, NULL, "exe= takes" },
	{ "ebpftls:lo,exe=/" N255, OTHER, NULL, NULL, "exe= takes" },
	{ "ebpftls:lo,cgroup=", OTHER, NULL, NULL, "cgroup= takes an" },
	{ "ebpftls:lo,cgroup=a", OTHER, NULL, NULL, "cgroup= takes" },
	{ "ebpftls:lo,cgroup=0123456789a", OTHER, NULL, NULL, "cgroup=" },
	{ "ebpftls:lo,cgroup=0123456789ag", OTHER, NULL, NULL, "cgroup=" },
	{ "ebpftls:lo,cgroup=0123456789AB", OTHER, NULL, NULL, "cgroup=" },
	{ "ebpftls:lo,cgroup=" X64 "0", OTHER, NULL, NULL, "cgroup= takes" },
	{ "ebpftls:lo,cgroup=/" N255, OTHER, NULL, NULL, "cgroup= takes" },
	{ "ebpftls:lo,pid=1,children=", 0, "lo", "", NULL },
	{ "ebpftls:lo,children", OTHER, NULL, NULL, "children goes with pid" },
	{ "ebpftls:lo,uid=0,children", OTHER, NULL, NULL, "children goes" },
	{ "ebpftls:lo,pid=1,children=1", OTHER, NULL, NULL, "children= takes" },
	{ "ebpftls:lo,unknown=on", OTHER, NULL, NULL, "unknown goes with" },
	{ "ebpftls:lo,uid=0,unknown=no", OTHER, NULL, NULL, "unknown= takes" },
};

static void
parse(void)
{
	char text[EBPFTLS_TEXT_SIZE];
	struct ebpftls_device device;

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		enum ebpftls_reason reason;

		memset(&device, 'x', sizeof(device));
		memset(text, 'x', sizeof(text));
		reason = ebpftls_device_parse(devices[i].name, &device, text,
					      sizeof(text));
		if (!check(reason == devices[i].reason))
			printf("the string was '%s'\n", devices[i].name);
		if (reason != 0) {
			check(strstr(text, devices[i].text) != NULL);
			check((text[0] == '\0') ==
			      (devices[i].text[0] == '\0'));
			continue;
		}
		check(text[0] == '\0');
		check(strcmp(device.interface, devices[i].interface) == 0);
		check(strcmp(device.netns, devices[i].netns) == 0);
	}
}

static void
options(void)
{
	struct ebpftls_device device;
	char text[EBPFTLS_TEXT_SIZE];

	check(ebpftls_device_parse("ebpftls:lo", &device, text, sizeof(text)) ==
	      0);
	check(!device.classic && !device.no_secrets);
	check(device.naming == (EBPFTLS_BY_COMMENT | EBPFTLS_BY_BLOCK));
	check(device.hold_ms == EBPFTLS_HOLD_MS && device.keylog[0] == '\0');
	check(ebpftls_device_parse("ebpftls:any@x,keylog=/tmp/a=b,hold=0,"
				   "savefile=pcap,secrets=off",
				   &device, text, sizeof(text)) == 0);
	check(strcmp(device.netns, "x") == 0);
	check(strcmp(device.keylog, "/tmp/a=b") == 0);
	check(device.classic && device.no_secrets && device.hold_ms == 0);
	check(ebpftls_device_parse("ebpftls:lo,savefile=pcapng,secrets=on",
				   &device, text, sizeof(text)) == 0);
	check(!device.classic && !device.no_secrets);
}

static void
process(void)
{
	static const struct {
		const char *name;
		unsigned int naming;
	} ways[] = {
		{ "ebpftls:lo,process=comment", EBPFTLS_BY_COMMENT },
		{ "ebpftls:lo,process=block", EBPFTLS_BY_BLOCK },
		{ "ebpftls:lo,process=both",
		  EBPFTLS_BY_COMMENT | EBPFTLS_BY_BLOCK },
		{ "ebpftls:lo,process=off", 0 },
		{ "ebpftls:lo,process=off,process=block,hold=1",
		  EBPFTLS_BY_BLOCK },
	};
	struct ebpftls_device device;
	char text[EBPFTLS_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		check(ebpftls_device_parse(ways[i].name, &device, text,
					   sizeof(text)) == 0);
		check(device.naming == ways[i].naming);
	}
}

static void
processes(void)
{
	struct ebpftls_device device;
	struct ebpftls_wants *wants = &device.wants;
	char text[EBPFTLS_TEXT_SIZE];

	check(ebpftls_device_parse("ebpftls:lo", &device, text, sizeof(text)) ==
	      0);
	check(!ebpftls_device_selects(&device));
	check(ebpftls_device_parse(
		  "ebpftls:lo,uid=0,comm=a b=c,process=off,uid=4294967294,"
		  "comm=" N15 ",pid=4194304,exe=/bin/a=b,cgroup=" X64
		  ",cgroup=/,children,unknown=on,cgroup=0123456789ab",
		  &device, text, sizeof(text)) == 0);
	check(ebpftls_device_selects(&device));
	check(wants->count[EBPFTLS_WANT_PID] == 1 && wants->pid[0] == 4194304);
	check(wants->count[EBPFTLS_WANT_UID] == 2 && wants->uid[0] == 0 &&
	      wants->uid[1] == 4294967294);
	check(wants->count[EBPFTLS_WANT_COMM] == 2 &&
	      strcmp(wants->comm[0], "a b=c") == 0 &&
	      strcmp(wants->comm[1], N15) == 0);
	check(wants->count[EBPFTLS_WANT_EXE] == 1 &&
	      strcmp(wants->exe[0], "/bin/a=b") == 0);
	check(wants->count[EBPFTLS_WANT_CGROUP] == 3 &&
	      strcmp(wants->cgroup[0], X64) == 0 &&
	      strcmp(wants->cgroup[1], "/") == 0 &&
	      strcmp(wants->cgroup[2], "0123456789ab") == 0);
	check(wants->children && wants->unknown && device.naming == 0);
	check(ebpftls_device_parse("ebpftls:lo,uid=0,unknown,unknown=off",
				   &device, text, sizeof(text)) == 0);
	check(ebpftls_device_selects(&device) && !wants->unknown);
}

/* So many and no more. */
static void
too_many(void)
{
	static const char *const values[] = {
		"pid=1", "uid=0", "comm=a", "exe=/a", "cgroup=/a",
	};
	struct ebpftls_device device;
	char name[1024], text[EBPFTLS_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		size_t length = (size_t)sprintf(name, "ebpftls:lo");

		for (int n = 1; n <= EBPFTLS_WANTS_MAX; n++) {
			length +=
			    (size_t)sprintf(name + length, ",%s", values[i]);
			check(ebpftls_device_parse(name, &device, text,
						   sizeof(text)) == 0);
		}
		sprintf(name + length, ",%s", values[i]);
		check(ebpftls_device_parse(name, &device, text, sizeof(text)) ==
		      OTHER);
		check(strstr(text, "at most 32 times") != NULL);
	}
}

/* Whatever the room for the text, it ends. */
static void
short_text(void)
{
	struct ebpftls_device device;
	char text[64];

	for (size_t size = 1; size < sizeof(text); size++) {
		memset(text, 'x', sizeof(text));
		check(
		    ebpftls_device_parse("ebpftls:lo,a-long-name-of-an-option",
					 &device, text, size) == OTHER);
		check(strnlen(text, sizeof(text)) == size - 1 || size > 40);
		check(text[size] == 'x');
	}
}

/* Decided by the prefix alone. */
static void
ours(void)
{
	static const char *const names[] = {
		"ebpftls:",
		"ebpftls:lo",
		"ebpftls:any,x",
		"ebpftls:@",
	};
	static const char *const others[] = {
		"",	    "ebpftls",	   "ebpftl:lo",	  "Ebpftls:lo",
		"EBPFTLS:", " ebpftls:lo", "lo",	  "any",
		"nflog:1",  "ebpftls;lo",  "lo,ebpftls:", "ebpftls :lo",
		"e",	    "ebpftlslo",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check(ebpftls_device_is_ours(names[i]));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		check(!ebpftls_device_is_ours(others[i]));
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "device strings are taken apart", parse },
		{ "options", options },
		{ "how packets say whose they are", process },
		{ "which processes a capture is for", processes },
		{ "how many values an option may have", too_many },
		{ "a text that does not fit is cut", short_text },
		{ "which names are ours", ours },
		{ NULL, NULL },
	};

	return check_main(cases);
}
