// SPDX-License-Identifier: BSD-3-Clause
/*
 * Finds words for what a capture would get. Nothing is asked that a capture
 * does not do by the same functions.
 */
#define _GNU_SOURCE

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ebpftls-control-io.h"
#include "elffile.h"
#include "filter.h"
#include "inventory.h"
#include "netns.h"
#include "process.h"
#include "secrets.h"
#include "watch.h"

#define KIB 1024

static void
send_finding(int sock, enum ebpftls_state state, const char *part,
	     const char *text, const char *remedy)
{
	union ebpftls_any_message message;
	struct ebpftls_finding *finding = &message.finding;

	memset(&message, 0, sizeof(message));
	finding->state = state;
	snprintf(finding->part, sizeof(finding->part), "%s", part);
	snprintf(finding->text, sizeof(finding->text), "%s", text);
	snprintf(finding->remedy, sizeof(finding->remedy), "%s", remedy);
	ebpftls_control_send(sock, &message, EBPFTLS_FINDING, NULL, 0);
}

void
check_tell(int sock, enum ebpftls_state state, const char *part,
	   const char *format, ...)
{
	char text[EBPFTLS_TEXT_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	send_finding(sock, state, part, text, "");
}

/* libpcap's programs have words of their own for these. */
static const char *
words(const struct failure *failure)
{
	if (failure->text[0] != '\0')
		return failure->text;
	return failure->reason == EBPFTLS_REASON_NOT_UP
		   ? "the interface is down"
		   : "there is no such interface";
}

void
check_failed(int sock, enum ebpftls_state state, const char *part,
	     const struct failure *failure)
{
	send_finding(sock, state, part, words(failure), failure->remedy);
}

void
check_failed_on(int sock, const char *interface, const struct failure *failure)
{
	char text[sizeof(failure->text) + EBPFTLS_NAME_SIZE + 2];

	snprintf(text, sizeof(text), "%s: %s", interface, words(failure));
	send_finding(sock, EBPFTLS_STATE_NO, CHECK_PACKETS, text,
		     failure->remedy);
}

void
check_end(int sock)
{
	send_finding(sock, EBPFTLS_STATE_OK, "", "", "");
}

/* Most likely that is why. */
static void
fail_if_lacking(struct failure *failure,
		const struct failure_capability *capability)
{
	if (!failure_is_capable(capability))
		fail_capability(failure, capability);
}

/* --- processes ------------------------------------------------------------ */

void
check_owners(int sock, const struct owners *owners)
{
	bool receives = owners_has(owners, "owners_received") ||
			owners_has(owners, "owners_receive");
	bool accepts = owners_has(owners, "owners_accepted") ||
		       owners_has(owners, "owners_accepted_before_610");

	if (!owners_has(owners, "owners_bind4"))
		check_tell(sock, EBPFTLS_STATE_LIMITED, CHECK_PROCESSES,
			   "this kernel tells only who makes a socket and who "
			   "writes to it");
	else if (!receives)
		check_tell(sock, EBPFTLS_STATE_LIMITED, CHECK_PROCESSES,
			   "this kernel does not tell who reads: a socket that "
			   "was handed on is its first owner's until the next "
			   "one writes");
	else
		check_tell(sock, EBPFTLS_STATE_OK, CHECK_PROCESSES,
			   "each packet names its process: who makes, %s "
			   "and writes to a socket is noted, and older "
			   "sockets are found %s",
			   accepts ? "accepts, reads" : "reads",
			   owners_has(owners, "owners_old") ? "by the kernel"
							    : "in /proc");
}

/* --- packets -------------------------------------------------------------- */

void
check_buffer(int sock, const struct capture *capture)
{
	static const struct failure_capability lock = { "CAP_IPC_LOCK",
							1ULL << CAP_IPC_LOCK };
	struct failure failure;

	if (capture->no_conntrack)
		check_tell(sock, EBPFTLS_STATE_LIMITED, CHECK_PROCESSES,
			   "this kernel's connection tracking cannot be asked: "
			   "packets that NAT brings to this machine are "
			   "nobody's until their socket is known");
	if (capture->ring_size == capture->wanted_size) {
		check_tell(sock, EBPFTLS_STATE_OK, CHECK_PACKETS,
			   "there is memory for a buffer of %zu KiB for each "
			   "of %zu CPUs",
			   capture->ring_size / KIB, capture->ring_count);
		return;
	}
	fail(&failure, EBPFTLS_REASON_OTHER,
	     "the buffer is %zu KiB for each CPU instead of %zu, as there is "
	     "no more memory for it: more packets are lost",
	     capture->ring_size / KIB, capture->wanted_size / KIB);
	fail_if_lacking(&failure, &lock);
	check_failed(sock, EBPFTLS_STATE_LIMITED, CHECK_PACKETS, &failure);
}

void
check_filters(int sock, const struct capture *capture)
{
	int error = filter_try(capture);

	if (error == 0)
		check_tell(sock, EBPFTLS_STATE_OK, CHECK_FILTERS,
			   "the kernel applies filters: what they reject is "
			   "not copied");
	else
		check_tell(sock, EBPFTLS_STATE_LIMITED, CHECK_FILTERS,
			   "libpcap applies filters, as the kernel refuses "
			   "them: %s",
			   strerror(-error));
}

/* --- secrets -------------------------------------------------------------- */

/* Where a probe does no harm. */
__attribute__((noinline, used)) static void
never_called(void)
{
	__asm__ volatile("nop");
}

/* Returns the attachment or a negative errno; -ENOEXEC: not on this machine. */
static int
attach_to_self(struct secrets *secrets)
{
	extern const char __ehdr_start[];
	const uint64_t address =
	    (uintptr_t)never_called - (uintptr_t)__ehdr_start;
	struct scan_result result = { .count = 1 };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int attachment = -ENOEXEC;
	uint64_t offset;
	struct elf elf;

	if (fd < 0)
		return -errno;
	if (elf_read(fd, &elf) && elf_offset(&elf, address, &offset)) {
		result.hooks[0].offset = offset;
		attachment = secrets_attach(secrets, fd, &result);
	}
	close(fd);
	return attachment;
}

static void
ignore(void *context, const struct mapping *mapping)
{
	(void)context;
	(void)mapping;
}

/* Of how many processes it cannot be seen what they have mapped. */
static uint32_t
count_denied(void)
{
	struct inventory *inventory = inventory_open("/proc");
	struct pollfd wait = { .events = POLLIN };
	enum inventory_step step;
	uint32_t denied;

	if (inventory == NULL)
		return 0;
	inventory_all(inventory);
	wait.fd = inventory_fd(inventory);
	while ((step = inventory_step(inventory, ignore, NULL)) !=
	       INVENTORY_DONE)
		if (step == INVENTORY_NOT_YET)
			poll(&wait, 1, -1);
	denied = inventory_missed(inventory)->never;
	inventory_close(inventory);
	return denied;
}

/* Whose code is looked for. */
static void
check_view(int sock)
{
	static const struct failure_capability trace = {
		"CAP_SYS_PTRACE", 1ULL << CAP_SYS_PTRACE
	};
	struct failure failure;
	uint32_t denied = count_denied();

	if (denied > 0) {
		fail(&failure, EBPFTLS_REASON_NO_PERMISSION,
		     "what %u process%s mapped cannot be read: secrets are "
		     "missing, unless they come from a library of this system",
		     denied, denied == 1 ? " has" : "es have");
		fail_if_lacking(&failure, &trace);
		check_failed(sock, EBPFTLS_STATE_LIMITED, CHECK_SECRETS,
			     &failure);
	}
	if (!process_sees_all()) {
		fail(&failure, EBPFTLS_REASON_OTHER,
		     "ebpftls-agent is in a pid namespace, as of a container: "
		     "what runs outside is not seen, and its secrets are "
		     "missing");
		fail_remedy(&failure, "capture outside the container, or in "
				      "one by docker run --pid=host ...");
		check_failed(sock, EBPFTLS_STATE_LIMITED, CHECK_SECRETS,
			     &failure);
	}
}

/* What a program may take away from root that the look at others' files needs.
 */
static void
check_files(int sock)
{
	static const struct {
		struct failure_capability capability;
		const char *whose;
	} needs[] = {
		{ { "CAP_DAC_READ_SEARCH", 1ULL << CAP_DAC_READ_SEARCH },
		  "in folders and files that only their users may read" },
		{ { "CAP_CHECKPOINT_RESTORE",
		    1ULL << CAP_CHECKPOINT_RESTORE | 1ULL << CAP_SYS_ADMIN },
		  "of libraries that were replaced while they run" },
	};
	struct failure failure;

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (failure_is_capable(&needs[i].capability))
			continue;
		fail(&failure, EBPFTLS_REASON_NO_PERMISSION,
		     "TLS code %s is not found", needs[i].whose);
		fail_capability(&failure, &needs[i].capability);
		check_failed(sock, EBPFTLS_STATE_LIMITED, CHECK_SECRETS,
			     &failure);
	}
}

