// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does every secret stand before the packet that needs it, and does every
 * packet stand in the file once and in order: in files, in pipes, whatever
 * happens to the process?
 *
 * Connections and what packets need are played here: the first bytes of a
 * packet say it. Files are read back block by block.
 */
#define _GNU_SOURCE
#include "ebpftls-naming.h"
#include "ebpftls-savefile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/check.h"

#define SECOND	    UINT64_C(1000000000)
#define HOLD	    (SECOND / 5)
#define START	    (1000 * SECOND)
#define CONTENT_MAX (8 << 20)
#define BLOCKS_MAX  20000

enum { SECTION = 0x0a0d0d0a, INTERFACE = 1, STATISTICS = 5, PACKET = 6 };
enum { SECRETS = 10, PROCESS = 0x80000001u };

/* --- connections -----------------------------------------------------------
 */

#define ENTRIES 64

/* A connection, and the secrets it has in the order in which they came. */
struct connection {
	struct ebpftls_keys_entry entry;
	struct ebpftls_secret secrets[EBPFTLS_LABELS];
	size_t count;
	bool open;
};

struct ebpftls_keys {
	struct connection connections[ENTRIES];
	size_t count;
};

static struct ebpftls_keys keys;

static struct connection *
connection(const uint8_t random[EBPFTLS_RANDOM_SIZE], bool make)
{
	struct connection *c = keys.connections;

	for (; c < keys.connections + keys.count; c++) {
		if (memcmp(c->entry.random, random, EBPFTLS_RANDOM_SIZE) == 0)
			return c;
	}
	if (!make)
		return NULL;
	keys.count++;
	memcpy(c->entry.random, random, EBPFTLS_RANDOM_SIZE);
	return c;
}

const struct ebpftls_keys_entry *
ebpftls_keys_add(struct ebpftls_keys *unused,
		 const struct ebpftls_secret *secret)
{
	struct connection *c = connection(secret->random, true);

	(void)unused;
	if (c->entry.givers < secret->file)
		c->entry.givers = (uint8_t)secret->file;
	if ((c->entry.have & (1 << secret->label)) != 0)
		return NULL;
	c->entry.have |= (uint16_t)(1 << secret->label);
	c->secrets[c->count++] = *secret;
	return &c->entry;
}

struct ebpftls_keys_entry *
ebpftls_keys_find(struct ebpftls_keys *unused,
		  const uint8_t random[EBPFTLS_RANDOM_SIZE])
{
	struct connection *c = connection(random, false);

	(void)unused;
	return c != NULL ? &c->entry : NULL;
}

static const char *const labels[] = {
	"CLIENT_RANDOM",
	"CLIENT_EARLY_TRAFFIC_SECRET",
	"CLIENT_HANDSHAKE_TRAFFIC_SECRET",
	"SERVER_HANDSHAKE_TRAFFIC_SECRET",
	"CLIENT_TRAFFIC_SECRET_0",
	"SERVER_TRAFFIC_SECRET_0",
	"CLIENT_TRAFFIC_SECRET_N",
	"SERVER_TRAFFIC_SECRET_N",
	"EARLY_EXPORTER_SECRET",
	"EXPORTER_SECRET",
};

static char *
hexadecimal(char *to, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		to += sprintf(to, "%02x", bytes[i]);
	return to;
}

size_t
ebpftls_keys_format(const struct ebpftls_secret *secret,
		    char line[EBPFTLS_LINE_SIZE])
{
	char *end = stpcpy(stpcpy(line, labels[secret->label]), " ");

	end = stpcpy(hexadecimal(end, secret->random, 32), " ");
	end = hexadecimal(end, secret->secret, secret->length);
	return (size_t)(stpcpy(end, "\n") - line);
}

void
ebpftls_keys_lines(const struct ebpftls_keys_entry *entry,
		   ebpftls_keys_line *line, void *context)
{
	const struct connection *c = connection(entry->random, false);
	char text[EBPFTLS_LINE_SIZE];

	for (size_t i = 0; i < c->count; i++)
		line(context, text, ebpftls_keys_format(&c->secrets[i], text));
}

void
ebpftls_keys_fit(const struct ebpftls_keys_entry *entry, uint8_t which,
		 struct ebpftls_libraries *unused)
{
	(void)unused;
	check(which == entry->named);
}

size_t
ebpftls_keys_giver(const struct ebpftls_keys_entry *entry, uint8_t which,
		   const struct ebpftls_libraries *libraries,
		   char line[EBPFTLS_GIVER_SIZE])
{
	check(which < entry->givers);
	return libraries == NULL ? 0
				 : (size_t)sprintf(line, "# giver %u\n", which);
}

static unsigned int looks;

/* 'h' and a number: its ClientHello; 'n', a number, labels: needs these. */
bool
ebpftls_flows_packet(struct ebpftls_flows *unused, struct ebpftls_keys *unused2,
		     int linktype, const uint8_t *bytes, uint32_t caplen,
		     const struct ebpftls_end ends[2], uint64_t time,
		     struct ebpftls_need *need)
{
	struct connection *c;

	(void)unused, (void)unused2, (void)linktype, (void)time;
	memcpy(need->ends, ends, sizeof(need->ends));
	looks++;
	if (caplen < 4 || (bytes[0] != 'h' && bytes[0] != 'n'))
		return false;
	memset(need->random, bytes[1], sizeof(need->random));
	memcpy(&need->labels, bytes + 2, 2);
	c = connection(need->random, true);
	if (bytes[0] == 'h')
		c->entry.captured = c->open = true;
	return bytes[0] == 'n';
}

bool
ebpftls_flows_satisfied(struct ebpftls_keys *unused,
			const struct ebpftls_need *need)
{
	const struct connection *c = connection(need->random, false);

	(void)unused;
	return c != NULL && (need->labels & ~c->entry.have) == 0;
}

void
ebpftls_flows_open(struct ebpftls_flows *unused,
		   void (*open)(void *context,
				const uint8_t random[EBPFTLS_RANDOM_SIZE]),
		   void *context)
{
	(void)unused;
	for (size_t i = 0; i < keys.count; i++) {
		if (keys.connections[i].open)
			open(context, keys.connections[i].entry.random);
	}
}

/* --- what the owner of the files does ---------------------------------------
 */

static struct ebpftls_savefiles files;
static uint64_t now;

/* Whose the packets are that come now. */
static const struct ebpftls_owner *sender;

/* What await() brings, once. */
static struct ebpftls_secret coming;
static bool comes;

static uint64_t
await(void *context, uint64_t until)
{
	(void)context;
	if (comes) {
		comes = false;
		now += HOLD / 4;
		ebpftls_savefiles_secret(&files, &coming, now);
	} else {
		now = until;
	}
	return now;
}

static void
totals(void *context, struct ebpftls_totals *all)
{
	(void)context;
	*all = (struct ebpftls_totals){
		.received = 7,
		.dropped = 2,
		.if_dropped = 1,
		.comment = "all is well",
	};
}

static void
set_up_files(struct ebpftls_savefiles *all)
{
	ebpftls_savefiles_init(all);
	all->keys = &keys;
	all->flows = (struct ebpftls_flows *)&keys; /* looked at by nobody */
	all->hold = HOLD;
	all->hold_bytes = 4 << 20;
	all->await = await;
	all->totals = totals;
}

static void
set_up(void)
{
	memset(&keys, 0, sizeof(keys));
	comes = false;
	now = START;
	sender = NULL;
	set_up_files(&files);
}

static struct ebpftls_savefile *
begin_in(struct ebpftls_savefiles *all, FILE *file)
{
	static const struct ebpftls_interface interface = {
		.name = "ebpftls:eth0",
		.description = "a test",
		.linktype = 1,
		.snaplen = 262144,
		.nanoseconds = true,
	};

	return ebpftls_savefile_begin(all, file, &interface, now);
}

static struct ebpftls_savefile *
begin(FILE *file)
{
	return begin_in(&files, file);
}

