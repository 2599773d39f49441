// SPDX-License-Identifier: BSD-3-Clause
/* Takes a device string apart. */
#include "ebpftls-device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpftls-naming.h"

#define PID_MAX 4194304U
#define UID_MAX 4294967294U /* the last one is nobody at all */

/* Digits of a container's id: at least as many as its runtime shows. */
#define CONTAINER_MIN 12
#define CONTAINER_MAX 64

bool
ebpftls_device_is_ours(const char *name)
{
	return strncmp(name, EBPFTLS_PREFIX, sizeof(EBPFTLS_PREFIX) - 1) == 0;
}

/* Copies what stands from `from` up to `end`; false when it does not fit. */
static bool
copy(char *to, size_t size, const char *from, const char *end)
{
	size_t length = (size_t)(end - from);

	if (length >= size)
		return false;
	memcpy(to, from, length);
	to[length] = '\0';
	return true;
}

static bool
set_keylog(struct ebpftls_device *device, const char *value)
{
	const char *end = value + strlen(value);

	return *value != '\0' &&
	       copy(device->keylog, sizeof(device->keylog), value, end);
}

static bool
set_hold(struct ebpftls_device *device, const char *value)
{
	char *end;
	unsigned long number = strtoul(value, &end, 10);

	device->hold_ms = (uint32_t)number;
	return *value >= '0' && *value <= '9' && *end == '\0' &&
	       number <= EBPFTLS_HOLD_MS_MAX;
}

static bool
set_savefile(struct ebpftls_device *device, const char *value)
{
	device->classic = strcmp(value, "pcap") == 0;
	return device->classic || strcmp(value, "pcapng") == 0;
}

static bool
set_seal(struct ebpftls_device *device, const char *value)
{
	device->no_seal = strcmp(value, "off") == 0;
	return device->no_seal || strcmp(value, "on") == 0;
}

static bool
set_secrets(struct ebpftls_device *device, const char *value)
{
	device->no_secrets = strcmp(value, "off") == 0;
	return device->no_secrets || strcmp(value, "on") == 0;
}

static bool
set_process(struct ebpftls_device *device, const char *value)
{
	static const struct {
		const char *value;
		unsigned int naming;
	} ways[] = {
		{ "comment", EBPFTLS_BY_COMMENT },
		{ "block", EBPFTLS_BY_BLOCK },
		{ "both", EBPFTLS_BY_COMMENT | EBPFTLS_BY_BLOCK },
		{ "off", 0 },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		device->naming = ways[i].naming;
		if (strcmp(value, ways[i].value) == 0)
			return true;
	}
	return false;
}

static bool
add_number(struct ebpftls_wants *wants, enum ebpftls_want kind,
	   uint32_t *numbers, const char *value, uint32_t limit)
{
	unsigned long long number;
	char *end;

	if (wants->count[kind] == EBPFTLS_WANTS_MAX || *value < '0' ||
	    *value > '9')
		return false;
	number = strtoull(value, &end, 10);
	numbers[wants->count[kind]++] = (uint32_t)number;
	return *end == '\0' && number <= limit;
}

static bool
add_text(struct ebpftls_wants *wants, enum ebpftls_want kind, char *texts,
	 size_t size, const char *value)
{
	size_t next = wants->count[kind];

	if (next == EBPFTLS_WANTS_MAX || *value == '\0')
		return false;
	wants->count[kind]++;
	return copy(texts + next * size, size, value, value + strlen(value));
}

static bool
set_pid(struct ebpftls_device *device, const char *value)
{
	struct ebpftls_wants *wants = &device->wants;

	return *value != '0' &&
	       add_number(wants, EBPFTLS_WANT_PID, wants->pid, value, PID_MAX);
}

static bool
set_uid(struct ebpftls_device *device, const char *value)
{
	struct ebpftls_wants *wants = &device->wants;

	return add_number(wants, EBPFTLS_WANT_UID, wants->uid, value, UID_MAX);
}

static bool
set_comm(struct ebpftls_device *device, const char *value)
{
	struct ebpftls_wants *wants = &device->wants;

	return add_text(wants, EBPFTLS_WANT_COMM, wants->comm[0],
			sizeof(wants->comm[0]), value);
}

static bool
set_exe(struct ebpftls_device *device, const char *value)
{
	struct ebpftls_wants *wants = &device->wants;

	return *value == '/' && add_text(wants, EBPFTLS_WANT_EXE, wants->exe[0],
					 sizeof(wants->exe[0]), value);
}

static bool
set_cgroup(struct ebpftls_device *device, const char *value)
{
	struct ebpftls_wants *wants = &device->wants;
	size_t length = strlen(value);
	bool is_id = length >= CONTAINER_MIN && length <= CONTAINER_MAX &&
		     strspn(value, "0123456789abcdef") == length;

	return (*value == '/' || is_id) &&
	       add_text(wants, EBPFTLS_WANT_CGROUP, wants->cgroup[0],
			sizeof(wants->cgroup[0]), value);
}

/* The name of a switch alone is as good as "on". */
static bool
set_switch(uint8_t *on, const char *value)
{
	*on = *value == '\0' || strcmp(value, "on") == 0;
	return *on || strcmp(value, "off") == 0;
}

static bool
set_children(struct ebpftls_device *device, const char *value)
{
	return set_switch(&device->wants.children, value);
}

