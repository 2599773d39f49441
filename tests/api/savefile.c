/*
 * savefile.c: what a program that writes savefiles by libpcap's calls can rely
 * on: the same packets come back from the file, whatever it is in.
 */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[] = "/tmp/api-savefile-XXXXXX";

static pcap_t *
open_capture(void)
{
	return open_dev(dev(IF_A), .timeout = 10,
			.filter = "udp dst port 4711");
}

/* A name for a file that does not exist. */
static void
new_path(void)
{
	int fd;

	memset(path + sizeof(path) - 7, 'X', 6);
	fd = mkstemp(path);
	require(fd >= 0, "mkstemp: %s", strerror(errno));
	close(fd);
	unlink(path);
}

static pcap_dumper_t *
dump_open(pcap_t *p)
{
	pcap_dumper_t *d = pcap_dump_open(p, path);

	require(d != NULL, "pcap_dump_open: %s", pcap_geterr(p));
	return d;
}

/* Captures n numbered datagrams into the file. */
static void
dump(pcap_t *p, pcap_dumper_t *d, unsigned first, unsigned n)
{
	long end = now_ms() + 3000;
	unsigned got = 0;

	send_many(IN4, first, n);
	while (got < n && now_ms() < end) {
		int count =
		    pcap_dispatch(p, (int)(n - got), pcap_dump, (u_char *)d);

		require(count >= 0, "dispatch: %s", pcap_geterr(p));
		got += (unsigned)count;
		if (count == 0)
			wait_readable(p, 100);
	}
	require(got == n, "%u of %u packets", got, n);
}

/* How many packets the file has, which must be whole and these, in order. */
static void
file_holds(const char *name, unsigned first, unsigned n)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_open_offline(name, errbuf);
	struct seen s = { 0 };
	int status;

	require(p != NULL, "pcap_open_offline: %s", errbuf);
	require(pcap_datalink(p) == DLT_EN10MB, "link type %d",
		pcap_datalink(p));
	status = pcap_loop(p, -1, see, (u_char *)&s);
	require(status == 0, "reading: %s", pcap_geterr(p));
	pcap_close(p);
	require(s.count == n && s.other == 0 && s.damaged == 0 &&
		    s.disorder == 0,
		"%u packets of %u, %u others, %u damaged, %u out of order",
		s.count, n, s.other, s.damaged, s.disorder);
	require(n == 0 || s.last == first + n - 1, "the last one is %u",
		s.last);
}

static long long
size_of(const char *name)
{
	struct stat status;

	require(stat(name, &status) == 0, "%s: %s", name, strerror(errno));
	return (long long)status.st_size;
}

/* --- the calls ------------------------------------------------------------ */

static void
written_and_read(void)
{
	pcap_t *p = open_capture();
	pcap_dumper_t *d;

	new_path();
	d = dump_open(p);
	dump(p, d, 0, 500);
	pcap_dump_close(d);
	pcap_close(p);
	file_holds(path, 0, 500);
	unlink(path);
}

static void
empty(void)
{
	pcap_t *p = open_capture();

	new_path();
	pcap_dump_close(dump_open(p));
	pcap_close(p);
	file_holds(path, 0, 0);
	unlink(path);
}

/* tcpdump closes its source, but not its file. */
static void
source_closed_then_exit(void)
{
	pid_t pid;

	new_path();
	pid = fork();
	if (pid == 0) {
		pcap_t *p = open_capture();

		dump(p, dump_open(p), 0, 50);
		pcap_close(p);
		exit(0);
	}
	waitpid(pid, NULL, 0);
	file_holds(path, 0, 50);
	unlink(path);
}

static void
exit_without_close(void)
{
	pid_t pid;

	new_path();
	pid = fork();
	if (pid == 0) {
		pcap_t *p = open_capture();

		dump(p, dump_open(p), 0, 50);
		exit(0);
	}
	waitpid(pid, NULL, 0);
	file_holds(path, 0, 50);
	unlink(path);
}

/* Packets that were kept are written after the capture's end. */
static void
source_closed_first(void)
{
	struct pcap_pkthdr *h, kept;
	pcap_t *p = open_capture();
	u_char copy[2048];
	const u_char *bytes;
	pcap_dumper_t *d;

	new_path();
	d = dump_open(p);
	dump(p, d, 0, 3);
	send_seq(IN4, 3);
	require(wait_for(pcap_next_ex(p, &h, &bytes) == 1, 3000), "no packet");
	kept = *h;
	memcpy(copy, bytes, kept.caplen);
	pcap_close(p);
	pcap_dump((u_char *)d, &kept, copy);
	pcap_dump_close(d);
	file_holds(path, 0, 4);
	unlink(path);
}

