// SPDX-License-Identifier: BSD-3-Clause
/*
 * A bounded view of an ELF file: what is asked for is either in the file or
 * refused. libelf is of no help here, as it looks at sections.
 */
#include "scan-elf.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define DYNAMIC_MAX   4096
#define CHAIN_MAX     4096
#define STUB_HOPS_MAX 3

static const struct scan_segment *
find_segment(const struct scan_elf *elf, uint64_t address)
{
	for (uint32_t i = 0; i < elf->segment_count; i++) {
		const struct scan_segment *segment = &elf->segments[i];

		if (address >= segment->address &&
		    address - segment->address < segment->size)
			return segment;
	}
	return NULL;
}

uint64_t
scan_elf_left(const struct scan_elf *elf, uint64_t address)
{
	const struct scan_segment *segment = find_segment(elf, address);

	return segment == NULL ? 0
			       : segment->size - (address - segment->address);
}

const uint8_t *
scan_elf_at(const struct scan_elf *elf, uint64_t address, uint64_t size)
{
	const struct scan_segment *segment = find_segment(elf, address);

	if (segment == NULL ||
	    size > segment->size - (address - segment->address))
		return NULL;
	return segment->bytes + (address - segment->address);
}

bool
scan_elf_is_code(const struct scan_elf *elf, uint64_t address)
{
	const struct scan_segment *segment = find_segment(elf, address);

	return segment != NULL && segment->executable;
}

uint64_t
scan_elf_offset(const struct scan_elf *elf, uint64_t address)
{
	const uint8_t *bytes = scan_elf_at(elf, address, 1);

	return bytes == NULL ? 0 : (uint64_t)(bytes - elf->bytes);
}

uint64_t
scan_elf_code(const struct scan_elf *elf, uint64_t offset)
{
	for (uint32_t i = 0; i < elf->segment_count; i++) {
		const struct scan_segment *segment = &elf->segments[i];
		uint64_t begin = (uint64_t)(segment->bytes - elf->bytes);

		if (segment->executable && offset >= begin &&
		    offset - begin < segment->size)
			return segment->address + (offset - begin);
	}
	return 0;
}

/* --- what the file says of itself ---------------------------------------- */

static void
add_segment(struct scan_elf *elf, const Elf64_Phdr *header)
{
	uint64_t size = header->p_filesz;

	if (header->p_offset >= elf->size ||
	    elf->segment_count == SCAN_SEGMENTS_MAX)
		return;
	if (size > elf->size - header->p_offset)
		size = elf->size - header->p_offset;
	if (size == 0 || header->p_vaddr + size < header->p_vaddr)
		return;
	elf->segments[elf->segment_count++] = (struct scan_segment){
		.address = header->p_vaddr,
		.size = size,
		.bytes = elf->bytes + header->p_offset,
		.executable = header->p_flags & PF_X,
		.writable = header->p_flags & PF_W,
	};
}

static void
read_dynamic(struct scan_elf *elf, uint64_t address)
{
	for (int i = 0; i < DYNAMIC_MAX; i++) {
		const uint8_t *bytes =
		    scan_elf_at(elf, address + i * sizeof(Elf64_Dyn),
				sizeof(Elf64_Dyn));
		Elf64_Dyn entry;

		if (bytes == NULL)
			return;
		memcpy(&entry, bytes, sizeof(entry));
		switch (entry.d_tag) {
		case DT_NULL:
			return;
		case DT_SYMTAB:
			elf->symbols = entry.d_un.d_ptr;
			break;
		case DT_STRTAB:
			elf->strings = entry.d_un.d_ptr;
			break;
		case DT_GNU_HASH:
			elf->hash = entry.d_un.d_ptr;
			break;
		case DT_RELA:
			elf->relocations[0].address = entry.d_un.d_ptr;
			break;
		case DT_RELASZ:
			elf->relocations[0].size = entry.d_un.d_val;
			break;
		case DT_JMPREL:
			elf->relocations[1].address = entry.d_un.d_ptr;
			break;
		case DT_PLTRELSZ:
			elf->relocations[1].size = entry.d_un.d_val;
			break;
		}
	}
}

/* The layout that all linkers write: a sorted table of 32-bit distances. */
static void
read_frames(struct scan_elf *elf)
{
	static const uint8_t layout[] = { 1, 0x1b, 0x03, 0x3b };
	const uint8_t *header = scan_elf_at(elf, elf->frames, 12);

	if (header == NULL || memcmp(header, layout, sizeof(layout)) != 0)
		return;
	elf->function_count = scan_read32(header + 8);
	elf->functions = scan_elf_at(elf, elf->frames + 12,
				     (uint64_t)elf->function_count * 8);
	if (elf->functions == NULL)
		elf->function_count = 0;
}

