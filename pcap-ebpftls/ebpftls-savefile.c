// SPDX-License-Identifier: BSD-3-Clause
/*
 * Brings packets and secrets into the right order. A file has its output,
 * and before it, as long as something is missing, a queue of packets. Secrets
 * go straight to the output and so before what is in the queue.
 */
#define _GNU_SOURCE
#include "ebpftls-savefile.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ebpftls-mark.h"
#include "ebpftls-naming.h"
#include "ebpftls-output.h"

#define SECOND	    UINT64_C(1000000000)
#define APPLICATION "ebpftls"

/* What is older is written. */
#define OUTPUT_AGE SECOND

/* Files that have ended and have rooms: so many, for so long. */
#define ENDED_COUNT 16
#define ENDED_AGE   (60 * SECOND)

/* A packet in the queue. */
struct held {
	struct held *next;
	struct ebpftls_need need;
	uint64_t since;
	uint64_t asked; /* questions, up to then */
	struct ebpftls_blocks block;
	uint8_t bytes[];
};

struct ebpftls_savefile {
	struct ebpftls_savefile *next;
	struct ebpftls_savefiles *files;
	struct ebpftls_output output; /* without a FILE: this one has ended */
	uint64_t ended;		      /* monotonic */
	struct ebpftls_savefile *next_ended;

	uint32_t linktype;
	bool nanoseconds;
	uint64_t begun;		       /* wall clock */
	struct ebpftls_naming *naming; /* or NULL */
	struct ebpftls_slots *slots;   /* of a journal, or NULL */
	/* whose secrets were written last, of a packet that was there before */
	uint8_t repeated[EBPFTLS_RANDOM_SIZE];

	struct held *head;
	struct held **tail;
	size_t held_bytes;
	bool eager;	    /* what is held was to be flushed */
	struct held *spent; /* written, but not yet freed */
};

/*
 * The FILEs of captures that are over. No secrets come for them any more, and
 * their packets need none.
 */
static struct ebpftls_savefiles orphans = {
	.lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
};

/* --- the lock ------------------------------------------------------------ */

/*
 * How many locked calls this thread is in. Not to be allocated when first
 * used, which may be in a signal handler.
 */
static __thread volatile sig_atomic_t inside
    __attribute__((tls_model("initial-exec")));

static void flush_all(struct ebpftls_savefiles *files);

void
ebpftls_savefiles_lock(struct ebpftls_savefiles *files)
{
	inside++;
	pthread_mutex_lock(&files->lock);
}

/* A handler that runs after the last look at `inside` flushes by itself. */
void
ebpftls_savefiles_unlock(struct ebpftls_savefiles *files)
{
	pthread_mutex_unlock(&files->lock);
	if (--inside == 0 && files->flush_wanted)
		flush_all(files);
}

/* --- which FILE is whose ------------------------------------------------- */

/*
 * Entries stay for ever and are used again, so that one who looks needs no
 * lock.
 */
struct entry {
	const FILE *file; /* NULL: free */
	struct ebpftls_savefile *save;
	struct entry *next;
	bool locked; /* during a fork */
};

static struct entry *table;
static pthread_mutex_t table_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static struct entry *
table_find(const FILE *file)
{
	struct entry *entry = __atomic_load_n(&table, __ATOMIC_ACQUIRE);

	while (entry != NULL &&
	       __atomic_load_n(&entry->file, __ATOMIC_ACQUIRE) != file)
		entry = entry->next;
	return entry;
}

struct ebpftls_savefile *
ebpftls_savefile_of(const FILE *file)
{
	struct entry *entry = table_find(file);

	return entry != NULL ? entry->save : NULL;
}

static void
table_remove(const FILE *file)
{
	struct entry *entry;

	pthread_mutex_lock(&table_lock);
	entry = table_find(file);
	if (entry != NULL)
		__atomic_store_n(&entry->file, NULL, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&table_lock);
}

