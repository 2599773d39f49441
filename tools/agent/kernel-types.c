// SPDX-License-Identifier: BSD-3-Clause
/*
 * Picks types: what a struct consists of is added before it, and each type
 * once. Where CO-RE follows a pointer, it looks for what that leads to by its
 * name again.
 */
#define _GNU_SOURCE

#include "kernel-types.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FLAVOR "___" /* and what follows is none of the kernel's name */

/* What this process has of it. */
static struct btf *everything;
static int file = -1;

struct names {
	char **list;
	size_t count;
};

struct picker {
	const struct btf *all;
	struct btf *picked;
	int *ids; /* in `picked`, by those in `all`; 0: not yet there */
	int error;
};

/* --- names ------------------------------------------------------------------
 */

static bool
has_layout(const struct btf_type *type)
{
	return btf_is_composite(type) || btf_is_any_enum(type);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
names_close(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
}

static bool
names_open(struct names *names, const struct btf *wanted)
{
	__u32 count = btf__type_cnt(wanted);

	names->count = 0;
	names->list = calloc(count, sizeof(*names->list));
	for (__u32 id = 1; names->list != NULL && id < count; id++) {
		const struct btf_type *type = btf__type_by_id(wanted, id);
		const char *name = btf__name_by_offset(wanted, type->name_off);
		const char *flavor = strstr(name, FLAVOR);
		size_t size = flavor ? (size_t)(flavor - name) : strlen(name);
		char *copy;

		if (!has_layout(type) || size == 0)
			continue;
		copy = strndup(name, size);
		if (copy == NULL) {
			names_close(names);
			return false;
		}
		names->list[names->count++] = copy;
	}
	if (names->list != NULL)
		qsort(names->list, names->count, sizeof(*names->list), compare);
	return names->list != NULL;
}

static bool
names_have(const struct names *names, const char *name)
{
	return bsearch(&name, names->list, names->count, sizeof(*names->list),
		       compare) != NULL;
}

/* --- types ------------------------------------------------------------------
 */

static int pick(struct picker *picker, __u32 id);

static const char *
name_of(const struct picker *picker, __u32 offset)
{
	return btf__name_by_offset(picker->all, offset);
}

/* The parts first: a struct's members are added right behind it. */
static int
pick_composite(struct picker *picker, const struct btf_type *type)
{
	const struct btf_member *member = btf_members(type);
	const char *name = name_of(picker, type->name_off);
	int id, error = 0;

	for (__u32 i = 0; i < btf_vlen(type); i++)
		pick(picker, member[i].type);
	id = btf_is_struct(type)
		 ? btf__add_struct(picker->picked, name, type->size)
		 : btf__add_union(picker->picked, name, type->size);
	for (__u32 i = 0; id > 0 && error == 0 && i < btf_vlen(type); i++)
		error = btf__add_field(picker->picked,
				       name_of(picker, member[i].name_off),
				       picker->ids[member[i].type],
				       btf_member_bit_offset(type, i),
				       btf_member_bitfield_size(type, i));
	return error < 0 ? error : id;
}

static int
add(struct picker *picker, const struct btf_type *type)
{
	int inner;

	if (btf_is_composite(type))
		return pick_composite(picker, type);
	if (btf_is_ptr(type))
		return btf__add_ptr(picker->picked, 0);
	if (btf_is_array(type)) {
		const struct btf_array *array = btf_array(type);

		inner = pick(picker, array->type);
		return btf__add_array(picker->picked,
				      pick(picker, array->index_type), inner,
				      array->nelems);
	}
	if (btf_is_typedef(type)) {
		inner = pick(picker, type->type);
		return btf__add_typedef(picker->picked,
					name_of(picker, type->name_off), inner);
	}
	/* const and the like change nothing of the layout */
	if (btf_is_mod(type))
		return pick(picker, type->type);
	return btf__add_type(picker->picked, picker->all, type);
}

/* The id of the type among those that are picked. */
static int
pick(struct picker *picker, __u32 id)
{
	int new;

	if (id == 0 || picker->error != 0)
		return 0;
	if (picker->ids[id] != 0)
		return picker->ids[id];
	new = add(picker, btf__type_by_id(picker->all, id));
	if (new < 0)
		picker->error = new;
	else
		picker->ids[id] = new;
	return new;
}

static void
pick_all(struct picker *picker, const struct names *names)
{
	__u32 count = btf__type_cnt(picker->all);

	for (__u32 id = 1; id < count && picker->error == 0; id++) {
		const struct btf_type *type = btf__type_by_id(picker->all, id);

		if (has_layout(type) &&
		    names_have(names, name_of(picker, type->name_off)))
			pick(picker, id);
	}
}

struct btf *
kernel_types_pick(const struct btf *all, const struct btf *wanted)
{
	struct picker picker = { .all = all, .picked = btf__new_empty() };
	struct names names;

	picker.ids = calloc(btf__type_cnt(all), sizeof(*picker.ids));
	if (picker.ids == NULL || picker.picked == NULL ||
	    !names_open(&names, wanted)) {
		picker.error = -1;
	} else {
		pick_all(&picker, &names);
		names_close(&names);
	}
	free(picker.ids);
	if (picker.error == 0)
		return picker.picked;
	btf__free(picker.picked);
	return NULL;
}

/* --- the file ---------------------------------------------------------------
 */

const struct btf *
kernel_types(void)
{
	if (everything == NULL)
		everything = btf__load_vmlinux_btf();
	return everything;
}

static const char *
path_of_file(void)
{
	static char path[32];

	if (file < 0)
		file = memfd_create("kernel-types", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	return file >= 0 && access(path, R_OK) == 0 ? path : NULL;
}

/* False if it is not all in the file. */
static bool
write_types(const struct btf *types)
{
	__u32 size = 0;
	const void *bytes = btf__raw_data(types, &size);

	return bytes != NULL && ftruncate(file, 0) == 0 &&
	       pwrite(file, bytes, size, 0) == (ssize_t)size;
}

const char *
kernel_types_path(void)
{
	return kernel_types() != NULL ? path_of_file() : NULL;
}

const char *
kernel_types_none(void)
{
	struct btf *none = btf__new_empty();
	const char *path = none != NULL ? path_of_file() : NULL;

	if (path != NULL && !write_types(none))
		path = NULL;
	btf__free(none);
	return path;
}

void
kernel_types_fill(const struct bpf_object *object)
{
	struct btf *picked;

	if (file < 0)
		return;
	picked = kernel_types_pick(everything, bpf_object__btf(object));
	if (picked == NULL || !write_types(picked))
		write_types(everything);
	btf__free(picked);
}

void
kernel_types_close(void)
{
	btf__free(everything);
	everything = NULL;
	if (file >= 0)
		close(file);
	file = -1;
}
