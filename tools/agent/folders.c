// SPDX-License-Identifier: BSD-3-Clause
/*
 * The dynamic linker's folders: those that are built into it, and those of
 * ld.so.conf(5); and one that programs name themselves. Each is read once, by
 * whatever names it goes.
 */
#define _GNU_SOURCE

#include "folders.h"

#include <dirent.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONF	   "/etc/ld.so.conf"
#define DEPTH_MAX  4 /* of files that include files */
#define INCLUDE	   "include"
#define BLANK	   " \t\r\n"
#define SEPARATORS BLANK ":,"

static const char *const built_in[] = {
	"/lib{,32,64,x32}",
	"/usr/lib{,32,64,x32}",
	"/usr/local/lib{,64}",
	"/{,usr/,usr/local/}lib/*-linux-*",
	/* not the linker's: where Debian has BoringSSL */
	"/usr/lib/*-linux-*/android",
};

struct libraries {
	struct folders folders;
	struct {
		dev_t dev;
		ino_t ino;
	} seen[FOLDERS_MAX];
	size_t next; /* folder */
	DIR *dir;    /* that is being read, or NULL */
};

void
folders_add(struct folders *folders, const char *name)
{
	char *copy;

	if (folders->count == FOLDERS_MAX || name[0] != '/')
		return;
	copy = strdup(name);
	if (copy != NULL)
		folders->names[folders->count++] = copy;
}

void
folders_free(struct folders *folders)
{
	for (size_t i = 0; i < folders->count; i++)
		free(folders->names[i]);
	folders->count = 0;
}

static void read_conf(struct folders *folders, const char *path, int depth);

/* Patterns are relative to the folder of the file that has them. */
static void
include(struct folders *folders, const char *path, const char *pattern,
	int depth)
{
	char whole[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int folder = slash != NULL ? (int)(slash + 1 - path) : 0;
	glob_t files;

	if ((size_t)snprintf(whole, sizeof(whole), "%.*s%s",
			     pattern[0] == '/' ? 0 : folder, path,
			     pattern) >= sizeof(whole) ||
	    glob(whole, 0, NULL, &files) != 0)
		return;
	for (size_t i = 0; i < files.gl_pathc; i++)
		read_conf(folders, files.gl_pathv[i], depth + 1);
	globfree(&files);
}

static void
read_line(struct folders *folders, const char *path, char *line, int depth)
{
	const size_t length = sizeof(INCLUDE) - 1;
	char *rest;

	line[strcspn(line, "#")] = '\0';
	line += strspn(line, BLANK);
	if (strncmp(line, INCLUDE, length) == 0 &&
	    strchr(BLANK, line[length]) != NULL) {
		for (char *word = strtok_r(line + length, BLANK, &rest);
		     word != NULL; word = strtok_r(NULL, BLANK, &rest))
			include(folders, path, word, depth);
		return;
	}
	for (char *word = strtok_r(line, SEPARATORS, &rest); word != NULL;
	     word = strtok_r(NULL, SEPARATORS, &rest))
		folders_add(folders, word);
}

static void
read_conf(struct folders *folders, const char *path, int depth)
{
	struct stat st;
	char *line = NULL;
	size_t size = 0;
	FILE *file;

	/* first, as opening something else may have consequences */
	if (depth > DEPTH_MAX || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	file = fopen(path, "re");
	if (file == NULL)
		return;
	while (folders->count < FOLDERS_MAX && getline(&line, &size, file) > 0)
		read_line(folders, path, line, depth);
	free(line);
	fclose(file);
}

void
folders_read(struct folders *folders, const char *path)
{
	read_conf(folders, path, 0);
}

struct libraries *
libraries_open(void)
{
	struct libraries *libraries = calloc(1, sizeof(*libraries));
	glob_t found;

	if (libraries == NULL)
		return NULL;
	for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++) {
		if (glob(built_in[i], GLOB_BRACE | GLOB_ONLYDIR, NULL,
			 &found) != 0)
			continue;
		for (size_t j = 0; j < found.gl_pathc; j++)
			folders_add(&libraries->folders, found.gl_pathv[j]);
		globfree(&found);
	}
	folders_read(&libraries->folders, CONF);
	return libraries;
}

static bool
is_new(struct libraries *libraries, size_t index)
{
	struct stat st;

	if (fstat(dirfd(libraries->dir), &st) != 0)
		return false;
	libraries->seen[index].dev = st.st_dev;
	libraries->seen[index].ino = st.st_ino;
	for (size_t i = 0; i < index; i++)
		if (libraries->seen[i].dev == st.st_dev &&
		    libraries->seen[i].ino == st.st_ino)
			return false;
	return true;
}

/* False when there is none left. */
static bool
next_folder(struct libraries *libraries)
{
	const struct folders *folders = &libraries->folders;

	while (libraries->next < folders->count) {
		size_t index = libraries->next++;

		libraries->dir = opendir(folders->names[index]);
		if (libraries->dir == NULL)
			continue;
		if (is_new(libraries, index))
			return true;
		closedir(libraries->dir);
	}
	libraries->dir = NULL;
	return false;
}

static bool
is_library(const char *name)
{
	size_t length = strlen(name);

	return strstr(name, ".so.") != NULL ||
	       (length > 3 && strcmp(name + length - 3, ".so") == 0);
}

/* Another name of a file that comes by its own. */
static bool
is_alias(int folder, const struct dirent *entry)
{
	char target[PATH_MAX];
	ssize_t length;

	if (entry->d_type != DT_LNK)
		return false;
	length = readlinkat(folder, entry->d_name, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	return strchr(target, '/') == NULL && is_library(target);
}

bool
libraries_next(struct libraries *libraries, char path[PATH_MAX])
{
	while (libraries->dir != NULL || next_folder(libraries)) {
		const struct dirent *entry = readdir(libraries->dir);
		const char *folder =
		    libraries->folders.names[libraries->next - 1];

		if (entry == NULL) {
			closedir(libraries->dir);
			libraries->dir = NULL;
		} else if (is_library(entry->d_name) &&
			   !is_alias(dirfd(libraries->dir), entry) &&
			   snprintf(path, PATH_MAX, "%s/%s", folder,
				    entry->d_name) < PATH_MAX) {
			return true;
		}
	}
	return false;
}

void
libraries_close(struct libraries *libraries)
{
	if (libraries == NULL)
		return;
	if (libraries->dir != NULL)
		closedir(libraries->dir);
	folders_free(&libraries->folders);
	free(libraries);
}
