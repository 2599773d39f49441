/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash table of bounded size whose oldest item gives way to a new one. Who
 * chooses the keys cannot choose where they go: the hash is seeded. Items hold
 * what may be secret: they are wiped when they leave.
 */
#ifndef EBPFTLS_TABLE_H
#define EBPFTLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How each item begins; its key follows at once. */
struct ebpftls_node {
	struct ebpftls_node *chain; /* in the same bucket, or unused */
	struct ebpftls_node *newer;
	struct ebpftls_node *older;
	uint64_t hash;
};

struct ebpftls_table {
	uint64_t seed[2];
	size_t item_size;
	size_t key_size; /* a multiple of 8 */
	size_t limit;
	size_t used; /* items that have ever held something */
	size_t count;
	size_t mask;
	struct ebpftls_node **buckets;
	uint8_t *items;
	struct ebpftls_node *unused;
	struct ebpftls_node *newest;
	struct ebpftls_node *oldest;
};

/* For at most `limit` items, at least one. False: no memory. */
bool ebpftls_table_init(struct ebpftls_table *table, size_t limit,
			size_t item_size, size_t key_size);

void ebpftls_table_free(struct ebpftls_table *table);

/* The item with this key, or NULL. */
void *ebpftls_table_find(const struct ebpftls_table *table, const void *key);

/* A new item, all zero after its key, which must not be there yet. */
void *ebpftls_table_add(struct ebpftls_table *table, const void *key);

void ebpftls_table_drop(struct ebpftls_table *table, void *item);

/* Makes the item the newest. */
void ebpftls_table_renew(struct ebpftls_table *table, void *item);

#endif
