"""Rarer ways to send, to receive and to share, each where it tells of another
process than the one that has had the socket before."""

import socket
import struct
import subprocess

import uring
from owners_cases import (ANY, REUSE, SHARE, TCP, UDP, V4, Skip, alias,
                          finish, last_line, meet, nft, server, talk)

SOL_UDP = 17
UDP_SEGMENT, UDP_GRO = 103, 104
SO_ZEROCOPY, ATTACH_REUSEPORT_CBPF = 60, 51
MSG_ZEROCOPY, MSG_FASTOPEN = 0x4000000, 0x20000000
TCP_REPAIR, TCP_FASTOPEN = 19, 23


def inherited(path, cli, srv, there, name):
    """A connection of a parent's, a child that has it too, and the peer."""
    port, worker, parent = path.port(), srv(name + b"srv"), cli(name + b"par")
    server(worker, V4, port)
    meet(parent, worker, (there.address[V4], port))
    talk(parent, worker, 1)
    return parent, parent.fork(name + b"chi"), worker


def over(parent, child, worker):
    child("close", "c", last=False)
    finish(parent, worker)
    child.gone()


def zerocopy(path):
    for _, cli, srv, there in path.both():
        parent, child, worker = inherited(path, cli, srv, there, b"zc")
        child("option", "c", socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        for _ in range(2):
            child("send", "c", bytes(9000), flags=MSG_ZEROCOPY)
            worker("all_of", "c", 9000)
        over(parent, child, worker)


def splice_out(path):
    for _, cli, srv, there in path.both():
        parent, child, worker = inherited(path, cli, srv, there, b"so")
        for _ in range(2):
            child("splice_out", "c", b"through a pipe")
            worker("recv", "c")
        over(parent, child, worker)


def delayed(path):
    """What one sends waits for the answer to what the other has sent."""
    for _, cli, srv, there in path.both():
        parent, child, worker = inherited(path, cli, srv, there, b"del")
        for _ in range(3):
            child("send", "c", b"at once")
            parent("send", "c", b"not yet")
            worker("all_of", "c", 14)
            parent("send", "c", b"at once")
            child("send", "c", b"not yet")
            worker("all_of", "c", 14)
        over(parent, child, worker)


def repaired(path):
    """What leaves this state asks the peer how it is."""
    for _, cli, srv, there in path.both():
        parent, child, worker = inherited(path, cli, srv, there, b"rep")
        child("option", "c", socket.IPPROTO_TCP, TCP_REPAIR, 1)
        child("option", "c", socket.IPPROTO_TCP, TCP_REPAIR, 0)
        talk(child, worker, 1)
        over(parent, child, worker)


def io_uring(path):
    """At once, by its workers, by its own thread, and what is no descriptor;
    of that it is not known who uses it."""
    for _, cli, srv, there in path.both():
        for flags in (0, uring.SQPOLL):
            parent, child, worker = inherited(path, cli, srv, there, b"ur")
            try:
                child("ring", flags)
            except RuntimeError as error:
                raise Skip("io_uring: " + last_line(error)) from error
            for how in (0, uring.ASYNC):
                child("ring_do", uring.SEND, "c", b"by a ring", how)
                worker("recv", "c")
                talk(parent, worker, 1)
                worker("send", "c", b"to a ring")
                child("ring_do", uring.RECV, "c", None, how)
                talk(parent, worker, 1)
            child("ring_file", "c")
            for _ in range(2):
                child("ring_do", uring.SEND, "c", b"its own",
                      uring.FIXED_FILE)
                worker("recv", "c")
            finish(parent, worker)
            child.gone()


def fast_open(path):
    """What is sent begins the connection."""
    for _, cli, srv, there in path.both():
        here = path.near_end if there is path.far_end else path.far_end
        for end in (here, there):
            subprocess.run(["ip", "netns", "exec", end.ns, "sysctl", "-qw",
                            "net.ipv4.tcp_fastopen=3"], check=True)
        port, worker = path.port(), srv(b"tfosrv")
        server(worker, V4, port,
               options=(REUSE, (socket.IPPROTO_TCP, TCP_FASTOPEN, 5)))
        for _ in range(3):
            parent = cli(b"tfopar")
            parent("open", "c", V4, TCP)
            parent("bind", "c", (ANY[V4], path.port()))
            child = parent.fork(b"tfochi")
            worker.begin("accept", "l", "c", unheard=True)
            child("send_now", "c", b"early", (there.address[V4], port),
                  MSG_FASTOPEN)
            child("named", "c")
            worker.end()
            worker("recv", "c")
            parent("close", "c", last=False)
            talk(child, worker, 1)
            finish(child, worker)
            child.gone()


def child_connects(path):
    """The parent has made the socket, and nothing else."""
    for _, cli, srv, there in path.both():
        for kind in (TCP, UDP):
            port, worker = path.port(), srv(b"ccsrv")
            parent = cli(b"ccparent")
            server(worker, V4, port, kind)
            parent("open", "c", V4, kind)
            child = parent.fork(b"ccchild")
            child("remade", "c")
            if kind == TCP:
                worker.begin("accept", "l", "c")
            child("connect", "c", (there.address[V4], port))
            if kind == TCP:
                worker.end()
                talk(child, worker, 1)
                parent("close", "c", last=False)
                finish(child, worker)
            else:
                child("send", "c", b"first")
                worker("recv", "l")
            child.gone()


def in_turn(path):
    """Two processes send by one socket, and nobody answers."""
    for _, cli, srv, there in path.both():
        for connected in (True, False):
            port, worker = path.port(), srv(b"turnsrv")
            parent = cli(b"turnpar")
            address = (there.address[V4], port)
            server(worker, V4, port, UDP)
            parent("open", "c", V4, UDP)
            parent("bind", "c", (ANY[V4], path.port()))
            if connected:
                parent("connect", "c", address)
            child = parent.fork(b"turnchi")
            for who in (child, parent) * 3:
                who("send", "c", b"my turn", None if connected else address)
                worker("recv", "l")
            child.gone()


def segments(path):
    """Datagrams that are cut, and put together, on the way."""
    for _, cli, srv, there in path.both():
        port, worker, parent = path.port(), srv(b"segsrv"), cli(b"segpar")
        server(worker, V4, port, UDP)
        worker("option", "l", SOL_UDP, UDP_GRO, 1)
        parent("open", "c", V4, UDP)
        parent("connect", "c", (there.address[V4], port))
        child = parent.fork(b"segchi")
        child("option", "c", SOL_UDP, UDP_SEGMENT, 1000)
        for who in (child, parent):
            who("send", "c", bytes(8000))
            worker("recv", "l")
        child.gone()


def elsewhere(path):
    """Sockets of another network namespace than the process has now."""
    for _, cli, srv, there in path.both():
        here = path.near_end if there is path.far_end else path.far_end
        port, worker = path.port(), srv(b"elsesrv")
        parent = cli(b"elsepar")
        server(worker, V4, port)
        server(worker, V4, port, UDP, "u")
        meet(parent, worker, (there.address[V4], port))
        parent("open", "u", V4, UDP)
        parent("connect", "u", (there.address[V4], port))
        child = parent.fork(b"elsechi")
        child("enter", there.ns)
        worker("enter", here.ns)
        talk(child, worker)
        for _ in range(2):
            child("send", "u", b"from there")
            worker("recv", "u")
        over(parent, child, worker)


def named_threads(path):
    """A thread's name is not the process's."""
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"ntsrv"), cli(b"ntcli")
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        for i in range(3):
            client("in_thread", "send", "c", b"thread", known_as=b"t%d" % i)
            worker("in_thread", "recv", "c", known_as=b"r%d" % i)
        finish(client, worker)


