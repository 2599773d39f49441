// SPDX-License-Identifier: BSD-3-Clause
/*
 * TLS records: a header of five bytes with type, version and length, wherever
 * TCP has cut. Only hello messages are looked into: they are the first that
 * their side sends in the clear, so each begins a record.
 */
#include "ebpftls-tls.h"

#include <string.h>

#define RECORD_CCS	 0x14
#define RECORD_HANDSHAKE 0x16
#define RECORD_DATA	 0x17
#define RECORD_HEARTBEAT 0x18

#define HEADER_SIZE  5
#define TAG_SIZE     16 /* no record that authenticates is shorter */
#define CONTENT_MAX  (16384 + 2048)
#define MESSAGE_SIZE 4 /* type and length */
#define RANDOM_AT    (MESSAGE_SIZE + 2)
#define RANDOM_END   (RANDOM_AT + EBPFTLS_TLS_RANDOM_SIZE)

#define DTLS_HEADER_SIZE  EBPFTLS_DTLS_HEADER_SIZE
#define DTLS_EPOCH_AT	  3
#define DTLS_LENGTH_AT	  11
#define DTLS_MESSAGE_SIZE 12
#define DTLS_OFFSET_AT	  (DTLS_HEADER_SIZE + 6) /* of a fragment */
#define DTLS_RANDOM_AT	  (DTLS_HEADER_SIZE + DTLS_MESSAGE_SIZE + 2)

static uint16_t
be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

bool
ebpftls_tls_is_header(const uint8_t header[HEADER_SIZE])
{
	return header[0] >= RECORD_CCS && header[0] <= RECORD_HEARTBEAT &&
	       header[1] == 3 && header[2] <= 4 &&
	       be16(header + 3) <= CONTENT_MAX;
}

bool
ebpftls_tls_begins(const uint8_t *bytes, uint32_t caplen)
{
	if (caplen == 0 || bytes[0] != RECORD_HANDSHAKE)
		return false;
	return (caplen < 2 || bytes[1] == 3) && (caplen < 3 || bytes[2] <= 4) &&
	       (caplen < 5 || ebpftls_tls_is_header(bytes)) &&
	       (caplen < 6 || bytes[5] == EBPFTLS_TLS_CLIENT_HELLO);
}

bool
ebpftls_tls_is_data(const uint8_t *bytes, uint32_t caplen)
{
	return caplen >= HEADER_SIZE && bytes[0] == RECORD_DATA &&
	       ebpftls_tls_is_header(bytes) && bytes[2] == 3 &&
	       be16(bytes + 3) >= TAG_SIZE;
}

void
ebpftls_tls_await(struct ebpftls_tls_stream *stream,
		  enum ebpftls_tls_message message)
{
	stream->awaited = (uint8_t)message;
	stream->hello_have = 0;
}

/* What is wanted of the message is there, or cannot be had. */
static void
stop_waiting(struct ebpftls_tls_stream *stream)
{
	stream->awaited = 0;
}

static void
lose(struct ebpftls_tls_stream *stream)
{
	stream->lost = true;
	stream->left = 0;
	stream->header_have = 0;
}

/* Goes over bytes that are not to be had. */
static void
skip(struct ebpftls_tls_stream *stream, uint32_t bytes)
{
	if (bytes == 0)
		return;
	if (stream->hello_have > 0 ||
	    (stream->left > 0 && stream->header[0] == RECORD_HANDSHAKE))
		stop_waiting(stream);
	if (stream->lost || bytes > stream->left)
		lose(stream);
	else
		stream->left -= (uint16_t)bytes;
}

/* How much of the message has to be there, as far as it tells so far. */
static uint32_t
hello_wanted(const struct ebpftls_tls_stream *stream)
{
	if (stream->awaited == EBPFTLS_TLS_CLIENT_HELLO)
		return RANDOM_END;
	if (stream->hello_have <= RANDOM_END)
		return RANDOM_END + 1;
	return RANDOM_END + 1u + stream->hello[RANDOM_END] + 2;
}

static bool
is_hello(const struct ebpftls_tls_stream *stream)
{
	const uint8_t *hello = stream->hello;

	return hello[0] == stream->awaited &&
	       (stream->hello_have <= RANDOM_END ||
		stream->awaited == EBPFTLS_TLS_CLIENT_HELLO ||
		hello[RANDOM_END] <= 32);
}

/* Takes content of a handshake record while a hello message is awaited. */
static unsigned int
take_hello(struct ebpftls_tls_stream *stream, const uint8_t *bytes,
	   uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		stream->hello[stream->hello_have++] = bytes[i];
		if (!is_hello(stream)) {
			stop_waiting(stream);
			return 0;
		}
		if (stream->hello_have == hello_wanted(stream)) {
			stop_waiting(stream);
			return EBPFTLS_TLS_SEEN_HELLO;
		}
	}
	return 0;
}

/* A record begins. */
static unsigned int
take_header(struct ebpftls_tls_stream *stream)
{
	stream->header_have = 0;
	if (!ebpftls_tls_is_header(stream->header)) {
		lose(stream);
		return 0;
	}
	stream->left = be16(stream->header + 3);
	if (stream->header[0] == RECORD_CCS)
		return EBPFTLS_TLS_SEEN_CCS;
	if (stream->header[0] == RECORD_DATA)
		return EBPFTLS_TLS_SEEN_DATA;
	return 0;
}

