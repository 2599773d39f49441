/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A command of the tool, as the table in main.c describes it. What is said to
 * the user about its options, and how they are parsed, comes from there.
 */
#ifndef TOOL_COMMAND_H
#define TOOL_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

#define OPTIONS_MAX 8

struct option_row {
	const char *letters;  /* one, or several that take no argument */
	const char *name;     /* the long form, if there is one */
	const char *argument; /* NULL: takes none */
	bool required;
	const char *help;
};

struct command {
	const char *name;
	const char *rest; /* what follows the options */
	const char *summary;
	int (*run)(const struct command *self, int argc, char **argv);
	int failed; /* the exit status when it could not be done */
	int misuse; /* and when the command was not understood */
	struct option_row options[OPTIONS_MAX]; /* up to one without letters */
};

/* Takes one option; false when that is no value for it. */
typedef bool (*option_setter)(void *settings, char letter,
			      const char *argument);

/*
 * Parses the options of `self`, of which argv[0] is the name, and returns the
 * index of the first word that is none; such words are moved to the end.
 * Answers a request for help, and what is wrong, by itself: then it exits.
 */
int command_parse(const struct command *self, int argc, char **argv,
		  option_setter set, void *settings);

/* Says what is wrong and where help is, and exits. */
__attribute__((format(printf, 2, 3), noreturn)) void
command_misused(const struct command *self, const char *format, ...);

/* The usage line. */
void command_synopsis(const struct command *self, FILE *to);

/* Says why something failed; returns -1 for the caller to return. */
__attribute__((format(printf, 1, 2))) int complain(const char *format, ...);

int watch(const struct command *self, int argc, char **argv);
int doctor(const struct command *self, int argc, char **argv);
int run(const struct command *self, int argc, char **argv);
int seal(const struct command *self, int argc, char **argv);
int strip(const struct command *self, int argc, char **argv);
int report(const struct command *self, int argc, char **argv);

#endif
