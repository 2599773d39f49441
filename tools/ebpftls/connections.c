// SPDX-License-Identifier: BSD-3-Clause
/*
 * A table of what goes on, by addresses and ports, and a list of what was TLS,
 * which stays. A connection is followed from its SYN, or from a ClientHello at
 * the front of a segment.
 */
#include "connections.h"

#include <stdlib.h>
#include <string.h>

#include "dtls.h"
#include "ebpftls-quic.h"
#include "ebpftls-table.h"
#include "ebpftls-tls.h"
#include "quic.h"
#include "streams.h"

#define RANDOM_IN_RECORD (5 + 4 + 2)

/* Initial packets of a QUIC client that are decrypted, which is dear. */
#define COLLECT_MAX 16

/* A datagram that begins a connection of QUIC (RFC 9000, 14.1). */
#define QUIC_FIRST_LEN 1200

struct flow {
	struct ebpftls_node node;
	struct ebpftls_tuple tuple;	   /* the key */
	struct connection *connection;	   /* once it is known to be TLS */
	struct end ends[2];		   /* processes, as the tuple's ends */
	uint8_t client;			   /* which end of the tuple */
	bool syn;			   /* there was one */
	uint32_t first;			   /* sequence number of its SYN */
	struct stream streams[2];	   /* as the tuple's ends */
	struct conversation *conversation; /* NULL: not TLS, or is it? */
	struct dtls *dtls;		   /* NULL: not DTLS */
	struct quic *quic;		   /* NULL: no QUIC, or not yet */
	struct ebpftls_quic_origin origin;
	struct ebpftls_quic_hello hello;
	uint8_t collected;
	uint8_t ended; /* bits: the ends of the tuple that send no more */
};

#define BOTH_ENDED 3

struct connections {
	struct keylog *log;
	struct ebpftls_table flows;
	struct connection *list;
	struct connection **end;
	connections_taker *ended; /* or NULL */
	void *context;
	bool failed;
};

/* A packet on its way through this file. */
struct look {
	struct connections *connections;
	struct ebpftls_segment segment;
	struct ebpftls_tuple tuple;
	uint8_t from;
	struct flow *flow;
};

_Static_assert(offsetof(struct flow, tuple) == sizeof(struct ebpftls_node),
	       "place of the key");

static const struct end nobody = { .pid = END_NO_PROCESS };

struct connections *
connections_new(struct keylog *log, size_t limit)
{
	struct connections *new = calloc(1, sizeof(*new));

	if (new == NULL)
		return NULL;
	new->log = log;
	new->end = &new->list;
	if (ebpftls_table_init(&new->flows, limit, sizeof(struct flow),
			       sizeof(struct ebpftls_tuple)))
		return new;
	free(new);
	return NULL;
}

void
connections_tell(struct connections *connections, connections_taker *ended,
		 void *context)
{
	connections->ended = ended;
	connections->context = context;
}

/* --- what is over -------------------------------------------------------- */

/* Who sends what is in a stream, to the conversation. */
struct sender {
	struct conversation *conversation;
	enum conversation_side side;
};

static void
take_bytes(void *context, const uint8_t *bytes, uint32_t count)
{
	const struct sender *sender = context;

	conversation_bytes(sender->conversation, sender->side, bytes, count);
}

static void
take_gap(void *context, uint32_t count, bool cut)
{
	const struct sender *sender = context;

	conversation_gap(sender->conversation, sender->side, count, cut);
}

static enum conversation_side
side_of(const struct flow *flow, uint8_t from)
{
	return from == flow->client ? SIDE_CLIENT : SIDE_SERVER;
}

static struct sender
sender_of(const struct flow *flow, uint8_t from)
{
	return (struct sender){ flow->conversation, side_of(flow, from) };
}

/* From when there is anything of TLS in a flow it is a connection. */
static void
note(struct connections *connections, struct flow *flow,
     enum connection_kind kind)
{
	struct connection *new = calloc(1, sizeof(*new));

	if (new == NULL) {
		connections->failed = true;
		return;
	}
	new->kind = kind;
	new->tuple = flow->tuple;
	flow->connection = new;
	*connections->end = new;
	connections->end = &new->next;
}

/* Also where the hello messages are not in the file. */
static bool
is_tls(struct conversation_result result)
{
	return result.records > 0 || (result.begun && result.cut > 0);
}

