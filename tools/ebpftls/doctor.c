// SPDX-License-Identifier: BSD-3-Clause
/*
 * ebpftls doctor: what can be captured here, and what helps where that is not
 * all. What the kernel allows is found out by doing it: see checkup.c and
 * library.c.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apparmor.h"
#include "checkup.h"
#include "colour.h"
#include "command.h"
#include "ebpftls-device.h"
#include "findings.h"
#include "library.h"

#define TEXT_SIZE (2 * PATH_MAX)

/* What was kept for an interface of a file: docs/sealing.md. */
#define KEPT "*.unsealed-[0-9]*"

/* No process has that name: so no packet is captured. */
#define NOBODY ",comm=.doctor"

struct doctor {
	const char *interface;
	struct findings findings;
	struct ebpftls_reach reach;
	char own[PATH_MAX]; /* libpcap of this tool, if it has our devices */
	const char *device; /* to be captured on, or NULL: not possible */
};

static bool
set(void *settings, char letter, const char *argument)
{
	struct doctor *doctor = settings;

	(void)letter;
	doctor->interface = argument;
	return true;
}

__attribute__((format(printf, 5, 6))) static void
tell(struct doctor *doctor, enum ebpftls_state state, const char *part,
     const char *remedy, const char *format, ...)
{
	char text[TEXT_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	findings_add(&doctor->findings, state, part, text, remedy);
}

/* --- a program --------------------------------------------------------------
 */

/* As the shell finds it. */
static bool
find_program(const char *name, char path[PATH_MAX])
{
	const char *folders = getenv("PATH"), *end;
	char all[PATH_MAX];

	if (strchr(name, '/') != NULL)
		return realpath(name, path) != NULL;
	for (; folders != NULL && *folders != '\0';
	     folders = *end == ':' ? end + 1 : end) {
		end = strchrnul(folders, ':');
		snprintf(all, sizeof(all), "%.*s/%s", (int)(end - folders),
			 folders, name);
		if (access(all, F_OK) == 0 && realpath(all, path) != NULL)
			return true;
	}
	return false;
}

/* dumpcap is for the members of a group. */
static void
tell_closed(struct doctor *doctor, const char *name, const char *path)
{
	const struct passwd *user = getpwuid(geteuid());
	const struct group *group = NULL;
	char remedy[TEXT_SIZE] = "";
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & S_IXGRP))
		group = getgrgid(st.st_gid);
	if (group != NULL)
		snprintf(remedy, sizeof(remedy),
			 "sudo usermod -aG %s %s, and log in again",
			 group->gr_name, user != NULL ? user->pw_name : "USER");
	tell(doctor, EBPFTLS_STATE_NO, name, remedy, "you may not execute %s",
	     path);
}

static void
tell_foreign(struct doctor *doctor, const char *name, const char *program,
	     const char *library)
{
	char remedy[TEXT_SIZE];
	int length = (int)(basename(doctor->own) - doctor->own - 1);

	if (doctor->own[0] == '\0')
		snprintf(remedy, sizeof(remedy),
			 "sudo make install, and sudo ldconfig; without that, "
			 "start it by build/run");
	else if (library_is_secure(program))
		snprintf(remedy, sizeof(remedy),
			 "it has privileges of its file's, so the linker's "
			 "list has to say %.*s: sudo ldconfig, and see "
			 "\"ldconfig -p\"",
			 length, doctor->own);
	else
		snprintf(remedy, sizeof(remedy),
			 "sudo ldconfig, and see \"ldconfig -p\"; or start it "
			 "with LD_LIBRARY_PATH=%.*s",
			 length, doctor->own);
	tell(doctor, EBPFTLS_STATE_NO, name, remedy,
	     "finds %s, which has no ebpftls devices", library);
}

