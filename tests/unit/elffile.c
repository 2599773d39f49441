// SPDX-License-Identifier: BSD-3-Clause
/* Which ELF files are of use, and where in them things are. */
#define _GNU_SOURCE

#include "elffile.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

/* What this test was built for is what it runs on. */
static bool
read_own(Elf64_Ehdr *header)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	bool done = read(fd, header, sizeof(*header)) == sizeof(*header);

	close(fd);
	header->e_phoff = sizeof(*header);
	header->e_phnum = 1;
	return done;
}

/* Whether a file with that header, and one segment, is taken. */
static bool
taken(const Elf64_Ehdr *header, struct elf *elf)
{
	const Elf64_Phdr segment = {
		.p_type = PT_LOAD,
		.p_offset = 0x1000,
		.p_vaddr = 0x5000,
		.p_filesz = 0x800,
		.p_memsz = 0x2000,
	};
	int fd = memfd_create("elf", MFD_CLOEXEC);
	bool done;

	check(write(fd, header, sizeof(*header)) == sizeof(*header));
	check(write(fd, &segment, sizeof(segment)) == sizeof(segment));
	done = elf_read(fd, elf);
	close(fd);
	return done;
}

static void
knows_its_machine(void)
{
	static const Elf64_Half others[] = { EM_NONE, EM_386, EM_ARM,
					     EM_RISCV };
	Elf64_Ehdr header, other;
	struct elf elf;

	if (!check(read_own(&header)))
		return;
	check(taken(&header, &elf));
	other = header;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		other.e_machine = others[i];
		check(!taken(&other, &elf));
	}
	other.e_machine =
	    header.e_machine == EM_AARCH64 ? EM_X86_64 : EM_AARCH64;
	check(!taken(&other, &elf));
	other = header;
	other.e_ident[EI_CLASS] = ELFCLASS32;
	check(!taken(&other, &elf));
	other = header;
	other.e_ident[EI_DATA] ^= ELFDATA2LSB ^ ELFDATA2MSB;
	check(!taken(&other, &elf));
}

static void
finds_places(void)
{
	Elf64_Ehdr header;
	struct elf elf;
	uint64_t at;

	if (!check(read_own(&header)) || !check(taken(&header, &elf)))
		return;
	check(elf_address(&elf, 0x1000, &at) && at == 0x5000);
	check(elf_address(&elf, 0x17ff, &at) && at == 0x57ff);
	check(!elf_address(&elf, 0x1800, &at));
	check(!elf_address(&elf, 0xfff, &at));
	check(elf_offset(&elf, 0x57ff, &at) && at == 0x17ff);
	check(!elf_offset(&elf, 0x5800, &at));
	check(!elf_offset(&elf, 0x4fff, &at));
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "files of this machine", knows_its_machine },
		{ "offsets and addresses", finds_places },
		{ NULL, NULL },
	};

	return check_main(cases);
}
