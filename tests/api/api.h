/*
 * api.h: what the API cases share: the harness that runs each case in a
 * process of its own, datagrams that can be told apart in a capture, and
 * waiting with a deadline.
 */
#ifndef API_H
#define API_H

#include <pcap/pcap.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/types.h>

/* Kinds of device a case makes sense for. */
#define PLAIN 1
#define OURS  2
#define BOTH  (PLAIN | OURS)

struct api_case {
	const char *name;
	void (*run)(void);
	int kinds;
};

/*
 * The main program: KIND [CASE...] runs these cases (or all of them) on
 * devices of that kind, --list prints their names. Returns the exit status.
 */
int api_main(int argc, char **argv, const struct api_case *cases);

/* Not zero when the device under test is an ebpftls one. */
extern int ours;

/* The process that runs the cases; it never leaves its namespace. */
extern pid_t harness;

/* The device under test for an interface (or "any"). */
const char *dev(const char *ifname);

/* Memory that a case shares with the processes it makes. */
struct shared {
	char why[512];
	atomic_int ready;
	atomic_uint count;
};
extern struct shared *shared;

/* End the case; the first reason given is the one that is reported. */
void fail_at(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn));
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
#define fail(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define require(cond, ...)                 \
	do {                               \
		if (!(cond))               \
			fail(__VA_ARGS__); \
	} while (0)

/*
 * Time. wait_for() waits until a condition holds and is false when it did
 * not come true within that many milliseconds.
 */
long now_ms(void);
void pause_ms(int ms);
#define wait_for(cond, ms)                                      \
	__extension__({                                         \
		long end_ = now_ms() + (ms);                    \
		int ok_;                                        \
		while (!(ok_ = (cond) != 0) && now_ms() < end_) \
			pause_ms(1);                            \
		ok_;                                            \
	})

/* Run a shell command; the case fails when the command does. */
void sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The number that stands after a word in the output of a shell command. */
long sh_number(const char *after, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The interfaces of the test: A is ours, B the other end of the wire. */
#define IF_A "hkA"
#define IF_B "hkB"
/* A second wire, made by the case that wants to take it down or away. */
#define IF_SPARE "hkC"
const char *ns_other(void);
void spare_make(void);
void spare_up(void);
/* Run the calling thread in the other namespace, and back. */
void ns_enter_other(void);
void ns_leave_other(void);

/* Roads that a datagram can take; port_of() is its destination port. */
enum path { IN4, IN4_ALT, IN6, OUT4, OUT6, LO4, SPARE_IN, PATHS };
int port_of(enum path path);
/* Open the sockets of a path now, not with the first datagram. */
void path_open(enum path path);

/*
 * Send datagram number seq and return when it has arrived at the far socket:
 * every capture that is going to see it has got it by then.
 */
void send_seq(enum path path, unsigned seq);
void send_len(enum path path, unsigned seq, unsigned len);
void send_many(enum path path, unsigned first, unsigned n);

/*
 * Hand-made packets with a numbered datagram: from IPv4 on, and a frame for
 * the wire, with a VLAN tag unless vid is 0. They return the length.
 */
#define PACKET_MAX 96
unsigned make_packet(u_char *buf, int port, unsigned seq);
unsigned make_frame(u_char *buf, unsigned vid, int port, unsigned seq);
/* A packet socket on the far end of the wire. */
int far_socket(void);

/* What a capture saw of the numbered datagrams. */
#define SEQ_MAX 8192
struct seen {
	atomic_uint count; /* numbered datagrams */
	unsigned other;	   /* frames of somebody else */
	unsigned damaged;  /* whole, but with a wrong byte */
	unsigned disorder; /* after one with a higher number */
	unsigned last;	   /* number of the last one */
	unsigned char times[SEQ_MAX];
	struct pcap_pkthdr hdr; /* of the last one */
	u_char bytes[512];	/* its start */
};
/* The number of the datagram in a frame, or -1. */
int frame_seq(const struct pcap_pkthdr *h, const u_char *bytes);
/* A pcap_handler; user is a struct seen. */
void see(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes);

#define UNSET (-1)
/* How to open a device; zero is the usual value, UNSET leaves it alone. */
struct how {
	int snaplen; /* 65535 */
	int timeout; /* 100 ms */
	int immediate;
	int promisc;
	int buffer;
	int nano;
	int blocking; /* not blocking */
	int dlt;
	const char *filter;
};
pcap_t *open_how(const char *device, const struct how *how);
#define open_dev(device, ...) open_how(device, &(struct how){ __VA_ARGS__ })
/* pcap_create() that must succeed. */
pcap_t *create_dev(const char *device);
void set_filter(pcap_t *p, const char *text);

/*
 * For handles that do not block. collect() reads until want datagrams were
 * seen in all or the time is over; expect() wants exactly these n, in order,
 * and nothing else of ours before them.
 */
unsigned collect(pcap_t *p, struct seen *s, unsigned want, int ms);
void expect(pcap_t *p, unsigned first, unsigned n);
/* poll() the selectable descriptor, not longer than libpcap allows. */
int wait_readable(pcap_t *p, int ms);

/* A thread in pcap_loop(). */
struct loop {
	pcap_t *p;
	int cnt;
	int result;
	atomic_int tid;
	pthread_t thread;
	struct seen seen;
};
void loop_start(struct loop *l, pcap_t *p, int cnt);
int loop_join(struct loop *l);
/* Start a thread that ends the case when it cannot be made. */
void thread_start(pthread_t *t, void *(*run)(void *), void *arg);
void thread_join(pthread_t t, const char *who);
/* Return when that thread sleeps and goes on sleeping. */
void wait_blocked(pid_t tid);
/* Return when nothing has gone over an interface for a while. */
void wait_quiet(const char *ifname);
/* Frames that went over an interface, both ways. */
unsigned long traffic(const char *ifname);
/* Voluntary context switches of a thread of this process, and its state. */
void task_status(pid_t tid, char *state, unsigned long *switches);

#endif
