/*
 * device.c: names of devices, the list of them, and how little a handle does
 * that is only opened to look at a device.
 */
#define _GNU_SOURCE
#include "api.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX "ebpftls:"

static void
become_nobody(void)
{
	require(setgroups(0, NULL) == 0 && setgid(65534) == 0 &&
		    setuid(65534) == 0,
		"setuid: %s", strerror(errno));
}

/* --- device strings ------------------------------------------------------ */

/* Not zero, and the text, when the device cannot be opened. */
static int
open_error(const char *device, char *text)
{
	pcap_t *p = pcap_create(device, text);
	int status;

	if (p == NULL)
		return PCAP_ERROR;
	pcap_set_timeout(p, 100);
	pcap_set_snaplen(p, 65535);
	status = pcap_activate(p);
	snprintf(text, PCAP_ERRBUF_SIZE, "%s", pcap_geterr(p));
	pcap_close(p);
	return status < 0 ? status : 0;
}

/* code 0: any error will do; mention: what its text names. */
static void
refused(const char *device, int code, const char *mention)
{
	char text[PCAP_ERRBUF_SIZE] = "";
	int status = open_error(device, text);

	require(status < 0, "\"%.40s\" is accepted", device);
	require(code == 0 || status == code, "\"%.40s\": %d instead of %d: %s",
		device, status, code, text);
	require(text[0] != '\0', "\"%.40s\": an error without a text", device);
	require(strstr(text, mention) != NULL,
		"\"%.40s\": the text does not name %s: %s", device, mention,
		text);
}

static void
device_strings(void)
{
	static const struct {
		const char *device;
		int code;
		const char *mention;
	} tries[] = {
		{ PREFIX, 0, "" },
		{ PREFIX "nosuch0", PCAP_ERROR_NO_SUCH_DEVICE, "" },
		{ PREFIX "a/b", PCAP_ERROR_NO_SUCH_DEVICE, "" },
		{ PREFIX "..", PCAP_ERROR_NO_SUCH_DEVICE, "" },
		{ PREFIX "hka", PCAP_ERROR_NO_SUCH_DEVICE, "" },
		{ PREFIX " " IF_A, PCAP_ERROR_NO_SUCH_DEVICE, "" },
		{ PREFIX IF_A ",foo=1", 0, "foo" },
		{ PREFIX IF_A ",foo", 0, "foo" },
		{ PREFIX "any,foo=1", 0, "foo" },
		{ PREFIX IF_A ",", 0, "" },
		{ PREFIX IF_A "@", 0, "" },
		{ PREFIX IF_A "@nosuchns", 0, "nosuchns" },
		{ PREFIX "any@nosuchns", 0, "nosuchns" },
		{ PREFIX IF_A "@/nosuch/ns", 0, "/nosuch/ns" },
		{ PREFIX IF_A "@/etc/passwd", 0, "/etc/passwd" },
		{ "EBPFTLS:" IF_A, PCAP_ERROR_NO_SUCH_DEVICE, "" },
		{ "x" PREFIX IF_A, PCAP_ERROR_NO_SUCH_DEVICE, "" },
		{ "ebpftls", PCAP_ERROR_NO_SUCH_DEVICE, "" },
		{ "ebpftls" IF_A, PCAP_ERROR_NO_SUCH_DEVICE, "" },
	};
	unsigned i;

	for (i = 0; i < sizeof(tries) / sizeof(*tries); i++)
		refused(tries[i].device, tries[i].code, tries[i].mention);
}

static void
device_strings_long(void)
{
	char device[5000] = PREFIX;

	memset(device + strlen(PREFIX), 'x', 300);
	refused(device, PCAP_ERROR_NO_SUCH_DEVICE, "");
	memset(device + strlen(PREFIX), 'x',
	       sizeof(device) - strlen(PREFIX) - 1);
	refused(device, PCAP_ERROR_NO_SUCH_DEVICE, "");
	strcpy(device, PREFIX IF_A ",");
	memset(device + strlen(device), 'y', 4000);
	refused(device, 0, "yyyy");
}

