/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ELF file as it lies in memory when it runs: segments, dynamic symbols,
 * relocations and the table of its functions. Section headers may be missing
 * or lie; nothing is taken from them. Every address may come from an enemy.
 */
#ifndef AGENT_SCAN_ELF_H
#define AGENT_SCAN_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SCAN_SEGMENTS_MAX 32

enum scan_machine { SCAN_X86_64, SCAN_ARM64 };

struct scan_segment {
	uint64_t address;
	uint64_t size; /* in the file */
	const uint8_t *bytes;
	bool executable;
	bool writable;
};

struct scan_table {
	uint64_t address;
	uint64_t size;
};

/* A word that the dynamic linker fills with the address of a symbol. */
struct scan_slot {
	uint64_t address;
	uint64_t target; /* 0: not defined in this file */
};

struct scan_elf {
	const uint8_t *bytes;
	size_t size;
	enum scan_machine machine;
	bool fixed; /* it cannot be moved: code may have addresses as numbers */
	uint32_t segment_count;
	struct scan_segment segments[SCAN_SEGMENTS_MAX];
	uint64_t symbols, strings, hash;
	struct scan_table relocations[2];
	uint64_t frames; /* .eh_frame_hdr */
	const uint8_t *functions;
	uint32_t function_count;
	uint32_t slot_count;
	struct scan_slot *slots; /* sorted by address */
};

/* Of what scan_elf_open() can say: nothing about the file. */
extern const char scan_elf_not_mapped[];

/*
 * Maps the file. Returns NULL, or why it is of no use; then, too, it is for
 * scan_elf_close() to let go of what there is. Should the file be cut short
 * while it is mapped, the process dies: it must be one that may.
 */
const char *scan_elf_open(struct scan_elf *elf, int fd);
void scan_elf_close(struct scan_elf *elf);

/* Finds the words that hold addresses of symbols: see scan_elf_slot(). */
void scan_elf_read_slots(struct scan_elf *elf);

/* The bytes at an address if all of them are in the file, or NULL. */
const uint8_t *scan_elf_at(const struct scan_elf *elf, uint64_t address,
			   uint64_t size);

/* How many bytes the file has from there to the end of the segment. */
uint64_t scan_elf_left(const struct scan_elf *elf, uint64_t address);

/* Also false where there is nothing. */
bool scan_elf_is_code(const struct scan_elf *elf, uint64_t address);

/* Where in the file an address that it has bytes for is. */
uint64_t scan_elf_offset(const struct scan_elf *elf, uint64_t address);

/* The address of the code at this offset, or 0. */
uint64_t scan_elf_code(const struct scan_elf *elf, uint64_t offset);

/* The address of a function that the file exports, or 0. */
uint64_t scan_elf_symbol(const struct scan_elf *elf, const char *name);

/* The symbol whose address is in the word, or NULL. */
const struct scan_slot *scan_elf_slot(const struct scan_elf *elf,
				      uint64_t address);

/*
 * Where the function around the address begins; 0: not known, as many files
 * have no such table, or one for a small part.
 */
uint64_t scan_elf_function(const struct scan_elf *elf, uint64_t address);

/*
 * What a call to this address reaches: the function itself, what a stub of
 * the linkage table leads to in this file, or 0 if that is in another one.
 */
uint64_t scan_elf_callee(const struct scan_elf *elf, uint64_t address);

static inline uint32_t
scan_read32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static inline uint64_t
scan_read64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

#endif
