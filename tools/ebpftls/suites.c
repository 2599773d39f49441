// SPDX-License-Identifier: BSD-3-Clause
/*
 * The suites that OpenSSL, GnuTLS and those who do less negotiate. Left out are
 * those that hide nothing (NULL), RC4, GOST, and Camellia in GCM, which
 * libcrypto does not have.
 */
#include "suites.h"

#include <stddef.h>

#define NUMBERS(...) ((const uint16_t[]){ __VA_ARGS__, 0 })

static const struct suite suites[] = {
	{ "AES_128_CCM", SUITE_CCM, EVP_aes_128_ccm, NULL, EVP_sha256, 16,
	  NUMBERS(0x1304, 0xc09c, 0xc09e, 0xc0a4, 0xc0a6, 0xc0ac) },
	{ "AES_128_CCM_8", SUITE_CCM, EVP_aes_128_ccm, NULL, EVP_sha256, 8,
	  NUMBERS(0x1305, 0xc0a0, 0xc0a2, 0xc0a8, 0xc0aa, 0xc0ae) },
	{ "AES_128_GCM_SHA256", SUITE_GCM, EVP_aes_128_gcm, NULL, EVP_sha256,
	  16,
	  NUMBERS(0x009c, 0x009e, 0x00a2, 0x00a6, 0x00a8, 0x00aa, 0x00ac,
		  0x1301, 0xc02b, 0xc02f) },
	{ "AES_256_CCM", SUITE_CCM, EVP_aes_256_ccm, NULL, EVP_sha256, 16,
	  NUMBERS(0xc09d, 0xc09f, 0xc0a5, 0xc0a7, 0xc0ad) },
	{ "AES_256_CCM_8", SUITE_CCM, EVP_aes_256_ccm, NULL, EVP_sha256, 8,
	  NUMBERS(0xc0a1, 0xc0a3, 0xc0a9, 0xc0ab, 0xc0af) },
	{ "AES_256_GCM_SHA384", SUITE_GCM, EVP_aes_256_gcm, NULL, EVP_sha384,
	  16,
	  NUMBERS(0x009d, 0x009f, 0x00a3, 0x00a7, 0x00a9, 0x00ab, 0x00ad,
		  0x1302, 0xc02c, 0xc030) },
	{ "AES_128_CBC_SHA", SUITE_CBC, EVP_aes_128_cbc, EVP_sha1, EVP_sha256,
	  0,
	  NUMBERS(0x002f, 0x0032, 0x0033, 0x0034, 0x008c, 0x0090, 0x0094,
		  0xc009, 0xc013, 0xc018, 0xc01d, 0xc01e, 0xc01f, 0xc035) },
	{ "AES_128_CBC_SHA256", SUITE_CBC, EVP_aes_128_cbc, EVP_sha256,
	  EVP_sha256, 0,
	  NUMBERS(0x003c, 0x0040, 0x0067, 0x006c, 0x00ae, 0x00b2, 0x00b6,
		  0xc023, 0xc027, 0xc037) },
	{ "AES_256_CBC_SHA", SUITE_CBC, EVP_aes_256_cbc, EVP_sha1, EVP_sha256,
	  0,
	  NUMBERS(0x0035, 0x0038, 0x0039, 0x003a, 0x008d, 0x0091, 0x0095,
		  0xc00a, 0xc014, 0xc019, 0xc020, 0xc021, 0xc022, 0xc036) },
	{ "AES_256_CBC_SHA256", SUITE_CBC, EVP_aes_256_cbc, EVP_sha256,
	  EVP_sha256, 0, NUMBERS(0x003d, 0x006a, 0x006b, 0x006d) },
	{ "AES_256_CBC_SHA384", SUITE_CBC, EVP_aes_256_cbc, EVP_sha384,
	  EVP_sha384, 0,
	  NUMBERS(0x00af, 0x00b3, 0x00b7, 0xc024, 0xc028, 0xc038) },
	{ "ARIA_128_GCM_SHA256", SUITE_GCM, EVP_aria_128_gcm, NULL, EVP_sha256,
	  16,
	  NUMBERS(0xc050, 0xc052, 0xc056, 0xc05c, 0xc060, 0xc06a, 0xc06c,
		  0xc06e) },
	{ "ARIA_256_GCM_SHA384", SUITE_GCM, EVP_aria_256_gcm, NULL, EVP_sha384,
	  16,
	  NUMBERS(0xc051, 0xc053, 0xc057, 0xc05d, 0xc061, 0xc06b, 0xc06d,
		  0xc06f) },
	{ "CHACHA20_POLY1305", SUITE_CHACHA20, EVP_chacha20_poly1305, NULL,
	  EVP_sha256, 16,
	  NUMBERS(0x1303, 0xcca8, 0xcca9, 0xccaa, 0xccab, 0xccac, 0xccad,
		  0xccae) },
	{ "3DES_EDE_CBC_SHA", SUITE_CBC, EVP_des_ede3_cbc, EVP_sha1, EVP_sha256,
	  0,
	  NUMBERS(0x000a, 0x0013, 0x0016, 0x001b, 0x008b, 0x008f, 0x0093,
		  0xc008, 0xc012, 0xc017, 0xc01a, 0xc01b, 0xc01c, 0xc034) },
	{ "CAMELLIA_128_CBC_SHA", SUITE_CBC, EVP_camellia_128_cbc, EVP_sha1,
	  EVP_sha256, 0, NUMBERS(0x0041, 0x0044, 0x0045, 0x0046) },
	{ "CAMELLIA_128_CBC_SHA256", SUITE_CBC, EVP_camellia_128_cbc,
	  EVP_sha256, EVP_sha256, 0,
	  NUMBERS(0x00ba, 0x00bd, 0x00be, 0x00bf, 0xc072, 0xc076, 0xc094,
		  0xc096, 0xc098, 0xc09a) },
	{ "CAMELLIA_256_CBC_SHA", SUITE_CBC, EVP_camellia_256_cbc, EVP_sha1,
	  EVP_sha256, 0, NUMBERS(0x0084, 0x0087, 0x0088, 0x0089) },
	{ "CAMELLIA_256_CBC_SHA256", SUITE_CBC, EVP_camellia_256_cbc,
	  EVP_sha256, EVP_sha256, 0, NUMBERS(0x00c0, 0x00c3, 0x00c4, 0x00c5) },
	{ "CAMELLIA_256_CBC_SHA384", SUITE_CBC, EVP_camellia_256_cbc,
	  EVP_sha384, EVP_sha384, 0,
	  NUMBERS(0xc073, 0xc077, 0xc095, 0xc097, 0xc099, 0xc09b) },
};

#define COUNT (sizeof(suites) / sizeof(suites[0]))

const struct suite *
suite_find(uint16_t number)
{
	for (size_t i = 0; i < COUNT; i++)
		for (const uint16_t *at = suites[i].numbers; *at != 0; at++)
			if (*at == number)
				return &suites[i];
	return NULL;
}

const struct suite *
suite_of_13(unsigned int index)
{
	return suite_find((uint16_t)(0x1301 + index));
}
