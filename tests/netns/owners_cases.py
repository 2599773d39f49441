"""What the actors are told to do, case by case. A case is one way in which a
packet gets its process; `path` says between which ends."""

import json
import os
import select
import socket
import struct
import subprocess
import time

import owners_actor as actor

TCP, UDP, RAW = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW
V4, V6 = socket.AF_INET, socket.AF_INET6
ANY = {V4: "0.0.0.0", V6: "::"}
REUSE = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
SHARE = (socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
RESET = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
SHORT = 100


class Skip(Exception):
    """Why a case cannot be here."""


class End:
    """A namespace, what the log calls it, and its addresses on the path."""

    def __init__(self, ns, label, ip4, ip6, device):
        self.ns, self.label, self.device = ns, label, device
        self.address = {V4: ip4, V6: ip6}


class Path:
    """Two ends, and the actors of the case that runs between them."""

    last_port = 20000

    def __init__(self, name, near, far, log_fd, programs):
        self.name, self.near_end, self.far_end = name, near, far
        self.log_fd, self.programs = log_fd, programs
        self.case, self.actors = None, []

    def start(self, end, name, case=None):
        who = actor.start(end.ns, name, self.log_fd, end.label,
                          case or self.case)
        self.actors.append(who)
        return who

    def near(self, name, case=None):
        return self.start(self.near_end, name, case)

    def far(self, name, case=None):
        return self.start(self.far_end, name, case)

    def port(self):
        Path.last_port += 1
        return Path.last_port

    def line(self, **what):
        actor.Log(self.log_fd, self.near_end.label, self.case).line(**what)

    def end(self, who):
        """An actor of ours ends and is collected."""
        who.gone()
        os.waitpid(who.pid, 0)
        self.actors.remove(who)

    def over(self):
        for who in list(self.actors):
            self.end(who)

    def both(self):
        """Who is at which end, each way round."""
        yield "out", self.near, self.far, self.far_end
        yield "in", self.far, self.near, self.near_end


def server(who, family, port, kind=TCP, name="l", options=(REUSE,)):
    who("open", name, family, kind, options=options)
    who("bind", name, (ANY[family], port))
    if kind == TCP:
        who("listen", name)


def meet(client, owner, address, worker=None, family=None, bind=None,
         options=()):
    """A connection "c" from the client to the listener "l"; the client's
    address."""
    worker = worker or owner
    client("open", "c", family or family_of(address), TCP, options=options)
    if bind:
        client("bind", "c", (ANY[family_of(address)], bind))
    worker.begin("accept", "l", "c")
    mine = client("connect", "c", address)
    worker.end()
    return mine


def talk(client, worker, times=3):
    for _ in range(times):
        client("send", "c", b"ask")
        worker("recv", "c")
        worker("send", "c", b"answer")
        client("recv", "c")


def finish(client, worker):
    client("shut", "c")
    worker("recv", "c")
    worker("close", "c")
    client("recv", "c")
    client("close", "c")


def family_of(address):
    return V6 if ":" in address[0] else V4


# --- TCP --------------------------------------------------------------------

def tcp(path, family, listen=None, mapped=False):
    for _, cli, srv, there in path.both():
        client, worker, port = cli(b"tcpcli"), srv(b"tcpsrv"), path.port()
        address = there.address[family]
        if mapped:
            address = "::ffff:" + address
        server(worker, listen or family, port)
        meet(client, worker, (address, port))
        talk(client, worker)
        finish(client, worker)


def tcp4(path):
    tcp(path, V4)


def tcp6(path):
    tcp(path, V6)


def tcp_mapped(path):
    tcp(path, V4, V6, True)


def tcp_dual(path):
    tcp(path, V4, V6)


def tcp_receive_only(path):
    for _, cli, srv, there in path.both():
        client, worker, port = cli(b"rocli"), srv(b"rosrv"), path.port()
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        for _ in range(4):
            client("send", "c", b"take")
            worker("recv", "c")
        client("close", "c")
        worker("recv", "c")
        worker("close", "c")
        client, worker = cli(b"rocli"), srv(b"rosrv")
        port = path.port()
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        for _ in range(4):
            worker("send", "c", b"take")
            client("recv", "c")
        worker("close", "c")
        client("recv", "c")
        client("close", "c")


def refused(path):
    """A port that nobody listens on: the answer is the kernel's."""
    for _, cli, _, there in path.both():
        client, port = cli(b"refused"), path.port()
        path.line(what="closed", address=[there.address[V4], port])
        client("open", "c", V4, TCP)
        client("bind", "c", (ANY[V4], path.port()))
        client("connect", "c", (there.address[V4], port))


def prefork(path, used=True):
    for _, cli, srv, there in path.both():
        port, parent = path.port(), srv(b"prefork")
        server(parent, V4, port)
        workers = [parent.fork(b"worker%d" % i) for i in range(3)]
        for worker in workers:
            client = cli(b"precli")
            meet(client, parent, (there.address[V4], port), worker)
            if used:
                talk(client, worker)
                finish(client, worker)
            else:
                # What comes after accept() and before the worker's first
                # word or reading.
                for _ in range(3):
                    client("send", "c", b"early")
                time.sleep(0.05)
        for worker in workers:
            worker.gone()


def prefork_accepted(path):
    prefork(path, False)


def accept_blind(path):
    """Accepted by who does not ask for the peer's address; then nothing but
    what comes in."""
    for _, cli, srv, there in path.both():
        here = path.near_end if there is path.far_end else path.far_end
        port, mine, parent = path.port(), path.port(), srv(b"blindsrv")
        server(parent, V4, port)
        worker, client = parent.fork(b"blindwork"), cli(b"blindcli")
        worker.begin("accept_blindly", "l", "c", [there.address[V4], port],
                     [here.address[V4], mine])
        client("open", "c", V4, TCP)
        client("bind", "c", (ANY[V4], mine))
        client("connect", "c", (there.address[V4], port))
        worker.end()
        time.sleep(0.02)
        for _ in range(3):
            client("send", "c", b"early")
        time.sleep(0.02)
        talk(client, worker, 1)
        finish(client, worker)
        worker.gone()


def fork_server(path):
    """The parent accepts, a child serves."""
    for _, cli, srv, there in path.both():
        port, parent, client = path.port(), srv(b"forksrv"), cli(b"forkcli")
        server(parent, V4, port)
        meet(client, parent, (there.address[V4], port))
        child = parent.fork(b"forked")
        parent("close", "c", last=False)
        talk(client, child)
        finish(client, child)
        child.gone()


def fork_client(path):
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"fcsrv"), cli(b"fccli")
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        talk(client, worker, 1)
        child = client.fork(b"fcchild")
        talk(child, worker)
        talk(client, worker)
        client("close", "c", last=False)
        finish(child, worker)
        child.gone()