/* What is known of it up to now. */
static void
describe(const struct flow *flow, struct connection *connection)
{
	connection->client = flow->client;
	connection->begun = flow->syn;
	connection->ends = (struct ends){ flow->ends[flow->client],
					  flow->ends[!flow->client] };
	if (flow->conversation != NULL)
		connection->result = conversation_result(flow->conversation);
	else if (flow->dtls != NULL)
		connection->result = dtls_result(flow->dtls);
	else if (flow->quic != NULL)
		connection->result = quic_result(flow->quic);
}

static void
find_secrets(const struct connections *connections,
	     struct connection *connection)
{
	const uint8_t *random = connection->result.random;

	if (!connection->result.client_hello)
		return;
	connection->have = keylog_have(connections->log, random);
	connection->libraries[0] = keylog_library(connections->log, random,
						  connection->ends.first.pid);
	connection->libraries[1] = keylog_library(connections->log, random,
						  connection->ends.second.pid);
}

/* The conversation ends, and what is known of the connection is settled. */
static void
settle(struct connections *connections, struct flow *flow)
{
	for (uint8_t i = 0; flow->conversation != NULL && i < 2; i++) {
		struct sender sender = sender_of(flow, i);
		const struct stream_taker taker = { &sender, take_bytes,
						    take_gap };

		stream_end(&flow->streams[i], &taker);
	}
	if (flow->conversation != NULL && flow->connection == NULL &&
	    is_tls(conversation_result(flow->conversation)))
		note(connections, flow, CONNECTION_TLS);
	if (flow->connection != NULL)
		describe(flow, flow->connection);
	conversation_free(flow->conversation);
	dtls_free(flow->dtls);
	quic_free(flow->quic);
	flow->conversation = NULL;
	flow->dtls = NULL;
	flow->quic = NULL;
	flow->connection = NULL;
	flow->ended = 0;
	stream_start(&flow->streams[0], 0);
	stream_start(&flow->streams[1], 0);
}

static void
drop(struct connections *connections, struct flow *flow)
{
	settle(connections, flow);
	ebpftls_table_drop(&connections->flows, flow);
}

static void
drop_all(struct connections *connections)
{
	while (connections->flows.oldest != NULL)
		drop(connections, (struct flow *)connections->flows.oldest);
}

void
connections_free(struct connections *connections)
{
	struct connection *connection;

	if (connections == NULL)
		return;
	drop_all(connections);
	ebpftls_table_free(&connections->flows);
	while ((connection = connections->list) != NULL) {
		connections->list = connection->next;
		free(connection);
	}
	free(connections);
}

const struct connection *
connections_end(struct connections *connections)
{
	struct connection *connection;

	drop_all(connections);
	for (connection = connections->list; connection != NULL;
	     connection = connection->next)
		find_secrets(connections, connection);
	return connections->list;
}

/* --- flows --------------------------------------------------------------- */

static struct flow *
add_flow(struct look *look)
{
	struct ebpftls_table *flows = &look->connections->flows;
	struct flow *flow;

	if (flows->count == flows->limit)
		drop(look->connections, (struct flow *)flows->oldest);
	flow = ebpftls_table_add(flows, &look->tuple);
	flow->ends[0] = flow->ends[1] = nobody;
	flow->client = look->from;
	look->flow = flow;
	return flow;
}

static bool
is_known(const struct end *end)
{
	return end->pid != END_NO_PROCESS;
}

/* The first process at each end that is known is the connection's. */
static void
take_claims(struct look *look, const struct claims *claims)
{
	struct end *sender = &look->flow->ends[look->from];
	struct end *receiver = &look->flow->ends[!look->from];

	if (!is_known(sender) && claims->sender.name[0] != '\0')
		*sender = claims->sender;
	if (!is_known(receiver) && claims->receiver.name[0] != '\0')
		*receiver = claims->receiver;
}

/* --- TLS ----------------------------------------------------------------- */

/* It begins with this packet; what was there before is something else. */
static void
converse(struct look *look)
{
	struct flow *flow = look->flow;

	settle(look->connections, flow);
	flow->client = look->from;
	flow->conversation = conversation_new(look->connections->log);
	if (flow->conversation == NULL)
		look->connections->failed = true;
}

static void
begin_by_syn(struct look *look)
{
	if (look->flow == NULL)
		add_flow(look);
	converse(look);
	look->flow->syn = true;
	look->flow->first = look->segment.sequence;
	stream_start(&look->flow->streams[look->from], look->segment.sequence);
	look->flow->streams[!look->from].started = false;
	look->flow->ends[0] = look->flow->ends[1] = nobody;
}

