// SPDX-License-Identifier: BSD-3-Clause
/*
 * Parses lines "LABEL RANDOM SECRET" and "# RANDOM pid=PID library=PATH", and
 * finds what they say by client random.
 */
#define _GNU_SOURCE
#include "keylog.h"

#include <stdlib.h>
#include <string.h>

#include "ebpftls-table.h"

/* The last ones that a report has a use for; the others open nothing. */
#define LABELS (EBPFTLS_SERVER_TRAFFIC_SECRET_0 + 1)

/* Both ends of a connection may be told of. */
#define GIVERS 2

/* More are no libraries of one machine. */
#define PATHS_MAX 1024

struct path {
	struct path *next;
	char text[];
};

struct giver {
	uint32_t pid;
	const struct path *library; /* NULL: there is none */
};

struct entry {
	struct ebpftls_node node;
	uint8_t random[KEYLOG_RANDOM]; /* the key */
	struct keylog_secret secrets[LABELS];
	struct giver givers[GIVERS];
};

struct keylog {
	struct ebpftls_table table;
	size_t count;	    /* of connections with secrets */
	struct path *paths; /* each once */
	size_t path_count;
};

_Static_assert(offsetof(struct entry, random) == sizeof(struct ebpftls_node),
	       "place of the key");

struct keylog *
keylog_new(size_t connections)
{
	struct keylog *log = calloc(1, sizeof(*log));

	if (log != NULL &&
	    ebpftls_table_init(&log->table, connections, sizeof(struct entry),
			       KEYLOG_RANDOM))
		return log;
	free(log);
	return NULL;
}

void
keylog_free(struct keylog *log)
{
	if (log == NULL)
		return;
	ebpftls_table_free(&log->table);
	while (log->paths != NULL) {
		struct path *next = log->paths->next;

		free(log->paths);
		log->paths = next;
	}
	free(log);
}

const char *
keylog_name(enum ebpftls_label label)
{
	static const char *const names[] = EBPFTLS_LABEL_NAMES;

	return names[label];
}

/* --- lines --------------------------------------------------------------- */

struct line {
	const uint8_t *at;
	const uint8_t *end;
};

