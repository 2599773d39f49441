// SPDX-License-Identifier: BSD-3-Clause
/* Is it always known which line of tcpdump's begins the next packet? */
#include "lines.h"

#include "unit/check.h"

static struct lines lines;

/* What comes of `text`, one letter for each line, when `written` are due. */
static void
expect(const char *text, unsigned int written, const char *kinds)
{
	static const char letters[] = {
		[LINE_FIRST] = 'F', [LINE_MORE] = 'm', [LINE_MESSAGE] = '!'
	};
	size_t length = strlen(text), room, size;
	char got[64] = "";
	enum line_kind kind;
	const char *line;

	check(length <= (lines_room(&lines, &room), room));
	memcpy(lines_room(&lines, &room), text, length);
	lines_added(&lines, length);
	while ((kind = lines_first(&lines, written, &line, &size)) !=
	       LINE_NONE) {
		check(size > 0 && line[size - 1] == '\n');
		check(kind != LINE_FIRST || line[0] != ' ');
		got[strlen(got)] = letters[kind];
		lines_next(&lines);
	}
	check_bytes(got, kinds, strlen(kinds) + 1);
}

static void
begin(void)
{
	memset(&lines, 0, sizeof(lines));
}

static void
one_line_each(void)
{
	begin();
	expect("    1  IP a\n    2  IP b\n", 2, "FF");
	expect("    3  IP c\n", 3, "F");
	check(lines.seen == 3 && lines.used == 0);
}

static void
several_lines(void)
{
	begin();
	expect("    1  IP (tos 0x0)\n    10.0.0.1 > 10.0.0.2: UDP\n"
	       "\t0x0000:  4500\n    2  IP\n",
	       5, "FmmF");
}

static void
look_alikes(void)
{
	begin();
	expect("    1  IP\n    1  IP again\n    3  IP too early\n"
	       "    2 IP\n   2  IP\n    2\n2  IP\n",
	       9, "Fmmmmmm");
	lines.seen = 99999;
	expect("100000  IP\n100000  IP\n100001  IP\n", 100002, "FmF");
	lines.seen = UINT32_MAX;
	expect("    0  IP\n", 1, "F");
}

/* What has not been given to tcpdump it cannot have printed. */
static void
not_yet_due(void)
{
	begin();
	expect("    1  IP\n    2  IP\n", 1, "Fm");
	expect("    2  IP\n", 2, "F");
}

static void
messages(void)
{
	begin();
	expect("reading from file -, link-type EN10MB\nWarning: names\n", 0,
	       "!!");
	expect("    1  IP\ntcpdump: pcap_loop: truncated\n\ttcpdump: \n", 1,
	       "F!m");
}

static void
in_pieces(void)
{
	begin();
	expect("   ", 2, "");
	expect(" 1  I", 2, "");
	expect("P\n    2", 2, "F");
	expect("  IP\n\tmore", 2, "F");
	expect("\n", 2, "m");
}

/* A line without an end is passed on, and what comes next belongs to it. */
static void
too_long(void)
{
	const char *line;
	size_t size;
	char *room;

	begin();
	room = lines_room(&lines, &size);
	memset(room, 'x', size);
	memcpy(room, "    1  ", 7);
	lines_added(&lines, size);
	check(lines_first(&lines, 2, &line, &size) == LINE_FIRST);
	check(size == LINES_SIZE - 7);
	lines_next(&lines);
	expect("    2  IP\n    2  IP\n", 2, "mF");
}

/* Whatever comes: nothing is lost, and no packet is seen that is not due. */
static void
anything(void)
{
	static const char alphabet[] = "    12  \n\n\tIt";
	size_t in = 0, out = 0, size, room;
	const char *line;

	begin();
	for (int i = 0; i < 200000; i++) {
		*lines_room(&lines, &room) =
		    alphabet[check_random(sizeof(alphabet) - 1)];
		lines_added(&lines, 1);
		in++;
		while (lines_first(&lines, 50, &line, &size) != LINE_NONE) {
			out += (size_t)(line - lines.bytes) + size;
			lines_next(&lines);
		}
	}
	check(in == out + lines.used);
	check(lines.seen > 0 && lines.seen <= 50);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "one line for each packet", one_line_each },
		{ "several lines for a packet", several_lines },
		{ "lines that look like a packet's first", look_alikes },
		{ "a packet that is not due", not_yet_due },
		{ "messages of tcpdump's own", messages },
		{ "lines that come in pieces", in_pieces },
		{ "a line that is too long", too_long },
		{ "anything else", anything },
		{ NULL, NULL },
	};

	return check_main(cases);
}
