/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cuts what tcpdump prints into lines, and knows those that begin a packet:
 * tcpdump numbers the packets (-#), and the next one's number is due. What a
 * line looks like otherwise does not matter, as packets decide that.
 */
#ifndef TOOL_LINES_H
#define TOOL_LINES_H

#include <stdbool.h>
#include <stddef.h>

#define LINES_SIZE 65536

struct lines {
	char bytes[LINES_SIZE];
	size_t used;
	bool inside;	   /* of a line that had no room */
	unsigned int seen; /* packets whose first line has come */
};

enum line_kind {
	LINE_NONE,  /* none is complete */
	LINE_FIRST, /* of a packet; what is returned stands behind the number */
	LINE_MORE,  /* of the packet that came last */
	LINE_MESSAGE, /* of tcpdump's own, or what came before any packet */
};

/* Where to put what is read, and how much; there is always some room. */
char *lines_room(struct lines *lines, size_t *size);
void lines_added(struct lines *lines, size_t size);

/*
 * The first line there is, with its line feed, while `written` packets have
 * been given to tcpdump. It is to be taken away by lines_next() afterwards.
 */
enum line_kind lines_first(struct lines *lines, unsigned int written,
			   const char **text, size_t *size);
void lines_next(struct lines *lines);

#endif
