// SPDX-License-Identifier: BSD-3-Clause
/*
 * Buckets with chains, and one list of all items by age. The hash is SipHash
 * with one round for each word and three at the end.
 */
#define _GNU_SOURCE

#include "ebpftls-table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

static uint64_t
rotate(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static uint64_t
hash_key(const struct ebpftls_table *table, const void *key)
{
	const uint8_t *bytes = key;
	uint64_t v[4] = { table->seed[0] ^ UINT64_C(0x736f6d6570736575),
			  table->seed[1] ^ UINT64_C(0x646f72616e646f6d),
			  table->seed[0] ^ UINT64_C(0x6c7967656e657261),
			  table->seed[1] ^ UINT64_C(0x7465646279746573) };
	uint64_t word;

	for (size_t i = 0; i < table->key_size; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Random bytes that the kernel gave this process when it began. */
static void
seed(struct ebpftls_table *table)
{
	const void *random = (const void *)getauxval(AT_RANDOM);

	if (random != NULL)
		memcpy(table->seed, random, sizeof(table->seed));
}

bool
ebpftls_table_init(struct ebpftls_table *table, size_t limit, size_t item_size,
		   size_t key_size)
{
	size_t buckets = 1;

	memset(table, 0, sizeof(*table));
	while (buckets < limit)
		buckets *= 2;
	table->limit = limit;
	table->item_size = item_size;
	table->key_size = key_size;
	table->mask = buckets - 1;
	table->buckets = calloc(buckets, sizeof(struct ebpftls_node *));
	table->items = calloc(limit, item_size);
	if (table->buckets == NULL || table->items == NULL) {
		ebpftls_table_free(table);
		return false;
	}
	seed(table);
	return true;
}

void
ebpftls_table_free(struct ebpftls_table *table)
{
	if (table->items != NULL)
		explicit_bzero(table->items, table->used * table->item_size);
	free(table->items);
	free(table->buckets);
	explicit_bzero(table, sizeof(*table));
}

void *
ebpftls_table_find(const struct ebpftls_table *table, const void *key)
{
	uint64_t hash = hash_key(table, key);
	struct ebpftls_node *node = table->buckets[hash & table->mask];

	while (node != NULL && (node->hash != hash ||
				memcmp(node + 1, key, table->key_size) != 0))
		node = node->chain;
	return node;
}

static void
append(struct ebpftls_table *table, struct ebpftls_node *node)
{
	node->newer = NULL;
	node->older = table->newest;
	if (table->newest != NULL)
		table->newest->newer = node;
	else
		table->oldest = node;
	table->newest = node;
}

static void
unlink_node(struct ebpftls_table *table, struct ebpftls_node *node)
{
	if (node->newer != NULL)
		node->newer->older = node->older;
	else
		table->newest = node->older;
	if (node->older != NULL)
		node->older->newer = node->newer;
	else
		table->oldest = node->newer;
}

static struct ebpftls_node *
unused_node(struct ebpftls_table *table)
{
	struct ebpftls_node *node;

	if (table->count == table->limit)
		ebpftls_table_drop(table, table->oldest);
	node = table->unused;
	if (node != NULL) {
		table->unused = node->chain;
		return node;
	}
	return (void *)(table->items + table->used++ * table->item_size);
}

void *
ebpftls_table_add(struct ebpftls_table *table, const void *key)
{
	struct ebpftls_node *node = unused_node(table);
	struct ebpftls_node **bucket;

	memcpy(node + 1, key, table->key_size);
	node->hash = hash_key(table, key);
	bucket = &table->buckets[node->hash & table->mask];
	node->chain = *bucket;
	*bucket = node;
	append(table, node);
	table->count++;
	return node;
}

void
ebpftls_table_drop(struct ebpftls_table *table, void *item)
{
	struct ebpftls_node *node = item;
	struct ebpftls_node **link = &table->buckets[node->hash & table->mask];

	while (*link != node)
		link = &(*link)->chain;
	*link = node->chain;
	unlink_node(table, node);
	explicit_bzero(node, table->item_size);
	node->chain = table->unused;
	table->unused = node;
	table->count--;
}

void
ebpftls_table_renew(struct ebpftls_table *table, void *item)
{
	unlink_node(table, item);
	append(table, item);
}
