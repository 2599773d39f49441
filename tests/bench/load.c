/*
 * load.c: makes a fixed amount of traffic as fast as it can, or at a rate, and
 * says what that took: the same work each time, so that what captures add to it
 * can be told.
 *
 * load KIND AMOUNT [PEER-NAMESPACE [RATE [CPU [CONNECTIONS]]]]
 *
 * The other end is a process of its own in the namespace, at 10.66.0.2. One
 * line of JSON at the end: units done, seconds, nanoseconds of CPU time of both
 * ends.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THERE	   "10.66.0.2"
#define BATCH	   64
#define BLOCK	   65536
#define RECORD	   16384
#define QUESTION   100
#define UDP_HEADER 42	 /* with Ethernet and IP */
#define GSO_FRAME  64768 /* 44 segments of 1472 bytes */
#define SECOND	   1000000000ULL

struct work {
	unsigned long amount;
	double rate; /* units in a second; 0: as fast as possible */
	int connections;
	int size;    /* of a UDP packet's contents */
	int segment; /* that large ones are made of, or 0 */
	int udp;
	int port; /* at the other end */
	SSL_CTX *context;
};

struct kind {
	const char *name;
	void (*here)(struct work *work);
	void (*there)(const struct work *work, int sock);
	int size;
};

__attribute__((noreturn, format(printf, 1, 2))) static void
die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("load: ", stderr);
	vfprintf(stderr, format, args);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(EXIT_FAILURE);
}

static unsigned long long
now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (unsigned long long)ts.tv_sec * SECOND +
	       (unsigned long long)ts.tv_nsec;
}

/* --- sockets -------------------------------------------------------------- */

static void
set(int sock, int level, int option, int value)
{
	if (setsockopt(sock, level, option, &value, sizeof(value)) != 0)
		die("socket option %d", option);
}

static int
join(const struct work *work)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)work->port) };
	int type = work->udp ? SOCK_DGRAM : SOCK_STREAM;
	int sock = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, THERE, &to.sin_addr);
	if (sock < 0 || connect(sock, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	if (!work->udp)
		set(sock, IPPROTO_TCP, TCP_NODELAY, 1);
	return sock;
}

static int
take(int listener)
{
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (sock < 0)
		die("accept");
	set(sock, IPPROTO_TCP, TCP_NODELAY, 1);
	return sock;
}

static void
put(int sock, const void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n =
		    write(sock, (const char *)bytes + done, size - done);

		if (n <= 0)
			die("write");
		done += (size_t)n;
	}
}

/* False at the end of the connection. */
static int
get(int sock, void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(sock, (char *)bytes + done, size - done);

		if (n < 0)
			die("read");
		if (n == 0)
			return 0;
		done += (size_t)n;
	}
	return 1;
}

/* --- UDP: the other end has a socket that is full ------------------------- */

static void
wait_until(unsigned long long when)
{
	struct timespec ts = { (time_t)(when / SECOND), (long)(when % SECOND) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) ==
	       EINTR)
		;
}

static void
udp_here(struct work *work)
{
	static char bytes[GSO_FRAME];
	struct iovec piece = { bytes, (size_t)work->size };
	struct mmsghdr messages[BATCH] = { 0 };
	unsigned batch = work->segment ? 8 : BATCH;
	unsigned long long start;
	int sock = join(work);

	if (work->segment)
		set(sock, IPPROTO_UDP, UDP_SEGMENT, work->segment);
	if (work->rate > 0 && work->rate < 1000 * BATCH)
		batch = 1 + (unsigned)(work->rate / 1000);
	memset(bytes, 'x', sizeof(bytes));
	for (int i = 0; i < BATCH; i++)
		messages[i].msg_hdr =
		    (struct msghdr){ .msg_iov = &piece, .msg_iovlen = 1 };
	start = now(CLOCK_MONOTONIC);
	for (unsigned long done = 0; done < work->amount;) {
		int sent;

		if (work->rate > 0)
			wait_until(start +
				   (unsigned long long)((double)done * 1e9 /
							work->rate));
		sent = sendmmsg(sock, messages, batch, 0);
		if (sent < 0 && errno != ENOBUFS && errno != ECONNREFUSED)
			die("sendmmsg");
		done += sent > 0 ? (unsigned long)sent : 0;
	}
}

static void
udp_there(const struct work *work, int sock)
{
	if (work->segment)
		set(sock, IPPROTO_UDP, UDP_GRO, 1);
	set(sock, SOL_SOCKET, SO_RCVBUF, 1);
	pause();
}

/* --- TCP -------------------------------------------------------------------
 */

