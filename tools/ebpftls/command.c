// SPDX-License-Identifier: BSD-3-Clause
/* Parses the options of a command, and says what there are, by its table. */
#define _GNU_SOURCE

#include "command.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 24

static const struct option_row help_row = { "h", "help", NULL, false,
					    "show this" };

int
complain(const char *format, ...)
{
	va_list list;

	fputs("ebpftls: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	return -1;
}

void
command_misused(const struct command *self, const char *format, ...)
{
	va_list list;

	fprintf(stderr, "ebpftls %s: ", self->name);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "; see: ebpftls %s --help\n", self->name);
	exit(self->misuse);
}

void
command_synopsis(const struct command *self, FILE *to)
{
	fprintf(to, "ebpftls %s", self->name);
	for (const struct option_row *row = self->options; row->letters; row++)
		fprintf(to, row->required ? " -%s%s%s" : " [-%s%s%s]",
			row->letters, row->argument ? " " : "",
			row->argument ? row->argument : "");
	fprintf(to, " %s\n", self->rest);
}

static void
explain(const struct option_row *row)
{
	int width = printf("  -%s", row->letters);

	if (row->name != NULL)
		width += printf(", --%s", row->name);
	if (row->argument != NULL)
		width += printf(" %s", row->argument);
	printf("%*s%s\n", width < HELP_COLUMN ? HELP_COLUMN - width : 1, "",
	       row->help);
}

__attribute__((noreturn)) static void
help(const struct command *self)
{
	fputs("usage: ", stdout);
	command_synopsis(self, stdout);
	printf("%s\n", self->summary);
	for (const struct option_row *row = self->options; row->letters; row++)
		explain(row);
	explain(&help_row);
	exit(fflush(stdout) == 0 ? EXIT_SUCCESS : self->failed);
}

/* What getopt_long() wants to know. */
struct spelling {
	char letters[64];
	struct option names[OPTIONS_MAX + 2];
};

static void
spell(struct spelling *spelling, const struct option_row *row)
{
	struct option *name = spelling->names;

	while (name->name != NULL)
		name++;
	strcat(spelling->letters, row->letters);
	if (row->argument != NULL)
		strcat(spelling->letters, ":");
	if (row->name == NULL)
		return;
	name->name = row->name;
	name->has_arg = row->argument != NULL;
	name->val = row->letters[0];
}

__attribute__((noreturn)) static void
refuse(const struct command *self, int answer, const char *word)
{
	if (optopt == 0 || optopt == '-')
		command_misused(self, "there is no option %s", word);
	if (answer == ':')
		command_misused(self, "-%c needs a value", optopt);
	command_misused(self, "there is no option -%c", optopt);
}

int
command_parse(const struct command *self, int argc, char **argv,
	      option_setter set, void *settings)
{
	/* the colon: tell a missing value from an option that is not known */
	struct spelling spelling = { .letters = ":" };
	int letter;

	for (const struct option_row *row = self->options; row->letters; row++)
		spell(&spelling, row);
	spell(&spelling, &help_row);
	opterr = 0;
	while ((letter = getopt_long(argc, argv, spelling.letters,
				     spelling.names, NULL)) != -1) {
		if (letter == 'h')
			help(self);
		if (letter == '?' || letter == ':')
			refuse(self, letter, argv[optind - 1]);
		if (!set(settings, (char)letter, optarg))
			command_misused(self, "-%c cannot be '%s'", letter,
					optarg);
	}
	return optind;
}
