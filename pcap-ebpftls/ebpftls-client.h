/* SPDX-License-Identifier: BSD-3-Clause */
/* The module's side of a capture: reaches an agent and keeps what it gives. */
#ifndef EBPFTLS_CLIENT_H
#define EBPFTLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpftls-control.h"

struct ebpftls_ring_fd {
	uint32_t cpu;
	int fd;
};

struct ebpftls_failure {
	enum ebpftls_reason reason;
	char text[EBPFTLS_TEXT_SIZE];
};

/* What the agent says when it is asked for secrets. */
struct ebpftls_secrets_answer {
	int fd; /* of their ring buffer; -1: there are none */
	size_t size;
	struct ebpftls_failure failure; /* why */
};

struct ebpftls_client {
	int sock;	      /* -1: there is no capture */
	int fds[EBPFTLS_FDS]; /* -1: absent */
	struct ebpftls_ring_fd *rings;
	uint32_t ring_count;
	uint32_t ring_size;
	uint32_t counters;
	uint32_t hatype;
	bool gone;		      /* the interface, as the agent said */
	bool ended;		      /* the agent, or what it says */
	char note[EBPFTLS_TEXT_SIZE]; /* the last, or "" */
	uint32_t notes;
	char no_owners[EBPFTLS_TEXT_SIZE]; /* why frames have none, or "" */

	bool answered; /* `secrets`, by whoever takes in what comes */
	bool settled;  /* no such answer is waited for any more */
	struct ebpftls_secrets_answer secrets;

	/* Called with what comes, set after init; may be NULL. */
	void (*process)(void *context, const struct ebpftls_process *process);
	void (*hooked)(void *context, const struct ebpftls_hooked *answer);
	void (*library)(void *context, const struct ebpftls_library *library);

	/* Around what is not for two threads at once, likewise; they nest. */
	void (*lock)(void *context);
	void (*unlock)(void *context);
	void *context;
};

/* What a client is before it has been started and after it was stopped. */
void ebpftls_client_init(struct ebpftls_client *client);

/* How an agent was reached, or what was tried last. */
struct ebpftls_reach {
	const char *path; /* of the service's socket, or of the agent */
	bool is_service;
	int error; /* 0, or the negative errno of that */
};

/*
 * Connects to the service behind the socket if that exists; else, for root,
 * starts an agent. Returns the connection or -1.
 */
int ebpftls_client_reach(struct ebpftls_reach *reach,
			 struct ebpftls_failure *failure);

/* Has an agent open the capture. Returns 0 or -1. */
int ebpftls_client_start(struct ebpftls_client *client,
			 const struct ebpftls_open *request,
			 struct ebpftls_failure *failure);

/*
 * Takes in all that has come from the agent, with one system call if that is
 * nothing. Returns 0 while the capture goes on, -1 when it has ended: `failure`
 * says why, with the text that pcap-linux.c has for an interface that is gone.
 * Does not wait, also if another thread or process takes in the same.
 */
int ebpftls_client_check(struct ebpftls_client *client,
			 struct ebpftls_failure *failure);

/*
 * Has the agent take the secrets of all TLS connections, once per capture.
 * Returns the descriptor of their ring buffer, and its size, or -1: there are
 * none, but the capture goes on. Meanwhile it takes in all that comes, and so
 * may other threads.
 */
int ebpftls_client_secrets(struct ebpftls_client *client, size_t *size,
			   struct ebpftls_failure *failure);

/*
 * Asks about a process; the answer comes as all news does. Returns 0 or a
 * negative errno.
 */
int ebpftls_client_ask(struct ebpftls_client *client,
		       const struct ebpftls_hooked *question);

/*
 * Has the kernel hand out only frames that this program, of so many struct
 * ebpftls_instruction, selects; `link_size` as in struct ebpftls_filter_part.
 * Returns 1 when it does, and no other frame is written any more; 0 when it
 * does, but there may still be some; -1 when it does not: all are written.
 * May be called while another thread takes in what comes from the agent.
 */
int ebpftls_client_filter(struct ebpftls_client *client, const void *program,
			  uint32_t count, uint32_t link_size,
			  struct ebpftls_failure *failure);

/* Ends the capture, and returns when the agent has taken everything down. */
void ebpftls_client_stop(struct ebpftls_client *client);

#endif
