// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is picked of the kernel's types is laid out as it is there, and is all
 * that programs ask for.
 */
#include "kernel-types.h"

#include <bpf/btf.h>

#include "unit/check.h"

static struct btf *all, *wanted, *picked;

static bool
begin(void)
{
	all = btf__new_empty();
	wanted = btf__new_empty();
	picked = NULL;
	return check(all != NULL && wanted != NULL);
}

static void
end(void)
{
	btf__free(all);
	btf__free(wanted);
	btf__free(picked);
}

static const struct btf_type *
find(const char *name, __u32 kind)
{
	int id = btf__find_by_name_kind(picked, name, kind);

	return id < 0 ? NULL : btf__type_by_id(picked, (__u32)id);
}

/* struct outer { const inner_t part[3]; struct other *to; int bits : 3; } */
static void
add_outer(void)
{
	int number = btf__add_int(all, "int", 4, BTF_INT_SIGNED);
	int other = btf__add_struct(all, "other", 4);
	int inner, array;

	btf__add_field(all, "left_out", number, 0, 0);
	inner = btf__add_struct(all, "inner", 8);
	btf__add_field(all, "first", number, 0, 0);
	btf__add_field(all, "second", number, 32, 0);
	inner = btf__add_typedef(all, "inner_t", inner);
	array = btf__add_array(all, number, btf__add_const(all, inner), 3);
	other = btf__add_ptr(all, other);
	btf__add_struct(all, "outer", 40);
	btf__add_field(all, "part", array, 0, 0);
	btf__add_field(all, "to", other, 192, 0);
	btf__add_field(all, "bits", number, 256, 3);
}

static void
layout(void)
{
	const struct btf_type *outer;

	if (begin()) {
		add_outer();
		btf__add_struct(wanted, "outer", 0);
		picked = kernel_types_pick(all, wanted);
	}
	outer = picked == NULL ? NULL : find("outer", BTF_KIND_STRUCT);
	if (check(outer != NULL)) {
		const struct btf_member *member = btf_members(outer);

		check(outer->size == 40 && btf_vlen(outer) == 3);
		check(btf__resolve_size(picked, member[0].type) == 24);
		check(btf_member_bit_offset(outer, 1) == 192);
		check(btf_is_ptr(btf__type_by_id(picked, member[1].type)));
		check(btf_member_bit_offset(outer, 2) == 256);
		check(btf_member_bitfield_size(outer, 2) == 3);
		check(find("inner", BTF_KIND_STRUCT) != NULL);
	}
	end();
}

static void
only_what_is_wanted(void)
{
	if (begin()) {
		add_outer();
		btf__add_struct(wanted, "inner", 0);
		btf__add_struct(wanted, "unknown", 0);
		picked = kernel_types_pick(all, wanted);
	}
	if (check(picked != NULL)) {
		check(find("inner", BTF_KIND_STRUCT) != NULL);
		check(find("outer", BTF_KIND_STRUCT) == NULL);
		check(find("other", BTF_KIND_STRUCT) == NULL);
	}
	end();
}

static void
flavors(void)
{
	if (begin()) {
		add_outer();
		btf__add_struct(wanted, "inner___before", 0);
		picked = kernel_types_pick(all, wanted);
	}
	check(picked != NULL && find("inner", BTF_KIND_STRUCT) != NULL);
	end();
}

/* Some kernels have two of a name: CO-RE is to see that. */
static void
same_name(void)
{
	if (begin()) {
		btf__add_struct(all, "twice", 4);
		btf__add_struct(all, "twice", 8);
		btf__add_enum(all, "twice", 4);
		btf__add_struct(wanted, "twice", 0);
		picked = kernel_types_pick(all, wanted);
	}
	check(picked != NULL && btf__type_cnt(picked) == 4);
	end();
}

static const struct check_case cases[] = {
	{ "laid out as in the kernel", layout },
	{ "only what is wanted", only_what_is_wanted },
	{ "another flavor of a name", flavors },
	{ "several of one name", same_name },
	{ NULL, NULL },
};

int
main(void)
{
	return check_main(cases);
}