static void
begin_by_hello(struct look *look)
{
	struct stream *server;

	if (look->flow == NULL)
		add_flow(look);
	converse(look);
	server = &look->flow->streams[!look->from];
	stream_start(&look->flow->streams[look->from], look->segment.sequence);
	stream_start(server, look->segment.acknowledged);
	server->started = (look->segment.flags & EBPFTLS_TCP_ACK) != 0;
	look->flow->syn = true;
}

/* Whether the ClientHello that begins here is of another connection. */
static bool
is_other_hello(const struct look *look)
{
	const struct ebpftls_segment *segment = &look->segment;
	struct conversation_result result;

	if (look->flow == NULL || look->flow->conversation == NULL)
		return true;
	result = conversation_result(look->flow->conversation);
	return result.client_hello &&
	       segment->caplen >= RANDOM_IN_RECORD + KEYLOG_RANDOM &&
	       memcmp(segment->payload + RANDOM_IN_RECORD, result.random,
		      KEYLOG_RANDOM) != 0;
}

/* The lower port is the server's, mostly. */
static void
meet_older(struct look *look)
{
	struct flow *flow = look->flow != NULL ? look->flow : add_flow(look);

	if (flow->connection != NULL)
		return;
	flow->client = flow->tuple.port[0] < flow->tuple.port[1];
	note(look->connections, flow, CONNECTION_TLS);
}

/* A SYN that has come again tells nothing. */
static bool
is_new_syn(const struct look *look)
{
	const uint8_t flags = look->segment.flags;

	return (flags & EBPFTLS_TCP_SYN) && !(flags & EBPFTLS_TCP_ACK) &&
	       (look->flow == NULL || !look->flow->syn ||
		look->flow->first != look->segment.sequence);
}

static void
follow(struct look *look)
{
	struct flow *flow = look->flow;
	struct stream *stream = &flow->streams[look->from];
	struct sender sender = sender_of(flow, look->from);
	const struct stream_taker taker = { &sender, take_bytes, take_gap };
	struct conversation_result result;

	if (!stream->started && (look->segment.flags & EBPFTLS_TCP_SYN))
		stream_start(stream, look->segment.sequence);
	stream_add(stream, &look->segment, &taker);
	result = conversation_result(flow->conversation);
	if (flow->connection == NULL &&
	    (result.client_hello || result.server_hello))
		note(look->connections, flow, CONNECTION_TLS);
	if (flow->connection == NULL &&
	    conversation_is_over(flow->conversation))
		settle(look->connections, flow);
}

static void
look_at_tcp(struct look *look)
{
	const struct ebpftls_segment *segment = &look->segment;

	if (segment->flags & EBPFTLS_TCP_RST)
		return;
	if (is_new_syn(look))
		begin_by_syn(look);
	else if (ebpftls_tls_begins(segment->payload, segment->caplen) &&
		 is_other_hello(look))
		begin_by_hello(look);
	if (look->flow == NULL || look->flow->conversation == NULL) {
		if (ebpftls_tls_is_data(segment->payload, segment->caplen))
			meet_older(look);
	} else {
		follow(look);
	}
}

/* --- DTLS and QUIC ------------------------------------------------------- */

/* Whether the ClientHello with this random is of another connection, which
 * begins then. */
static bool
meet_random(struct look *look, enum connection_kind kind, const uint8_t *random)
{
	struct flow *flow = look->flow != NULL ? look->flow : add_flow(look);
	const struct connection *old = flow->connection;

	if (old != NULL &&
	    memcmp(old->result.random, random, KEYLOG_RANDOM) == 0)
		return false;
	settle(look->connections, flow);
	flow->client = look->from;
	note(look->connections, flow, kind);
	if (flow->connection == NULL)
		return false;
	memcpy(flow->connection->result.random, random, KEYLOG_RANDOM);
	return true;
}

static void
look_at_dtls(struct look *look)
{
	const struct ebpftls_segment *segment = &look->segment;
	const uint8_t *random =
	    ebpftls_dtls_random(segment->payload, segment->caplen);
	struct flow *flow;

	if (random != NULL && meet_random(look, CONNECTION_DTLS, random)) {
		flow = look->flow;
		flow->dtls = dtls_new(look->connections->log, random);
		look->connections->failed |= flow->dtls == NULL;
	}
	flow = look->flow;
	if (flow != NULL && flow->dtls != NULL)
		dtls_datagram(flow->dtls, side_of(flow, look->from),
			      segment->payload, segment->caplen);
}

