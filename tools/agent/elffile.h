/* SPDX-License-Identifier: BSD-3-Clause */
/* The little of an ELF file that tells where things are. */
#ifndef AGENT_ELFFILE_H
#define AGENT_ELFFILE_H

#include <stdbool.h>
#include <stdint.h>

#define ELF_SEGMENTS_MAX 64

struct elf {
	uint32_t count;
	struct elf_segment {
		uint64_t offset;
		uint64_t address;
		uint64_t size; /* in the file */
	} segments[ELF_SEGMENTS_MAX];
};

/* False if it is no 64-bit ELF file with code of this machine. */
bool elf_read(int fd, struct elf *elf);

/* Between a place in the file and its address; false if there is none. */
bool elf_address(const struct elf *elf, uint64_t offset, uint64_t *address);
bool elf_offset(const struct elf *elf, uint64_t address, uint64_t *offset);

#endif
