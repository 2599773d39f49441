// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of handshakes, and what the messages of each kind call for. Most
 * packets belong to none: what tells that comes first, and is cheap.
 */
#include "ebpftls-flow.h"

#include <stdlib.h>
#include <string.h>

#include "ebpftls-packet.h"
#include "ebpftls-quic.h"
#include "ebpftls-table.h"
#include "ebpftls-tls.h"

#define MET_FACTOR	 4 /* connections remembered, for each handshake */
#define HANDSHAKE_MAX	 UINT64_C(60000000000) /* nanoseconds */
#define RANDOM_IN_RECORD (5 + 4 + 2)
#define COLLECT_MAX	 4    /* packets of one datagram to be decrypted */
#define FIRST_LEN	 1200 /* of a client's at least: RFC 9000, 14.1 */
#define PORTS		 1024 /* a power of two */

#define BIT(label) (UINT16_C(1) << EBPFTLS_##label)

/* Before a ServerHello, which choose the keys of all that is encrypted. */
#define SERVER_HELLO_LABELS                     \
	(BIT(CLIENT_HANDSHAKE_TRAFFIC_SECRET) | \
	 BIT(SERVER_HANDSHAKE_TRAFFIC_SECRET) | BIT(SERVER_TRAFFIC_SECRET_0))
#define EARLY_LABELS \
	(BIT(CLIENT_EARLY_TRAFFIC_SECRET) | BIT(EARLY_EXPORTER_SECRET))

enum kind { KIND_TLS, KIND_DTLS, KIND_QUIC };

enum state {
	STATE_CLIENT_HELLO, /* or only a part of it so far */
	STATE_TLS12,	    /* the server chose 1.2 or older, or sent DTLS */
	STATE_TLS13,
	STATE_OVER,
};

struct flow {
	struct ebpftls_node node;
	struct ebpftls_tuple tuple; /* the key */
	uint64_t since;
	uint8_t client; /* which end of the tuple */
	uint8_t kind;	/* enum kind */
	uint8_t state;	/* enum state */
	bool known;	/* `random` is */
	bool early;	/* early data has been seen */
	bool syn;	/* one came after it had begun, and says: */
	uint32_t first; /* sequence number */
	uint8_t random[EBPFTLS_RANDOM_SIZE];
	struct ebpftls_end ends[2]; /* as the tuple's */
	union {
		struct ebpftls_tls_stream streams[2]; /* as the tuple's ends */
		struct {
			struct ebpftls_quic_origin origin;
			struct ebpftls_quic_hello hello;
		} quic;
	};
};

/* A connection whose handshake was seen, or that was counted for having none.
 */
struct met {
	struct ebpftls_node node;
	struct ebpftls_tuple tuple; /* the key */
};

struct ebpftls_flows {
	struct ebpftls_table table;
	uint32_t ports[PORTS]; /* how many of them have such ports */
	struct ebpftls_table met;
	uint64_t older;
};

/* A packet on its way through this file. */
struct look {
	struct ebpftls_flows *flows;
	struct ebpftls_keys *keys;
	struct ebpftls_need *need;
	const struct ebpftls_end *ends; /* sender and receiver */
	uint64_t time;
	struct ebpftls_segment segment;
	struct ebpftls_tuple tuple;
	uint8_t from; /* which end of the tuple sent it */
	uint8_t collected;
};

_Static_assert(sizeof(struct ebpftls_tuple) == 40, "all of it is hashed");
_Static_assert(offsetof(struct flow, tuple) == sizeof(struct ebpftls_node),
	       "place of the key");
_Static_assert(EBPFTLS_TLS_RANDOM_SIZE == EBPFTLS_RANDOM_SIZE, "random");

struct ebpftls_flows *
ebpftls_flows_new(size_t flows)
{
	struct ebpftls_flows *new = calloc(1, sizeof(*new));

	if (new == NULL)
		return NULL;
	if (ebpftls_table_init(&new->table, flows, sizeof(struct flow),
			       sizeof(struct ebpftls_tuple)) &&
	    ebpftls_table_init(&new->met, MET_FACTOR * flows,
			       sizeof(struct met),
			       sizeof(struct ebpftls_tuple)))
		return new;
	ebpftls_flows_free(new);
	return NULL;
}