def reuseport_tcp(path):
    for _, cli, srv, there in path.both():
        port = path.port()
        workers = [srv(b"share%d" % i) for i in range(3)]
        for worker in workers:
            server(worker, V4, port, options=(SHARE,))
        since = time.time_ns()
        for worker in workers:
            worker.begin("accept", "l", "c", since=since)
        idle = list(workers)
        for _ in range(60):
            client = cli(b"shcli")
            client("open", "c", V4, TCP)
            client("connect", "c", (there.address[V4], port))
            ready, _, _ = select.select([w.channel for w in idle], [], [], 5)
            worker = [w for w in idle if w.channel in ready][0]
            worker.end()
            talk(client, worker, 1)
            finish(client, worker)
            worker.begin("accept", "l", "c", since=since)
            path.end(client)
        for worker in workers:
            os.kill(worker.pid, 9)
            os.waitpid(worker.pid, 0)
            path.actors.remove(worker)


def reuseport_udp(path):
    for _, cli, srv, there in path.both():
        port = path.port()
        workers = [srv(b"ushare%d" % i) for i in range(3)]
        for worker in workers:
            server(worker, V4, port, UDP, options=(SHARE,))
        since = time.time_ns()
        for worker in workers:
            worker.begin("recv", "l", since=since, flow=True)
        for _ in range(30):
            client = cli(b"ushcli")
            client("open", "c", V4, UDP)
            client("connect", "c", (there.address[V4], port))
            for _ in range(3):
                client("send", "c", b"which")
                ready, _, _ = select.select([w.channel for w in workers],
                                            [], [], 5)
                worker = [w for w in workers if w.channel in ready][0]
                worker.end()
                worker.begin("recv", "l", since=since, flow=True)
            path.end(client)
        for worker in workers:
            os.kill(worker.pid, 9)
            os.waitpid(worker.pid, 0)
            path.actors.remove(worker)


def scm_rights(path):
    """Before the new holder touches it, the old one is what can be known."""
    for _, cli, srv, there in path.both():
        for closer in ("new", "old"):
            port, peer = path.port(), srv(b"scmpeer")
            old, new = cli(b"scmold"), cli(b"scmnew")
            server(peer, V4, port)
            meet(old, peer, (there.address[V4], port))
            talk(old, peer, 1)
            old.pass_to(new, "c", "c", V4, TCP)
            if closer == "new":
                old("close", "c", last=False)
            for _ in range(2):
                peer("send", "c", b"early")
            time.sleep(0.05)
            new("recv", "c")
            for _ in range(3):
                peer("send", "c", b"late")
                new("recv", "c")
            new("send", "c", b"mine")
            peer("recv", "c")
            if closer == "new":
                finish(new, peer)
            else:
                # to close it is not to use it
                new("close", "c", last=False)
                old("close", "c", last=False)
                peer("recv", "c")
                peer("close", "c")


