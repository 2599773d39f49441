// SPDX-License-Identifier: BSD-3-Clause
/*
 * Capabilities and system calls. The agent itself has a list of calls that it
 * may not make, as it goes on to load programs and to attach them; a child
 * that reads what others have written has a list of those that it may.
 */
#define _GNU_SOURCE

#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Elsewhere there is no filter that could be right. */
#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0
#endif

/* Of x86-64: what says that the numbers are those of x32. */
#define OTHER_ABI 0x40000000

/* Older headers. */
#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

#define CALLS_MAX 64

/* Of open(): what changes a file, and what makes one that was not there. */
#define CHANGES (O_ACCMODE | O_TRUNC | O_CREAT)
#define NEW	(O_CREAT | O_EXCL)

#define LOAD(member)                       \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
		 offsetof(struct seccomp_data, member))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define REFUSE	       (SECCOMP_RET_ERRNO | EPERM)

/* --- capabilities --------------------------------------------------------- */

static int
get(struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3])
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	return (int)syscall(SYS_capget, &header, sets);
}

/* While it can: what is not in there no program gets that is executed. */
static void
drop_bounding(uint64_t set)
{
	for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
		if (!(set & PRIVILEGE(i)))
			prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

int
privileges_keep(uint64_t set)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (get(sets) != 0)
		return -1;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		sets[i].permitted &= (uint32_t)(set >> 32 * i);
		sets[i].effective &= sets[i].permitted;
		sets[i].inheritable = 0;
	}
	drop_bounding(set);
	return (int)syscall(SYS_capset, &header, sets);
}

static uint64_t
permitted(void)
{
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (get(sets) != 0)
		return 0;
	return sets[0].permitted | (uint64_t)sets[1].permitted << 32;
}

/* Services may lack the one that is for it. */
int
privileges_look(void)
{
	const uint64_t map_files = PRIVILEGE(CAP_CHECKPOINT_RESTORE);
	uint64_t set = PRIVILEGE(CAP_SYS_PTRACE) |
		       PRIVILEGE(CAP_DAC_READ_SEARCH) | map_files;

	if (!(permitted() & map_files))
		set |= PRIVILEGE(CAP_SYS_ADMIN);
	return privileges_keep(set);
}

/* --- system calls --------------------------------------------------------- */

static int
install(const struct sock_filter *code, size_t count)
{
	const struct sock_fprog filter = {
		.len = (unsigned short)count,
		.filter = (struct sock_filter *)(uintptr_t)code,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}

int
privileges_allow(const int *calls, size_t count)
{
	struct sock_filter code[CALLS_MAX + 6] = {
		LOAD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		LOAD(nr),
	};
	size_t length = 4;

	if (count > CALLS_MAX) {
		errno = E2BIG;
		return -1;
	}
	for (size_t i = 0; i < count; i++)
		code[length++] =
		    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
						 (uint32_t)calls[i],
						 (uint8_t)(count - i), 0);
	code[length++] = (struct sock_filter)RETURN(REFUSE);
	code[length++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
	return install(code, length);
}

#define FORBID(name) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), RETURN(REFUSE)
#define ONLY_NEW(name, flags)                                               \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 6),              \
	    LOAD(args[flags]),                                              \
	    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CHANGES, 0, 3),            \
	    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, NEW),                       \
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NEW, 1, 0), RETURN(REFUSE), \
	    RETURN(SECCOMP_RET_ALLOW)

/*
 * What a capture never does once it is attached, and what would be worth most
 * to whoever had taken the agent over: to run something, to write into files
 * and processes that are there, to change mounts, namespaces, the kernel and
 * the clock. No file is opened for writing but a new one, for the cache.
 */
static const struct sock_filter forbidden[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),
#if defined(__x86_64__)
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, OTHER_ABI, 0, 1),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	ONLY_NEW(open, 1),
	FORBID(creat),
	FORBID(iopl),
	FORBID(ioperm),
	FORBID(modify_ldt),
#endif
	ONLY_NEW(openat, 2),
	FORBID(openat2),
	FORBID(open_by_handle_at),
	FORBID(truncate),
	FORBID(execve),
	FORBID(execveat),
	FORBID(ptrace),
	FORBID(process_vm_readv),
	FORBID(process_vm_writev),
	FORBID(pidfd_getfd),
	FORBID(mount),
	FORBID(umount2),
	FORBID(pivot_root),
	FORBID(chroot),
	FORBID(open_tree),
	FORBID(move_mount),
	FORBID(fsopen),
	FORBID(fsconfig),
	FORBID(fsmount),
	FORBID(fspick),
	FORBID(unshare),
	FORBID(setns),
	FORBID(init_module),
	FORBID(finit_module),
	FORBID(delete_module),
	FORBID(kexec_load),
	FORBID(kexec_file_load),
	FORBID(reboot),
	FORBID(swapon),
	FORBID(swapoff),
	FORBID(settimeofday),
	FORBID(clock_settime),
	FORBID(clock_adjtime),
	FORBID(adjtimex),
	FORBID(keyctl),
	FORBID(add_key),
	FORBID(request_key),
	FORBID(userfaultfd),
	FORBID(io_uring_setup),
	RETURN(SECCOMP_RET_ALLOW),
};

static int
forbid_calls(void)
{
	return ARCH == 0 ? 0
			 : install(forbidden,
				   sizeof(forbidden) / sizeof(forbidden[0]));
}

/* --- the agent ------------------------------------------------------------ */

/* For hooks, filters, and interfaces that come later, and for the children. */
#define LATER                                                         \
	(PRIVILEGE(CAP_BPF) | PRIVILEGE(CAP_PERFMON) |                \
	 PRIVILEGE(CAP_NET_ADMIN) | PRIVILEGE(CAP_IPC_LOCK) |         \
	 PRIVILEGE(CAP_SYS_PTRACE) | PRIVILEGE(CAP_DAC_READ_SEARCH) | \
	 PRIVILEGE(CAP_CHECKPOINT_RESTORE) | PRIVILEGE(CAP_SETUID) |  \
	 PRIVILEGE(CAP_SETGID) | PRIVILEGE(CAP_KILL))

/* To enter a namespace, to have a packet socket, and memory for the maps. */
#define FIRST                                                        \
	(LATER | PRIVILEGE(CAP_SYS_ADMIN) | PRIVILEGE(CAP_NET_RAW) | \
	 PRIVILEGE(CAP_SYS_RESOURCE))

/* What CAP_SYS_ADMIN stands for where they are missing. */
#define SPLIT_OFF                                      \
	(PRIVILEGE(CAP_BPF) | PRIVILEGE(CAP_PERFMON) | \
	 PRIVILEGE(CAP_CHECKPOINT_RESTORE))

int
privileges_begin(void)
{
	return privileges_keep(FIRST);
}

/*
 * Distributions have a level of their own above the kernel's three, at which
 * CAP_PERFMON is not enough.
 */
static bool
takes_admin_for_perf(void)
{
	FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
	int level;
	bool known = file != NULL && fscanf(file, "%d", &level) == 1;

	if (file != NULL)
		fclose(file);
	return !known || level > 2;
}

int
privileges_settle(void)
{
	uint64_t set = LATER;

	if (SPLIT_OFF & ~permitted() || takes_admin_for_perf())
		set |= PRIVILEGE(CAP_SYS_ADMIN);
	return privileges_keep(set) == 0 && forbid_calls() == 0 ? 0 : -1;
}
