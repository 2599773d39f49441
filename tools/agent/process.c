// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads the folder of a process. Who owns the process has chosen most of what
 * is in there, and whatever does not fit is cut.
 */
#define _GNU_SOURCE

#include "process.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND	     UINT64_C(1000000000)
#define STAT_SIZE    4096
#define CGROUPS_SIZE 65536 /* a path of PATH_MAX for each hierarchy */

/* Of the kernel's ABI: the inode of the pid namespace that it starts with. */
#define FIRST_PID_NAMESPACE 0xeffffffcU

int
process_open(int proc, uint32_t pid)
{
	char name[sizeof("4294967295")];

	snprintf(name, sizeof(name), "%" PRIu32, pid);
	return openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void
process_known(const struct ebpftls_newcomer *who, struct ebpftls_process *facts)
{
	memset(facts, 0, sizeof(*facts));
	facts->pid = who->owner.pid;
	facts->start = who->owner.start;
	facts->parent = who->parent;
	facts->uid = who->owner.uid;
	memcpy(facts->comm, who->owner.comm, sizeof(facts->comm) - 1);
}

bool
process_sees_all(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 &&
	       st.st_ino == FIRST_PID_NAMESPACE;
}

size_t
process_read_text(int folder, const char *name, char *text, size_t size)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t got = 1;

	while (fd >= 0 && got > 0 && length < size - 1) {
		got = read(fd, text + length, size - 1 - length);
		if (got > 0)
			length += (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	text[length] = '\0';
	return length;
}

/* The name may have blanks, brackets and line ends, what follows has not. */
bool
process_parse_stat(const char *text, uint32_t *parent, uint64_t *ticks)
{
	const char *after = strrchr(text, ')');

	return after != NULL &&
	       sscanf(after,
		      ") %*c %" SCNu32 " %*s %*s %*s %*s %*s %*s %*s %*s %*s"
		      " %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64,
		      parent, ticks) == 2;
}

const char *
process_container_id(const char *name, size_t length)
{
	static const char scope[] = ".scope", outside[] = "conmon-";
	const size_t suffix = strlen(scope), before = strlen(outside);
	const char *id;

	if (length > suffix &&
	    memcmp(name + length - suffix, scope, suffix) == 0)
		length -= suffix;
	if (length < PROCESS_CONTAINER_LEN)
		return NULL;
	id = name + length - PROCESS_CONTAINER_LEN;
	length -= PROCESS_CONTAINER_LEN;
	if (strspn(id, "0123456789abcdef") < PROCESS_CONTAINER_LEN ||
	    (length > 0 && id[-1] != '-' && id[-1] != ':') ||
	    (length >= before && memcmp(id - before, outside, before) == 0))
		return NULL;
	return id;
}

/* Of containers in containers, the innermost. */
static void
find_container(const char *path, struct ebpftls_process *facts)
{
	const char *end = path + strlen(path);

	while (facts->container[0] == '\0' && end > path) {
		const char *slash = memrchr(path, '/', (size_t)(end - path));
		const char *name = slash == NULL ? path : slash + 1;
		const char *id =
		    process_container_id(name, (size_t)(end - name));

		if (id != NULL)
			memcpy(facts->container, id, PROCESS_CONTAINER_LEN);
		end = slash == NULL ? path : slash;
	}
}

/*
 * Takes the line of the unified hierarchy; with others next to it, runtimes
 * may have made the container's cgroups only there.
 */
void
process_parse_cgroups(char *text, struct ebpftls_process *facts)
{
	static const char unified[] = "0::";
	char *line, *path, *rest = text;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, unified, strlen(unified)) == 0)
			snprintf(facts->cgroup, sizeof(facts->cgroup), "%s",
				 line + strlen(unified));
		path = strchr(line, '/');
		if (path != NULL)
			find_container(path, facts);
	}
}

bool
process_began(int folder, uint64_t start, uint32_t *parent)
{
	const uint64_t tick = SECOND / (uint64_t)sysconf(_SC_CLK_TCK);
	char text[STAT_SIZE];
	uint64_t ticks;

	process_read_text(folder, "stat", text, sizeof(text));
	return process_parse_stat(text, parent, &ticks) &&
	       ticks == start / tick;
}

bool
process_read(int folder, const struct ebpftls_newcomer *who,
	     struct ebpftls_process *facts)
{
	char cgroups[CGROUPS_SIZE];
	uint32_t parent;

	/* first, as the rest stays until the parent has heard of the end */
	if (readlinkat(folder, "exe", facts->exe, sizeof(facts->exe) - 1) < 0)
		facts->exe[0] = '\0';
	if (!process_began(folder, who->owner.start, &parent)) {
		memset(facts->exe, 0, sizeof(facts->exe));
		return false;
	}
	if (facts->parent == 0)
		facts->parent = parent;
	process_read_text(folder, "cgroup", cgroups, sizeof(cgroups));
	process_parse_cgroups(cgroups, facts);
	return true;
}

void
process_parse_command(char *text, size_t size)
{
	while (size > 0 && text[size - 1] == '\0')
		size--;
	for (size_t i = 0; i < size; i++)
		if (text[i] == '\0')
			text[i] = ' ';
}

void
process_read_command(int folder, struct ebpftls_process *facts)
{
	size_t size = process_read_text(folder, "cmdline", facts->command,
					sizeof(facts->command));

	process_parse_command(facts->command, size);
}
