/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Follows TLS records in one direction of a TCP connection, and finds hello
 * messages in TLS and DTLS.
 */
#ifndef EBPFTLS_TLS_H
#define EBPFTLS_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpftls-packet.h"

#define EBPFTLS_TLS_RANDOM_SIZE 32

/* Of a hello message, all up to the cipher suite that a server chose. */
#define EBPFTLS_TLS_HELLO_SIZE (4 + 2 + 32 + 1 + 32 + 2)

enum ebpftls_tls_message {
	EBPFTLS_TLS_CLIENT_HELLO = 1,
	EBPFTLS_TLS_SERVER_HELLO = 2,
};

/* What a segment showed, as bits. */
enum ebpftls_tls_seen {
	EBPFTLS_TLS_SEEN_HELLO = 1, /* enough of it in `hello` */
	EBPFTLS_TLS_SEEN_CCS = 2,   /* a ChangeCipherSpec record */
	EBPFTLS_TLS_SEEN_DATA = 4,  /* an application data record */
};

struct ebpftls_tls_stream {
	uint8_t awaited;   /* enum ebpftls_tls_message; 0: none (any more) */
	bool lost;	   /* it is not known where the next record begins */
	bool started;	   /* `sequence` is known */
	uint32_t sequence; /* of the next byte */
	uint8_t header[5]; /* of the record */
	uint8_t header_have;
	uint16_t left; /* bytes of the record's content */
	uint8_t hello_have;
	uint8_t hello[EBPFTLS_TLS_HELLO_SIZE];
};

/* Whether these can be the first bytes of a record. */
bool ebpftls_tls_is_header(const uint8_t header[5]);

/*
 * Whether a ClientHello record begins here; also if it is cut after the first
 * byte.
 */
bool ebpftls_tls_begins(const uint8_t *bytes, uint32_t caplen);

/* Whether a record of TLS 1.2 or 1.3 with application data begins here. */
bool ebpftls_tls_is_data(const uint8_t *bytes, uint32_t caplen);

/* Begins to look for this message. */
void ebpftls_tls_await(struct ebpftls_tls_stream *stream,
		       enum ebpftls_tls_message message);

/* Takes the next segment. Returns bits of enum ebpftls_tls_seen. */
unsigned int ebpftls_tls_segment(struct ebpftls_tls_stream *stream,
				 const struct ebpftls_segment *segment);

/* The random in the hello message that was seen. */
const uint8_t *ebpftls_tls_random(const struct ebpftls_tls_stream *stream);

/* Whether a ServerHello with this random is a HelloRetryRequest. */
bool ebpftls_tls_is_retry(const uint8_t random[EBPFTLS_TLS_RANDOM_SIZE]);

/* Whether the ServerHello that was seen chooses TLS 1.3. */
bool ebpftls_tls_is_13(const struct ebpftls_tls_stream *stream);

/* A record of DTLS up to 1.2. */
struct ebpftls_dtls_record {
	const uint8_t *bytes; /* its header first */
	uint32_t size;	      /* that was captured */
	uint32_t len;	      /* that was sent */
	uint16_t epoch;
	uint64_t sequence; /* the epoch in its upper bits */
};

#define EBPFTLS_DTLS_HEADER_SIZE 13

/* Takes the next record off a datagram. False: no (other) one. */
bool ebpftls_dtls_next(struct ebpftls_dtls_record *record,
		       const uint8_t **bytes, uint32_t *caplen);

/* The random of a ClientHello in a datagram of DTLS up to 1.2, or NULL. */
const uint8_t *ebpftls_dtls_random(const uint8_t *bytes, uint32_t caplen);

/* Whether there is a ChangeCipherSpec record in it. */
bool ebpftls_dtls_has_ccs(const uint8_t *bytes, uint32_t caplen);

#endif
