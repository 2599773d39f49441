// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any instructions for a classic program. What is translated must be what
 * the verifier takes; the input's first byte has the options.
 */
#include "cbpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>

#include "cbpf/verifier.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool
is_refusal(int result)
{
	return result == -EINVAL || result == -ENOTSUP || result == -E2BIG;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const uint32_t link_sizes[] = { 0, 16, 20, 14 };
	struct cbpf_options options = { .accept = 1, .reject = -1 };
	struct bpf_insn *insns = NULL;
	struct sock_filter *program;
	size_t count;
	int result;

	if (size == 0)
		return 0;
	options.link_size = link_sizes[bytes[0] & 3];
	options.outgoing = bytes[0] & 4;
	options.reject = bytes[0] & 8 ? 2 : -1;
	count = (size - 1) / sizeof(*program);
	program = malloc(count * sizeof(*program) + 1);
	require(program != NULL);
	memcpy(program, bytes + 1, count * sizeof(*program));
	result = cbpf_translate(program, count, &options, &insns);
	if (result < 0) {
		require(is_refusal(result) && insns == NULL);
	} else {
		require(result <= INT16_MAX);
		require(verifier_takes(insns, (size_t)result));
	}
	free(insns);
	free(program);
	return 0;
}
