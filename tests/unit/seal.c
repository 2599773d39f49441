// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is a file sealed with just what its journals say, and stays it as it is
 * whenever something does not fit? Files and journals are made here, as
 * dumpcap and the savefiles make them.
 */
#define _GNU_SOURCE
#include "ebpftls-seal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "ebpftls-blocks.h"
#include "ebpftls-mark.h"
#include "ebpftls-reader.h"
#include "ebpftls-source.h"
#include "unit/check.h"

#define SECOND UINT64_C(1000000000)
#define START  (1000 * SECOND)

#define ACCESS	"system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

static char folder[] = "/tmp/ebpftls-seal.XXXXXX";
static char path[64];
static struct ebpftls_blocks file;
static struct ebpftls_blocks journal;
static struct ebpftls_slots *slots;
static char found[1024]; /* what is in the file afterwards */

/* --- files ---------------------------------------------------------------- */

static void
put_interface(struct ebpftls_blocks *blocks, const char *name, bool is_journal)
{
	const struct ebpftls_interface interface = {
		.name = name,
		.description = "",
		.linktype = 1,
		.snaplen = 65535,
		.nanoseconds = true,
		.journal = is_journal,
	};

	check(ebpftls_blocks_interface(blocks, &interface));
}

/* A packet of the letter; its time is the letter's place in the alphabet. */
static struct ebpftls_record
record(char letter)
{
	return (struct ebpftls_record){
		.time = START + (uint64_t)(letter - 'a') * SECOND,
		.caplen = 4,
		.len = 10,
	};
}

static void
put_packet(char letter, uint32_t interface)
{
	const struct ebpftls_record packet = record(letter);
	const uint8_t bytes[] = { (uint8_t)letter, 1, 2, 3 };
	const size_t at = file.size;

	check(ebpftls_blocks_packet(&file, &packet, true, bytes));
	memcpy(file.bytes + at + 8, &interface, sizeof(interface));
}

/* A mark whose options are a comment and the number of a process. */
static void
put_mark(char letter, const char *comment, uint32_t number)
{
	struct ebpftls_record packet = record(letter);
	const uint8_t bytes[] = { (uint8_t)letter, 1, 2, 3 };
	uint8_t options[1024], *at = options;

	if (comment != NULL) {
		at = ebpftls_blocks_option(at, EBPFTLS_COMMENT, comment,
					   strlen(comment));
		at = ebpftls_blocks_option(at, EBPFTLS_EPB_PROCESS, &number,
					   sizeof(number));
	}
	packet.options = options;
	packet.options_size = (size_t)(at - options);
	ebpftls_slots_mark(slots, &packet, bytes);
	check(ebpftls_blocks_packet(&journal, &packet, true, bytes));
}

static void
put_statistics(struct ebpftls_blocks *blocks, const char *comment)
{
	const struct ebpftls_totals totals = { .comment = comment };

	check(ebpftls_blocks_statistics(blocks, START, START + SECOND, true,
					&totals));
}

static void
begin_file(void)
{
	check(ebpftls_blocks_section(&file, "Dumpcap (Wireshark)"));
	put_interface(&file, "ebpftls:lo", false);
}

static void
begin_journal(const char *name)
{
	slots = ebpftls_slots_new();
	check(slots != NULL && ebpftls_blocks_section(&journal, "ebpftls"));
	put_interface(&journal, name, true);
}

static void
write_to(const char *name, struct ebpftls_blocks *blocks)
{
	const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	check(fd >= 0 &&
	      write(fd, blocks->bytes, blocks->size) == (ssize_t)blocks->size);
	close(fd);
}

static void
end_journal(uint32_t interface)
{
	char *name = ebpftls_source_path(path, interface);

	write_to(name, &journal);
	free(name);
	ebpftls_blocks_free(&journal);
	ebpftls_slots_free(slots);
}

/* --- what came of it ------------------------------------------------------ */

static void
say(const char *text, size_t size)
{
	strncat(found, text, size);
}