def scm_rights_udp(path):
    for _, cli, srv, there in path.both():
        port, peer = path.port(), cli(b"scmupeer")
        old, new = srv(b"scmuold"), srv(b"scmunew")
        server(old, V4, port, UDP)
        old.pass_to(new, "l", "l", V4, UDP)
        old("close", "l", last=False)
        peer("open", "c", V4, UDP)
        peer("connect", "c", (there.address[V4], port))
        peer("send", "c", b"early")
        new("recv", "l")
        for _ in range(3):
            peer("send", "c", b"late")
            new("recv", "l")


def short_tcp(path):
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"shortsrv"), cli(b"shorts")
        server(worker, V4, port)
        worker.begin("serve", "l", SHORT)
        client("short", SHORT, V4, TCP, (there.address[V4], port),
               (0, 1001, 1002))
        worker.end()


def short_udp(path):
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"shortusrv"), cli(b"shortu")
        server(worker, V4, port, UDP)
        worker.begin("echo", "l", SHORT)
        client("short", SHORT, V4, UDP, (there.address[V4], port),
               (0, 1001, 1002))
        worker.end()


def gone_before_last(path):
    """The process has ended; its connection goes on to FIN and TIME_WAIT."""
    for _, cli, srv, there in path.both():
        for _ in range(5):
            port, worker, client = path.port(), srv(b"lastsrv"), cli(b"goner")
            server(worker, V4, port)
            meet(client, worker, (there.address[V4], port))
            client("send", "c", bytes(100))
            worker("recv", "c")
            path.end(client)
            worker("recv", "c")
            worker("close", "c")
        for _ in range(5):
            port, worker, client = path.port(), srv(b"goner2"), cli(b"lastcli")
            server(worker, V4, port)
            meet(client, worker, (there.address[V4], port))
            worker("send", "c", bytes(100))
            client("recv", "c")
            path.end(worker)
            client("recv", "c")
            client("close", "c")


def bulk(path):
    """More than any buffer holds, in frames as large as there are."""
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"bulksrv"), cli(b"bulkcli")
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        for one, other in ((client, worker), (worker, client)):
            other.begin("all_of", "c", 3 << 20)
            one("much", "c", 3 << 20)
            other.end()
        finish(client, worker)


def spliced(path):
    """A child that has the connection moves data through pipes and files."""
    for _, cli, srv, there in path.both():
        port, parent, client = path.port(), srv(b"splsrv"), cli(b"splcli")
        server(parent, V4, port)
        meet(client, parent, (there.address[V4], port))
        child = parent.fork(b"splchild")
        parent("close", "c", last=False)
        for _ in range(3):
            client("send", "c", b"in")
            child("splice", "c")
        for _ in range(2):
            child("sendfile", "c", "/etc/passwd", 100)
            client("recv", "c")
        finish(client, child)
        child.gone()


def mptcp(path):
    """What Go's listeners are; the subflows are sockets of the kernel's."""
    for _, cli, srv, there in path.both():
        for mine, protocol in ((0, 262), (262, 262), (262, 0)):
            port, worker, client = path.port(), srv(b"mpsrv"), cli(b"mpcli")
            try:
                worker("open", "l", V4, TCP, protocol, options=(REUSE,))
            except RuntimeError as error:
                raise Skip(last_line(error)) from error
            worker("bind", "l", (ANY[V4], port))
            worker("listen", "l")
            client("open", "c", V4, TCP, mine)
            worker.begin("accept", "l", "c", unheard=True)
            client("connect", "c", (there.address[V4], port))
            worker.end()
            talk(client, worker)
            finish(client, worker)


# --- the same port, the same pid --------------------------------------------

def tcp_reuse(path):
    """One 5-tuple, again and again another process at each end."""
    for _, cli, srv, there in path.both():
        port, bound = path.port(), path.port()
        for i in range(6):
            worker, client = srv(b"reusrv%d" % i), cli(b"reucli%d" % i)
            server(worker, V4, port)
            meet(client, worker, (there.address[V4], port), bind=bound,
                 options=(REUSE, RESET))
            talk(client, worker, 2)
            client("close", "c")
            worker("recv", "c")
            path.end(client)
            path.end(worker)


def tcp_reuse_wait(path):
    """The same, through the server's TIME_WAIT."""
    for _, cli, srv, there in path.both():
        port, bound = path.port(), path.port()
        for i in range(4):
            worker, client = srv(b"twsrv%d" % i), cli(b"twcli%d" % i)
            server(worker, V4, port)
            meet(client, worker, (there.address[V4], port), bind=bound,
                 options=(REUSE,))
            talk(client, worker, 1)
            worker("close", "c")
            client("recv", "c")
            client("close", "c")
            path.end(client)
            path.end(worker)
            time.sleep(0.01)