static void
packet(struct ebpftls_savefile *save, const void *bytes, uint32_t size)
{
	const struct ebpftls_record record = {
		.time = now,
		.caplen = size,
		.len = size,
		.direction = 1,
		.sender = sender,
	};

	ebpftls_savefile_packet(save, &record, bytes, now);
}

/* One whose only content is its number. */
static void
plain(struct ebpftls_savefile *save, uint8_t number)
{
	packet(save, (uint8_t[]){ 'p', number, 0, 0 }, 4);
}

static void
hello(struct ebpftls_savefile *save, uint8_t number)
{
	packet(save, (uint8_t[]){ 'h', number, 0, 0 }, 4);
}

/* One that needs the labels in `mask`, which is below 256. */
static void
needs(struct ebpftls_savefile *save, uint8_t number, uint8_t mask)
{
	uint8_t bytes[] = { 'n', number, 0, 0 };

	memcpy(bytes + 2, (uint16_t[]){ mask }, 2);
	packet(save, bytes, sizeof(bytes));
}

static struct ebpftls_secret
secret_of(uint8_t number, uint8_t label)
{
	struct ebpftls_secret secret = { .label = label, .length = 48 };

	memset(secret.random, number, sizeof(secret.random));
	memset(secret.secret, label + 1, sizeof(secret.secret));
	return secret;
}

/* By so many. */
static void
given(uint8_t number, uint8_t label, uint16_t givers)
{
	struct ebpftls_secret it = secret_of(number, label);

	it.file = givers;
	ebpftls_savefiles_secret(&files, &it, now);
}

static void
secret(uint8_t number, uint8_t label)
{
	given(number, label, 0);
}

/* --- what is in a file ------------------------------------------------------
 */

static uint8_t content[CONTENT_MAX];
static size_t content_size;
static char path[] = "savefile-test.pcapng";

/*
 * One letter per block: a packet shows its first two bytes, the number of its
 * process block after '@', and a '+' for each comment; secrets S or R,
 * who gave them G; a process block D and the pid.
 */
static char shape[BLOCKS_MAX * 3];

static uint32_t
word(size_t at)
{
	uint32_t value;

	memcpy(&value, content + at, sizeof(value));
	return value;
}

/* Lines, their number; empty ones: R. */
static char *
shape_of_secrets(char *to, size_t at, size_t size)
{
	size_t lines = 0;

	if (size > 2 && memcmp(content + at, "# g", 3) == 0)
		return stpcpy(to, "G");
	for (size_t i = 0; i < size; i++)
		lines += content[at + i] == '\n' && i > 0 &&
			 content[at + i - 1] != '\n';
	if (size >= 1024)
		to += sprintf(to, "R");
	else
		to += sprintf(to, "S");
	return lines != 1 || size >= 1024 ? to + sprintf(to, "%zu", lines) : to;
}

static char *
shape_of_packet(char *to, size_t at)
{
	const size_t end = at + word(at + 4) - 4;

	to += sprintf(to, "%c%d", content[at + 28], content[at + 29]);
	at += 28 + (word(at + 20) + 3) / 4 * 4;
	while (at < end && (word(at) & 0xffff) != 0) {
		const uint32_t code = word(at) & 0xffff, size = word(at) >> 16;

		if (code == 1)
			to += sprintf(to, "+");
		if (code == 32769)
			to += sprintf(to, "@%u", word(at + 4));
		at += 4 + (size + 3) / 4 * 4;
	}
	return to;
}

static char *
shape_of_block(char *to, uint32_t type, size_t at)
{
	switch (type) {
	case SECTION:
		return stpcpy(to, "H");
	case INTERFACE:
		return stpcpy(to, "I");
	case STATISTICS:
		return stpcpy(to, "E");
	case SECRETS:
		return shape_of_secrets(to, at + 16, word(at + 12));
	case PACKET:
		return shape_of_packet(to, at);
	case PROCESS:
		return to + sprintf(to, "D%u", word(at + 8));
	default:
		return stpcpy(to, "?");
	}
}

/* Whole blocks only: else the shape ends with "!". */
static const char *
shape_of_content(void)
{
	char *to = shape;
	size_t at = 0, count = 0;

	*to = '\0';
	while (at < content_size && count++ < BLOCKS_MAX / 2) {
		const size_t left = content_size - at;
		const uint32_t length = left >= 12 ? word(at + 4) : 0;

		if (length < 12 || length > left ||
		    word(at + length - 4) != length) {
			to = stpcpy(to, "!");
			break;
		}
		to = stpcpy(shape_of_block(to, word(at), at), " ");
		at += length;
	}
	if (to > shape && to[-1] == ' ')
		to[-1] = '\0';
	return shape;
}

static void
read_content(int fd)
{
	ssize_t got;

	content_size = 0;
	while (content_size < CONTENT_MAX &&
	       (got = read(fd, content + content_size,
			   CONTENT_MAX - content_size)) > 0)
		content_size += (size_t)got;
}

static const char *
file_shape(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	read_content(fd);
	close(fd);
	return shape_of_content();
}

static bool
is_shape(const char *got, const char *want)
{
	if (strcmp(got, want) == 0)
		return true;
	printf("  there is \"%s\", wanted \"%s\"\n", got, want);
	return false;
}

/* Of a pipe that nobody else reads. */
static int pipe_end;

static FILE *
open_pipe(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		abort();
	pipe_end = ends[0];
	fcntl(pipe_end, F_SETFL, O_NONBLOCK);
	return fdopen(ends[1], "w");
}

/* What came since the last time. */
static const char *
pipe_shape(void)
{
	read_content(pipe_end);
	return shape_of_content();
}

/* --- order -----------------------------------------------------------------
 */

static void
straight(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;
	const size_t packet_size = 32 + 4 + 8 + 4;

	set_up();
	save = begin(file);
	check(is_shape(file_shape(), "H I"));
	check(ebpftls_savefile_tell(save) == (int64_t)content_size);
	for (uint8_t i = 1; i <= 3; i++)
		plain(save, i);
	check(ebpftls_savefile_tell(save) ==
	      (int64_t)(content_size + 3 * packet_size));
	check(is_shape(file_shape(), "H I"));
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(file_shape(), "H I p1 p2 p3"));
	check(ebpftls_savefile_tell(save) == (int64_t)content_size);
	plain(save, 4);
	ebpftls_savefile_end(save);
	check(is_shape(file_shape(), "H I p1 p2 p3 p4 E"));
	check(files.first == NULL && files.late == 0);
	fclose(file);
}

/* Secrets go ahead of what is held; what nothing is known of does not go. */
static void
overtaking(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	check(is_shape(pipe_shape(), "H I"));
	secret(9, 2); /* of a connection that is not in the file */
	hello(save, 1);
	plain(save, 2);
	needs(save, 1, 0x0c);
	plain(save, 3);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "h1 p2"));
	secret(1, 2);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "S"));
	secret(1, 3);
	secret(1, 3);
	plain(save, 4);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "S n1 p3 p4"));
	check(files.late == 0);
	ebpftls_savefiles_close(&files);
	check(is_shape(pipe_shape(), "E"));
	close(pipe_end);
	fclose(file);
}

/* What was known before the connection was seen is written when needed. */
static void
known_before(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up();
	secret(1, 2);
	save = begin(file);
	secret(1, 3);
	hello(save, 1);
	needs(save, 1, 0x0c);
	needs(save, 1, 0x0c);
	secret(1, 4);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(file_shape(), "H I h1 S S n1 n1 S"));
	ebpftls_savefiles_close(&files);
	fclose(file);
}

/*
 * Who gave secrets stands behind the first of them, or behind the next when
 * the file became known late; and again in each file that repeats them.
 */
static void
givers(void)
{
	struct ebpftls_libraries *some = (struct ebpftls_libraries *)&keys;
	FILE *file = fopen(path, "w"), *other = open_pipe();
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	hello(save, 1);
	given(1, 2, 1);
	files.libraries = some;
	given(1, 3, 1);
	needs(save, 1, 0x0c);
	given(1, 3, 2); /* the other end has the same */
	given(1, 3, 2);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(file_shape(), "H I h1 S S G n1 G"));
	save = begin(other);
	needs(save, 1, 0x0c);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "H I S S G G n1"));
	ebpftls_savefiles_close(&files);
	close(pipe_end);
	fclose(other);
	fclose(file);
}

