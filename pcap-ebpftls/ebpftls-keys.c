// SPDX-License-Identifier: BSD-3-Clause
/* Keeps TLS secrets in a table, and writes them as key log lines. */
#define _GNU_SOURCE

#include "ebpftls-keys.h"

#include <stdlib.h>
#include <string.h>

#include "ebpftls-owner.h"
#include "ebpftls-table.h"

#define SECRET_MAX 48
#define GIVERS_MAX 2 /* both ends */
#define BIT(label) (UINT16_C(1) << (label))

_Static_assert(EBPFTLS_LABELS <= 16, "bits of have");

struct kept {
	uint8_t label;
	uint8_t length;
	uint8_t bytes[SECRET_MAX];
};

struct giver {
	uint32_t pid;
	uint32_t file;
};

struct connection {
	struct ebpftls_node node;
	struct ebpftls_keys_entry entry; /* begins with the key */
	uint8_t count;
	struct giver givers[GIVERS_MAX];
	struct kept kept[EBPFTLS_LABELS]; /* in the order in which they came */
};

/* One without secrets: it must not drive out those that have some. */
struct bare {
	struct ebpftls_node node;
	struct ebpftls_keys_entry entry; /* begins with the key */
};

struct ebpftls_keys {
	struct ebpftls_table table;
	struct ebpftls_table bare;
};

_Static_assert(offsetof(struct connection, entry.random) ==
		   sizeof(struct ebpftls_node),
	       "place of the key");
_Static_assert(offsetof(struct bare, entry.random) ==
		   sizeof(struct ebpftls_node),
	       "place of the key");

static const char *const label_names[EBPFTLS_LABELS] = EBPFTLS_LABEL_NAMES;

struct ebpftls_keys *
ebpftls_keys_new(size_t connections)
{
	struct ebpftls_keys *keys = calloc(1, sizeof(*keys));

	if (keys == NULL)
		return NULL;
	if (ebpftls_table_init(&keys->table, connections,
			       sizeof(struct connection),
			       EBPFTLS_RANDOM_SIZE) &&
	    ebpftls_table_init(&keys->bare, connections, sizeof(struct bare),
			       EBPFTLS_RANDOM_SIZE))
		return keys;
	ebpftls_keys_free(keys);
	return NULL;
}

void
ebpftls_keys_free(struct ebpftls_keys *keys)
{
	if (keys == NULL)
		return;
	ebpftls_table_free(&keys->table);
	ebpftls_table_free(&keys->bare);
	free(keys);
}

static void *
find(struct ebpftls_table *table, const uint8_t random[EBPFTLS_RANDOM_SIZE])
{
	void *item = ebpftls_table_find(table, random);

	if (item != NULL)
		ebpftls_table_renew(table, item);
	return item;
}

/* For secrets. */
static struct connection *
get_connection(struct ebpftls_keys *keys,
	       const uint8_t random[EBPFTLS_RANDOM_SIZE])
{
	struct connection *connection = find(&keys->table, random);
	struct bare *bare;

	if (connection != NULL)
		return connection;
	connection = ebpftls_table_add(&keys->table, random);
	bare = ebpftls_table_find(&keys->bare, random);
	if (bare != NULL) {
		connection->entry = bare->entry;
		ebpftls_table_drop(&keys->bare, bare);
	}
	return connection;
}

struct ebpftls_keys_entry *
ebpftls_keys_find(struct ebpftls_keys *keys,
		  const uint8_t random[EBPFTLS_RANDOM_SIZE])
{
	struct connection *connection = find(&keys->table, random);
	struct bare *bare;

	if (connection != NULL)
		return &connection->entry;
	bare = find(&keys->bare, random);
	return bare != NULL ? &bare->entry : NULL;
}

struct ebpftls_keys_entry *
ebpftls_keys_get(struct ebpftls_keys *keys,
		 const uint8_t random[EBPFTLS_RANDOM_SIZE])
{
	struct ebpftls_keys_entry *entry = ebpftls_keys_find(keys, random);
	struct bare *bare;

	if (entry != NULL)
		return entry;
	bare = ebpftls_table_add(&keys->bare, random);
	return &bare->entry;
}

static bool
is_secret(const struct ebpftls_secret *secret)
{
	return secret->label < EBPFTLS_LABELS &&
	       (secret->length == 32 || secret->length == 48);
}

/*
 * Makes room behind the others, also for one that takes the place of another:
 * readers go by the last line. False: it is there already.
 */
static bool
make_room(struct connection *connection, const struct ebpftls_secret *secret)
{
	struct kept *kept = connection->kept;
	uint8_t i = 0;

	if (!(connection->entry.have & BIT(secret->label)))
		return true;
	while (kept[i].label != secret->label)
		i++;
	if (kept[i].length == secret->length &&
	    memcmp(kept[i].bytes, secret->secret, secret->length) == 0)
		return false;
	connection->count--;
	memmove(&kept[i], &kept[i + 1],
		(connection->count - i) * sizeof(*kept));
	return true;
}

