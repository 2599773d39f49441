// SPDX-License-Identifier: BSD-3-Clause
/* Are secrets taken out of a BPF ring buffer whole, once, and in order? */
#define _GNU_SOURCE

#include "ebpftls-secrets.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit/check.h"

#define HEADER_SIZE 8
#define BUSY	    (UINT32_C(1) << 31)
#define DISCARDED   (UINT32_C(1) << 30)

#define SIZE   4096
#define RECORD (HEADER_SIZE + sizeof(struct ebpftls_secret))

/* What the kernel has: two positions, and the data twice in a row. */
struct fake {
	struct ebpftls_secret_ring ring;
	uint64_t *read;
	uint64_t *head;
	uint8_t *data;
};

static void
setup(struct fake *fake)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("ring", MFD_CLOEXEC);
	uint8_t *all;

	check(ftruncate(fd, (off_t)(2 * page + 2 * SIZE)) == 0);
	all = mmap(NULL, 2 * page + 2 * SIZE, PROT_READ | PROT_WRITE,
		   MAP_SHARED, fd, 0);
	fake->read = (uint64_t *)all;
	fake->head = (uint64_t *)(all + page);
	fake->data = all + 2 * page;
	check(ebpftls_secrets_map(&fake->ring, fd, SIZE) == 0);
	close(fd);
}

static void
teardown(struct fake *fake)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	ebpftls_secrets_unmap(&fake->ring);
	munmap(fake->read, 2 * page + 2 * SIZE);
}

static void
put_byte(struct fake *fake, uint64_t at, uint8_t byte)
{
	fake->data[at % SIZE] = fake->data[SIZE + at % SIZE] = byte;
}

/* Writes a record with this header as the kernel does. */
static void
put(struct fake *fake, uint32_t header, const struct ebpftls_secret *secret)
{
	const uint8_t *bytes = (const uint8_t *)secret;
	uint64_t at = *fake->head;

	for (size_t i = 0; i < 4; i++)
		put_byte(fake, at + i, (uint8_t)(header >> 8 * i));
	for (size_t i = 0; i < sizeof(*secret); i++)
		put_byte(fake, at + HEADER_SIZE + i, bytes[i]);
	*fake->head = at + RECORD;
}

static struct ebpftls_secret
secret_number(uint32_t number)
{
	struct ebpftls_secret secret;

	memset(&secret, (int)number, sizeof(secret));
	secret.tid = number;
	secret.label = (uint8_t)(number % EBPFTLS_LABELS);
	secret.length = 48;
	return secret;
}

/* Many times round. */
static void
in_order(void)
{
	struct ebpftls_secret in, out;
	struct fake fake;
	uint32_t next = 0;

	setup(&fake);
	check(ebpftls_secrets_next(&fake.ring, &out) == 0);
	for (uint32_t i = 0; i < 1000; i++) {
		in = secret_number(i);
		put(&fake, sizeof(in), &in);
		if (i % 7 != 0)
			continue;
		while (ebpftls_secrets_next(&fake.ring, &out) == 1) {
			in = secret_number(next++);
			check_bytes(&out, &in, sizeof(in));
		}
		check(next == i + 1);
		check(*fake.read == *fake.head);
	}
	teardown(&fake);
}

/* A record that is being written keeps those behind it back. */
static void
busy(void)
{
	struct ebpftls_secret in = secret_number(1), out;
	struct fake fake;

	setup(&fake);
	put(&fake, sizeof(in) | BUSY, &in);
	put(&fake, sizeof(in), &in);
	check(ebpftls_secrets_next(&fake.ring, &out) == 0);
	check(*fake.read == 0);
	put_byte(&fake, 3, 0);
	check(ebpftls_secrets_next(&fake.ring, &out) == 1);
	check(ebpftls_secrets_next(&fake.ring, &out) == 1);
	check(ebpftls_secrets_next(&fake.ring, &out) == 0);
	teardown(&fake);
}

static void
discarded(void)
{
	struct ebpftls_secret in = secret_number(1), out;
	struct fake fake;

	setup(&fake);
	put(&fake, sizeof(in) | DISCARDED, &in);
	in = secret_number(2);
	put(&fake, sizeof(in), &in);
	check(ebpftls_secrets_next(&fake.ring, &out) == 1);
	check(out.tid == 2);
	check(ebpftls_secrets_next(&fake.ring, &out) == 0);
	teardown(&fake);
}

static void
not_secrets(void)
{
	struct ebpftls_secret in = secret_number(1), out;
	struct fake fake;

	setup(&fake);
	in.label = EBPFTLS_LABELS;
	put(&fake, sizeof(in), &in);
	in = secret_number(1);
	in.length = sizeof(in.secret) + 1;
	put(&fake, sizeof(in), &in);
	put(&fake, sizeof(in) - 8, &in);
	check(ebpftls_secrets_next(&fake.ring, &out) == -EBADMSG);
	check(ebpftls_secrets_next(&fake.ring, &out) == -EBADMSG);
	check(ebpftls_secrets_next(&fake.ring, &out) == -EBADMSG);
	/* after that it goes on with what comes */
	check(ebpftls_secrets_next(&fake.ring, &out) == 0);
	in = secret_number(7);
	put(&fake, sizeof(in), &in);
	check(ebpftls_secrets_next(&fake.ring, &out) == 1 && out.tid == 7);
	teardown(&fake);
}

static void
not_a_ring(void)
{
	struct ebpftls_secret_ring ring;

	check(ebpftls_secrets_map(&ring, -1, SIZE) == -EBADF);
	check(ring.read == NULL && ring.data == NULL);
	ebpftls_secrets_unmap(&ring);
}

int
main(void)
{
	static const struct check_case cases[] = {
		{ "secrets come in order, round and round", in_order },
		{ "a record that is being written is waited for", busy },
		{ "a discarded record is passed over", discarded },
		{ "what is not a secret is refused", not_secrets },
		{ "what is not a ring is not mapped", not_a_ring },
		{ NULL, NULL },
	};

	return check_main(cases);
}