/* False after it has told what is in the way. */
static bool
is_allowed(struct doctor *doctor, const char *name, const char *program)
{
	const char *profile;
	char remedy[TEXT_SIZE];
	enum apparmor_state state =
	    apparmor_ask(program, doctor->reach.path, &profile);

	if (state == APPARMOR_FREE || state == APPARMOR_TOLD)
		return true;
	snprintf(remedy, sizeof(remedy),
		 "sudo sh -c 'cat " EBPFTLS_DOC_PATH "/apparmor-tcpdump "
		 ">>/etc/apparmor.d/local/%s && apparmor_parser -r "
		 "/etc/apparmor.d/%s'",
		 profile, profile);
	tell(doctor,
	     state == APPARMOR_CONFINED ? EBPFTLS_STATE_NO
					: EBPFTLS_STATE_LIMITED,
	     name, remedy, "AppArmor %s keep it from %s",
	     state == APPARMOR_CONFINED ? "is told to" : "may (root can tell)",
	     doctor->reach.path);
	return false;
}

static void
look_at_library(struct doctor *doctor, const char *name, const char *program,
		const char *library)
{
	char text[PCAP_ERRBUF_SIZE + 64];

	switch (library_try(library, doctor->device, text, sizeof(text))) {
	case LIBRARY_BROKEN:
		tell(doctor, EBPFTLS_STATE_NO, name, "",
		     "finds %s, which does not work: %s", library, text);
		break;
	case LIBRARY_FOREIGN:
		tell_foreign(doctor, name, program, library);
		break;
	case LIBRARY_REFUSED:
		tell(doctor, EBPFTLS_STATE_NO, name,
		     "library and agent may be of different versions: install "
		     "both again, by sudo make install",
		     "finds %s, but no capture opens: %s", library, text);
		break;
	default:
		if (is_allowed(doctor, name, program))
			tell(doctor, EBPFTLS_STATE_OK, name, "",
			     doctor->device != NULL
				 ? "captures, with %s"
				 : "finds %s, which has ebpftls devices",
			     library);
	}
}

static void
look_at_file(struct doctor *doctor, const char *name, const char *path)
{
	char library[PATH_MAX];

	if (access(path, X_OK) != 0)
		tell_closed(doctor, name, path);
	else if (library_find(path, library))
		look_at_library(doctor, name, path, library);
	else
		tell(doctor, EBPFTLS_STATE_LIMITED, name,
		     "if it starts another program to capture, or is run by "
		     "one, name that: ebpftls doctor PROGRAM",
		     "%s does not say which libpcap it takes", path);
}

/* What Wireshark makes of the names of processes. */
static void
look_at_wireshark(struct doctor *doctor)
{
	unsigned int major = 0, minor = 0;
	FILE *out = popen("dumpcap -v 2>/dev/null", "r");
	bool columns;

	/* "Dumpcap (Wireshark) 4.0.17 (Git ..." */
	if (out == NULL || fscanf(out, "%*[^)]) %u.%u", &major, &minor) != 2)
		major = 0;
	if (out != NULL)
		pclose(out);
	if (major == 0)
		return;
	columns = major > 4 || (major == 4 && minor >= 6);
	tell(doctor, EBPFTLS_STATE_OK, "wireshark", "",
	     "version %u.%u shows the processes of packets in comments%s",
	     major, minor, columns ? " and columns" : "; in columns, 4.6 does");
}

/* Returns whether it can capture. */
static bool
look_at_program(struct doctor *doctor, const char *name, bool must_be_there)
{
	char path[PATH_MAX];

	/* these let dumpcap capture */
	if (strcmp(basename(name), "tshark") == 0 ||
	    strcmp(basename(name), "wireshark") == 0)
		name = "dumpcap";
	if (find_program(name, path))
		look_at_file(doctor, basename(name), path);
	else if (must_be_there)
		tell(doctor, EBPFTLS_STATE_NO, basename(name), "",
		     "there is no such program in PATH");
	else
		return false;
	return findings_worst(&doctor->findings, basename(name)) !=
	       EBPFTLS_STATE_NO;
}