def udp_reuse(path):
    for _, cli, srv, there in path.both():
        port, bound = path.port(), path.port()
        for i in range(6):
            worker, client = srv(b"rusrv%d" % i), cli(b"rucli%d" % i)
            server(worker, V4, port, UDP)
            client("open", "c", V4, UDP)
            client("bind", "c", (ANY[V4], bound))
            client("connect", "c", (there.address[V4], port))
            for _ in range(2):
                client("send", "c", b"again")
                worker("recv", "l")
            path.end(client)
            path.end(worker)


def once_more(parent, pid, name):
    """Another child with that pid. It starts later by more than a start time
    may be off."""
    time.sleep(0.05)
    try:
        return actor.Directed(socket.socket(
            fileno=parent("clone_as", pid, name)))
    except RuntimeError as error:
        raise Skip("clone3: " + last_line(error)) from error


def last_line(error):
    return str(error).strip().rsplit("\n", 1)[-1]


def pid_reuse(path):
    """The same pid, another start."""
    for _, cli, srv, there in path.both():
        port, worker, parent = path.port(), srv(b"pidsrv"), cli(b"pidpar")
        server(worker, V4, port, UDP)
        child = parent.fork(b"pidone")
        pid = child.pid
        for again in range(3):
            child("open", "c", V4, UDP)
            child("connect", "c", (there.address[V4], port))
            for _ in range(2):
                child("send", "c", b"who")
                worker("recv", "l")
            child.gone()
            parent("reap", pid)
            if again == 2:
                break
            child = once_more(parent, pid, b"pidtwo")


def pid_reuse_shared(path):
    """The same, and both have used the same socket."""
    for _, cli, srv, there in path.both():
        port, worker, parent = path.port(), srv(b"pidsrv"), cli(b"pidpar")
        server(worker, V4, port)
        meet(parent, worker, (there.address[V4], port))
        child = parent.fork(b"pidone")
        pid = child.pid
        for again in range(3):
            talk(child, worker, 2)
            child.gone()
            parent("reap", pid)
            if again == 2:
                break
            child = once_more(parent, pid, b"pidone")
        talk(parent, worker, 1)
        finish(parent, worker)


# --- UDP --------------------------------------------------------------------

def udp(path, family, bound=None, connect=True, mapped=False):
    for _, cli, srv, there in path.both():
        client, worker, port = cli(b"udpcli"), srv(b"udpsrv"), path.port()
        address = there.address[family]
        if mapped:
            address = "::ffff:" + address
        address = (address, port)
        server(worker, bound or family, port, UDP)
        client("open", "c", family_of(address), UDP)
        if connect:
            client("connect", "c", address)
        for _ in range(4):
            worker.begin("echo", "l", 1)
            client("send", "c", b"ask", None if connect else address)
            worker.end()
            client("recv", "c")


def udp4(path):
    udp(path, V4)


def udp6(path):
    udp(path, V6)


def udp_unconnected(path):
    udp(path, V4, connect=False)
    udp(path, V6, connect=False)


def udp_mapped(path):
    udp(path, V4, V6, mapped=True)
    udp(path, V4, V6, connect=False, mapped=True)


def udp_receive_only(path):
    """It does not ask who sent it either."""
    for _, cli, srv, there in path.both():
        for family in (V4, V6):
            client, worker, port = cli(b"uroc"), srv(b"uros"), path.port()
            server(worker, family, port, UDP)
            client("open", "c", family, UDP)
            for _ in range(3):
                client("send", "c", b"take", (there.address[family], port))
            time.sleep(0.02)
            for _ in range(3):
                worker("recv", "l")


def udp_prefork(path):
    """Workers that share one socket: whoever answers has used it last."""
    for _, cli, srv, there in path.both():
        port, parent, client = path.port(), srv(b"upfsrv"), cli(b"upfcli")
        server(parent, V4, port, UDP)
        workers = [parent.fork(b"upfwork%d" % i) for i in range(3)]
        client("open", "c", V4, UDP)
        client("connect", "c", (there.address[V4], port))
        for worker in workers * 2:
            worker.begin("echo_flow", "l")
            client("send", "c", b"ask")
            worker.end()
            client("recv", "c")
        for worker in workers:
            worker.gone()


# --- what a process becomes -------------------------------------------------

def executed(path):
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"exsrv"), cli(b"before")
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        talk(client, worker, 2)
        client("execute", path.programs["after"])
        talk(client, worker, 2)
        finish(client, worker)


def changed_uid(path):
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"uidsrv"), cli(b"uidcli")
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        talk(client, worker, 2)
        client("setuid", 1003)
        talk(client, worker, 2)
        worker("setuid", 1004)
        talk(client, worker, 2)
        finish(client, worker)