static unsigned int
take(struct ebpftls_tls_stream *stream, const uint8_t *bytes, uint32_t count)
{
	unsigned int seen = 0;

	while (count > 0 && !stream->lost) {
		uint32_t n = stream->left < count ? stream->left : count;

		if (n > 0) {
			if (stream->awaited != 0 &&
			    stream->header[0] == RECORD_HANDSHAKE)
				seen |= take_hello(stream, bytes, n);
			stream->left -= (uint16_t)n;
		} else {
			n = 1;
			stream->header[stream->header_have++] = *bytes;
			if (stream->header_have == HEADER_SIZE)
				seen |= take_header(stream);
		}
		bytes += n;
		count -= n;
	}
	return seen;
}

/*
 * Whether to let go by what comes behind a gap: the message that is awaited is
 * in it, and so comes later. If the capture itself has lost the gap it never
 * comes; then the message may begin here.
 */
static bool
waits_for_gap(const struct ebpftls_tls_stream *stream, const uint8_t *bytes,
	      uint32_t caplen)
{
	if (stream->awaited == 0 || stream->lost)
		return false;
	return caplen < HEADER_SIZE || bytes[0] != RECORD_HANDSHAKE ||
	       !ebpftls_tls_is_header(bytes) ||
	       (caplen > HEADER_SIZE && bytes[HEADER_SIZE] != stream->awaited);
}

/* Goes on at a segment that seems to begin with a record. */
static bool
find_again(struct ebpftls_tls_stream *stream, const uint8_t *bytes,
	   uint32_t caplen)
{
	stream->lost = caplen < HEADER_SIZE || !ebpftls_tls_is_header(bytes);
	return !stream->lost;
}

unsigned int
ebpftls_tls_segment(struct ebpftls_tls_stream *stream,
		    const struct ebpftls_segment *segment)
{
	const uint8_t *bytes = segment->payload;
	uint32_t caplen = segment->caplen, len = segment->len;
	uint32_t ahead = segment->sequence - stream->sequence;
	unsigned int seen = 0;

	if (len == 0)
		return 0;
	if (!stream->started) {
		stream->started = true;
	} else if (ahead < UINT32_MAX / 2) {
		if (ahead > 0 && waits_for_gap(stream, bytes, caplen))
			return 0;
		skip(stream, ahead);
	} else {
		uint32_t again = -ahead;

		if (again >= len)
			return 0;
		bytes += again < caplen ? again : caplen;
		caplen -= again < caplen ? again : caplen;
		len -= again;
	}
	stream->sequence = segment->sequence + segment->len;
	if (!stream->lost || find_again(stream, bytes, caplen))
		seen = take(stream, bytes, caplen);
	skip(stream, len - caplen);
	return seen;
}

const uint8_t *
ebpftls_tls_random(const struct ebpftls_tls_stream *stream)
{
	return stream->hello + RANDOM_AT;
}

/* The SHA-256 of "HelloRetryRequest" (RFC 8446, 4.1.3). */
bool
ebpftls_tls_is_retry(const uint8_t random[EBPFTLS_TLS_RANDOM_SIZE])
{
	static const uint8_t retry[EBPFTLS_TLS_RANDOM_SIZE] = {
		0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
		0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
		0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
		0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
	};

	return memcmp(random, retry, sizeof(retry)) == 0;
}

/* By the cipher suite: those of 1.3 are good for nothing else. */
bool
ebpftls_tls_is_13(const struct ebpftls_tls_stream *stream)
{
	return stream->hello[stream->hello_have - 2] == 0x13;
}

/* Whether a record of DTLS up to 1.2 begins here. */
static bool
is_dtls(const uint8_t *bytes, uint32_t caplen)
{
	return caplen >= DTLS_HEADER_SIZE && bytes[0] >= RECORD_CCS &&
	       bytes[0] <= RECORD_DATA && bytes[1] == 0xfe &&
	       (bytes[2] == 0xff || bytes[2] == 0xfd);
}

const uint8_t *
ebpftls_dtls_random(const uint8_t *bytes, uint32_t caplen)
{
	static const uint8_t offset[3];

	if (!is_dtls(bytes, caplen) ||
	    caplen < DTLS_RANDOM_AT + EBPFTLS_TLS_RANDOM_SIZE ||
	    bytes[0] != RECORD_HANDSHAKE ||
	    bytes[DTLS_HEADER_SIZE] != EBPFTLS_TLS_CLIENT_HELLO ||
	    memcmp(bytes + DTLS_OFFSET_AT, offset, sizeof(offset)) != 0)
		return NULL;
	return bytes + DTLS_RANDOM_AT;
}

bool
ebpftls_dtls_next(struct ebpftls_dtls_record *record, const uint8_t **bytes,
		  uint32_t *caplen)
{
	const uint8_t *at = *bytes;

	if (!is_dtls(at, *caplen))
		return false;
	record->bytes = at;
	record->len = DTLS_HEADER_SIZE + (uint32_t)be16(at + DTLS_LENGTH_AT);
	record->size = record->len < *caplen ? record->len : *caplen;
	record->epoch = be16(at + DTLS_EPOCH_AT);
	record->sequence = 0;
	for (int i = DTLS_EPOCH_AT; i < DTLS_LENGTH_AT; i++)
		record->sequence = record->sequence << 8 | at[i];
	*bytes += record->size;
	*caplen -= record->size;
	return true;
}

bool
ebpftls_dtls_has_ccs(const uint8_t *bytes, uint32_t caplen)
{
	struct ebpftls_dtls_record record;

	while (ebpftls_dtls_next(&record, &bytes, &caplen))
		if (record.bytes[0] == RECORD_CCS)
			return true;
	return false;
}
