// SPDX-License-Identifier: BSD-3-Clause
#include "ebpftls-write.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

size_t
ebpftls_write_all(int fd, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;
	size_t written = 0;

	while (written < size) {
		const ssize_t done = write(fd, from + written, size - written);

		if (done < 0 && errno != EINTR)
			break;
		if (done > 0)
			written += (size_t)done;
	}
	return written;
}