void
ebpftls_flows_free(struct ebpftls_flows *flows)
{
	if (flows == NULL)
		return;
	ebpftls_table_free(&flows->table);
	ebpftls_table_free(&flows->met);
	free(flows);
}

/* The same for both directions. */
static uint32_t *
with_ports(struct ebpftls_flows *flows, uint16_t one, uint16_t other)
{
	return &flows->ports[(one ^ other) & (PORTS - 1)];
}

/* Most packets are of no handshake, and this is cheaper than to find none. */
static bool
may_have_flow(struct look *look)
{
	return *with_ports(look->flows, look->segment.source_port,
			   look->segment.destination_port) != 0;
}

static void
drop(struct ebpftls_flows *flows, struct flow *flow)
{
	--*with_ports(flows, flow->tuple.port[0], flow->tuple.port[1]);
	ebpftls_table_drop(&flows->table, flow);
}

/* The latest counts: sockets are handed on. */
static void
note_ends(struct look *look, struct flow *flow)
{
	for (int i = 0; i < 2; i++)
		if (look->ends[i].here)
			flow->ends[look->from ^ i] = look->ends[i];
}

static struct flow *
find_flow(struct look *look)
{
	struct flow *flow;

	look->from = ebpftls_packet_tuple(&look->segment, &look->tuple);
	flow = ebpftls_table_find(&look->flows->table, &look->tuple);
	if (flow != NULL)
		note_ends(look, flow);
	return flow;
}

/* Begins to follow a handshake, instead of what was in its place. */
static struct flow *
begin(struct look *look, struct flow *old, enum kind kind)
{
	struct ebpftls_flows *flows = look->flows;
	struct flow *flow;

	if (old != NULL)
		drop(flows, old);
	else if (flows->table.count == flows->table.limit)
		drop(flows, (struct flow *)flows->table.oldest);
	flow = ebpftls_table_add(&flows->table, &look->tuple);
	++*with_ports(flows, look->tuple.port[0], look->tuple.port[1]);
	flow->since = look->time;
	flow->client = look->from;
	flow->kind = (uint8_t)kind;
	note_ends(look, flow);
	return flow;
}

static void
drop_old(struct ebpftls_flows *flows, uint64_t time)
{
	struct flow *oldest;

	while ((oldest = (struct flow *)flows->table.oldest) != NULL &&
	       time > oldest->since && time - oldest->since > HANDSHAKE_MAX)
		drop(flows, oldest);
}

static void
call_for(struct look *look, const struct flow *flow, uint16_t labels)
{
	memcpy(look->need->random, flow->random, sizeof(flow->random));
	memcpy(look->need->ends, flow->ends, sizeof(flow->ends));
	look->need->labels |= labels;
}

static void
set_random(struct look *look, struct flow *flow, const uint8_t *random)
{
	memcpy(flow->random, random, sizeof(flow->random));
	flow->known = true;
	ebpftls_keys_get(look->keys, random)->captured = true;
}

/* Whether this connection has been met before; from now on it has. */
static bool
meet(struct look *look)
{
	struct ebpftls_table *met = &look->flows->met;
	void *item = ebpftls_table_find(met, &look->tuple);

	if (item != NULL)
		ebpftls_table_renew(met, item);
	else
		ebpftls_table_add(met, &look->tuple);
	return item != NULL;
}

/* --- TLS ----------------------------------------------------------------- */

static void
from_tls_client(struct look *look, struct flow *flow, unsigned int seen)
{
	struct ebpftls_tls_stream *stream = &flow->streams[look->from];

	if ((seen & EBPFTLS_TLS_SEEN_HELLO) && !flow->known)
		set_random(look, flow, ebpftls_tls_random(stream));
	if (!flow->known && stream->awaited == 0)
		flow->state = STATE_OVER; /* it cannot be known any more */
	if (!flow->known || !(seen & EBPFTLS_TLS_SEEN_DATA))
		return;
	if (flow->state == STATE_TLS13) {
		call_for(look, flow, BIT(CLIENT_TRAFFIC_SECRET_0));
		flow->state = STATE_OVER;
	} else if (flow->state == STATE_CLIENT_HELLO && !flow->early) {
		call_for(look, flow, BIT(CLIENT_EARLY_TRAFFIC_SECRET));
		flow->early = true;
	}
}

