// SPDX-License-Identifier: BSD-3-Clause
/*
 * Writes packets to tcpdump as a capture file, reads what it prints, and
 * prints that with the processes. Both go through pipes: where tcpdump is
 * confined it has those, as in any shell, but not sockets.
 */
#define _GNU_SOURCE

#include "printer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "colour.h"
#include "command.h"

/* More packets are taken, so many at once, while less than this waits. */
#define WAITING_MAX 65536
#define AT_ONCE	    64

/* Of a longest name with a pid; two are mostly not much wider. */
#define FIRST_WIDTH 24

/* The headers of a capture file, in this machine's byte order. */
struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t unused[2];
	uint32_t snaplen;
	uint32_t linktype;
};

struct packet_header {
	uint32_t seconds, microseconds, caplen, len;
};

#define MAGIC	     0xa1b2c3d4
#define LINKTYPE_RAW 101

/* A group of its own: ^C is for us, and it shall print what is left. */
__attribute__((noreturn)) static void
become_tcpdump(int in, int out, const char *options)
{
	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0)
		execlp("tcpdump", "tcpdump", "-l", "-#", "-r", "-", options,
		       NULL);
	dprintf(2, "tcpdump: cannot be executed: %s%s\n", strerror(errno),
		errno == ENOENT ? ": is it installed?" : "");
	_exit(EXIT_FAILURE);
}

/* The pipes to and from it; tcpdump's ends may wait, ours do not. */
static int
start_tcpdump(struct printer *printer, const char *options)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		return -1;
	printer->to = in[1];
	printer->from = out[0];
	if (fcntl(printer->to, F_SETFL, O_NONBLOCK) != 0 ||
	    fcntl(printer->from, F_SETFL, O_NONBLOCK) != 0)
		return -1;
	printer->pid = fork();
	if (printer->pid == 0)
		become_tcpdump(in[0], out[1], options);
	close(in[0]);
	close(out[1]);
	return printer->pid < 0 ? -1 : 0;
}

/* Makes room behind what waits; false without memory. */
static bool
make_room(struct printer *printer, size_t size)
{
	uint8_t *larger;

	if (printer->start > 0) {
		printer->end -= printer->start;
		memmove(printer->bytes, printer->bytes + printer->start,
			printer->end);
		printer->start = 0;
	}
	if (printer->size - printer->end >= size)
		return true;
	larger = realloc(printer->bytes, printer->end + size + WAITING_MAX);
	if (larger == NULL)
		return false;
	printer->bytes = larger;
	printer->size = printer->end + size + WAITING_MAX;
	return true;
}

/* Copies to what is to be written; false without memory. */
static bool
append(struct printer *printer, const void *bytes, size_t size)
{
	if (printer->size - printer->end < size && !make_room(printer, size))
		return false;
	memcpy(printer->bytes + printer->end, bytes, size);
	printer->end += size;
	return true;
}

int
printer_start(struct printer *printer, int linktype, int snaplen,
	      const char *options)
{
	struct file_header header = {
		.magic = MAGIC,
		.major = 2,
		.minor = 4,
		.snaplen = (uint32_t)snaplen,
		/* the one type that files have another number for */
		.linktype =
		    linktype == DLT_RAW ? LINKTYPE_RAW : (uint32_t)linktype,
	};

	memset(printer, 0, sizeof(*printer));
	printer->width = FIRST_WIDTH;
	printer->colour = colour_wanted();
	if (!append(printer, &header, sizeof(header)))
		return complain("no memory");
	if (start_tcpdump(printer, options) != 0)
		return complain("cannot start tcpdump: %s", strerror(errno));
	return 0;
}

int
printer_room(const struct printer *printer)
{
	unsigned int ahead = printer->written - printer->lines.seen;

	if (printer->end - printer->start >= WAITING_MAX)
		return 0;
	return ahead + AT_ONCE <= PRINTER_AHEAD ? AT_ONCE : 0;
}

