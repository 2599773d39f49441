// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is dumpcap's file found among the descriptors of a process, and none that
 * is another's or that somebody reads? This program plays dumpcap: it writes
 * the heads of files, and starts itself again with the argument that tshark
 * gives.
 */
#define _GNU_SOURCE
#include "ebpftls-target.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ebpftls-blocks.h"
#include "unit/check.h"

#define DEVICE "ebpftls:lo,hold=1"

static char folder[] = "/tmp/ebpftls-target.XXXXXX";
static char path[80];

/* --- files ---------------------------------------------------------------- */

static void
put_interface(struct ebpftls_blocks *blocks, const char *name)
{
	const struct ebpftls_interface interface = {
		.name = name,
		.description = "",
		.linktype = 113,
	};

	check(ebpftls_blocks_interface(blocks, &interface));
}

/* Opens a new file as dumpcap does, for these interfaces. */
static int
begin(const char *name, const char *writer, const char *const *interfaces)
{
	struct ebpftls_blocks blocks = { .size = 0 };
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	check(ebpftls_blocks_section(&blocks, writer));
	for (; *interfaces != NULL; interfaces++)
		put_interface(&blocks, *interfaces);
	check(fd >= 0 &&
	      write(fd, blocks.bytes, blocks.size) == (ssize_t)blocks.size);
	ebpftls_blocks_free(&blocks);
	return fd;
}

static int
begin_usual(void)
{
	return begin("out.pcapng", "Dumpcap (Wireshark) 4.0.17",
		     (const char *const[]){ "eth0", DEVICE, NULL });
}

static void
end(int fd)
{
	close(fd);
	unlink(path);
}

static bool
is_found(void)
{
	struct ebpftls_target target;
	const bool found = ebpftls_target_find(&target, DEVICE);

	check(found == (target.path != NULL));
	ebpftls_target_free(&target);
	return found;
}

/* --- cases ---------------------------------------------------------------- */

static void
test_found(void)
{
	struct ebpftls_target target;
	struct stat status;
	int fd = begin_usual();

	check(ebpftls_target_find(&target, DEVICE));
	check(fstat(fd, &status) == 0 && target.inode == status.st_ino &&
	      target.device == status.st_dev);
	check(target.fd == fd && strcmp(target.path, path) == 0);
	check(target.interface == 1 && target.linktype == 113);
	check(!target.one_of_many);
	check(ebpftls_target_is(&target));
	check(ebpftls_target_is_open(target.device, target.inode));
	end(fd);
	check(!ebpftls_target_is(&target));
	check(!ebpftls_target_is_open(target.device, target.inode));
	ebpftls_target_free(&target);
}

/* The next one gets the same descriptor. */
static void
test_next(void)
{
	struct ebpftls_target target;
	int fd = begin_usual(), again;

	check(ebpftls_target_find(&target, DEVICE));
	close(fd);
	again = begin("next.pcapng", "Dumpcap",
		      (const char *const[]){ DEVICE, NULL });
	check(again == fd && !ebpftls_target_is(&target));
	ebpftls_target_free(&target);
	end(again);
	snprintf(path, sizeof(path), "%s/out.pcapng", folder);
	unlink(path);
}

