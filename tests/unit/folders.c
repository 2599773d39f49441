// SPDX-License-Identifier: BSD-3-Clause
/* What files like /etc/ld.so.conf name. */
#define _GNU_SOURCE

#include "folders.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char base[64];

static const char *
in_base(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	return path;
}

static void
make(const char *name, const char *text)
{
	FILE *file = fopen(in_base(name), "w");

	if (!check(file != NULL))
		return;
	fputs(text, file);
	fclose(file);
}

static void
expect(const char *name, const char *want)
{
	struct folders folders = { .count = 0 };
	char all[1024] = "";

	folders_read(&folders, in_base(name));
	for (size_t i = 0; i < folders.count && i < 20; i++) {
		strcat(all, folders.names[i]);
		strcat(all, " ");
	}
	check(strcmp(all, want) == 0);
	folders_free(&folders);
}

static void
begin(void)
{
	strcpy(base, "/tmp/ebpftls-unit.XXXXXX");
	check(mkdtemp(base) != NULL);
}

static void
end(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", base);
	check(system(command) == 0);
}

static void
reads_names(void)
{
	begin();
	make("a", "# a comment\n/one\n  /two\t/three:/four,/five # and\n\n"
		  "relative\nhwcap 0 x\n/last");
	expect("a", "/one /two /three /four /five /last ");
	expect("missing", "");
	expect(".", "");
	end();
}

static void
reads_what_is_included(void)
{
	begin();
	mkdir(in_base("d"), 0700);
	make("a", "/one\ninclude d/*.conf\ninclude\nincluded /two\n");
	make("d/1.conf", "/d1\n");
	make("d/2.conf", "/d2\n");
	make("d/3.other", "/d3\n");
	expect("a", "/one /d1 /d2 /two ");
	end();
}

/* A file that includes itself, and a pipe that nobody writes to. */
static void
comes_to_an_end(void)
{
	struct folders folders = { .count = 0 };

	begin();
	make("a", "/x\ninclude a a a a\n");
	mkfifo(in_base("pipe"), 0600);
	make("b", "include pipe\n/y\n");
	folders_read(&folders, in_base("a"));
	check(folders.count == FOLDERS_MAX);
	folders_free(&folders);
	expect("b", "/y ");
	end();
}

static void
finds_the_c_library(void)
{
	struct libraries *libraries = libraries_open();
	char path[PATH_MAX];
	bool found = false, alias = false;

	if (!check(libraries != NULL))
		return;
	while (libraries_next(libraries, path)) {
		found |= strstr(path, "/libc.so.6") != NULL;
		/* for those who link with it: a link to the one beside it */
		alias |= strcmp(strrchr(path, '/'), "/libssl.so") == 0;
	}
	check(found && !alias);
	libraries_close(libraries);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "names of folders", reads_names },
		{ "included files", reads_what_is_included },
		{ "endless files", comes_to_an_end },
		{ "the C library", finds_the_c_library },
		{ NULL, NULL },
	};

	return check_main(cases);
}
