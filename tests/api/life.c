/*
 * life.c: the life of a handle: interfaces that go down, away or were never
 * there, and activation that fails or comes twice.
 */
#define _GNU_SOURCE
#include "api.h"

#include <stdio.h>
#include <string.h>

#define GONE "The interface disappeared"

/* --- interfaces --------------------------------------------------------- */

static void
down_and_up(void)
{
	struct loop l;
	pcap_t *p;

	spare_make();
	spare_up();
	p = open_dev(dev(IF_SPARE), .blocking = 1, .timeout = 10,
		     .filter = "udp dst port 4717");
	loop_start(&l, p, -1);
	send_many(SPARE_IN, 0, 3);
	require(wait_for(l.seen.count == 3, 3000), "before: %u of 3 seen",
		l.seen.count);
	sh("ip link set " IF_SPARE " down");
	/* Long enough for the loop to have looked at the interface. */
	require(!wait_for(l.result != 0, 300), "ended by down: %d, %s",
		l.result, pcap_geterr(p));
	spare_up();
	send_many(SPARE_IN, 3, 3);
	require(wait_for(l.seen.count == 6, 3000), "after: %u of 6 seen",
		l.seen.count);
	pcap_breakloop(p);
	require(loop_join(&l) == PCAP_ERROR_BREAK, "pcap_loop: %d, %s",
		l.result, pcap_geterr(p));
	pcap_close(p);
}

static void
down_and_up_nonblocking(void)
{
	struct seen s = { 0 };
	pcap_t *p;

	spare_make();
	spare_up();
	p = open_dev(dev(IF_SPARE), .timeout = 10,
		     .filter = "udp dst port 4717");
	send_many(SPARE_IN, 0, 3);
	expect(p, 0, 3);
	sh("ip link set " IF_SPARE " down");
	collect(p, &s, 1, 200);
	spare_up();
	collect(p, &s, 1, 200);
	send_many(SPARE_IN, 3, 3);
	expect(p, 3, 3);
	pcap_close(p);
}

static void
gone_while_blocking(void)
{
	static const struct {
		int timeout, immediate;
	} hows[] = {
		{ 1000, 0 },
		{ UNSET, 0 },
		{ 1000, 1 },
	};
	struct loop l;
	unsigned i;
	pcap_t *p;

	for (i = 0; i < sizeof(hows) / sizeof(*hows); i++) {
		spare_make();
		spare_up();
		p = open_dev(dev(IF_SPARE), .blocking = 1,
			     .timeout = hows[i].timeout,
			     .immediate = hows[i].immediate);
		loop_start(&l, p, -1);
		wait_blocked(l.tid);
		sh("ip link del " IF_SPARE);
		require(loop_join(&l) == PCAP_ERROR, "pcap_loop: %d", l.result);
		require(strcmp(pcap_geterr(p), GONE) == 0, "text: %s",
			pcap_geterr(p));
		pcap_close(p);
	}
}

static void
gone_while_polling(void)
{
	struct seen s = { 0 };
	long end;
	int n;
	pcap_t *p;

	spare_make();
	spare_up();
	p = open_dev(dev(IF_SPARE), .timeout = 1000);
	while ((n = pcap_dispatch(p, -1, see, (u_char *)&s)) > 0)
		;
	sh("ip link del " IF_SPARE);
	for (end = now_ms() + 5000; n >= 0 && now_ms() < end;) {
		wait_readable(p, 5000);
		n = pcap_dispatch(p, -1, see, (u_char *)&s);
	}
	require(n == PCAP_ERROR, "dispatch: %d", n);
	require(now_ms() < end, "noticed too late");
	require(strcmp(pcap_geterr(p), GONE) == 0, "text: %s", pcap_geterr(p));
	pcap_close(p);
}

static void
activate_fails(const char *device, int code)
{
	pcap_t *p = create_dev(device);
	int status;

	pcap_set_timeout(p, 100);
	pcap_set_snaplen(p, 65535);
	status = pcap_activate(p);
	require(status == code, "%.40s: activate is %d instead of %d: %s",
		device, status, code, pcap_geterr(p));
	require(strcmp(pcap_geterr(p), pcap_statustostr(code)) == 0,
		"%.40s: text: %s", device, pcap_geterr(p));
	pcap_close(p);
}

static void
not_up(void)
{
	spare_make();
	activate_fails(dev(IF_SPARE), PCAP_ERROR_IFACE_NOT_UP);
	spare_up();
	pcap_close(open_dev(dev(IF_SPARE)));
	sh("ip link del " IF_SPARE);
}

static void
no_such_device(void)
{
	char name[301];

	activate_fails(dev("nosuch0"), PCAP_ERROR_NO_SUCH_DEVICE);
	activate_fails(dev("longerthan15byte"), PCAP_ERROR_NO_SUCH_DEVICE);
	memset(name, 'x', sizeof(name) - 1);
	name[300] = '\0';
	activate_fails(dev(name), PCAP_ERROR_NO_SUCH_DEVICE);
}

/* --- activation --------------------------------------------------------- */

static void
activate_again_after_failure(void)
{
	pcap_t *p;
	int status;

	if (!ours && strstr(pcap_lib_version(), "version 1.10.") != NULL)
		skip("libpcap 1.10 forgets the name of a plain device when "
		     "the activation fails, and crashes");
	p = create_dev(dev("nosuch0"));
	for (int i = 0; i < 3; i++) {
		status = pcap_activate(p);
		require(status == PCAP_ERROR_NO_SUCH_DEVICE,
			"activation %d: %d, %s", i + 1, status, pcap_geterr(p));
	}
	pcap_close(p);
	spare_make();
	p = create_dev(dev(IF_SPARE));
	pcap_set_timeout(p, 100);
	pcap_set_snaplen(p, 65535);
	require(pcap_activate(p) == PCAP_ERROR_IFACE_NOT_UP, "not up");
	spare_up();
	require(pcap_activate(p) == 0, "up now: %s", pcap_geterr(p));
	pcap_close(p);
	sh("ip link del " IF_SPARE);
}

static void
activate_twice(void)
{
	pcap_t *p = open_dev(dev(IF_A));

	require(pcap_activate(p) == PCAP_ERROR_ACTIVATED, "second activate");
	send_many(IN4, 0, 3);
	expect(p, 0, 3);
	pcap_close(p);
}

static void
close_without_activate(void)
{
	char errbuf[PCAP_ERRBUF_SIZE];
	pcap_t *p = create_dev(dev(IF_A));

	pcap_close(p);
	p = create_dev(dev("nosuch0"));
	pcap_set_snaplen(p, 100);
	pcap_set_promisc(p, 1);
	pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO);
	pcap_setnonblock(p, 1, errbuf);
	pcap_breakloop(p);
	pcap_close(p);
}

static const struct api_case cases[] = {
	{ "down-and-up", down_and_up, BOTH },
	{ "down-and-up-nonblocking", down_and_up_nonblocking, BOTH },
	{ "gone-while-blocking", gone_while_blocking, BOTH },
	{ "gone-while-polling", gone_while_polling, BOTH },
	{ "not-up", not_up, BOTH },
	{ "no-such-device", no_such_device, BOTH },
	{ "activate-again-after-failure", activate_again_after_failure, BOTH },
	{ "activate-twice", activate_twice, BOTH },
	{ "close-without-activate", close_without_activate, BOTH },
	{ NULL, NULL, 0 },
};

int
main(int argc, char **argv)
{
	return api_main(argc, argv, cases);
}