/* One with a packet that has waited in vain for secrets, and one more. */
static struct ebpftls_savefile *
begin_late(FILE *file)
{
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 0x0c);
	plain(save, 2);
	now += HOLD;
	ebpftls_savefiles_tick(&files, now);
	return save;
}

/* No room is given away for it. */
static void
giver_of_late_secrets(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save = begin_late(file);

	files.libraries = (struct ebpftls_libraries *)&keys;
	given(1, 2, 1);
	given(1, 3, 1);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(file_shape(), "H I h1 R2 n1 p2 G"));
	ebpftls_savefiles_close(&files);
	fclose(file);
}

/* A secret that comes between hello and need takes those before it along. */
static void
known_in_part(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	secret(1, 2);
	hello(save, 1);
	secret(1, 3);
	needs(save, 1, 0x0c);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(file_shape(), "H I h1 S S n1"));
	ebpftls_savefiles_close(&files);
	fclose(file);
}

/* Two connections wait; the second's secrets do not let it pass the first. */
static void
two_waiting(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	hello(save, 1);
	hello(save, 2);
	needs(save, 1, 4);
	now += HOLD / 2;
	needs(save, 2, 4);
	plain(save, 5);
	secret(2, 2);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "H I h1 h2 S"));
	check(ebpftls_savefiles_due(&files) == files.now + EBPFTLS_LOOK);
	now = START + HOLD;
	ebpftls_savefiles_tick(&files, now);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "n1 n2 p5"));
	check(files.late == 1);
	ebpftls_savefiles_close(&files);
	close(pipe_end);
	fclose(file);
}

/* --- who gives no secrets ----------------------------------------------------
 */

static struct ebpftls_hooked question; /* the last */
static unsigned int questions;

static bool
ask(void *context, const struct ebpftls_hooked *asked)
{
	(void)context;
	question = *asked;
	questions++;
	return true;
}

static void
answer(enum ebpftls_answer what)
{
	question.answer = what;
	ebpftls_savefiles_answer(&files, &question);
	ebpftls_savefiles_tick(&files, now);
}

static const struct ebpftls_owner silent = {
	.kind = EBPFTLS_OF_PROCESS,
	.pid = 4,
	.start = 5,
	.comm = "silent",
};

static void
set_up_asking(void)
{
	set_up();
	sender = &silent;
	files.sources = ebpftls_sources_new(8);
	files.ask = ask;
	questions = 0;
}

/* Connections without secrets, of hooked programs or others. */
static bool
are_without(uint64_t unhooked, uint64_t others)
{
	struct ebpftls_sources_sums sums;
	char names[64];

	ebpftls_sources_sum(files.sources, &sums, names, sizeof(names));
	return sums.unhooked == unhooked && sums.others == others &&
	       strcmp(names, unhooked > 0 ? "silent" : "") == 0;
}

static bool
is_holding(void)
{
	return ebpftls_savefiles_due(&files) <= files.now + EBPFTLS_LOOK;
}

static void
later(uint64_t by)
{
	now += by;
	ebpftls_savefiles_tick(&files, now);
}

/* It is not asked at once, and it is asked again. */
static void
nobody_gives(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up_asking();
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 0x0c);
	plain(save, 2);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "H I h1"));
	later(EBPFTLS_LOOK - 1);
	check(questions == 0);
	later(1);
	check(questions == 1 && question.pid == 4 && question.start == 5);
	later(1);
	check(questions == 1);
	/* what comes after the question is another matter */
	hello(save, 3);
	needs(save, 3, 0x0c);
	answer(EBPFTLS_NOT_HOOKED);
	/* it was flushed before */
	check(is_shape(pipe_shape(), "n1 p2 h3"));
	later(EBPFTLS_LOOK);
	check(questions == 2);
	answer(EBPFTLS_NOT_HOOKED);
	check(is_shape(pipe_shape(), "n3"));
	needs(save, 1, 0x10);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "n1"));
	check(files.late == 0 && questions == 2 && are_without(2, 0));
	ebpftls_savefiles_close(&files);
	ebpftls_sources_free(files.sources);
	close(pipe_end);
	fclose(file);
}

/* "Yes" and "not known" change nothing. */
static void
somebody_gives(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up_asking();
	save = begin(file);
	needs(save, 1, 0x0c);
	later(EBPFTLS_LOOK);
	answer(EBPFTLS_NOT_KNOWN);
	needs(save, 2, 0x0c);
	later(EBPFTLS_LOOK);
	check(questions == 1);
	secret(1, 2);
	secret(1, 3);
	later(EBPFTLS_LOOK);
	check(questions == 2);
	answer(EBPFTLS_IS_HOOKED);
	needs(save, 3, 0x0c);
	secret(2, 2);
	secret(2, 3);
	later(EBPFTLS_LOOK);
	check(questions == 2 && is_holding());
	later(HOLD);
	check(!is_holding() && files.late == 1 && are_without(0, 1));
	secret(3, 2);
	check(are_without(0, 0));
	ebpftls_savefiles_close(&files);
	ebpftls_sources_free(files.sources);
	close(pipe_end);
	fclose(file);
}

/* A part of them came: the rest will. And who is not known is waited for. */
static void
not_asked(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up_asking();
	save = begin(file);
	needs(save, 1, 0x0c);
	later(EBPFTLS_LOOK);
	secret(1, 2);
	answer(EBPFTLS_NOT_HOOKED);
	check(is_holding());
	secret(1, 3);
	sender = NULL;
	needs(save, 2, 0x0c);
	later(EBPFTLS_LOOK);
	check(questions == 1 && is_holding());
	later(HOLD);
	check(!is_holding() && are_without(0, 1));
	ebpftls_savefiles_close(&files);
	ebpftls_sources_free(files.sources);
	close(pipe_end);
	fclose(file);
}

/* There is a room in a file, and a secret in it undoes all trust. */
static void
mistaken(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up_asking();
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 0x0c);
	later(EBPFTLS_LOOK);
	answer(EBPFTLS_NOT_HOOKED);
	check(!is_holding());
	needs(save, 2, 0x0c);
	secret(1, 2);
	later(EBPFTLS_LOOK);
	check(questions == 1 && is_holding());
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(file_shape(), "H I h1 R1 n1 R0 n2"));
	ebpftls_savefiles_close(&files);
	ebpftls_sources_free(files.sources);
	fclose(file);
}

/* Its own secrets may stand behind others in the ring. */
static void
ended_before_read(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up_asking();
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 0x0c);
	later(EBPFTLS_LOOK);
	question.answer = EBPFTLS_HAS_ENDED;
	ebpftls_savefiles_answer(&files, &question);
	secret(2, 2);
	secret(1, 2);
	check(is_holding());
	secret(1, 3);
	check(!is_holding() && ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "H I h1 S S n1"));
	check(are_without(0, 0));
	ebpftls_savefiles_close(&files);
	ebpftls_sources_free(files.sources);
	close(pipe_end);
	fclose(file);
}

/* What a flush let go is asked about for the statistics, if it has to be. */
static void
flushed_before_asked(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up_asking();
	save = begin(file);
	for (uint8_t i = 1; i <= 3; i++)
		needs(save, i, 0x0c);
	check(ebpftls_savefile_flush(save) == 0);
	secret(2, 2);
	later(1);
	check(questions == 0 && are_without(0, 2));
	later(EBPFTLS_LOOK);
	check(questions == 1);
	answer(EBPFTLS_NOT_HOOKED);
	check(are_without(2, 0));
	later(EBPFTLS_LOOK);
	check(questions == 1);
	ebpftls_savefiles_close(&files);
	ebpftls_sources_free(files.sources);
	fclose(file);
}

/* For rooms that stay empty nobody waits in the end. */
static void
end_does_not_wait(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up_asking();
	save = begin(file);
	needs(save, 1, 0x0c);
	later(EBPFTLS_LOOK);
	answer(EBPFTLS_NOT_HOOKED);
	ebpftls_savefiles_close(&files);
	check(files.now == now);
	check(is_shape(file_shape(), "H I R0 n1 E"));
	ebpftls_sources_free(files.sources);
	fclose(file);
}

