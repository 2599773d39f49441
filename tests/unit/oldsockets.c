// SPDX-License-Identifier: BSD-3-Clause
/* Is the owner that /proc makes of a process the one that the kernel knows? */
#define _GNU_SOURCE

#include "oldsockets.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "unit/check.h"

#define SECOND UINT64_C(1000000000)

/* It began less than a minute ago; its name is like what follows a name. */
static void
own_process(void)
{
	int folder = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t pid = (uint32_t)getpid();
	struct ebpftls_owner owner;
	struct timespec now;
	uint64_t age;

	check(prctl(PR_SET_NAME, "x) R 1 (2 3", 0, 0, 0) == 0);
	if (check(folder >= 0) &&
	    check(oldsockets_describe(folder, pid, true, &owner))) {
		clock_gettime(CLOCK_BOOTTIME, &now);
		age = (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec -
		      owner.start;
		check(age < 60 * SECOND);
		check(owner.pid == pid && owner.tid == pid);
		check(owner.uid == geteuid());
		check(owner.kind == EBPFTLS_OF_PROCESS && owner.chosen);
		check(strcmp(owner.comm, "x) R 1 (2 3") == 0);
	}
	close(folder);
}

static void
no_process(void)
{
	int folder = open("/proc/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct ebpftls_owner owner;

	check(folder >= 0 && !oldsockets_describe(folder, 1, false, &owner));
	close(folder);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "this process", own_process },
		{ "none", no_process },
		{ NULL, NULL },
	};

	return check_main(cases);
}