static void
bulk_here(struct work *work)
{
	static char block[BLOCK];
	int sock = join(work);

	for (unsigned long i = 0; i < work->amount; i++)
		put(sock, block, sizeof(block));
	shutdown(sock, SHUT_WR);
	get(sock, block, 1);
}

static void
bulk_there(const struct work *work, int listener)
{
	static char block[4 * BLOCK];
	int sock = take(listener);

	(void)work;
	while (read(sock, block, sizeof(block)) > 0)
		;
}

/* Questions and answers in turn on some connections. */
static void
requests_here(struct work *work)
{
	int *socks = calloc((size_t)work->connections, sizeof(*socks));
	char bytes[QUESTION] = { 0 };

	if (socks == NULL)
		die("calloc");
	for (int i = 0; i < work->connections; i++)
		socks[i] = join(work);
	for (unsigned long done = 0; done < work->amount;) {
		int i, round = work->connections;

		if (work->amount - done < (unsigned long)round)
			round = (int)(work->amount - done);
		for (i = 0; i < round; i++)
			put(socks[i], bytes, sizeof(bytes));
		for (i = 0; i < round; i++)
			get(socks[i], bytes, sizeof(bytes));
		done += (unsigned long)round;
	}
	free(socks);
}

static void
requests_there(const struct work *work, int listener)
{
	int *socks = calloc((size_t)work->connections, sizeof(*socks));
	char bytes[QUESTION];
	int i;

	if (socks == NULL)
		die("calloc");
	for (i = 0; i < work->connections; i++)
		socks[i] = take(listener);
	for (i = 0; get(socks[i], bytes, sizeof(bytes));
	     i = (i + 1) % work->connections)
		put(socks[i], bytes, sizeof(bytes));
	free(socks);
}

/* A connection for each question; the other end closes first. */
static void
connections_here(struct work *work)
{
	char bytes[QUESTION] = { 0 };

	for (unsigned long i = 0; i < work->amount; i++) {
		int sock = join(work);

		put(sock, bytes, sizeof(bytes));
		get(sock, bytes, sizeof(bytes));
		if (get(sock, bytes, 1))
			die("the connection does not end");
		close(sock);
	}
}

static void
connections_there(const struct work *work, int listener)
{
	char bytes[QUESTION];

	for (unsigned long i = 0; i < work->amount; i++) {
		int sock = take(listener);

		get(sock, bytes, sizeof(bytes));
		put(sock, bytes, sizeof(bytes));
		close(sock);
	}
}

/* --- TLS -------------------------------------------------------------------
 */

static SSL_CTX *
make_server(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_set_pubkey(cert, key);
	if (X509_sign(cert, key, EVP_sha256()) == 0 ||
	    SSL_CTX_use_certificate(context, cert) != 1 ||
	    SSL_CTX_use_PrivateKey(context, key) != 1)
		die("no certificate");
	SSL_CTX_set_num_tickets(context, 0);
	X509_free(cert);
	EVP_PKEY_free(key);
	return context;
}

static SSL *
shake(SSL_CTX *context, int sock, int (*hands)(SSL *tls))
{
	SSL *tls = SSL_new(context);

	if (tls == NULL || SSL_set_fd(tls, sock) != 1 || hands(tls) != 1)
		die("no handshake");
	return tls;
}

static void
handshakes_here(struct work *work)
{
	char byte;

	work->context = SSL_CTX_new(TLS_client_method());
	for (unsigned long i = 0; i < work->amount; i++) {
		int sock = join(work);
		SSL *tls = shake(work->context, sock, SSL_connect);

		if (SSL_read(tls, &byte, 1) != 1)
			die("no answer");
		SSL_free(tls);
		close(sock);
	}
}

static void
handshakes_there(const struct work *work, int listener)
{
	SSL_CTX *context = make_server();

	for (unsigned long i = 0; i < work->amount; i++) {
		int sock = take(listener);
		SSL *tls = shake(context, sock, SSL_accept);

		SSL_write(tls, "x", 1);
		SSL_free(tls);
		close(sock);
	}
}

static void
records_here(struct work *work)
{
	static char record[RECORD];
	SSL *tls;

	work->context = SSL_CTX_new(TLS_client_method());
	tls = shake(work->context, join(work), SSL_connect);
	for (unsigned long i = 0; i < work->amount; i++)
		if (SSL_write(tls, record, RECORD) != RECORD)
			die("SSL_write");
	SSL_shutdown(tls);
	SSL_read(tls, record, 1);
}

static void
records_there(const struct work *work, int listener)
{
	static char record[RECORD];
	SSL *tls = shake(make_server(), take(listener), SSL_accept);

	(void)work;
	while (SSL_read(tls, record, RECORD) > 0)
		;
	SSL_shutdown(tls);
}

/* --- what is only there ----------------------------------------------------
 */

static void
nothing(int number)
{
	(void)number;
}