static void
read_segments(struct scan_elf *elf, const Elf64_Ehdr *header)
{
	uint64_t dynamic = 0;

	for (unsigned int i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr program;
		uint64_t offset = header->e_phoff + i * sizeof(program);

		if (offset < header->e_phoff || elf->size < sizeof(program) ||
		    offset > elf->size - sizeof(program))
			break;
		memcpy(&program, elf->bytes + offset, sizeof(program));
		if (program.p_type == PT_LOAD)
			add_segment(elf, &program);
		else if (program.p_type == PT_DYNAMIC)
			dynamic = program.p_vaddr;
		else if (program.p_type == PT_GNU_EH_FRAME)
			elf->frames = program.p_vaddr;
	}
	if (dynamic != 0)
		read_dynamic(elf, dynamic);
	if (elf->frames != 0)
		read_frames(elf);
}

/* So that the work stays in proportion to the file. */
static bool
has_sane_segments(const struct scan_elf *elf)
{
	uint64_t left = elf->size * 2;

	for (uint32_t i = 0; i < elf->segment_count; i++) {
		if (elf->segments[i].size > left)
			return false;
		left -= elf->segments[i].size;
	}
	return elf->segment_count != 0;
}

/*
 * Shared, as the kernel puts the breakpoints of uprobes into private mappings:
 * where another capture has hooked a function, its first byte would be one.
 */
static void *
map_file(int fd, size_t size)
{
	return mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
}

const char scan_elf_not_mapped[] = "cannot be mapped";

const char *
scan_elf_open(struct scan_elf *elf, int fd)
{
	Elf64_Ehdr header;
	struct stat status;
	void *bytes;

	memset(elf, 0, sizeof(*elf));
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return "not a file";
	if (status.st_size < (off_t)sizeof(header))
		return "not an ELF file";
	bytes = map_file(fd, status.st_size);
	if (bytes == MAP_FAILED)
		return scan_elf_not_mapped;
	elf->bytes = bytes;
	elf->size = status.st_size;
	memcpy(&header, bytes, sizeof(header));
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return "not an ELF file";
	if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    (header.e_machine != EM_X86_64 && header.e_machine != EM_AARCH64))
		return "for a machine other than x86-64 and arm64";
	if ((header.e_type != ET_EXEC && header.e_type != ET_DYN) ||
	    header.e_phentsize != sizeof(Elf64_Phdr))
		return "neither a program nor a shared library";
	elf->machine = header.e_machine == EM_X86_64 ? SCAN_X86_64 : SCAN_ARM64;
	elf->fixed = header.e_type == ET_EXEC;
	read_segments(elf, &header);
	return has_sane_segments(elf) ? NULL : "damaged: senseless segments";
}

void
scan_elf_close(struct scan_elf *elf)
{
	if (elf->bytes != NULL)
		munmap((void *)elf->bytes, elf->size);
	free(elf->slots);
	memset(elf, 0, sizeof(*elf));
}

/* --- symbols -------------------------------------------------------------- */

/* The number is the symbol table's; 0: not defined here. */
static uint64_t
symbol_address(const struct scan_elf *elf, uint64_t number, const char *name)
{
	const uint8_t *bytes =
	    scan_elf_at(elf, elf->symbols + number * sizeof(Elf64_Sym),
			sizeof(Elf64_Sym));
	const uint8_t *text;
	Elf64_Sym symbol;

	if (elf->symbols == 0 || bytes == NULL)
		return 0;
	memcpy(&symbol, bytes, sizeof(symbol));
	if (symbol.st_shndx == SHN_UNDEF)
		return 0;
	if (name == NULL)
		return symbol.st_value;
	text =
	    scan_elf_at(elf, elf->strings + symbol.st_name, strlen(name) + 1);
	return text != NULL && memcmp(text, name, strlen(name) + 1) == 0
		   ? symbol.st_value
		   : 0;
}

static uint32_t
hash_name(const char *name)
{
	uint32_t hash = 5381;

	for (; *name != '\0'; name++)
		hash = hash * 33 + (uint8_t)*name;
	return hash;
}

uint64_t
scan_elf_symbol(const struct scan_elf *elf, const char *name)
{
	const uint8_t *header = scan_elf_at(elf, elf->hash, 16), *word;
	uint32_t hash = hash_name(name), buckets, first, number;
	uint64_t table, chain;

	if (elf->hash == 0 || header == NULL)
		return 0;
	buckets = scan_read32(header);
	first = scan_read32(header + 4);
	table = elf->hash + 16 + (uint64_t)scan_read32(header + 8) * 8;
	chain = table + (uint64_t)buckets * 4;
	word = buckets == 0 ? NULL
			    : scan_elf_at(elf, table + hash % buckets * 4, 4);
	number = word == NULL ? 0 : scan_read32(word);
	for (int i = 0; i < CHAIN_MAX && number >= first && number != 0; i++) {
		uint64_t address;

		word =
		    scan_elf_at(elf, chain + (uint64_t)(number - first) * 4, 4);
		if (word == NULL)
			return 0;
		if ((scan_read32(word) | 1) == (hash | 1)) {
			address = symbol_address(elf, number, name);
			if (address != 0)
				return address;
		}
		if (scan_read32(word) & 1)
			return 0;
		number++;
	}
	return 0;
}