static bool
set_unknown(struct ebpftls_device *device, const char *value)
{
	return set_switch(&device->wants.unknown, value);
}

_Static_assert(EBPFTLS_WANTS_MAX == 32, "the texts say so");

static const struct option {
	const char *name;
	bool (*set)(struct ebpftls_device *device, const char *value);
	const char *values;
	bool bare; /* needs no value */
} options[] = {
	{ "cgroup", set_cgroup,
	  "an absolute path in the unified hierarchy or a container id of at "
	  "least 12 digits, at most 32 times",
	  false },
	{ "children", set_children, "on or off", true },
	{ "comm", set_comm, "a name of 1 to 15 bytes, at most 32 times",
	  false },
	{ "exe", set_exe,
	  "an absolute path of at most 255 bytes, at most 32 times", false },
	{ "hold", set_hold, "0 to 10000 milliseconds", false },
	{ "keylog", set_keylog, "the path of a file", false },
	{ "pid", set_pid, "1 to 4194304, at most 32 times", false },
	{ "process", set_process, "comment, block, both or off", false },
	{ "savefile", set_savefile, "pcap or pcapng", false },
	{ "seal", set_seal, "on or off", false },
	{ "secrets", set_secrets, "on or off", false },
	{ "uid", set_uid, "0 to 4294967294, at most 32 times", false },
	{ "unknown", set_unknown, "on or off", true },
};

/* `text` is one option, "name=value"; `end` is where it ends. */
static enum ebpftls_reason
set_option(struct ebpftls_device *device, const char *option, const char *end,
	   char *text, size_t size)
{
	int length = (int)(strcspn(option, "=,"));
	const char *start = option + length;
	char value[EBPFTLS_PATH_SIZE];

	if (length == 0) {
		snprintf(text, size, "an option is missing after ','");
		return EBPFTLS_REASON_OTHER;
	}
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strlen(options[i].name) != (size_t)length ||
		    strncmp(options[i].name, option, (size_t)length) != 0)
			continue;
		if ((*start == '=' || options[i].bare) &&
		    copy(value, sizeof(value), start + (*start == '='), end) &&
		    options[i].set(device, value))
			return 0;
		snprintf(text, size, "the option %s= takes %s", options[i].name,
			 options[i].values);
		return EBPFTLS_REASON_OTHER;
	}
	snprintf(text, size, "unknown option '%.*s'", length, option);
	return EBPFTLS_REASON_OTHER;
}

/* All of them; `end` is the comma before the first, or the string's end. */
static enum ebpftls_reason
set_options(struct ebpftls_device *device, const char *end, char *text,
	    size_t size)
{
	enum ebpftls_reason reason = 0;

	while (reason == 0 && *end == ',') {
		const char *option = end + 1;

		end = option + strcspn(option, ",");
		reason = set_option(device, option, end, text, size);
	}
	return reason;
}

bool
ebpftls_device_selects(const struct ebpftls_device *device)
{
	for (int i = 0; i < EBPFTLS_WANTS; i++)
		if (device->wants.count[i] > 0)
			return true;
	return false;
}

/* Whether options that go with others do. */
static enum ebpftls_reason
check_wants(const struct ebpftls_device *device, char *text, size_t size)
{
	const struct ebpftls_wants *wants = &device->wants;

	if (wants->children && wants->count[EBPFTLS_WANT_PID] == 0 &&
	    wants->count[EBPFTLS_WANT_COMM] == 0 &&
	    wants->count[EBPFTLS_WANT_EXE] == 0) {
		snprintf(text, size,
			 "the option children goes with pid=, comm= or exe=");
		return EBPFTLS_REASON_OTHER;
	}
	if (wants->unknown && !ebpftls_device_selects(device)) {
		snprintf(text, size,
			 "the option unknown goes with pid=, uid=, comm=, "
			 "exe= or cgroup=");
		return EBPFTLS_REASON_OTHER;
	}
	return 0;
}

enum ebpftls_reason
ebpftls_device_parse(const char *name, struct ebpftls_device *device,
		     char *text, size_t size)
{
	const char *interface = name + sizeof(EBPFTLS_PREFIX) - 1;
	const char *at = interface + strcspn(interface, "@,");
	const char *end = interface + strcspn(interface, ",");
	enum ebpftls_reason reason;

	text[0] = '\0';
	memset(device, 0, sizeof(*device));
	device->hold_ms = EBPFTLS_HOLD_MS;
	device->naming = EBPFTLS_BY_COMMENT | EBPFTLS_BY_BLOCK;
	if (at == interface) {
		snprintf(
		    text, size,
		    "no interface given: ebpftls:INTERFACE or ebpftls:any");
		return EBPFTLS_REASON_NO_SUCH_DEVICE;
	}
	if (!copy(device->interface, sizeof(device->interface), interface, at))
		return EBPFTLS_REASON_NO_SUCH_DEVICE;
	if (*at == '@') {
		at++;
		if (at == end) {
			snprintf(text, size,
				 "no network namespace given "
				 "after '@': a name, a path or a pid");
			return EBPFTLS_REASON_OTHER;
		}
		if (!copy(device->netns, sizeof(device->netns), at, end)) {
			snprintf(
			    text, size,
			    "the name of the network namespace is too long");
			return EBPFTLS_REASON_OTHER;
		}
	}
	reason = set_options(device, end, text, size);
	return reason != 0 ? reason : check_wants(device, text, size);
}
