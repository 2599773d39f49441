// SPDX-License-Identifier: BSD-3-Clause
/*
 * Brings the secrets of a handle to its savefiles and its key log: what
 * sf-pcap.c calls for savefiles of ours, and what the read loop calls.
 */
#define _GNU_SOURCE

#include <config.h>

#include "pcap-int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ebpftls-owner.h"
#include "pcap-ebpftls-handle.h"
#include "pcap-ebpftls.h"

#define SECOND	    UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)

/* Handshakes that are followed, and connections that are remembered. */
#define FLOWS_MAX	16384
#define CONNECTIONS_MAX 16384

/* Processes of which the facts are remembered. */
#define PEOPLE_MAX 8192

/* Processes that the agent was asked about, and room for some names. */
#define SOURCES_MAX 1024
#define NAMES_SIZE  256

/* More than this is never held back. */
#define HOLD_BYTES ((size_t)64 << 20)

/* The first bytes of a pcapng file. */
#define SECTION_HEADER 0x0A0D0D0A

/* Returns whether any came. */
static bool
read_secrets(struct pcap_ebpftls *handle, uint64_t now)
{
	struct ebpftls_secret secret;
	bool any = false;

	/* another thread may open or close files meanwhile */
	ebpftls_savefiles_lock(&handle->savefiles);
	while (handle->secrets.read != NULL &&
	       ebpftls_secrets_next(&handle->secrets, &secret) == 1) {
		any = true;
		handle->secrets_lost = secret.lost;
		if (ebpftls_savefiles_secret(&handle->savefiles, &secret,
					     now) &&
		    handle->keylog.fd >= 0)
			ebpftls_keylog_write(&handle->keylog, &secret);
	}
	explicit_bzero(&secret, sizeof(secret));
	ebpftls_savefiles_unlock(&handle->savefiles);
	return any;
}

void
pcap_ebpftls_work(struct pcap_ebpftls *handle, uint64_t now)
{
	handle->now = now;
	read_secrets(handle, now);
	ebpftls_savefiles_tick(&handle->savefiles, now);
}

static bool
ask(void *context, const struct ebpftls_hooked *question)
{
	struct pcap_ebpftls *handle = context;

	return ebpftls_client_ask(&handle->client, question) == 0;
}

static void
take_answer(void *context, const struct ebpftls_hooked *answer)
{
	struct pcap_ebpftls *handle = context;

	handle->answers++;
	ebpftls_savefiles_answer(&handle->savefiles, answer);
}

/* What ends the capture is the reader's to say. */
static void
overhear(struct pcap_ebpftls *handle)
{
	struct ebpftls_failure failure;

	if (ebpftls_client_check(&handle->client, &failure) != 0)
		ebpftls_wait_kick(&handle->wait);
}

/* Answers first: who has ended gave what is to be read after that. */
static bool
read_all(struct pcap_ebpftls *handle, uint64_t now)
{
	const uint32_t before = handle->answers;
	bool any;

	overhear(handle);
	any = read_secrets(handle, now);
	return any || handle->answers != before;
}

/* Nobody is woken for a secret: see send() in bpf/secrets.bpf.c. */
static uint64_t
await_secrets(void *context, uint64_t until)
{
	const struct timespec pause = { 0, MILLISECOND };
	struct pcap_ebpftls *handle = context;
	uint64_t now = pcap_ebpftls_monotonic();

	while (!read_all(handle, now) && now < until) {
		nanosleep(&pause, NULL);
		now = pcap_ebpftls_monotonic();
	}
	return now;
}

/* Adds to a text that is cut where the room ends. */
__attribute__((format(printf, 3, 4))) static void
add_text(char *text, size_t size, const char *format, ...)
{
	size_t length = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + length, size - length, format, args);
	va_end(args);
}

static bool
lacks(const void *sources, uint32_t pid)
{
	return ebpftls_sources_lacks(sources, pid);
}

/* One that was hooked wrongly, or whose handshakes were not seen, or not as it
 * had them. */
static void
describe_unfit(const struct ebpftls_savefiles *files, char *text, size_t size)
{
	const char *path = ebpftls_keys_unfit(files->keys, files->libraries,
					      lacks, files->sources);
	char line[EBPFTLS_NOTE_SIZE];

	if (path == NULL)
		return;
	ebpftls_owner_line(path, line);
	add_text(text, size,
		 "of the secrets that %s gave none fit a connection\n", line);
}

