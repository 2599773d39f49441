// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two tables by inode number: of files, so that each is scanned and hooked
 * once, and of mappings, most of which are of files that are known.
 */
#define _GNU_SOURCE

#include "files.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 8192  /* a power of two */
#define MOST	65536 /* of either; beyond, what has no hooks is forgotten */
#define FRESH	INT64_C(1000000000)

struct sighting {
	struct sighting *next;
	uint64_t dev;
	uint64_t ino;
	uint64_t generation;
	int64_t when;
	bool hooked;
	uint32_t missed; /* the process it could not be opened for, or 0 */
};

struct files {
	uint32_t file_count;
	uint32_t sighting_count;
	struct file *files[BUCKETS];
	struct sighting *sightings[BUCKETS];
};

struct files *
files_open(void)
{
	return calloc(1, sizeof(struct files));
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool
files_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       same_time(&a->st_mtim, &b->st_mtim);
}

/*
 * An overlay shows one inode with several devices, and after a copy-up
 * another one as if it were the same but for the time of its last change.
 * Elsewhere that time says nothing: renaming a file is a change too.
 */
static bool
is_file(const struct file *file, const struct stat *st, bool overlay)
{
	if (!files_same(&file->st, st))
		return false;
	if (!overlay && !file->overlay)
		return file->st.st_dev == st->st_dev;
	return same_time(&file->st.st_ctim, &st->st_ctim);
}

struct file *
files_find(const struct files *files, const struct stat *st, bool overlay)
{
	struct file *file = files->files[st->st_ino % BUCKETS];

	while (file != NULL && !is_file(file, st, overlay))
		file = file->next;
	return file;
}

struct file *
files_find_stale(const struct files *files, const struct stat *st, bool overlay)
{
	struct file *file = files->files[st->st_ino % BUCKETS];

	while (file != NULL &&
	       (file->overlay != overlay || file->st.st_dev != st->st_dev ||
		file->st.st_ino != st->st_ino || files_same(&file->st, st)))
		file = file->next;
	return file;
}

void
files_remove(struct files *files, struct file *file)
{
	struct file **at = &files->files[file->st.st_ino % BUCKETS];

	while (*at != file)
		at = &(*at)->next;
	*at = file->next;
	free(file);
	files->file_count--;
}

struct file *
files_find_hooked(const struct files *files,
		  bool (*is_it)(const struct file *file, const void *context),
		  const void *context)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct file *file = files->files[i]; file != NULL;
		     file = file->next)
			if (file->attachment >= 0 && is_it(file, context))
				return file;
	return NULL;
}

static void
forget_files(struct files *files)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct file **at = &files->files[i];

		while (*at != NULL) {
			struct file *file = *at;

			if (file->attachment >= 0 || file->pending) {
				at = &file->next;
				continue;
			}
			*at = file->next;
			free(file);
			files->file_count--;
		}
	}
}

void
files_forget_mappings(struct files *files)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		struct sighting *sighting;

		while ((sighting = files->sightings[i]) != NULL) {
			files->sightings[i] = sighting->next;
			free(sighting);
		}
	}
	files->sighting_count = 0;
}

struct file *
files_add(struct files *files, const struct stat *st, bool overlay)
{
	struct file **bucket = &files->files[st->st_ino % BUCKETS];
	struct file *file;

	if (files->file_count >= MOST)
		forget_files(files);
	file = calloc(1, sizeof(*file));
	if (file == NULL)
		return NULL;
	file->st = *st;
	file->overlay = overlay;
	file->attachment = -1;
	file->next = *bucket;
	*bucket = file;
	files->file_count++;
	return file;
}

static struct sighting *
find_sighting(const struct files *files, const struct mapping *mapping)
{
	struct sighting *sighting = files->sightings[mapping->ino % BUCKETS];

	while (sighting != NULL &&
	       (sighting->dev != mapping->dev || sighting->ino != mapping->ino))
		sighting = sighting->next;
	return sighting;
}

static struct sighting *
add_sighting(struct files *files, const struct mapping *mapping)
{
	struct sighting **bucket = &files->sightings[mapping->ino % BUCKETS];
	struct sighting *sighting;

	if (files->sighting_count >= MOST)
		files_forget_mappings(files);
	sighting = calloc(1, sizeof(*sighting));
	if (sighting == NULL)
		return NULL;
	sighting->next = *bucket;
	*bucket = sighting;
	files->sighting_count++;
	return sighting;
}

static void
sight(struct files *files, const struct mapping *mapping, bool hooked,
      uint32_t missed, int64_t now)
{
	struct sighting *sighting = find_sighting(files, mapping);

	if (sighting == NULL)
		sighting = add_sighting(files, mapping);
	if (sighting == NULL)
		return;
	sighting->dev = mapping->dev;
	sighting->ino = mapping->ino;
	sighting->generation = mapping->generation;
	sighting->when = now;
	sighting->hooked = hooked;
	sighting->missed = missed;
}

void
files_saw(struct files *files, const struct mapping *mapping, bool hooked,
	  int64_t now)
{
	sight(files, mapping, hooked, 0, now);
}

void
files_missed(struct files *files, const struct mapping *mapping, int64_t now)
{
	sight(files, mapping, false, mapping->pid, now);
}

/*
 * An inode number is soon used again, but then with another generation; and
 * whoever writes into a hooked library must not do so for long unnoticed.
 */
bool
files_is_fresh(const struct files *files, const struct mapping *mapping,
	       int64_t now)
{
	const struct sighting *sighting = find_sighting(files, mapping);

	if (sighting == NULL || now - sighting->when > FRESH)
		return false;
	if (sighting->missed != 0 && sighting->missed != mapping->pid)
		return false;
	return !mapping->recent ||
	       (mapping->generation == sighting->generation &&
		!sighting->hooked);
}

void
files_close(struct files *files)
{
	if (files == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct file *file = files->files[i]; file != NULL;
		     file = file->next) {
			file->attachment = -1;
			file->pending = false;
		}
	forget_files(files);
	files_forget_mappings(files);
	free(files);
}