/* Processes with a socket each, until SIGTERM; it leads a group of its own. */
static void
processes_here(struct work *work)
{
	for (unsigned long i = 0; i < work->amount; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid > 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		socket(AF_INET, SOCK_DGRAM, 0);
		pause();
	}
	signal(SIGTERM, nothing);
	puts("ready");
	fflush(stdout);
	pause();
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(NULL) > 0)
		;
}

/* --- both ends -------------------------------------------------------------
 */

static const struct kind kinds[] = {
	{ "udp-64", udp_here, udp_there, 64 - UDP_HEADER },
	{ "udp-512", udp_here, udp_there, 512 - UDP_HEADER },
	{ "udp-1514", udp_here, udp_there, 1514 - UDP_HEADER },
	{ "udp-64k", udp_here, udp_there, GSO_FRAME },
	{ "tcp-bulk", bulk_here, bulk_there, 0 },
	{ "tcp-requests", requests_here, requests_there, 0 },
	{ "tcp-connections", connections_here, connections_there, 0 },
	{ "tls-handshakes", handshakes_here, handshakes_there, 0 },
	{ "tls-bulk", records_here, records_there, 0 },
	{ "processes", processes_here, NULL, 0 },
};

static void
enter(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
		die("namespace %s", name);
	close(fd);
}

/* Says its port when it is ready for the other end. */
static void
be_there(const struct kind *kind, const struct work *work, const char *name,
	 int tell)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t size = sizeof(at);
	int port, sock;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter(name);
	inet_pton(AF_INET, THERE, &at.sin_addr);
	sock = socket(AF_INET, work->udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (sock < 0 || bind(sock, (struct sockaddr *)&at, size) != 0 ||
	    (!work->udp && listen(sock, 4096) != 0) ||
	    getsockname(sock, (struct sockaddr *)&at, &size) != 0)
		die("the other end");
	port = ntohs(at.sin_port);
	put(tell, &port, sizeof(port));
	close(tell);
	kind->there(work, sock);
}

static pid_t
start_there(const struct kind *kind, struct work *work, const char *name)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		die("fork");
	if (pid == 0) {
		close(ends[0]);
		be_there(kind, work, name, ends[1]);
		exit(EXIT_SUCCESS);
	}
	close(ends[1]);
	if (!get(ends[0], &work->port, sizeof(work->port)))
		die("the other end has gone");
	close(ends[0]);
	return pid;
}

static double
cpu_time(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static void
measure(const struct kind *kind, struct work *work, const char *name)
{
	pid_t there = start_there(kind, work, name);
	unsigned long long start = now(CLOCK_MONOTONIC);
	double cpu = cpu_time(RUSAGE_SELF);

	kind->here(work);
	start = now(CLOCK_MONOTONIC) - start;
	if (work->udp)
		kill(there, SIGKILL);
	if (kind->here == requests_here)
		closefrom(3); /* the other end ends with its connections */
	waitpid(there, NULL, 0);
	printf("{\"units\": %lu, \"seconds\": %.6f, \"cpu\": %.0f}\n",
	       work->amount, (double)start / 1e9,
	       cpu_time(RUSAGE_SELF) - cpu + cpu_time(RUSAGE_CHILDREN));
}

static void
pin(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static void
raise_limits(void)
{
	struct rlimit limit = { 65536, 65536 };

	setrlimit(RLIMIT_NOFILE, &limit);
}

int
main(int argc, char **argv)
{
	struct work work = { .connections = 8 };
	const struct kind *kind = NULL;

	for (size_t i = 0; argc > 2 && i < sizeof(kinds) / sizeof(kinds[0]);
	     i++)
		if (strcmp(kinds[i].name, argv[1]) == 0)
			kind = &kinds[i];
	if (kind == NULL || (kind->there != NULL && argc < 4)) {
		fputs("usage: load KIND AMOUNT [PEER-NAMESPACE [RATE [CPU "
		      "[CONNECTIONS]]]]\n",
		      stderr);
		return EXIT_FAILURE;
	}
	work.amount = strtoul(argv[2], NULL, 10);
	work.size = kind->size;
	work.udp = kind->size > 0;
	work.segment = kind->size == GSO_FRAME ? GSO_FRAME / 44 : 0;
	if (argc > 4)
		work.rate = strtod(argv[4], NULL);
	if (argc > 5 && atoi(argv[5]) >= 0)
		pin(atoi(argv[5]));
	if (argc > 6)
		work.connections = atoi(argv[6]);
	signal(SIGPIPE, SIG_IGN);
	raise_limits();
	if (kind->there == NULL)
		kind->here(&work);
	else
		measure(kind, &work, argv[3]);
	return EXIT_SUCCESS;
}
