"""The two ends of a link under test, seen from one process: sockets are made
in either network namespace and stay there."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess

from netns import packets

CLONE_NEWNET = 0x40000000
MARK_PORT = 47806
MARK_SIZE = 777         # no case sends packets of this length
BOUND = 5.0             # seconds that any one step may take

_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(ns):
    """The calling thread is in the namespace for the length of the block."""
    with open("/proc/thread-self/ns/net", "rb") as home, \
            open(f"/run/netns/{ns}", "rb") as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


class Side:
    """One end: a device in a namespace, written NS/DEV."""

    def __init__(self, text):
        self.ns, self.dev = text.split("/", 1)
        out = subprocess.run(
            ["ip", "-j", "-n", self.ns, "addr", "show", "dev", self.dev],
            check=True, capture_output=True, timeout=BOUND).stdout
        info = json.loads(out)[0]
        self.index = info["ifindex"]
        self.mtu = info["mtu"]
        self.ether = info["link_type"] == "ether"
        self.mac = packets.mac(info["address"]) if self.ether else b""
        found = {a["family"]: a["local"] for a in reversed(info["addr_info"])}
        self.ip4 = found.get("inet")
        self.ip6 = found.get("inet6")

    def open(self, *args):
        with inside(self.ns):
            sock = socket.socket(*args)
        sock.settimeout(BOUND)
        return sock

    def address(self, family):
        return self.ip4 if family == socket.AF_INET else self.ip6

    def udp(self, family=socket.AF_INET, port=0):
        sock = self.open(family, socket.SOCK_DGRAM)
        sock.bind((self.address(family), port))
        return sock

    def packet(self):
        """A raw frame socket that sends only."""
        sock = self.open(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.bind((self.dev, 0))
        return sock


class Net:
    """A link: the capture looks at the near end."""

    def __init__(self, near, far):
        self.near, self.far = near, far
        self.loop = near.ns == far.ns

    def both(self):
        """Either direction; the same end twice makes one on loopback."""
        ways = [(self.near, self.far), (self.far, self.near)]
        return ways[:1] if self.loop else ways

    def mark(self, name):
        """The way to the near end first: when that one has arrived, so has
        all that was sent before it."""
        for src, dst in reversed(self.both()):
            with src.udp() as out, dst.udp(port=MARK_PORT) as sink:
                body = f"ebpftls-mark:{name};".encode()
                out.sendto(body.ljust(MARK_SIZE, b"."), (dst.ip4, MARK_PORT))
                sink.recv(MARK_SIZE)


def flood(near, address, count, size, cpu):
    """Numbered datagrams as fast as they go. The socket is not connected, so
    that the ICMP errors of those before do not come back as send errors:
    each call that returns has put one datagram on the device."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    body = bytes(size - 4)
    with Side(near).udp() as sock:
        for number in range(count):
            sock.sendto(number.to_bytes(4, "big") + body, (address, 9))


def sink(end):
    """Nobody reads: what does not fit the socket's buffer is dropped there,
    without a sound."""
    with Side(end).udp(port=9):
        print("ready", flush=True)
        signal.pause()
