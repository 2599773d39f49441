// SPDX-License-Identifier: BSD-3-Clause
/*
 * A program that logs secrets as the one TLS stack or another does, for the
 * scanner to find log_secret() in. It is built for several machines, without
 * their libraries, and never run. STACK says which:
 *
 * 1	OpenSSL: hands random and its length to another function
 * 2	BoringSSL: writes the random itself, byte by byte, from another object
 * 3	GnuTLS: an exported function gives the random; logs through a pointer;
 *keys of TLS 1.2 come from an exported function, too 4	none: reads the names,
 *in a file that others wrote 5	Go: names have lengths; functions have names in
 *a table of Go's. On arm64 only, where Go passes arguments in the registers
 *that C does
 */
#include <stddef.h>

/* gcc would make copies of a function that lack an argument. */
#ifdef __clang__
#define WHOLE noinline
#else
#define WHOLE noinline, noclone
#endif
#define HIDDEN __attribute__((visibility("hidden"), WHOLE))

struct handshake {
	unsigned char pad[0x30];
	unsigned char random[32];
};

struct session {
	void *method;
	void (*log)(struct session *, const char *, const void *, size_t);
	unsigned char pad[0x150];
	unsigned char random[32];
	unsigned char secrets[5][48];
	struct handshake *handshake;
	char line[256];
	size_t used;
	int is_server;
	int step;
};

#if STACK == 5
#define LOG(session, label, label_length, secret, length)                   \
	log_secret(session, label, label_length, (session)->random, 32, 32, \
		   secret, length)
HIDDEN int log_secret(struct session *session, const char *label,
		      size_t label_length, const unsigned char *random,
		      size_t random_length, size_t random_capacity,
		      const unsigned char *secret, size_t length);
#elif STACK == 6
#define LOG(session, label, label_length, secret, length) \
	log_secret(label, session, (session)->random, 32, secret, length)
HIDDEN int log_secret(const char *label, struct session *session,
		      const unsigned char *random, size_t random_length,
		      const unsigned char *secret, size_t length);
#else
#define LOG(session, label, label_length, secret, length) \
	log_secret(session, label, secret, length)
HIDDEN int log_secret(struct session *session, const char *label,
		      const unsigned char *secret, size_t length);
#endif
int make_keys(struct session *session);
int _gnutls_prf_raw(int mac, size_t master_size, const void *master,
		    size_t label_size, const char *label, size_t seed_size,
		    const unsigned char *seed, size_t size, char *out);
int gnutls_session_get_random(struct session *session, void **random,
			      void (*log)(struct session *, const char *,
					  const void *, size_t));
int derive(struct session *session, size_t length);
void _start(void);

#if STACK != 3 && STACK != 4 && STACK != 5
static inline void
put(struct session *session, char c)
{
	if (session->used < sizeof(session->line))
		session->line[session->used++] = c;
}

static inline void
put_hex(struct session *session, const unsigned char *bytes, size_t length)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < length; i++) {
		put(session, digits[bytes[i] >> 4]);
		put(session, digits[bytes[i] & 15]);
	}
}

#endif

#if STACK == 6
int
log_secret(const char *label, struct session *session,
	   const unsigned char *random, size_t random_length,
	   const unsigned char *secret, size_t length)
{
	while (*label != '\0')
		put(session, *label++);
	put_hex(session, random, random_length);
	put_hex(session, secret, length);
	return 1;
}
#elif STACK == 1
static __attribute__((noinline)) int
write_line(const char *label, struct session *session,
	   const unsigned char *random, size_t random_length,
	   const unsigned char *secret, size_t length)
{
	while (*label != '\0')
		put(session, *label++);
	put_hex(session, random, random_length);
	put_hex(session, secret, length);
	return 1;
}

