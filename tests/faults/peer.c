/*
 * peer.c: the traffic. A process that lives as long as the test, both ends of
 * a TLS connection, and a few datagrams after it.
 */
#define _GNU_SOURCE

#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

static int requests[2] = { -1, -1 };
static int made;

static void
die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static struct sockaddr_in
address(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int
listener(int type, int port)
{
	const struct sockaddr_in here = address(port);
	const int on = 1;
	int sock = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (sock < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(sock, (const struct sockaddr *)&here, sizeof(here)) != 0 ||
	    (type == SOCK_STREAM && listen(sock, 8) != 0))
		die("peer: listen");
	return sock;
}

static int
connected(int type, int port)
{
	const struct sockaddr_in there = address(port);
	int sock = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (sock < 0 ||
	    connect(sock, (const struct sockaddr *)&there, sizeof(there)) != 0)
		die("peer: connect");
	return sock;
}

struct end {
	SSL_CTX *context;
	int sock;
	bool accepts;
};

/* One end of a connection, to its orderly close. */
static void *
talk(void *argument)
{
	const struct end *end = argument;
	SSL *ssl = SSL_new(end->context);
	char byte = 'x';

	if (ssl == NULL || SSL_set_fd(ssl, end->sock) != 1)
		die("peer: SSL_new");
	if ((end->accepts ? SSL_accept(ssl) : SSL_connect(ssl)) != 1)
		die("peer: handshake");
	if (end->accepts)
		SSL_write(ssl, &byte, 1);
	else
		SSL_read(ssl, &byte, 1);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(end->sock);
	return NULL;
}

static void
make_traffic(SSL_CTX *client, SSL_CTX *server, int tls, int udp)
{
	struct end ends[2] = { { client, connected(SOCK_STREAM, PORT_TLS),
				 false },
			       { server, -1, true } };
	pthread_t thread;
	char bytes[16];

	ends[1].sock = accept4(tls, NULL, NULL, SOCK_CLOEXEC);
	if (ends[1].sock < 0 ||
	    pthread_create(&thread, NULL, talk, &ends[1]) != 0)
		die("peer: accept");
	talk(&ends[0]);
	pthread_join(thread, NULL);
	for (int i = 0; i < DATAGRAMS; i++) {
		int sock = connected(SOCK_DGRAM, PORT_UDP);

		if (send(sock, "datagram", 8, 0) != 8 ||
		    recv(udp, bytes, sizeof(bytes), 0) != 8)
			die("peer: datagram");
		close(sock);
	}
}

static void
run(void)
{
	SSL_CTX *client = SSL_CTX_new(TLS_client_method());
	SSL_CTX *server = SSL_CTX_new(TLS_server_method());
	int tls = listener(SOCK_STREAM, PORT_TLS);
	int udp = listener(SOCK_DGRAM, PORT_UDP);
	char byte;

	if (client == NULL || server == NULL ||
	    SSL_CTX_use_certificate_file(server, getenv("FAULT_CERT"),
					 SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(server, getenv("FAULT_KEY"),
					SSL_FILETYPE_PEM) != 1)
		die("peer: certificate");
	while (read(requests[0], &byte, 1) == 1) {
		make_traffic(client, server, tls, udp);
		shared->answered++;
	}
	exit(EXIT_SUCCESS);
}

/* A grandchild, so that it is nobody's to wait for. */
void
peer_start(void)
{
	pid_t pid;

	if (pipe2(requests, O_CLOEXEC) != 0)
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (fork() != 0)
			_exit(EXIT_SUCCESS);
		close(requests[1]);
		prctl(PR_SET_NAME, "faults-peer");
		run();
	}
	waitpid(pid, NULL, 0);
	close(requests[0]);
}

void
peer_poke(void)
{
	if (made == shared->asked)
		return;
	made = shared->asked;
	(void)!write(requests[1], "x", 1);
}
