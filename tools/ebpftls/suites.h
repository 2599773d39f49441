/* SPDX-License-Identifier: BSD-3-Clause */
/* What a TLS cipher suite says of the protection of records. */
#ifndef TOOL_SUITES_H
#define TOOL_SUITES_H

#include <openssl/evp.h>
#include <stdint.h>

enum suite_kind { SUITE_GCM, SUITE_CCM, SUITE_CHACHA20, SUITE_CBC };

struct suite {
	const char *name; /* of the cipher: the key exchange does not matter */
	enum suite_kind kind;
	const EVP_CIPHER *(*cipher)(void);
	const EVP_MD *(*mac)(void);  /* of CBC */
	const EVP_MD *(*hash)(void); /* with which keys are derived */
	uint8_t tag;		     /* size, of AEAD */
	const uint16_t *numbers;     /* IANA's, up to a 0 */
};

/* The suite with this number; NULL: records of it cannot be opened here. */
const struct suite *suite_find(uint16_t number);

/* The suites of TLS 1.3, one after the other from 0; NULL behind the last. */
const struct suite *suite_of_13(unsigned int index);

#endif
