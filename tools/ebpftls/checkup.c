// SPDX-License-Identifier: BSD-3-Clause
/*
 * Asks an agent for a check instead of a capture. It is reached by the same
 * code as from within libpcap, and does what it does for a capture.
 */
#define _GNU_SOURCE

#include "checkup.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ebpftls-control-io.h"

/* A whole check takes a fraction of a second; an emulated machine many. */
#define ANSWER_MS 60000

#define AGENT	"agent"
#define PACKETS "packets"

#define TEXT_SIZE 512

/* --- reaching it ---------------------------------------------------------- */

/* What helps when a service cannot be reached; it is not root who tries. */
static void
explain_service(const struct ebpftls_reach *reach, char *text, size_t size)
{
	if (reach->error == -ENOENT || reach->error == -ECONNREFUSED)
		snprintf(text, size,
			 "sudo systemctl enable --now ebpftls-agent.socket; or "
			 "capture as root, by sudo");
	else
		snprintf(text, size,
			 "sudo chmod 666 %s, unless \"namei -l %s\" shows a "
			 "folder that is closed to you",
			 reach->path, reach->path);
}

static void
explain_agent(const struct ebpftls_reach *reach, char *text, size_t size)
{
	struct stat st;

	if (stat(reach->path, &st) != 0)
		snprintf(text, size,
			 "install ebpftls, by sudo make install; or name the "
			 "agent by EBPFTLS_AGENT=PATH");
	else if (!(st.st_mode & S_IXUSR))
		snprintf(text, size, "sudo chmod 755 %s", reach->path);
	else
		snprintf(text, size,
			 "\"findmnt -T %s\" shows whether programs may be "
			 "executed there; \"dmesg\", what denies it",
			 reach->path);
}

static void
tell_unreached(struct findings *findings, const struct ebpftls_reach *reach,
	       const struct ebpftls_failure *failure)
{
	char remedy[TEXT_SIZE];

	if (reach->is_service)
		explain_service(reach, remedy, sizeof(remedy));
	else
		explain_agent(reach, remedy, sizeof(remedy));
	findings_add(findings, EBPFTLS_STATE_NO, AGENT, failure->text, remedy);
	findings->impossible = true;
}

static void
tell_reached(struct findings *findings, const struct ebpftls_reach *reach)
{
	char text[TEXT_SIZE];

	snprintf(text, sizeof(text), "%s %s answers",
		 reach->is_service ? "the service at" : "the agent",
		 reach->path);
	findings_add(findings, EBPFTLS_STATE_OK, AGENT, text, "");
}

/* --- what it says --------------------------------------------------------- */

static void
tell_broken(struct findings *findings, const struct ebpftls_reach *reach,
	    const char *what)
{
	char text[TEXT_SIZE], remedy[TEXT_SIZE];

	snprintf(text, sizeof(text), "%s %s %s",
		 reach->is_service ? "the service at" : "the agent",
		 reach->path, what);
	if (reach->is_service)
		snprintf(remedy, sizeof(remedy),
			 "a user may have 32 captures at once; \"journalctl -u "
			 "'ebpftls-agent*'\" may say what else it is; or "
			 "install ebpftls again, by sudo make install");
	else
		snprintf(remedy, sizeof(remedy),
			 "\"%s --help\" may say why; install ebpftls again, by "
			 "sudo make install",
			 reach->path);
	findings_add(findings, EBPFTLS_STATE_NO, AGENT, text, remedy);
	findings->impossible = true;
}

/* What it means that there is none of a part. */
static const char *
consequence(const struct ebpftls_finding *finding)
{
	static const struct {
		const char *part, *text;
	} all[] = {
		{ PACKETS, "nothing can be captured" },
		{ "processes", "packets do not name their processes" },
		{ "secrets", "nothing will be decrypted" },
		{ "namespaces", "only this network namespace can be captured" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(finding->part, all[i].part) == 0)
			return all[i].text;
	return "it is missing";
}

static void
tell_finding(struct findings *findings, const char *interface,
	     const struct ebpftls_finding *finding)
{
	bool packets = strcmp(finding->part, PACKETS) == 0;
	char text[TEXT_SIZE] = "";

	if (finding->state == EBPFTLS_STATE_NO)
		snprintf(text, sizeof(text), "%s%s%s: ", consequence(finding),
			 packets ? " on " : "", packets ? interface : "");
	strncat(text, finding->text, sizeof(text) - strlen(text) - 1);
	findings_add(findings, (enum ebpftls_state)finding->state,
		     finding->part, text, finding->remedy);
	if (packets && finding->state == EBPFTLS_STATE_NO)
		findings->impossible = true;
}

/* The next message; its type, 0 at the end, or a negative errno. */
static int
receive(int sock, union ebpftls_any_message *message)
{
	struct pollfd wait = { sock, POLLIN, 0 };
	int fds[EBPFTLS_RINGS_MAX], type;
	size_t count;

	if (poll(&wait, 1, ANSWER_MS) <= 0)
		return -ETIMEDOUT;
	type = ebpftls_control_receive(sock, message, fds, &count);
	if (type > 0)
		ebpftls_control_close(fds, count);
	return type;
}

static void
listen_to(struct findings *findings, const struct ebpftls_reach *reach,
	  const char *interface, int sock)
{
	union ebpftls_any_message message;
	int type = receive(sock, &message);

	if (type == EBPFTLS_FINDING)
		tell_reached(findings, reach);
	while (type == EBPFTLS_FINDING) {
		if (message.finding.part[0] == '\0')
			return;
		tell_finding(findings, interface, &message.finding);
		type = receive(sock, &message);
	}
	if (type == -ETIMEDOUT)
		tell_broken(findings, reach, "does not answer");
	else if (type == -EBADMSG || type > 0)
		tell_broken(findings, reach,
			    "is of another version than this tool");
	else
		tell_broken(findings, reach, "ended without an answer");
}

void
checkup(struct findings *findings, const struct ebpftls_device *device,
	struct ebpftls_reach *reach)
{
	union ebpftls_any_message message = {
		.open = { .snaplen = EBPFTLS_SNAPLEN_MAX,
			  .owners = true,
			  .check = true,
			  .wants = device->wants },
	};
	struct ebpftls_failure failure;
	int sock = ebpftls_client_reach(reach, &failure);

	if (sock < 0) {
		tell_unreached(findings, reach, &failure);
		return;
	}
	memcpy(message.open.interface, device->interface,
	       sizeof(message.open.interface));
	memcpy(message.open.netns, device->netns, sizeof(message.open.netns));
	/* one that refuses at once has said why before it closed */
	ebpftls_control_send(sock, &message, EBPFTLS_OPEN, NULL, 0);
	listen_to(findings, reach, device->interface, sock);
	close(sock);
}