def renamed(path):
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"rensrv"), cli(b"oldname")
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        talk(client, worker, 2)
        client("rename", b"newname")
        talk(client, worker, 2)
        finish(client, worker)


def thread(path):
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"thrsrv"), cli(b"thrcli")
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        for _ in range(3):
            client("in_thread", "send", "c", b"thread")
            worker("in_thread", "recv", "c")
        talk(client, worker, 1)
        finish(client, worker)


def say(sender, worker, socket_name):
    for _ in range(2):
        sender("send", "c", b"said")
        worker("recv", socket_name)


def say_and_change(client, worker, socket_name, after):
    """One socket, and nothing but one thing changes from send to send."""
    say(client, worker, socket_name)
    client("rename", b"chgnew")
    say(client, worker, socket_name)
    for uid in (1003, 0, 1004, 0):
        client("act_as", uid)
        say(client, worker, socket_name)
    for name in (b"chgthr", b"chgnew"):
        client("in_thread", "send", "c", b"thread")
        worker("recv", socket_name)
        client("rename", name)
    child = client.fork(b"chgnew")
    for sender in (child, client) * 3:
        sender("send", "c", b"by turns")
        worker("recv", socket_name)
    child("act_as", 1003)
    say(child, worker, socket_name)
    child.gone()
    client("execute", after)
    say(client, worker, socket_name)


def changing(path):
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"chgsrv"), cli(b"chgcli")
        server(worker, V4, port)
        meet(client, worker, (there.address[V4], port))
        say_and_change(client, worker, "c", path.programs["after"])
        finish(client, worker)


def changing_udp(path):
    for _, cli, srv, there in path.both():
        port, worker, client = path.port(), srv(b"chgusrv"), cli(b"chgucli")
        server(worker, V4, port, UDP)
        client("open", "c", V4, UDP)
        client("connect", "c", (there.address[V4], port))
        say_and_change(client, worker, "l", path.programs["after"])


def hostile(path):
    """Names and arguments that are not made for a line of text."""
    for _, cli, srv, there in path.both():
        port, worker = path.port(), srv(b"hossrv")
        server(worker, V4, port)
        for name in (b"a b=c\\d", b"new\nline", b"\xff\xfe\x80",
                     b"pid=1 uid=0", b"ends\\", b"\x01\x7f\x1b[m"):
            client = cli(b"hostile")
            client("execute", path.programs["after"], b"plain", b"sp ace",
                   b"new\nline", b"eq=ual", b"back\\slash", b"\xff\xc3\x28",
                   b"")
            client("rename", name)
            meet(client, worker, (there.address[V4], port))
            talk(client, worker, 1)
            finish(client, worker)


# --- ICMP, raw, whole frames, fragments -------------------------------------

def ping(path, family, kind):
    proto = socket.IPPROTO_ICMP if family == V4 else socket.IPPROTO_ICMPV6
    for _, cli, _, there in path.both():
        client = cli(b"pinger")
        client("open", "c", family, kind, proto, proto="icmp")
        client("ping", "c", (there.address[family], 0), 4, path.port())


def ping4(path):
    ping(path, V4, RAW)


def ping6(path):
    ping(path, V6, RAW)


def ping_socket(path):
    ping(path, V4, UDP)
    ping(path, V6, UDP)


def unreachable(path):
    """Datagrams to a closed port: the error quotes them."""
    for _, cli, _, there in path.both():
        for family in (V4, V6):
            client, port = cli(b"nobody"), path.port()
            path.line(what="closed", address=[there.address[family], port])
            client("open", "c", family, UDP)
            client("connect", "c", (there.address[family], port))
            for _ in range(2):
                client("send", "c", b"anybody?")
                client("recv", "c")


def raw(path):
    for _, cli, _, there in path.both():
        here = path.near_end if there is path.far_end else path.far_end
        client = cli(b"rawcli")
        client("open", "c", V4, RAW, 253, proto="ip253")
        client("raw", "c", (there.address[V4], 0), 4, 253, here.address[V4])


def packet_socket(path):
    """A datagram made by hand."""
    for _, cli, srv, there in path.both():
        here = path.near_end if there is path.far_end else path.far_end
        client, worker = cli(b"framer"), srv(b"framesrv")
        port, mine = path.port(), path.port()
        server(worker, V4, port, UDP)
        client("open_packet", "c", here.device, "udp",
               [here.address[V4], mine])
        for _ in range(3):
            client("send", "c", by_hand(here, mine, there, port))
        worker("recv", "l", count=3)


