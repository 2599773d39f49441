// SPDX-License-Identifier: BSD-3-Clause
/*
 * Follows a function from its entry. One that logs secrets hands the client
 * random on with its length, or reads it byte by byte; and functions that the
 * file exports give it out.
 */
#include "scan-body.h"

#include <string.h>

#define INSTRUCTIONS_MAX 3000
#define POINTS_MAX	 512
#define RANDOM_SIZE	 32
#define OFFSET_MIN	 16 /* headers of objects come first */
#define OFFSET_MAX	 0x4000

struct body {
	const struct flow_convention *use;
	bool sized; /* a call got this, and its length */
	struct ebpftls_place sized_place;
	bool copied; /* a call got this, and where to copy it to */
	struct ebpftls_place copied_place;
	bool given; /* this was stored through the second argument */
	struct ebpftls_place given_place;
	uint32_t point_count;
	struct ebpftls_place points[POINTS_MAX]; /* data is, or may be, here */
};

static int32_t
last_offset(const struct ebpftls_place *place)
{
	return place->offset[place->loads];
}

static bool
is_argument(const struct body *body, const struct flow_value *value,
	    uint8_t number)
{
	return flow_is_below(value, body->use->arguments[number]);
}

static bool
is_data(const struct body *body, const struct flow_value *value)
{
	return is_argument(body, value, 0) &&
	       last_offset(&value->place) >= OFFSET_MIN &&
	       last_offset(&value->place) <= OFFSET_MAX;
}

static void
see_call(void *context, const struct flow_state *state, uint64_t target)
{
	struct body *body = context;
	const uint8_t *arguments = body->use->arguments;
	const struct flow_value *first = &state->reg[arguments[0]];
	const struct flow_value *second = &state->reg[arguments[1]];

	(void)target;
	for (int i = 0; !body->sized && i + 1 < body->use->argument_count;
	     i++) {
		const struct flow_value *value = &state->reg[arguments[i]];

		if (!is_data(body, value) ||
		    !flow_is_constant(&state->reg[arguments[i + 1]],
				      RANDOM_SIZE))
			continue;
		body->sized = true;
		body->sized_place = value->place;
	}
	if (!body->copied && is_argument(body, first, 1) &&
	    first->place.loads == 0 && first->place.offset[0] == 0 &&
	    is_data(body, second)) {
		body->copied = true;
		body->copied_place = second->place;
	}
}

static void
see_access(void *context, const struct flow_access *access)
{
	struct body *body = context;
	const struct flow_value *to = &access->address;

	if (access->write) {
		if (!body->given && is_argument(body, to, 1) &&
		    to->place.loads == 0 && to->place.offset[0] == 0 &&
		    is_data(body, &access->value)) {
			body->given = true;
			body->given_place = access->value.place;
		}
	} else if (is_data(body, to) && body->point_count < POINTS_MAX &&
		   (access->size <= 1 || access->size >= 16)) {
		body->points[body->point_count++] = to->place;
	}
}

/* The deepest of the places, and the first there: data follows pointers. */
static const struct ebpftls_place *
choose_point(const struct body *body)
{
	const struct ebpftls_place *best = NULL;

	for (uint32_t i = 0; i < body->point_count; i++) {
		const struct ebpftls_place *place = &body->points[i];

		if (best == NULL || place->loads > best->loads ||
		    (place->loads == best->loads &&
		     last_offset(place) < last_offset(best)))
			best = place;
	}
	return best;
}

static void
follow(struct body *body, struct flow *flow, uint64_t function)
{
	const struct flow_visitor visitor = {
		.context = body,
		.call = see_call,
		.access = see_access,
	};

	memset(body, 0, sizeof(*body));
	body->use = flow_convention(flow);
	flow_run(flow, function, INSTRUCTIONS_MAX, &visitor);
}

/* What SSL_get_client_random() copies, or gnutls_session_get_random() gives. */
static bool
ask_accessor(struct flow *flow, const struct scan_elf *elf,
	     struct ebpftls_place *random)
{
	uint64_t openssl = scan_elf_symbol(elf, "SSL_get_client_random");
	uint64_t gnutls = scan_elf_symbol(elf, "gnutls_session_get_random");
	struct body body = { .copied = false };

	if (openssl != 0) {
		follow(&body, flow, openssl);
		*random = body.copied_place;
		return body.copied;
	}
	if (gnutls != 0) {
		follow(&body, flow, gnutls);
		*random = body.given_place;
		return body.given;
	}
	return false;
}

bool
scan_body_random(struct flow *flow, const struct scan_elf *elf,
		 uint64_t function, struct ebpftls_place *random)
{
	const struct ebpftls_place *point;
	struct body body;

	follow(&body, flow, function);
	if (body.sized) {
		*random = body.sized_place;
		return true;
	}
	if (ask_accessor(flow, elf, random))
		return true;
	point = choose_point(&body);
	if (point == NULL)
		return false;
	*random = *point;
	return true;
}