/* What is there of a ClientHello: of a connection that begins, or begins again
 * after a Retry, whose Initial packets have keys of their own then. */
static const uint8_t *
collect(struct flow *flow, const struct ebpftls_quic_packet *packet)
{
	struct ebpftls_quic_hello other = { .have = 0 };

	flow->collected++;
	if (ebpftls_quic_random(&flow->hello) == NULL &&
	    ebpftls_quic_collect(&flow->hello, packet, &flow->origin))
		return ebpftls_quic_random(&flow->hello);
	if (!ebpftls_quic_collect(&other, packet, &packet->to))
		return NULL;
	flow->origin = packet->to;
	flow->hello = other;
	return ebpftls_quic_random(&flow->hello);
}

static void
look_at_initial(struct look *look, const struct ebpftls_quic_packet *packet)
{
	struct flow *flow = look->flow;
	const uint8_t *random;

	if (flow == NULL && look->segment.len >= QUIC_FIRST_LEN) {
		flow = add_flow(look);
		flow->origin = packet->to;
	}
	if (flow == NULL || look->from != flow->client ||
	    flow->collected == COLLECT_MAX ||
	    (ebpftls_quic_random(&flow->hello) != NULL &&
	     ebpftls_quic_same(&flow->origin, &packet->to)))
		return;
	random = collect(flow, packet);
	if (random == NULL)
		return;
	if (meet_random(look, CONNECTION_QUIC, random)) {
		flow->collected = 0;
		flow->quic = quic_new(look->connections->log, random);
		look->connections->failed |= flow->quic == NULL;
	}
	if (flow->quic != NULL)
		quic_set_origin(flow->quic, &flow->origin);
}

static void
look_at_quic(struct look *look)
{
	const struct ebpftls_segment *segment = &look->segment;
	const uint8_t *bytes = segment->payload;
	uint32_t caplen = segment->caplen;
	struct ebpftls_quic_packet packet, before;

	for (; ebpftls_quic_next(&packet, &bytes, &caplen); before = packet) {
		const bool cut =
		    packet.size < packet.len ||
		    (caplen == 0 && segment->caplen < segment->len);

		if (packet.kind == EBPFTLS_QUIC_INITIAL)
			look_at_initial(look, &packet);
		if (look->flow == NULL || look->flow->quic == NULL)
			continue;
		quic_packet(look->flow->quic, side_of(look->flow, look->from),
			    &packet, cut,
			    packet.bytes == segment->payload ? NULL : &before);
	}
}

static void
look_at_udp(struct look *look)
{
	look_at_dtls(look);
	if (ebpftls_quic_begins(look->segment.payload, look->segment.caplen) ||
	    (look->flow != NULL && look->flow->quic != NULL))
		look_at_quic(look);
}

/* --- ends ---------------------------------------------------------------- */

/* Data that is still missing may come. */
static void
note_end(struct look *look)
{
	const uint8_t flags = look->segment.flags;

	if (look->segment.protocol != EBPFTLS_TCP)
		return;
	if (flags & EBPFTLS_TCP_FIN)
		look->flow->ended |= (uint8_t)(1 << look->from);
	if (flags & EBPFTLS_TCP_RST)
		look->flow->ended = BOTH_ENDED;
}

static void
tell_end(const struct connections *connections, const struct flow *flow)
{
	struct connection *connection = flow->connection;

	if (connection == NULL || connection->told ||
	    flow->ended != BOTH_ENDED || flow->streams[0].count > 0 ||
	    flow->streams[1].count > 0)
		return;
	describe(flow, connection);
	find_secrets(connections, connection);
	connection->told = true;
	connections->ended(connections->context, connection);
}

/* ------------------------------------------------------------------------- */

bool
connections_packet(struct connections *connections, int linktype,
		   const uint8_t *bytes, uint32_t caplen,
		   const struct claims *claims)
{
	struct look look = { .connections = connections };

	if (!ebpftls_packet_parse(&look.segment, linktype, bytes, caplen))
		return true;
	look.from = ebpftls_packet_tuple(&look.segment, &look.tuple);
	look.flow = ebpftls_table_find(&connections->flows, &look.tuple);
	if (look.segment.protocol == EBPFTLS_TCP)
		look_at_tcp(&look);
	else
		look_at_udp(&look);
	if (look.flow != NULL) {
		ebpftls_table_renew(&connections->flows, look.flow);
		take_claims(&look, claims);
		note_end(&look);
		if (connections->ended != NULL)
			tell_end(connections, look.flow);
	}
	return !connections->failed;
}