/* --- too late --------------------------------------------------------------
 */

/* In a pipe; and what comes after that is not held again. */
static void
late_in_pipe(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 0x0c);
	now += HOLD - 1;
	plain(save, 2);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "H I h1"));
	now += 1;
	plain(save, 3);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "n1 p2 p3"));
	check(files.late == 1);
	needs(save, 1, 0x10);
	secret(1, 2);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "n1 S"));
	check(files.late == 2);
	ebpftls_savefiles_close(&files);
	close(pipe_end);
	fclose(file);
}

/* Of a handshake that halts its last secret is waited for, when it goes on. */
static void
late_in_part(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 0x2c);
	secret(1, 2);
	secret(1, 3);
	later(HOLD);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "H I h1 S S n1"));
	needs(save, 1, 0x20);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), ""));
	secret(1, 5);
	check(is_shape(pipe_shape(), "S n1"));
	/* and not for ever */
	needs(save, 1, 0x10);
	later(HOLD);
	check(!is_holding() && ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "n1"));
	check(files.late == 2);
	ebpftls_savefiles_close(&files);
	close(pipe_end);
	fclose(file);
}

/* In a file: room is left, and filled when it is on disk or still is not. */
static void
late_in_file(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save = begin_late(file);

	secret(1, 2);
	check(is_shape(file_shape(), "H I"));
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(file_shape(), "H I h1 R1 n1 p2"));
	secret(1, 3);
	check(is_shape(file_shape(), "H I h1 R2 n1 p2"));
	check(ebpftls_savefile_tell(save) == (int64_t)content_size);
	needs(save, 1, 0x10); /* the room stands before this one, too */
	for (uint8_t label = 4; label < EBPFTLS_LABELS; label++)
		secret(1, label);
	secret(1, 0); /* more than there is room for */
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(file_shape(), "H I h1 R8 n1 p2 n1 S"));
	check(files.late == 0);
	ebpftls_savefiles_close(&files);
	fclose(file);
}

/* What is flushed is all there, so rooms take the place of waiting. */
static void
flush_of_file(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 4);
	plain(save, 2);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(file_shape(), "H I h1 R0 n1 p2"));
	check(ebpftls_savefile_tell(save) == (int64_t)content_size);
	secret(1, 2);
	check(is_shape(file_shape(), "H I h1 R1 n1 p2"));
	ebpftls_savefiles_close(&files);
	fclose(file);
}

/* pwrite() to a file opened in append mode would append. */
static void
appending(void)
{
	FILE *file;
	struct ebpftls_savefile *save;

	set_up();
	unlink(path);
	file = fopen(path, "a");
	save = begin(file);
	needs(save, 1, 4);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(file_shape(), "H I"));
	ebpftls_savefiles_close(&files);
	check(is_shape(file_shape(), "H I n1 E"));
	check(files.late == 1);
	fclose(file);
}

/* A file that begins somewhere, as standard output may. */
static void
begun_file(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up();
	check(fwrite("12345678", 1, 8, file) == 8);
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 4);
	check(ebpftls_savefile_flush(save) == 0);
	secret(1, 2);
	ebpftls_savefile_flush(save);
	file_shape();
	check(ebpftls_savefile_tell(save) == (int64_t)content_size);
	content_size -= 8;
	memmove(content, content + 8, content_size);
	check(is_shape(shape_of_content(), "H I h1 R1 n1"));
	ebpftls_savefiles_close(&files);
	fclose(file);
}

/* More than hold_bytes is never held. */
static void
hold_bytes(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up();
	files.hold_bytes = 4 * 48;
	save = begin(file);
	needs(save, 1, 4);
	plain(save, 2);
	needs(save, 3, 4);
	plain(save, 4);
	ebpftls_savefile_flush(save);
	check(is_shape(pipe_shape(), "H I"));
	plain(save, 5);
	ebpftls_savefile_flush(save);
	check(is_shape(pipe_shape(), "n1 p2"));
	ebpftls_savefiles_close(&files);
	close(pipe_end);
	fclose(file);
}

/* Another one writes to the same open file: rooms are not where we think. */
static void
shared_offset(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;
	static const uint32_t other[] = { 0x77, 12, 12 };

	set_up();
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 4);
	check(write(fileno(file), other, 12) == 12);
	ebpftls_savefile_flush(save);
	secret(1, 2);
	ebpftls_savefile_flush(save);
	check(is_shape(file_shape(), "H I ? h1 R0 n1 S"));
	ebpftls_savefiles_close(&files);
	fclose(file);
}

/* --- several files ---------------------------------------------------------
 */

static void
rotation(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	hello(save, 1);
	hello(save, 2);
	secret(1, 2);
	secret(2, 2);
	keys.connections[1].open = false; /* 2 has finished its handshake */
	ebpftls_savefile_end(save);
	fclose(file);
	check(is_shape(file_shape(), "H I h1 h2 S S E"));
	secret(1, 3); /* between the files */
	file = fopen(path, "w");
	save = begin(file);
	check(is_shape(file_shape(), "H I S S"));
	secret(1, 4);
	needs(save, 1, 0x1c);
	ebpftls_savefile_flush(save);
	check(is_shape(file_shape(), "H I S S S n1"));
	ebpftls_savefiles_close(&files);
	fclose(file);
}

/* The room of a file that its program has closed is filled all the same. */
static void
late_in_ended_file(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;
	const int before = check_descriptors();

	set_up();
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 4);
	ebpftls_savefile_end(save);
	check(ebpftls_savefile_of(file) == NULL);
	fclose(file);
	check(is_shape(file_shape(), "H I h1 R0 n1 E"));
	check(ebpftls_savefiles_due(&files) == UINT64_MAX);
	secret(1, 2);
	check(is_shape(file_shape(), "H I h1 R1 n1 E"));
	secret(1, 3);
	check(is_shape(file_shape(), "H I h1 R2 n1 E"));
	check(files.late == 0);
	now += 60 * SECOND;
	ebpftls_savefiles_tick(&files, now);
	check(check_descriptors() == before - 1);
	check(files.first == NULL);
	ebpftls_savefiles_close(&files);
}

/* Threads that write packets may give times that are not in order. */
static void
ended_before_now(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 4);
	ebpftls_savefile_end(save);
	fclose(file);
	ebpftls_savefiles_tick(&files, now - 1);
	secret(1, 2);
	check(is_shape(file_shape(), "H I h1 R1 n1 E"));
	ebpftls_savefiles_close(&files);
}

static void
many_ended_files(void)
{
	const int before = check_descriptors();

	set_up();
	for (uint8_t i = 1; i <= 40; i++) {
		FILE *file;
		struct ebpftls_savefile *save;

		unlink(path);
		file = fopen(path, "w");
		save = begin(file);
		needs(save, i, 4);
		ebpftls_savefile_end(save);
		fclose(file);
	}
	check(check_descriptors() == before + 16);
	ebpftls_savefiles_close(&files);
	check(check_descriptors() == before);
	check(files.first == NULL);
}

/* Leaves a file that has ended, with a room. */
static void
leave_room(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save = begin(file);

	hello(save, 1);
	needs(save, 1, 4);
	ebpftls_savefile_end(save);
	fclose(file);
	check(is_shape(file_shape(), "H I h1 R0 n1 E"));
}

/* Begins a file there and gives it a packet of more bytes than that had. */
static FILE *
begin_again(struct ebpftls_savefiles *all)
{
	static uint8_t bytes[4000] = { 'p', 2 };
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save = begin_in(all, file);

	packet(save, bytes, sizeof(bytes));
	ebpftls_savefile_flush(save);
	check(is_shape(file_shape(), "H I p2"));
	return file;
}

/* Whether the file begins with what it was when it was last looked at. */
static bool
has_kept_content(void)
{
	const size_t size = content_size;
	uint8_t *before = malloc(size);
	bool kept;

	memcpy(before, content, size);
	file_shape();
	kept = content_size >= size && memcmp(before, content, size) == 0;
	free(before);
	return kept;
}

