// SPDX-License-Identifier: BSD-3-Clause
/* Reads hello messages (RFC 5246 and 8446), which may be cut at their end. */
#include "hello.h"

#include <string.h>

#include "ebpftls-tls.h"

#define EXTENSION_ENCRYPT_THEN_MAC   22
#define EXTENSION_EARLY_DATA	     42
#define EXTENSION_SUPPORTED_VERSIONS 43

struct view {
	const uint8_t *at;
	uint32_t left;
};

static uint16_t
be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static bool
advance(struct view *view, uint32_t bytes)
{
	if (view->left < bytes)
		return false;
	view->at += bytes;
	view->left -= bytes;
	return true;
}

/* Behind a length of one or two bytes. */
static bool
skip_vector(struct view *view, uint32_t length_size)
{
	const uint8_t *at = view->at;

	return advance(view, length_size) &&
	       advance(view, length_size == 1 ? at[0] : be16(at));
}

/* Where it is cut it may still offer this. */
static bool
offers_early_data(struct view view)
{
	if (!skip_vector(&view, 1) || !skip_vector(&view, 2) ||
	    !skip_vector(&view, 1) || !advance(&view, 2))
		return false;
	while (view.left >= 4) {
		if (be16(view.at) == EXTENSION_EARLY_DATA)
			return true;
		advance(&view, 2);
		if (!skip_vector(&view, 2))
			return true;
	}
	return false;
}

bool
hello_read_client(struct hello_client *hello, const uint8_t *bytes,
		  uint32_t size)
{
	struct view view = { bytes, size };

	if (!advance(&view, 2 + RECORD_RANDOM))
		return false;
	memcpy(hello->random, bytes + 2, RECORD_RANDOM);
	hello->early = offers_early_data(view);
	return true;
}

static void
take_extensions(struct hello_server *hello, struct view view)
{
	while (view.left >= 4) {
		const uint8_t *head = view.at;
		const uint16_t size = be16(head + 2);

		if (!advance(&view, 4u + size))
			return;
		if (be16(head) == EXTENSION_ENCRYPT_THEN_MAC)
			hello->encrypt_then_mac = true;
		if (be16(head) == EXTENSION_SUPPORTED_VERSIONS && size == 2)
			hello->version = be16(head + 4);
	}
}

bool
hello_read_server(struct hello_server *hello, const uint8_t *bytes,
		  uint32_t size)
{
	struct view view = { bytes, size };

	if (!advance(&view, 2 + RECORD_RANDOM) || !skip_vector(&view, 1) ||
	    view.left < 3 || ebpftls_tls_is_retry(bytes + 2))
		return false;
	memcpy(hello->random, bytes + 2, RECORD_RANDOM);
	hello->version = be16(bytes);
	hello->suite = be16(view.at);
	hello->encrypt_then_mac = false;
	/* suite, compression, length of the extensions */
	if (advance(&view, 5))
		take_extensions(hello, view);
	return true;
}