/* Why something in the file may stay encrypted; "" if there is no reason. */
static void
describe_end(struct pcap_ebpftls *handle, char *text, size_t size)
{
	const struct ebpftls_client *client = &handle->client;
	char line[EBPFTLS_NOTE_SIZE];
	struct ebpftls_sources_sums sums;
	char names[NAMES_SIZE];
	uint64_t older;

	text[0] = '\0';
	if (handle->no_secrets.text[0] != '\0')
		add_text(text, size, "no TLS secrets: %s\n",
			 handle->no_secrets.text);
	if (client->no_owners[0] != '\0')
		add_text(text, size, "packets do not name processes: %s\n",
			 client->no_owners);
	if (handle->no_filter.text[0] != '\0')
		add_text(text, size,
			 "the filter is not applied in the kernel: %s\n",
			 handle->no_filter.text);
	if (handle->savefiles.flows == NULL)
		return;
	ebpftls_sources_sum(handle->savefiles.sources, &sums, names,
			    sizeof(names));
	older = ebpftls_flows_older(handle->savefiles.flows) - sums.older;
	if (handle->savefiles.late != 0)
		add_text(text, size,
			 "%" PRIu64 " packets stand before TLS secrets that "
			 "they need\n",
			 handle->savefiles.late);
	if (handle->secrets_lost != 0)
		add_text(text, size, "%" PRIu32 " TLS secrets were lost\n",
			 handle->secrets_lost);
	if (handle->keylog.lost != 0)
		add_text(text, size,
			 "%" PRIu64 " TLS secrets are not in the key log: %s\n",
			 handle->keylog.lost, strerror(handle->keylog.error));
	if (older != 0)
		add_text(text, size,
			 "%" PRIu64 " TLS connections are older than the "
			 "capture\n",
			 older);
	if (sums.unhooked != 0)
		add_text(text, size,
			 "%" PRIu64 " TLS connections are not hooked: %s\n",
			 sums.unhooked, names);
	if (sums.others != 0)
		add_text(text, size,
			 "%" PRIu64 " other TLS connections have no secrets\n",
			 sums.others);
	describe_unfit(&handle->savefiles, text, size);
	if (client->notes == 0)
		return;
	ebpftls_owner_line(client->note, line);
	add_text(text, size, "%" PRIu32 " files without TLS hooks: %s\n",
		 client->notes, line);
}

static void
add_up(void *context, struct ebpftls_totals *totals)
{
	struct pcap_ebpftls *handle = context;
	struct pcap_stat stats;

	pcap_ebpftls_stats(handle->pcap, &stats);
	totals->received = stats.ps_recv;
	totals->dropped = stats.ps_drop;
	totals->if_dropped = stats.ps_ifdrop;
	overhear(handle);
	describe_end(handle, handle->comment, sizeof(handle->comment));
	totals->comment = handle->comment[0] != '\0' ? handle->comment : NULL;
}

/* Files may be opened and closed in another thread than packets are read in. */
static void
lock(void *context)
{
	struct pcap_ebpftls *handle = context;

	ebpftls_savefiles_lock(&handle->savefiles);
}

static void
unlock(void *context)
{
	struct pcap_ebpftls *handle = context;

	ebpftls_savefiles_unlock(&handle->savefiles);
}

static void
learn(void *context, const struct ebpftls_process *facts)
{
	struct pcap_ebpftls *handle = context;

	ebpftls_savefiles_lock(&handle->savefiles);
	if (handle->people != NULL)
		ebpftls_people_learn(handle->people, facts);
	ebpftls_savefiles_unlock(&handle->savefiles);
}

static void
learn_library(void *context, const struct ebpftls_library *library)
{
	struct pcap_ebpftls *handle = context;

	ebpftls_savefiles_lock(&handle->savefiles);
	if (handle->savefiles.libraries != NULL)
		ebpftls_libraries_learn(handle->savefiles.libraries, library);
	ebpftls_savefiles_unlock(&handle->savefiles);
}

