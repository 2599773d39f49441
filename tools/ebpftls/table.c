// SPDX-License-Identifier: BSD-3-Clause
/* Lines in columns; sums; and what the capture has said, made harmless. */
#define _GNU_SOURCE
#include "table.h"

#include <arpa/inet.h>
#include <string.h>

#include "verdict.h"

#define COLOUR_BAD "\033[1;31m"
#define COLOUR_OFF "\033[m"

/* Two addresses of IPv6 with ports, and an arrow. */
#define PAIR_SIZE 128

#define CIPHER_SIZE 32

/* Names of two files, and an arrow. */
#define LIBRARIES_SIZE 512

/* The texts of one line. */
struct row {
	enum verdict verdict;
	char pair[PAIR_SIZE];
	char cipher[CIPHER_SIZE];
	char ends[ENDS_TEXT_SIZE];
	char libraries[LIBRARIES_SIZE];
	char why[VERDICT_TEXT_SIZE];
};

static char *
add_address(char *to, const struct ebpftls_tuple *tuple, int end)
{
	const bool six = tuple->address_size == 16;
	char address[INET6_ADDRSTRLEN];

	inet_ntop(six ? AF_INET6 : AF_INET, tuple->address[end], address,
		  sizeof(address));
	return to + sprintf(to, six ? "[%s]:%u" : "%s:%u", address,
			    tuple->port[end]);
}

static void
show_pair(const struct connection *connection, char text[PAIR_SIZE])
{
	text = add_address(text, &connection->tuple, connection->client);
	text = stpcpy(text, " > ");
	add_address(text, &connection->tuple, !connection->client);
}

static const char *
version_of(const struct connection *connection)
{
	static const char *const versions[] = { "SSL 3", "TLS 1.0", "TLS 1.1",
						"TLS 1.2", "TLS 1.3" };
	const uint16_t version = connection->result.version;

	if (connection->kind != CONNECTION_TLS)
		return connection->kind == CONNECTION_QUIC ? "QUIC" : "DTLS";
	if (version < 0x0300 || version > 0x0304)
		return "TLS";
	return versions[version - 0x0300];
}

static void
show_cipher(const struct conversation_result *result, char text[CIPHER_SIZE])
{
	text[0] = '\0';
	if (result->server_hello && result->suite != NULL)
		snprintf(text, CIPHER_SIZE, "%s", result->suite->name);
	else if (result->server_hello)
		snprintf(text, CIPHER_SIZE, "0x%04x", result->number);
}

/* Without its folders: "?" for one that a process must have. */
static const char *
name_of(const char *path, const struct end *end)
{
	if (path == NULL)
		return end->pid == END_NO_PROCESS ? "" : "?";
	return basename(path);
}

/*
 * One, if there is one process, or if both have the same; with the blanks
 * before the column.
 */
static void
show_libraries(const struct connection *connection, char text[LIBRARIES_SIZE])
{
	const char *first =
	    name_of(connection->libraries[0], &connection->ends.first);
	const char *second =
	    name_of(connection->libraries[1], &connection->ends.second);
	bool two =
	    first[0] != '\0' && second[0] != '\0' && strcmp(first, second) != 0;

	text[0] = '\0';
	if (connection->libraries[0] == NULL &&
	    connection->libraries[1] == NULL)
		return;
	snprintf(text, LIBRARIES_SIZE, "  %s%s%s", first, two ? " > " : "",
		 two || first[0] == '\0' ? second : "");
}

static void
widen(int *width, const char *text)
{
	if ((int)strlen(text) > *width)
		*width = (int)strlen(text);
}

/* The last column is as wide as what is in it. */
static void
make_row(struct table *table, const struct connection *connection,
	 struct row *row)
{
	int none = 0;
	bool more;

	row->verdict = verdict_of(connection);
	show_pair(connection, row->pair);
	show_cipher(&connection->result, row->cipher);
	verdict_explain(connection, row->verdict, row->why);
	show_libraries(connection, row->libraries);
	more = row->libraries[0] != '\0' || row->why[0] != '\0';
	ends_show(&connection->ends, table->colour,
		  more ? &table->widths.ends : &none, row->ends);
	if (row->why[0] != '\0')
		widen(&table->widths.libraries, row->libraries);
	widen(&table->widths.pair, row->pair);
	widen(&table->widths.cipher, row->cipher);
}

/* Without the blanks of columns that have nothing in them. */
static void
write_row(const struct table *table, const struct connection *connection,
	  const struct row *row)
{
	const bool bad = table->colour && !verdict_is_good(row->verdict);
	char line[sizeof(*row) + 128];
	int size;

	size = snprintf(line, sizeof(line),
			"%s%-10s%s  %-*s  %-7s  %-*s  %s%-*s  %s",
			bad ? COLOUR_BAD : "", verdict_word(row->verdict),
			bad ? COLOUR_OFF : "", table->widths.pair, row->pair,
			version_of(connection), table->widths.cipher,
			row->cipher, row->ends, table->widths.libraries,
			row->libraries, row->why);
	while (size > 0 && line[size - 1] == ' ')
		size--;
	fprintf(table->to, "%.*s\n", size, line);
}

/* How many there are of each verdict. */
static void
write_sums(FILE *to, const size_t counts[VERDICTS])
{
	const char *before = ": ";
	size_t all = 0;

	for (int i = 0; i < VERDICTS; i++)
		all += counts[i];
	fprintf(to, "%zu TLS connection%s", all, all == 1 ? "" : "s");
	for (int i = 0; i < VERDICTS; i++) {
		if (counts[i] == 0)
			continue;
		fprintf(to, "%s%zu %s", before, counts[i],
			verdict_word((enum verdict)i));
		before = ", ";
	}
	fputc('\n', to);
}

/* Lines, of which nothing but visible ASCII and blanks gets to a terminal. */
static void
write_note(FILE *to, const struct note *note)
{
	bool begins = true;

	for (size_t i = 0; i < note->size; i++) {
		const unsigned char c = (unsigned char)note->text[i];

		if (begins && c != '\n')
			fputs("The capture said: ", to);
		begins = c == '\n';
		if ((c >= ' ' && c <= '~') || (c == '\n' && i > 0))
			fputc(c, to);
		else
			fprintf(to, "\\x%02x", c);
	}
	if (!begins)
		fputc('\n', to);
}

void
table_line(struct table *table, const struct connection *connection)
{
	struct row row;

	make_row(table, connection, &row);
	write_row(table, connection, &row);
	fflush(table->to);
}

bool
table_write(struct table *table, const struct inspection *inspection)
{
	const struct connection *connection;
	size_t counts[VERDICTS] = { 0 };
	bool good = true;
	struct row row;

	for (connection = inspection->list; connection != NULL;
	     connection = connection->next)
		make_row(table, connection, &row);
	for (connection = inspection->list; connection != NULL;
	     connection = connection->next) {
		make_row(table, connection, &row);
		if (!connection->told)
			write_row(table, connection, &row);
		counts[row.verdict]++;
		good &= verdict_is_good(row.verdict);
	}
	write_sums(table->to, counts);
	if (inspection->secrets == 0)
		fputs("There are no TLS secrets in the file.\n", table->to);
	for (const struct note *note = inspection->notes; note != NULL;
	     note = note->next)
		write_note(table->to, note);
	return good;
}