def packet_shared(path):
    """The same, by a child with its parent's socket, and by both in turn."""
    for _, cli, srv, there in path.both():
        here = path.near_end if there is path.far_end else path.far_end
        parent, worker = cli(b"framepar"), srv(b"framesrv")
        port, mine = path.port(), path.port()
        server(worker, V4, port, UDP)
        parent("open_packet", "c", here.device, "udp",
               [here.address[V4], mine])
        frames_in_turn(parent, worker, by_hand(here, mine, there, port))


def frames_in_turn(parent, worker, frame):
    child = parent.fork(b"framechi")
    for who in (child, parent, child):
        who("send", "c", frame)
        worker("recv", "l")
    child.gone()


def by_hand(here, mine, there, port):
    src, dst = here.address[V4], there.address[V4]
    body = b"by hand"
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(body), 7, 0, 64,
                     17, 0, socket.inet_aton(src), socket.inet_aton(dst))
    ip = ip[:10] + struct.pack("!H", actor.checksum(ip)) + ip[12:]
    return mac(there) + mac(here) + b"\x08\0" + ip + \
        struct.pack("!HHHH", mine, port, 8 + len(body), 0) + body


def mac(end):
    out = subprocess.run(["ip", "-j", "-n", end.ns, "link", "show", "dev",
                          end.device], check=True, capture_output=True).stdout
    return bytes.fromhex(json.loads(out)[0]["address"].replace(":", ""))


def fragments(path):
    for _, cli, srv, there in path.both():
        for family in (V4, V6):
            client, worker, port = cli(b"bigcli"), srv(b"bigsrv"), path.port()
            server(worker, family, port, UDP)
            client("open", "c", family, UDP)
            for _ in range(3):
                client("send", "c", bytes(5000), (there.address[family], port))
                worker("recv", "l")


# --- the kernel's own -------------------------------------------------------

def neighbours(path):
    """Each asks for the other's address."""
    for end in (path.near_end, path.far_end):
        subprocess.run(["ip", "-n", end.ns, "neigh", "flush", "dev",
                        end.device], check=True)
    for _, cli, srv, there in path.both():
        for family in (V4, V6):
            client, worker, port = cli(b"asker"), srv(b"asked"), path.port()
            server(worker, family, port, UDP)
            client("open", "c", family, UDP)
            client("send", "c", b"?", (there.address[family], port))
            worker("recv", "l")


# --- older than the capture -------------------------------------------------

class Old:
    """Sockets that are made before, and used after."""

    def __init__(self, path):
        self.path, self.ends, self.shared = path, [], []
        for way, cli, srv, there in path.both():
            for family in (V4, V6):
                self.make(way, cli, srv, there, family)
            if path.near_end is not path.far_end:
                self.make_frames(cli, srv, there)

    def make_frames(self, cli, srv, there):
        """Another process sends by it than the one that has it now, and where
        its frames come in nobody has seen that."""
        path, case = self.path, f"{self.path.name}/old-frames"
        here = path.near_end if there is path.far_end else path.far_end
        client, worker = cli(b"oldframe", case), srv(b"srvframe", case)
        port, mine = path.port(), path.port()
        server(worker, V4, port, UDP)
        client("open_packet", "c", here.device, "udp",
               [here.address[V4], mine])
        self.ends.append(("frames", client, worker,
                          by_hand(here, mine, there, port)))

    def make(self, way, cli, srv, there, family):
        path, v = self.path, "6" if family == V6 else "4"

        def pair(name):
            case = f"{path.name}/old-{name}"
            port = path.port()
            client = cli(b"old" + name.encode()[:6] + v.encode(), case)
            worker = srv(b"srv" + name.encode()[:6] + v.encode(), case)
            return client, worker, (there.address[family], port)

        for name in ("tcp", "receiver", "fin"):
            client, worker, address = pair(name)
            server(worker, family, address[1])
            meet(client, worker, address)
            talk(client, worker, 1)
            self.ends.append((name, client, worker, address))
        client, worker, address = pair("listener")
        server(worker, family, address[1])
        self.ends.append(("listener", client, worker, address))
        client, worker, address = pair("udp")
        server(worker, family, address[1], UDP)
        client("open", "c", family, UDP)
        client("connect", "c", address)
        self.ends.append(("udp", client, worker, address))
        # Whom a listener of several is said to belong to matters less than
        # who accepts.
        client, worker, address = pair("prefork")
        server(worker, family, address[1])
        workers = [worker.fork(b"oldwork%d" % i) for i in range(2)]
        worker("may_be_unknown", "l")
        self.ends.append(("prefork", client, (worker, workers), address))
        # Only a child has it when the capture begins.
        client, worker, address = pair("orphan")
        server(worker, family, address[1])
        meet(client, worker, address)
        child = client.fork(b"oldorphan")
        path.end(client)
        child("inherit", "c")
        self.ends.append(("orphan", child, worker, address))
        # Two hold one end, and who of them will use it nobody knows.
        client, worker, address = pair("shared")
        server(worker, family, address[1])
        meet(client, worker, address)
        child = client.fork(b"oldchild")
        self.shared.append((client, child, worker, address))

    def use(self):
        for name, client, worker, address in self.ends:
            if name == "tcp":
                talk(client, worker)
                finish(client, worker)
            elif name == "receiver":
                for _ in range(4):
                    worker("send", "c", b"take")
                    client("recv", "c")
            elif name == "fin":
                self.path.end(client)
                worker("recv", "c")
                worker("close", "c")
            elif name == "prefork":
                for each in worker[1]:
                    meet(client, worker[0], address, each)
                    talk(client, each)
                    finish(client, each)
                    each.gone()
            elif name == "orphan":
                for _ in range(2):
                    worker("send", "c", b"take")
                    client("recv", "c")
                talk(client, worker)
                client.gone()
            elif name == "frames":
                frames_in_turn(client, worker, address)
            elif name == "listener":
                meet(client, worker, address)
                talk(client, worker)
                finish(client, worker)
            else:
                for _ in range(3):
                    client("send", "c", b"take")
                    worker("recv", "l")
        for client, child, worker, address in self.shared:
            self.use_shared(client, child, worker)

    def use_shared(self, client, child, worker):
        client("shared", "c")
        for _ in range(2):
            worker("send", "c", b"early")
        time.sleep(0.05)
        child("recv", "c")
        talk(child, worker, 2)
        talk(client, worker, 2)
        child("close", "c", last=False)
        finish(client, worker)
        child.gone()