static uint64_t
time_of(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

int
pcap_ebpftls_meet_people(struct pcap_ebpftls *handle)
{
	handle->client.process = learn;
	handle->client.hooked = take_answer;
	handle->client.library = learn_library;
	handle->client.lock = lock;
	handle->client.unlock = unlock;
	handle->client.context = handle;
	if (handle->device.naming == 0 || handle->people != NULL)
		return 0;
	handle->people = ebpftls_people_new(PEOPLE_MAX);
	handle->boot = time_of(CLOCK_REALTIME) - time_of(CLOCK_BOOTTIME);
	return handle->people != NULL ? 0 : -ENOMEM;
}

int
pcap_ebpftls_open_keylog(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;
	const char *path = handle->device.keylog;
	const char *problem;

	if (path[0] == '\0')
		return 0;
	problem = ebpftls_keylog_open(&handle->keylog, path);
	if (problem == NULL)
		return 0;
	snprintf(p->errbuf, PCAP_ERRBUF_SIZE, "key log %.128s: %s", path,
		 problem);
	return PCAP_ERROR;
}

/* Without these no packet needs anything. */
static void
forget_secrets(struct ebpftls_savefiles *files)
{
	ebpftls_keys_free(files->keys);
	ebpftls_flows_free(files->flows);
	ebpftls_sources_free(files->sources);
	ebpftls_libraries_free(files->libraries);
	files->keys = NULL;
	files->flows = NULL;
	files->sources = NULL;
	files->libraries = NULL;
}

static int
begin_savefiles(struct pcap_ebpftls *handle)
{
	struct ebpftls_savefiles *files = &handle->savefiles;

	files->keys = ebpftls_keys_new(CONNECTIONS_MAX);
	files->flows = ebpftls_flows_new(FLOWS_MAX);
	files->sources = ebpftls_sources_new(SOURCES_MAX);
	files->libraries = ebpftls_libraries_new();
	if (files->keys == NULL || files->flows == NULL ||
	    files->sources == NULL || files->libraries == NULL) {
		forget_secrets(files);
		return -ENOMEM;
	}
	files->ask = ask;
	files->hold = handle->device.hold_ms * MILLISECOND;
	files->hold_bytes = HOLD_BYTES;
	files->await = await_secrets;
	files->totals = add_up;
	files->people = handle->people;
	files->naming = handle->device.naming;
	files->boot = handle->boot;
	files->context = handle;
	return 0;
}

static int
map_ring(struct pcap_ebpftls *handle, size_t size)
{
	int error =
	    ebpftls_secrets_map(&handle->secrets, handle->secrets_fd, size);

	if (error == 0)
		error =
		    ebpftls_wait_watch(&handle->wait, handle->secrets_fd, 0);
	/* there is nobody to read them for */
	if (error != 0)
		ebpftls_secrets_unmap(&handle->secrets);
	return error;
}

/*
 * Asks the agent for the ring of secrets, and maps it. Returns 0 or -1. The
 * lock is not held while the answer is awaited, so that another thread reads
 * packets on.
 */
static int
get_ring(struct pcap_ebpftls *handle, struct ebpftls_failure *failure)
{
	size_t size;
	int error;

	handle->secrets_fd =
	    ebpftls_client_secrets(&handle->client, &size, failure);
	/* what was told meanwhile is not told again */
	overhear(handle);
	if (handle->secrets_fd < 0)
		return -1;
	lock(handle);
	error = map_ring(handle, size);
	unlock(handle);
	if (error == 0)
		return 0;
	snprintf(failure->text, sizeof(failure->text),
		 "cannot map their buffer: %s", strerror(-error));
	return -1;
}

/* Returns whether it is to be asked for them now, or a negative errno. */
static int
prepare_to_ask(struct pcap_ebpftls *handle)
{
	int error;

	if (handle->asked)
		return 0;
	error = begin_savefiles(handle);
	handle->asked = error == 0;
	return error != 0 ? error : 1;
}

int
pcap_ebpftls_take_secrets(struct pcap_ebpftls *handle)
{
	int now;

	lock(handle);
	now = prepare_to_ask(handle);
	unlock(handle);
	if (now <= 0)
		return now;
	if (!handle->device.no_secrets &&
	    get_ring(handle, &handle->no_secrets) == 0)
		return 0;
	lock(handle);
	forget_secrets(&handle->savefiles);
	unlock(handle);
	return 0;
}

void
pcap_ebpftls_end_dumps(struct pcap_ebpftls *handle)
{
	read_secrets(handle, pcap_ebpftls_monotonic());
	pcap_ebpftls_last_journal(handle);
	ebpftls_savefiles_close(&handle->savefiles);
	pcap_ebpftls_end_journal(handle);
	forget_secrets(&handle->savefiles);
	ebpftls_people_free(handle->people);
	handle->people = handle->savefiles.people = NULL;
	ebpftls_secrets_unmap(&handle->secrets);
	if (handle->secrets_fd >= 0)
		close(handle->secrets_fd);
	handle->secrets_fd = -1;
	ebpftls_keylog_close(&handle->keylog);
}

/* What will hold secrets is its owner's alone. Returns 0 or -1 with errno. */
static int
close_to_others(int fd)
{
	struct stat status;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
	    (status.st_mode & 077) == 0)
		return 0;
	return fchmod(fd, status.st_mode & 0700);
}