/* --- words that the dynamic linker fills --------------------------------- */

static int
compare_slots(const void *a, const void *b)
{
	const struct scan_slot *x = a, *y = b;

	return (x->address > y->address) - (x->address < y->address);
}

static void
read_relocation(struct scan_elf *elf, const uint8_t *bytes)
{
	Elf64_Rela relocation;
	uint64_t symbol, address;

	memcpy(&relocation, bytes, sizeof(relocation));
	symbol = ELF64_R_SYM(relocation.r_info);
	if (symbol == 0)
		return;
	address = symbol_address(elf, symbol, NULL);
	elf->slots[elf->slot_count++] = (struct scan_slot){
		.address = relocation.r_offset,
		.target = address == 0 ? 0 : address + relocation.r_addend,
	};
}

void
scan_elf_read_slots(struct scan_elf *elf)
{
	const uint8_t *tables[2];
	uint64_t counts[2], total = 0;

	for (int i = 0; i < 2; i++) {
		const struct scan_table *table = &elf->relocations[i];

		tables[i] = scan_elf_at(elf, table->address, table->size);
		counts[i] =
		    tables[i] == NULL ? 0 : table->size / sizeof(Elf64_Rela);
		total += counts[i];
	}
	if (total == 0)
		return;
	elf->slots = malloc(total * sizeof(*elf->slots));
	if (elf->slots == NULL)
		return;
	for (int i = 0; i < 2; i++)
		for (uint64_t j = 0; j < counts[i]; j++)
			read_relocation(elf,
					tables[i] + j * sizeof(Elf64_Rela));
	qsort(elf->slots, elf->slot_count, sizeof(*elf->slots), compare_slots);
}

const struct scan_slot *
scan_elf_slot(const struct scan_elf *elf, uint64_t address)
{
	const struct scan_slot key = { .address = address };

	return elf->slots == NULL ? NULL
				  : bsearch(&key, elf->slots, elf->slot_count,
					    sizeof(key), compare_slots);
}

/* --- functions ------------------------------------------------------------ */

static uint64_t
function_start(const struct scan_elf *elf, uint32_t index)
{
	return elf->frames + (int64_t)(int32_t)scan_read32(elf->functions +
							   (size_t)index * 8);
}

uint64_t
scan_elf_function(const struct scan_elf *elf, uint64_t address)
{
	uint32_t low = 0, high = elf->function_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (function_start(elf, middle) <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? 0 : function_start(elf, low - 1);
}

/* [endbr64] [bnd] jmp *slot(%rip) */
static bool
read_x86_stub(const struct scan_elf *elf, uint64_t address, uint64_t *slot)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	const uint8_t *code = scan_elf_at(elf, address, 16);
	int skip = 0;

	if (code == NULL)
		return false;
	if (memcmp(code, endbr64, sizeof(endbr64)) == 0)
		skip = sizeof(endbr64);
	if (code[skip] == 0xf2)
		skip++;
	if (code[skip] != 0xff || code[skip + 1] != 0x25)
		return false;
	*slot =
	    address + skip + 6 + (int64_t)(int32_t)scan_read32(code + skip + 2);
	return true;
}

/* [bti] adrp x16, slot; ldr x17, [x16, #slot] */
static bool
read_arm64_stub(const struct scan_elf *elf, uint64_t address, uint64_t *slot)
{
	const uint32_t bti = 0xd503245f;
	const uint8_t *code = scan_elf_at(elf, address, 12);
	uint32_t adrp, ldr;
	int64_t pages;

	if (code == NULL)
		return false;
	if (scan_read32(code) == bti) {
		code += 4;
		address += 4;
	}
	adrp = scan_read32(code);
	ldr = scan_read32(code + 4);
	if ((adrp & 0x9f00001f) != 0x90000010 ||
	    (ldr & 0xffc003ff) != 0xf9400211)
		return false;
	pages = (int64_t)((uint64_t)(adrp >> 5 & 0x7ffff) << 45 |
			  (uint64_t)(adrp >> 29 & 3) << 43) >>
		43;
	*slot = (address & ~UINT64_C(0xfff)) + (uint64_t)pages * 4096 +
		(ldr >> 10 & 0xfff) * 8;
	return true;
}

uint64_t
scan_elf_callee(const struct scan_elf *elf, uint64_t address)
{
	for (int i = 0; i < STUB_HOPS_MAX; i++) {
		const struct scan_slot *entry;
		uint64_t slot;
		bool stub = elf->machine == SCAN_X86_64
				? read_x86_stub(elf, address, &slot)
				: read_arm64_stub(elf, address, &slot);

		if (!stub)
			return scan_elf_is_code(elf, address) ? address : 0;
		entry = scan_elf_slot(elf, slot);
		if (entry == NULL)
			return 0;
		address = entry->target;
	}
	return 0;
}