static bool
table_add(const FILE *file, struct ebpftls_savefile *save)
{
	struct entry *entry;

	pthread_mutex_lock(&table_lock);
	entry = table_find(NULL);
	if (entry != NULL) {
		entry->save = save;
		__atomic_store_n(&entry->file, file, __ATOMIC_RELEASE);
	} else if ((entry = malloc(sizeof(*entry))) != NULL) {
		*entry = (struct entry){ file, save, table, false };
		__atomic_store_n(&table, entry, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&table_lock);
	return entry != NULL;
}

/* --- all handles' --------------------------------------------------------- */

/* Whether they have files or not, under `table_lock`. */
static struct ebpftls_savefiles *all;

/* They need not be there. */
static void
all_remove(const struct ebpftls_savefiles *files)
{
	struct ebpftls_savefiles **link = &all;

	pthread_mutex_lock(&table_lock);
	while (*link != NULL && *link != files)
		link = &(*link)->next;
	if (*link != NULL)
		*link = files->next;
	pthread_mutex_unlock(&table_lock);
}

static void
all_add(struct ebpftls_savefiles *files)
{
	pthread_mutex_lock(&table_lock);
	files->next = all;
	all = files;
	pthread_mutex_unlock(&table_lock);
}

/* --- files that have ended ----------------------------------------------- */

/* Those of all handles that have rooms, under `table_lock`. */
static struct ebpftls_savefile *all_ended;

static void
ended_add(struct ebpftls_savefile *save)
{
	pthread_mutex_lock(&table_lock);
	save->next_ended = all_ended;
	all_ended = save;
	pthread_mutex_unlock(&table_lock);
}

/* It need not be one of them. */
static void
ended_remove(const struct ebpftls_savefile *save)
{
	struct ebpftls_savefile **link = &all_ended;

	pthread_mutex_lock(&table_lock);
	while (*link != NULL && *link != save)
		link = &(*link)->next_ended;
	if (*link != NULL)
		*link = save->next_ended;
	pthread_mutex_unlock(&table_lock);
}

/*
 * tcpdump's -W and -G begin files in the place of others: where those had
 * rooms are packets now. Their own handles discard them.
 */
static void
ended_displace(const struct ebpftls_output *output)
{
	struct ebpftls_savefile *save;

	pthread_mutex_lock(&table_lock);
	for (save = all_ended; save != NULL; save = save->next_ended)
		ebpftls_output_displace(output, &save->output);
	pthread_mutex_unlock(&table_lock);
}

/* --- secrets ------------------------------------------------------------- */

/* Behind all that is there; an ended file has no such place. */
static void
append_line(struct ebpftls_savefile *save, const char *line, size_t length)
{
	struct ebpftls_output *output = &save->output;

	if (output->error == 0 && output->file != NULL)
		ebpftls_output_secret(output, line, length, save->files->now);
}

static void
put_line(struct ebpftls_savefile *save,
	 const uint8_t random[EBPFTLS_RANDOM_SIZE], const char *line,
	 size_t length)
{
	struct ebpftls_output *output = &save->output;
	struct ebpftls_room *room = ebpftls_output_room(output, random);
	const bool ended =
	    output->file == NULL && ebpftls_output_is_seekable(output);

	if (output->error != 0)
		return;
	if (room == NULL ||
	    !ebpftls_output_fill_room(output, room, line, length))
		append_line(save, line, length);
	/* the packets may still be there, whoever has changed the file */
	if (ended && !ebpftls_output_is_seekable(output))
		save->files->late++;
}

/* Whose line goes where. */
struct line {
	struct ebpftls_savefile *save;
	const uint8_t *random;
};

static void
put_line_of(void *context, const char *line, size_t length)
{
	const struct line *of = context;

	put_line(of->save, of->random, line, length);
}

static void
put_lines(struct ebpftls_savefile *save, const struct ebpftls_keys_entry *entry)
{
	struct line of = { save, entry->random };

	ebpftls_keys_lines(entry, put_line_of, &of);
}

/*
 * Who gave them, which is of use to people only: never at the cost of a room
 * for secrets. One whose file is not known yet waits for the next secret.
 */
static void
name_givers(struct ebpftls_savefiles *files, struct ebpftls_keys_entry *entry)
{
	struct ebpftls_savefile *save;
	char line[EBPFTLS_GIVER_SIZE];
	size_t length;

	for (; entry->named < entry->givers; entry->named++) {
		ebpftls_keys_fit(entry, entry->named, files->libraries);
		length = ebpftls_keys_giver(entry, entry->named,
					    files->libraries, line);
		if (length == 0)
			return;
		for (save = files->first; save != NULL; save = save->next)
			append_line(save, line, length);
	}
}

/* The same again, for one file. */
static void
repeat_givers(struct ebpftls_savefile *save,
	      const struct ebpftls_keys_entry *entry)
{
	char line[EBPFTLS_GIVER_SIZE];

	for (uint8_t i = 0; i < entry->named; i++)
		append_line(save, line,
			    ebpftls_keys_giver(entry, i, save->files->libraries,
					       line));
}

/* The first secrets of a connection go into all files at once. */
static void
publish(struct ebpftls_savefiles *files, struct ebpftls_keys_entry *entry)
{
	struct ebpftls_savefile *save;

	if (entry == NULL || entry->written || entry->have == 0)
		return;
	for (save = files->first; save != NULL; save = save->next)
		put_lines(save, entry);
	entry->written = true;
	name_givers(files, entry);
}

/* Those that come after them one by one. */
static void
publish_one(struct ebpftls_savefiles *files,
	    const struct ebpftls_secret *secret)
{
	char line[EBPFTLS_LINE_SIZE];
	const size_t length = ebpftls_keys_format(secret, line);
	struct ebpftls_savefile *save;

	for (save = files->first; save != NULL; save = save->next)
		put_line(save, secret->random, line, length);
	explicit_bzero(line, sizeof(line));
}

/* A new file may get packets of handshakes that began before it. */
static void
repeat(void *context, const uint8_t random[EBPFTLS_RANDOM_SIZE])
{
	struct ebpftls_savefile *save = context;
	struct ebpftls_keys_entry *entry =
	    ebpftls_keys_find(save->files->keys, random);

	if (entry == NULL || !entry->captured)
		return;
	if (!entry->written) {
		publish(save->files, entry);
		return;
	}
	put_lines(save, entry);
	repeat_givers(save, entry);
}

/* --- the queue ----------------------------------------------------------- */

static bool
is_there(const struct ebpftls_savefile *save, const struct ebpftls_need *need)
{
	return need->labels == 0 ||
	       ebpftls_flows_satisfied(save->files->keys, need);
}

/* Without these a reader of TLS 1.3 has no use for others. */
static bool
has_first(const struct ebpftls_savefile *save, const struct ebpftls_need *need)
{
	const uint16_t first = 1 << EBPFTLS_CLIENT_HANDSHAKE_TRAFFIC_SECRET |
			       1 << EBPFTLS_SERVER_HANDSHAKE_TRAFFIC_SECRET;
	const struct ebpftls_keys_entry *entry =
	    ebpftls_keys_find(save->files->keys, need->random);

	return entry != NULL && (entry->have & first) == first;
}

/*
 * Of a connection that was given up nothing is held: there is a room before
 * it, or a reader has already lost it. In a journal there is always a room.
 */
static bool
may_go(const struct ebpftls_savefile *save, const struct ebpftls_need *need)
{
	const struct ebpftls_room *room;

	if (is_there(save, need) || save->slots != NULL)
		return true;
	room = ebpftls_output_room(&save->output, need->random);
	return room != NULL && (room->offset >= 0 || !has_first(save, need));
}

/*
 * Whether no secrets will come for this packet. What began to come goes on, and
 * it is only asked about who has not given them for a moment.
 */
static bool
is_vain(const struct ebpftls_savefile *save, const struct held *held)
{
	const struct ebpftls_savefiles *files = save->files;
	const struct ebpftls_keys_entry *entry;

	if (files->sources == NULL || held->need.labels == 0 ||
	    !ebpftls_sources_none(files->sources, held->need.ends, held->asked))
		return false;
	entry = ebpftls_keys_find(files->keys, held->need.random);
	return entry == NULL || entry->have == 0;
}

/* Whether it has none at all, so far. */
static void
note_lack(struct ebpftls_savefiles *files, const struct ebpftls_need *need,
	  bool vain)
{
	const struct ebpftls_keys_entry *entry =
	    ebpftls_keys_find(files->keys, need->random);

	if (files->sources != NULL && (entry == NULL || entry->have == 0))
		ebpftls_sources_lack(files->sources, need->random, need->ends,
				     vain, files->now);
}

/* Puts before a packet what can be put there. */
static void
make_way(struct ebpftls_savefile *save, const struct ebpftls_need *need,
	 bool vain)
{
	struct ebpftls_room *room;

	if (is_there(save, need))
		return;
	room = ebpftls_output_room(&save->output, need->random);
	if (room == NULL) {
		room = ebpftls_output_add_room(&save->output, need->random,
					       save->files->now);
		room->vain = vain;
	}
	note_lack(save->files, need, room->vain);
	if ((need->labels & ~room->need.labels) != 0)
		room->since = save->files->now;
	room->need.labels |= need->labels;
	if (room->offset < 0 && !room->vain)
		save->files->late++;
}

static void
write_packet(struct ebpftls_savefile *save, const struct ebpftls_record *record,
	     const uint8_t *bytes)
{
	struct ebpftls_output *output = &save->output;

	ebpftls_output_prepare(output, ebpftls_blocks_packet_size(record),
			       save->files->now);
	if (!ebpftls_blocks_packet(&output->blocks, record, save->nanoseconds,
				   bytes))
		output->error = ENOMEM;
}

/*
 * Writes the first packet of the queue, whatever it needs. As a signal handler
 * may do that, nothing is allocated or freed.
 */
static void
let_go(struct ebpftls_savefile *save)
{
	struct ebpftls_output *output = &save->output;
	struct held *held = save->head;
	const size_t size = held->block.size;

	if (held->need.labels != 0)
		publish(save->files, ebpftls_keys_find(save->files->keys,
						       held->need.random));
	make_way(save, &held->need, is_vain(save, held));
	ebpftls_output_prepare(output, size, save->files->now);
	if (output->error == 0) {
		memcpy(output->blocks.bytes + output->blocks.size, held->bytes,
		       size);
		output->blocks.size += size;
	}
	save->held_bytes -= size;
	save->head = held->next;
	if (save->head == NULL)
		save->tail = &save->head;
	held->next = save->spent;
	save->spent = held;
}

static void
let_go_all(struct ebpftls_savefile *save)
{
	while (save->head != NULL)
		let_go(save);
}

/* Whether the first packet has waited long enough, or before too many. */
static bool
is_overdue(const struct ebpftls_savefile *save)
{
	const struct ebpftls_savefiles *files = save->files;

	return save->head != NULL &&
	       (save->held_bytes > files->hold_bytes ||
		files->now >= save->head->since + files->hold);
}

/* Most secrets come sooner than any answer would. */
static void
ask(struct ebpftls_savefile *save)
{
	struct ebpftls_savefiles *files = save->files;
	const struct held *held = save->head;

	if (files->sources != NULL && files->now >= held->since + EBPFTLS_LOOK)
		ebpftls_sources_ask(files->sources, held->need.ends,
				    held->asked, files->ask, files->context);
}

/* For what is said at the end, of those that went before it was known. */
static void
ask_rest(struct ebpftls_savefiles *files, uint64_t until)
{
	if (files->sources != NULL)
		ebpftls_sources_ask_rest(files->sources, until, files->ask,
					 files->context);
}

/* `all_read`: all secrets that there were when the last answer came. */
static void
release(struct ebpftls_savefile *save, bool all_read)
{
	const struct held *first = save->head;

	while (save->head != NULL &&
	       (is_overdue(save) || may_go(save, &save->head->need) ||
		(all_read && is_vain(save, save->head))))
		let_go(save);
	if (save->head != first && save->eager)
		ebpftls_output_write(&save->output);
	if (save->head == NULL)
		save->eager = false;
	else
		ask(save);
}

/* Returns how many questions there have been. */
static uint64_t
meet_owners(struct ebpftls_savefiles *files,
	    const struct ebpftls_record *record)
{
	if (files->sources == NULL)
		return 0;
	ebpftls_sources_meet(files->sources, record->sender);
	ebpftls_sources_meet(files->sources, record->receiver);
	return ebpftls_sources_asked(files->sources);
}

static bool
hold(struct ebpftls_savefile *save, const struct ebpftls_record *record,
     const uint8_t *bytes, const struct ebpftls_need *need)
{
	const size_t size = ebpftls_blocks_packet_size(record);
	struct held *held;

	if (!ebpftls_blocks_reserve(&save->output.blocks, size))
		return false;
	held = malloc(sizeof(*held) + size);
	if (held == NULL)
		return false;
	held->next = NULL;
	held->need = *need;
	held->since = save->files->now;
	held->asked = meet_owners(save->files, record);
	held->block = (struct ebpftls_blocks){ held->bytes, 0, size };
	if (!ebpftls_blocks_packet(&held->block, record, save->nanoseconds,
				   bytes)) {
		free(held);
		return false;
	}
	save->held_bytes += size;
	*save->tail = held;
	save->tail = &held->next;
	return true;
}

static void
free_all(struct held **list)
{
	struct held *held;

	while ((held = *list) != NULL) {
		*list = held->next;
		free(held);
	}
}

static void
queue_free(struct ebpftls_savefile *save)
{
	free_all(&save->head);
	free_all(&save->spent);
	save->tail = &save->head;
	save->held_bytes = 0;
}

/* --- whose a packet is --------------------------------------------------- */

/* Blocks for it go ahead of what is held, as secrets do. */
static void
name_owners(struct ebpftls_savefile *save, struct ebpftls_record *record)
{
	struct ebpftls_output *output = &save->output;

	if (save->naming == NULL)
		return;
	ebpftls_output_prepare(output, EBPFTLS_NAMING_BLOCKS_MAX,
			       save->files->now);
	ebpftls_naming_packet(save->naming, save->files->people, record,
			      &output->blocks);
}

static void
stop_naming(struct ebpftls_savefile *save)
{
	ebpftls_naming_free(save->naming);
	save->naming = NULL;
}

/* --- one file ------------------------------------------------------------ */

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t
wall_clock(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

static void
discard(struct ebpftls_savefile *save)
{
	struct ebpftls_savefile **link = &save->files->first;

	while (*link != save)
		link = &(*link)->next;
	*link = save->next;
	if (save->output.file != NULL)
		table_remove(save->output.file);
	else
		ended_remove(save);
	ebpftls_output_close(&save->output);
	queue_free(save);
	stop_naming(save);
	ebpftls_slots_free(save->slots);
	free(save);
}

/* Closes the ended files that are displaced, too old or too many. */
static void
discard_ended(struct ebpftls_savefiles *files)
{
	struct ebpftls_savefile *save = files->first;
	unsigned int count = 0;

	while (save != NULL) {
		struct ebpftls_savefile *next = save->next;

		if (save->output.file == NULL &&
		    (!ebpftls_output_is_seekable(&save->output) ||
		     ++count > ENDED_COUNT ||
		     files->now >= save->ended + ENDED_AGE))
			discard(save);
		save = next;
	}
}

/* By FILE, or by descriptor: the FILE of before is not open any more. */
static struct ebpftls_savefile *
stale(const FILE *file, int fd)
{
	struct ebpftls_savefile *save = NULL;
	struct entry *entry;

	pthread_mutex_lock(&table_lock);
	for (entry = table; entry != NULL; entry = entry->next) {
		if (entry->file != NULL &&
		    (entry->file == file ||
		     (fd >= 0 && entry->save->output.fd == fd)))
			save = entry->save;
	}
	pthread_mutex_unlock(&table_lock);
	return save;
}

void
ebpftls_savefile_forget(FILE *file)
{
	const int fd = fileno(file);
	struct ebpftls_savefiles *files;
	struct ebpftls_savefile *save;

	while ((save = stale(file, fd)) != NULL) {
		files = save->files;
		ebpftls_savefiles_lock(files);
		discard(save);
		ebpftls_savefiles_unlock(files);
	}
}

static bool
open_output(struct ebpftls_savefile *save, FILE *file)
{
	if (!ebpftls_output_open(&save->output, file))
		return false;
	ended_displace(&save->output);
	discard_ended(save->files);
	return true;
}

/* Readers of a pipe wait for this. */
static bool
write_head(struct ebpftls_savefile *save,
	   const struct ebpftls_interface *interface)
{
	struct ebpftls_output *output = &save->output;
	struct ebpftls_savefiles *files = save->files;

	if (files->people != NULL && files->naming != 0) {
		save->naming = ebpftls_naming_new(files->naming, files->boot);
		if (save->naming == NULL)
			return false;
	}
	if (interface->journal) {
		save->slots = ebpftls_slots_new();
		if (save->slots == NULL)
			return false;
	}
	if (!ebpftls_blocks_section(&output->blocks, APPLICATION) ||
	    !ebpftls_blocks_interface(&output->blocks, interface))
		return false;
	if (files->flows != NULL)
		ebpftls_flows_open(files->flows, repeat, save);
	ebpftls_output_write(output);
	return output->error == 0;
}

struct ebpftls_savefile *
ebpftls_savefile_begin(struct ebpftls_savefiles *files, FILE *file,
		       const struct ebpftls_interface *interface, uint64_t now)
{
	struct ebpftls_savefile *save = calloc(1, sizeof(*save));
	int error;

	if (save == NULL)
		return NULL;
	ebpftls_savefile_forget(file);
	ebpftls_savefiles_lock(files);
	files->now = now;
	save->files = files;
	save->tail = &save->head;
	save->linktype = interface->linktype;
	save->nanoseconds = interface->nanoseconds;
	save->begun = wall_clock();
	save->next = files->first;
	files->first = save;
	if (!open_output(save, file) || !write_head(save, interface) ||
	    !table_add(file, save)) {
		error = errno;
		discard(save);
		errno = error;
		save = NULL;
	}
	ebpftls_savefiles_unlock(files);
	return save;
}

static struct ebpftls_end
end_of(const struct ebpftls_owner *owner)
{
	struct ebpftls_end end = { .here = owner != NULL };

	if (owner != NULL && owner->kind == EBPFTLS_OF_PROCESS) {
		end.pid = owner->pid;
		end.start = owner->start;
	}
	return end;
}

/* It may be that nobody would have given its secrets either. */
static void
note_older(struct ebpftls_savefiles *files, const struct ebpftls_need *need,
	   const struct ebpftls_record *record)
{
	if (files->sources == NULL)
		return;
	meet_owners(files, record);
	ebpftls_sources_older(files->sources, need->ends);
}

/*
 * What a packet needs. Of one that is written to several files only the first
 * look counts: at the second one the handshake would have gone on.
 */
static const struct ebpftls_need *
look_at(struct ebpftls_savefile *save, const struct ebpftls_record *record,
	const uint8_t *bytes)
{
	struct ebpftls_savefiles *files = save->files;
	struct ebpftls_last *last = &files->last;
	const struct ebpftls_end ends[2] = { end_of(record->sender),
					     end_of(record->receiver) };

	if (last->save != save && last->save != NULL && last->bytes == bytes &&
	    last->time == record->time && last->caplen == record->caplen)
		return &last->need;
	last->save = save;
	last->bytes = bytes;
	last->time = record->time;
	last->caplen = record->caplen;
	last->need.labels = 0;
	last->need.older = false;
	if (files->flows == NULL)
		return &last->need;
	if (ebpftls_flows_packet(files->flows, files->keys, (int)save->linktype,
				 bytes, record->caplen, ends, files->now,
				 &last->need))
		publish(files,
			ebpftls_keys_find(files->keys, last->need.random));
	else
		last->need.labels = 0;
	if (last->need.older)
		note_older(files, &last->need, record);
	return &last->need;
}

static void
put_packet(struct ebpftls_savefile *save, const struct ebpftls_record *given,
	   const uint8_t *bytes, const struct ebpftls_need *need)
{
	struct ebpftls_output *output = &save->output;
	struct ebpftls_record record = *given;

	free_all(&save->spent);
	name_owners(save, &record);
	if (save->slots != NULL)
		ebpftls_slots_mark(save->slots, &record, bytes);
	if ((save->head == NULL && may_go(save, need)) ||
	    !hold(save, &record, bytes, need)) {
		let_go_all(save);
		make_way(save, need, false);
		write_packet(save, &record, bytes);
	} else if (is_overdue(save)) {
		release(save, false);
	}
	if (output->blocks.size >= EBPFTLS_OUTPUT_SIZE ||
	    save->files->now >= output->since + OUTPUT_AGE)
		ebpftls_output_write(output);
	ebpftls_output_report(output);
}

void
ebpftls_savefile_packet(struct ebpftls_savefile *save,
			const struct ebpftls_record *record,
			const uint8_t *bytes, uint64_t now)
{
	struct ebpftls_savefiles *files = save->files;

	ebpftls_savefiles_lock(files);
	files->now = now;
	put_packet(save, record, bytes, look_at(save, record, bytes));
	ebpftls_savefiles_unlock(files);
}

struct ebpftls_need
ebpftls_savefiles_need(const struct ebpftls_savefiles *files)
{
	return files->last.need;
}

void
ebpftls_savefile_again(struct ebpftls_savefile *save,
		       const struct ebpftls_record *record,
		       const uint8_t *bytes, const struct ebpftls_need *need,
		       uint64_t now)
{
	struct ebpftls_savefiles *files = save->files;

	ebpftls_savefiles_lock(files);
	files->now = now;
	/* once for the packets of a handshake, if no others are between them */
	if (need->labels != 0 &&
	    memcmp(need->random, save->repeated, EBPFTLS_RANDOM_SIZE) != 0) {
		memcpy(save->repeated, need->random, EBPFTLS_RANDOM_SIZE);
		repeat(save, need->random);
	}
	put_packet(save, record, bytes, need);
	ebpftls_savefiles_unlock(files);
}

int64_t
ebpftls_savefile_tell(const struct ebpftls_savefile *save)
{
	const struct ebpftls_output *output = &save->output;
	int64_t end;

	ebpftls_savefiles_lock(save->files);
	end =
	    output->offset + (int64_t)(output->blocks.size + save->held_bytes);
	ebpftls_savefiles_unlock(save->files);
	return end;
}

static void
flush(struct ebpftls_savefile *save)
{
	if (save->output.seekable)
		let_go_all(save);
	save->eager = save->head != NULL;
	ebpftls_output_write(&save->output);
}

static void
flush_all(struct ebpftls_savefiles *files)
{
	struct ebpftls_savefile *save;

	ebpftls_savefiles_lock(files);
	files->flush_wanted = 0;
	for (save = files->first; save != NULL; save = save->next)
		flush(save);
	ebpftls_savefiles_unlock(files);
}

/* In a signal handler that has come into a locked call, this has to wait. */
int
ebpftls_savefile_flush(struct ebpftls_savefile *save)
{
	struct ebpftls_savefiles *files = save->files;
	int result;

	if (inside > 0) {
		files->flush_wanted = 1;
		return 0;
	}
	ebpftls_savefiles_lock(files);
	flush(save);
	ebpftls_output_report(&save->output);
	result = save->output.error == 0 ? 0 : -1;
	ebpftls_savefiles_unlock(files);
	return result;
}

int
ebpftls_savefiles_error(struct ebpftls_savefiles *files)
{
	struct ebpftls_savefile *save;
	int error = 0;

	ebpftls_savefiles_lock(files);
	for (save = files->first; save != NULL && error == 0; save = save->next)
		if (save->slots == NULL)
			error = save->output.error;
	ebpftls_savefiles_unlock(files);
	return error;
}

/*
 * Waits without the lock, so that others are not kept waiting. False: there
 * is nothing to wait for any more.
 */
static bool
await(struct ebpftls_savefiles *files, uint64_t until)
{
	uint64_t now;

	ebpftls_savefiles_unlock(files);
	now = files->await(files->context, until);
	ebpftls_savefiles_lock(files);
	if (now == UINT64_MAX)
		return false;
	files->now = now;
	return true;
}

/* Until when a file has to wait for secrets that it lacks; 0: for none. */
static uint64_t
lacks_until(const struct ebpftls_savefile *save)
{
	const struct ebpftls_output *output = &save->output;
	const uint64_t hold = save->files->hold;
	uint64_t until = 0;

	if (output->error != 0)
		return 0;
	if (save->head != NULL)
		until = save->head->since + hold;
	for (size_t i = 0; i < ebpftls_output_rooms(output); i++) {
		const struct ebpftls_room *room = &output->rooms[i];

		if (room->since + hold > until && room->offset >= 0 &&
		    !room->vain && !is_there(save, &room->need))
			until = room->since + hold;
	}
	return until;
}

/* For all files once, as a program that ends is waited for, too. */
static void
await_all(struct ebpftls_savefiles *files)
{
	const uint64_t end = files->now + files->hold;
	struct ebpftls_savefile *save;
	uint64_t until;

	ask_rest(files, UINT64_MAX);
	do {
		until = 0;
		for (save = files->first; save != NULL; save = save->next) {
			release(save, true);
			until = later(until, lacks_until(save));
		}
		until = earlier(until, end);
	} while (files->now < until && await(files, until));
}

/* Where there are no rooms, of which secrets could make use later. */
static void
await_held(struct ebpftls_savefile *save)
{
	bool more = true;

	while (more && save->head != NULL && save->output.error == 0) {
		release(save, true);
		if (save->head != NULL)
			more = await(save->files,
				     save->head->since + save->files->hold);
	}
}

static void
write_statistics(struct ebpftls_savefile *save)
{
	struct ebpftls_totals totals = { .comment = NULL };
	uint8_t *rest = NULL;

	save->files->totals(save->files->context, &totals);
	if (save->naming != NULL)
		rest = ebpftls_naming_rest(save->naming, save->files->people,
					   &totals.options_size);
	totals.options = rest;
	if (!ebpftls_blocks_statistics(&save->output.blocks, save->begun,
				       wall_clock(), save->nanoseconds,
				       &totals))
		save->output.error = ENOMEM;
	free(rest);
}

/* Keeps what late secrets need. */
static void
retire(struct ebpftls_savefile *save)
{
	table_remove(save->output.file);
	stop_naming(save);
	save->ended = save->files->now;
	if (save->files == &orphans ||
	    !ebpftls_output_keep_rooms(&save->output)) {
		discard(save);
		return;
	}
	ended_add(save);
	discard_ended(save->files);
}

/* Writes what there is to be written of a capture that is over. */
static void
conclude(struct ebpftls_savefile *save)
{
	let_go_all(save);
	if (save->files != &orphans)
		write_statistics(save);
	ebpftls_output_write(&save->output);
}

void
ebpftls_savefile_end(struct ebpftls_savefile *save)
{
	struct ebpftls_savefiles *files = save->files;

	ebpftls_savefiles_lock(files);
	if (!save->output.seekable)
		await_held(save);
	conclude(save);
	ebpftls_output_report(&save->output);
	retire(save);
	ebpftls_savefiles_unlock(files);
}

void *
ebpftls_savefile_context(const struct ebpftls_savefile *save)
{
	return save->files->context;
}

bool
ebpftls_savefile_nanoseconds(const struct ebpftls_savefile *save)
{
	return save->nanoseconds;
}

/* --- all files ----------------------------------------------------------- */

static void fork_handlers(void);

void
ebpftls_savefiles_init(struct ebpftls_savefiles *files)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fork_handlers);
	all_remove(files);
	*files = (struct ebpftls_savefiles){
		.lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP,
	};
	all_add(files);
}