/* Only the new one's: it is the same inode, and has other bytes there. */
static void
late_in_file_begun_again(void)
{
	FILE *file;
	const int before = check_descriptors();

	set_up();
	leave_room();
	file = begin_again(&files);
	secret(1, 2);
	check(has_kept_content());
	check(check_descriptors() == before + 1);
	ebpftls_savefiles_close(&files);
	check(is_shape(file_shape(), "H I p2 S E"));
	fclose(file);
}

/* What begins may be another handle's, and over when the secret comes. */
static void
late_in_file_of_other(void)
{
	static struct ebpftls_savefiles others;
	FILE *file;
	const int before = check_descriptors();

	set_up();
	set_up_files(&others);
	leave_room();
	file = begin_again(&others);
	ebpftls_savefiles_close(&others);
	ebpftls_savefile_forget(file);
	fclose(file);
	check(is_shape(file_shape(), "H I p2 E"));
	secret(1, 2);
	check(has_kept_content());
	ebpftls_savefiles_tick(&files, now);
	check(check_descriptors() == before);
	ebpftls_savefiles_close(&files);
}

/* Behind what has ended there is no harm in it. */
static void
late_in_file_appended_to(void)
{
	FILE *file;

	set_up();
	leave_room();
	file = fopen(path, "a");
	begin(file);
	secret(1, 2);
	ebpftls_savefiles_close(&files);
	check(is_shape(file_shape(), "H I h1 R1 n1 E H I S E"));
	fclose(file);
}

/* Somebody has emptied the file: it does not become a hole with a line. */
static void
late_in_emptied_file(void)
{
	set_up();
	leave_room();
	check(truncate(path, 0) == 0);
	secret(1, 2);
	check(is_shape(file_shape(), ""));
	ebpftls_savefiles_close(&files);
}