static void
from_tls_server(struct look *look, struct flow *flow, unsigned int seen)
{
	struct ebpftls_tls_stream *stream = &flow->streams[look->from];

	/* it comes after a Finished, which may come long after ServerHello */
	if (flow->state == STATE_TLS13 && look->segment.len > 0)
		call_for(look, flow, BIT(SERVER_TRAFFIC_SECRET_0));
	if (!flow->known || !(seen & EBPFTLS_TLS_SEEN_HELLO))
		return;
	if (ebpftls_tls_is_retry(ebpftls_tls_random(stream))) {
		ebpftls_tls_await(stream, EBPFTLS_TLS_SERVER_HELLO);
	} else if (ebpftls_tls_is_13(stream)) {
		call_for(look, flow, SERVER_HELLO_LABELS);
		flow->state = STATE_TLS13;
	} else {
		flow->state = STATE_TLS12;
	}
}

static void
follow_tls(struct look *look, struct flow *flow)
{
	unsigned int seen =
	    ebpftls_tls_segment(&flow->streams[look->from], &look->segment);

	if (look->from == flow->client)
		from_tls_client(look, flow, seen);
	else
		from_tls_server(look, flow, seen);
	if (flow->state == STATE_TLS12 && (seen & EBPFTLS_TLS_SEEN_CCS)) {
		call_for(look, flow, BIT(CLIENT_RANDOM));
		flow->state = STATE_OVER;
	}
}

static struct flow *
begin_tls(struct look *look, struct flow *old)
{
	struct flow *flow = begin(look, old, KIND_TLS);
	struct ebpftls_tls_stream *server = &flow->streams[!look->from];

	ebpftls_tls_await(&flow->streams[look->from], EBPFTLS_TLS_CLIENT_HELLO);
	ebpftls_tls_await(server, EBPFTLS_TLS_SERVER_HELLO);
	server->sequence = look->segment.acknowledged;
	server->started = (look->segment.flags & EBPFTLS_TCP_ACK) != 0;
	meet(look);
	return flow;
}

static void
begin_older(struct look *look)
{
	look->flows->older++;
	look->need->older = true;
	memcpy(look->need->ends, look->ends, sizeof(look->need->ends));
}

/* Whether the ClientHello that begins here is of another connection. */
static bool
is_other_hello(const struct flow *flow, const struct ebpftls_segment *segment)
{
	return flow->known &&
	       segment->caplen >= RANDOM_IN_RECORD + EBPFTLS_RANDOM_SIZE &&
	       memcmp(segment->payload + RANDOM_IN_RECORD, flow->random,
		      EBPFTLS_RANDOM_SIZE) != 0;
}

/*
 * Whether another connection takes the place of this one: a SYN is answered.
 * Others are stray or forged, and those at the ends go on (RFC 5961, 4).
 */
static bool
is_opened_again(const struct ebpftls_segment *segment, struct flow *flow)
{
	if (!(segment->flags & EBPFTLS_TCP_SYN))
		return false;
	if (segment->flags & EBPFTLS_TCP_ACK)
		return flow->syn && segment->acknowledged == flow->first;
	flow->syn = true;
	flow->first = segment->sequence;
	return false;
}

/*
 * Whether the connection ends with this segment, which has been followed. Of
 * a FIN or RST that is out of turn nobody knows (RFC 5961, 3): what is over
 * then all the same is dropped when it is too old.
 */
static bool
is_end(const struct look *look, const struct flow *flow)
{
	const struct ebpftls_segment *segment = &look->segment;
	const struct ebpftls_tls_stream *stream = &flow->streams[look->from];

	return (segment->flags & (EBPFTLS_TCP_FIN | EBPFTLS_TCP_RST)) &&
	       (!stream->started ||
		segment->sequence + segment->len == stream->sequence);
}