static void
flush_and_tell(void)
{
	pcap_t *p = open_capture();
	pcap_dumper_t *d;
	int64_t before;

	new_path();
	d = dump_open(p);
	before = pcap_dump_ftell64(d);
	require(before >= 24, "after the header: %lld", (long long)before);
	for (unsigned i = 0; i < 20; i++) {
		int64_t now;

		dump(p, d, i, 1);
		now = pcap_dump_ftell64(d);
		require(now > before && now == pcap_dump_ftell(d),
			"%lld after %lld, as a long %ld", (long long)now,
			(long long)before, pcap_dump_ftell(d));
		require(pcap_dump_flush(d) == 0, "flush: %s", strerror(errno));
		require(size_of(path) == now, "%lld of %lld bytes are there",
			size_of(path), (long long)now);
		file_holds(path, 0, i + 1);
		before = now;
	}
	pcap_dump_close(d);
	pcap_close(p);
	unlink(path);
}

/* What is said of a dumper that is a FILE, as old programs know. */
static void
is_a_file(void)
{
	pcap_t *p = open_capture();
	struct stat status;
	pcap_dumper_t *d;
	FILE *file;

	new_path();
	d = dump_open(p);
	file = pcap_dump_file(d);
	require(file == (FILE *)d, "another FILE");
	require(fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode),
		"no file behind it");
	dump(p, d, 0, 10);
	require(fflush(file) == 0 && !ferror(file), "fflush: %s",
		strerror(errno));
	pcap_dump_close(d);
	pcap_close(p);
	file_holds(path, 0, 10);
	unlink(path);
}

static void
into_a_stream(void)
{
	pcap_t *p = open_capture();
	pcap_dumper_t *d;
	FILE *file;

	new_path();
	file = fopen(path, "w");
	require(file != NULL, "fopen: %s", strerror(errno));
	d = pcap_dump_fopen(p, file);
	require(d != NULL, "pcap_dump_fopen: %s", pcap_geterr(p));
	dump(p, d, 0, 10);
	pcap_dump_close(d);
	pcap_close(p);
	file_holds(path, 0, 10);
	unlink(path);
}

static void
appended(void)
{
	pcap_dumper_t *d;
	pcap_t *p;

	new_path();
	for (unsigned i = 0; i < 3; i++) {
		p = open_capture();
		d = pcap_dump_open_append(p, path);
		require(d != NULL, "append: %s", pcap_geterr(p));
		dump(p, d, 10 * i, 10);
		pcap_dump_close(d);
		pcap_close(p);
	}
	file_holds(path, 0, 30);
	unlink(path);
}

static void
not_appended(void)
{
	pcap_t *p = open_capture();

	new_path();
	sh("head -c 100 /dev/zero >%s", path);
	require(pcap_dump_open_append(p, path) == NULL,
		"appended to what is no capture file");
	require(strstr(pcap_geterr(p), "not a pcap file") != NULL, "said: %s",
		pcap_geterr(p));
	require(size_of(path) == 100, "it was changed");
	pcap_close(p);
	unlink(path);
}

static void
cannot_open(void)
{
	pcap_t *p = open_capture();

	require(pcap_dump_open(p, "/nonexistent/file") == NULL, "opened");
	require(strstr(pcap_geterr(p), "/nonexistent/file: No such file") !=
		    NULL,
		"said: %s", pcap_geterr(p));
	pcap_close(p);
}

/* The error stays where stdio keeps it. */
static void
full_disk(void)
{
	pcap_t *p = open_capture();
	pcap_dumper_t *d = pcap_dump_open(p, "/dev/full");
	int status = 0;

	if (d != NULL) {
		dump(p, d, 0, 200);
		status = pcap_dump_flush(d);
		require(status == -1 || ferror(pcap_dump_file(d)), "no error");
		dump(p, d, 200, 10);
		pcap_dump_close(d);
	}
	pcap_close(p);
}

/* As -C and -G do. */
static void
one_after_the_other(void)
{
	char name[sizeof(path) + 8];
	pcap_t *p = open_capture();

	new_path();
	for (unsigned i = 0; i < 10; i++) {
		pcap_dumper_t *d;

		snprintf(name, sizeof(name), "%s.%u", path, i);
		d = pcap_dump_open(p, name);
		require(d != NULL, "pcap_dump_open: %s", pcap_geterr(p));
		dump(p, d, 10 * i, 10);
		pcap_dump_close(d);
	}
	pcap_close(p);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "%s.%u", path, i);
		file_holds(name, 10 * i, 10);
		unlink(name);
	}
}

