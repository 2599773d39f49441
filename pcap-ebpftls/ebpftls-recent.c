// SPDX-License-Identifier: BSD-3-Clause
/* A ring of packets, each with copies of what its record refers to. */
#include "ebpftls-recent.h"

#include <stdlib.h>
#include <string.h>

#include "ebpftls-mark.h"

struct entry {
	struct ebpftls_record record;
	struct ebpftls_owner sender;
	struct ebpftls_owner receiver;
	struct ebpftls_need need;
	uint8_t bytes[EBPFTLS_MARK_CHECKED];
};

struct ebpftls_recent {
	uint64_t count; /* that there have been */
	struct entry entries[EBPFTLS_RECENT_MAX];
};

struct ebpftls_recent *
ebpftls_recent_new(void)
{
	return calloc(1, sizeof(struct ebpftls_recent));
}

void
ebpftls_recent_free(struct ebpftls_recent *recent)
{
	free(recent);
}

static const struct ebpftls_owner *
copy(struct ebpftls_owner *to, const struct ebpftls_owner *from)
{
	if (from == NULL)
		return NULL;
	*to = *from;
	return to;
}

void
ebpftls_recent_add(struct ebpftls_recent *recent,
		   const struct ebpftls_record *record, const uint8_t *bytes,
		   struct ebpftls_need need)
{
	struct entry *entry =
	    &recent->entries[recent->count++ % EBPFTLS_RECENT_MAX];

	entry->record = *record;
	entry->record.sender = copy(&entry->sender, record->sender);
	entry->record.receiver = copy(&entry->receiver, record->receiver);
	entry->need = need;
	memcpy(entry->bytes, bytes,
	       record->caplen < EBPFTLS_MARK_CHECKED ? record->caplen
						     : EBPFTLS_MARK_CHECKED);
}

void
ebpftls_recent_mark(const struct ebpftls_recent *recent,
		    struct ebpftls_savefile *journal, uint64_t now)
{
	uint64_t i = recent->count < EBPFTLS_RECENT_MAX
			 ? 0
			 : recent->count - EBPFTLS_RECENT_MAX;

	for (; i < recent->count; i++) {
		const struct entry *entry =
		    &recent->entries[i % EBPFTLS_RECENT_MAX];

		ebpftls_savefile_again(journal, &entry->record, entry->bytes,
				       &entry->need, now);
	}
}
