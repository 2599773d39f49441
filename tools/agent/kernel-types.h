/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Of the kernel's types those that our programs know. To find a type libbpf
 * goes through all that there are, a hundred thousand, for each object and each
 * type anew: that takes longer than the rest of what it does.
 */
#ifndef AGENT_KERNEL_TYPES_H
#define AGENT_KERNEL_TYPES_H

struct btf;
struct bpf_object;

/* All of them, read once; or NULL. */
const struct btf *kernel_types(void);

/*
 * The path of a file for the btf_custom_path of an object that is about to be
 * opened, or NULL: then libbpf looks for itself. Lasts until the next call.
 */
const char *kernel_types_path(void);

/*
 * The same of a file without any, which is not to be filled: for an object
 * whose programs never come to where they would look at the kernel's types.
 */
const char *kernel_types_none(void);

/* Fills the file for the object, which was opened with its path. */
void kernel_types_fill(const struct bpf_object *object);

/* Frees all of it. */
void kernel_types_close(void);

/*
 * The structs, unions and enumerations of `all` that have names which are also
 * in `wanted`, with what they consist of. What pointers lead to is left out.
 * NULL: out of memory, or there are kinds of types that libbpf does not know.
 */
struct btf *kernel_types_pick(const struct btf *all, const struct btf *wanted);

#endif
