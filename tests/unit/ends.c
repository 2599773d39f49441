// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is the process that PKTAP names the one that is shown, and nothing that a
 * name may contain taken for anything else?
 */
#include "ends.h"

#include "unit/check.h"

#include "ebpftls-pktap.h"

static const struct ebpftls_owner curl = { .pid = 1234,
					   .kind = EBPFTLS_OF_PROCESS,
					   .comm = "curl" };
static const struct ebpftls_owner nginx = { .pid = 56,
					    .kind = EBPFTLS_OF_PROCESS,
					    .comm = "nginx" };
static const struct ebpftls_owner kernel = { .kind = EBPFTLS_OF_KERNEL };

/* From what the module writes to what is shown, without blanks after it. */
static void
expect(const struct ebpftls_owner *sender, const struct ebpftls_owner *receiver,
       const char *want)
{
	struct ebpftls_pktap facts = { .interface = "lo",
				       .sender = sender,
				       .receiver = receiver };
	uint8_t header[EBPFTLS_PKTAP_SIZE];
	char text[ENDS_TEXT_SIZE];
	struct ends ends;
	int width = 0;

	ebpftls_pktap_write(header, &facts);
	check(ends_read(header, sizeof(header), &ends) == sizeof(header));
	ends_show(&ends, false, &width, text);
	check_bytes(text, want, strlen(want) + 1);
}

static void
who(void)
{
	expect(&curl, NULL, "curl[1234]");
	expect(NULL, &curl, "curl[1234]");
	expect(&curl, &nginx, "curl[1234] > nginx[56]");
	expect(&kernel, &nginx, "kernel > nginx[56]");
	expect(&nginx, &kernel, "nginx[56] > kernel");
	expect(NULL, NULL, "");
}

/* The header names it, without a pid. */
static void
unknown(void)
{
	struct ends ends = { { UINT32_MAX, "?" }, { 56, "nginx" } };
	char text[ENDS_TEXT_SIZE];
	int width = 0;

	ends_show(&ends, false, &width, text);
	check_bytes(text, "? > nginx[56]", 14);
}

static void
hostile(void)
{
	struct ebpftls_owner owner = { .pid = 7, .kind = EBPFTLS_OF_PROCESS };
	struct ends ends = { { UINT32_MAX - 1, "" }, { UINT32_MAX - 1, "" } };
	char text[ENDS_TEXT_SIZE];
	int width = 0;

	strcpy(owner.comm, "a[1] > b\\\033\n\x80");
	expect(&owner, NULL, "a[1]\\x20>\\x20b\\x5c\\x1b\\x0a\\x80[7]");
	strcpy(owner.comm, "kernel");
	expect(&owner, NULL, "kernel[7]");
	strcpy(owner.comm, "?");
	expect(&owner, NULL, "?[7]");
	strcpy(owner.comm, "");
	expect(&owner, NULL, "[7]");

	memset(ends.first.name, 0xff, sizeof(ends.first.name));
	memset(ends.second.name, 0xff, sizeof(ends.second.name));
	ends_show(&ends, true, &width, text);
	check(width == 2 * (4 * ENDS_NAME_SIZE + 12) + 3);
	check(strlen(text) < sizeof(text));
}

static void
widths(void)
{
	struct ends none = { { UINT32_MAX, "" }, { UINT32_MAX, "" } };
	struct ends one = { { 1234, "curl" }, { UINT32_MAX, "" } };
	char text[ENDS_TEXT_SIZE];
	int width = 4;

	ends_show(&none, false, &width, text);
	check_bytes(text, "    ", 5);
	ends_show(&one, false, &width, text);
	check_bytes(text, "curl[1234]", 11);
	ends_show(&none, false, &width, text);
	check_bytes(text, "          ", 11);
	check(width == 10);
}

static void
broken(void)
{
	uint8_t header[EBPFTLS_PKTAP_SIZE + 8] = { 0 };
	struct ends ends;

	header[0] = EBPFTLS_PKTAP_SIZE;
	check(ends_read(header, sizeof(header), &ends) == EBPFTLS_PKTAP_SIZE);
	check(ends_read(header, EBPFTLS_PKTAP_SIZE - 1, &ends) == 0);
	header[0] = EBPFTLS_PKTAP_SIZE + 8;
	check(ends_read(header, sizeof(header), &ends) == sizeof(header));
	check(ends_read(header, sizeof(header) - 1, &ends) == 0);
	header[0] = EBPFTLS_PKTAP_SIZE - 1;
	check(ends_read(header, sizeof(header), &ends) == 0);
	header[3] = 0x80;
	check(ends_read(header, sizeof(header), &ends) == 0);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "who sends and who gets", who },
		{ "a process that is not known", unknown },
		{ "hostile names", hostile },
		{ "the column only grows", widths },
		{ "headers that are none", broken },
		{ NULL, NULL },
	};

	return check_main(cases);
}
