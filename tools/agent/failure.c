// SPDX-License-Identifier: BSD-3-Clause
/* Finds words for what went wrong, and what to do about it. */
#define _GNU_SOURCE

#include "failure.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BTF_PATH      "/sys/kernel/btf/vmlinux"
#define LOCKDOWN_PATH "/sys/kernel/security/lockdown"

int
fail(struct failure *failure, enum ebpftls_reason reason, const char *format,
     ...)
{
	va_list args;

	failure->reason = reason;
	va_start(args, format);
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	va_end(args);
	return -1;
}

/* The line of a file that starts with `start`; false when there is none. */
static bool
find_line(const char *path, const char *start, char *line, int size)
{
	FILE *file = fopen(path, "re");
	bool found = false;

	if (file == NULL)
		return false;
	while (!found && fgets(line, size, file) != NULL)
		found = strncmp(line, start, strlen(start)) == 0;
	fclose(file);
	return found;
}

/* CAP_SYS_ADMIN stands for those that were split off it. */
static const char *
missing_capability(void)
{
	static const struct {
		const char *name;
		unsigned long long any_of;
	} needed[] = {
		{ "CAP_BPF", 1ULL << CAP_BPF | 1ULL << CAP_SYS_ADMIN },
		{ "CAP_PERFMON", 1ULL << CAP_PERFMON | 1ULL << CAP_SYS_ADMIN },
		{ "CAP_NET_ADMIN", 1ULL << CAP_NET_ADMIN },
		{ "CAP_NET_RAW", 1ULL << CAP_NET_RAW },
	};
	unsigned long long effective;
	char line[128];

	if (!find_line("/proc/self/status", "CapEff:", line, sizeof(line)) ||
	    sscanf(line, "CapEff: %llx", &effective) != 1)
		return NULL;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!(effective & needed[i].any_of))
			return needed[i].name;
	return NULL;
}

static bool
is_locked_down(void)
{
	char line[128];

	return find_line(LOCKDOWN_PATH, "", line, sizeof(line)) &&
	       strstr(line, "[confidentiality]") != NULL;
}

int
fail_refused(struct failure *failure, int error, const char *what)
{
	const char *capability = missing_capability();

	if (access(BTF_PATH, R_OK) != 0)
		return fail(failure, EBPFTLS_REASON_NOT_SUPPORTED,
			    "%s: this kernel shows no BTF (%s) - boot one "
			    "built with CONFIG_DEBUG_INFO_BTF, as "
			    "distributions' kernels are",
			    what, BTF_PATH);
	if ((error == EPERM || error == EACCES) && is_locked_down())
		return fail(failure, EBPFTLS_REASON_NO_PERMISSION,
			    "%s: the kernel is locked down to "
			    "'confidentiality' (%s), which forbids eBPF to "
			    "read its memory",
			    what, LOCKDOWN_PATH);
	/* not always with EPERM: the loader stumbles before the kernel can */
	if (capability != NULL)
		return fail(failure, EBPFTLS_REASON_NO_PERMISSION,
			    "%s: %s is required and ebpftls-agent was started "
			    "without it",
			    what, capability);
	return fail(failure, EBPFTLS_REASON_OTHER, "%s: %s", what,
		    strerror(error));
}