static void
test_others(void)
{
	static const struct {
		const char *writer;
		const char *const interfaces[3];
	} rows[] = {
		{ "tshark", { DEVICE } },
		{ "dumpcap", { DEVICE } },
		{ "Dumpca", { DEVICE } },
		{ "Dumpcap", { "ebpftls:lo" } },
		{ "Dumpcap", { DEVICE "0" } },
		{ "Dumpcap", { DEVICE, DEVICE } },
		{ "Dumpcap", { NULL } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = begin("f", rows[i].writer, rows[i].interfaces);

		check(!is_found());
		end(fd);
	}
}

static void
test_not_for_writing(void)
{
	int fd = begin_usual(), reading = open(path, O_RDONLY);

	close(fd);
	check(!is_found());
	end(reading);
}

static void
test_links(void)
{
	char other[128];
	int fd = begin_usual();

	snprintf(other, sizeof(other), "%s.link", path);
	check(link(path, other) == 0 && !is_found());
	unlink(other);
	check(is_found());
	unlink(path);
	check(!is_found());
	close(fd);
}

/* As with -w -, or -w /dev/stdout. */
static void
test_standard(void)
{
	int fd = begin_usual(), kept = dup(0);

	check(dup2(fd, 0) == 0 && !is_found());
	check(dup2(kept, 0) == 0 && is_found());
	close(kept);
	end(fd);
}

/* Whether another process finds the file locked. */
static bool
is_locked(const char *name)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		struct flock lock = { .l_type = F_WRLCK };
		const int fd = open(name, O_RDWR);

		if (fd < 0 || fcntl(fd, F_GETLK, &lock) != 0)
			_exit(2);
		_exit(lock.l_type == F_UNLCK);
	}
	check(child > 0 && waitpid(child, &status, 0) == child);
	check(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
lock_file(int fd)
{
	const struct flock whole = { .l_type = F_WRLCK };

	check(fcntl(fd, F_SETLK, &whole) == 0 && is_locked(path));
}

/* An application's, on files that are dumpcap's and on others. */
static void
test_locks(void)
{
	static const struct {
		const char *writer;
		int flags;
		bool found;
	} rows[] = {
		{ "Dumpcap", O_WRONLY, true },
		{ "Dumpcap", O_RDWR, true },
		{ "tshark", O_WRONLY, false },
		{ "tshark", O_RDWR, false },
		{ NULL, O_WRONLY, false },
		{ NULL, O_RDWR, false },
		{ NULL, O_WRONLY | O_APPEND, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *const none[] = { DEVICE, NULL };
		int fd = begin("f", rows[i].writer ? rows[i].writer : "", none);

		check(rows[i].writer != NULL || pwrite(fd, "text", 4, 0) == 4);
		close(fd);
		fd = open(path, rows[i].flags);
		lock_file(fd);
		check(is_found() == rows[i].found);
		check(is_locked(path));
		end(fd);
	}
}

/* Likewise, of the files of a series. */
static void
test_locks_next(void)
{
	struct ebpftls_target target, next;
	const char *const interfaces[] = { DEVICE, NULL };
	int fd = begin("a_00001_20261121120000", "Dumpcap", interfaces), later;

	check(ebpftls_target_find(&target, DEVICE));
	later = begin("a_00002_20261121120001", "tshark", interfaces);
	lock_file(later);
	check(!ebpftls_target_next(&next, &target, DEVICE));
	check(is_locked(path));
	end(later);
	ebpftls_target_free(&target);
	snprintf(path, sizeof(path), "%s/a_00001_20261121120000", folder);
	end(fd);
}

static volatile sig_atomic_t signals;

static void
count(int number)
{
	(void)number;
	signals++;
}

/* The application gets no signal and no child, and all that was meant for it.
 */
static void
test_unnoticed(void)
{
	struct sigaction was;
	sigset_t mask;
	int fd = begin_usual();

	sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = count }, &was);
	check(is_found() && is_found());
	check(signals == 0 && waitpid(-1, NULL, WNOHANG | __WALL) == -1);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	check(!sigismember(&mask, SIGINT) && !sigismember(&mask, SIGCHLD));
	sigaction(SIGCHLD, &was, NULL);
	end(fd);
}

/* dumpcap does not, and log files are many. */
static void
test_appending(void)
{
	int fd = begin_usual(), appending = open(path, O_WRONLY | O_APPEND);

	close(fd);
	check(!is_found());
	end(appending);
}

/* As those of -b are, and the temporary ones. */
static void
test_read_and_written(void)
{
	int fd = begin_usual(), both = open(path, O_RDWR);

	close(fd);
	check(is_found() && lseek(both, 0, SEEK_CUR) == 0);
	end(both);
}

/* Another one has got its name. */
static void
test_renamed(void)
{
	struct ebpftls_target target;
	char other[128];
	int fd = begin_usual();

	snprintf(other, sizeof(other), "%s.other", path);
	check(rename(path, other) == 0);
	check(ebpftls_target_find(&target, DEVICE));
	check(strcmp(target.path, other) == 0);
	ebpftls_target_free(&target);
	end(fd);
	unlink(other);
}

static void
test_numbers(void)
{
	static const struct {
		const char *name;
		bool numbered;
	} rows[] = {
		{ "out_00001_20261121120000.pcapng", true },
		{ "out_20261121120000_00001.pcapng", true },
		{ "out_00010_20261121120000", true },
		{ "_00001_20261121120000.pcapng", true },
		{ "out_20261121120000.pcapng", false },
		{ "out_00001_.pcapng", false },
		{ "out00001_20261121120000x.pcapng", false },
		{ "1_2.pcapng", false },
		{ "12.pcapng", false },
	};
	struct ebpftls_target target;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = begin(rows[i].name, "Dumpcap",
			       (const char *const[]){ DEVICE, NULL });

		check(ebpftls_target_find(&target, DEVICE));
		check(target.one_of_many == rows[i].numbered);
		ebpftls_target_free(&target);
		end(fd);
	}
}