bool
ebpftls_savefiles_secret(struct ebpftls_savefiles *files,
			 const struct ebpftls_secret *secret, uint64_t now)
{
	struct ebpftls_keys_entry *entry;
	struct ebpftls_savefile *save;
	bool new;

	ebpftls_savefiles_lock(files);
	files->now = now;
	new = ebpftls_keys_add(files->keys, secret) != NULL;
	if (new && files->sources != NULL)
		ebpftls_sources_came(files->sources, secret->random);
	entry = ebpftls_keys_find(files->keys, secret->random);
	if (entry != NULL && entry->written) {
		if (new)
			publish_one(files, secret);
		name_givers(files, entry);
	} else if (entry != NULL && entry->captured && new) {
		publish(files, entry);
	}
	for (save = files->first; save != NULL; save = save->next)
		release(save, false);
	ebpftls_savefiles_unlock(files);
	return new;
}

void
ebpftls_savefiles_answer(struct ebpftls_savefiles *files,
			 const struct ebpftls_hooked *answer)
{
	ebpftls_savefiles_lock(files);
	if (files->sources != NULL)
		ebpftls_sources_learn(files->sources, answer);
	ebpftls_savefiles_unlock(files);
}

void
ebpftls_savefiles_tick(struct ebpftls_savefiles *files, uint64_t now)
{
	struct ebpftls_savefile *save;

	ebpftls_savefiles_lock(files);
	files->now = now;
	for (save = files->first; save != NULL; save = save->next) {
		free_all(&save->spent);
		release(save, true);
		if (now >= save->output.since + OUTPUT_AGE)
			ebpftls_output_write(&save->output);
	}
	if (now > EBPFTLS_LOOK)
		ask_rest(files, now - EBPFTLS_LOOK);
	discard_ended(files);
	ebpftls_savefiles_unlock(files);
}