/* Returns 0 or -1. */
static int
try_secrets(struct secrets *secrets, struct failure *failure)
{
	struct watch *watch = watch_start(failure);
	int attachment;

	if (watch == NULL)
		return -1;
	watch_close(watch);
	attachment = attach_to_self(secrets);
	if (attachment == -ENOEXEC)
		return fail(failure, EBPFTLS_REASON_NOT_SUPPORTED,
			    "TLS code of this kind of processor is not "
			    "understood");
	if (attachment < 0)
		return fail_refused(failure, -attachment,
				    "cannot attach a probe to a program");
	secrets_detach(secrets, attachment);
	return 0;
}

void
check_secrets(int sock)
{
	const struct ebpftls_caller root = { .uid = 0 };
	struct failure failure;
	struct secrets *secrets = secrets_load(&root, &failure);

	if (secrets == NULL || try_secrets(secrets, &failure) != 0) {
		check_failed(sock, EBPFTLS_STATE_NO, CHECK_SECRETS, &failure);
	} else {
		check_tell(sock, EBPFTLS_STATE_OK, CHECK_SECRETS,
			   "TLS secrets can be taken, by %s",
			   secrets_multi(secrets)
			       ? "one probe for all places of a file"
			       : "a probe for each place in a file");
		check_view(sock);
		check_files(sock);
	}
	secrets_close(secrets);
}

/* --- other namespaces ------------------------------------------------------
 */

void
check_namespaces(int sock)
{
	static const struct failure_capability admin = { "CAP_SYS_ADMIN",
							 1ULL
							     << CAP_SYS_ADMIN };
	struct failure failure;
	int error = netns_try();

	if (error == 0) {
		check_tell(sock, EBPFTLS_STATE_OK, CHECK_NAMESPACES,
			   "other network namespaces can be captured, by "
			   "any@NAME");
		return;
	}
	fail(&failure, EBPFTLS_REASON_NO_PERMISSION,
	     "no other one can be entered: %s", strerror(-error));
	fail_if_lacking(&failure, &admin);
	check_failed(sock, EBPFTLS_STATE_NO, CHECK_NAMESPACES, &failure);
}
