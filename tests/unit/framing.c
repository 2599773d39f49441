// SPDX-License-Identifier: BSD-3-Clause
/* Is a stream cut into its records, and is it told exactly what is missing? */
#include "framing.h"

#include "records.h"
#include "unit/check.h"

static struct framing framing;

/* What came: a letter and a number for each. */
static char got[4096];
static size_t got_size;

static void
note(char what, uint32_t number)
{
	got_size += (size_t)snprintf(got + got_size, sizeof(got) - got_size,
				     "%c%u ", what, number);
}

static void
take_record(void *context, const uint8_t *record, uint32_t size)
{
	(void)context;
	check(size == RECORD_HEADER + (record[3] * 256u + record[4]));
	for (uint32_t i = RECORD_HEADER; i < size; i++)
		check(record[i] == (uint8_t)i);
	note('r', size - RECORD_HEADER);
}

static void
take_missed(void *context, uint8_t type)
{
	(void)context;
	note('m', type);
}

static void
take_lost(void *context, uint32_t count)
{
	(void)context;
	note('l', count);
}

static const struct framing_taker taker = { NULL, take_record, take_missed,
					    take_lost };

static uint8_t stream[65536];
static uint32_t stream_size;

static void
begin(void)
{
	memset(&framing, 0, sizeof(framing));
	got_size = 0;
	got[0] = '\0';
	stream_size = 0;
}

static void
put_record(uint8_t type, uint32_t size)
{
	uint8_t *at = stream + stream_size;

	memcpy(at,
	       (uint8_t[]){ type, 3, 3, (uint8_t)(size >> 8), (uint8_t)size },
	       RECORD_HEADER);
	for (uint32_t i = RECORD_HEADER; i < RECORD_HEADER + size; i++)
		at[i] = (uint8_t)i;
	stream_size += RECORD_HEADER + size;
}

/* From here to there. */
static void
give(uint32_t from, uint32_t to)
{
	uint8_t *copy = malloc(to - from + 1);

	memcpy(copy, stream + from, to - from);
	framing_bytes(&framing, &taker, copy, to - from);
	free(copy);
}

static void
came(const char *want)
{
	if (!check(strcmp(got, want) == 0))
		printf("  \"%s\"\n", got);
	framing_free(&framing);
}

static void
anywhere(void)
{
	for (int round = 0; round < 300; round++) {
		uint32_t at = 0, next;

		begin();
		put_record(22, 100);
		put_record(20, 1);
		put_record(23, 0);
		put_record(23, RECORD_CONTENT_MAX);
		put_record(23, 17);
		for (; at < stream_size; at = next) {
			next = at + 1 +
			       check_random(round < 100 ? 5 : stream_size);
			if (next > stream_size)
				next = stream_size;
			give(at, next);
		}
		check(framing.first == 22 && !framing.alien);
		came("r100 r1 r0 r18432 r17 ");
	}
}

/* A gap within a record costs just this one. */
static void
in_a_record(void)
{
	for (uint32_t from = 5; from < 104; from++) {
		begin();
		put_record(23, 100);
		put_record(23, 8);
		give(0, from);
		framing_gap(&framing, &taker, 1);
		give(from + 1, stream_size);
		came("m23 r8 ");
	}
	begin();
	put_record(23, 100);
	put_record(23, 8);
	give(0, 50);
	framing_gap(&framing, &taker, 20);
	give(70, 80);
	framing_gap(&framing, &taker, 25);
	give(105, stream_size);
	came("m23 r8 ");
}

/* Behind one over a record's end it goes on where a segment begins with one. */
static void
over_its_end(void)
{
	begin();
	put_record(23, 100);
	put_record(23, 100);
	put_record(23, 100);
	put_record(23, 8);
	give(0, 50);
	framing_gap(&framing, &taker, 100);
	give(150, 210);
	give(210, stream_size);
	came("l150 l60 r100 r8 ");
}

static void
in_a_header(void)
{
	begin();
	put_record(23, 100);
	put_record(23, 8);
	give(0, 3);
	framing_gap(&framing, &taker, 50);
	framing_gap(&framing, &taker, 52);
	give(105, stream_size);
	came("l53 l52 r8 ");
}

static void
no_records(void)
{
	begin();
	framing_bytes(&framing, &taker, (const uint8_t *)"GET / HTTP", 10);
	check(framing.alien);
	came("l5 l5 ");
	begin();
	put_record(22, RECORD_CONTENT_MAX + 1);
	give(0, 10);
	check(framing.alien);
	came("l5 l5 ");
	begin();
	put_record(22, 1);
	put_record(25, 1);
	give(0, stream_size);
	check(!framing.alien);
	came("r1 l5 l1 ");
}

static const struct check_case cases[] = {
	{ "segments that end anywhere", anywhere },
	{ "gaps in a record", in_a_record },
	{ "a gap over the end of one", over_its_end },
	{ "a gap in a header", in_a_header },
	{ "what is no record", no_records },
	{ NULL, NULL },
};

int
main(void)
{
	return check_main(cases);
}