/* Ended files are not worth waking up for. */
uint64_t
ebpftls_savefiles_due(struct ebpftls_savefiles *files)
{
	const struct ebpftls_savefile *save;
	uint64_t due = UINT64_MAX;

	ebpftls_savefiles_lock(files);
	for (save = files->first; save != NULL; save = save->next) {
		if (save->head != NULL)
			due = earlier(due,
				      earlier(save->head->since + files->hold,
					      files->now + EBPFTLS_LOOK));
		if (save->output.blocks.size > 0)
			due = earlier(due, save->output.since + OUTPUT_AGE);
	}
	ebpftls_savefiles_unlock(files);
	return due;
}

/* Its rooms stay empty now, and its packets are nobody's. */
static void
make_orphan(struct ebpftls_savefile *save)
{
	stop_naming(save);
	ebpftls_savefiles_lock(&orphans);
	save->files->first = save->next;
	save->files = &orphans;
	save->next = orphans.first;
	orphans.first = save;
	ebpftls_savefiles_unlock(&orphans);
}

void
ebpftls_savefiles_close(struct ebpftls_savefiles *files)
{
	struct ebpftls_savefile *save;

	ebpftls_savefiles_lock(files);
	await_all(files);
	while ((save = files->first) != NULL) {
		if (save->output.file == NULL) {
			discard(save);
			continue;
		}
		conclude(save);
		make_orphan(save);
	}
	ebpftls_savefiles_unlock(files);
	all_remove(files);
}