static void
say_options(const struct ebpftls_reader *reader,
	    const struct ebpftls_block *block)
{
	const size_t offset = ebpftls_block_options(reader, block);
	const uint8_t *at = block->bytes + offset;
	struct ebpftls_option_read option;
	uint32_t number;
	char text[16];

	for (; ebpftls_option_read(reader, at, block->bytes + block->size - 4,
				   &option);
	     at = option.next) {
		if (option.code == EBPFTLS_COMMENT) {
			say(":", 1);
			say((const char *)option.value, option.size);
		} else if (option.code == EBPFTLS_EPB_PROCESS &&
			   option.size == 4) {
			memcpy(&number, option.value, 4);
			snprintf(text, sizeof(text), "#%u", number);
			say(text, strlen(text));
		}
	}
}

/* One word for each block but the heads. */
static void
say_block(const struct ebpftls_reader *reader,
	  const struct ebpftls_block *block)
{
	uint32_t size;

	switch (block->type) {
	case EBPFTLS_BLOCK_SECTION:
	case EBPFTLS_BLOCK_INTERFACE:
		return;
	case EBPFTLS_BLOCK_PACKET:
		say((const char *)block->bytes + 28, 1);
		say_options(reader, block);
		break;
	case EBPFTLS_BLOCK_STATISTICS:
		say("end", 3);
		say_options(reader, block);
		break;
	case EBPFTLS_BLOCK_SECRETS:
		memcpy(&size, block->bytes + 12, sizeof(size));
		say("key=", 4);
		say((const char *)block->bytes + 16, size - 1);
		break;
	case EBPFTLS_BLOCK_PROCESS:
		say("process", 7);
		break;
	default:
		say("other", 5);
	}
	say(" ", 1);
}

/* What is in the file, in `found`. */
static void
read_file(void)
{
	const int fd = open(path, O_RDONLY);
	struct ebpftls_reader reader;
	struct ebpftls_block block;
	enum ebpftls_read status;

	found[0] = '\0';
	if (!check(fd >= 0) || !check(ebpftls_reader_init(&reader, fd)))
		return;
	while ((status = ebpftls_reader_next(&reader, &block)) ==
	       EBPFTLS_READ_BLOCK)
		say_block(&reader, &block);
	check(status == EBPFTLS_READ_END);
	ebpftls_reader_free(&reader);
	close(fd);
}

static bool
has_journal(uint32_t interface)
{
	char *name = ebpftls_source_path(path, interface);
	const bool there = access(name, F_OK) == 0;

	free(name);
	return there;
}

static bool
is_alone(void)
{
	char name[80];

	snprintf(name, sizeof(name), "%s.unfinished", path);
	return access(name, F_OK) != 0;
}

static void
forget(void)
{
	ebpftls_blocks_free(&file);
	ebpftls_sources_clear(path);
	unlink(path);
}

/* Seals, and looks at what is in the file. */
static void
look_for(const char *what, bool unfinished)
{
	struct ebpftls_seal seal = { .path = path, .unfinished = unfinished };

	write_to(path, &file);
	if (!check(ebpftls_seal(&seal) == 0))
		printf("  %s\n", seal.why);
	read_file();
	if (!check(strcmp(found, what) == 0))
		printf("  '%s', not '%s'\n", found, what);
	check(is_alone() && !has_journal(0) && !has_journal(1));
	forget();
}

/* That nothing is sealed, for this reason, and all is as before. */
static void
look_for_failure(struct ebpftls_seal *seal, const char *why)
{
	struct stat before, after;
	char what[sizeof(found)];

	check(stat(path, &before) == 0);
	read_file();
	strcpy(what, found);
	if (!check(ebpftls_seal(seal) == -1) ||
	    !check(strstr(seal->why, why) != NULL))
		printf("  '%s', not '%s'\n", seal->why, why);
	check(stat(path, &after) == 0 && before.st_ino == after.st_ino);
	read_file();
	check(strcmp(found, what) == 0);
	check(is_alone() && (has_journal(0) || has_journal(1)));
	forget();
}

static void
fails(const char *why, bool unfinished)
{
	struct ebpftls_seal seal = { .path = path, .unfinished = unfinished };

	write_to(path, &file);
	look_for_failure(&seal, why);
}

/* --- what is put in ------------------------------------------------------- */