int
ebpftls_dump_begin(pcap_t *p, FILE *file, int linktype)
{
	struct pcap_ebpftls *handle = p->priv;
	char description[64];
	struct ebpftls_interface interface;
	int error;

	/* it may be a new one in the place of one that its program closed */
	ebpftls_savefile_forget(file);
	if (!pcap_ebpftls_is(p) || handle->device.classic)
		return 0;
	if (pcap_ebpftls_ensure_started(p) != 0) {
		errno = EIO;
		return -1;
	}
	if (!handle->device.no_secrets && close_to_others(fileno(file)) != 0)
		return -1;
	error = pcap_ebpftls_take_secrets(handle);
	if (error != 0) {
		errno = -error;
		return -1;
	}
	snprintf(description, sizeof(description), EBPFTLS_DESCRIPTION,
		 handle->device.interface);
	interface = (struct ebpftls_interface){
		.name = p->opt.device,
		.description = description,
		.filter = p->fcode.bf_insns,
		.filter_size = p->fcode.bf_len * sizeof(struct bpf_insn),
		.linktype = (uint32_t)linktype,
		.snaplen = (uint32_t)p->snapshot,
		.nanoseconds =
		    p->opt.tstamp_precision == PCAP_TSTAMP_PRECISION_NANO,
	};
	return ebpftls_savefile_begin(&handle->savefiles, file, &interface,
				      pcap_ebpftls_monotonic()) != NULL
		   ? 1
		   : -1;
}

/* A file that pcap_dump_open_append() found: a new section goes to its end. */
int
ebpftls_dump_continues(pcap_t *p, FILE *file, bpf_u_int32 magic)
{
	const struct pcap_ebpftls *handle = p->priv;

	return pcap_ebpftls_is(p) && !handle->device.classic &&
	       magic == SECTION_HEADER && fseek(file, 0, SEEK_END) == 0;
}

/*
 * Whether this is the packet that was delivered last, or a copy of it, which is
 * what Perl's and Python's modules hand to a script. Any other is one that the
 * application has made or kept.
 */
static bool
is_current(const struct pcap_ebpftls *handle, const struct pcap_pkthdr *h,
	   const u_char *sp)
{
	const struct pcap_ebpftls_current *current = &handle->current;
	const struct pcap_pkthdr *header = &current->header;

	if (current->bytes == NULL)
		return false;
	return sp == current->bytes ||
	       (h->ts.tv_sec == header->ts.tv_sec &&
		h->ts.tv_usec == header->ts.tv_usec &&
		h->caplen == header->caplen && h->len == header->len &&
		memcmp(sp, current->bytes, h->caplen) == 0);
}

int
ebpftls_dump(FILE *file, const struct pcap_pkthdr *h, const u_char *sp)
{
	struct ebpftls_savefile *save = ebpftls_savefile_of(file);
	struct pcap_ebpftls *handle;
	struct ebpftls_record record;

	if (save == NULL)
		return 0;
	record = (struct ebpftls_record){
		.time = (uint64_t)h->ts.tv_sec * SECOND +
			(uint64_t)h->ts.tv_usec *
			    (ebpftls_savefile_nanoseconds(save) ? 1 : 1000),
		.caplen = h->caplen,
		.len = h->len,
	};
	handle = ebpftls_savefile_context(save);
	if (handle != NULL && is_current(handle, h, sp)) {
		record.direction = handle->current.direction;
		record.dropped = handle->current.dropped;
		record.sender = handle->current.sender;
		record.receiver = handle->current.receiver;
		handle->current.dropped = 0;
	}
	ebpftls_savefile_packet(save, &record, sp,
				handle != NULL ? handle->now : 0);
	return 1;
}

int64_t
ebpftls_dump_tell(FILE *file)
{
	const struct ebpftls_savefile *save = ebpftls_savefile_of(file);

	return save != NULL ? ebpftls_savefile_tell(save) : -1;
}

int
ebpftls_dump_flush(FILE *file)
{
	struct ebpftls_savefile *save = ebpftls_savefile_of(file);

	if (save == NULL)
		return 0;
	return ebpftls_savefile_flush(save) == 0 ? 1 : -1;
}

void
ebpftls_dump_end(FILE *file)
{
	struct ebpftls_savefile *save = ebpftls_savefile_of(file);

	if (save != NULL)
		ebpftls_savefile_end(save);
}
