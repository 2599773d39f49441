"""Processes that do with sockets what they are told, and log what they know:
who they are, which end of which flow they used, and in which span of time.

An actor is a forked process with a channel to the one that directs it. Each
call that uses a socket leaves a line of JSON in the log: at some moment
between "from" and "to" (nanoseconds of the wall clock) the end "local" of the
flow became this process's, or stayed so.
"""

import array
import ctypes
import json
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import time
import traceback

import uring

CLONE_NEWNET = 0x40000000
PR_SET_NAME = 15
SYS_CLONE3 = 435
SYS_PIDFD_GETFD = 438
NETLINK_NETFILTER = 12
NETFILTER_QUEUE = 3
BOUND = 10.0 * int(os.environ.get("SLOW", 1))
PROTOCOLS = {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp"}

_libc = ctypes.CDLL(None, use_errno=True)


def now():
    return time.time_ns()


def plain(address):
    """What a packet will show: no scope, no mapped addresses."""
    if not isinstance(address, tuple) or len(address) < 2:
        return None
    host = address[0]
    if host.startswith("::ffff:"):
        host = host[7:]
    return ["*" if host in ("::", "0.0.0.0") else host, address[1]]


def slurp(path):
    with open(path, "rb") as file:
        return file.read()


def identity():
    stat = slurp("/proc/self/stat")
    return {"pid": os.getpid(), "tid": _libc.gettid(), "uid": os.geteuid(),
            "start": int(stat[stat.rindex(b")") + 2:].split()[19]),
            "comm": slurp("/proc/self/comm")[:-1].hex()}


def set_name(name):
    if _libc.prctl(PR_SET_NAME, ctypes.c_char_p(name), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def enter(ns):
    with open(f"/run/netns/{ns}", "rb") as there:
        if _libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


class Log:
    """Lines of JSON; each is one write, so many processes may share it."""

    def __init__(self, fd, ns, case):
        self.fd, self.ns, self.case = fd, ns, case

    def line(self, **what):
        what = {"ns": self.ns, "case": self.case, **what}
        os.write(self.fd, json.dumps(what).encode() + b"\n")

    def use(self, begin, proto, local, remote, who, **more):
        self.line(what="use", proto=proto, local=local, remote=remote,
                  who=who, **{"from": begin, "to": now(), **more})

    def facts(self):
        groups = slurp("/proc/self/cgroup").split(b"\n")
        cgroup = [g[3:] for g in groups if g.startswith(b"0::")]
        self.line(what="facts", at=now(), who=identity(),
                  parent=os.getppid(),
                  exe=os.readlink(b"/proc/self/exe").hex(),
                  cmd=slurp("/proc/self/cmdline")[:-1].hex(),
                  cgroup=cgroup[0].hex() if cgroup else "")


class Held:
    """A socket and the end of a flow that it is."""

    def __init__(self, sock, made, proto):
        self.sock, self.made, self.proto = sock, made, proto
        self.local = self.remote = None
        self.changed = None     # since when its user is another, unused
        sock.settimeout(BOUND)

    def names(self):
        if self.proto in ("tcp", "udp"):
            self.local = plain(self.sock.getsockname())
            try:
                self.remote = plain(self.sock.getpeername())
            except OSError:
                pass


class Actor:
    """The methods without an underscore are what it can be told."""

    def __init__(self, channel, log):
        self.channel, self.log = channel, log
        self.held = {}
        self.passed = []
        self.me = identity()

    # --- itself -----------------------------------------------------------

    def _loop(self):
        while True:
            data, self.passed, _, _ = socket.recv_fds(self.channel, 1 << 20, 1)
            if not data:
                os._exit(0)
            name, args, more = pickle.loads(data)
            fds = []
            try:
                result = getattr(self, name)(*args, **more)
                if isinstance(result, Passed):
                    fds, result = [result.fd], None
                answer = (True, result)
            except Exception:   # told to the director, who stops
                answer = (False, traceback.format_exc())
            socket.send_fds(self.channel, [pickle.dumps(answer)], fds)
            for fd in fds:
                os.close(fd)

    def _used(self, held, begin, **more):
        if held.changed:
            begin, held.changed = min(begin, held.changed), None
        if held.local is not None:
            self.log.use(begin, held.proto, held.local, held.remote, self.me,
                         **more)

    def _changed(self, since):
        self.me = identity()
        for held in self.held.values():
            held.changed = since

    def identity(self):
        self.me = identity()
        return self.me

    def rename(self, name):
        """What it does from here on, it does by that name."""
        begin = now()
        set_name(name)
        self._changed(begin)
        self.log.facts()

    def setuid(self, uid):
        begin = now()
        os.setresuid(uid, uid, uid)
        self._changed(begin)

    def act_as(self, uid):
        """It can become what it was again."""
        begin = now()
        os.seteuid(uid)
        self._changed(begin)

    def leave(self):
        """Its sockets are closed by its end."""
        self.log.line(what="left", at=now(), who=self.me)
        os._exit(0)

    def reap(self, pid):
        os.waitpid(pid, 0)

    def fork(self, name):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork():
            theirs.close()
            return Passed(ours.detach())
        ours.close()
        self.channel.close()
        self.channel = theirs
        set_name(name)
        self.me = identity()
        self.log.facts()
        return self._loop()

    def execute(self, program, *arguments):
        """Another program with the same sockets. Its first answer is this
        call's."""
        state = [self.channel.detach(), self.log.fd, self.log.ns,
                 self.log.case, now(),
                 [(name, held.sock.detach(), held.proto)
                  for name, held in self.held.items()]]
        for fd in [state[0], state[1]] + [s[1] for s in state[5]]:
            os.set_inheritable(fd, True)
        environment = {**os.environ, "OWNERS_STATE": json.dumps(state)}
        os.execve(program, [program, os.path.abspath(__file__),
                            *arguments], environment)

    def clone_as(self, pid, name):
        """A child with a pid that somebody else has had."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        wanted = array.array("i", [pid])
        args = struct.pack("<8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0) + \
            struct.pack("<3Q", wanted.buffer_info()[0], 1, 0)
        got = _libc.syscall(SYS_CLONE3, args, ctypes.c_size_t(len(args)))
        if got < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        if got:
            theirs.close()
            return Passed(ours.detach())
        ours.close()
        self.channel = theirs
        set_name(name)
        self.me = identity()
        self.log.facts()
        return self._loop()

    # --- sockets ----------------------------------------------------------

    def open(self, name, family, kind, protocol=0, proto=None, options=()):
        begin = now()
        sock = socket.socket(family, kind, protocol)
        for level, option, value in options:
            sock.setsockopt(level, option, value)
        self.held[name] = Held(sock, begin, proto or PROTOCOLS.get(kind))

    def bind(self, name, address, **more):
        held = self.held[name]
        held.sock.bind(address)
        held.names()
        self._used(held, held.made, **more)
        return held.sock.getsockname()

    def listen(self, name):
        held = self.held[name]
        begin = now()
        held.sock.listen(512)
        self._used(held, begin)

    def connect(self, name, address):
        held = self.held[name]
        begin = now()
        try:
            held.sock.connect(address)
        except ConnectionRefusedError:
            self.log.use(begin, held.proto, held.local, plain(address),
                         self.me)
            return None
        held.names()
        self._used(held, begin if held.local else held.made)
        return held.sock.getsockname()

    def accept(self, name, new, since=None, unheard=False):
        """`unheard`: nothing tells of it before it is used."""
        begin = since or now()
        sock, _ = self.held[name].sock.accept()
        held = Held(sock, begin, "tcp")
        held.names()
        self._used(held, begin, unheard=unheard)
        self.held[new] = held

    def accept_blindly(self, name, new, local, peer_port):
        """Does not ask who the peer is, nor anything else of the socket: who
        is at its ends has been settled before."""
        begin = now()
        listener = self.held[name].sock
        listener.settimeout(None)
        fd = _libc.accept(listener.fileno(), None, None)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "accept")
        held = Held(socket.socket(listener.family, listener.type, 0, fd),
                    begin, "tcp")
        held.local, held.remote = local, peer_port
        self._used(held, begin, unheard=True)
        self.held[new] = held

    def send(self, name, data, to=None, flags=0):
        held = self.held[name]
        begin = now()
        if to is None:
            held.sock.sendall(data, flags)
        else:
            held.sock.sendto(data, flags, to)
            if held.local is None:
                held.names()
        self._used(held, begin, speaks=True)

    def send_now(self, name, data, to, flags):
        """As far as that goes without waiting."""
        held = self.held[name]
        held.sock.settimeout(None)
        self.send(name, data, to, flags)
        held.sock.settimeout(BOUND)

    def recv(self, name, size=65536, since=None, flow=False, count=1):
        """With `flow` the peer's packets are nobody else's; without, nobody
        asks for the peer's address."""
        held = self.held[name]
        got = 0
        for _ in range(count):
            begin = since or now()
            try:
                if flow:
                    data, peer = held.sock.recvfrom(size)
                else:
                    data, peer = held.sock.recv(size), None
            except ConnectionError:
                data, peer = b"", None
            got += len(data)
            if flow:
                self.log.use(begin, held.proto, held.local, plain(peer),
                             self.me)
            else:
                self._used(held, begin)
        return got

    def splice(self, name, size=65536):
        """Receives without a receiving system call."""
        held = self.held[name]
        begin = now()
        held.sock.settimeout(None)
        out, into = os.pipe()
        os.splice(held.sock.fileno(), into, size)
        os.close(out)
        os.close(into)
        self._used(held, begin)

    def splice_out(self, name, data):
        """Sends without a sending system call."""
        held = self.held[name]
        begin = now()
        held.sock.settimeout(None)
        out, into = os.pipe()
        os.write(into, data)
        os.splice(out, held.sock.fileno(), len(data))
        os.close(out)
        os.close(into)
        self._used(held, begin, speaks=True)

    def option(self, name, level, option, value):
        """One that makes the kernel send."""
        held = self.held[name]
        begin = now()
        held.sock.setsockopt(level, option, value)
        self._used(held, begin)

    def filter(self, name, option, code):
        """A classic BPF program for the socket."""
        buffer = ctypes.create_string_buffer(code, len(code))
        program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
        self.held[name].sock.setsockopt(socket.SOL_SOCKET, option, program)

    def named(self, name):
        """It has got its addresses by now."""
        held = self.held[name]
        begin, held.changed = held.changed or held.made, None
        held.names()
        self._used(held, begin)

    def remade(self, name):
        """What is done with it before another has is our doing."""
        self.held[name].made = now()

    def ring(self, flags=0):
        self.uring = uring.Ring(flags)

    def ring_file(self, name):
        """The ring has the socket now, and this process no descriptor."""
        held = self.held[name]
        self.uring.register(held.sock.fileno())
        held.sock.close()

    def ring_do(self, operation, name, data=None, flags=0):
        """By some thread of this process."""
        held = self.held[name]
        begin = now()
        fd = 0 if flags & uring.FIXED_FILE else held.sock.fileno()
        result = self.uring.do(operation, fd, data, flags)
        self.log.use(begin, held.proto, held.local, held.remote,
                     {**self.me, "tid": None},
                     speaks=operation == uring.SEND,
                     unheard=bool(flags & uring.FIXED_FILE))
        return result

    def enter(self, ns):
        enter(ns)

    def sendfile(self, name, path, size):
        held = self.held[name]
        begin = now()
        with open(path, "rb") as file:
            os.sendfile(held.sock.fileno(), file.fileno(), 0, size)
        self._used(held, begin, speaks=True)

    def much(self, name, size):
        self.send(name, bytes(size))

    def all_of(self, name, size):
        """Receives until it has that much."""
        held = self.held[name]
        begin = now()
        while size:
            size -= len(held.sock.recv(min(size, 1 << 20)))
        self._used(held, begin)

    def inherit(self, name):
        """It is ours alone, though we have done nothing with it yet."""
        self.log.facts()
        self._used(self.held[name], now())

    def close(self, name, last=True):
        """`last`: nobody else holds it, so what close() sends is ours."""
        held = self.held.pop(name)
        begin = now()
        held.sock.close()
        if last:
            self._used(held, begin)

    def shut(self, name):
        held = self.held[name]
        begin = now()
        held.sock.shutdown(socket.SHUT_WR)
        self._used(held, begin)

    def may_be_unknown(self, name):
        """Or this process's: both are right."""
        held = self.held[name]
        self.log.line(what="vague", proto=held.proto, local=held.local,
                      remote=held.remote)

    def shared(self, name):
        """Another holds it too: what is older than a capture tells nothing."""
        held = self.held[name]
        self.log.line(what="shared", at=now(), proto=held.proto,
                      local=held.local, remote=held.remote)

    def give(self, name):
        return Passed(os.dup(self.held[name].sock.fileno()))

    def described(self, name):
        held = self.held[name]
        return held.proto, held.local, held.remote

    def take(self, name, family, kind, described):
        """A descriptor that another gave. The socket is asked for nothing:
        to have it is not to use it."""
        held = Held(socket.socket(family, kind, 0, self.passed[0]), now(),
                    described[0])
        held.local, held.remote = described[1:]
        self.held[name] = held

    def number(self, name):
        """What another needs to borrow it."""
        held = self.held[name]
        return held.sock.fileno(), (held.proto, held.local, held.remote)

    def borrow(self, name, pid, fd, described):
        """A descriptor of another's socket, of which it is not told."""
        process = os.pidfd_open(pid)
        got = _libc.syscall(SYS_PIDFD_GETFD, process, fd, 0)
        if got < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        os.close(process)
        held = Held(socket.socket(fileno=got), now(), described[0])
        held.local, held.remote = described[1:]
        self.held[name] = held

    def post(self, name):
        """Sends it to itself, and does not receive it."""
        self.ways = socket.socketpair()
        socket.send_fds(self.ways[0], [b"?"],
                        [self.held[name].sock.fileno()])

    def unpost(self):
        for way in self.ways:
            way.close()

    def sit(self, queue):
        """Netfilter asks this process what becomes of packets."""
        self.queue = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW,
                                   NETLINK_NETFILTER)
        self.queue.settimeout(BOUND)
        bind = struct.pack("=HHBBH", 8, 1, 1, 0, 0)
        mode = struct.pack("=HH", 9, 2) + struct.pack("!IBxxx", 0, 1)
        for attribute in (bind, mode):
            self._ask_queue(2, 5, queue, attribute)
            error = struct.unpack_from("=i", self.queue.recv(4096), 16)[0]
            if error:
                raise OSError(-error, os.strerror(-error))

    def _ask_queue(self, kind, flags, queue, attribute):
        body = struct.pack("!BBH", 0, 0, queue) + attribute
        self.queue.send(struct.pack("=IHHII", 16 + len(body),
                                    NETFILTER_QUEUE << 8 | kind, flags, 0, 0)
                        + body)

    def let_go(self, queue):
        """The next packet that is asked about."""
        message = self.queue.recv(65536)
        packet, = struct.unpack_from("!I", message, 24)
        self._ask_queue(1, 1, queue, struct.pack("=HH", 12, 2) +
                        struct.pack("!II", 1, packet))

    def in_thread(self, method, *args, known_as=None):
        """The same, done by a thread of its own, which may have a name."""
        mine, self.me = self.me, None

        def run():
            if known_as:
                set_name(known_as)
            self.me = identity()
            getattr(self, method)(*args)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        self.me = mine

    # --- by the number ------------------------------------------------------

    def pin(self, cpu):
        os.sched_setaffinity(0, {cpu})

    def serve(self, name, count=1 << 30):
        """Answers that many connections, each with what it asks; that may
        come when it has been accepted, but accept() has not told yet."""
        self.held[name].sock.settimeout(None)
        for _ in range(count):
            begin = now()
            sock, _ = self.held[name].sock.accept()
            held = Held(sock, begin, "tcp")
            held.names()
            self._used(held, begin, unheard=True)
            data = sock.recv(65536)
            sock.sendall(data)
            sock.recv(1)
            sock.close()
            self._used(held, begin)

    def echo_flow(self, name):
        """One of the datagrams that several wait for."""
        held = self.held[name]
        begin = now()
        data, peer = held.sock.recvfrom(65536)
        held.sock.sendto(data, peer)
        self._used(held, begin)

    def echo(self, name, count=1 << 30):
        held = self.held[name]
        held.sock.settimeout(None)
        begin = now()
        for i in range(count):
            data, peer = held.sock.recvfrom(65536)
            held.sock.sendto(data, peer)
            if i == 0:
                self._used(held, begin)
        self._used(held, begin)

    def short(self, count, family, kind, address, uids=(0,), size=100):
        """Processes that live for one connection or datagram."""
        for i in range(count):
            pid = os.fork()
            if pid == 0:
                self._short_life(b"short%d" % (i % 10), family, kind, address,
                                 uids[i % len(uids)], size)
            os.waitpid(pid, 0)

    def _short_life(self, name, family, kind, address, uid, size):
        set_name(name)
        if uid:
            os.setresuid(uid, uid, uid)
        self.me = identity()
        begin = now()
        held = Held(socket.socket(family, kind), begin, PROTOCOLS[kind])
        held.sock.connect(address)
        held.sock.sendall(bytes(size))
        held.names()
        self._used(held, begin)
        held.sock.recv(65536)
        self._used(held, begin)
        os._exit(0)

    def blast(self, name, address, count, size, every=50):
        """Many datagrams from one unconnected socket, paced by answers."""
        held = self.held[name]
        begin = now()
        for i in range(count):
            held.sock.sendto(bytes(size), address)
            if i % every == every - 1:
                for _ in range(every):
                    held.sock.recv(65536)
        self._used(held, begin)

    # --- below the transport ------------------------------------------------

    def ping(self, name, address, count, number):
        """Echo requests with that id; waits for each answer."""
        held = self.held[name]
        v6 = held.sock.family == socket.AF_INET6
        for seq in range(count):
            begin = now()
            head = struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, number, seq)
            body = head + b"owners ping"
            if not v6:
                body = head[:2] + struct.pack("!H", checksum(body)) + body[4:]
            held.sock.sendto(body, address)
            if held.sock.type == socket.SOCK_DGRAM:
                number = held.sock.getsockname()[1]
            self.log.use(begin, "icmp", ["*", number], None, self.me)
            while True:
                data = held.sock.recv(65536)
                if held.sock.type == socket.SOCK_RAW and not v6:
                    data = data[20:]
                if data[0] in (0, 129):
                    break

    def raw(self, name, address, count, proto, local):
        """Datagrams of a protocol that has no ports."""
        held = self.held[name]
        for _ in range(count):
            begin = now()
            held.sock.sendto(b"owners raw", address)
            self.log.use(begin, f"ip{proto}", [local, 0], None, self.me)

    def open_packet(self, name, device, proto, local):
        """For whole frames, past the network layer, from that end."""
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.bind((device, 0))
        self.held[name] = Held(sock, now(), proto)
        self.held[name].local = local


