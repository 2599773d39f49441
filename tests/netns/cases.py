"""The kinds of traffic, one function per case.

A case sends, makes sure that it arrived where something is there to receive
it, and returns what a capture at the near end must show at least:
packets	how many
longest	the length that the longest of them has to reach
texts	bytes that must be in one packet each
"""

import ipaddress
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time

from netns import packets
from netns.net import BOUND, Side

V4, V6 = socket.AF_INET, socket.AF_INET6
CASES = {}

UDP_SEGMENT = 103
PACKET_QDISC_BYPASS = 20
IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0
BULK = 4 << 20


class Skip(Exception):
    """The case cannot be had here; the text says why."""


def case(function):
    CASES[function.__name__.replace("_", "-")] = function
    return function


def seen(count=1, longest=0, texts=()):
    return {"packets": count, "longest": longest, "texts": list(texts)}


def text(*words):
    return ".".join(map(str, words)) + ";"


def filled(label, size):
    """A payload of that size that starts with the label, if it has room."""
    body = label.encode() + bytes(i & 0xff for i in range(len(label), size))
    return body[:size]


def families(net):
    return [f for f in (V4, V6) if net.near.address(f)]


def receive(sock, wanted):
    got = sock.recv(70000)
    while got != wanted:        # what an earlier step left behind
        got = sock.recv(70000)


# --- UDP ---------------------------------------------------------------------

def datagrams(net, name, sizes):
    count = 0
    for src, dst in net.both():
        for family in families(net):
            with src.udp(family) as out, dst.udp(family) as sink:
                for size in sizes:
                    body = filled(text(name, size), size)
                    out.sendto(body, sink.getsockname()[:2])
                    receive(sink, body)
                    count += 1
    return count


@case
def udp(net):
    sizes = [0, 1, 17, 18, 19, 64, 100, 511, 512, 1000, 1400, 1452]
    count = sum(datagrams(net, "udp", sizes) for _ in range(10))
    return seen(count, texts=[text("udp", 1000)])


@case
def udp_paced(net):
    """A datagram each millisecond, for two seconds and a half."""
    with net.near.udp() as out:
        for number in range(2500):
            out.sendto(filled(text("paced", number), 60), (net.far.ip4, 9))
            time.sleep(0.001)
    return seen(2500)


@case
def udp_jumbo(net):
    sizes = [1472, 1473, 4000, 8192, net.near.mtu - 48]
    count = datagrams(net, "udp-jumbo", sizes)
    return seen(count, net.near.mtu - 20, [text("udp-jumbo", 8192)])


@case
def udp_64k(net):
    """One frame each on a device whose MTU is 64 KiB."""
    sizes = [32768, 65000, 65400, 65452, 65460, 65463]
    sizes += [65500, 65507]
    count = sum(datagrams(net, "udp-64k", sizes) for _ in range(4))
    return seen(count, 65535, [text("udp-64k", 65507)])


@case
def udp_gso(net):
    count = 0
    size = 1400 * 40
    for src, dst in net.both():
        for family in families(net):
            with src.udp(family) as out, dst.udp(family) as sink:
                body = filled(text("udp-gso", len(src.dev)), size)
                try:
                    out.sendmsg([body], [(socket.IPPROTO_UDP, UDP_SEGMENT,
                                          struct.pack("H", 1400))], 0,
                                sink.getsockname()[:2])
                except OSError as error:
                    raise Skip(f"UDP_SEGMENT: {error.strerror}") from None
                for offset in range(0, size, 1400):
                    receive(sink, body[offset:offset + 1400])
                count += 1
    return seen(count, size)


@case
def udp_two_cpus(net):
    """A sender on each CPU, each its own flow, all at the same time."""
    cpus = sorted(os.sched_getaffinity(1))
    if len(cpus) < 2:
        raise Skip("this machine has one CPU")
    children = []
    for number, cpu in enumerate(cpus[:4]):
        src, dst = net.both()[number % len(net.both())]
        children.append(os.fork())
        if not children[-1]:
            os.sched_setaffinity(0, {cpu})
            with src.udp() as out:
                for i in range(3000):
                    out.sendto(filled(text("two-cpus", number, i), 60),
                               (dst.ip4, 9))
            os._exit(0)
    for child in children:
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("a sender failed")
    return seen(3000 * len(children),
                texts=[text("two-cpus", n, 2999)
                       for n in range(len(children))])


