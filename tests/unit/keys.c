// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is each secret kept once and given back as a key log line, and does nothing
 * of it remain when it has given way to others?
 */
#include "ebpftls-keys.h"

#include "unit/check.h"

#define LIMIT 8

static char log_text[64 * EBPFTLS_LINE_SIZE];

static struct ebpftls_secret
make(uint8_t connection, uint8_t label, uint8_t value)
{
	struct ebpftls_secret secret = { .label = label, .length = 32 };

	memset(secret.random, connection, sizeof(secret.random));
	memset(secret.secret, value, sizeof(secret.secret));
	return secret;
}

static bool
add(struct ebpftls_keys *keys, uint8_t connection, uint8_t label, uint8_t value)
{
	struct ebpftls_secret secret = make(connection, label, value);

	return ebpftls_keys_add(keys, &secret) != NULL;
}

static struct ebpftls_keys_entry *
find(struct ebpftls_keys *keys, uint8_t connection)
{
	uint8_t random[EBPFTLS_RANDOM_SIZE];

	memset(random, connection, sizeof(random));
	return ebpftls_keys_find(keys, random);
}

static void
collect(void *context, const char *line, size_t length)
{
	check(context == log_text);
	check(strlen(line) == length);
	strcat(log_text, line);
}

static const char *
lines(const struct ebpftls_keys_entry *entry)
{
	log_text[0] = '\0';
	ebpftls_keys_lines(entry, collect, log_text);
	return log_text;
}

static void
once(void)
{
	struct ebpftls_keys *keys = ebpftls_keys_new(LIMIT);
	struct ebpftls_secret secret =
	    make(1, EBPFTLS_CLIENT_TRAFFIC_SECRET_0, 5);
	const struct ebpftls_keys_entry *entry;

	check(find(keys, 1) == NULL);
	entry = ebpftls_keys_add(keys, &secret);
	if (check(entry != NULL)) {
		check(entry->have == 1 << EBPFTLS_CLIENT_TRAFFIC_SECRET_0);
		check(!entry->captured);
		check_bytes(entry->random, secret.random, 32);
	}
	check(!add(keys, 1, EBPFTLS_CLIENT_TRAFFIC_SECRET_0, 5));
	check(add(keys, 1, EBPFTLS_SERVER_TRAFFIC_SECRET_0, 5));
	check(add(keys, 2, EBPFTLS_CLIENT_TRAFFIC_SECRET_0, 5));
	check(find(keys, 1)->have == (1 << EBPFTLS_CLIENT_TRAFFIC_SECRET_0 |
				      1 << EBPFTLS_SERVER_TRAFFIC_SECRET_0));
	ebpftls_keys_free(keys);
	ebpftls_keys_free(NULL);
}

static void
not_secrets(void)
{
	struct ebpftls_keys *keys = ebpftls_keys_new(LIMIT);
	struct ebpftls_secret secret = make(1, EBPFTLS_LABELS, 5);
	char line[EBPFTLS_LINE_SIZE];

	check(ebpftls_keys_add(keys, &secret) == NULL);
	check(ebpftls_keys_format(&secret, line) == 0);
	secret.label = EBPFTLS_CLIENT_RANDOM;
	for (int length = 0; length < 256; length++) {
		secret.length = (uint8_t)length;
		if (length == 32 || length == 48)
			continue;
		check(ebpftls_keys_add(keys, &secret) == NULL);
		check(ebpftls_keys_format(&secret, line) == 0);
		check(line[0] == '\0');
	}
	check(find(keys, 1) == NULL);
	ebpftls_keys_free(keys);
}

#define HEX_16(two) \
	two two two two two two two two two two two two two two two two