/* Whether a process that is started so finds the file that it inherits. */
static bool
is_found_by(char *const *arguments)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		execv("/proc/self/exe", arguments);
		_exit(99);
	}
	check(child > 0 && waitpid(child, &status, 0) == child);
	check(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
test_parent(void)
{
	int fd = begin_usual();

	check(is_found_by((char *[]){ "dumpcap", "find", "-i", "Z", NULL }));
	check(!is_found_by(
	    (char *[]){ "dumpcap", "find", "-n", "-Z", "none", NULL }));
	check(!is_found_by((char *[]){ "dumpcap", "find", "-Znone", NULL }));
	end(fd);
}

static void
test_likely(void)
{
	check(!ebpftls_target_is_likely());
	check(is_found_by((char *[]){ "/usr/bin/dumpcap", "likely", NULL }));
	check(!is_found_by((char *[]){ "tcpdump", "likely", NULL }));
	check(!is_found_by((char *[]){ "dumpcap", "likely", "-Z", NULL }));
}

/* A file of a series, complete: others write no more. */
static void
put_file(const char *name, const char *writer)
{
	close(begin(name, writer, (const char *const[]){ DEVICE, NULL }));
}

static bool
goes_on(struct ebpftls_target *target, const char *name)
{
	struct ebpftls_target next;
	char want[160];

	snprintf(want, sizeof(want), "%s/%s", folder, name);
	if (!ebpftls_target_next(&next, target, DEVICE))
		return false;
	ebpftls_target_free(target);
	*target = next;
	return check(strcmp(next.path, want) == 0) && check(next.one_of_many);
}

static bool
put_back(const char *name)
{
	const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char old[160];

	snprintf(old, sizeof(old), "%s/%s", folder, name);
	return utimensat(AT_FDCWD, old, times, 0) == 0;
}

/* Whatever else lies there, files are taken in the order of their numbers. */
static void
test_series(void)
{
	static const char *const names[] = {
		"a_00009_20261121120000.pcapng",
		"a_00010_20261121120000.pcapng",
		"a_00012_20261121115900.pcapng",
		"a_00008_20261121120000.pcapng",
		"b_00011_20261121120000.pcapng",
		"a_00011_20261121120000.pcap",
		"a_00011_20261121120000.pcapng.unsealed-0",
		"a_00011.pcapng",
	};
	struct ebpftls_target target;
	int fd =
	    begin(names[0], "Dumpcap", (const char *const[]){ DEVICE, NULL });

	check(ebpftls_target_find(&target, DEVICE) && target.one_of_many);
	check(!goes_on(&target, ""));
	for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++)
		put_file(names[i], "Dumpcap");
	close(fd);
	/* of an earlier capture */
	check(put_back(names[1]));
	check(goes_on(&target, names[2]));
	ebpftls_target_free(&target);
	fd =
	    open(strcat(strcat(strcpy(path, folder), "/"), names[0]), O_WRONLY);
	check(ebpftls_target_find(&target, DEVICE));
	close(fd);
	put_file(names[1], "Dumpcap");
	put_file(names[2], "Dumpcap");
	check(goes_on(&target, names[1]) && target.fd == -1);
	fd =
	    open(strcat(strcpy(path, folder), "/a_00012_20261121115900.pcapng"),
		 O_WRONLY);
	check(goes_on(&target, names[2]) && target.fd == fd &&
	      ebpftls_target_is(&target));
	check(!goes_on(&target, ""));
	close(fd);
	put_file("a_00013_20261121120000.pcapng", "tcpdump");
	check(!goes_on(&target, ""));
	unlink(path);
	ebpftls_target_free(&target);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
}

/* After 99999 comes 00000; and the time may stand first. */
static void
test_series_again(void)
{
	struct ebpftls_target target;
	int fd = begin("a_20261121120000_99999", "Dumpcap",
		       (const char *const[]){ DEVICE, NULL });

	check(ebpftls_target_find(&target, DEVICE));
	put_file("a_20261121120001_00000", "Dumpcap");
	check(goes_on(&target, "a_20261121120001_00000"));
	unlink(path);
	ebpftls_target_free(&target);
	snprintf(path, sizeof(path), "%s/a_20261121120000_99999", folder);
	end(fd);
}

int
main(int argc, char **argv)
{
	static const struct check_case cases[] = {
		{ "target: dumpcap's file", test_found },
		{ "target: the next file", test_next },
		{ "target: files of others, other devices", test_others },
		{ "target: not for writing", test_not_for_writing },
		{ "target: for appending", test_appending },
		{ "target: for reading and writing", test_read_and_written },
		{ "target: record locks stay", test_locks },
		{ "target: record locks on the next file", test_locks_next },
		{ "target: nothing to be noticed", test_unnoticed },
		{ "target: links", test_links },
		{ "target: standard output", test_standard },
		{ "target: renamed", test_renamed },
		{ "target: numbers in the name", test_numbers },
		{ "target: the next of a series", test_series },
		{ "target: numbers begin again", test_series_again },
		{ "target: started by tshark", test_parent },
		{ "target: likely", test_likely },
		{ NULL, NULL },
	};
	int status;

	if (argc > 1)
		return strcmp(argv[1], "find") == 0
			   ? !is_found()
			   : !ebpftls_target_is_likely();
	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	status = check_main(cases);
	rmdir(folder);
	return status;
}
