// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is the header of PKTAP the one that its readers know? What is expected is
 * written out byte for byte.
 */
#include "ebpftls-pktap.h"

#include <arpa/inet.h>

#include "unit/check.h"

#define NOBODY "\xff\xff\xff\xff"

static const struct ebpftls_owner curl = {
	.kind = EBPFTLS_OF_PROCESS,
	.pid = 0x01020304,
	.tid = 7,
	.comm = "curl",
};
static const struct ebpftls_owner longest = {
	.kind = EBPFTLS_OF_PROCESS,
	.pid = 5,
	.comm = "fifteen letters",
};
static const struct ebpftls_owner kernel = { .kind = EBPFTLS_OF_KERNEL };
static const struct ebpftls_owner unknown = { .kind = EBPFTLS_OF_UNKNOWN };

/* Writes a header; what is not asked for is as in whole_header(). */
static void
write_header(uint8_t header[EBPFTLS_PKTAP_SIZE],
	     const struct ebpftls_owner *sender,
	     const struct ebpftls_owner *receiver)
{
	const struct ebpftls_pktap facts = {
		.interface = "eth0",
		.dlt = 276,
		.link_size = 20,
		.protocol_be = htons(0x0800),
		.outgoing = true,
		.sender = sender,
		.receiver = receiver,
	};

	memset(header, 0xee, EBPFTLS_PKTAP_SIZE);
	ebpftls_pktap_write(header, &facts);
}

static void
whole_header(void)
{
	static const uint8_t want[EBPFTLS_PKTAP_SIZE + 1] =
	    "\x6c\0\0\0\x01\0\0\0\x14\x01\0\0"
	    "eth0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
	    "\x02\0\0\0\x02\0\0\0\x14\0\0\0\0\0\0\0"
	    "\x04\x03\x02\x01"
	    "curl\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
	    "\0\0\0\0\0\0\0\0"
	    "\x05\0\0\0"
	    "fifteen letters\0\0\0\0\0";
	uint8_t header[EBPFTLS_PKTAP_SIZE];

	write_header(header, &curl, &longest);
	check_bytes(header, want, sizeof(header));
}

static void
who(void)
{
	static const struct {
		const struct ebpftls_owner *sender, *receiver;
		const char *pid, *comm, *effective_pid, *effective_comm;
	} cases[] = {
		{ NULL, NULL, NOBODY, "", NOBODY, "" },
		{ &curl, NULL, "\4\3\2\1", "curl", NOBODY, "" },
		{ NULL, &curl, "\4\3\2\1", "curl", NOBODY, "" },
		{ &kernel, NULL, "\0\0\0", "kernel", NOBODY, "" },
		{ &curl, &kernel, "\4\3\2\1", "curl", "\0\0\0", "kernel" },
		{ NULL, &unknown, NOBODY, "unknown", NOBODY, "" },
		{ &unknown, &curl, NOBODY, "unknown", "\4\3\2\1", "curl" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t header[EBPFTLS_PKTAP_SIZE];
		char comm[20] = "", effective_comm[20] = "";

		write_header(header, cases[i].sender, cases[i].receiver);
		strcpy(comm, cases[i].comm);
		strcpy(effective_comm, cases[i].effective_comm);
		check_bytes(header + 52, cases[i].pid, 4);
		check_bytes(header + 56, comm, 20);
		check_bytes(header + 84, cases[i].effective_pid, 4);
		check_bytes(header + 88, effective_comm, 20);
	}
}

static void
family_and_direction(void)
{
	static const struct {
		uint16_t protocol;
		bool outgoing;
		uint8_t family, flags;
	} cases[] = {
		{ 0x0800, false, 2, 1 },
		{ 0x86dd, true, 30, 2 },
		{ 0x0806, false, 0, 1 },
		{ 0x8100, false, 0, 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct ebpftls_pktap facts = {
			.interface = "",
			.dlt = 1,
			.link_size = 14,
			.protocol_be = htons(cases[i].protocol),
			.outgoing = cases[i].outgoing,
		};
		uint8_t header[EBPFTLS_PKTAP_SIZE];

		ebpftls_pktap_write(header, &facts);
		check(header[8] == 1 && header[12] == 0 && header[44] == 14);
		check(header[36] == cases[i].flags);
		check(header[40] == cases[i].family);
	}
}

/* A name that is too long is cut, and still ends with a 0. */
static void
long_interface(void)
{
	const struct ebpftls_pktap facts = {
		.interface = "abcdefghijklmnopqrstuvwxyz",
		.dlt = 12,
	};
	uint8_t header[EBPFTLS_PKTAP_SIZE];

	ebpftls_pktap_write(header, &facts);
	check_bytes(header + 12, "abcdefghijklmnopqrstuvw", 24);
	check(header[36] == 1);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "a whole header", whole_header },
		{ "who sent and who receives", who },
		{ "family and direction", family_and_direction },
		{ "a long name", long_interface },
		{ NULL, NULL },
	};

	return check_main(cases);
}
