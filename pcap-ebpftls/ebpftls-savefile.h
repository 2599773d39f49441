/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the savefiles of one handle as pcapng, so that a reader who goes
 * through a file once finds every secret before the first packet that needs
 * it.
 *
 * Secrets overtake packets: a packet that needs secrets which are not there
 * waits, and all later ones behind it, for `hold` at most, or until it is known
 * that none will come. Then a file that can be written at any place gets a
 * block of reserved room before the packet, filled in when secrets come after
 * all; anything else goes without.
 *
 * What has been written to the FILE always ends with a whole block.
 */
#ifndef EBPFTLS_SAVEFILE_H
#define EBPFTLS_SAVEFILE_H

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ebpftls-blocks.h"
#include "ebpftls-flow.h"
#include "ebpftls-keys.h"
#include "ebpftls-people.h"
#include "ebpftls-sources.h"

/* While a packet is held, secrets are looked for this often: nanoseconds. */
#define EBPFTLS_LOOK UINT64_C(2000000)

struct ebpftls_savefile;

/* The packet that was looked at last, and what it needs. */
struct ebpftls_last {
	const struct ebpftls_savefile *save; /* that it was first given to */
	const uint8_t *bytes;
	uint64_t time;
	uint32_t caplen;
	struct ebpftls_need need;
};

/*
 * All savefiles of one handle: ebpftls_savefiles_init(), then the owner fills
 * in what comes first. Other threads than the owner's may write packets: one
 * lock, which is taken by every call below.
 */
struct ebpftls_savefiles {
	/* all, or none if no secrets will come */
	struct ebpftls_keys *keys;
	struct ebpftls_flows *flows;
	struct ebpftls_libraries *libraries;
	uint64_t hold;			 /* nanoseconds */
	size_t hold_bytes;		 /* more than this is never held */
	struct ebpftls_sources *sources; /* NULL: whoever may give secrets */
	ebpftls_sources_asker *ask;

	struct ebpftls_people *people; /* NULL: no packet says whose it is */
	unsigned int naming;	       /* EBPFTLS_BY_* */
	uint64_t boot; /* wall clock time of the machine's start, nanoseconds */

	/*
	 * Takes the secrets and answers that come until the monotonic time
	 * `until`, and hands them on; returns when some came or the time has:
	 * what time it is then. UINT64_MAX ends the waiting. Called without
	 * the lock.
	 */
	uint64_t (*await)(void *context, uint64_t until);
	void (*totals)(void *context, struct ebpftls_totals *totals);
	void *context;

	uint64_t late; /* packets that went without secrets or room for them */

	struct ebpftls_savefiles *next; /* of all that there are */
	struct ebpftls_savefile *first;
	struct ebpftls_last last;
	uint64_t now; /* the latest time that was given */
	pthread_mutex_t lock;
	volatile sig_atomic_t flush_wanted; /* by a signal handler */
};

/* They stay where they are until ebpftls_savefiles_close(). */
void ebpftls_savefiles_init(struct ebpftls_savefiles *files);

/* What else is not for two threads at once; may be nested. */
void ebpftls_savefiles_lock(struct ebpftls_savefiles *files);
void ebpftls_savefiles_unlock(struct ebpftls_savefiles *files);

/*
 * Begins a file: writes its first blocks to `file`, which stays the caller's.
 * Returns NULL with errno set. `now` is the monotonic time, here and below.
 */
struct ebpftls_savefile *
ebpftls_savefile_begin(struct ebpftls_savefiles *files, FILE *file,
		       const struct ebpftls_interface *interface, uint64_t now);

/* Errors of writing are left in the FILE, as stdio does, here and below. */
void ebpftls_savefile_packet(struct ebpftls_savefile *save,
			     const struct ebpftls_record *record,
			     const uint8_t *bytes, uint64_t now);

/* What the packet needs that was given last to any of them. */
struct ebpftls_need
ebpftls_savefiles_need(const struct ebpftls_savefiles *files);

/*
 * Writes into a journal a packet that another one was given before, with what
 * it needed then. Of its bytes the first EBPFTLS_MARK_CHECKED do.
 */
void ebpftls_savefile_again(struct ebpftls_savefile *save,
			    const struct ebpftls_record *record,
			    const uint8_t *bytes,
			    const struct ebpftls_need *need, uint64_t now);

/* The size that the file has when all that was given is written. */
int64_t ebpftls_savefile_tell(const struct ebpftls_savefile *save);

/*
 * Writes what is allowed to be written: in a file that can be written at any
 * place, everything. May be called in a signal handler: if that has come into
 * one of these calls, it is done when the call ends, and 0 is returned.
 */
int ebpftls_savefile_flush(struct ebpftls_savefile *save);

/* The errno of a file that cannot be written, journals apart; or 0. */
int ebpftls_savefiles_error(struct ebpftls_savefiles *files);

/*
 * Ends a file: adds the statistics and forgets the FILE, which stays open.
 * Secrets that come later still reach the room reserved for them; where there
 * can be none, what is held is waited for.
 */
void ebpftls_savefile_end(struct ebpftls_savefile *save);

/*
 * A secret came: it goes into every file, and to who waits for it. Returns
 * whether it is a new one.
 */
bool ebpftls_savefiles_secret(struct ebpftls_savefiles *files,
			      const struct ebpftls_secret *secret,
			      uint64_t now);

/*
 * What was asked was answered; ebpftls_savefiles_tick() goes by it, and so
 * after this all secrets have to be read first.
 */
void ebpftls_savefiles_answer(struct ebpftls_savefiles *files,
			      const struct ebpftls_hooked *answer);

/* Lets go what has been held or kept in memory long enough. */
void ebpftls_savefiles_tick(struct ebpftls_savefiles *files, uint64_t now);

/* When that will next be needed; UINT64_MAX: never. */
uint64_t ebpftls_savefiles_due(struct ebpftls_savefiles *files);

/*
 * Ends all files, after waiting once for what any of them lacks, be it only in
 * a room of one that has ended: for `hold` at most. What their program writes
 * to them after all is still put into blocks, until it ends them too.
 */
void ebpftls_savefiles_close(struct ebpftls_savefiles *files);

/* `context` of the savefiles that it is one of; NULL: they were closed. */
void *ebpftls_savefile_context(const struct ebpftls_savefile *save);

/* Of what unit a record's fraction of a second is. */
bool ebpftls_savefile_nanoseconds(const struct ebpftls_savefile *save);

/*
 * For a new FILE, which may be where one was that its program closed without
 * telling us: what was not written of that is lost.
 */
void ebpftls_savefile_forget(FILE *file);

/* The savefile that writes to this FILE, or NULL. */
struct ebpftls_savefile *ebpftls_savefile_of(const FILE *file);

#endif
