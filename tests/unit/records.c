// SPDX-License-Identifier: BSD-3-Clause
/*
 * Do records open with their keys, and with no others? Those of RFC 8448, and
 * of OpenSSL: see tests/data/record-records.
 */
#include "records.h"

#include "unit/check.h"

#define PLAIN_MAX 2048

static uint8_t plain[PLAIN_MAX];
static uint8_t type;

/* --- TLS 1.3: RFC 8448, 3 ------------------------------------------------- */

struct sample {
	const char *secret;
	uint64_t sequence;
	const char *record;
};

static const struct sample samples[] = {
	{ "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", 0,
	  "1703030043"
	  "a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5"
	  "b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb2169"
	  "4915e4" },
	{ "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", 1,
	  "1703030043"
	  "2e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d"
	  "90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167"
	  "c2955d" },
};

static struct record_keys *
keys_of(const struct sample *sample)
{
	uint8_t secret[RECORD_SECRET_MAX];
	const size_t size = check_hex(secret, sample->secret);

	return record_keys_13(suite_find(0x1301), secret, size);
}

static void
rfc_8448(void)
{
	uint8_t record[256], want[50];

	for (uint8_t i = 0; i < sizeof(want); i++)
		want[i] = i;
	for (size_t i = 0; i < 2; i++) {
		struct record_keys *keys = keys_of(&samples[i]);
		const size_t size = check_hex(record, samples[i].record);

		if (check(keys != NULL) &&
		    check(record_open(keys, samples[i].sequence, record, size,
				      plain, &type) == 50) &&
		    check(type == 23))
			check_bytes(plain, want, sizeof(want));
		record_keys_free(keys);
	}
}

/* Neither with another number or keys, nor if anything of it is changed. */
static void
other_13(void)
{
	struct record_keys *keys = keys_of(&samples[0]);
	struct record_keys *other = keys_of(&samples[1]);
	struct record_keys *next = record_keys_next(keys);
	uint8_t record[256];
	const size_t size = check_hex(record, samples[0].record);

	check(record_open(keys, 1, record, size, plain, &type) < 0);
	check(record_open(other, 0, record, size, plain, &type) < 0);
	check(record_open(next, 0, record, size, plain, &type) < 0);
	for (size_t i = 0; i < size; i++) {
		record[i] ^= 0x10;
		check(record_open(keys, 0, record, size, plain, &type) < 0);
		record[i] ^= 0x10;
	}
	for (size_t i = 0; i < size; i++)
		check(record_open(keys, 0, record, i, plain, &type) < 0);
	check(record_open(keys, 0, record, size, plain, &type) == 50);
	record_keys_free(keys);
	record_keys_free(other);
	record_keys_free(next);
}

/* SHA-384's secrets are longer, and CBC is not for TLS 1.3. */
static void
other_suites(void)
{
	const uint8_t secret[RECORD_SECRET_MAX] = { 0 };

	check(suite_find(0) == NULL);
	check(suite_find(0x00ff) == NULL);
	check(suite_of_13(4) != NULL && suite_of_13(5) == NULL);
	check(record_keys_13(suite_find(0x1302), secret, 32) == NULL);
	check(record_keys_13(suite_find(0x1301), secret, 48) == NULL);
	check(record_keys_13(suite_find(0xc013), secret, 32) == NULL);
}

/* --- TLS 1.2 --------------------------------------------------------------
 */

struct recorded {
	unsigned int suite, etm, server, sequence, kind;
	struct record_master master;
	uint8_t record[512];
	size_t size;
	uint8_t content[128];
	size_t content_size;
};

static FILE *
open_records(void)
{
	const char *top = getenv("TOP");
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/data/records.txt",
		 top != NULL ? top : ".");
	file = fopen(path, "r");
	if (file == NULL)
		abort();
	return file;
}

static bool
next(FILE *file, struct recorded *to)
{
	char master[97], client[65], server[65], record[1025], content[257];

	memset(to, 0, sizeof(*to));
	if (fscanf(file, "%x %u %u %u %96s %64s %64s %1024s %u %256s",
		   &to->suite, &to->etm, &to->server, &to->sequence, master,
		   client, server, record, &to->kind, content) != 10)
		return false;
	check_hex(to->master.secret, master);
	check_hex(to->master.client_random, client);
	check_hex(to->master.server_random, server);
	to->master.encrypt_then_mac = to->etm != 0;
	to->size = check_hex(to->record, record);
	to->content_size = check_hex(to->content, content);
	return true;
}

static struct record_keys *
keys_12(const struct recorded *recorded, bool from_server)
{
	return record_keys_12(suite_find((uint16_t)recorded->suite),
			      &recorded->master, from_server);
}

static void
recorded_12(void)
{
	FILE *file = open_records();
	struct recorded recorded;
	int count = 0;

	for (; next(file, &recorded); count++) {
		struct record_keys *keys =
		    keys_12(&recorded, recorded.server != 0);
		const int size =
		    record_open(keys, recorded.sequence, recorded.record,
				recorded.size, plain, &type);

		if (!check(size >= (int)recorded.content_size) ||
		    !check(type == recorded.kind) ||
		    !check_bytes(plain, recorded.content,
				 recorded.content_size))
			printf("  suite %04x\n", recorded.suite);
		record_keys_free(keys);
	}
	check(count == 58);
	fclose(file);
}

static void
other_12(void)
{
	FILE *file = open_records();
	struct recorded recorded;

	while (next(file, &recorded)) {
		const bool server = recorded.server != 0;
		struct record_keys *keys = keys_12(&recorded, server);
		struct record_keys *other = keys_12(&recorded, !server);
		const size_t size = recorded.size;
		uint8_t *record = recorded.record;

		check(record_open(other, recorded.sequence, record, size, plain,
				  &type) < 0);
		check(record_open(keys, recorded.sequence + 1, record, size,
				  plain, &type) < 0);
		/* but its length, which stands for itself */
		for (size_t i = 0; i < size; i += i == 2 ? 3 : 1) {
			record[i] ^= 0x10;
			check(record_open(keys, recorded.sequence, record, size,
					  plain, &type) < 0);
			record[i] ^= 0x10;
		}
		for (size_t i = 0; i < size; i++)
			check(record_open(keys, recorded.sequence, record, i,
					  plain, &type) < 0);
		record_keys_free(keys);
		record_keys_free(other);
	}
	fclose(file);
}

static const struct check_case cases[] = {
	{ "the records of RFC 8448", rfc_8448 },
	{ "TLS 1.3 with other keys, or changed", other_13 },
	{ "suites that have no such keys", other_suites },
	{ "TLS 1.2, each kind of suite", recorded_12 },
	{ "TLS 1.2 with other keys, or changed", other_12 },
	{ NULL, NULL },
};

int
main(void)
{
	return check_main(cases);
}
