// SPDX-License-Identifier: BSD-3-Clause
/* Prints what ebpftls doctor finds, and remembers how bad it is. */
#include "findings.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *word, *colour;
} states[] = {
	[EBPFTLS_STATE_OK] = { "ok", "\033[32m" },
	[EBPFTLS_STATE_LIMITED] = { "limited", "\033[33m" },
	[EBPFTLS_STATE_NO] = { "no", "\033[31m" },
};

static struct findings_part *
find(struct findings *findings, const char *name)
{
	struct findings_part *part = findings->parts;

	for (int i = 0; i < findings->count; i++, part++)
		if (strcmp(part->name, name) == 0)
			return part;
	/* the last one stands for all that there is no room for */
	if (findings->count == FINDINGS_PARTS)
		return part - 1;
	findings->count++;
	snprintf(part->name, sizeof(part->name), "%s", name);
	part->worst = EBPFTLS_STATE_OK;
	return part;
}

void
findings_add(struct findings *findings, enum ebpftls_state state,
	     const char *part, const char *text, const char *remedy)
{
	struct findings_part *known = find(findings, part);

	if (known->worst < state)
		known->worst = state;
	printf("%s%-8s%s %-10s %s\n",
	       findings->colour ? states[state].colour : "", states[state].word,
	       findings->colour ? "\033[0m" : "", part, text);
	if (remedy[0] != '\0')
		printf("%-8s %-10s   remedy: %s\n", "", "", remedy);
}

enum ebpftls_state
findings_worst(const struct findings *findings, const char *part)
{
	for (int i = 0; i < findings->count; i++)
		if (strcmp(findings->parts[i].name, part) == 0)
			return findings->parts[i].worst;
	return EBPFTLS_STATE_OK;
}

int
findings_verdict(const struct findings *findings)
{
	const char *before = "captures work, but see: ";

	if (findings->impossible) {
		puts("verdict: no capture is possible");
		return 2;
	}
	fputs("verdict: ", stdout);
	for (int i = 0; i < findings->count; i++) {
		if (findings->parts[i].worst == EBPFTLS_STATE_OK)
			continue;
		printf("%s%s", before, findings->parts[i].name);
		before = ", ";
	}
	if (*before == 'c') {
		puts("captures work");
		return 0;
	}
	putchar('\n');
	return 1;
}