static void
sees_other_namespace(const char *ifname, const char *where)
{
	char device[256];
	pcap_t *p;

	snprintf(device, sizeof(device), PREFIX "%s@%s", ifname, where);
	p = open_dev(device, .filter = "udp");
	send_many(IN4, 1, 3);
	expect(p, 1, 3);
	require(pcap_setdirection(p, PCAP_D_IN) == 0, "%s", pcap_geterr(p));
	send_many(IN4, 4, 3);
	send_many(OUT4, 7, 3);
	expect(p, 7, 3);
	pcap_close(p);
}

/* The far end of the wire, where what we receive goes out. */
static void
other_namespace(void)
{
	char path[256], text[16];
	pid_t pid;

	sees_other_namespace(IF_B, ns_other());
	sees_other_namespace("any", ns_other());
	snprintf(path, sizeof(path), "/run/netns/%s", ns_other());
	sees_other_namespace(IF_B, path);
	ns_enter_other();
	pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	ns_leave_other();
	require(pid != -1, "fork: %s", strerror(errno));
	snprintf(text, sizeof(text), "%d", (int)pid);
	sees_other_namespace(IF_B, text);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* --- the list ----------------------------------------------------------- */

static pcap_if_t *
all_devs(void)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_if_t *list = NULL;

	require(pcap_findalldevs(&list, errbuf) == 0, "findalldevs: %s",
		errbuf);
	require(list != NULL, "no device at all");
	return list;
}

static const pcap_if_t *
in_list(const pcap_if_t *list, const char *name)
{
	while (list != NULL && strcmp(list->name, name) != 0)
		list = list->next;
	return list;
}

static int
is_ours(const pcap_if_t *d)
{
	return strncmp(d->name, PREFIX, strlen(PREFIX)) == 0;
}

/* What is up comes before all of ours, so that no number changes. */
static void
ours_come_last(const pcap_if_t *list)
{
	const bpf_u_int32 on = PCAP_IF_UP | PCAP_IF_RUNNING;
	int after = 0;

	require(!is_ours(list), "%s is first", list->name);
	for (; list != NULL; list = list->next) {
		if (is_ours(list)) {
			after = 1;
			require((list->flags & on) == 0,
				"%s says that it is up", list->name);
		} else
			require(!after || (list->flags & on) != on,
				"%s comes after ebpftls devices", list->name);
	}
}

static void
check_list(void)
{
	pcap_if_t *list = all_devs();
	struct if_nameindex *ifs = if_nameindex(), *i;
	const pcap_if_t *d;

	ours_come_last(list);
	for (i = ifs; i->if_index != 0; i++) {
		require(in_list(list, i->if_name), "no %s", i->if_name);
		d = in_list(list, dev(i->if_name));
		require(d != NULL, "no %s", dev(i->if_name));
		require(!(d->flags & PCAP_IF_LOOPBACK) ==
			    (strcmp(i->if_name, "lo") != 0),
			"loopback flag of %s", d->name);
	}
	require(in_list(list, "any") != NULL, "no any");
	require(in_list(list, dev("any")) != NULL, "no %s", dev("any"));
	if_freenameindex(ifs);
	pcap_freealldevs(list);
}

static void
list_as_root(void)
{
	check_list();
}

static void
list_as_nobody(void)
{
	become_nobody();
	check_list();
}

/* Not even where nothing but lo could be the default. */
static void
list_without_interfaces(void)
{
	require(unshare(CLONE_NEWNET) == 0, "unshare: %s", strerror(errno));
	check_list();
	sh("ip link set lo up");
	check_list();
}

static void
nobody_is_refused(void)
{
	char text[PCAP_ERRBUF_SIZE] = "";
	int status;

	become_nobody();
	status = open_error(dev(IF_A), text);
	require(status == PCAP_ERROR_PERM_DENIED, "%d, %s", status, text);
	require(text[0] != '\0' && strcmp(text, pcap_statustostr(status)) != 0,
		"the text says nothing more: %s", text);
}

/* --- BPF programs -------------------------------------------------------- */

/* Descriptors of BPF programs and links that a process has. */
static unsigned
bpf_descriptors(const char *pid)
{
	char path[600], to[64];
	struct dirent *d;
	unsigned n = 0;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, d->d_name);
		len = readlink(path, to, sizeof(to) - 1);
		to[len > 0 ? len : 0] = '\0';
		n += strstr(to, "bpf-prog") != NULL ||
		     strstr(to, "bpf_link") != NULL;
	}
	if (dir != NULL)
		closedir(dir);
	return n;
}

