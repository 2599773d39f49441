// SPDX-License-Identifier: BSD-3-Clause
/* Remembers paths by number, and which proved right. */
#include "ebpftls-libraries.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Anybody can make files that give secrets. */
#define LIBRARIES_MAX 4096

struct ebpftls_libraries {
	char *paths[LIBRARIES_MAX];
	bool fit[LIBRARIES_MAX];
};

struct ebpftls_libraries *
ebpftls_libraries_new(void)
{
	return calloc(1, sizeof(struct ebpftls_libraries));
}

void
ebpftls_libraries_free(struct ebpftls_libraries *libraries)
{
	if (libraries == NULL)
		return;
	for (size_t i = 0; i < LIBRARIES_MAX; i++)
		free(libraries->paths[i]);
	free(libraries);
}

void
ebpftls_libraries_learn(struct ebpftls_libraries *libraries,
			const struct ebpftls_library *library)
{
	if (library->file >= LIBRARIES_MAX)
		return;
	free(libraries->paths[library->file]);
	libraries->paths[library->file] = strdup(library->path);
}

const char *
ebpftls_libraries_find(const struct ebpftls_libraries *libraries,
		       uint32_t number)
{
	return libraries != NULL && number < LIBRARIES_MAX
		   ? libraries->paths[number]
		   : NULL;
}

void
ebpftls_libraries_fit(struct ebpftls_libraries *libraries, uint32_t number)
{
	if (libraries != NULL && number < LIBRARIES_MAX)
		libraries->fit[number] = true;
}

const char *
ebpftls_libraries_unfit(const struct ebpftls_libraries *libraries,
			uint32_t number)
{
	const char *path = ebpftls_libraries_find(libraries, number);

	if (path == NULL || libraries->fit[number])
		return NULL;
	for (size_t i = 0; i < LIBRARIES_MAX; i++)
		if (libraries->fit[i] && libraries->paths[i] != NULL &&
		    strcmp(libraries->paths[i], path) == 0)
			return NULL;
	return path;
}
