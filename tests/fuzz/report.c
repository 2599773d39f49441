// SPDX-License-Identifier: BSD-3-Clause
/*
 * Takes any bytes for a capture file and reports on it. What is written may
 * do no harm to a terminal, and no more may be opened than there is.
 */
#define _GNU_SOURCE
#include "inspect.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "require.h"

/* So few that places are fought for. */
#define LIMIT 4

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void
look_at(const struct connection *connection)
{
	const struct conversation_result *result = &connection->result;

	require(result->opened <= result->records);
	require(connection->client <= 1);
	require(connection->tuple.address_size == 4 ||
		connection->tuple.address_size == 16);
	require(result->opened == 0 || result->client_hello);
}

static void
take(void *context, const struct connection *connection)
{
	(void)context;
	require(connection->told);
	look_at(connection);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const int fd = memfd_create("report", MFD_CLOEXEC);
	struct inspection inspection;
	const struct connection *at;
	char *text = NULL;
	size_t length;
	struct table table = { 0 };

	require(write(fd, bytes, size) == (ssize_t)size);
	lseek(fd, 0, SEEK_SET);
	inspect(&inspection, fd, LIMIT, take, NULL);
	for (at = inspection.list; at != NULL; at = at->next)
		look_at(at);
	table.to = open_memstream(&text, &length);
	table_write(&table, &inspection);
	fclose(table.to);
	for (size_t i = 0; i < length; i++)
		require(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
	free(text);
	inspection_free(&inspection);
	close(fd);
	return 0;
}