/* One packet goes into two files. */
static void
both(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	pcap_dumper_t **files = (pcap_dumper_t **)user;

	pcap_dump((u_char *)files[0], h, bytes);
	pcap_dump((u_char *)files[1], h, bytes);
}

static void
two_at_once(void)
{
	char name[sizeof(path) + 8];
	pcap_t *p = open_capture();
	pcap_dumper_t *files[2];
	unsigned got = 0;

	new_path();
	files[0] = dump_open(p);
	snprintf(name, sizeof(name), "%s.b", path);
	files[1] = pcap_dump_open(p, name);
	require(files[1] != NULL, "pcap_dump_open: %s", pcap_geterr(p));
	send_many(IN4, 0, 20);
	for (long end = now_ms() + 3000; got < 20 && now_ms() < end;) {
		int count = pcap_dispatch(p, -1, both, (u_char *)files);

		require(count >= 0, "dispatch: %s", pcap_geterr(p));
		got += (unsigned)count;
	}
	pcap_dump_close(files[1]);
	pcap_dump_close(files[0]);
	pcap_close(p);
	file_holds(path, 0, 20);
	file_holds(name, 0, 20);
	unlink(path);
	unlink(name);
}

struct writer {
	pthread_t thread;
	pcap_t *p;
	pcap_dumper_t *d;
	atomic_uint count;
	char name[sizeof(path) + 8];
};

static void
count_and_dump(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct writer *w = (struct writer *)user;

	pcap_dump((u_char *)w->d, h, bytes);
	w->count++;
}

static void *
write_in_thread(void *argument)
{
	struct writer *w = argument;

	while (w->count < 2000)
		if (pcap_dispatch(w->p, -1, count_and_dump, argument) == 0)
			wait_readable(w->p, 10);
	return NULL;
}

static void
two_threads(void)
{
	struct writer writers[2] = { { .p = NULL } };

	new_path();
	for (int i = 0; i < 2; i++) {
		struct writer *w = &writers[i];

		w->p = open_capture();
		snprintf(w->name, sizeof(w->name), "%s.%d", path, i);
		w->d = pcap_dump_open(w->p, w->name);
		require(w->d != NULL, "open: %s", pcap_geterr(w->p));
		thread_start(&w->thread, write_in_thread, w);
	}
	send_many(IN4, 0, 2000);
	for (int i = 0; i < 2; i++) {
		thread_join(writers[i].thread, "a writer");
		pcap_dump_close(writers[i].d);
		pcap_close(writers[i].p);
		file_holds(writers[i].name, 0, 2000);
		unlink(writers[i].name);
	}
}

static bool
file_says(const char *name, const char *text)
{
	FILE *file = fopen(name, "re");
	static char content[65536];
	size_t length;

	require(file != NULL, "%s: %s", name, strerror(errno));
	length = fread(content, 1, sizeof(content), file);
	fclose(file);
	return memmem(content, length, text, strlen(text)) != NULL;
}

/* Another thread reads all the while: what it asks for, that one may hear. */
static void
opened_beside_a_reader(void)
{
	for (int i = 0; i < 3; i++) {
		pcap_t *p = open_dev(dev(IF_A), .timeout = 10, .blocking = 1,
				     .filter = "udp dst port 4711");
		static struct loop reader;
		pcap_dumper_t *d;
		long begun;

		new_path();
		loop_start(&reader, p, -1);
		send_many(IN4, 0, 5);
		begun = now_ms();
		d = dump_open(p);
		require(now_ms() - begun < 15000, "pcap_dump_open: %ld ms",
			now_ms() - begun);
		send_many(IN4, 5, 5);
		require(wait_for(reader.seen.count == 10, 3000),
			"%u of 10 packets", reader.seen.count);
		pcap_breakloop(p);
		require(loop_join(&reader) == PCAP_ERROR_BREAK, "pcap_loop: %s",
			pcap_geterr(p));
		pcap_dump_close(d);
		pcap_close(p);
		require(!file_says(path, "no TLS secrets: the ebpftls agent"),
			"the answer is lost");
		file_holds(path, 0, 0);
		unlink(path);
	}
}

