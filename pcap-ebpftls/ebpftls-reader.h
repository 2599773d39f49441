/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads a pcapng file, whatever is in it: block by block, in either byte
 * order, in memory for one block.
 */
#ifndef EBPFTLS_READER_H
#define EBPFTLS_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-pcapng.h"

/* No reader takes longer ones. */
#define EBPFTLS_BLOCK_MAX ((size_t)16 << 20)

struct ebpftls_reader {
	int fd;
	uint8_t *bytes;
	size_t room;
	size_t start; /* of what has been read and not returned */
	size_t end;
	bool begun;
	bool swapped; /* the section is not in this machine's byte order */
};

/* As it stands in the file; valid until the next call. */
struct ebpftls_block {
	uint32_t type;
	uint32_t size;
	const uint8_t *bytes;
};

enum ebpftls_read {
	EBPFTLS_READ_BLOCK,
	EBPFTLS_READ_END,
	EBPFTLS_READ_CUT,    /* the file ends inside of a block */
	EBPFTLS_READ_BROKEN, /* what follows is no block */
	EBPFTLS_READ_FAILED, /* errno says why */
};

/* The descriptor stays the caller's. False: no memory. */
bool ebpftls_reader_init(struct ebpftls_reader *reader, int fd);

/* Wipes and frees. */
void ebpftls_reader_free(struct ebpftls_reader *reader);

enum ebpftls_read ebpftls_reader_next(struct ebpftls_reader *reader,
				      struct ebpftls_block *block);

/* How much there is of the block in which the file ends. */
size_t ebpftls_reader_rest(const struct ebpftls_reader *reader);

/* A number that stands in the section. */
uint16_t ebpftls_reader_u16(const struct ebpftls_reader *reader,
			    const uint8_t *at);
uint32_t ebpftls_reader_u32(const struct ebpftls_reader *reader,
			    const uint8_t *at);

/*
 * Where the options of a block begin, for the types above up to the process
 * blocks: an offset. 0: the block is of another type, or too short.
 */
size_t ebpftls_block_options(const struct ebpftls_reader *reader,
			     const struct ebpftls_block *block);

/* Of a packet block that has options or could: its length, at least. */
uint32_t ebpftls_block_caplen(const struct ebpftls_reader *reader,
			      const struct ebpftls_block *block);

struct ebpftls_option_read {
	uint16_t code;
	uint16_t size; /* of the value */
	const uint8_t *value;
	const uint8_t *next; /* option, or the end of the options */
};

/*
 * The option at `at`. False: there is none before `end`, because these were
 * all, or because they are broken.
 */
bool ebpftls_option_read(const struct ebpftls_reader *reader, const uint8_t *at,
			 const uint8_t *end,
			 struct ebpftls_option_read *option);

/* The first option of this kind in a block that has options. */
bool ebpftls_block_option(const struct ebpftls_reader *reader,
			  const struct ebpftls_block *block,
			  enum ebpftls_option_code code,
			  struct ebpftls_option_read *option);

#endif