static void
test_all(void)
{
	begin_file();
	put_packet('a', 0);
	put_packet('b', 0);
	put_packet('c', 0);
	put_statistics(&file, "counters");
	begin_journal("ebpftls:lo");
	ebpftls_blocks_process(&journal, 1, "x", 1);
	put_mark('a', "pid=1", 0);
	ebpftls_blocks_secrets(&journal, "one\n", 4);
	put_mark('b', "pid=1", 0);
	ebpftls_blocks_process(&journal, 2, "y", 1);
	put_mark('c', "pid=2", 1);
	ebpftls_blocks_secrets(&journal, "late\n", 5);
	put_statistics(&journal, "process pid=1");
	end_journal(0);
	look_for("process process a:pid=1#0 key=one b:pid=1#0 c:pid=2#1 "
		 "key=late end:counters:process pid=1 ",
		 false);
}

/* Rooms are as long as what came into them; empty ones are not there. */
static void
test_rooms(void)
{
	size_t at;

	begin_file();
	put_packet('a', 0);
	begin_journal("ebpftls:lo");
	at = ebpftls_blocks_empty_secrets(&journal, 1536);
	memcpy(journal.bytes + at, "one\ntwo\n", 8);
	ebpftls_blocks_empty_secrets(&journal, 1536);
	put_mark('a', NULL, 0);
	put_statistics(&journal, NULL);
	end_journal(0);
	look_for("key=one\ntwo a ", false);
}

/* A limit or a full queue keeps packets out of the file. */
static void
test_marks_too_many(void)
{
	begin_file();
	put_packet('b', 0);
	put_packet('d', 0);
	begin_journal("ebpftls:lo");
	put_mark('a', "pid=1", 0);
	ebpftls_blocks_secrets(&journal, "one\n", 4);
	put_mark('b', "pid=1", 0);
	put_mark('c', NULL, 0);
	put_mark('d', "pid=1", 0);
	ebpftls_blocks_secrets(&journal, "two\n", 4);
	put_mark('e', "pid=1", 0);
	ebpftls_blocks_secrets(&journal, "three\n", 6);
	put_mark('f', "pid=1", 0);
	put_statistics(&journal, NULL);
	end_journal(0);
	look_for("key=one b:pid=1#0 d:pid=1#0 key=two ", false);
}

/* Where there are no statistics, ours say only what we have to say. */
static void
test_no_statistics(void)
{
	begin_file();
	put_packet('a', 0);
	begin_journal("ebpftls:lo");
	put_mark('a', "pid=1", 0);
	put_statistics(&journal, "process pid=1");
	end_journal(0);
	look_for("a:pid=1#0 end:process pid=1 ", false);
}

static void
test_two_journals(void)
{
	begin_file();
	put_interface(&file, "ebpftls:any", false);
	put_packet('a', 0);
	put_packet('b', 1);
	put_packet('c', 0);
	begin_journal("ebpftls:lo");
	ebpftls_blocks_process(&journal, 1, "x", 1);
	put_mark('a', "lo", 0);
	put_mark('c', "lo", 0);
	put_statistics(&journal, NULL);
	end_journal(0);
	begin_journal("ebpftls:any");
	ebpftls_blocks_process(&journal, 1, "x", 1);
	ebpftls_blocks_secrets(&journal, "one\n", 4);
	put_mark('b', "any", 0);
	put_statistics(&journal, NULL);
	end_journal(1);
	look_for("process process a:lo#0 key=one b:any#1 c:lo#0 ", false);
}

/* Its packets may be the first of a connection. */
static void
test_plain_interface(void)
{
	begin_file();
	put_interface(&file, "lo", false);
	put_packet('z', 1);
	put_packet('a', 0);
	begin_journal("ebpftls:lo");
	ebpftls_blocks_secrets(&journal, "one\n", 4);
	put_mark('a', NULL, 0);
	put_statistics(&journal, NULL);
	end_journal(0);
	look_for("key=one z a ", false);
}