/* Writes other bytes over the file, as an editor or a copy does. */
static void
write_other(size_t size)
{
	static const uint8_t bytes[4000] = { 'o', 't', 'h', 'e', 'r' };
	const int fd = open(path, O_WRONLY | O_TRUNC);

	check(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	close(fd);
	content_size = size;
	memcpy(content, bytes, size);
}

/* What was there is gone, however long it is that has come. */
static void
late_in_rewritten_file(void)
{
	const int before = check_descriptors();

	set_up();
	leave_room();
	write_other(4000);
	secret(1, 2);
	check(has_kept_content());
	check(files.late == 1);
	secret(1, 3);
	check(has_kept_content());
	ebpftls_savefiles_tick(&files, now);
	check(check_descriptors() == before);
	ebpftls_savefiles_close(&files);
}

/* A clock may be too coarse to tell both times apart: this one is set. */
static void
late_in_file_of_same_size(void)
{
	const struct timespec times[2] = { { 0, UTIME_OMIT }, { 1, 0 } };

	set_up();
	leave_room();
	write_other(content_size);
	check(utimensat(AT_FDCWD, path, times, 0) == 0);
	secret(1, 2);
	check(has_kept_content());
	ebpftls_savefiles_close(&files);
}

/* After the end of the capture no secrets come for its rooms. */
static void
ended_after_close(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;
	const int before = check_descriptors();

	set_up();
	save = begin(file);
	needs(save, 1, 4);
	ebpftls_savefile_flush(save);
	ebpftls_savefiles_close(&files);
	ebpftls_savefile_end(save);
	check(check_descriptors() == before);
	fclose(file);
}

/* The end of a file waits for secrets, but not longer than it would have. */
static void
end_waits(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	hello(save, 1);
	needs(save, 1, 4);
	plain(save, 2);
	needs(save, 3, 4);
	coming = secret_of(1, 2);
	comes = true;
	ebpftls_savefile_end(save);
	check(is_shape(pipe_shape(), "H I h1 S n1 p2 n3 E"));
	check(now == START + HOLD);
	check(files.late == 1);
	close(pipe_end);
	fclose(file);
}

/* What waits for nothing but the packets before it ends the wait with them. */
static void
end_waits_no_longer(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	needs(save, 1, 4);
	now += HOLD / 2;
	plain(save, 2);
	ebpftls_savefile_end(save);
	check(is_shape(pipe_shape(), "H I n1 p2 E"));
	check(now == START + HOLD);
	close(pipe_end);
	fclose(file);
}

/* A file with rooms ends at once; the end of the capture waits for them. */
static void
close_waits_for_rooms(void)
{
	FILE *one = fopen(path, "w"), *two = open_pipe();
	struct ebpftls_savefile *save;

	set_up();
	begin(two);
	save = begin(one);
	hello(save, 1);
	needs(save, 1, 4);
	ebpftls_savefile_end(save);
	check(now == START);
	fclose(one);
	coming = secret_of(1, 2);
	comes = true;
	ebpftls_savefiles_close(&files);
	check(now == START + HOLD / 4);
	check(is_shape(file_shape(), "H I h1 R1 n1 E"));
	check(is_shape(pipe_shape(), "H I S E"));
	close(pipe_end);
	fclose(two);
}

/* Once, whatever is missing, and not for what is older. */
static void
close_waits_once(void)
{
	FILE *one = fopen(path, "w"), *two = open_pipe();
	struct ebpftls_savefile *first, *second;

	set_up();
	first = begin(one);
	second = begin(two);
	needs(first, 1, 4);
	needs(second, 2, 4);
	ebpftls_savefile_flush(first);
	now += HOLD / 2;
	needs(first, 3, 4);
	ebpftls_savefiles_close(&files);
	check(now == START + HOLD + HOLD / 2);
	check(is_shape(file_shape(), "H I R0 n1 R0 n3 E"));
	check(is_shape(pipe_shape(), "H I n2 E"));

	fclose(one);
	one = fopen(path, "w");
	set_up();
	first = begin(one);
	needs(first, 1, 4);
	ebpftls_savefile_flush(first);
	now += HOLD;
	plain(first, 2);
	ebpftls_savefiles_close(&files);
	check(now == START + HOLD);
	close(pipe_end);
	fclose(one);
	fclose(two);
}

/* Another thread has its turn while one waits. */
static void *
take_lock(void *unused)
{
	ebpftls_savefiles_lock(&files);
	ebpftls_savefiles_unlock(&files);
	return unused;
}

static uint64_t
await_other(void *context, uint64_t until)
{
	pthread_t other;
	struct timespec soon;

	(void)context;
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_sec += 5;
	if (pthread_create(&other, NULL, take_lock, NULL) != 0)
		abort();
	if (check(pthread_timedjoin_np(other, NULL, &soon) == 0))
		now = until;
	return now;
}

static void
waits_without_lock(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up();
	files.await = await_other;
	save = begin(file);
	needs(save, 1, 4);
	ebpftls_savefile_end(save);
	check(now == START + HOLD);
	check(is_shape(pipe_shape(), "H I n1 E"));
	ebpftls_savefiles_close(&files);
	close(pipe_end);
	fclose(file);
}

static void
two_at_once(void)
{
	FILE *one = fopen(path, "w"), *two = open_pipe();
	struct ebpftls_savefile *first, *second;

	set_up();
	first = begin(one);
	second = begin(two);
	check(ebpftls_savefile_of(one) == first);
	check(ebpftls_savefile_of(two) == second);
	check(ebpftls_savefile_of(stdin) == NULL);
	secret(1, 2);
	needs(first, 1, 4);
	needs(second, 1, 4);
	plain(first, 5);
	ebpftls_savefiles_close(&files);
	check(is_shape(file_shape(), "H I S n1 p5 E"));
	check(is_shape(pipe_shape(), "H I S n1 E"));
	/* what comes after all is written as it comes */
	check(ebpftls_savefile_context(first) == NULL);
	plain(first, 6);
	needs(second, 2, 4);
	ebpftls_savefile_end(first);
	ebpftls_savefile_end(second);
	check(is_shape(file_shape(), "H I S n1 p5 E p6"));
	check(is_shape(pipe_shape(), "n2"));
	check(ebpftls_savefile_of(one) == NULL);
	close(pipe_end);
	fclose(one);
	fclose(two);
}

/* A packet that goes to two files is looked at once, each other one anew. */
static void
same_packet_twice(void)
{
	FILE *one = fopen(path, "w"), *two = open_pipe();
	struct ebpftls_savefile *first, *second;
	const uint8_t bytes[2][4] = { { 'n', 1, 4, 0 }, { 'n', 2, 4, 0 } };

	set_up();
	first = begin(one);
	second = begin(two);
	looks = 0;
	packet(first, bytes[0], 4);
	packet(second, bytes[0], 4);
	check(looks == 1);
	packet(first, bytes[0], 4);
	check(looks == 2);
	packet(second, bytes[1], 4);
	check(looks == 3);
	now++;
	packet(first, bytes[1], 4);
	check(looks == 4);
	packet(second, bytes[1], 3);
	check(looks == 5);
	packet(first, bytes[1], 4);
	packet(second, bytes[1], 4);
	check(looks == 6);
	ebpftls_savefile_flush(second);
	check(is_shape(pipe_shape(), "H I"));
	ebpftls_savefiles_close(&files);
	close(pipe_end);
	fclose(one);
	fclose(two);
}

#define THREAD_PACKETS 2000

/* The owner's thread: takes secrets, and has an eye on the clock. */
static void *
own(void *unused)
{
	for (unsigned int i = 0; i < THREAD_PACKETS; i++) {
		secret((uint8_t)(1 + i % 40), (uint8_t)(i / 40 % 10));
		ebpftls_savefiles_tick(&files, now);
		ebpftls_savefiles_due(&files);
	}
	return unused;
}

/* A program may capture in one thread and write in another. */
static void
two_threads(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;
	pthread_t owner;
	size_t count = 0;

	set_up();
	save = begin(file);
	if (pthread_create(&owner, NULL, own, NULL) != 0)
		abort();
	for (unsigned int i = 0; i < THREAD_PACKETS; i++) {
		needs(ebpftls_savefile_of(file), (uint8_t)(1 + i % 40), 4);
		if (i % 16 == 0)
			ebpftls_savefile_flush(save);
	}
	pthread_join(owner, NULL);
	ebpftls_savefiles_close(&files);
	file_shape();
	for (const char *at = shape; (at = strchr(at, 'n')) != NULL; at++)
		count++;
	check(count == THREAD_PACKETS);
	check(strchr(shape, '!') == NULL);
	fclose(file);
}

/* A FILE that was closed behind our back comes again. */
static void
stale(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	plain(save, 1);
	rewind(file);
	check(ftruncate(fileno(file), 0) == 0);
	save = begin(file);
	plain(save, 2);
	check(files.first == save);
	check(ebpftls_savefile_of(file) == save);
	ebpftls_savefiles_close(&files);
	check(is_shape(file_shape(), "H I p2 E"));
	fclose(file);
}

/* Nothing is written where a closed FILE was. */
static void
closed_behind(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;
	struct stat status;
	const int fd = fileno(file);

	set_up();
	save = begin(file);
	needs(save, 1, 4);
	ebpftls_savefile_flush(save);
	plain(save, 2);
	fclose(file);
	check(open("other", O_RDWR | O_CREAT | O_CLOEXEC, 0600) == fd);
	secret(1, 2);
	now += SECOND;
	ebpftls_savefiles_tick(&files, now);
	check(fstat(fd, &status) == 0 && status.st_size == 0);
	check(is_shape(file_shape(), "H I R0 n1"));
	file = fdopen(fd, "w");
	ebpftls_savefile_forget(file);
	check(files.first == NULL);
	check(ebpftls_savefile_of(file) == NULL);
	ebpftls_savefiles_close(&files);
	fclose(file);
	unlink("other");
}

/* stdio knows where it is, and the next one to write goes on there. */
static void
position(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	plain(save, 1);
	ebpftls_savefile_flush(save);
	check(ftell(file) == ebpftls_savefile_tell(save));
	ebpftls_savefile_end(save);
	check(fwrite("tail", 1, 4, file) == 4);
	fclose(file);
	check(is_shape(file_shape(), "H I p1 E !"));
	check(memcmp(content + content_size - 4, "tail", 4) == 0);
	ebpftls_savefiles_close(&files);
}

/* --- time ------------------------------------------------------------------
 */

static void
when_due(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up();
	check(ebpftls_savefiles_due(&files) == UINT64_MAX);
	save = begin(file);
	check(ebpftls_savefiles_due(&files) == UINT64_MAX);
	now += 1234;
	plain(save, 1);
	check(ebpftls_savefiles_due(&files) == START + 1234 + SECOND);
	now += SECOND - 1;
	ebpftls_savefiles_tick(&files, now);
	check(is_shape(file_shape(), "H I"));
	now += 1;
	ebpftls_savefiles_tick(&files, now);
	check(is_shape(file_shape(), "H I p1"));
	check(ebpftls_savefiles_due(&files) == UINT64_MAX);
	plain(save, 2); /* and without any tick */
	now += SECOND;
	plain(save, 3);
	check(is_shape(file_shape(), "H I p1 p2 p3"));
	needs(save, 1, 4);
	check(ebpftls_savefiles_due(&files) == now + EBPFTLS_LOOK);
	ebpftls_savefiles_close(&files);
	fclose(file);
}

/* Whatever the sizes, what is in the file ends with a whole block. */
static void
whole_blocks(void)
{
	FILE *file = fopen(path, "w");
	static uint8_t bytes[300000] = { 'p', 1 };
	struct ebpftls_savefile *save;
	size_t count = 0;

	set_up();
	save = begin(file);
	hello(save, 9);
	for (int i = 0; i < 60; i++) {
		if (i == 20)
			needs(save, 9, 4); /* holds 30 packets */
		if (i == 50)
			secret(9, 2);
		packet(save, bytes, 4 + check_random(i % 10 ? 3000 : 299000));
		file_shape();
		check(strchr(shape, '!') == NULL);
	}
	ebpftls_savefiles_close(&files);
	file_shape();
	for (const char *at = shape; (at = strstr(at, "p1")) != NULL; at++)
		count++;
	check(count == 60);
	fclose(file);
}

/* --- errors ----------------------------------------------------------------
 */

static void
full_device(void)
{
	FILE *file = fopen("/dev/full", "w");

	set_up();
	errno = 0;
	check(begin(file) == NULL);
	check(errno == ENOSPC);
	check(files.first == NULL);
	check(ebpftls_savefile_of(file) == NULL);
	fclose(file);
}

/*
 * A disk that gets full: the FILE and the files know, no packet comes after
 * that, and the last one is whole.
 */
static void
fill_up(FILE *file)
{
	const struct rlimit small = { 4096, RLIM_INFINITY };
	struct rlimit before;
	struct ebpftls_savefile *save;

	set_up();
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	save = begin(file);
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 3000; i++)
		plain(save, 1);
	setrlimit(RLIMIT_FSIZE, &before);
	signal(SIGXFSZ, SIG_DFL);
	check(ferror(file));
	check(ebpftls_savefile_flush(save) == -1);
	check(ebpftls_savefiles_error(&files) == EFBIG);
	needs(save, 1, 4);
	ebpftls_savefiles_tick(&files, now + SECOND);
	ebpftls_savefiles_close(&files);
	check(ebpftls_savefiles_error(&files) == 0);
	file_shape();
	check(content_size > 4000 && content_size <= 4096);
	check(strchr(shape, '!') == NULL);
	fclose(file);
}

static void
write_error(void)
{
	fill_up(fopen(path, "w"));
}

/* What is continued later is found. */
static void
write_error_of_appending(void)
{
	FILE *file;

	unlink(path);
	fill_up(fopen(path, "a"));
	set_up();
	file = fopen(path, "a");
	begin(file);
	ebpftls_savefiles_close(&files);
	file_shape();
	check(is_shape(shape + strlen(shape) - 8, "p1 H I E"));
	fclose(file);
}