/* --- the end of the process, and its children ---------------------------- */

static void
write_everything(struct ebpftls_savefile *save)
{
	let_go_all(save);
	ebpftls_output_write(&save->output);
}

/*
 * Which of the two goes on writing after a fork nobody knows. So nothing is
 * left in memory that both could write, or neither. Only what another thread
 * is just writing stays the parent's.
 */
static void
before_fork(void)
{
	inside++;
	pthread_mutex_lock(&table_lock);
	for (struct entry *entry = table; entry != NULL; entry = entry->next) {
		entry->locked =
		    entry->file != NULL &&
		    pthread_mutex_trylock(&entry->save->files->lock) == 0;
		if (entry->locked)
			write_everything(entry->save);
	}
}

static void
after_fork_in_parent(void)
{
	for (struct entry *entry = table; entry != NULL; entry = entry->next) {
		if (entry->locked)
			pthread_mutex_unlock(&entry->save->files->lock);
	}
	pthread_mutex_unlock(&table_lock);
	inside--;
}

/* The locks belong to a thread that does not exist here. */
static void
after_fork_in_child(void)
{
	static const pthread_mutex_t unlocked =
	    PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

	for (struct entry *entry = table; entry != NULL; entry = entry->next) {
		if (entry->file == NULL)
			continue;
		queue_free(entry->save);
		entry->save->output.blocks.size = 0;
	}
	for (struct ebpftls_savefiles *f = all; f != NULL; f = f->next)
		f->lock = unlocked;
	orphans.lock = unlocked;
	table_lock = unlocked;
	inside--;
}

static void
fork_handlers(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/*
 * For a program that exits without closing. One that does so while another
 * thread writes has to live with what that thread has written.
 */
__attribute__((destructor)) static void
at_exit(void)
{
	inside++;
	for (struct entry *entry = table; entry != NULL; entry = entry->next) {
		if (entry->file == NULL ||
		    pthread_mutex_trylock(&entry->save->files->lock) != 0)
			continue;
		write_everything(entry->save);
		pthread_mutex_unlock(&entry->save->files->lock);
	}
	inside--;
}
