// SPDX-License-Identifier: BSD-3-Clause
/*
 * scan-file [-m] FILE ...: what the scanner says of each file that has names
 * of secrets, and how long it took. With -m of all files, as rows of a table
 * in Markdown, and how long it takes once a file is in memory. This is no test.
 */
#include "scan.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct file {
	const char *path;
	bool arm64;
	double ms;
	struct scan_result result;
};

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void
print_register(bool arm64, uint8_t reg)
{
	static const char *const names[] = { "ax", "cx", "dx", "bx",
					     "sp", "bp", "si", "di" };

	if (arm64 && reg == 31)
		printf("sp");
	else if (arm64)
		printf("x%u", reg);
	else if (reg < 8)
		printf("%s", names[reg]);
	else
		printf("r%u", reg);
}

/* As one would write it in C, but for the types. */
static void
print_place(bool arm64, const struct ebpftls_place *place)
{
	if (!place->known) {
		printf("-");
		return;
	}
	for (int i = 0; i < place->loads; i++)
		printf("*(");
	print_register(arm64, place->reg);
	for (int i = 0; i <= place->loads; i++) {
		if (place->offset[i] != 0)
			printf("+%#x", (unsigned int)place->offset[i]);
		if (i < place->loads)
			printf(")");
	}
}

static void
print_hook(const struct file *file, const struct ebpftls_hook *hook,
	   const char *between)
{
	printf("%#llx%s", (unsigned long long)hook->offset, between);
	print_place(file->arm64, &hook->label);
	printf(", ");
	print_place(file->arm64, &hook->secret);
	printf(", ");
	print_place(file->arm64, &hook->length);
	printf("%s", between);
	print_place(file->arm64, &hook->random);
}

static void
print_lines(const struct file *file)
{
	const struct scan_result *result = &file->result;

	printf("%s: labels=%u hooks=%u %.2f ms%s%s\n", file->path,
	       result->labels, result->count, file->ms,
	       result->why[0] == '\0' ? "" : ": ", result->why);
	for (uint32_t i = 0; i < result->count; i++) {
		printf("\t%s ", result->hooks[i].strict ? "log" : "keys");
		print_hook(file, &result->hooks[i], "; ");
		printf("\n");
	}
}

static void
print_rows(const struct file *file)
{
	const struct scan_result *result = &file->result;

	if (result->count == 0)
		printf("| %s | %u | none: %s | | | %.1f |\n", file->path,
		       result->labels, result->why, file->ms);
	for (uint32_t i = 0; i < result->count; i++) {
		if (i == 0)
			printf("| %s | %u | ", file->path, result->labels);
		else
			printf("| | | ");
		print_hook(file, &result->hooks[i], " | ");
		if (i == 0)
			printf(" | %.1f |\n", file->ms);
		else
			printf(" | |\n");
	}
}

static bool
scan(struct file *file, bool twice)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	Elf64_Ehdr header = { .e_machine = EM_NONE };
	double before;

	if (fd < 0)
		return false;
	if (pread(fd, &header, sizeof(header), 0) == sizeof(header))
		file->arm64 = header.e_machine == EM_AARCH64;
	if (twice)
		scan_file(fd, &file->result);
	before = now();
	scan_file(fd, &file->result);
	file->ms = now() - before;
	close(fd);
	return true;
}

int
main(int argc, char **argv)
{
	bool rows = argc > 1 && strcmp(argv[1], "-m") == 0;
	double before = now();
	uint32_t files = 0, hooks = 0;

	for (int i = rows ? 2 : 1; i < argc; i++) {
		struct file file = { .path = argv[i] };

		if (!scan(&file, rows))
			continue;
		files++;
		hooks += file.result.count;
		if (rows)
			print_rows(&file);
		else if (file.result.labels != 0)
			print_lines(&file);
	}
	if (!rows)
		printf("%u files, %u hooks, %.0f ms\n", files, hooks,
		       now() - before);
	return 0;
}
