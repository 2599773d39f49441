// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is dumpcap in Wireshark's service told from one that a person started, and
 * from all other programs?
 */
#include "ebpftls-wireshark.h"

#include "unit/check.h"

#define IS_CHILD(words) ebpftls_wireshark_is_child(words, sizeof(words))

static void
children(void)
{
	check(IS_CHILD("/usr/bin/dumpcap\0-D\0-Z\0none"));
	check(IS_CHILD("dumpcap\0-n\0-i\0ebpftls:lo\0-Z\0none"));
	check(IS_CHILD("dumpcap\0-S\0-Znone"));
}

static void
others(void)
{
	check(!IS_CHILD("dumpcap\0-i\0ebpftls:lo\0-w\0file"));
	check(!IS_CHILD("dumpcap\0-i\0lo\0-f\0port 1 -Z"));
	check(!IS_CHILD("/usr/bin/tcpdump\0-Z\0root"));
	check(!IS_CHILD("-Z"));
	check(!IS_CHILD("dumpcap"));
	check(!IS_CHILD(""));
	check(!ebpftls_wireshark_reads());
}

/* What does not end with a 0 was cut: nothing is known of its last word. */
static void
cut(void)
{
	static const char words[] = "dumpcap\0-Z\0none";

	check(!ebpftls_wireshark_is_child(words, 0));
	check(!ebpftls_wireshark_is_child(words, 7));
	check(!ebpftls_wireshark_is_child(words, 10));
	check(ebpftls_wireshark_is_child(words, 11));
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "what Wireshark starts", children },
		{ "what it does not", others },
		{ "a command line that was cut", cut },
		{ NULL, NULL },
	};

	return check_main(cases);
}