# --- addresses that are translated on the way -------------------------------

def nft(ns, rules):
    done = subprocess.run(["ip", "netns", "exec", ns, "nft", "-f", "-"],
                          input=rules.encode(), capture_output=True,
                          check=False)
    if done.returncode:
        raise Skip("nft: " + done.stderr.decode().strip().split("\n", 1)[0])


def translate(path, rules):
    nft(path.hub.ns, "add table ip owners\n"
        "add chain ip owners pre { type nat hook prerouting priority -100; }\n"
        "add chain ip owners out { type nat hook output priority -100; }\n"
        "add chain ip owners post { type nat hook postrouting priority 100; }"
        "\n" + rules)


def alias(path, proto, seen, real, late=False):
    """What is seen at `seen` (label, address, port) is the end `real`; `late`:
    which nobody can know of a flow's first packet."""
    path.line(what="alias", proto=proto, seen=seen, real=real, late=late)


def redirected(path):
    """Far clients of a local server, by a port that is not the server's."""
    hub, port, real = path.hub, path.port(), path.port()
    for proto in ("tcp", "udp"):
        translate(path, f"add rule ip owners pre {proto} dport {port} "
                  f"redirect to :{real}")
        alias(path, proto, [hub.label, hub.address[V4], port],
              [hub.label, hub.address[V4], real], late=True)
    worker, client = path.start(hub, b"redsrv"), path.far(b"redcli")
    server(worker, V4, real)
    meet(client, worker, (hub.address[V4], port))
    talk(client, worker)
    finish(client, worker)
    server(worker, V4, real, UDP, "u")
    client("open", "u", V4, UDP)
    client("connect", "u", (hub.address[V4], port))
    for _ in range(3):
        worker.begin("echo", "u", 1)
        client("send", "u", b"ask")
        worker.end()
        client("recv", "u")


def redirected_here(path):
    """The same, on lo."""
    port, real = path.port(), path.port()
    translate(path, f"add rule ip owners out tcp dport {port} "
              f"redirect to :{real}")
    alias(path, "tcp", [path.hub.label, "127.0.0.1", port],
          [path.hub.label, "127.0.0.1", real])
    worker, client = path.start(path.hub, b"rlosrv"), \
        path.start(path.hub, b"rlocli")
    server(worker, V4, real)
    meet(client, worker, ("127.0.0.1", port))
    talk(client, worker)
    finish(client, worker)


def to_container(path):
    """A port of the hub's leads into the container; a process of the hub's
    listens on the same port and gets nothing."""
    hub, box, port = path.hub, path.near_end, path.port()
    for proto in ("tcp", "udp"):
        translate(path, f"add rule ip owners pre iif {hub.device} {proto} "
                  f"dport {port} dnat to {box.address[V4]}:{port}")
        alias(path, proto, [hub.label, hub.address[V4], port],
              [box.label, box.address[V4], port])
    proxy, worker, client = path.start(hub, b"proxy"), \
        path.near(b"boxed"), path.far(b"boxcli")
    server(proxy, V4, port)
    server(proxy, V4, port, UDP, "u")
    server(worker, V4, port)
    server(worker, V4, port, UDP, "u")
    meet(client, worker, (hub.address[V4], port))
    talk(client, worker)
    finish(client, worker)
    client("open", "u", V4, UDP)
    client("connect", "u", (hub.address[V4], port))
    for _ in range(3):
        worker.begin("echo", "u", 1)
        client("send", "u", b"ask")
        worker.end()
        client("recv", "u")