static void
look_at_tcp(struct look *look)
{
	const struct ebpftls_segment *segment = &look->segment;
	const uint8_t signs =
	    EBPFTLS_TCP_FIN | EBPFTLS_TCP_RST | EBPFTLS_TCP_SYN;
	bool begins = ebpftls_tls_begins(segment->payload, segment->caplen);
	bool is_data = ebpftls_tls_is_data(segment->payload, segment->caplen);
	struct flow *flow;

	if (!begins && !is_data &&
	    (!may_have_flow(look) ||
	     (segment->len == 0 && !(segment->flags & signs))))
		return;
	flow = find_flow(look);
	if (flow != NULL && is_opened_again(segment, flow)) {
		drop(look->flows, flow);
		flow = NULL;
	}
	if (begins && (flow == NULL || is_other_hello(flow, segment)))
		flow = begin_tls(look, flow);
	if (flow == NULL) {
		if (is_data && !meet(look))
			begin_older(look);
		return;
	}
	follow_tls(look, flow);
	if (flow->state == STATE_OVER || is_end(look, flow))
		drop(look->flows, flow);
}

/* --- DTLS ---------------------------------------------------------------- */

static void
look_at_dtls(struct look *look, struct flow *flow, const uint8_t *random)
{
	const struct ebpftls_segment *segment = &look->segment;

	/* it comes twice: again with the cookie that the server sent */
	if (random != NULL &&
	    (flow == NULL ||
	     memcmp(flow->random, random, EBPFTLS_RANDOM_SIZE) != 0)) {
		flow = begin(look, flow, KIND_DTLS);
		set_random(look, flow, random);
	}
	if (flow == NULL || flow->kind != KIND_DTLS)
		return;
	if (look->from != flow->client)
		flow->state = STATE_TLS12;
	if (flow->state == STATE_TLS12 &&
	    ebpftls_dtls_has_ccs(segment->payload, segment->caplen)) {
		call_for(look, flow, BIT(CLIENT_RANDOM));
		drop(look->flows, flow);
	}
}

/* --- QUIC ---------------------------------------------------------------- */

static void
set_quic_random(struct look *look, struct flow *flow)
{
	const uint8_t *random = ebpftls_quic_random(&flow->quic.hello);

	if (random != NULL)
		set_random(look, flow, random);
}

/*
 * Derives keys, which is dear: who sends the packets cannot ask for many. A
 * ClientHello with keys for quantum computers takes two or three packets; with
 * segmentation offload they are seen as one datagram.
 */
static bool
collect(struct look *look, struct ebpftls_quic_hello *hello,
	const struct ebpftls_quic_packet *packet,
	const struct ebpftls_quic_origin *origin)
{
	if (look->collected == COLLECT_MAX)
		return false;
	look->collected++;
	return ebpftls_quic_collect(hello, packet, origin);
}

/* Another connection, if this is its first packet and not of the old one. */
static struct flow *
begin_quic(struct look *look, struct flow *old,
	   const struct ebpftls_quic_packet *packet)
{
	struct ebpftls_quic_hello hello = { .have = 0 };
	const uint8_t *random;
	struct flow *flow;

	if (look->segment.len < FIRST_LEN ||
	    !collect(look, &hello, packet, &packet->to))
		return old;
	random = ebpftls_quic_random(&hello);
	/* after a Retry the same message is encrypted with other keys */
	if (old != NULL && old->known && random != NULL &&
	    memcmp(random, old->random, EBPFTLS_RANDOM_SIZE) == 0)
		return old;
	flow = begin(look, old, KIND_QUIC);
	flow->quic.origin = packet->to;
	flow->quic.hello = hello;
	set_quic_random(look, flow);
	return flow;
}

/* Looks for the ClientHello in an Initial packet, if a client sent it. */
static struct flow *
from_quic_client(struct look *look, struct flow *flow,
		 const struct ebpftls_quic_packet *packet)
{
	if (flow == NULL || flow->kind != KIND_QUIC)
		return begin_quic(look, flow, packet);
	if (look->from != flow->client)
		return flow;
	if (!flow->known &&
	    collect(look, &flow->quic.hello, packet, &flow->quic.origin)) {
		set_quic_random(look, flow);
		return flow;
	}
	if (ebpftls_quic_same(&flow->quic.origin, &packet->to))
		return flow;
	return begin_quic(look, flow, packet);
}