class Passed:
    """A result that is a descriptor."""

    def __init__(self, fd):
        self.fd = fd


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Directed:
    """The director's end of an actor."""

    def __init__(self, channel, pid=None):
        self.channel, self.pid = channel, pid
        self.pending = False
        channel.settimeout(3 * BOUND)

    def begin(self, name, *args, **more):
        self.channel.send(pickle.dumps((name, args, more)))
        self.pending = True

    def end(self):
        data, fds, _, _ = socket.recv_fds(self.channel, 1 << 20, 1)
        self.pending = False
        if not data:
            raise RuntimeError("an actor ended")
        good, result = pickle.loads(data)
        if not good:
            raise RuntimeError(result)
        return fds[0] if fds else result

    def __call__(self, name, *args, **more):
        self.begin(name, *args, **more)
        return self.end()

    def pass_to(self, other, name, new, family, kind):
        """Its descriptor to another actor, by SCM_RIGHTS."""
        described = self("described", name)
        fd = self("give", name)
        call = ("take", (new, family, kind, described), {})
        socket.send_fds(other.channel, [pickle.dumps(call)], [fd])
        other.end()
        os.close(fd)

    def fork(self, name):
        child = Directed(socket.socket(fileno=self("fork", name)))
        child.pid = child("identity")["pid"]
        return child

    def gone(self):
        """Told to end; its parent has to collect it."""
        self.channel.send(pickle.dumps(("leave", (), {})))
        self.channel.settimeout(BOUND)
        self.channel.recv(1)
        self.channel.close()


def start(ns, name, log_fd, label, case):
    """A new actor in a network namespace, by a name; its director's end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid:
        theirs.close()
        return Directed(ours, pid)
    try:
        ours.close()
        enter(ns)
        set_name(name)
        log = Log(log_fd, label, case)
        log.facts()
        Actor(theirs, log)._loop()
    finally:
        os._exit(1)


def resume():
    """What execute() has started goes on."""
    channel, log_fd, ns, case, begin, socks = \
        json.loads(os.environ["OWNERS_STATE"])
    actor = Actor(socket.socket(fileno=channel), Log(log_fd, ns, case))
    for name, fd, proto in socks:
        held = Held(socket.socket(fileno=fd), begin, proto)
        held.names()
        held.changed = begin
        actor.held[name] = held
    actor.log.facts()
    actor.channel.send(pickle.dumps((True, begin)))
    actor._loop()


if __name__ == "__main__":
    sys.exit(resume())
