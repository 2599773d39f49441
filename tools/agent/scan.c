// SPDX-License-Identifier: BSD-3-Clause
/*
 * From the names of secrets to hooks: where the names are, what code refers
 * to them, which function that code calls with them, and where that function
 * has what is needed. Any file that does not give all of this gets no hook.
 */
#include "scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scan-body.h"
#include "scan-elf.h"
#include "scan-flow.h"
#include "scan-go.h"
#include "scan-labels.h"
#include "scan-refs.h"
#include "scan-votes.h"

#define KEY_EXPANSION "key expansion"

struct scan {
	struct scan_elf elf;
	struct scan_labels labels;
	struct scan_labels expansions; /* of the text "key expansion" */
	struct scan_references references;
	struct scan_votes votes;
	struct flow *flow;
	const struct flow_convention *use;
	struct scan_go go;
	bool is_go;
	uint32_t log_count;
	uint64_t log_functions[SCAN_HOOKS_MAX]; /* of Go, with hooks */
	struct scan_result *result;
};

__attribute__((format(printf, 2, 3))) static void
say(struct scan_result *result, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(result->why, sizeof(result->why), format, arguments);
	va_end(arguments);
}

/* --- hooks ---------------------------------------------------------------- */

static struct ebpftls_place
in_register(uint8_t reg)
{
	return (struct ebpftls_place){ .reg = reg, .known = 1 };
}

static struct ebpftls_hook *
add_hook(struct scan *scan, uint64_t function)
{
	struct scan_result *result = scan->result;
	struct ebpftls_hook *hook;

	if (result->count == SCAN_HOOKS_MAX) {
		say(result, "more than %d functions get secrets",
		    SCAN_HOOKS_MAX);
		return NULL;
	}
	hook = &result->hooks[result->count++];
	memset(hook, 0, sizeof(*hook));
	hook->offset = scan_elf_offset(&scan->elf, function);
	return hook;
}

static void
add_names(struct ebpftls_hook *hook, const struct scan_labels *labels,
	  uint64_t function, bool referred)
{
	for (uint32_t i = 0; i < labels->count; i++)
		if (labels->at[i].referred == referred &&
		    hook->name_count < EBPFTLS_NAMES_MAX)
			hook->names[hook->name_count++] = (struct ebpftls_name){
				.distance =
				    (int64_t)(labels->at[i].address - function),
				.label = labels->at[i].label,
			};
}

/* What code refers to comes first, should there be too many. */
static struct ebpftls_hook *
add_log_hook(struct scan *scan, uint64_t function)
{
	struct ebpftls_hook *hook = add_hook(scan, function);

	if (hook == NULL)
		return NULL;
	hook->strict = 1;
	add_names(hook, &scan->labels, function, true);
	add_names(hook, &scan->labels, function, false);
	return hook;
}

/* log(session, label, secret, length) */
static void
hook_session(struct scan *scan, uint64_t function,
	     const struct ebpftls_place *random)
{
	struct ebpftls_hook *hook = add_log_hook(scan, function);

	if (hook == NULL)
		return;
	hook->label = in_register(scan->use->arguments[1]);
	hook->secret = in_register(scan->use->arguments[2]);
	hook->length = in_register(scan->use->arguments[3]);
	hook->random = *random;
}

/* log(label, session, random, 32, secret, length) */
static void
hook_inner(struct scan *scan, uint64_t function)
{
	struct ebpftls_hook *hook = add_log_hook(scan, function);

	if (hook == NULL)
		return;
	hook->label = in_register(scan->use->arguments[0]);
	hook->random = in_register(scan->use->arguments[2]);
	hook->secret = in_register(scan->use->arguments[4]);
	hook->length = in_register(scan->use->arguments[5]);
}

/* func (c *Config) writeKeyLog(label string, clientRandom, secret []byte) */
static void
hook_go(struct scan *scan, uint64_t function)
{
	const uint8_t *arguments = scan->use->go_arguments;
	struct ebpftls_hook *hook = add_log_hook(scan, function);

	if (hook == NULL)
		return;
	hook->label = in_register(arguments[1]);
	hook->random = in_register(arguments[3]);
	hook->secret = in_register(arguments[6]);
	hook->length = in_register(arguments[7]);
	scan->log_functions[scan->log_count++] = function;
}

/*
 * func keysFromMasterSecret(version uint16, suite *cipherSuite, masterSecret,
 *     clientRandom, ... []byte, ...): called for resumed sessions of TLS 1.2,
 * too, which are not logged.
 */
static void
hook_go_keys(struct scan *scan)
{
	const uint8_t *arguments = scan->use->go_arguments;
	uint64_t functions[SCAN_GO_MAX];
	uint32_t count =
	    scan_go_key_functions(&scan->go, &scan->elf, scan->log_functions,
				  scan->log_count, functions);

	for (uint32_t i = 0; i < count; i++) {
		struct ebpftls_hook *hook = add_hook(scan, functions[i]);

		if (hook == NULL)
			return;
		hook->secret = in_register(arguments[2]);
		hook->length = in_register(arguments[3]);
		hook->random = in_register(arguments[5]);
		hook->names[0].label = EBPFTLS_CLIENT_RANDOM;
		hook->name_count = 1;
	}
}