static void
follow_quic(struct look *look, struct flow *flow, enum ebpftls_quic_kind kind)
{
	const bool from_client = look->from == flow->client;

	if (!flow->known)
		return;
	if (flow->state == STATE_CLIENT_HELLO) {
		if (!from_client && (kind == EBPFTLS_QUIC_INITIAL ||
				     kind == EBPFTLS_QUIC_HANDSHAKE)) {
			call_for(look, flow, SERVER_HELLO_LABELS);
			flow->state = STATE_TLS13;
		} else if (from_client && kind == EBPFTLS_QUIC_EARLY &&
			   !flow->early) {
			call_for(look, flow, BIT(CLIENT_EARLY_TRAFFIC_SECRET));
			flow->early = true;
		}
	} else if (kind == EBPFTLS_QUIC_SHORT) {
		/* readers open neither side's without both sides' secrets */
		call_for(look, flow, BIT(CLIENT_TRAFFIC_SECRET_0));
		flow->state = STATE_OVER;
	}
}

static void
look_at_quic(struct look *look, struct flow *flow)
{
	const uint8_t *bytes = look->segment.payload;
	uint32_t caplen = look->segment.caplen;
	struct ebpftls_quic_packet packet;

	while (ebpftls_quic_next(&packet, &bytes, &caplen)) {
		if (packet.kind == EBPFTLS_QUIC_INITIAL)
			flow = from_quic_client(look, flow, &packet);
		if (flow == NULL || flow->kind != KIND_QUIC)
			return;
		follow_quic(look, flow, packet.kind);
	}
	if (flow != NULL && flow->state == STATE_OVER)
		drop(look->flows, flow);
}

static void
look_at_udp(struct look *look)
{
	const struct ebpftls_segment *segment = &look->segment;
	const uint8_t *random =
	    ebpftls_dtls_random(segment->payload, segment->caplen);
	bool quic = ebpftls_quic_begins(segment->payload, segment->caplen);
	struct flow *flow;

	if (random == NULL && !quic && !may_have_flow(look))
		return;
	flow = find_flow(look);
	if (quic || (flow != NULL && flow->kind == KIND_QUIC && random == NULL))
		look_at_quic(look, flow);
	else
		look_at_dtls(look, flow, random);
}

/* ------------------------------------------------------------------------- */

bool
ebpftls_flows_packet(struct ebpftls_flows *flows, struct ebpftls_keys *keys,
		     int linktype, const uint8_t *bytes, uint32_t caplen,
		     const struct ebpftls_end ends[2], uint64_t time,
		     struct ebpftls_need *need)
{
	struct look look;

	need->labels = 0;
	need->older = false;
	if (!ebpftls_packet_parse(&look.segment, linktype, bytes, caplen))
		return false;
	look.flows = flows;
	look.keys = keys;
	look.need = need;
	look.ends = ends;
	look.time = time;
	look.collected = 0;
	drop_old(flows, time);
	if (look.segment.protocol == EBPFTLS_TCP)
		look_at_tcp(&look);
	else
		look_at_udp(&look);
	return need->labels != 0;
}

bool
ebpftls_flows_satisfied(struct ebpftls_keys *keys,
			const struct ebpftls_need *need)
{
	const struct ebpftls_keys_entry *entry;
	uint16_t missing = need->labels;

	if (missing == 0)
		return true;
	entry = ebpftls_keys_find(keys, need->random);
	if (entry == NULL)
		return false;
	missing &= (uint16_t)~entry->have;
	if (entry->have & (uint16_t)~EARLY_LABELS)
		missing &= (uint16_t)~EARLY_LABELS;
	return missing == 0;
}

uint64_t
ebpftls_flows_older(const struct ebpftls_flows *flows)
{
	return flows->older;
}

void
ebpftls_flows_open(struct ebpftls_flows *flows,
		   void (*open)(void *context,
				const uint8_t random[EBPFTLS_RANDOM_SIZE]),
		   void *context)
{
	const struct ebpftls_node *node;

	for (node = flows->table.oldest; node != NULL; node = node->newer) {
		const struct flow *flow = (const struct flow *)node;

		if (flow->known)
			open(context, flow->random);
	}
}