/* The parent opens all and ends; the child, a daemon, writes. */
static void
daemon_writes(void)
{
	pid_t parent;

	new_path();
	path_open(IN4);
	parent = fork();
	if (parent == 0) {
		pcap_t *p = open_capture();
		pcap_dumper_t *d = dump_open(p);

		pcap_dump_flush(d);
		if (fork() != 0)
			exit(0);
		dump(p, d, 0, 100);
		pcap_dump_close(d);
		pcap_close(p);
		shared->count = 100;
		_exit(0);
	}
	waitpid(parent, NULL, 0);
	require(wait_for(shared->count == 100, 5000), "the daemon hangs: %s",
		shared->why);
	file_holds(path, 0, 100);
	unlink(path);
}

/* A child that is made for something else, and ends as programs do. */
static void
child_exits(void)
{
	pcap_t *p = open_capture();
	pcap_dumper_t *d;
	pid_t pid;

	new_path();
	d = dump_open(p);
	dump(p, d, 0, 20);
	pcap_dump_flush(d);
	pid = fork();
	if (pid == 0)
		exit(0);
	waitpid(pid, NULL, 0);
	dump(p, d, 20, 20);
	pcap_dump_close(d);
	pcap_close(p);
	file_holds(path, 0, 40);
	unlink(path);
}

/* Time stamps survive in the precision of the handle. */
static void
precision(void)
{
	for (int nano = 0; nano < 2; nano++) {
		pcap_t *p = open_dev(dev(IF_A), .timeout = 10, .nano = nano,
				     .filter = "udp dst port 4711");
		char errbuf[PCAP_ERRBUF_SIZE];
		struct pcap_pkthdr *h, kept;
		const u_char *bytes;
		pcap_dumper_t *d;

		new_path();
		d = dump_open(p);
		send_seq(IN4, 1);
		require(wait_for(pcap_next_ex(p, &h, &bytes) == 1, 3000),
			"no packet");
		kept = *h;
		pcap_dump((u_char *)d, h, bytes);
		pcap_dump_close(d);
		pcap_close(p);
		p = pcap_open_offline_with_tstamp_precision(
		    path,
		    nano ? PCAP_TSTAMP_PRECISION_NANO
			 : PCAP_TSTAMP_PRECISION_MICRO,
		    errbuf);
		require(p != NULL, "open_offline: %s", errbuf);
		require(pcap_next_ex(p, &h, &bytes) == 1, "no packet in it");
		require(h->ts.tv_sec == kept.ts.tv_sec &&
			    h->ts.tv_usec == kept.ts.tv_usec &&
			    h->len == kept.len && h->caplen == kept.caplen,
			"another header");
		pcap_close(p);
		unlink(path);
	}
}

/* What holds secrets is its owner's alone. */
static void
for_its_owner(void)
{
	struct stat status;
	pcap_t *p = open_capture();
	pcap_dumper_t *d;

	new_path();
	d = dump_open(p);
	require(stat(path, &status) == 0 && (status.st_mode & 077) == 0,
		"mode %o", status.st_mode);
	pcap_dump_close(d);
	pcap_close(p);
	unlink(path);
}

static const struct api_case cases[] = {
	{ "savefile-written-and-read", written_and_read, BOTH },
	{ "savefile-empty", empty, BOTH },
	{ "savefile-source-closed-then-exit", source_closed_then_exit, BOTH },
	{ "savefile-exit-without-close", exit_without_close, BOTH },
	{ "savefile-source-closed-first", source_closed_first, BOTH },
	{ "savefile-flush-and-tell", flush_and_tell, BOTH },
	{ "savefile-is-a-file", is_a_file, BOTH },
	{ "savefile-into-a-stream", into_a_stream, BOTH },
	{ "savefile-appended", appended, BOTH },
	{ "savefile-not-appended", not_appended, BOTH },
	{ "savefile-cannot-open", cannot_open, BOTH },
	{ "savefile-full-disk", full_disk, BOTH },
	{ "savefile-one-after-the-other", one_after_the_other, BOTH },
	{ "savefile-two-at-once", two_at_once, BOTH },
	{ "savefile-two-threads", two_threads, BOTH },
	{ "savefile-opened-beside-a-reader", opened_beside_a_reader, BOTH },
	{ "savefile-daemon-writes", daemon_writes, BOTH },
	{ "savefile-child-exits", child_exits, BOTH },
	{ "savefile-precision", precision, BOTH },
	{ "savefile-for-its-owner", for_its_owner, OURS },
	{ NULL, NULL, 0 },
};

int
main(int argc, char **argv)
{
	return api_main(argc, argv, cases);
}