int
printer_add(struct printer *printer, const struct ends *ends,
	    const struct pcap_pkthdr *packet, const uint8_t *bytes)
{
	struct packet_header header = {
		.seconds = (uint32_t)packet->ts.tv_sec,
		.microseconds = (uint32_t)packet->ts.tv_usec,
		.caplen = packet->caplen,
		.len = packet->len,
	};

	if (!append(printer, &header, sizeof(header)) ||
	    !append(printer, bytes, packet->caplen))
		return complain("no memory");
	printer->ends[printer->written++ % PRINTER_AHEAD] = *ends;
	return 0;
}

void
printer_poll(const struct printer *printer, struct pollfd fds[2])
{
	bool waiting = printer->start < printer->end;

	fds[0] = (struct pollfd){ printer->from, POLLIN, 0 };
	fds[1] = (struct pollfd){ waiting ? printer->to : -1, POLLOUT, 0 };
}

/* When all is written that will be. */
static void
close_when_done(struct printer *printer)
{
	if (!printer->finished || printer->start < printer->end ||
	    printer->to < 0)
		return;
	close(printer->to);
	printer->to = -1;
}

static void
give(struct printer *printer)
{
	ssize_t sent;

	if (printer->start == printer->end)
		return;
	sent = write(printer->to, printer->bytes + printer->start,
		     printer->end - printer->start);
	if (sent > 0)
		printer->start += (size_t)sent;
	else if (errno == EPIPE)
		printer->start = printer->end;
	close_when_done(printer);
}

static void
print(struct printer *printer, enum line_kind kind, const char *text,
      size_t size)
{
	char column[ENDS_TEXT_SIZE];

	if (kind == LINE_MESSAGE) {
		snprintf(printer->last_message, sizeof(printer->last_message),
			 "%.*s", (int)size - 1, text);
		return;
	}
	if (kind == LINE_FIRST) {
		ends_show(&printer->ends[(printer->lines.seen - 1) %
					 PRINTER_AHEAD],
			  printer->colour, &printer->width, column);
		fputs(column, stdout);
		fputc(' ', stdout);
	}
	fwrite(text, 1, size, stdout);
}

/* False at the end. */
static bool
take(struct printer *printer)
{
	struct lines *lines = &printer->lines;
	enum line_kind kind;
	const char *text;
	size_t size;
	char *room = lines_room(lines, &size);
	ssize_t got = read(printer->from, room, size);

	if (got <= 0)
		return got < 0 && (errno == EAGAIN || errno == EINTR);
	lines_added(lines, (size_t)got);
	while ((kind = lines_first(lines, printer->written, &text, &size)) !=
	       LINE_NONE) {
		print(printer, kind, text, size);
		lines_next(lines);
	}
	return true;
}

bool
printer_work(struct printer *printer)
{
	give(printer);
	return take(printer);
}

void
printer_finish(struct printer *printer)
{
	printer->finished = true;
	close_when_done(printer);
}

void
printer_abandon(struct printer *printer)
{
	printer->abandoned = true;
	kill(printer->pid, SIGKILL);
}

/* With what tcpdump has said last, if it has said anything. */
static int
explain(const struct printer *printer, int status)
{
	const char *said = printer->last_message;

	if (WIFSIGNALED(status))
		return complain("tcpdump was ended by signal %d (%s)",
				WTERMSIG(status), strsignal(WTERMSIG(status)));
	return complain("tcpdump has ended, with exit status %d%s%s",
			WEXITSTATUS(status), *said != '\0' ? ": " : "", said);
}

int
printer_end(struct printer *printer)
{
	unsigned int left = printer->written - printer->lines.seen;
	int status = 0;

	if (printer->to >= 0)
		close(printer->to);
	close(printer->from);
	free(printer->bytes);
	waitpid(printer->pid, &status, 0);
	if (printer->abandoned)
		return 0;
	if (status != 0 || !printer->finished)
		return explain(printer, status);
	if (left != 0)
		return complain("tcpdump has not printed %u packets", left);
	return 0;
}
