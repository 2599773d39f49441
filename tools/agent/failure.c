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

struct privileges {
	bool known;
	bool filtered; /* system calls */
	unsigned long long effective, bounding;
};

static struct privileges at_start;

int
fail(struct failure *failure, enum ebpftls_reason reason, const char *format,
     ...)
{
	va_list args;

	failure->reason = reason;
	va_start(args, format);
	vsnprintf(failure->text, sizeof(failure->text), format, args);
	va_end(args);
	failure->remedy[0] = '\0';
	return -1;
}

int
fail_remedy(struct failure *failure, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(failure->remedy, sizeof(failure->remedy), format, args);
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

/* A set of capabilities of this process; all where that cannot be read. */
static unsigned long long
read_set(const char *name)
{
	unsigned long long set;
	char line[128];

	if (!find_line("/proc/self/status", name, line, sizeof(line)) ||
	    sscanf(line + strlen(name), ": %llx", &set) != 1)
		return ~0ULL;
	return set;
}

static bool
has_seccomp_filter(void)
{
	char line[128];

	return find_line("/proc/self/status", "Seccomp:\t2", line,
			 sizeof(line));
}

static struct privileges
privileges_now(void)
{
	return (struct privileges){
		.known = true,
		.effective = read_set("CapEff"),
		.bounding = read_set("CapBnd"),
		.filtered = has_seccomp_filter(),
	};
}

void
failure_begin(void)
{
	at_start = privileges_now();
}

static struct privileges
privileges_at_start(void)
{
	return at_start.known ? at_start : privileges_now();
}

bool
failure_is_capable(const struct failure_capability *capability)
{
	return privileges_at_start().effective & capability->any_of;
}

int
fail_capability(struct failure *failure,
		const struct failure_capability *capability)
{
	const char *name = capability->name;

	if (privileges_at_start().bounding & capability->any_of)
		return fail_remedy(failure,
				   "start it with all privileges of root: %s "
				   "was taken from it",
				   name);
	return fail_remedy(failure,
			   "in a container: docker run --cap-add=%s ...; in a "
			   "service: add %s to CapabilityBoundingSet=, by "
			   "systemctl edit ebpftls-agent@.service",
			   name + strlen("CAP_"), name);
}

/* CAP_SYS_ADMIN stands for those that were split off it. */
static const struct failure_capability *
missing_capability(void)
{
	static const struct failure_capability needed[] = {
		{ "CAP_BPF", 1ULL << CAP_BPF | 1ULL << CAP_SYS_ADMIN },
		{ "CAP_PERFMON", 1ULL << CAP_PERFMON | 1ULL << CAP_SYS_ADMIN },
		{ "CAP_NET_ADMIN", 1ULL << CAP_NET_ADMIN },
		{ "CAP_NET_RAW", 1ULL << CAP_NET_RAW },
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!failure_is_capable(&needed[i]))
			return &needed[i];
	return NULL;
}

static bool
is_locked_down(void)
{
	char line[128];

	return find_line(LOCKDOWN_PATH, "", line, sizeof(line)) &&
	       strstr(line, "[confidentiality]") != NULL;
}

/* Its root has capabilities, but not those that the kernel asks for. */
static bool
in_user_namespace(void)
{
	unsigned int inside, outside, count;
	char line[128];

	return find_line("/proc/self/uid_map", "", line, sizeof(line)) &&
	       sscanf(line, "%u %u %u", &inside, &outside, &count) == 3 &&
	       (inside != 0 || outside != 0 || count != UINT32_MAX);
}

/* What the kernel forbids to whoever asks. */
static int
fail_forbidden(struct failure *failure, int error, const char *what)
{
	if (is_locked_down()) {
		fail(failure, EBPFTLS_REASON_NO_PERMISSION,
		     "%s: the kernel is locked down to 'confidentiality' (%s), "
		     "which forbids eBPF to read its memory",
		     what, LOCKDOWN_PATH);
		return fail_remedy(failure, "boot with lockdown=integrity on "
					    "the kernel's command line");
	}
	if (in_user_namespace()) {
		fail(failure, EBPFTLS_REASON_NO_PERMISSION,
		     "%s: ebpftls-agent is in a user namespace, and root there "
		     "is not root",
		     what);
		return fail_remedy(failure,
				   "run it outside the container, or in one "
				   "by docker run --userns=host ...");
	}
	if (privileges_at_start().filtered) {
		fail(failure, EBPFTLS_REASON_NO_PERMISSION,
		     "%s: %s, probably by the seccomp filter that "
		     "ebpftls-agent was started with",
		     what, strerror(error));
		return fail_remedy(failure,
				   "in a container: docker run --security-opt "
				   "seccomp=unconfined ...");
	}
	return fail(failure, EBPFTLS_REASON_OTHER, "%s: %s", what,
		    strerror(error));
}

int
fail_refused(struct failure *failure, int error, const char *what)
{
	const struct failure_capability *capability = missing_capability();
	bool forbidden = error == EPERM || error == EACCES;

	if (access(BTF_PATH, R_OK) != 0) {
		fail(failure, EBPFTLS_REASON_NOT_SUPPORTED,
		     "%s: this kernel shows no BTF (%s) - boot one built with "
		     "CONFIG_DEBUG_INFO_BTF, as distributions' kernels are",
		     what, BTF_PATH);
		return fail_remedy(
		    failure, "grep BTF /boot/config-* shows which kernels "
			     "have it; in a container, mount the host's "
			     "/sys/kernel/btf");
	}
	/* not always with EPERM: the loader stumbles before the kernel can */
	if (capability != NULL && !(forbidden && is_locked_down())) {
		fail(failure, EBPFTLS_REASON_NO_PERMISSION,
		     "%s: %s is required and ebpftls-agent was started "
		     "without it",
		     what, capability->name);
		return fail_capability(failure, capability);
	}
	if (forbidden)
		return fail_forbidden(failure, error, what);
	return fail(failure, EBPFTLS_REASON_OTHER, "%s: %s", what,
		    strerror(error));
}