/* Takes the word up to the next blank, and the blank. */
static struct line
take_word(struct line *line)
{
	const uint8_t *blank =
	    memchr(line->at, ' ', (size_t)(line->end - line->at));
	struct line word = { line->at, blank != NULL ? blank : line->end };

	line->at = blank != NULL ? blank + 1 : line->end;
	return word;
}

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns how many bytes the word has in hexadecimal; 0: it is no such word. */
static size_t
take_bytes(const struct line *word, uint8_t *to, size_t room)
{
	const size_t size = (size_t)(word->end - word->at) / 2;

	if ((word->end - word->at) % 2 != 0 || size > room)
		return 0;
	for (size_t i = 0; i < size; i++) {
		const int high = digit(word->at[2 * i]);
		const int low = digit(word->at[2 * i + 1]);

		if (high < 0 || low < 0)
			return 0;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return size;
}

/* LABELS: it is none of those. */
static unsigned int
find_label(const struct line *word)
{
	const size_t size = (size_t)(word->end - word->at);
	unsigned int label;

	for (label = 0; label < LABELS; label++)
		if (strlen(keylog_name(label)) == size &&
		    memcmp(word->at, keylog_name(label), size) == 0)
			break;
	return label;
}

static struct entry *
get(struct keylog *log, const uint8_t random[KEYLOG_RANDOM])
{
	struct entry *entry = ebpftls_table_find(&log->table, random);

	if (entry != NULL) {
		ebpftls_table_renew(&log->table, entry);
		return entry;
	}
	log->count++;
	return ebpftls_table_add(&log->table, random);
}

/* Whether the word begins so; then it does no more. */
static bool
take_name(struct line *word, const char *name)
{
	const size_t size = strlen(name);

	if ((size_t)(word->end - word->at) < size ||
	    memcmp(word->at, name, size) != 0)
		return false;
	word->at += size;
	return true;
}

/* False: it is no number of a process. */
static bool
take_pid(struct line word, uint32_t *pid)
{
	uint64_t number = 0;

	if (!take_name(&word, "pid=") || word.at == word.end)
		return false;
	for (; word.at < word.end; word.at++) {
		if (*word.at < '0' || *word.at > '9' || number > UINT32_MAX)
			return false;
		number = 10 * number + (*word.at - '0');
	}
	*pid = (uint32_t)number;
	return number <= UINT32_MAX;
}

/* Such a path, or NULL. */
static const struct path *
get_path(struct keylog *log, const struct line *word)
{
	const size_t size = (size_t)(word->end - word->at);
	struct path *path;

	for (path = log->paths; path != NULL; path = path->next)
		if (strlen(path->text) == size &&
		    memcmp(path->text, word->at, size) == 0)
			return path;
	for (size_t i = 0; i < size; i++)
		if (word->at[i] <= ' ' || word->at[i] > '~')
			return NULL;
	if (log->path_count == PATHS_MAX)
		return NULL;
	path = malloc(sizeof(*path) + size + 1);
	if (path == NULL)
		return NULL;
	memcpy(path->text, word->at, size);
	path->text[size] = '\0';
	path->next = log->paths;
	log->paths = path;
	log->path_count++;
	return path;
}

/* Behind the secrets: the first of each process stays. */
static void
add_giver(struct keylog *log, const uint8_t random[KEYLOG_RANDOM],
	  struct line line)
{
	const struct line pid_word = take_word(&line);
	struct line path_word = take_word(&line);
	struct entry *entry;
	uint32_t pid;
	int i = 0;

	if (!take_pid(pid_word, &pid) || !take_name(&path_word, "library="))
		return;
	entry = ebpftls_table_find(&log->table, random);
	if (entry == NULL)
		return;
	while (i < GIVERS && entry->givers[i].library != NULL &&
	       entry->givers[i].pid != pid)
		i++;
	if (i < GIVERS && entry->givers[i].library == NULL)
		entry->givers[i] =
		    (struct giver){ pid, get_path(log, &path_word) };
}

static void
add_secret(struct keylog *log, unsigned int label,
	   const uint8_t random[KEYLOG_RANDOM], struct line line)
{
	const struct line secret_word = take_word(&line);
	struct keylog_secret secret = { .size = 0 };

	secret.size = (uint8_t)take_bytes(&secret_word, secret.bytes,
					  sizeof(secret.bytes));
	if (secret.size == 32 || secret.size == 48)
		get(log, random)->secrets[label] = secret;
	explicit_bzero(&secret, sizeof(secret));
}

static void
add_line(struct keylog *log, struct line line)
{
	const struct line name = take_word(&line);
	const struct line random_word = take_word(&line);
	const unsigned int label = find_label(&name);
	uint8_t random[KEYLOG_RANDOM];

	if (take_bytes(&random_word, random, sizeof(random)) != sizeof(random))
		return;
	if (label < LABELS)
		add_secret(log, label, random, line);
	else if (name.end - name.at == 1 && *name.at == '#')
		add_giver(log, random, line);
}

void
keylog_add(struct keylog *log, const uint8_t *lines, size_t size)
{
	while (size > 0) {
		const uint8_t *feed = memchr(lines, '\n', size);
		const size_t length =
		    feed != NULL ? (size_t)(feed - lines) : size;
		struct line line = { lines, lines + length };

		if (length > 0 && line.end[-1] == '\r')
			line.end--;
		add_line(log, line);
		size -= length + (feed != NULL);
		lines += length + (feed != NULL);
	}
}

/* ------------------------------------------------------------------------- */

const struct keylog_secret *
keylog_find(struct keylog *log, const uint8_t random[KEYLOG_RANDOM],
	    enum ebpftls_label label)
{
	struct entry *entry = ebpftls_table_find(&log->table, random);

	if (entry == NULL)
		return NULL;
	ebpftls_table_renew(&log->table, entry);
	return entry->secrets[label].size > 0 ? &entry->secrets[label] : NULL;
}

const char *
keylog_library(struct keylog *log, const uint8_t random[KEYLOG_RANDOM],
	       uint32_t pid)
{
	struct entry *entry = ebpftls_table_find(&log->table, random);

	for (int i = 0; entry != NULL && i < GIVERS; i++)
		if (entry->givers[i].library != NULL &&
		    entry->givers[i].pid == pid)
			return entry->givers[i].library->text;
	return NULL;
}

unsigned int
keylog_have(struct keylog *log, const uint8_t random[KEYLOG_RANDOM])
{
	struct entry *entry = ebpftls_table_find(&log->table, random);
	unsigned int have = 0;

	for (unsigned int i = 0; entry != NULL && i < LABELS; i++)
		if (entry->secrets[i].size > 0)
			have |= 1u << i;
	return have;
}

size_t
keylog_count(const struct keylog *log)
{
	return log->count;
}
