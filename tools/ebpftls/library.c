// SPDX-License-Identifier: BSD-3-Clause
/*
 * Finds out which libpcap a program gets, and what that can do, by asking
 * those who know: the dynamic linker, and the library itself.
 */
#define _GNU_SOURCE

#include "library.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "ebpftls-device.h"

#define SECONDS 20 /* for what may hang */
#define SNAPLEN 96

bool
library_is_ours(int (*list)(pcap_if_t **, char *),
		void (*free_list)(pcap_if_t *))
{
	char text[PCAP_ERRBUF_SIZE];
	pcap_if_t *all, *device;

	if (list(&all, text) != 0)
		return true;
	device = all;
	while (device != NULL && !ebpftls_device_is_ours(device->name))
		device = device->next;
	free_list(all);
	return device != NULL;
}

bool
library_own(char path[PATH_MAX])
{
	Dl_info info;

	return dladdr((void *)(uintptr_t)pcap_create, &info) != 0 &&
	       realpath(info.dli_fname, path) != NULL;
}

/* --- the dynamic linker ----------------------------------------------------
 */

bool
library_is_secure(const char *program)
{
	struct stat st;

	if (geteuid() == 0 || stat(program, &st) != 0)
		return false;
	return (st.st_mode & (S_ISUID | S_ISGID)) ||
	       getxattr(program, "security.capability", NULL, 0) > 0;
}

/* Takes the path that a segment holds; false if it is of another kind. */
static bool
take_linker(int fd, off_t at, char path[PATH_MAX])
{
	ElfW(Phdr) segment;

	if (pread(fd, &segment, sizeof(segment), at) != sizeof(segment) ||
	    segment.p_type != PT_INTERP || segment.p_filesz == 0 ||
	    segment.p_filesz > PATH_MAX ||
	    pread(fd, path, segment.p_filesz, (off_t)segment.p_offset) !=
		(ssize_t)segment.p_filesz)
		return false;
	path[segment.p_filesz - 1] = '\0';
	return true;
}

/* The dynamic linker that the program names. */
static bool
find_linker(const char *program, char path[PATH_MAX])
{
	int fd = open(program, O_RDONLY | O_CLOEXEC);
	bool found = false;
	ElfW(Ehdr) header;

	if (fd < 0)
		return false;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_phentsize != sizeof(ElfW(Phdr)))
		header.e_phnum = 0;
	for (unsigned int i = 0; i < header.e_phnum && !found; i++)
		found = take_linker(fd,
				    (off_t)(header.e_phoff +
					    i * sizeof(ElfW(Phdr))),
				    path);
	close(fd);
	return found;
}

__attribute__((noreturn)) static void
become_linker(const char *linker, const char *program, int out)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (library_is_secure(program)) {
		unsetenv("LD_LIBRARY_PATH");
		unsetenv("LD_PRELOAD");
	}
	dup2(nothing, 0);
	dup2(out, 1);
	dup2(nothing, 2);
	execl(linker, linker, "--list", program, NULL);
	_exit(EXIT_FAILURE);
}

bool
library_find(const char *program, char path[PATH_MAX])
{
	char linker[PATH_MAX], line[2 * PATH_MAX], *at, *end;
	bool found = false;
	int both[2];
	FILE *in;
	pid_t pid;

	if (!find_linker(program, linker) || pipe2(both, O_CLOEXEC) != 0)
		return false;
	pid = fork();
	if (pid == 0)
		become_linker(linker, program, both[1]);
	close(both[1]);
	in = fdopen(both[0], "r");
	/* "	libpcap.so.0.8 => /lib/libpcap.so.0.8 (0x00007f0000000000)" */
	while (fgets(line, sizeof(line), in) != NULL) {
		at = strstr(line, "libpcap.so");
		if (at == NULL || (at = strstr(at, "=> ")) == NULL)
			continue;
		end = strstr(at, " (0x");
		if (end == NULL)
			continue;
		*end = '\0';
		found = realpath(at + strlen("=> "), path) != NULL;
	}
	fclose(in);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return found;
}

/* --- the library -----------------------------------------------------------
 */

struct functions {
	int (*findalldevs)(pcap_if_t **, char *);
	void (*freealldevs)(pcap_if_t *);
	pcap_t *(*create)(const char *, char *);
	int (*set_snaplen)(pcap_t *, int);
	int (*activate)(pcap_t *);
	const char *(*statustostr)(int);
	char *(*geterr)(pcap_t *);
	void (*close)(pcap_t *);
};

/* Its own functions shall call each other, not those of ours. */
static bool
load(const char *path, struct functions *functions)
{
	static const char *const names[] = {
		"pcap_findalldevs", "pcap_freealldevs", "pcap_create",
		"pcap_set_snaplen", "pcap_activate",	"pcap_statustostr",
		"pcap_geterr",	    "pcap_close",
	};
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
	void **function = (void **)functions;

	_Static_assert(sizeof(*functions) ==
			   sizeof(names) / sizeof(names[0]) * sizeof(void *),
		       "a function for each name");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		function[i] = library != NULL ? dlsym(library, names[i]) : NULL;
		if (function[i] == NULL)
			return false;
	}
	return true;
}

static enum library_result
capture(const struct functions *functions, const char *device, FILE *out)
{
	char text[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = functions->create(device, text);
	int status = 0;

	if (pcap == NULL) {
		fputs(text, out);
		return LIBRARY_REFUSED;
	}
	/* anything but what it is, which is taken for a question */
	functions->set_snaplen(pcap, SNAPLEN);
	status = functions->activate(pcap);
	if (status < 0 && status != PCAP_ERROR)
		fprintf(out, "%s: ", functions->statustostr(status));
	if (status < 0)
		fputs(functions->geterr(pcap), out);
	functions->close(pcap);
	return status < 0 ? LIBRARY_REFUSED : LIBRARY_CAPTURES;
}

static enum library_result
try(const char *path, const char *device, FILE *out)
{
	struct functions functions;

	if (!load(path, &functions)) {
		fputs(dlerror(), out);
		return LIBRARY_BROKEN;
	}
	if (!library_is_ours(functions.findalldevs, functions.freealldevs))
		return LIBRARY_FOREIGN;
	return device != NULL ? capture(&functions, device, out)
			      : LIBRARY_CAPTURES;
}

enum library_result
library_try(const char *path, const char *device, char *text, size_t size)
{
	enum library_result result;
	int both[2], status;
	size_t count;
	FILE *stream;
	pid_t pid;

	text[0] = '\0';
	if (pipe2(both, O_CLOEXEC) != 0)
		return LIBRARY_BROKEN;
	pid = fork();
	if (pid == 0) {
		alarm(SECONDS);
		stream = fdopen(both[1], "w");
		result = try(path, device, stream);
		fflush(stream);
		_exit((int)result);
	}
	close(both[1]);
	stream = fdopen(both[0], "r");
	count = fread(text, 1, size - 1, stream);
	text[count] = '\0';
	fclose(stream);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return LIBRARY_BROKEN;
	return (enum library_result)WEXITSTATUS(status);
}
