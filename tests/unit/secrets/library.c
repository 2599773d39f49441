// SPDX-License-Identifier: BSD-3-Clause
/*
 * Made into the shared library that stands for a TLS stack. Its functions are
 * handed secrets and do nothing; what it only has the address of lies in
 * pages of its own, so that these need not be in memory.
 */
#include "stack.h"

#define ALONE __attribute__((aligned(STACK_PAGE)))

void log_secret(struct stack_session *session, const char *label,
		const uint8_t *secret, size_t length);
void log_master(void ****session, const uint8_t **master);
void prf(long a, const char *label, const uint8_t *secret, long d, long e,
	 long f, long g, long h, const uint8_t *random);

extern const char labels[STACK_LABELS + 1][64];
extern const struct stack_handshake cold_handshake;
extern const uint8_t cold_secret[STACK_PAGE];

ALONE const char labels[STACK_LABELS + 1][64] = {
	"CLIENT_RANDOM",
	"CLIENT_EARLY_TRAFFIC_SECRET",
	"CLIENT_HANDSHAKE_TRAFFIC_SECRET",
	"SERVER_HANDSHAKE_TRAFFIC_SECRET",
	"CLIENT_TRAFFIC_SECRET_0",
	"SERVER_TRAFFIC_SECRET_0",
	"CLIENT_TRAFFIC_SECRET_N",
	"SERVER_TRAFFIC_SECRET_N",
	"EARLY_EXPORTER_SECRET",
	"EXPORTER_SECRET",
	"NO_SECRET_AT_ALL",
};

ALONE const struct stack_handshake cold_handshake = {
	.random = "a random that is in a cold page",
};

ALONE const uint8_t cold_secret[STACK_PAGE] =
    "a secret that is in a cold page, for all its 48";

/* A call of an empty function would be left out, or its arguments. */
#define DO_NOTHING __asm__ volatile("" : : : "memory")

__attribute__((noinline)) void
log_secret(struct stack_session *session, const char *label,
	   const uint8_t *secret, size_t length)
{
	(void)session;
	(void)label;
	(void)secret;
	(void)length;
	DO_NOTHING;
}

__attribute__((noinline)) void
log_master(void ****session, const uint8_t **master)
{
	(void)session;
	(void)master;
	DO_NOTHING;
}

/* The ninth argument is on the stack on any machine. */
__attribute__((noinline)) void
prf(long a, const char *label, const uint8_t *secret, long d, long e, long f,
    long g, long h, const uint8_t *random)
{
	(void)a;
	(void)label;
	(void)secret;
	(void)d;
	(void)e;
	(void)f;
	(void)g;
	(void)h;
	(void)random;
	DO_NOTHING;
}
