// SPDX-License-Identifier: BSD-3-Clause
/* Keeps what libbpf has to say for the case that nothing better is known. */
#define _GNU_SOURCE

#include "load.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What libbpf last had to say. */
static char last_message[128];

__attribute__((format(printf, 2, 0))) static int
keep_message(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN)
		vsnprintf(last_message, sizeof(last_message), format, args);
	last_message[strcspn(last_message, "\n")] = '\0';
	return 0;
}

void
load_quietly(void)
{
	last_message[0] = '\0';
	libbpf_set_print(keep_message);
}

int
load_refused(struct failure *failure, int error, const char *what)
{
	char text[sizeof(last_message) + 64];

	snprintf(text, sizeof(text), "cannot load %s%s%s", what,
		 error == EPERM ? "" : ": ",
		 error == EPERM ? "" : last_message);
	return fail_refused(failure, error, text);
}