static void
format(void)
{
	struct ebpftls_secret secret = make(0x0a, EBPFTLS_CLIENT_RANDOM, 0xf1);
	static const char *const names[] = {
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
	char line[EBPFTLS_LINE_SIZE];
	size_t length;

	secret.length = 48;
	for (int label = 0; label < EBPFTLS_LABELS; label++) {
		secret.label = (uint8_t)label;
		length = ebpftls_keys_format(&secret, line);
		check(length == strlen(line));
		check(length == strlen(names[label]) + 1 + 64 + 1 + 96 + 1);
		check(strncmp(line, names[label], strlen(names[label])) == 0);
		check(strcmp(line + strlen(names[label]),
			     " " HEX_16("0a") HEX_16("0a") " " HEX_16("f1")
				 HEX_16("f1") HEX_16("f1") "\n") == 0);
	}
}

static void
in_order(void)
{
	struct ebpftls_keys *keys = ebpftls_keys_new(LIMIT);

	add(keys, 0xab, EBPFTLS_SERVER_HANDSHAKE_TRAFFIC_SECRET, 1);
	add(keys, 0xab, EBPFTLS_CLIENT_HANDSHAKE_TRAFFIC_SECRET, 2);
	check(
	    strcmp(lines(find(keys, 0xab)),
		   "SERVER_HANDSHAKE_TRAFFIC_SECRET " HEX_16("ab") HEX_16(
		       "ab") " " HEX_16("01")
		       HEX_16("01") "\nCLIENT_HANDSHAKE_TRAFFIC_SECRET " HEX_16(
			   "ab") HEX_16("ab") " " HEX_16("02")
			   HEX_16("02") "\n") == 0);
	ebpftls_keys_free(keys);
}

/* A KeyUpdate makes a new secret with the old name each time. */
static void
key_updates(void)
{
	struct ebpftls_keys *keys = ebpftls_keys_new(LIMIT);

	for (int label = 0; label < EBPFTLS_LABELS; label++)
		check(add(keys, 1, (uint8_t)label, 7));
	check(!add(keys, 1, EBPFTLS_CLIENT_TRAFFIC_SECRET_N, 7));
	for (uint8_t i = 8; i < 50; i++) {
		check(add(keys, 1, EBPFTLS_CLIENT_TRAFFIC_SECRET_N, i));
		check(!add(keys, 1, EBPFTLS_CLIENT_TRAFFIC_SECRET_N, i));
	}
	check(add(keys, 1, EBPFTLS_CLIENT_TRAFFIC_SECRET_N, 7));
	lines(find(keys, 1));
	check(strstr(log_text, "31\n") == NULL);
	check(strstr(log_text, "EXPORTER_SECRET") <
	      strstr(log_text, "CLIENT_TRAFFIC_SECRET_N"));
	for (int label = 0; label < EBPFTLS_LABELS; label++)
		check(!add(keys, 1, (uint8_t)label, 7));
	ebpftls_keys_free(keys);
}

/* Both ends of each connection are on this host, and log the same lines. */
static void
random_again(void)
{
	struct ebpftls_keys *keys = ebpftls_keys_new(LIMIT);

	for (uint8_t value = 1; value < 4; value++)
		for (int end = 0; end < 2; end++)
			for (int label = 0; label < EBPFTLS_LABELS; label++)
				check(add(keys, 1, (uint8_t)label, value) ==
				      (end == 0));
	lines(find(keys, 1));
	check(strstr(log_text, "01\n") == NULL);
	check(strstr(log_text, "02\n") == NULL);
	for (int label = 0; label < EBPFTLS_LABELS; label++)
		check(!add(keys, 1, (uint8_t)label, 3));
	/* the last is the one that readers take */
	check(add(keys, 1, EBPFTLS_CLIENT_RANDOM, 4));
	lines(find(keys, 1));
	check(strstr(log_text, "CLIENT_RANDOM") >
	      strstr(log_text, "\nEXPORTER_SECRET"));
	ebpftls_keys_free(keys);
}

static void
longest_unused(void)
{
	struct ebpftls_keys *keys = ebpftls_keys_new(LIMIT);
	uint8_t random[EBPFTLS_RANDOM_SIZE] = { 0 };

	for (uint8_t i = 0; i < LIMIT; i++)
		check(add(keys, i, EBPFTLS_CLIENT_RANDOM, 1));
	check(find(keys, 0) != NULL);			 /* found, */
	check(!add(keys, 1, EBPFTLS_CLIENT_RANDOM, 1));	 /* tried */
	check(add(keys, 2, EBPFTLS_EXPORTER_SECRET, 1)); /* or given */
	for (uint8_t i = 100; i < 100 + LIMIT - 3; i++)
		check(add(keys, i, EBPFTLS_CLIENT_RANDOM, 1));
	for (uint8_t i = 0; i < LIMIT; i++)
		check((find(keys, i) != NULL) == (i < 3));
	/* what took its place has nothing of it */
	memset(random, 200, sizeof(random));
	check(ebpftls_keys_get(keys, random)->have == 0);
	check(lines(find(keys, 200))[0] == '\0');
	ebpftls_keys_free(keys);
}

static void
captured(void)
{
	struct ebpftls_keys *keys = ebpftls_keys_new(1);
	uint8_t random[EBPFTLS_RANDOM_SIZE];

	memset(random, 3, sizeof(random));
	ebpftls_keys_get(keys, random)->captured = true;
	check(find(keys, 3)->captured && find(keys, 3)->have == 0);
	check(add(keys, 3, EBPFTLS_CLIENT_RANDOM, 1));
	check(find(keys, 3)->captured);
	memset(random, 4, sizeof(random));
	check(!ebpftls_keys_get(keys, random)->captured);
	memset(random, 5, sizeof(random));
	ebpftls_keys_get(keys, random);
	check(find(keys, 4) == NULL);
	check(lines(find(keys, 5))[0] == '\0');
	ebpftls_keys_free(keys);
}

/* Anybody can send ClientHello messages; secrets come from this host. */
static void
flood(void)
{
	struct ebpftls_keys *keys = ebpftls_keys_new(LIMIT);
	uint8_t random[EBPFTLS_RANDOM_SIZE] = { 0 };

	for (uint8_t i = 1; i <= LIMIT; i++) {
		memset(random, i, sizeof(random));
		ebpftls_keys_get(keys, random)->captured = true;
		check(add(keys, i, EBPFTLS_CLIENT_RANDOM, i));
	}
	for (uint8_t i = 100; i < 200; i++) {
		memset(random, i, sizeof(random));
		ebpftls_keys_get(keys, random)->captured = true;
	}
	for (uint8_t i = 1; i <= LIMIT; i++) {
		if (!check(find(keys, i) != NULL))
			break;
		check(find(keys, i)->captured);
		check(!add(keys, i, EBPFTLS_CLIENT_RANDOM, i));
	}
	check(find(keys, 199 - LIMIT) == NULL);
	check(find(keys, 200 - LIMIT)->captured);
	ebpftls_keys_free(keys);
}

/* Many, against a plain array of what has to be there. */
static void
many(void)
{
	enum { CONNECTIONS = 4000, ALL = 20000 };
	static uint16_t have[ALL];
	struct ebpftls_keys *keys = ebpftls_keys_new(CONNECTIONS);
	struct ebpftls_secret secret = make(0, 0, 9);

	memset(have, 0, sizeof(have));
	for (uint32_t i = 0; i < 10 * ALL; i++) {
		/* the younger ones, of which none gives way */
		uint32_t n = i / 10 - check_random(i / 10 + 1) % 1000;
		uint16_t bit;

		secret.label = (uint8_t)check_random(EBPFTLS_LABELS);
		bit = (uint16_t)(1u << secret.label);
		memcpy(secret.random, &n, sizeof(n));
		check((ebpftls_keys_add(keys, &secret) == NULL) ==
		      ((have[n] & bit) != 0));
		have[n] |= bit;
		check(ebpftls_keys_find(keys, secret.random)->have == have[n]);
	}
	ebpftls_keys_free(keys);
}

static bool
is_giver(const struct ebpftls_keys_entry *entry, uint8_t which,
	 const struct ebpftls_libraries *libraries, const char *wanted)
{
	char line[EBPFTLS_GIVER_SIZE];
	size_t length = ebpftls_keys_giver(entry, which, libraries, line);

	return length == strlen(wanted) && memcmp(line, wanted, length) == 0;
}

#define RANDOM_01                          \
	"01010101010101010101010101010101" \
	"01010101010101010101010101010101"

/* Both ends may be on this machine; of more nobody keeps count. */
static void
givers(void)
{
	struct ebpftls_libraries *libraries = ebpftls_libraries_new();
	struct ebpftls_library library = { .file = 7, .path = "/a b\n=x" };
	struct ebpftls_keys *keys = ebpftls_keys_new(LIMIT);
	struct ebpftls_secret secret = make(1, EBPFTLS_CLIENT_RANDOM, 2);
	const struct ebpftls_keys_entry *entry;

	secret.pid = 12;
	secret.file = 7;
	entry = ebpftls_keys_add(keys, &secret);
	check(entry->givers == 1);
	check(is_giver(entry, 0, libraries, ""));
	check(is_giver(entry, 0, NULL, ""));
	ebpftls_libraries_learn(libraries, &library);
	check(is_giver(entry, 0, libraries,
		       "# " RANDOM_01 " pid=12 "
		       "library=/a\\x20b\\x0a\\x3dx\n"));
	check(ebpftls_keys_add(keys, &secret) == NULL);
	check(entry->givers == 1);
	secret.pid = 4294967295;
	secret.file = 4095;
	check(ebpftls_keys_add(keys, &secret) == NULL);
	check(entry->givers == 2);
	library.file = 4095;
	memset(library.path, '\xff', sizeof(library.path) - 1);
	ebpftls_libraries_learn(libraries, &library);
	check(!is_giver(entry, 1, libraries, ""));
	secret.pid = 3;
	check(ebpftls_keys_add(keys, &secret) == NULL);
	check(entry->givers == 2);
	library.file = UINT32_MAX;
	ebpftls_libraries_learn(libraries, &library);
	check(ebpftls_libraries_find(libraries, UINT32_MAX) == NULL);
	ebpftls_keys_free(keys);
	ebpftls_libraries_free(libraries);
}

static bool
is_pid(const void *context, uint32_t pid)
{
	return pid == *(const uint32_t *)context;
}

/* One that fits is enough, from whatever process. */
static void
unfit(void)
{
	struct ebpftls_libraries *libraries = ebpftls_libraries_new();
	struct ebpftls_library library = { .file = 7, .path = "/a" };
	struct ebpftls_keys *keys = ebpftls_keys_new(LIMIT);
	struct ebpftls_secret secret = make(1, EBPFTLS_CLIENT_RANDOM, 2);
	const uint32_t lacks = 12, other = 13;
	const char *path;

	secret.pid = lacks;
	secret.file = 7;
	ebpftls_keys_add(keys, &secret);
	/* whose path is not known */
	check(ebpftls_keys_unfit(keys, libraries, is_pid, &lacks) == NULL);
	ebpftls_libraries_learn(libraries, &library);
	path = ebpftls_keys_unfit(keys, libraries, is_pid, &lacks);
	check(path != NULL && strcmp(path, "/a") == 0);
	check(ebpftls_keys_unfit(keys, libraries, is_pid, &other) == NULL);
	secret = make(2, EBPFTLS_CLIENT_RANDOM, 2);
	secret.pid = other;
	secret.file = 7;
	ebpftls_keys_add(keys, &secret);
	check(ebpftls_keys_unfit(keys, libraries, is_pid, &lacks) != NULL);
	ebpftls_keys_fit(find(keys, 2), 0, libraries);
	check(ebpftls_keys_unfit(keys, libraries, is_pid, &lacks) == NULL);
	/* the same file again, as after it was rewritten */
	library.file = 8;
	ebpftls_libraries_learn(libraries, &library);
	secret = make(3, EBPFTLS_CLIENT_RANDOM, 2);
	secret.pid = lacks;
	secret.file = 8;
	ebpftls_keys_add(keys, &secret);
	check(ebpftls_keys_unfit(keys, libraries, is_pid, &lacks) == NULL);
	ebpftls_keys_free(keys);
	ebpftls_libraries_free(libraries);
}

/* Reads what is no longer part of the table: its items, after a drop. */
static void
wiped(void)
{
	struct ebpftls_keys *keys = ebpftls_keys_new(1);
	const struct ebpftls_keys_entry *entry;
	struct ebpftls_secret secret = make(1, EBPFTLS_CLIENT_RANDOM, 0xee);
	const uint8_t *memory;

	ebpftls_keys_add(keys, &secret);
	secret.label = EBPFTLS_EXPORTER_SECRET;
	entry = ebpftls_keys_add(keys, &secret);
	memory = (const uint8_t *)entry;
	secret = make(2, EBPFTLS_CLIENT_RANDOM, 0xdd);
	check(ebpftls_keys_add(keys, &secret) == entry); /* same place */
	for (size_t i = 0; i < 400; i++)
		check(memory[i] != 0xee);
	ebpftls_keys_free(keys);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "a secret is kept once", once },
		{ "what is no secret is not kept", not_secrets },
		{ "lines have the form of SSLKEYLOGFILE", format },
		{ "who gave the secrets of a connection", givers },
		{ "a file whose secrets are of no use", unfit },
		{ "lines come in the order of the secrets", in_order },
		{ "of secrets of key updates the newest", key_updates },
		{ "a client random that is used again", random_again },
		{ "the longest unused gives way", longest_unused },
		{ "a connection without secrets", captured },
		{ "a flood of connections without secrets", flood },
		{ "many connections", many },
		{ "nothing remains of one that gave way", wiped },
		{ NULL, NULL },
	};

	return check_main(cases);
}
