// SPDX-License-Identifier: BSD-3-Clause
/* Takes any line for one of /proc/PID/maps, and for one of mountinfo. */
#include "mapping.h"

#include <stdlib.h>
#include <string.h>

#include "overlay.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void
parse_mapping(const char *line, size_t size)
{
	struct mapping mapping;

	if (!mapping_parse(line, &mapping))
		return;
	require(mapping.ino != 0);
	require(mapping.path > line && mapping.path < line + size);
	require(mapping.path[0] == '/');
}

static void
parse_overlay(char *line, size_t size)
{
	struct overlay overlay;

	if (!overlay_parse(line, &overlay))
		return;
	require(overlay.root > line && overlay.root < overlay.point);
	require(overlay.point < overlay.layers);
	require(overlay.layers + strlen(overlay.layers) <= line + size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char *line = malloc(size + 1);

	require(line != NULL);
	memcpy(line, bytes, size);
	line[size] = '\0';
	parse_mapping(line, size);
	parse_overlay(line, size);
	free(line);
	return 0;
}
