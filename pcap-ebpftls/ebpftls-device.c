// SPDX-License-Identifier: BSD-3-Clause
/* Takes a device string apart. */
#include "ebpftls-device.h"

#include <stdio.h>
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

static enum ebpftls_reason
refuse_option(const char *option, char *text, size_t size)
{
	int length = (int)strcspn(option, ",=");

	if (length == 0)
		snprintf(text, size, "an option is missing after ','");
	else
		snprintf(text, size, "unknown option '%.*s'", length, option);
	return EBPFTLS_REASON_OTHER;
}

enum ebpftls_reason
ebpftls_device_parse(const char *name, struct ebpftls_device *device,
		     char *text, size_t size)
{
	const char *interface = name + sizeof(EBPFTLS_PREFIX) - 1;
	const char *at = interface + strcspn(interface, "@,");
	const char *end = interface + strcspn(interface, ",");

	text[0] = '\0';
	device->netns[0] = '\0';
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
	if (*end == ',')
		return refuse_option(end + 1, text, size);
	return 0;
}