/* Programs on an interface, by TCX and by tc. */
static unsigned
bpf_attached(const char *ifname)
{
	/* bpf(2)'s BPF_PROG_QUERY; <linux/bpf.h> and <pcap.h> do not mix. */
	struct {
		uint32_t ifindex, type, flags, attach_flags;
		uint64_t ids;
		uint32_t count, rest[27];
	} attr = { .ifindex = if_nametoindex(ifname) };
	const int prog_query = 16, tcx_ingress = 46, tcx_egress = 47;
	unsigned n = 0;

	for (attr.type = tcx_ingress; attr.type <= tcx_egress; attr.type++) {
		attr.count = 0;
		if (syscall(SYS_bpf, prog_query, &attr, sizeof(attr)) == 0)
			n += attr.count;
	}
	n += (unsigned)sh_number("filters ",
				 "echo filters $( { tc filter show dev %s "
				 "ingress; tc filter show dev %s egress; } "
				 "2>/dev/null | grep -c bpf)",
				 ifname, ifname);
	return n;
}

/*
 * Programs held by processes of this network namespace, or attached to its
 * interfaces. (The list of all programs of the machine would change with
 * what others do.)
 */
static unsigned
programs(void)
{
	struct stat own, theirs;
	DIR *proc = opendir("/proc");
	unsigned n = bpf_attached(IF_A) + bpf_attached("lo");
	struct dirent *d;
	char path[300];

	require(proc != NULL && stat("/proc/self/ns/net", &own) == 0,
		"/proc: %s", strerror(errno));
	while ((d = readdir(proc)) != NULL) {
		snprintf(path, sizeof(path), "/proc/%s/ns/net", d->d_name);
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9' &&
		    stat(path, &theirs) == 0 && own.st_ino == theirs.st_ino)
			n += bpf_descriptors(d->d_name);
	}
	closedir(proc);
	return n;
}

/* programs() finds one that this process loads (r0 = 0; exit). */
static void
programs_can_be_found(void)
{
	static const uint64_t insns[] = { 0xb7, 0x95 };
	struct {
		uint32_t type, insn_count;
		uint64_t insns, license;
		uint32_t rest[26];
	} attr = { .type = 3 /* SCHED_CLS */,
		   .insn_count = 2,
		   .insns = (uintptr_t)insns,
		   .license = (uintptr_t) "BSD" };
	const int prog_load = 5;
	int fd = (int)syscall(SYS_bpf, prog_load, &attr, sizeof(attr));

	require(fd != -1, "BPF_PROG_LOAD: %s", strerror(errno));
	require(programs() == 1, "%u programs instead of 1", programs());
	close(fd);
	require(programs() == 0, "%u programs instead of 0", programs());
}

static pcap_t *
open_probe(const char *ifname, int snaplen, int dlt)
{
	pcap_t *p = open_dev(dev(ifname), .snaplen = snaplen, .timeout = UNSET,
			     .blocking = 1);
	int *list = NULL;

	require(pcap_datalink(p) == dlt, "%s: DLT %d", ifname,
		pcap_datalink(p));
	require(pcap_list_datalinks(p, &list) > 0, "%s: no DLT", ifname);
	pcap_free_datalinks(list);
	require(programs() == 0, "%s: %u programs for a look", ifname,
		programs());
	return p;
}

static void
probe_attaches_nothing(void)
{
	const int any = ours ? DLT_LINUX_SLL2 : DLT_LINUX_SLL;

	programs_can_be_found();
	pcap_close(open_probe(IF_A, UNSET, DLT_EN10MB));
	pcap_close(open_probe(IF_A, 1, DLT_EN10MB));
	pcap_close(open_probe("lo", UNSET, DLT_EN10MB));
	pcap_close(open_probe("any", UNSET, any));
	require(programs() == 0, "something is left");
}

