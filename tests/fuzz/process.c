// SPDX-License-Identifier: BSD-3-Clause
/* Takes any text for one of /proc/PID/stat, of cgroup, and a command line. */
#include "process.h"

#include <stdlib.h>
#include <string.h>

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char *
copy(const uint8_t *bytes, size_t size)
{
	char *text = malloc(size + 1);

	require(text != NULL);
	memcpy(text, bytes, size);
	text[size] = '\0';
	return text;
}

static void
parse_stat(const uint8_t *bytes, size_t size)
{
	char *text = copy(bytes, size);
	uint32_t parent;
	uint64_t ticks;

	if (process_parse_stat(text, &parent, &ticks))
		require(strchr(text, ')') != NULL);
	free(text);
}

static void
parse_cgroups(const uint8_t *bytes, size_t size)
{
	char *text = copy(bytes, size);
	struct ebpftls_process facts;
	size_t digits;

	memset(&facts, 0, sizeof(facts));
	process_parse_cgroups(text, &facts);
	require(strlen(facts.cgroup) < sizeof(facts.cgroup));
	require(strchr(facts.cgroup, '\n') == NULL);
	digits = strspn(facts.container, "0123456789abcdef");
	require(digits == 0 || digits == 64);
	require(facts.container[digits] == '\0');
	free(text);
}

static void
parse_command(const uint8_t *bytes, size_t size)
{
	char *text = copy(bytes, size);

	process_parse_command(text, size);
	for (size_t i = strlen(text); i < size; i++)
		require(text[i] == '\0');
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	parse_stat(bytes, size);
	parse_cgroups(bytes, size);
	parse_command(bytes, size);
	return 0;
}