# --- TCP ---------------------------------------------------------------------

def connection(net, src, dst, family):
    with dst.open(family, socket.SOCK_STREAM) as listener:
        listener.bind((dst.address(family), 0))
        listener.listen(1)
        client = src.open(family, socket.SOCK_STREAM)
        client.connect(listener.getsockname()[:2])
        return client, listener.accept()[0]


class Drain(threading.Thread):
    """Reads to the end of the stream."""

    def __init__(self, sock):
        super().__init__()
        self.sock, self.data = sock, bytearray()

    def run(self):
        while part := self.sock.recv(1 << 20):
            self.data += part


def stream(net, src, dst, family, body, send):
    client, server = connection(net, src, dst, family)
    with client, server:
        drain = Drain(server)
        drain.start()
        send(client, body)
        client.shutdown(socket.SHUT_WR)
        drain.join(4 * BOUND)
        if drain.data != body:
            raise RuntimeError("the stream arrived damaged")


def pattern(size):
    return struct.pack(f"!{size // 4}I", *range(size // 4))


def bulk(net, way, longest):
    body = pattern(BULK)
    for family in families(net):
        stream(net, *way, family, body, socket.socket.sendall)
    return seen(20, longest)


@case
def tcp_bulk_out(net):
    return bulk(net, (net.near, net.far), min(20000, 64 * net.near.mtu))


@case
def tcp_bulk_in(net):
    return bulk(net, (net.far, net.near), min(20000, 64 * net.near.mtu))


@case
def tcp_segments(net):
    """Bulk both ways over a device that may or may not segment itself."""
    bulk(net, (net.near, net.far), 0)
    return bulk(net, (net.far, net.near), 0)


@case
def tcp_64k(net):
    return bulk(net, (net.near, net.far), 65000)


@case
def tcp_big(net):
    """BIG TCP: IPv6 frames of more than 64 KiB."""
    ends = {side.ns: side for side in (net.near, net.far)}.values()
    for side in ends:
        made = subprocess.run(
            ["ip", "-n", side.ns, "link", "set", side.dev,
             "gso_max_size", "200000", "gro_max_size", "200000"],
            check=False, capture_output=True, text=True, timeout=BOUND)
        if made.returncode:
            raise Skip(made.stderr.strip())
    try:
        body = pattern(6 * BULK)
        for way in net.both():
            stream(net, *way, V6, body, socket.socket.sendall)
    finally:
        for side in ends:
            subprocess.run(
                ["ip", "-n", side.ns, "link", "set", side.dev,
                 "gso_max_size", "65536", "gro_max_size", "65536"],
                check=True, timeout=BOUND)
    return seen(20, 66000)


@case
def tcp_sendfile(net):
    """Pages of a file, not copied: frames in fragments."""
    body = pattern(BULK)
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()

        def send(client, _):
            client.sendfile(file)

        for way in net.both():
            stream(net, *way, V4, body, send)
    return seen(20)


@case
def tcp_small(net):
    """Request and answer of one byte to a few hundred."""
    rounds = 300
    for way in net.both():
        client, server = connection(net, *way, V4)
        with client, server:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(1, rounds + 1):
                client.sendall(bytes(i))
                server.recv(i, socket.MSG_WAITALL)
                server.sendall(b"x")
                client.recv(1)
    return seen(2 * rounds * len(net.both()))


@case
def tcp_connections(net):
    """Short connections, refused ones, and some that end with a reset."""
    for number in range(60):
        for src, dst in net.both():
            client, server = connection(net, src, dst, families(net)[-1])
            with client, server:
                client.sendall(b"hello")
                server.recv(10)
                if number % 3 == 0:
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack("ii", 1, 0))
            with src.open(V4, socket.SOCK_STREAM) as refused:
                if not refused.connect_ex((dst.ip4, 1)):
                    raise RuntimeError("port 1 is open")
    return seen(60 * 7 * len(net.both()))


# --- other protocols over IP ---------------------------------------------------

@case
def icmp(net):
    count = 0
    kinds = {V4: (socket.IPPROTO_ICMP, 8), V6: (socket.IPPROTO_ICMPV6, 128)}
    for src, dst in net.both():
        for family in families(net):
            proto, kind = kinds[family]
            with src.open(family, socket.SOCK_RAW, proto) as sock:
                for seq, size in enumerate([0, 8, 56, 700, 1400]):
                    body = filled(text("icmp", size), size)
                    sock.sendto(packets.echo(kind, 77, seq, body),
                                (dst.address(family), 0))
                    while not echo_reply(sock.recv(70000), body):
                        pass
                    count += 2
    return seen(count, texts=[text("icmp", 1400)])


def echo_reply(packet, body):
    head = 20 if packet[0] >> 4 == 4 else 0
    return packet[head] in (0, 129) and packet[head + 8:] == body


@case
def icmp_errors(net):
    """Port unreachable, from both ends."""
    for src, dst in net.both():
        for family in families(net):
            with src.udp(family) as sock:
                sock.connect((dst.address(family), 1))
                sock.send(filled(text("unreachable"), 40))
                try:
                    sock.recv(10)
                except ConnectionRefusedError:
                    continue
                raise RuntimeError("port 1 answered")
    return seen(2 * len(families(net)) * len(net.both()),
                texts=[text("unreachable")])


@case
def ip_protocols(net):
    """GRE, SCTP, ESP, OSPF, protocols that nobody has: nobody answers but
    with an ICMP error."""
    numbers = [47, 132, 50, 51, 89, 4, 41, 253, 255]
    texts = []
    for src, dst in net.both():
        for proto in numbers:
            label = text("proto", src.ip4, proto)
            body = bytes(4) + filled(label, 60)
            with src.open(V4, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
                sock.sendto(packets.ip4(src.ip4, dst.ip4, proto, body),
                            (dst.ip4, 0))
            texts.append(label)
    if net.near.ip6:
        for src, dst in net.both():
            for proto in numbers:
                label = text("proto", src.ip6, proto)
                raw6(src, dst, packets.ip6(src.ip6, dst.ip6, proto,
                                           bytes(4) + filled(label, 60)))
                texts.append(label)
    return seen(len(texts), texts=texts)


def raw6(src, dst, packet):
    with src.open(V6, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        sock.sendto(packet, (dst.ip6, 0))


@case
def ip4_options(net):
    record_route = bytes([7, 11, 4]) + bytes(8) + bytes([0])
    router_alert = bytes([148, 4, 0, 0])
    stamps = bytes([68, 12, 5, 0]) + bytes(8)
    texts = []
    for src, dst in net.both():
        for number, options in enumerate([record_route, router_alert, stamps,
                                          record_route + stamps]):
            label = text("options", src.ip4, number)
            with src.udp() as out, dst.udp() as sink:
                out.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
                out.sendto(filled(label, 50), sink.getsockname())
                receive(sink, filled(label, 50))
            texts.append(label)
    return seen(len(texts), texts=texts)


@case
def ip6_extensions(net):
    """Hop-by-hop, routing, destination options, all of them, and a header
    that is nobody's, before UDP."""
    port = 9
    texts = []
    for src, dst in net.both():
        chains = {
            "hop": [0], "dst": [60], "route": [43], "mobility": [135],
            "hop-dst": [0, 60], "all": [0, 60, 43, 60],
        }
        for name, chain in chains.items():
            label = text("ext", src.ip6, name)
            body = packets.udp(src.ip6, dst.ip6, 4444, port,
                               filled(label, 60))
            follow = 17
            for kind in reversed(chain):
                # A routing header of an unknown type without segments left.
                inside = bytes([253, 0]) + bytes(4) if kind == 43 else b""
                body = packets.extension(follow, inside) + body
                follow = kind
            raw6(src, dst, packets.ip6(src.ip6, dst.ip6, follow, body))
            texts.append(label)
    return seen(len(texts), texts=texts)


def pieces(net, head, size):
    """How many fragments the kernel makes of a UDP datagram."""
    room = (net.near.mtu - head) // 8 * 8
    return -(-(size + 8) // room)


@case
def ip4_fragments(net):
    """Cut by the kernel, and by hand: out of order, one missing, doubled."""
    count = 0
    for src, dst in net.both():
        with src.udp() as out, dst.udp() as sink:
            body = filled(text("frag4", src.ip4), 8000)
            out.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER,
                           IP_PMTUDISC_DONT)
            out.sendto(body, sink.getsockname())
            receive(sink, body)
        whole = packets.udp(src.ip4, dst.ip4, 4444, 9,
                            filled(text("hand4", src.ip4), 1192))
        with src.open(V4, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
            for i in (800, 0, 0, 400, 0, 400):
                sock.sendto(packets.ip4(
                    src.ip4, dst.ip4, 17, whole[i:i + 400], 99,
                    (i // 8) | (0x2000 if i < 800 else 0)), (dst.ip4, 0))
        count += pieces(net, 20, 8000) + 6
    return seen(count, texts=[text("frag4", net.near.ip4),
                              text("hand4", net.near.ip4)])


@case
def ip6_fragments(net):
    count = 0
    for src, dst in net.both():
        with src.udp(V6) as out, dst.udp(V6) as sink:
            body = filled(text("frag6", src.ip6), 8000)
            out.sendto(body, sink.getsockname()[:2])
            receive(sink, body)
        whole = packets.udp(src.ip6, dst.ip6, 4444, 9,
                            filled(text("hand6", src.ip6), 1192))
        for i in (800, 0, 400):
            raw6(src, dst, packets.ip6(
                src.ip6, dst.ip6, 44, packets.fragment6(17, i, i < 800, 98)
                + whole[i:i + 400]))
        atomic = packets.fragment6(17, 0, 0, 97) + whole
        raw6(src, dst, packets.ip6(src.ip6, dst.ip6, 44, atomic))
        count += pieces(net, 48, 8000) + 4
    return seen(count, texts=[text("frag6", net.near.ip6),
                              text("hand6", net.near.ip6)])


# --- broadcast and multicast ---------------------------------------------------

@case
def broadcast(net):
    texts = []
    for src, dst in net.both():
        subnet = ipaddress.ip_interface(f"{src.ip4}/24").network
        for address in ("255.255.255.255", str(subnet.broadcast_address)):
            label = text("broadcast", src.ip4, address)
            with src.udp() as out, dst.open(V4, socket.SOCK_DGRAM) as sink:
                sink.bind(("", 9))
                out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                               src.dev.encode())
                out.sendto(filled(label, 60), (address, 9))
                receive(sink, filled(label, 60))
            texts.append(label)
    return seen(len(texts), texts=texts)


@case
def multicast(net):
    """Members at both ends, so that the kernel also loops a copy back to the
    sender's end, which is no packet of the wire."""
    texts = []
    for src, dst in net.both():
        texts += [multicast4(src, dst), multicast6(src, dst)]
    return seen(len(texts), texts=texts)


def multicast4(src, dst):
    group, label = "239.1.2.3", text("multicast", src.ip4)
    with src.udp() as out, member4(src, group) as own, \
            member4(dst, group) as other:
        out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                       struct.pack("4sii", bytes(4), 0, src.index))
        out.sendto(filled(label, 60), (group, 5353))
        receive(own, filled(label, 60))
        receive(other, filled(label, 60))
    return label


def member4(side, group):
    sock = side.open(V4, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((group, 5353))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack(
        "4s4si", socket.inet_aton(group), bytes(4), side.index))
    return sock


def multicast6(src, dst):
    group, label = "ff12::99", text("multicast", src.ip6)
    with src.udp(V6) as out, member6(src, group) as own, \
            member6(dst, group) as other:
        out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF,
                       src.index)
        out.sendto(filled(label, 60), (group, 5353, 0, src.index))
        receive(own, filled(label, 60))
        receive(other, filled(label, 60))
    return label


def member6(side, group):
    sock = side.open(V6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((group, 5353, 0, side.index))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack(
        "16si", socket.inet_pton(V6, group), side.index))
    return sock


# --- below IP --------------------------------------------------------------------

def frames(net, make):
    """Sends make(src, dst) both ways; returns the number of frames."""
    count = 0
    for src, dst in net.both():
        with src.packet() as sock:
            for frame in make(src, dst):
                sock.send(frame)
                count += 1
    return count


@case
def arp(net):
    """The kernel's own resolution, a gratuitous one, an odd one, RARP."""
    for src, dst in net.both():
        subprocess.run(["ip", "-n", src.ns, "neigh", "flush", "dev", src.dev],
                       check=True, timeout=BOUND)
        with src.udp() as out, dst.udp() as sink:
            out.sendto(b"who has", sink.getsockname())
            receive(sink, b"who has")
    count = frames(net, lambda src, dst: [
        packets.ether(packets.BROADCAST, src.mac, 0x806, packets.arp(
            1, src.mac, src.ip4, bytes(6), src.ip4)),
        packets.ether(dst.mac, src.mac, 0x806, packets.arp(
            9, src.mac, src.ip4, dst.mac, dst.ip4) + bytes(18)),
        packets.ether(packets.BROADCAST, src.mac, 0x8035, packets.arp(
            3, src.mac, src.ip4, src.mac, dst.ip4))])
    return seen(count + 2)


@case
def ethertypes(net):
    """Experimental, unknown, too small to be a type; LLC and SNAP; PPPoE,
    MPLS, LLDP, STP; somebody else's address."""
    texts = []

    def make(src, dst):
        for ethertype in (0x88b5, 0xfffe, 0x5ff, 0x600, 0x8864, 0x8847,
                          0x88cc, 0x9000):
            texts.append(text("type", src.ip4, hex(ethertype)))
            yield packets.ether(dst.mac, src.mac, ethertype,
                                filled(texts[-1], 64))
        for name, head in (("llc", b"\x42\x42\x03"), ("netware", b"\xff\xff"),
                           ("snap", b"\xaa\xaa\x03\0\0\0\x88\xb5")):
            texts.append(text(name, src.ip4))
            yield packets.llc(dst.mac, src.mac, head + filled(texts[-1], 60))
        texts.append(text("group", src.ip4))
        yield packets.ether(b"\1\x80\xc2\0\0\0", src.mac, 0x88b5,
                            filled(texts[-1], 60))
        # Not every device lets this one in.
        yield packets.ether(b"\2strng", src.mac, 0x88b5,
                            filled(text("stranger", src.ip4), 60))

    frames(net, make)
    return seen(len(texts) + 1, texts=texts)


@case
def runts(net):
    """Frames of 14 to 20 bytes. The receiving device may refuse some, so
    only the sent ones are asked for."""
    return seen(frames(net, lambda src, dst: [
        packets.ether(dst.mac, src.mac, ethertype, bytes(size))
        for ethertype in (0x88b6, 0x800, 0x86dd)
        for size in range(7)]) // len(net.both()))


@case
def vlan_frames(net):
    """Tags in the frame as sent; the receiving kernel takes the outer one
    out of the frame and the capture has to put it back."""
    texts = []

    def make(src, dst):
        stacks = {
            "q": [(0x8100, 5)], "q-prio": [(0x8100, 0xa005)],
            "zero": [(0x8100, 0)], "zero-prio": [(0x8100, 0xe000)],
            "dei": [(0x8100, 0x1005)], "max": [(0x8100, 0xffff)],
            "ad": [(0x88a8, 6)], "qinq": [(0x88a8, 6), (0x8100, 7)],
            "qq": [(0x8100, 8), (0x8100, 9)],
            "three": [(0x88a8, 1), (0x8100, 2), (0x8100, 3)],
        }
        for name, tags in stacks.items():
            texts.append(text("vlan", src.ip4, name))
            inner = packets.ether(dst.mac, src.mac, 0x800, packets.ip4(
                src.ip4, dst.ip4, 17, packets.udp(
                    src.ip4, dst.ip4, 4444, 9, filled(texts[-1], 80))))
            yield packets.tagged(inner, *tags)
        texts.append(text("vlan", src.ip4, "arp"))
        yield packets.tagged(packets.ether(
            packets.BROADCAST, src.mac, 0x806, packets.arp(
                1, src.mac, src.ip4, bytes(6), dst.ip4)
            + texts[-1].encode()), (0x8100, 10))
        texts.append(text("vlan", src.ip4, "llc"))
        yield packets.tagged(packets.llc(
            dst.mac, src.mac, b"\x42\x42\x03" + texts[-1].encode()),
            (0x8100, 11))

    count = frames(net, make)
    return seen(count, texts=texts)


@case
def vlan_offload(net):
    """Frames that go out with the tag beside them, as those of a VLAN device
    do: a program behind the device "tagger" puts it there and sends them out
    of the near end."""
    tagger = Side(f"{net.near.ns}/tagger")
    texts = [text("offload", number) for number in range(5)]
    with tagger.packet() as sock:
        for number, label in enumerate(texts):
            frame = packets.ether(
                net.far.mac, net.near.mac, 0x800, packets.ip4(
                    net.near.ip4, net.far.ip4, 17, packets.udp(
                        net.near.ip4, net.far.ip4, 4444, 9,
                        filled(label, 60 + 300 * number))))
            sock.send(packets.tagged(frame, *[(0x8100, 9)] * (number % 2)))
    return seen(5, texts=texts)


@case
def vlan_runts(net):
    """A tag with next to nothing behind it."""
    def make(src, dst):
        for size in range(6):
            yield packets.ether(dst.mac, src.mac, 0x8100, b"\0\5"
                                + b"\x08\x00\x45\0\0\0"[:size + 2])
    return seen(frames(net, make) // len(net.both()))


@case
def qdisc_bypass(net):
    """Sent past the queueing layer, where no capture looks at the sender;
    seen only when they come in."""
    def make(side, label):
        with side.packet() as sock:
            sock.setsockopt(263, PACKET_QDISC_BYPASS, 1)
            sock.send(packets.ether(packets.BROADCAST, side.mac, 0x88b5,
                                    filled(label, 60)))
    make(net.near, text("bypass", "out"))
    make(net.far, text("bypass", "in"))
    return seen(1, texts=[text("bypass", "in")])


# --- mixtures ---------------------------------------------------------------------

@case
def mix(net):
    """A little of everything that the link can carry."""
    parts = [mix_untagged]
    if net.near.ether and not net.loop:
        parts.append(vlan_frames)
    return together(net, parts)


@case
def mix_untagged(net):
    parts = [udp_few, icmp, icmp_errors, ip_protocols, ip4_options,
             ip4_fragments, tcp_few]
    if net.near.ip6:
        parts += [ip6_extensions, ip6_fragments]
    if net.near.ether and not net.loop:
        parts += [arp, broadcast, multicast, ethertypes, runts]
    return together(net, parts)


def together(net, parts):
    done = [part(net) for part in parts]
    return seen(sum(one["packets"] for one in done),
                texts=[t for one in done for t in one["texts"]])


def udp_few(net):
    count = datagrams(net, "few", [0, 1, 60, 400, 1400])
    return seen(count, texts=[text("few", 1400)])


def tcp_few(net):
    for src, dst in net.both():
        for family in families(net):
            stream(net, src, dst, family, pattern(100000),
                   socket.socket.sendall)
    return seen(5 * len(families(net)) * len(net.both()))
