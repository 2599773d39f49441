/*
 * faults.h: what the parts of the test of faults share. main.c makes one try
 * after the other, each with the next place failing; victim.c is the program
 * that captures, peer.c what it captures, memory.c and calls.c make an
 * allocation or a system call fail.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PORT_UDP  4711
#define PORT_TLS  4712
#define DATAGRAMS 3

/* What a try is about, and what became of it; in memory that all share. */
struct shared {
	/* the victim */
	_Atomic(const char *) step; /* what it does now */
	atomic_int listener;	    /* its descriptor for calls.c, or -1 */
	atomic_bool watched;	    /* calls.c has that, too */
	atomic_bool armed;
	atomic_int asked;     /* for traffic, so many times */
	atomic_int seen;      /* datagrams */
	bool refused;	      /* an error was returned */
	char why[512];	      /* its text */
	char wrong[2048];     /* what must not be, or "" */
	unsigned int dropped; /* as pcap_stats() says */
	/* the peer */
	atomic_int answered;
	/* where the fault was, or "" */
	char place[512];
};
extern struct shared *shared;

struct plan {
	bool calls; /* that fail, not allocations */
	bool agent; /* is where, not the program */
	const char *device;
	const char *folder; /* for what a try writes */
	const char *agent_path;
};

/* Does not return. */
void victim(const struct plan *plan, unsigned int nth)
    __attribute__((noreturn));

/* A process that ends when this one has gone. */
void peer_start(void);
/* Makes what the victim has asked for; to be called as often as possible. */
void peer_poke(void);

/* --- allocations ---------------------------------------------------------- */

/* From now on the nth place that was not seen before fails once. */
void memory_arm(unsigned int nth);
/*
 * Ends that. If more blocks than that were allocated since then and not freed,
 * puts into a text where, and returns true.
 */
bool memory_disarm(size_t allowed, char *text, size_t size);

/* --- system calls --------------------------------------------------------- */

/* In the victim: from now on calls_serve() decides. */
void calls_watch(void);
/* For main(): the calls of the victim and of the agents it starts, of which
 * the nth place that was not seen before fails once. */
void calls_begin(const struct plan *plan, unsigned int nth, pid_t victim);
/* Waits for calls as long; returns at once when there is nothing to watch. */
void calls_serve(int milliseconds);
void calls_end(void);

#endif