def chosen_by_program(path):
    """A program says which of those that share a port gets it; nobody asks
    it."""
    for _, cli, srv, there in path.both():
        for kind in (TCP, UDP):
            port = path.port()
            workers = [srv(b"prog%d" % i) for i in range(2)]
            for worker in workers:
                server(worker, V4, port, kind, options=(SHARE,))
                worker("may_be_unknown", "l")
            # return 1
            code = struct.pack("=HBBI", 6, 0, 0, 1)
            workers[0]("filter", "l", ATTACH_REUSEPORT_CBPF, code)
            for _ in range(3):
                client = cli(b"progcli")
                if kind == TCP:
                    meet(client, workers[1], (there.address[V4], port))
                    talk(client, workers[1], 1)
                    finish(client, workers[1])
                    continue
                client("open", "c", V4, UDP)
                client("connect", "c", (there.address[V4], port))
                workers[1].begin("recv", "l", flow=True)
                client("send", "c", b"whose?")
                workers[1].end()


def one_of_many(path):
    """A server's socket for one peer, next to the one for all others."""
    for _, cli, srv, there in path.both():
        here = path.near_end if there is path.far_end else path.far_end
        port, mine = path.port(), path.port()
        every, one, client = srv(b"everysrv"), srv(b"onesrv"), cli(b"onecli")
        server(every, V4, port, UDP)
        one("open", "c", V4, UDP, options=(REUSE,))
        one("bind", "c", (there.address[V4], port))
        one("connect", "c", (here.address[V4], mine))
        client("open", "c", V4, UDP)
        client("bind", "c", (here.address[V4], mine))
        client("connect", "c", (there.address[V4], port))
        for _ in range(2):
            client("send", "c", b"to one")
            one("recv", "c")
            one("send", "c", b"back")
            client("recv", "c")


