// SPDX-License-Identifier: BSD-3-Clause
/* Follows the mounts of a process to the layers of its overlays. */
#define _GNU_SOURCE

#include "overlay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS "lowerdir="

/* Resolves \040 and the like, in place. */
static void
unescape(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' &&
		    text[2] >= '0' && text[2] <= '7' && text[3] >= '0' &&
		    text[3] <= '7') {
			*to++ = (char)((text[1] - '0') << 6 |
				       (text[2] - '0') << 3 | (text[3] - '0'));
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* The value of an option, up to the next. */
static char *
find_layers(char *options)
{
	char *rest, *option;

	for (option = strtok_r(options, ",", &rest); option != NULL;
	     option = strtok_r(NULL, ",", &rest))
		if (strncmp(option, LAYERS, sizeof(LAYERS) - 1) == 0)
			return option + sizeof(LAYERS) - 1;
	return NULL;
}

/* ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [...] - TYPE SOURCE OPTIONS */
bool
overlay_parse(char *line, struct overlay *overlay)
{
	char *type = strstr(line, " - overlay "), *rest;
	int start = 0;

	if (type == NULL || sscanf(line, "%*d %*d %*u:%*u %n", &start) != 0 ||
	    start == 0 || line + start > type)
		return false;
	*type = '\0';
	overlay->root = strtok_r(line + start, " ", &rest);
	overlay->point = strtok_r(NULL, " ", &rest);
	type = strchr(type + sizeof(" - overlay ") - 1, ' ');
	overlay->layers = type != NULL ? find_layers(type + 1) : NULL;
	if (overlay->point == NULL || overlay->layers == NULL)
		return false;
	unescape(overlay->root);
	unescape(overlay->point);
	unescape(overlay->layers);
	return true;
}

/* What a path is below a folder, or NULL. */
static const char *
below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	if (length == 1)
		return path;
	if (strncmp(path, folder, length) != 0 || path[length] != '/')
		return NULL;
	return path + length;
}

static bool
is_there(const char *path, uint64_t ino)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == ino;
}

static bool
find_in(const struct overlay *overlay, const struct mapping *mapping,
	char path[PATH_MAX])
{
	const char *name = below(mapping->path, overlay->point);
	const char *root = strlen(overlay->root) > 1 ? overlay->root : "";
	char *rest, *layer;

	if (name == NULL)
		return false;
	for (layer = strtok_r(overlay->layers, ":", &rest); layer != NULL;
	     layer = strtok_r(NULL, ":", &rest))
		if (layer[0] == '/' &&
		    snprintf(path, PATH_MAX, "%s%s%s", layer, root, name) <
			PATH_MAX &&
		    is_there(path, mapping->ino))
			return true;
	return false;
}

bool
overlay_find_lower(const struct mapping *mapping, char path[PATH_MAX])
{
	struct overlay overlay;
	char name[64], *line = NULL;
	size_t size = 0;
	bool found = false;
	FILE *mounts;

	snprintf(name, sizeof(name), "/proc/%u/mountinfo", mapping->pid);
	mounts = fopen(name, "re");
	if (mounts == NULL)
		return false;
	while (!found && getline(&line, &size, mounts) > 0)
		found = overlay_parse(line, &overlay) &&
			find_in(&overlay, mapping, path);
	free(line);
	fclose(mounts);
	return found;
}
