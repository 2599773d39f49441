// SPDX-License-Identifier: BSD-3-Clause
/*
 * Walks over /proc/PID/maps in pieces: one process may have a million
 * mappings, and nobody is to wait for that.
 */
#define _GNU_SOURCE

#include "inventory.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE	  65536	    /* a line has less than five times PATH_MAX */
#define LINES_MAX (4 << 20) /* who maps on ahead of the reader has no last */

struct inventory {
	DIR *proc; /* NULL: there is only this process */
	uint32_t pid;
	int maps;    /* of that process, or -1: ask for the next */
	size_t used; /* of a line that is not complete */
	uint32_t lines;
	struct inventory_missed missed;
	char piece[PIECE + 1];
};

struct inventory *
inventory_open(void)
{
	struct inventory *inventory = calloc(1, sizeof(*inventory));

	if (inventory == NULL)
		return NULL;
	inventory->maps = -1;
	inventory->proc = opendir("/proc");
	if (inventory->proc != NULL)
		return inventory;
	free(inventory);
	return NULL;
}

struct inventory *
inventory_of(uint32_t pid, int maps)
{
	struct inventory *inventory = calloc(1, sizeof(*inventory));

	if (inventory == NULL) {
		close(maps);
		return NULL;
	}
	inventory->pid = pid;
	inventory->maps = maps;
	return inventory;
}

/* Processes end while one looks. */
static void
miss(struct inventory *inventory)
{
	if (errno == EACCES || errno == EPERM)
		inventory->missed.never++;
	else if (errno != ENOENT && errno != ESRCH)
		inventory->missed.later++;
}

/* False after the last process. */
static bool
next_process(struct inventory *inventory)
{
	struct dirent *entry = readdir(inventory->proc);
	char name[sizeof(entry->d_name) + 16];

	if (entry == NULL)
		return false;
	if (!isdigit((unsigned char)entry->d_name[0]))
		return true;
	snprintf(name, sizeof(name), "/proc/%s/maps", entry->d_name);
	inventory->pid = (uint32_t)strtoul(entry->d_name, NULL, 10);
	inventory->used = 0;
	inventory->lines = 0;
	inventory->maps = open(name, O_RDONLY | O_CLOEXEC);
	if (inventory->maps < 0)
		miss(inventory);
	return true;
}

/* What is there of a last line moves to the front. */
static void
take_lines(struct inventory *inventory,
	   void (*found)(void *context, const struct mapping *mapping),
	   void *context)
{
	char *line = inventory->piece, *end;
	struct mapping mapping;

	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		if (mapping_parse(line, &mapping)) {
			mapping.pid = inventory->pid;
			found(context, &mapping);
		}
		line = end + 1;
		inventory->lines++;
	}
	inventory->used = strlen(line);
	if (inventory->used == PIECE)
		inventory->used = 0;
	memmove(inventory->piece, line, inventory->used);
}

bool
inventory_step(struct inventory *inventory,
	       void (*found)(void *context, const struct mapping *mapping),
	       void *context)
{
	ssize_t got;

	if (inventory->maps < 0)
		return inventory->proc != NULL && next_process(inventory);
	got = read(inventory->maps, inventory->piece + inventory->used,
		   PIECE - inventory->used);
	if (got <= 0 || inventory->lines > LINES_MAX) {
		if (got < 0)
			miss(inventory);
		else if (got > 0)
			inventory->missed.never++;
		close(inventory->maps);
		inventory->maps = -1;
		return true;
	}
	inventory->piece[inventory->used + (size_t)got] = '\0';
	take_lines(inventory, found, context);
	return true;
}

const struct inventory_missed *
inventory_missed(const struct inventory *inventory)
{
	return &inventory->missed;
}

void
inventory_close(struct inventory *inventory)
{
	if (inventory == NULL)
		return;
	if (inventory->maps >= 0)
		close(inventory->maps);
	if (inventory->proc != NULL)
		closedir(inventory->proc);
	free(inventory);
}