static volatile sig_atomic_t alarms;

static void
on_alarm(int number)
{
	(void)number;
	alarms++;
}

static int
wait_for(pid_t child)
{
	int status = -1;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Exits with 0 if it got ten packets and the other blocks. */
static void
slow_reader(int other_end)
{
	int count = 0;

	close(other_end);
	content_size = 0;
	for (ssize_t got = 1; got > 0; content_size += (size_t)got) {
		usleep(10000);
		got = read(pipe_end, content + content_size, 50000);
	}
	shape_of_content();
	for (const char *at = shape; (at = strstr(at, "p1")) != NULL; at++)
		count++;
	_exit(count == 10 && strchr(shape, '!') == NULL ? 0 : 1);
}

/* A reader that is slow, and signals that do not restart what they stop. */
static void
interrupted(void)
{
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	const struct sigaction action = { .sa_handler = on_alarm };
	struct ebpftls_savefile *save;
	FILE *file = open_pipe();
	static uint8_t bytes[65000] = { 'p', 1 };
	pid_t child;

	fcntl(pipe_end, F_SETFL, 0);
	fflush(stdout);
	child = fork();
	if (child == 0)
		slow_reader(fileno(file));
	close(pipe_end);
	alarms = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	set_up();
	save = begin(file);
	for (int i = 0; i < 10; i++)
		packet(save, bytes, sizeof(bytes));
	ebpftls_savefiles_close(&files);
	setitimer(ITIMER_REAL, &never, NULL);
	check(!ferror(file));
	check(alarms > 0);
	fclose(file);
	check(wait_for(child) == 0);
}

static FILE *flushed;

static void
flush_on_alarm(int number)
{
	struct ebpftls_savefile *save = ebpftls_savefile_of(flushed);

	(void)number;
	alarms++;
	if (save != NULL)
		ebpftls_savefile_flush(save);
}

/* tcpdump flushes in a signal handler, which comes at any time. */
static void
flush_in_handler(void)
{
	const struct itimerval often = { { 0, 97 }, { 0, 97 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	const struct sigaction action = { .sa_handler = flush_on_alarm,
					  .sa_flags = SA_RESTART };
	struct ebpftls_savefile *save;
	char want[16];

	set_up();
	flushed = fopen(path, "w");
	save = begin(flushed);
	alarms = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned int i = 0; i < 6000 || alarms < 1000; i++) {
		if (i % 6000 == 0) {
			ebpftls_savefile_end(save);
			rewind(flushed);
			check(ftruncate(fileno(flushed), 0) == 0);
			memset(&keys, 0, sizeof(keys));
			save = begin(flushed);
		}
		needs(save, (uint8_t)(1 + i % 6000 / 100), 4);
		packet(save, (uint8_t[]){ 'p', (uint8_t)i }, 2);
		if (i % 100 == 99)
			secret((uint8_t)(1 + i % 6000 / 100), 2);
		ebpftls_savefiles_tick(&files, now);
		sprintf(want, "p%d", (int)(uint8_t)i);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	ebpftls_savefile_end(save);
	ebpftls_savefiles_close(&files);
	file_shape();
	check(strchr(shape, '!') == NULL);
	check(strstr(shape, want) != NULL);
	fclose(flushed);
}

/* What the handler could not do at once is done when the call ends. */
static void
flush_put_off(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up();
	save = begin(file);
	plain(save, 1);
	ebpftls_savefiles_lock(&files);
	check(ebpftls_savefile_flush(save) == 0);
	ebpftls_savefiles_secret(&files, &(struct ebpftls_secret){ .label = 2 },
				 now);
	check(is_shape(file_shape(), "H I"));
	ebpftls_savefiles_unlock(&files);
	check(is_shape(file_shape(), "H I p1"));
	ebpftls_savefiles_close(&files);
	fclose(file);
}

/* --- the end of a process --------------------------------------------------
 */

/* A program that ends without closing: what is held is there, too. */
static void
exit_without_close(void)
{
	pid_t child;

	set_up();
	fflush(stdout);
	child = fork();
	if (child == 0) {
		struct ebpftls_savefile *save = begin(fopen(path, "w"));

		hello(save, 1);
		needs(save, 1, 4);
		plain(save, 2);
		exit(0);
	}
	check(wait_for(child) == 0);
	check(is_shape(file_shape(), "H I h1 R0 n1 p2"));
}

/* Both sides of a fork end as they like: each packet is there once. */
static void
forked(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;
	pid_t child;

	set_up();
	save = begin(file);
	hello(save, 2);
	needs(save, 2, 4);
	fflush(stdout);
	child = fork();
	if (child == 0)
		exit(0);
	check(wait_for(child) == 0);
	plain(save, 3);
	child = fork();
	if (child == 0)
		_exit(0);
	check(wait_for(child) == 0);
	secret(2, 2);
	ebpftls_savefiles_close(&files);
	check(is_shape(file_shape(), "H I h2 R1 n2 p3 E"));
	fclose(file);
}

/* As daemon(3) does it: the parent goes, and the child writes on. */
static void
daemonized(void)
{
	FILE *file = fopen(path, "w");
	int ends[2];
	pid_t child;
	char byte;

	set_up();
	if (pipe(ends) != 0)
		abort();
	fflush(stdout);
	child = fork();
	if (child == 0) {
		struct ebpftls_savefile *save = begin(file);

		plain(save, 1);
		needs(save, 2, 4);
		if (fork() != 0)
			_exit(0);
		plain(save, 3);
		ebpftls_savefiles_close(&files);
		_exit(0);
	}
	check(wait_for(child) == 0);
	close(ends[1]);
	check(read(ends[0], &byte, 1) == 0); /* the grandchild is gone */
	close(ends[0]);
	check(is_shape(file_shape(), "H I p1 R0 n2 p3 E"));
	fclose(file);
}

static pthread_barrier_t both;

static void *
keep_lock(void *unused)
{
	ebpftls_savefiles_lock(&files);
	pthread_barrier_wait(&both);
	pthread_barrier_wait(&both);
	ebpftls_savefiles_unlock(&files);
	return unused;
}

/* A thread that has the lock does not exist in the child, file or no file. */
static void
forked_while_locked(void)
{
	pthread_t thread;
	pid_t child;

	set_up();
	pthread_barrier_init(&both, NULL, 2);
	if (pthread_create(&thread, NULL, keep_lock, NULL) != 0)
		abort();
	pthread_barrier_wait(&both);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(10);
		ebpftls_savefiles_tick(&files, now);
		ebpftls_savefiles_close(&files);
		_exit(0);
	}
	check(wait_for(child) == 0);
	pthread_barrier_wait(&both);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&both);
	ebpftls_savefiles_close(&files);
}

/* --- whose a packet is -------------------------------------------------------
 */

static struct ebpftls_owner curl = {
	.pid = 7,
	.tid = 7,
	.kind = EBPFTLS_OF_PROCESS,
	.comm = "curl",
};
static struct ebpftls_owner nginx = {
	.pid = 9,
	.tid = 9,
	.kind = EBPFTLS_OF_PROCESS,
	.comm = "nginx",
};

static void
learn(const struct ebpftls_owner *owner, uint32_t parent)
{
	struct ebpftls_process facts;

	memset(&facts, 0, sizeof(facts));
	facts.pid = owner->pid;
	facts.start = owner->start;
	facts.parent = parent;
	ebpftls_people_learn(files.people, &facts);
}

static void
set_up_people(unsigned int naming)
{
	set_up();
	files.people = ebpftls_people_new(16);
	files.naming = naming;
	learn(&curl, 0);
	learn(&nginx, 0);
}

static void
tear_down_people(void)
{
	ebpftls_savefiles_close(&files);
	ebpftls_people_free(files.people);
	files.people = NULL;
}

static void
plain_of(struct ebpftls_savefile *save, uint8_t number,
	 const struct ebpftls_owner *owner)
{
	sender = owner;
	plain(save, number);
	sender = NULL;
}

/* Each file says everything by itself, whatever another has said. */
static void
owners_in_two_files(void)
{
	FILE *first = fopen(path, "w"), *second;
	struct ebpftls_savefile *save;

	set_up_people(EBPFTLS_BY_COMMENT | EBPFTLS_BY_BLOCK);
	save = begin(first);
	plain_of(save, 1, &curl);
	plain(save, 2);
	plain_of(save, 3, &nginx);
	plain_of(save, 4, &curl);
	learn(&curl, 1);
	plain_of(save, 5, &curl);
	plain_of(save, 6, &curl);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(file_shape(), "H I D7 p1+@0+ p2 D9 p3+@1+ p4+@0 p5+@0+ "
				     "p6+@0"));
	check(ebpftls_savefile_tell(save) == (int64_t)content_size);
	second = fopen(path, "w");
	save = begin(second);
	plain_of(save, 3, &nginx);
	plain_of(save, 4, &curl);
	plain_of(save, 5, &curl);
	ebpftls_savefile_end(save);
	check(is_shape(file_shape(), "H I D9 p3+@0+ D7 p4+@1+ p5+@1 E"));
	tear_down_people();
	fclose(first);
	fclose(second);
}

