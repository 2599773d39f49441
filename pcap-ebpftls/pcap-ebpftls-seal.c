// SPDX-License-Identifier: BSD-3-Clause
/*
 * Keeps a journal of what dumpcap's file will lack, for a handle whose packets
 * dumpcap writes: docs/sealing.md.
 */
#define _GNU_SOURCE

#include <config.h>

#include "pcap-int.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ebpftls-journal.h"
#include "pcap-ebpftls-handle.h"

#define SECOND UINT64_C(1000000000)

/* dumpcap writes what it has after 100 to 500 milliseconds. */
#define FLUSH (SECOND / 20)

/* Whether there can be anything to put into a file. */
static bool
is_wanted(const struct pcap_ebpftls *handle)
{
	const struct ebpftls_device *device = &handle->device;

	return !device->no_seal && !device->classic &&
	       (!device->no_secrets || device->naming != 0);
}

/* What will be added. */
static const char *
contents(const struct pcap_ebpftls *handle)
{
	const bool secrets = handle->savefiles.keys != NULL;

	if (handle->people == NULL)
		return secrets ? "TLS secrets are" : "nothing is";
	return secrets ? "TLS secrets and process names are"
		       : "process names are";
}

bool
pcap_ebpftls_announce_seal(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;

	if (!is_wanted(handle) || !ebpftls_target_is_likely() ||
	    pcap_ebpftls_take_secrets(handle) != 0)
		return false;
	snprintf(p->errbuf, PCAP_ERRBUF_SIZE,
		 "when the capture ends, %s added to the pcapng file that "
		 "dumpcap writes%s%.80s (seal=off: not)",
		 contents(handle), handle->no_secrets.text[0] ? "; " : "",
		 handle->no_secrets.text);
	return true;
}

/* Begins a journal for the file that was found. */
static void
begin(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;
	struct pcap_ebpftls_journal *journal = &handle->journal;
	const struct ebpftls_interface interface = {
		.name = p->opt.device,
		.description = "journal of " EBPFTLS_PREFIX,
		.linktype = journal->target.linktype,
		.snaplen = (uint32_t)p->snapshot,
		.nanoseconds = true,
		.journal = true,
	};

	journal->file = ebpftls_journal_open(&journal->target);
	if (journal->file == NULL)
		return;
	journal->save =
	    ebpftls_savefile_begin(&handle->savefiles, journal->file,
				   &interface, pcap_ebpftls_monotonic());
	if (journal->save == NULL) {
		ebpftls_journal_close(journal->file, &journal->target);
		journal->file = NULL;
	}
}

static void
end(struct pcap_ebpftls_journal *journal)
{
	if (journal->file != NULL) {
		ebpftls_savefile_end(journal->save);
		ebpftls_journal_close(journal->file, &journal->target);
	}
	journal->file = NULL;
	journal->save = NULL;
	ebpftls_target_free(&journal->target);
}

static void
look(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;
	struct ebpftls_target *target = &handle->journal.target;

	if (ebpftls_target_find(target, p->opt.device) &&
	    pcap_ebpftls_take_secrets(handle) == 0)
		begin(p);
}

/* Packets that a thread delivers are written some time later. */
static void
look_for_threads(struct pcap_ebpftls_journal *journal)
{
	if (gettid() == getpid() || !journal->target.one_of_many)
		return;
	journal->recent = ebpftls_recent_new();
	/* without, all that is known is which packets the first one has */
	journal->target.one_of_many = journal->recent != NULL;
}

/* One that has savefiles of ours is no dumpcap. */
void
pcap_ebpftls_begin_journal(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;

	if (handle->journal.looked)
		return;
	handle->journal.looked = true;
	if (is_wanted(handle) && handle->savefiles.first == NULL) {
		look(p);
		look_for_threads(&handle->journal);
	}
}

/*
 * Where another thread writes, each file that has been begun gets marks also of
 * what may have waited then. Those that were not in it are passed over.
 */
static void
go_on(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;
	struct pcap_ebpftls_journal *journal = &handle->journal;
	struct ebpftls_target next;

	while (!ebpftls_target_is(&journal->target) &&
	       ebpftls_target_next(&next, &journal->target, p->opt.device)) {
		end(journal);
		journal->target = next;
		begin(p);
		if (journal->save != NULL)
			ebpftls_recent_mark(journal->recent, journal->save,
					    handle->now);
	}
	ebpftls_journals_prune();
}

/* Dumpcap has gone on to another file. */
static void
change(pcap_t *p)
{
	struct pcap_ebpftls *handle = p->priv;

	if (handle->journal.recent != NULL) {
		go_on(p);
		return;
	}
	end(&handle->journal);
	ebpftls_journals_prune();
	look(p);
}

static void
mark(pcap_t *p, const struct pcap_pkthdr *header, const u_char *bytes)
{
	struct pcap_ebpftls *handle = p->priv;
	const uint64_t unit =
	    p->opt.tstamp_precision == PCAP_TSTAMP_PRECISION_NANO ? 1 : 1000;
	const struct ebpftls_record record = {
		.time = (uint64_t)header->ts.tv_sec * SECOND +
			(uint64_t)header->ts.tv_usec * unit,
		.caplen = header->caplen,
		.len = header->len,
		.sender = handle->current.sender,
		.receiver = handle->current.receiver,
	};

	ebpftls_savefile_packet(handle->journal.save, &record, bytes,
				handle->now);
	if (handle->journal.recent != NULL)
		ebpftls_recent_add(handle->journal.recent, &record, bytes,
				   ebpftls_savefiles_need(&handle->savefiles));
}

void
pcap_ebpftls_journal(pcap_t *p, const struct pcap_pkthdr *header,
		     const u_char *bytes)
{
	struct pcap_ebpftls *handle = p->priv;
	const struct pcap_ebpftls_journal *journal = &handle->journal;

	if (journal->target.one_of_many && !ebpftls_target_is(&journal->target))
		change(p);
	if (journal->save != NULL)
		mark(p, header, bytes);
}

/*
 * Without numbers in its name, the journal ends with the file: what is
 * delivered after that goes nowhere.
 */
static void
end_with_file(struct pcap_ebpftls_journal *journal)
{
	if (journal->target.one_of_many || ebpftls_target_is(&journal->target))
		return;
	end(journal);
	ebpftls_journals_prune();
}

/*
 * Whatever ends the process, what the file has that the journal has not is no
 * older than this.
 */
void
pcap_ebpftls_flush_journal(struct pcap_ebpftls *handle)
{
	struct pcap_ebpftls_journal *journal = &handle->journal;

	if (journal->save == NULL || handle->now < journal->flushed + FLUSH)
		return;
	journal->flushed = handle->now;
	ebpftls_savefile_flush(journal->save);
	end_with_file(journal);
}

void
pcap_ebpftls_last_journal(struct pcap_ebpftls *handle)
{
	/* threads of dumpcap have written all by now */
	if (handle->journal.recent != NULL)
		go_on(handle->pcap);
	ebpftls_recent_free(handle->journal.recent);
	handle->journal.recent = NULL;
}

void
pcap_ebpftls_end_journal(struct pcap_ebpftls *handle)
{
	end(&handle->journal);
}
