// SPDX-License-Identifier: BSD-3-Clause
/*
 * Recognises dumpcap in the service of Wireshark or tshark: by -Z, which only
 * programs give it, for it makes its messages unreadable to people.
 */
#include "ebpftls-wireshark.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Filters make command lines long; what a list is asked for with is short. */
#define WORDS_SIZE 4096

static bool
is_dumpcap(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash != NULL ? slash + 1 : path, "dumpcap") == 0;
}

bool
ebpftls_wireshark_is_child(const char *words, size_t size)
{
	const char *end = words + size;
	bool first = true;

	while (words < end) {
		size_t length = strnlen(words, (size_t)(end - words));

		if (words + length == end)
			return false;
		if (first && !is_dumpcap(words))
			return false;
		if (!first && strncmp(words, "-Z", 2) == 0)
			return true;
		words += length + 1;
		first = false;
	}
	return false;
}

bool
ebpftls_wireshark_reads(void)
{
	char words[WORDS_SIZE];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (fd < 0)
		return false;
	size = read(fd, words, sizeof(words));
	close(fd);
	return size > 0 && ebpftls_wireshark_is_child(words, (size_t)size);
}