def masqueraded(path):
    """The container's flows leave with the hub's address; a process of the
    hub's has the same port and no part in them."""
    hub, box = path.hub, path.near_end
    translate(path, f"add rule ip owners post oif {hub.device} ip saddr "
              f"{box.address[V4]} masquerade")
    client, worker = path.near(b"maskcli"), path.far(b"masksrv")
    shadow = path.start(hub, b"shadow")
    port = path.port()
    server(worker, V4, port)
    server(worker, V4, port, UDP, "u")
    for proto, kind in (("tcp", TCP), ("udp", UDP)):
        mine = path.port()
        alias(path, proto, [hub.label, hub.address[V4], mine],
              [box.label, box.address[V4], mine])
        server(shadow, V4, mine, kind, proto)
        address = (path.far_end.address[V4], port)
        if kind == TCP:
            meet(client, worker, address, bind=mine)
            talk(client, worker)
            finish(client, worker)
            continue
        client("open", "u", V4, UDP)
        client("bind", "u", (ANY[V4], mine))
        client("connect", "u", address)
        for _ in range(3):
            worker.begin("echo", "u", 1)
            client("send", "u", b"ask")
            worker.end()
            client("recv", "u")


def routed(path):
    """The container's flows are passed on as they are; a process of the hub's
    listens on the same ports and has no part in them."""
    hub, box, far = path.hub, path.near_end, path.far_end
    subprocess.run(["ip", "-n", far.ns, "route", "replace",
                    box.address[V4] + "/32", "via", hub.address[V4]],
                   check=True)
    port = path.port()
    shadow = path.start(hub, b"shadow")
    worker, client = path.near(b"routesrv"), path.far(b"routecli")
    for kind, name in ((TCP, "l"), (UDP, "u")):
        server(shadow, V4, port, kind, name)
        server(worker, V4, port, kind, name)
    meet(client, worker, (box.address[V4], port))
    talk(client, worker)
    finish(client, worker)
    client("open", "u", V4, UDP)
    client("connect", "u", (box.address[V4], port))
    for _ in range(3):
        worker.begin("echo", "u", 1)
        client("send", "u", b"ask")
        worker.end()
        client("recv", "u")


# Each with the captures that must tell an end of it.
NAT_CASES = {"redirect": (redirected, ["a0", "any"]),
             "redirect-lo": (redirected_here, ["lo", "any"]),
             "dnat-container": (to_container, ["h0", "c0"]),
             "masquerade": (masqueraded, ["h0", "c0"]),
             "routed": (routed, ["h0", "c0"])}
BOX_CASES = ("tcp4", "tcp6", "tcp-receive-only", "udp4", "udp-unconnected",
             "udp-receive-only", "ping4", "ping6", "short-tcp",
             "gone-before-last", "fork-client", "udp-prefork", "setuid",
             "exec", "thread", "changing-udp")
CASES = {
    "tcp4": tcp4, "tcp6": tcp6, "tcp-mapped": tcp_mapped,
    "tcp-dual": tcp_dual, "tcp-receive-only": tcp_receive_only,
    "udp4": udp4, "udp6": udp6, "udp-unconnected": udp_unconnected,
    "udp-mapped": udp_mapped, "udp-receive-only": udp_receive_only,
    "prefork": prefork, "prefork-accepted": prefork_accepted,
    "accept-blind": accept_blind,
    "fork-server": fork_server, "fork-client": fork_client,
    "reuseport-tcp": reuseport_tcp, "reuseport-udp": reuseport_udp,
    "scm-rights": scm_rights, "scm-rights-udp": scm_rights_udp,
    "exec": executed, "setuid": changed_uid, "renamed": renamed,
    "thread": thread, "changing": changing, "changing-udp": changing_udp,
    "hostile": hostile,
    "bulk": bulk, "spliced": spliced, "mptcp": mptcp,
    "udp-prefork": udp_prefork, "gone-before-last": gone_before_last,
    "short-tcp": short_tcp, "short-udp": short_udp,
    "tcp-reuse": tcp_reuse, "tcp-reuse-wait": tcp_reuse_wait,
    "udp-reuse": udp_reuse, "pid-reuse": pid_reuse,
    "pid-reuse-shared": pid_reuse_shared,
    "ping4": ping4, "ping6": ping6, "ping-socket": ping_socket,
    "unreachable": unreachable, "refused": refused, "raw": raw,
    "packet-socket": packet_socket, "packet-shared": packet_shared,
    "fragments": fragments,
    "neighbours": neighbours,
}
NOT_ON_LO = {"fragments", "neighbours", "packet-socket", "packet-shared"}
