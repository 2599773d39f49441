"""Much traffic of many kinds at once, of programs that know their truth: short
lives, workers that share a listener, datagrams, pings, and several users."""

import os
import socket

from owners_cases import ANY, REUSE, TCP, UDP, V4, V6, RAW

CONNECTIONS = 1400      # of each of the two starters, on each path
DATAGRAMS = 6000        # of each of the two senders, on each path
WORKERS = 4
PINGS = 200
UIDS = (0, 1001, 1002, 1003)


def servers(path):
    """Prefork workers behind one listener, and two that echo datagrams."""
    parent, port = path.far(b"loadsrv"), path.port()
    parent("open", "l", V4, TCP, options=(REUSE,))
    parent("bind", "l", (ANY[V4], port))
    parent("listen", "l")
    workers = [parent.fork(b"loadwork%d" % i) for i in range(WORKERS)]
    for worker in workers:
        worker.begin("serve", "l")
    ports = [port]
    for family in (V4, V6):
        echo, port = path.far(b"loadecho"), path.port()
        echo("open", "l", family, UDP)
        echo("bind", "l", (ANY[family], port))
        echo("setuid", 1004)
        echo.begin("echo", "l")
        workers.append(echo)
        ports.append(port)
    return workers, ports


def clients(path, ports, busy):
    """Two of each kind, one on each of two CPUs; added to those at work."""
    cpus = sorted(os.sched_getaffinity(0))
    there = path.far_end.address
    for i in range(2):
        starter = path.near(b"starter%d" % i)
        starter("pin", cpus[i % len(cpus)])
        starter.begin("short", CONNECTIONS, V4, TCP, (there[V4], ports[0]),
                      UIDS, 300)
        family = (V4, V6)[i]
        sender = path.near(b"sender%d" % i)
        sender("pin", cpus[-1 - i % len(cpus)])
        sender("setuid", UIDS[i + 1])
        sender("open", "c", family, UDP)
        sender("bind", "c", (ANY[family], 0))
        sender.begin("blast", "c", (there[family], ports[1 + i]), DATAGRAMS,
                     200)
        busy += [starter, sender]
    pinger = path.near(b"pinger")
    pinger("open", "c", V4, RAW, socket.IPPROTO_ICMP, proto="icmp")
    pinger.begin("ping", "c", (there[V4], 0), PINGS, path.port())
    busy.append(pinger)


def starter(path, ports, busy):
    """One that leaves a CPU to others."""
    who = path.near(b"starter")
    who.begin("short", 2 * CONNECTIONS, V4, TCP,
              (path.far_end.address[V4], ports[0]), UIDS, 300)
    busy.append(who)


def run(paths, start=clients):
    busy, workers = [], []
    for path in paths:
        serving, ports = servers(path)
        workers += serving
        start(path, ports, busy)
    for who in busy:
        who.channel.settimeout(120)
        who.end()
    for worker in workers:
        os.kill(worker.pid, 9)
    for path in paths:
        path.line(what="case", seen=[])
        for who in list(path.actors):
            if who in workers:
                os.waitpid(who.pid, 0)
                path.actors.remove(who)
        path.over()