/* Enough owners that slots are used again, and options too long for any. */
static void
test_slots(void)
{
	char what[sizeof(found)] = "", comment[601];

	begin_file();
	begin_journal("ebpftls:lo");
	for (uint32_t i = 0; i < 2000; i++) {
		const uint32_t pid = check_random(600);
		const bool last = i >= 1990;

		snprintf(comment, sizeof(comment), "pid=%u", pid);
		put_mark(last ? 'b' : 'a', comment, pid);
		if (!last)
			continue;
		put_packet('b', 0);
		snprintf(what + strlen(what), 32, "b:pid=%u#%u ", pid, pid);
	}
	memset(comment, 'x', 600);
	comment[600] = '\0';
	put_packet('c', 0);
	put_mark('c', comment, 1);
	snprintf(what + strlen(what), 700, "c:%s#1 ", comment);
	put_packet('d', 0);
	put_mark('d', NULL, 0);
	strcat(what, "d ");
	put_statistics(&journal, NULL);
	end_journal(0);
	look_for(what, false);
}

/* --- what does not fit ---------------------------------------------------- */

/* A file of a and b, and a journal of a and what is given. */
static void
make_pair(char second, bool whole)
{
	begin_file();
	put_packet('a', 0);
	put_packet('b', 0);
	begin_journal("ebpftls:lo");
	put_mark('a', "pid=1", 0);
	if (second != 0)
		put_mark(second, "pid=1", 0);
	if (whole)
		put_statistics(&journal, NULL);
	end_journal(0);
}

static void
test_other_packets(void)
{
	make_pair('c', true);
	fails("packet 2 is not of its capture", false);
	make_pair('c', true);
	fails("packet 2 is not of its capture", true);
	make_pair(0, true);
	fails("packet 2 is not of its capture", true);
	make_pair('c', false);
	fails("packet 2 is not of its capture", true);
}

static void
test_other_bytes(void)
{
	make_pair('b', true);
	file.bytes[file.size - 8]++;
	fails("packet 2 is not of its capture", false);
}

static void
test_unfinished(void)
{
	make_pair('b', false);
	fails("its journal is not complete", false);
	make_pair('b', false);
	look_for("a:pid=1#0 b:pid=1#0 ", true);
	make_pair(0, false);
	look_for("a:pid=1#0 b ", true);
}

/* Nothing that was kept is the file's. */
static void
test_none_of_it(void)
{
	begin_file();
	put_packet('x', 0);
	begin_journal("ebpftls:lo");
	put_mark('a', "pid=1", 0);
	end_journal(0);
	fails("packet 1 is not of its capture", true);
}

static void
test_half_a_block(void)
{
	make_pair('b', true);
	file.size -= 8;
	{
		struct ebpftls_seal seal = { .path = path };
		struct stat status;

		write_to(path, &file);
		check(ebpftls_seal(&seal) == -1);
		check(stat(path, &status) == 0 &&
		      (size_t)status.st_size == file.size);
		seal.unfinished = true;
		check(ebpftls_seal(&seal) == 0 && seal.cut == 28);
		read_file();
		check(strcmp(found, "a:pid=1#0 ") == 0);
		forget();
	}
}

static void
test_other_file(void)
{
	struct ebpftls_seal seal = { .path = path, .inode = 1 };

	make_pair('b', true);
	write_to(path, &file);
	look_for_failure(&seal, "another file in its place");
}

static void
test_other_interface(void)
{
	begin_file();
	put_packet('a', 0);
	begin_journal("ebpftls:eth0");
	put_mark('a', NULL, 0);
	put_statistics(&journal, NULL);
	end_journal(0);
	fails("its journal is of another interface", false);
}

static void
test_sealed_already(void)
{
	make_pair('b', true);
	ebpftls_blocks_process(&file, 1, "x", 1);
	fails("it names processes already", false);
}

static void
test_no_pcapng(void)
{
	make_pair('b', true);
	file.bytes[0]++;
	{
		struct ebpftls_seal seal = { .path = path };

		write_to(path, &file);
		check(ebpftls_seal(&seal) == -1);
		check(strstr(seal.why, "not a whole pcapng file") != NULL);
		forget();
	}
}