/*
 * _gnutls_prf_raw(mac, 48, master, label size, label, 64, seed): the same for
 * GnuTLS. The seed for "key expansion" ends with the client random.
 */
static void
hook_gnutls_prf(struct scan *scan)
{
	uint64_t function = scan_elf_symbol(&scan->elf, "_gnutls_prf_raw");
	const uint8_t *arguments = scan->use->arguments;
	struct ebpftls_hook *hook;

	if (function == 0 || !scan_elf_is_code(&scan->elf, function))
		return;
	scan_labels_find_text(&scan->expansions, &scan->elf, KEY_EXPANSION,
			      EBPFTLS_CLIENT_RANDOM);
	if (scan->expansions.count == 0)
		return;
	hook = add_hook(scan, function);
	if (hook == NULL)
		return;
	hook->label = in_register(arguments[4]);
	hook->secret = in_register(arguments[2]);
	if (scan->use->argument_count > 6) {
		hook->random = in_register(arguments[6]);
		hook->random.offset[0] = 32;
	} else {
		hook->random = in_register(scan->use->stack);
		hook->random.loads = 1;
		hook->random.offset[0] = 8;
		hook->random.offset[1] = 32;
	}
	add_names(hook, &scan->expansions, function, false);
}

/* --- decisions ------------------------------------------------------------ */

/* Returns NULL if the function could be hooked, or what is missing. */
static const char *
judge(struct scan *scan, const struct scan_vote *vote)
{
	struct ebpftls_place random;

	if (vote->go) {
		if (scan->is_go)
			hook_go(scan, vote->function);
		return scan->is_go ? NULL : "is like Go's, but not Go";
	}
	if (vote->argument == 0 && vote->sized == 4) {
		hook_inner(scan, vote->function);
		return NULL;
	}
	if (vote->argument != 1)
		return "is not like that of a known TLS library";
	if (!scan_body_random(scan->flow, &scan->elf, vote->function, &random))
		return "has no client random that could be found";
	hook_session(scan, vote->function, &random);
	return NULL;
}

/* Why no function stands out that gets names of secrets. */
static void
explain(struct scan *scan)
{
	const struct scan_votes *votes = &scan->votes;
	struct scan_result *result = scan->result;

	if (scan->references.count == 0)
		say(result, "no code refers to the names of secrets in it");
	else if (scan_votes_names(votes->indirect) >= SCAN_VOTES_MIN)
		say(result, "secrets are handed on by indirect calls only");
	else if (scan_votes_names(votes->imported) >= SCAN_VOTES_MIN)
		say(result, "names of secrets go to other files' functions");
	else
		say(result, "no function gets three or more names of secrets");
}

static void
judge_all(struct scan *scan)
{
	const char *missing = NULL;

	for (uint32_t i = 0; i < scan->votes.count; i++) {
		const struct scan_vote *vote = &scan->votes.at[i];
		const char *what;

		if (scan_votes_names(vote->names) < SCAN_VOTES_MIN)
			break;
		what = judge(scan, vote);
		if (missing == NULL)
			missing = what;
	}
	if (scan->result->count == 0) {
		if (missing == NULL)
			explain(scan);
		else
			say(scan->result, "the function that gets secrets %s",
			    missing);
		return;
	}
	if (scan->is_go)
		hook_go_keys(scan);
	else
		hook_gnutls_prf(scan);
}

static bool
has_go_votes(const struct scan_votes *votes)
{
	for (uint32_t i = 0; i < votes->count; i++)
		if (votes->at[i].go)
			return true;
	return false;
}

static bool
look_at_code(struct scan *scan)
{
	scan_elf_read_slots(&scan->elf);
	scan_references_find(&scan->references, &scan->labels, &scan->elf);
	scan->flow = flow_open(&scan->elf);
	if (scan->flow == NULL) {
		say(scan->result, "out of memory");
		return false;
	}
	scan->use = flow_convention(scan->flow);
	scan_votes_count(&scan->votes, &scan->references, scan->flow,
			 &scan->elf);
	scan->is_go =
	    has_go_votes(&scan->votes) && scan_go_find(&scan->go, &scan->elf);
	judge_all(scan);
	flow_close(scan->flow);
	return true;
}

bool
scan_file(int fd, struct scan_result *result)
{
	struct scan *scan = calloc(1, sizeof(*scan));
	const char *why;
	bool done = true;

	memset(result, 0, sizeof(*result));
	if (scan == NULL) {
		say(result, "out of memory");
		return false;
	}
	scan->result = result;
	why = scan_elf_open(&scan->elf, fd);
	if (why != NULL) {
		say(result, "%s", why);
		done = why != scan_elf_not_mapped;
	} else {
		scan_labels_find(&scan->labels, &scan->elf);
		result->labels = scan_votes_names(scan->labels.names);
		if (scan->labels.count == 0)
			say(result, "no names of secrets in it");
		else
			done = look_at_code(scan);
	}
	scan_elf_close(&scan->elf);
	free(scan);
	return done;
}