def bound_to_device(path):
    """One port, two listeners: one is for a device only."""
    for _, cli, srv, there in path.both():
        port = path.port()
        every, one, client = srv(b"allsrv"), srv(b"devsrv"), cli(b"devcli")
        device = (socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                  there.device.encode())
        server(every, V4, port, options=(SHARE,))
        server(one, V4, port, options=(SHARE, device))
        meet(client, one, (there.address[V4], port))
        talk(client, one, 1)
        finish(client, one)


def diverted(path):
    """What is for one process is given to another, without translation."""
    hub, port, proxy = path.near_end, path.port(), path.port()
    transparent = (socket.SOL_IP, 19, 1)
    subprocess.run(["ip", "netns", "exec", hub.ns, "sh", "-c",
                    "ip rule add fwmark 1 lookup 100 && "
                    "ip route add local default dev lo table 100"],
                   check=True)
    try:
        nft(hub.ns, "add table ip divert\nadd chain ip divert pre "
            "{ type filter hook prerouting priority -150; }\n")
        for proto in ("tcp", "udp"):
            nft(hub.ns, f"add rule ip divert pre {proto} dport {port} "
                f"tproxy to :{proxy} meta mark set 1 accept\n")
            alias(path, proto, [hub.label, hub.address[V4], port],
                  [hub.label, hub.address[V4], proxy], late=True)
        target, client = path.near(b"targetsrv"), path.far(b"divcli")
        server(target, V4, port)
        through = path.near(b"proxysrv")
        server(through, V4, proxy, options=(REUSE, transparent))
        meet(client, target, (hub.address[V4], port), through)
        talk(client, through)
        finish(client, through)
        # Of datagrams it can be said only that nobody knows.
        server(target, V4, port, UDP, "u")
        server(through, V4, proxy, UDP, "u", (transparent,))
        through("may_be_unknown", "u")
        client("open", "u", V4, UDP)
        client("connect", "u", (hub.address[V4], port))
        for _ in range(3):
            client("send", "u", b"ask")
            through("recv", "u")
    finally:
        subprocess.run(["ip", "netns", "exec", hub.ns, "sh", "-c",
                        "nft delete table ip divert; ip rule del fwmark 1; "
                        "ip route flush table 100"], check=False,
                       stderr=subprocess.DEVNULL)


CASES = {
    "zerocopy": zerocopy, "splice-out": splice_out, "delayed": delayed,
    "repaired": repaired,
    "io_uring": io_uring, "fast-open": fast_open,
    "child-connects": child_connects, "in-turn": in_turn,
    "segments": segments, "elsewhere": elsewhere,
    "named-threads": named_threads, "chosen-by-program": chosen_by_program,
    "one-of-many": one_of_many, "bound-to-device": bound_to_device, "diverted": diverted,
}
NOT_ON_LO = {"diverted"}