static void
note_giver(struct connection *connection, const struct ebpftls_secret *secret)
{
	const struct giver giver = { secret->pid, secret->file };
	uint8_t i;

	for (i = 0; i < connection->entry.givers; i++)
		if (connection->givers[i].pid == giver.pid &&
		    connection->givers[i].file == giver.file)
			return;
	if (i == GIVERS_MAX)
		return;
	connection->givers[i] = giver;
	connection->entry.givers++;
}

const struct ebpftls_keys_entry *
ebpftls_keys_add(struct ebpftls_keys *keys, const struct ebpftls_secret *secret)
{
	struct connection *connection;
	struct kept *kept;

	if (!is_secret(secret))
		return NULL;
	connection = get_connection(keys, secret->random);
	note_giver(connection, secret);
	if (!make_room(connection, secret))
		return NULL;
	kept = &connection->kept[connection->count++];
	memset(kept, 0, sizeof(*kept));
	kept->label = secret->label;
	kept->length = secret->length;
	memcpy(kept->bytes, secret->secret, secret->length);
	connection->entry.have |= BIT(secret->label);
	return &connection->entry;
}

static char *
write_hex(char *to, const uint8_t *bytes, size_t length)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < length; i++) {
		*to++ = digits[bytes[i] >> 4];
		*to++ = digits[bytes[i] & 15];
	}
	return to;
}

static size_t
format(char line[EBPFTLS_LINE_SIZE], uint8_t label,
       const uint8_t random[EBPFTLS_RANDOM_SIZE], const uint8_t *secret,
       uint8_t length)
{
	char *to = stpcpy(line, label_names[label]);

	*to++ = ' ';
	to = write_hex(to, random, EBPFTLS_RANDOM_SIZE);
	*to++ = ' ';
	to = write_hex(to, secret, length);
	*to++ = '\n';
	*to = '\0';
	return (size_t)(to - line);
}

static const struct connection *
connection_of(const struct ebpftls_keys_entry *entry)
{
	return (const void *)((const uint8_t *)entry -
			      offsetof(struct connection, entry));
}

size_t
ebpftls_keys_giver(const struct ebpftls_keys_entry *entry, uint8_t which,
		   const struct ebpftls_libraries *libraries,
		   char line[EBPFTLS_GIVER_SIZE])
{
	const struct giver *giver = &connection_of(entry)->givers[which];
	const char *path = ebpftls_libraries_find(libraries, giver->file);
	char *to = line;

	if (path == NULL)
		return 0;
	*to++ = '#';
	*to++ = ' ';
	to = write_hex(to, entry->random, EBPFTLS_RANDOM_SIZE);
	*to++ = ' ';
	to += ebpftls_owner_library(giver->pid, path, to);
	*to++ = '\n';
	return (size_t)(to - line);
}

void
ebpftls_keys_lines(const struct ebpftls_keys_entry *entry,
		   ebpftls_keys_line *line, void *context)
{
	const struct connection *connection = connection_of(entry);
	char text[EBPFTLS_LINE_SIZE];

	if (entry->have == 0)
		return; /* it may be no struct connection */
	for (uint8_t i = 0; i < connection->count; i++) {
		const struct kept *kept = &connection->kept[i];

		line(context, text,
		     format(text, kept->label, entry->random, kept->bytes,
			    kept->length));
	}
	explicit_bzero(text, sizeof(text));
}

void
ebpftls_keys_fit(const struct ebpftls_keys_entry *entry, uint8_t which,
		 struct ebpftls_libraries *libraries)
{
	ebpftls_libraries_fit(libraries,
			      connection_of(entry)->givers[which].file);
}

const char *
ebpftls_keys_unfit(const struct ebpftls_keys *keys,
		   const struct ebpftls_libraries *libraries,
		   ebpftls_keys_lacks *lacks, const void *context)
{
	const struct ebpftls_node *node;
	uint32_t last = 0; /* that lacks nothing */

	for (node = keys->table.oldest; node != NULL; node = node->newer) {
		const struct connection *connection = (const void *)node;

		for (uint8_t i = 0; i < connection->entry.givers; i++) {
			const struct giver *giver = &connection->givers[i];
			const char *path;

			if (giver->pid == last)
				continue;
			path = ebpftls_libraries_unfit(libraries, giver->file);
			if (path != NULL && lacks(context, giver->pid))
				return path;
			if (path != NULL)
				last = giver->pid;
		}
	}
	return NULL;
}

size_t
ebpftls_keys_format(const struct ebpftls_secret *secret,
		    char line[EBPFTLS_LINE_SIZE])
{
	if (!is_secret(secret)) {
		line[0] = '\0';
		return 0;
	}
	return format(line, secret->label, secret->random, secret->secret,
		      secret->length);
}