/* Process blocks overtake what is held, and their numbers stay right. */
static void
owners_of_held(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up_people(EBPFTLS_BY_COMMENT | EBPFTLS_BY_BLOCK);
	save = begin(file);
	hello(save, 1);
	sender = &curl;
	needs(save, 1, 4);
	plain_of(save, 2, &nginx);
	plain_of(save, 3, &curl);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "H I h1 D7 D9"));
	learn(&nginx, 1);
	plain_of(save, 4, &nginx);
	secret(1, 2);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "S n1+@0+ p2+@1+ p3+@0 p4+@1+"));
	tear_down_people();
	check(is_shape(pipe_shape(), "E"));
	close(pipe_end);
	fclose(file);
}

/* A reader counts process blocks from the section's beginning. */
static void
owners_in_appended(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up_people(EBPFTLS_BY_BLOCK);
	save = begin(file);
	plain_of(save, 1, &curl);
	ebpftls_savefile_end(save);
	fclose(file);
	file = fopen(path, "a");
	save = begin(file);
	plain_of(save, 2, &nginx);
	ebpftls_savefile_end(save);
	check(is_shape(file_shape(), "H I D7 p1@0 E H I D9 p2@0 E"));
	tear_down_people();
	fclose(file);
}

/* Without secrets, and only as much as is wanted. */
static void
owners_alone(void)
{
	static const struct {
		unsigned int naming;
		const char *shape;
	} ways[] = {
		{ EBPFTLS_BY_COMMENT, "H I p1++ p2+ E" },
		{ EBPFTLS_BY_BLOCK, "H I D7 p1@0 p2@0 E" },
		{ 0, "H I p1 p2 E" },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		FILE *file = fopen(path, "w");
		struct ebpftls_savefile *save;

		set_up_people(ways[i].naming);
		files.keys = NULL;
		files.flows = NULL;
		save = begin(file);
		plain_of(save, 1, &curl);
		plain_of(save, 2, &curl);
		ebpftls_savefile_end(save);
		check(is_shape(file_shape(), ways[i].shape));
		tear_down_people();
		fclose(file);
	}
}

/* What comes too late for a packet stands at the end. */
static void
facts_at_end(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up_people(EBPFTLS_BY_COMMENT);
	save = begin(file);
	plain_of(save, 1, &curl);
	learn(&curl, 4711);
	ebpftls_savefile_end(save);
	check(is_shape(file_shape(), "H I p1++ E"));
	check(memmem(content, content_size, "pid=7 parent=4711", 17) != NULL);
	tear_down_people();
	fclose(file);
}

/* What its program still writes is nobody's; nothing is looked up. */
static void
owners_after_close(void)
{
	FILE *file = fopen(path, "w");
	struct ebpftls_savefile *save;

	set_up_people(EBPFTLS_BY_COMMENT | EBPFTLS_BY_BLOCK);
	save = begin(file);
	plain_of(save, 1, &curl);
	tear_down_people();
	plain_of(save, 2, &curl);
	ebpftls_savefile_end(save);
	check(is_shape(file_shape(), "H I D7 p1+@0+ E p2"));
	fclose(file);
}

/* Comments count, too: more than hold_bytes is never held. */
static void
owners_are_held(void)
{
	FILE *file = open_pipe();
	struct ebpftls_savefile *save;

	set_up_people(EBPFTLS_BY_COMMENT);
	files.hold_bytes = 4 * 48;
	save = begin(file);
	needs(save, 1, 4);
	plain_of(save, 2, &curl);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "H I"));
	plain_of(save, 3, &curl);
	check(ebpftls_savefile_flush(save) == 0);
	check(is_shape(pipe_shape(), "n1 p2++ p3+"));
	tear_down_people();
	close(pipe_end);
	fclose(file);
}

static const struct check_case cases[] = {
	{ "packets go straight", straight },
	{ "secrets overtake packets", overtaking },
	{ "secrets known before the connection", known_before },
	{ "who gave secrets", givers },
	{ "who gave late secrets", giver_of_late_secrets },
	{ "secrets known in part", known_in_part },
	{ "packets never overtake packets", two_waiting },
	{ "nobody gives secrets", nobody_gives },
	{ "somebody gives secrets", somebody_gives },
	{ "secrets that are waited for unasked", not_asked },
	{ "secrets where there were to be none", mistaken },
	{ "who has ended, with secrets to be read", ended_before_read },
	{ "who is asked about after a flush", flushed_before_asked },
	{ "the end does not wait for nothing", end_does_not_wait },
	{ "too late in a pipe", late_in_pipe },
	{ "too late in a pipe, in part", late_in_part },
	{ "too late in a file", late_in_file },
	{ "flush of a file", flush_of_file },
	{ "append mode", appending },
	{ "a file that has a beginning", begun_file },
	{ "an offset that others move", shared_offset },
	{ "hold_bytes", hold_bytes },
	{ "rotation", rotation },
	{ "too late in a file that has ended", late_in_ended_file },
	{ "a file that ended later than now", ended_before_now },
	{ "many files that have ended", many_ended_files },
	{ "too late in a file that is begun again", late_in_file_begun_again },
	{ "the same by another handle", late_in_file_of_other },
	{ "too late in a file that is continued", late_in_file_appended_to },
	{ "too late in a file that was emptied", late_in_emptied_file },
	{ "too late in a file that was rewritten", late_in_rewritten_file },
	{ "the same, as long as before", late_in_file_of_same_size },
	{ "a file that ends after the capture", ended_after_close },
	{ "the end waits", end_waits },
	{ "the end waits no longer than it has to", end_waits_no_longer },
	{ "the capture's end waits for rooms", close_waits_for_rooms },
	{ "the capture's end waits once", close_waits_once },
	{ "waiting is without the lock", waits_without_lock },
	{ "two files at once", two_at_once },
	{ "a packet in two files", same_packet_twice },
	{ "two threads", two_threads },
	{ "the same FILE again", stale },
	{ "a FILE closed behind our back", closed_behind },
	{ "stdio's position", position },
	{ "when something is due", when_due },
	{ "whole blocks", whole_blocks },
	{ "a full device", full_device },
	{ "a write error", write_error },
	{ "a write error in append mode", write_error_of_appending },
	{ "interrupted writes", interrupted },
	{ "flush in a signal handler", flush_in_handler },
	{ "flush that has to wait", flush_put_off },
	{ "exit without close", exit_without_close },
	{ "fork", forked },
	{ "fork and parent gone", daemonized },
	{ "fork while another thread is busy", forked_while_locked },
	{ "owners in two files", owners_in_two_files },
	{ "owners of packets that are held", owners_of_held },
	{ "owners in a file that is continued", owners_in_appended },
	{ "owners without secrets, by each way", owners_alone },
	{ "facts that come after the last packet", facts_at_end },
	{ "owners after the capture's end", owners_after_close },
	{ "no more is held with owners", owners_are_held },
	{ NULL, NULL },
};

int
main(void)
{
	return check_main_with_file(cases, path);
}
