// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads the headers of an ELF file, whoever made it. Not with libelf,
 * which would do so with the agent's privileges.
 */
#define _GNU_SOURCE

#include "elffile.h"

#include <elf.h>
#include <endian.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* On others there is no code that could be understood. */
#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_NONE
#endif

static bool
is_elf(const Elf64_Ehdr *header)
{
	const int order =
	    BYTE_ORDER == LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;

	return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
	       header->e_ident[EI_CLASS] == ELFCLASS64 &&
	       header->e_ident[EI_DATA] == order &&
	       header->e_machine == MACHINE &&
	       header->e_phentsize == sizeof(Elf64_Phdr) &&
	       header->e_phnum <= ELF_SEGMENTS_MAX;
}

bool
elf_read(int fd, struct elf *elf)
{
	Elf64_Ehdr header;
	Elf64_Phdr segments[ELF_SEGMENTS_MAX];
	size_t size;

	elf->count = 0;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    !is_elf(&header))
		return false;
	size = header.e_phnum * sizeof(segments[0]);
	if (pread(fd, segments, size, (off_t)header.e_phoff) != (ssize_t)size)
		return false;
	for (unsigned int i = 0; i < header.e_phnum; i++) {
		if (segments[i].p_type == PT_LOAD)
			elf->segments[elf->count++] = (struct elf_segment){
				.offset = segments[i].p_offset,
				.address = segments[i].p_vaddr,
				.size = segments[i].p_filesz,
			};
	}
	return true;
}

bool
elf_address(const struct elf *elf, uint64_t offset, uint64_t *address)
{
	for (uint32_t i = 0; i < elf->count; i++) {
		const struct elf_segment *segment = &elf->segments[i];

		if (offset >= segment->offset &&
		    offset - segment->offset < segment->size) {
			*address = offset - segment->offset + segment->address;
			return true;
		}
	}
	return false;
}

bool
elf_offset(const struct elf *elf, uint64_t address, uint64_t *offset)
{
	for (uint32_t i = 0; i < elf->count; i++) {
		const struct elf_segment *segment = &elf->segments[i];

		if (address >= segment->address &&
		    address - segment->address < segment->size) {
			*offset = address - segment->address + segment->offset;
			return true;
		}
	}
	return false;
}