static void
test_links(void)
{
	char other[80];

	snprintf(other, sizeof(other), "%s.link", path);
	make_pair('b', true);
	write_to(path, &file);
	check(link(path, other) == 0);
	fails("no file of just one name", false);
	unlink(other);
	make_pair('b', true);
	write_to(other, &file);
	check(symlink(other, path) == 0);
	{
		struct ebpftls_seal seal = { .path = path };

		check(ebpftls_seal(&seal) == -1);
		forget();
	}
	unlink(other);
}

/* Of the journal: whoever could write it could write our file. */
static void
test_mode_of_journal(void)
{
	char *name = ebpftls_source_path(path, 0);

	make_pair('b', true);
	check(chmod(name, 0660) == 0);
	fails("others could have written it", false);
	check(unlink(name) == 0);
	free(name);
}

static void
test_in_use(void)
{
	char *name = ebpftls_source_path(path, 0);
	int fd;

	make_pair('b', true);
	fd = open(name, O_RDWR);
	check(flock(fd, LOCK_EX | LOCK_NB) == 0);
	write_to(path, &file);
	check(!ebpftls_sources_clear(path));
	check(has_journal(0));
	fails("still going on", true);
	close(fd);
	check(ebpftls_sources_clear(path));
	check(!has_journal(0));
	free(name);
}

static void
test_broken_journal(void)
{
	char *name = ebpftls_source_path(path, 0);

	for (size_t at = 8; at < 700; at += 4) {
		struct ebpftls_seal seal = { .path = path, .unfinished = true };
		uint8_t byte;
		int fd;

		make_pair('b', true);
		write_to(path, &file);
		fd = open(name, O_RDWR);
		if (pread(fd, &byte, 1, (off_t)at) == 1) {
			byte ^= 0x55;
			check(pwrite(fd, &byte, 1, (off_t)at) == 1);
		}
		close(fd);
		/* whatever it does: the packets are there */
		ebpftls_seal(&seal);
		read_file();
		check(found[0] == 'a' && strstr(found, " b") != NULL);
		forget();
	}
	free(name);
}

static void
test_mode_is_kept(void)
{
	struct ebpftls_seal seal = { .path = path };
	struct stat status;

	make_pair('b', true);
	write_to(path, &file);
	check(chmod(path, 0640) == 0);
	if (geteuid() == 0)
		check(chown(path, 12, 34) == 0);
	check(ebpftls_seal(&seal) == 0 && stat(path, &status) == 0);
	check((status.st_mode & 07777) == 0640);
	if (geteuid() == 0)
		check(status.st_uid == 12 && status.st_gid == 34);
	forget();
}

/* The owner, one user, the group, the mask of these, others: as on the disk. */
static const uint16_t acl[] = { 2,  0,		       /* the version */
				1,  6, 0xffff, 0xffff, /* owner: rw */
				2,  4, 1234,   0,      /* user 1234: r */
				4,  0, 0xffff, 0xffff, /* group: nothing */
				16, 4, 0xffff, 0xffff, /* mask: r */
				32, 0, 0xffff, 0xffff };

static bool
has_acls(void)
{
	if (setxattr(folder, DEFAULT, acl, sizeof(acl), 0) != 0)
		return false;
	removexattr(folder, DEFAULT);
	return true;
}

/* With it the group can read nothing, though the mode looks as if. */
static void
test_acl_is_kept(void)
{
	struct ebpftls_seal seal = { .path = path };
	struct stat status;
	uint8_t kept[2 * sizeof(acl)];

	if (!has_acls()) {
		check_skip("no ACLs here");
		return;
	}
	make_pair('b', true);
	write_to(path, &file);
	check(setxattr(path, ACCESS, acl, sizeof(acl), 0) == 0);
	check(stat(path, &status) == 0 && (status.st_mode & 07777) == 0640);
	check(ebpftls_seal(&seal) == 0);
	check(stat(path, &status) == 0 && (status.st_mode & 07777) == 0640);
	if (check(getxattr(path, ACCESS, kept, sizeof(kept)) == sizeof(acl)))
		check_bytes(kept, acl, sizeof(acl));
	forget();
}

