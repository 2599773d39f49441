// SPDX-License-Identifier: BSD-3-Clause
/* Takes a device string apart. */
#include "ebpftls-device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
set_secrets(struct ebpftls_device *device, const char *value)
{
	device->no_secrets = strcmp(value, "off") == 0;
	return device->no_secrets || strcmp(value, "on") == 0;
}

static const struct option {
	const char *name;
	bool (*set)(struct ebpftls_device *device, const char *value);
	const char *values;
} options[] = {
	{ "hold", set_hold, "0 to 10000 milliseconds" },
	{ "keylog", set_keylog, "the path of a file" },
	{ "savefile", set_savefile, "pcap or pcapng" },
	{ "secrets", set_secrets, "on or off" },
};

/* `text` is one option, "name=value"; `end` is where it ends. */
static enum ebpftls_reason
set_option(struct ebpftls_device *device, const char *option, const char *end,
	   char *text, size_t size)
{
	int length = (int)(strcspn(option, "=,"));
	char value[EBPFTLS_PATH_SIZE];

	if (length == 0) {
		snprintf(text, size, "an option is missing after ','");
		return EBPFTLS_REASON_OTHER;
	}
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strlen(options[i].name) != (size_t)length ||
		    strncmp(options[i].name, option, (size_t)length) != 0)
			continue;
		if (option[length] == '=' &&
		    copy(value, sizeof(value), option + length + 1, end) &&
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

enum ebpftls_reason
ebpftls_device_parse(const char *name, struct ebpftls_device *device,
		     char *text, size_t size)
{
	const char *interface = name + sizeof(EBPFTLS_PREFIX) - 1;
	const char *at = interface + strcspn(interface, "@,");
	const char *end = interface + strcspn(interface, ",");

	text[0] = '\0';
	memset(device, 0, sizeof(*device));
	device->hold_ms = EBPFTLS_HOLD_MS;
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
	return set_options(device, end, text, size);
}