/* Those that are asked for must work; otherwise it is enough if one does. */
static void
look_at_programs(struct doctor *doctor, char **names, int count)
{
	static const char *const usual[] = { "tcpdump", "dumpcap" };
	bool works = count > 0 || doctor->own[0] != '\0';

	for (int i = 0; i < count; i++)
		works &= look_at_program(doctor, names[i], true);
	for (size_t i = 0; count == 0 && i < 2; i++)
		works |= look_at_program(doctor, usual[i], false);
	if (!works)
		doctor->findings.impossible = true;
	if (count == 0)
		look_at_wireshark(doctor);
}

/* --- files ------------------------------------------------------------------
 */

static bool
is_kept(const char *path)
{
	const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool kept;

	if (fd < 0)
		return errno != ENOENT;
	/* a capture that goes on has a lock */
	kept = flock(fd, LOCK_SH | LOCK_NB) == 0;
	close(fd);
	return kept;
}

/* How long the name of the file is for which this was kept. */
static size_t
file_length(const char *kept)
{
	return (size_t)(strrchr(kept, '.') - kept);
}

/* Nothing was said when a file of dumpcap's could not be sealed. */
static void
look_for_unsealed(struct doctor *doctor)
{
	const char *last = NULL;
	char remedy[TEXT_SIZE];
	size_t count = 0;
	glob_t found;

	if (glob(KEPT, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *path = found.gl_pathv[i];
		const size_t length = file_length(path);

		/* one for each interface of a file */
		if ((last != NULL && file_length(last) == length &&
		     strncmp(last, path, length) == 0) ||
		    !is_kept(path))
			continue;
		last = path;
		count++;
	}
	if (last != NULL) {
		snprintf(remedy, sizeof(remedy),
			 "ebpftls seal %.*s, which says why where it cannot",
			 (int)file_length(last), last);
		tell(doctor, EBPFTLS_STATE_LIMITED, "files", remedy,
		     "%zu in this folder still lack%s the secrets and "
		     "processes that were kept for them",
		     count, count == 1 ? "s" : "");
	}
	globfree(&found);
}

/* --- the whole --------------------------------------------------------------
 */

static void
look_at_own_library(struct doctor *doctor)
{
	char path[PATH_MAX] = "the libpcap of this tool";

	if (library_own(path) &&
	    library_is_ours(pcap_findalldevs, pcap_freealldevs))
		strcpy(doctor->own, path);
	else
		tell_foreign(doctor, "ebpftls", "/proc/self/exe", path);
}

static void
parse_device(const struct command *self, const char *interface,
	     struct ebpftls_device *device, char name[TEXT_SIZE])
{
	char text[PCAP_ERRBUF_SIZE];

	snprintf(name, TEXT_SIZE - sizeof(NOBODY), EBPFTLS_PREFIX "%s",
		 interface);
	if (ebpftls_device_parse(name, device, text, sizeof(text)) != 0)
		command_misused(self, "%s is no device: %s", name, text);
}

int
doctor(const struct command *self, int argc, char **argv)
{
	struct doctor doctor = { .interface = "any",
				 .findings.colour = colour_is_wanted() };
	int first = command_parse(self, argc, argv, set, &doctor);
	struct ebpftls_device device;
	char name[TEXT_SIZE];

	parse_device(self, doctor.interface, &device, name);
	checkup(&doctor.findings, &device, &doctor.reach);
	if (!doctor.findings.impossible)
		doctor.device = name;
	if (findings_worst(&doctor.findings, "processes") != EBPFTLS_STATE_NO)
		strcat(name, NOBODY);
	look_at_own_library(&doctor);
	look_at_programs(&doctor, argv + first, argc - first);
	look_for_unsealed(&doctor);
	return findings_verdict(&doctor.findings);
}