/* The folder's default is none that the file has. */
static void
test_no_acl_is_added(void)
{
	struct ebpftls_seal seal = { .path = path };
	struct stat status;

	if (!has_acls()) {
		check_skip("no ACLs here");
		return;
	}
	make_pair('b', true);
	write_to(path, &file);
	check(chmod(path, 0640) == 0);
	check(setxattr(folder, DEFAULT, acl, sizeof(acl), 0) == 0);
	check(ebpftls_seal(&seal) == 0);
	check(removexattr(folder, DEFAULT) == 0);
	check(stat(path, &status) == 0 && (status.st_mode & 07777) == 0640);
	check(getxattr(path, ACCESS, NULL, 0) < 0 && errno == ENODATA);
	forget();
}

/* Who has it open sees nothing in it. */
static void
test_wiped(void)
{
	struct ebpftls_seal seal = { .path = path };
	char *name = ebpftls_source_path(path, 0);
	struct stat status;
	uint8_t byte;
	int fd;

	make_pair('b', true);
	write_to(path, &file);
	fd = open(name, O_RDONLY);
	check(fstat(fd, &status) == 0 && status.st_size > 0);
	check(ebpftls_seal(&seal) == 0);
	for (off_t at = 0; at < status.st_size; at++)
		check(pread(fd, &byte, 1, at) == 1 && byte == 0);
	close(fd);
	free(name);
	forget();
}

/* What an earlier one has left, which did not get to its end. */
static void
test_again(void)
{
	struct ebpftls_blocks nothing = { .size = 0 };
	char name[80];

	snprintf(name, sizeof(name), "%s.unfinished", path);
	write_to(name, &nothing);
	make_pair('b', true);
	look_for("a:pid=1#0 b:pid=1#0 ", false);
}

/* What another one is just making stays its own. */
static void
test_at_once(void)
{
	struct ebpftls_blocks nothing = { .size = 0 };
	struct ebpftls_seal seal = { .path = path };
	char name[80];
	int fd;

	snprintf(name, sizeof(name), "%s.unfinished", path);
	write_to(name, &nothing);
	fd = open(name, O_RDONLY);
	check(flock(fd, LOCK_EX | LOCK_NB) == 0);
	make_pair('b', true);
	write_to(path, &file);
	check(ebpftls_seal(&seal) == -1);
	check(strstr(seal.why, "another one is") != NULL);
	check(!is_alone() && has_journal(0));
	close(fd);
	look_for("a:pid=1#0 b:pid=1#0 ", false);
}

static void
test_nothing_kept(void)
{
	struct ebpftls_seal seal = { .path = path };

	begin_file();
	write_to(path, &file);
	check(ebpftls_seal(&seal) == 1);
	forget();
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "seal: secrets, processes, statistics", test_all },
		{ "seal: rooms", test_rooms },
		{ "seal: marks without packets", test_marks_too_many },
		{ "seal: a file without statistics", test_no_statistics },
		{ "seal: two journals", test_two_journals },
		{ "seal: an interface of another kind", test_plain_interface },
		{ "seal: many owners", test_slots },
		{ "seal: packets of another capture", test_other_packets },
		{ "seal: packets that were changed", test_other_bytes },
		{ "seal: a capture that was killed", test_unfinished },
		{ "seal: nothing of the journal's", test_none_of_it },
		{ "seal: half a block at the end", test_half_a_block },
		{ "seal: another file of that name", test_other_file },
		{ "seal: another interface's journal", test_other_interface },
		{ "seal: a file that was sealed", test_sealed_already },
		{ "seal: another kind of file", test_no_pcapng },
		{ "seal: links", test_links },
		{ "seal: whose the journal is", test_mode_of_journal },
		{ "seal: a journal in use", test_in_use },
		{ "seal: broken journals", test_broken_journal },
		{ "seal: owner and mode", test_mode_is_kept },
		{ "seal: an ACL", test_acl_is_kept },
		{ "seal: a folder's default ACL", test_no_acl_is_added },
		{ "seal: the journal is overwritten", test_wiped },
		{ "seal: once more", test_again },
		{ "seal: two at once", test_at_once },
		{ "seal: no journal", test_nothing_kept },
		{ NULL, NULL },
	};
	int status;

	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	snprintf(path, sizeof(path), "%s/file", folder);
	status = check_main(cases);
	rmdir(folder);
	return status;
}
