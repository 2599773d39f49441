// SPDX-License-Identifier: BSD-3-Clause
/* Lines of /proc/PID/maps and mountinfo, and opening what is mapped. */
#define _GNU_SOURCE

#include "mapping.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "check.h"
#include "inventory.h"
#include "overlay.h"

static void
takes_a_line(void)
{
	struct mapping mapping;

	check(mapping_parse("7f0c1000-7f0c2000 r-xp 0001f000 fe:01 333427"
			    "                     /usr/lib/libssl.so.3",
			    &mapping));
	check(mapping.start == 0x7f0c1000 && mapping.end == 0x7f0c2000);
	check(mapping.dev == makedev(0xfe, 1) && mapping.ino == 333427);
	check(!mapping.recent);
	check(strcmp(mapping.path, "/usr/lib/libssl.so.3") == 0);
}

static void
keeps_odd_names(void)
{
	struct mapping mapping;

	check(
	    mapping_parse("1000-2000 r-xp 0 00:1b 7 /a b (deleted)", &mapping));
	check(strcmp(mapping.path, "/a b (deleted)") == 0);
	check(mapping_parse("1000-2000 r-xp 0 00:1b 7 /a\\012b", &mapping));
	check(strcmp(mapping.path, "/a\\012b") == 0);
}

static void
leaves_out_what_is_no_code(void)
{
	static const char *const lines[] = {
		"1000-2000 r--p 00000000 fe:01 7 /lib/x",
		"1000-2000 rw-p 00000000 fe:01 7 /lib/x",
		"1000-2000 r-xp 00000000 00:00 0 [vdso]",
		"1000-2000 r-xp 00000000 00:00 0 ",
		"1000-2000 r-xp 00000000 00:00 0 /lib/x",
		"1000-2000 r-xp 00000000 fe:01 7",
		"1000-2000 r-x 00000000 fe:01 7 /lib/x",
		"1000 r-xp 00000000 fe:01 7 /lib/x",
		"",
		"x",
	};
	struct mapping mapping;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		check(!mapping_parse(lines[i], &mapping));
}

struct search {
	ino_t ino;
	struct mapping found;
};

static void
remember(void *context, const struct mapping *mapping)
{
	struct search *search = context;

	if (mapping->ino == search->ino && mapping->pid == (uint32_t)getpid())
		search->found = *mapping;
}

/* A mapping of this process, of a file that is then deleted. */
static void
opens_what_was_deleted(void)
{
	char name[] = "/tmp/ebpftls-unit.XXXXXX";
	int fd = mkstemp(name), opened;
	struct search search = { .ino = 0 };
	struct inventory *inventory = inventory_open("/proc");
	struct pollfd wait = { .events = POLLIN };
	struct stat st, same;
	void *code;

	if (!check(fd >= 0 && inventory != NULL) ||
	    !check(ftruncate(fd, 4096) == 0 && fstat(fd, &st) == 0))
		return;
	search.ino = st.st_ino;
	code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	close(fd);
	check(code != MAP_FAILED);
	inventory_all(inventory);
	wait.fd = inventory_fd(inventory);
	while (inventory_step(inventory, remember, &search) != INVENTORY_DONE)
		poll(&wait, 1, -1);
	inventory_close(inventory);
	search.found.path = name;
	opened = mapping_open(&search.found, &same);
	check(opened >= 0 && same.st_ino == st.st_ino);
	close(opened);
	unlink(name);
	fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
	opened = mapping_open(&search.found, &same);
	if (opened < 0 && geteuid() != 0)
		check_skip("not root");
	else if (check(opened >= 0))
		check(same.st_ino == st.st_ino);
	if (opened >= 0)
		close(opened);
	close(fd);
	unlink(name);
	munmap(code, 4096);
}

static void
opens_no_other_file(void)
{
	const struct mapping mapping = {
		.pid = (uint32_t)getpid(),
		.dev = 1,
		.ino = 1,
		.path = "/bin/sh",
	};
	struct stat st;

	check(mapping_open(&mapping, &st) == -1);
}

static void
takes_an_overlay(void)
{
	char line[] =
	    "36 35 0:27 /r /mnt/a\\040b rw,relatime shared:5 - overlay over "
	    "rw,lowerdir=/l1\\072x:/l2,upperdir=/u,workdir=/w\n";
	struct overlay overlay;

	if (!check(overlay_parse(line, &overlay)))
		return;
	check(strcmp(overlay.root, "/r") == 0);
	check(strcmp(overlay.point, "/mnt/a b") == 0);
	check(strcmp(overlay.layers, "/l1:x:/l2") == 0);
}

static void
takes_no_other_mount(void)
{
	char lines[][96] = {
		"36 35 8:1 / / rw - ext4 /dev/sda1 rw",
		"36 35 0:27 / / rw - overlay over rw",
		"36 35 0:27 / - overlay over rw,lowerdir=/l",
		"36 35 - overlay over rw,lowerdir=/l",
		" - overlay ",
		"",
	};
	struct overlay overlay;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		check(!overlay_parse(lines[i], &overlay));
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "a line of maps", takes_a_line },
		{ "odd names", keeps_odd_names },
		{ "what is no code", leaves_out_what_is_no_code },
		{ "a file that was deleted", opens_what_was_deleted },
		{ "another file of that name", opens_no_other_file },
		{ "an overlay", takes_an_overlay },
		{ "other mounts", takes_no_other_mount },
		{ NULL, NULL },
	};

	return check_main(cases);
}