int
log_secret(struct session *session, const char *label,
	   const unsigned char *secret, size_t length)
{
	return write_line(label, session, session->random,
			  sizeof(session->random), secret, length);
}
#elif STACK == 2
int
log_secret(struct session *session, const char *label,
	   const unsigned char *secret, size_t length)
{
	while (*label != '\0')
		put(session, *label++);
	put_hex(session, session->handshake->random, 32);
	put_hex(session, secret, length);
	return 1;
}
#elif STACK == 3
int
log_secret(struct session *session, const char *label,
	   const unsigned char *secret, size_t length)
{
	if (session->log != NULL)
		session->log(session, label, secret, length);
	return ++session->step;
}

int
gnutls_session_get_random(struct session *session, void **random,
			  void (*log)(struct session *, const char *,
				      const void *, size_t))
{
	*random = session->random;
	session->log = log;
	return 32;
}

int
_gnutls_prf_raw(int mac, size_t master_size, const void *master,
		size_t label_size, const char *label, size_t seed_size,
		const unsigned char *seed, size_t size, char *out)
{
	const unsigned char *key = master;

	for (size_t i = 0; i < size; i++)
		out[i] = (char)(mac ^ key[i % master_size] ^
				label[i % label_size] ^ seed[i % seed_size]);
	return out[0];
}

int
make_keys(struct session *session)
{
	return _gnutls_prf_raw(1, 48, session->secrets[0], 13, "key expansion",
			       64, session->secrets[1], 64, session->line);
}
#elif STACK == 5
int
log_secret(struct session *session, const char *label, size_t label_length,
	   const unsigned char *random, size_t random_length,
	   size_t random_capacity, const unsigned char *secret, size_t length)
{
	if (session->used + label_length + random_length + length >
	    sizeof(session->line))
		return 0;
	for (size_t i = 0; i < label_length; i++)
		session->line[session->used++] = label[i];
	for (size_t i = 0; i < random_length && i < random_capacity; i++)
		session->line[session->used++] = (char)random[i];
	for (size_t i = 0; i < length; i++)
		session->line[session->used++] = (char)secret[i];
	return 1;
}

__asm__(".text\n"
	"go_text:\n"
	".section .rodata\n"
	".balign 32\n"
	"table:\n"
	".long 0xfffffff1\n"
	".byte 0, 0, 4, 8\n"
	".quad 2, 0, 0, names - table, 0, 0, 0, functions - table\n"
	"names: .asciz \"crypto/tls.(*Config).writeKeyLog\"\n"
	"keys: .asciz \"crypto/tls.keysFromMasterSecret\"\n"
	".balign 4\n"
	"functions:\n"
	".long log_secret - go_text, log - functions\n"
	".long make_keys - go_text, make - functions\n"
	"log: .long 0, 0\n"
	"make: .long 0, keys - names\n");
#else
int
log_secret(struct session *session, const char *label,
	   const unsigned char *secret, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (label[i] != (char)secret[i])
			return 0;
	session->step++;
	return 1;
}
#endif

#if STACK != 3
__attribute__((noinline)) int
make_keys(struct session *session)
{
	if (session->log != NULL)
		session->log(session, NULL, session, 1);
	return session->step++;
}
#endif

/* A label is chosen here, kept there, and goes to calls of both kinds. */
int
derive(struct session *session, size_t length)
{
	const char *label;
	int result = 0;

	if (session->step == 0)
		return LOG(session, "CLIENT_RANDOM", 13, session->secrets[0],
			   48);
	if (session->is_server)
		label = "SERVER_HANDSHAKE_TRAFFIC_SECRET";
	else
		label = "CLIENT_HANDSHAKE_TRAFFIC_SECRET";
	for (size_t i = 0; i < length; i++)
		session->secrets[1][i] ^= session->secrets[2][i];
	if (!make_keys(session) ||
	    !LOG(session, label, 31, session->secrets[1], length))
		return 0;
	if (session->step > 2)
		result = LOG(session, "EXPORTER_SECRET", 15,
			     session->secrets[3], length);
	session->step += result;
	return LOG(session,
		   session->is_server ? "SERVER_TRAFFIC_SECRET_0"
				      : "CLIENT_TRAFFIC_SECRET_0",
		   23, session->secrets[4], length);
}

void
_start(void)
{
	static struct session session;

	for (;;)
		derive(&session, 32);
}