/* Looking at a link type is still no capture. */
static void
probe_of_pktap(void)
{
	pcap_t *p = open_probe(IF_A, 1, DLT_EN10MB);
	struct bpf_program code;

	require(pcap_set_datalink(p, DLT_PKTAP) == 0, "%s", pcap_geterr(p));
	require(pcap_snapshot(p) == 108 + 1, "snapshot length %d",
		pcap_snapshot(p));
	require(pcap_compile(p, &code, "tcp port 443", 1, 0) == 0,
		"pcap_compile: %s", pcap_geterr(p));
	pcap_freecode(&code);
	require(programs() == 0, "%u programs for a look", programs());
	pcap_close(p);
}

/* Read after all; without a timeout that takes a full block. */
static void
probe_captures_when_read(void)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *p = open_probe(IF_A, UNSET, DLT_EN10MB);
	struct seen s = { 0 };
	unsigned i;

	require(pcap_setnonblock(p, 1, errbuf) == 0, "%s", errbuf);
	require(pcap_dispatch(p, -1, see, (u_char *)&s) >= 0, "dispatch: %s",
		pcap_geterr(p));
	for (i = 0; i < 4000; i++)
		send_len(IN4, i % 4000, 1400);
	require(collect(p, &s, 1, 3000) >= 1 && s.times[0] == 1,
		"nothing captured");
	require(!ours || programs() > 0, "captured without a program");
	pcap_close(p);
	require(wait_for(programs() == 0, 1000), "%u programs are left",
		programs());
}

static void
probe_blocks_and_captures(void)
{
	pcap_t *p = open_probe(IF_A, UNSET, DLT_EN10MB);
	long end = now_ms() + 10000;
	struct loop l;
	unsigned i;

	loop_start(&l, p, 1);
	wait_blocked(l.tid);
	/* without a timeout a good part of the buffer has to fill first */
	for (i = 0; l.seen.count == 0 && now_ms() < end; i++)
		send_len(IN4, i % 4000, 1400);
	require(loop_join(&l) == 0 && l.seen.count == 1, "loop: %d, %u seen",
		l.result, l.seen.count);
	pcap_close(p);
}

static void
close_detaches(void)
{
	static const char *const names[] = { IF_A, "lo", "any" };
	unsigned i;
	pcap_t *p;

	for (i = 0; i < 3; i++) {
		p = open_dev(dev(names[i]), .promisc = i == 0);
		send_seq(i == 1 ? LO4 : IN4, 1);
		expect(p, 1, 1);
		require(programs() > 0, "%s: no program", names[i]);
		pcap_close(p);
		require(wait_for(programs() == 0, 1000),
			"%s: %u programs are left", names[i], programs());
	}
}

/* Nor does a program that was started meanwhile keep anything alive. */
static void
close_detaches_with_child(void)
{
	pcap_t *p = open_dev(dev(IF_A), .promisc = 1);
	pid_t pid;

	send_seq(IN4, 1);
	expect(p, 1, 1);
	pid = fork();
	if (pid == 0) {
		execlp("sleep", "sleep", "30", (char *)NULL);
		_exit(127);
	}
	/* Until it has executed, it holds what it inherited. */
	pcap_close(p);
	require(wait_for(programs() == 0, 2000), "%u programs are left",
		programs());
	require(waitpid(pid, NULL, WNOHANG) == 0, "the child has ended");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static const struct api_case cases[] = {
	{ "device-strings", device_strings, OURS },
	{ "device-strings-long", device_strings_long, OURS },
	{ "other-namespace", other_namespace, OURS },
	{ "list-as-root", list_as_root, BOTH },
	{ "list-as-nobody", list_as_nobody, BOTH },
	{ "list-without-interfaces", list_without_interfaces, BOTH },
	{ "nobody-is-refused", nobody_is_refused, BOTH },
	{ "probe-attaches-nothing", probe_attaches_nothing, BOTH },
	{ "probe-of-pktap", probe_of_pktap, OURS },
	{ "probe-captures-when-read", probe_captures_when_read, BOTH },
	{ "probe-blocks-and-captures", probe_blocks_and_captures, BOTH },
	{ "close-detaches", close_detaches, OURS },
	{ "close-detaches-with-child", close_detaches_with_child, OURS },
	{ NULL, NULL, 0 },
};

int
main(int argc, char **argv)
{
	return api_main(argc, argv, cases);
}
