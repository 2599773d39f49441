/*
 * victim.c: a program on libpcap that does all that there is in the read path
 * and says what came of it. What it does besides is not made to fail.
 */
#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

#define FILTER	  "udp port 4711 or tcp port 4712"
#define OTHER	  "udp port 4713" /* which comes before it */
#define PATIENCE  10000		  /* milliseconds for packets to come in */
#define UDP_FRAME 50 /* all that is captured and so long, or shorter */

/* A savefile was: for the next one the module keeps a block. */
static bool opened;

static void
pause_ms(long ms)
{
	const struct timespec pause = { 0, ms * 1000000 };

	nanosleep(&pause, NULL);
}

static void
step(const char *name)
{
	shared->step = name;
}

/* The first reason is the one that counts. */
static void
refuse(const char *why)
{
	if (shared->refused)
		return;
	shared->refused = true;
	snprintf(shared->why, sizeof(shared->why), "%s: %s", shared->step, why);
}

static void
wrong(const char *what)
{
	if (shared->wrong[0] == '\0')
		snprintf(shared->wrong, sizeof(shared->wrong), "%s: %s",
			 shared->step, what);
}

/* How much there is, and what it takes to look. */
static int
entries(const char *folder)
{
	DIR *dir = opendir(folder);
	int count = 0;

	while (dir != NULL && readdir(dir) != NULL)
		count++;
	if (dir != NULL)
		closedir(dir);
	return count;
}

static int
descriptors(void)
{
	return entries("/proc/self/fd");
}

static int
threads(void)
{
	return entries("/proc/self/task");
}

static void
see(u_char *user, const struct pcap_pkthdr *header, const u_char *bytes)
{
	pcap_dump(user, header, bytes);
	/* of what passes the filter only they are that short */
	if (header->len == UDP_FRAME)
		shared->seen++;
}

/* Returns false when something said that it failed. */
static bool
capture(pcap_t *p, pcap_dumper_t *dumper)
{
	int waited = 0;

	step("dispatch");
	shared->asked++;
	while (shared->seen < DATAGRAMS || shared->answered < shared->asked) {
		if (pcap_dispatch(p, -1, see, (u_char *)dumper) < 0) {
			refuse(pcap_geterr(p));
			return false;
		}
		pause_ms(1);
		if (++waited > PATIENCE) {
			wrong("packets do not come, and nothing says why");
			return false;
		}
	}
	step("flush");
	if (pcap_dump_flush(dumper) != 0) {
		refuse(strerror(errno));
		return false;
	}
	return true;
}

static void
look_at_stats(pcap_t *p)
{
	struct pcap_stat stats;

	step("stats");
	if (pcap_stats(p, &stats) != 0)
		refuse(pcap_geterr(p));
	else
		shared->dropped = stats.ps_drop;
}

static void
use(pcap_t *p, struct bpf_program filters[2], const char *path)
{
	pcap_dumper_t *dumper;
	int status;

	step("activate");
	pcap_set_snaplen(p, 2000);
	pcap_set_promisc(p, 1);
	pcap_set_timeout(p, 10);
	status = pcap_activate(p);
	if (status < 0) {
		refuse(pcap_geterr(p)[0] != '\0' ? pcap_geterr(p)
						 : pcap_statustostr(status));
		return;
	}
	step("setfilter");
	if (pcap_setfilter(p, &filters[0]) != 0 ||
	    pcap_setfilter(p, &filters[1]) != 0) {
		refuse(pcap_geterr(p));
		return;
	}
	step("setnonblock");
	if (pcap_setnonblock(p, 1, shared->why) != 0) {
		refuse(shared->why);
		return;
	}
	step("dump_open");
	dumper = pcap_dump_open(p, path);
	if (dumper == NULL) {
		refuse(pcap_geterr(p));
		return;
	}
	opened = true;
	if (capture(p, dumper))
		look_at_stats(p);
	step("dump_close");
	pcap_dump_close(dumper);
}

static void
run(const char *device, struct bpf_program filters[2], const char *path)
{
	char errbuf[PCAP_ERRBUF_SIZE] = "";
	pcap_t *p;

	step("create");
	p = pcap_create(device, errbuf);
	if (p == NULL) {
		refuse(errbuf);
		return;
	}
	use(p, filters, path);
	step("close");
	pcap_close(p);
}

static void
compile(struct bpf_program *filter, const char *text)
{
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 2000);

	if (dead == NULL || pcap_compile(dead, filter, text, 1, 0) != 0)
		exit(EXIT_FAILURE);
	pcap_close(dead);
}

static void
look_around(int had_descriptors, int had_threads)
{
	step("afterwards");
	if (descriptors() != had_descriptors)
		wrong("a descriptor is left open");
	if (threads() != had_threads)
		wrong("a thread is left");
	if (waitpid(-1, NULL, WNOHANG | __WALL) >= 0 || errno != ECHILD)
		wrong("a child process is left");
	if (shared->refused && strlen(strchr(shared->why, ':')) < 5)
		wrong("an error without a text");
}

void
victim(const struct plan *plan, unsigned int nth)
{
	bool memory = !plan->calls && !plan->agent;
	struct bpf_program filters[2];
	char path[512], kept[1900];
	int had_descriptors, had_threads;

	snprintf(path, sizeof(path), "%s/out", plan->folder);
	compile(&filters[0], OTHER);
	compile(&filters[1], FILTER);
	/* what libraries allocate once */
	tzset();
	if (plan->calls)
		calls_watch();
	had_descriptors = descriptors();
	had_threads = threads();
	if (memory)
		memory_arm(nth);
	shared->armed = true;
	run(plan->device, filters, path);
	shared->armed = false;
	if (memory && memory_disarm(opened, kept, sizeof(kept))) {
		step("memory that is left");
		wrong(kept);
	}
	look_around(had_descriptors, had_threads);
	_exit(EXIT_SUCCESS);
}
