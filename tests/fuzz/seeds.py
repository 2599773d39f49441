#!/usr/bin/python3
"""Writes the seeds of the fuzz targets, corpus/TARGET/NAME, again: for when
the layout of records, messages or inputs has changed."""
import gzip
import os
import struct
import subprocess
import sys
import tempfile

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def write(target, name, content):
    folder = os.path.join(CORPUS, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(content)


# --- device strings: the part after the prefix -------------------------------

DEVICES = {
    "interface": "eth0", "any": "any", "netns": "lo@test",
    "path": "lo@/run/netns/test", "pid": "any@1234", "nothing": "",
    "no-netns": "lo@", "no-interface": "@test", "option": "lo,comm=ssh,pid=1",
    "no-option": "lo,,", "longest": "abcdefghijklmno", "too-long": "a" * 16,
    "long-netns": "lo@" + "n" * 256, "twice": "ebpftls:lo",
    "process": "lo,process=block,savefile=pcapng,process=off",
    "processes": "lo,uid=0,pid=4194304,comm=a b,exe=/bin/a,children",
    "groups": "any,cgroup=/a/b,cgroup=" + 4 * "0123456789abcdef"
              + ",unknown=on",
    "thirty-three": "lo" + 33 * ",uid=1",
}

# --- messages: ebpftls-control.h ---------------------------------------------

OPEN, OPENED, RINGS, ERROR, GONE = range(1, 6)
PROCESS = 10
FILTER, FILTER_ON, FILTER_OFF, LIBRARY = range(13, 17)


def message(kind, body, descriptors=0, version=1):
    header = struct.pack("=IHHI", 0x65624c53, version, kind, 12 + len(body))
    whole = header + body
    return struct.pack("<BH", descriptors, len(whole)) + whole


def open_(interface=b"lo", netns=b"", counts=(0, 0, 0, 0, 0), pid=0, uid=0,
          comm=b"", exe=b"", cgroup=b""):
    return message(OPEN, struct.pack(
        "=IIBBBx16s256s5I128s128s512s8192s8192sBB2x", 65535, 0, 1, 0,
        any(counts), interface, netns, *counts, struct.pack("=I", pid),
        struct.pack("=I", uid), comm, exe, cgroup, 0, 0))


def opened(present=0xf, rings=1, counters=4, size=4096, descriptors=4,
           no_owners=b""):
    return message(OPENED, struct.pack("=IIIII256s", present, rings, counters,
                                       size, 1, no_owners), descriptors)


def rings(cpus, descriptors=None):
    count = len(cpus) if descriptors is None else descriptors
    cpus = list(cpus)
    return message(RINGS, struct.pack("=65I", len(cpus),
                                      *(cpus + [0] * (64 - len(cpus)))), count)


def error(reason, text, descriptors=0):
    return message(ERROR, struct.pack("=I256s", reason, text), descriptors)


def part(total, first, count, link=0, descriptors=0):
    # what every filter may end with
    return message(FILTER, struct.pack("=IIII", link, total, first, count) +
                   struct.pack("=HBBI", 6, 0, 0, 65535) * 250, descriptors)


def filter_on(settled=1):
    return message(FILTER_ON, struct.pack("=I", settled))


def filter_off(text):
    return message(FILTER_OFF, struct.pack("=256s", text))


def process(comm=b"curl", exe=b"/usr/bin/curl", command=b"curl x"):
    return message(PROCESS, struct.pack("=IQII16s256s1024s256s72s", 7, 1, 1, 0,
                                        comm, exe, command, b"/", b"0123"))


def library(number, path):
    return message(LIBRARY, struct.pack("=I256s", number, path))


CONTROL = {
    "session": opened() + rings([0]),
    "all-descriptors": opened(0x7f, descriptors=7) + rings([3]),
    "many-rings": opened(rings=70, counters=70) + rings(range(64)) +
                  rings(range(64, 70)),
    "gone": opened() + rings([0]) + message(GONE, b""),
    "refused": error(3, b"not up"),
    "refused-late": opened(rings=2) + rings([0]) + error(1, b"x", 3),
    "unterminated": error(1, b"x" * 256),
    "too-many": opened(rings=2, counters=2) + rings([0, 1], 66),
    "wrong-cpu": opened() + rings([4]),
    "missing": opened(0x1f, descriptors=4),
    "processes": process() + opened(no_owners=b"too old") + process() +
                 rings([0]) + process(b"x" * 16) + process(command=b"y" * 1024),
    "version": message(GONE, b"", version=2),
    "filter-on": opened() + rings([0]) + process() * 3 + filter_on(),
    "libraries": library(1, b"/usr/lib/libssl.so.3") + opened() +
                 library(70000, b"/a") + rings([0]) + library(2, b"x" * 256),
    "filter-off": opened() + rings([0]) + process() * 3 + filter_off(b"odd"),
    "filter": part(3, 0, 2, descriptors=1) + part(3, 2, 1) +
              part(250, 0, 250, descriptors=1) + part(0, 0, 0, descriptors=1),
    "filter-order": part(3, 0, 2, descriptors=1) + part(3, 1, 1) +
                    part(3, 0, 2, link=16, descriptors=2),
    "open": open_(netns=b"/run/netns/test") + open_(b"x" * 16),
    "empty": struct.pack("<BH", 1, 0),
}

# --- records -----------------------------------------------------------------

ETHERNET = bytes.fromhex("020000000001020000000002" "0800") + b"E" + bytes(40)
TAGGED = ETHERNET[:12] + bytes.fromhex("81002005") + ETHERNET[12:]
LOST = struct.pack("=IHHQQ", 2, 0, 24, 1, 5)


def sample(time, part=ETHERNET, caplen=None, offset=0, tpid=0, tci=0,
           network=14, length=None, protocol=0x0008, owners=b""):
    caplen = offset + len(part) if caplen is None else caplen
    frame = struct.pack("=QIIIIIHHHHHBBII", time, length or caplen, caplen,
                        offset, len(part), 2, protocol, tpid, tci, 1,
                        network, 4, 2 ** (len(owners) // 48) - 1, 2 ** 32 - 1, 0)
    frame += owners if offset == 0 else b""
    size = (12 + len(frame) + len(part) + 7) // 8 * 8
    raw = struct.pack("=IHHI", 9, 1, size, size - 12) + frame + part
    return raw.ljust(size, b"\xee")


def owner(pid, comm, kind=1):
    return struct.pack("=QQIIII16s", pid * 10, 1, pid, pid + 1, 33, kind, comm)


SERVER = owner(80, b"nginx")
BOTH = owner(7, b"curl") + SERVER


def ring(content, size=8, start=0, writing=0, first=None):
    """The layout of a ring, of 16 << size bytes, and its content."""
    first = len(content) if first is None else first
    return (struct.pack("=BBHHH", size, writing, start, first, len(content)),
            content)


def records(*rings_, limit=255, link=1, most=255, snaplen=65535,
            capacity=1000):
    share = max(len(content) for _, content in rings_)
    head = struct.pack("=BBBBHH", len(rings_) - 1, limit, link, most, snaplen,
                       capacity)
    return (head + b"".join(layout for layout, _ in rings_) +
            b"".join(content.ljust(share, b"\0") for _, content in rings_))


def parts(time, *lengths, owners=b""):
    whole, offset, out = bytes(range(sum(lengths))), 0, b""
    for n in lengths:
        out += sample(time, whole[offset:offset + n], len(whole), offset,
                      owners=owners)
        offset += n
    return out


RECORDS = {
    "frames": records(ring(sample(1) + sample(2) + sample(3))),
    "lost": records(ring(sample(1) + LOST + sample(2)), link=2),
    "merge": records(ring(sample(1) + sample(4)), ring(sample(2) + sample(3)),
                     limit=3, most=1),
    "three": records(ring(sample(9)), ring(sample(2)), ring(sample(5)),
                     limit=5),
    "wrap": records(ring(sample(1) + sample(2), size=4, start=30)),
    "tag": records(ring(sample(1, tpid=0x0081, tci=7) +
                        sample(2, tpid=0xa888, tci=9)), link=0, snaplen=60),
    "tags": records(ring(sample(1, TAGGED, protocol=0x0081, network=18) +
                         sample(2, TAGGED, protocol=0x0081, tpid=0xa888)),
                    link=2),
    "cooked": records(ring(b"".join(sample(i, network=i * 9)
                                    for i in range(8)), size=7), link=2),
    "parts": records(ring(parts(1, 10, 20, 30) + sample(2), start=3)),
    "partial": records(ring(parts(3, 10, 20) + sample(4), first=64,
                            writing=2), ring(sample(1) + sample(5))),
    "owners": records(ring(sample(1, owners=SERVER) + sample(2, owners=BOTH) +
                           sample(3), size=4, start=25)),
    "owners-parts": records(ring(parts(1, 10, 20, owners=BOTH) +
                                 parts(2, 5, 5), start=7)),
    "owners-names": records(ring(sample(1, owners=owner(1, b"x" * 16, 9)) +
                                 sample(2, b"", owners=BOTH[:48]))),
    "owners-missing": records(ring(sample(1, b"", owners=BOTH).replace(
        BOTH, b"").replace(struct.pack("=IHHI", 9, 1, 152, 140),
                           struct.pack("=IHHI", 9, 1, 56, 44)))),
    "rest-lost": records(ring(sample(1, b"abc", 9) + sample(2))),
    "orphan": records(ring(sample(1, b"abc", 9, 3) + sample(2))),
    "too-long": records(ring(sample(1)), capacity=54),
    "broken": records(ring(sample(1) + bytes(64))),
    "head": records(ring(sample(1), first=9999)),
    "empty": records(ring(sample(1, b"") + sample(2))),
}

# --- what is said of processes -----------------------------------------------


def packet(sender=b"", receiver=b""):
    ends = bool(sender) | bool(receiver) << 1
    return bytes([ends]) + sender + receiver


def facts(pid, *texts):
    return struct.pack("=BBHB", 128, pid, 1, len(texts)) + b"".join(
        bytes([len(text)]) + text for text in texts)


NAMING = {
    "both": b"\3" + packet(BOTH[:48], SERVER) + facts(7, b"curl", b"/bin/curl",
                                                      b"curl a=b", b"/", b"01")
            + packet(SERVER, BOTH[:48]) + packet(BOTH[:48]),
    "comment": b"\1" + packet(owner(0, b"", 2)) + packet(b"", owner(0, b"", 3)),
    "block": b"\2" + packet(owner(5, b"\xff \n=\\"), owner(5, b"a b")),
    "reuse": b"\3" + b"".join(packet(owner(3, bytes([65 + i % 2])))
                              for i in range(4)),
}

# --- the ring of secrets --------------------------------------------------------


def secret(header, label=0, length=48):
    return struct.pack("=IIQIIIHBB", header, 0, 1, 2, 3, 0, 0, label,
                       length) + bytes(range(80))


def secret_ring(*records):
    content = b"".join(records)
    return struct.pack("=H", len(content)) + content


SECRETS = {
    "two": secret_ring(secret(104), secret(104, 2, 32)),
    "busy": secret_ring(secret(104), secret(104 | 1 << 31)),
    "discarded": secret_ring(secret(104 | 1 << 30), secret(104)),
    "short": secret_ring(secret(96)),
    "label": secret_ring(secret(104, 10)),
    "length": secret_ring(secret(104, 0, 49)),
}

# --- packets of handshakes: the recorded ones --------------------------------


def recorded():
    """Of each connection in tests/data/handshakes.pcap.gz the first packets
    that are not too long: there its handshake is."""
    path = os.path.join(CORPUS, "../../data/handshakes.pcap.gz")
    with gzip.open(path) as file:
        content = file.read()
    seeds, at = {}, 24
    while at < len(content):
        length, = struct.unpack_from("=I", content, at + 8)
        packet = content[at + 16:at + 16 + length]
        at += 16 + length
        ports = packet[54:58] if packet[12:14] == b"\x86\xdd" else (
            packet[34:38])
        key = tuple(sorted((ports[:2], ports[2:])))
        seed = seeds.setdefault(key, [])
        if len(seed) < 30:
            seed.append(struct.pack("=HBB", length, 0, 0) + packet)
    return {f"recorded-{i}": b"".join(seed)
            for i, seed in enumerate(seeds.values())}


# --- captures with secrets: what a report is made of --------------------------

DATA = os.path.join(CORPUS, "../../data")
SECTION, INTERFACE, STATISTICS, PACKET, DSB = 0x0a0d0d0a, 1, 5, 6, 10
DARWIN = 0x80000001


def pad(content):
    return content + bytes(-len(content) % 4)


def option(code, value, order="="):
    return struct.pack(order + "HH", code, len(value)) + pad(value)


def block(kind, body, order="="):
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def head(order="="):
    return (block(SECTION, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, -1),
                  order) +
            block(INTERFACE, struct.pack(order + "HHI", 1, 0, 0), order))


def captured(packet, options=b"", order="="):
    return block(PACKET, struct.pack(order + "5I", 0, 0, 0, len(packet),
                                     len(packet)) + pad(packet) + options,
                 order)


def keys(lines, order="="):
    return block(DSB, struct.pack(order + "II", 0x544c534b, len(lines)) +
                 pad(lines), order)


def recording(name):
    """The packets and key log lines of one in tests/data."""
    with open(os.path.join(DATA, name + ".pcap"), "rb") as file:
        content = file.read()
    with open(os.path.join(DATA, name + ".keys"), "rb") as file:
        lines = file.read()
    packets, at = [], 24
    while at < len(content):
        length, = struct.unpack_from("=I", content, at + 8)
        packets.append(content[at + 16:at + 16 + length])
        at += 16 + length
    return packets, lines


# Connections in udp.pcap: tests/unit/datagrams.c has their numbers.
DATAGRAMS = (("dtls", 1, 13), ("quic", 23, 31), ("quic-early", 32, 40),
             ("quic-retry", 41, 53))


def tcp(server, sequence, payload, flags=0x10):
    ports = (443, 50000) if server else (50000, 443)
    return (bytes(12) + b"\x08\0" +
            struct.pack(">BBHIBBH4s4s", 0x45, 0, 40 + len(payload), 0, 64, 6,
                        0, bytes([10, 0, 0, 1 + server]),
                        bytes([10, 0, 0, 2 - server])) +
            struct.pack(">HHIIBBHHH", *ports, sequence, 0, 0x50, flags, 0, 0,
                        0) + payload)


def record(kind, content):
    return struct.pack(">BHH", kind, 0x303, len(content)) + content


def hello(kind, random, rest):
    body = b"\x03\x03" + random + b"\0" + rest
    return record(22, struct.pack(">I", kind << 24 | len(body)) + body)


def connection_12(suite):
    """Hellos around a record of tests/data/records.txt, and its line."""
    with open(os.path.join(DATA, "records.txt"), encoding="ascii") as file:
        words = [x.split() for x in file if x.startswith(suite)][0]
    master, client, server, finished = (bytes.fromhex(x) for x in words[4:8])
    extension = b"\0\x04\0\x16\0\0" if words[1] == "1" else b""
    first = hello(1, client, b"\0\x02" + bytes.fromhex(suite) + b"\x01\0")
    answer = hello(2, server, bytes.fromhex(suite) + b"\0" + extension)
    packets = [tcp(0, 0, b"", 2), tcp(1, 0, b"", 18), tcp(0, 1, first),
               tcp(1, 1, answer),
               tcp(0, 1 + len(first), record(20, b"\1") + finished)]
    line = f"CLIENT_RANDOM {client.hex()} {master.hex()}\n"
    return packets, line.encode()


def captures():
    packets, lines = recording("tls13")
    comment = option(1, b"pid=7 comm=a\\x20b uid=0 to-pid=8 to-comm=c")
    process = block(DARWIN, struct.pack("=I", 7) + option(2, b"curl"))
    numbers = option(2, struct.pack("=I", 1)) + option(
        32769, struct.pack("=I", 0))
    givers = b"".join(b"# %s pid=%d library=/usr/lib/%s\n" % (
        lines.split()[1], *giver) for giver in ((7, b"a.so"), (8, b"b\\x20")))
    notes = block(STATISTICS, bytes(12) + option(1, b"no TLS secrets: \n"))
    yield "tls13", head() + keys(lines) + keys(givers) + b"".join(
        captured(packet, comment) for packet in packets) + notes
    yield "blocks", head() + process + b"".join(
        captured(packet, numbers) for packet in packets)
    yield "late", head() + b"".join(map(captured, packets)) + keys(lines)
    yield "disorder", head() + keys(lines) + b"".join(
        map(captured, packets[:5] + packets[7:] + packets[6:]))
    yield "swapped", head(">") + keys(lines, ">") + b"".join(
        captured(packet, b"", ">") for packet in packets)
    packets, lines = recording("udp")
    for name, first, last in DATAGRAMS:
        yield name, head() + keys(lines) + b"".join(
            map(captured, packets[first - 1:last]))
    for suite in "c02f", "cca8", "c09c", "c013", "c028":
        packets, lines = connection_12(suite)
        yield suite, head() + keys(lines) + b"".join(map(captured, packets))


# --- what a server of QUIC says first ------------------------------------------


def said(kind, content, number=0):
    return struct.pack("=HBB", len(content), number, kind) + content


def crypto(at, content):
    return b"\x06" + struct.pack(">HH", 0x4000 | at,
                                 0x4000 | len(content)) + content


RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891"
                      "c2a211167abb8c5e079e09e2c8a8339c")
ANSWER = hello(2, bytes(32), b"\x13\1\0\0\6\0\x2b\0\2\3\4")[5:]
AGAIN = hello(2, RETRY, b"\x13\1\0\0\6\0\x2b\0\2\3\4")[5:]
QUIC = {
    "hello": said(0, b"\2\0\0\0\0" + crypto(0, ANSWER)) +
             said(1, b"\x40" + bytes(40)),
    "pieces": said(0, crypto(20, ANSWER[20:]) + bytes(9)) +
              said(0, crypto(0, ANSWER[:20]), 1),
    "retry": said(0, crypto(0, AGAIN + ANSWER)),
    "early": said(3, b"\xd0\0\0\0\1\0\0\x28" + bytes(40)),
}

# --- programs: tests/data/keylog.c -------------------------------------------

X86_64, ARM64 = "x86_64-linux-gnu", "aarch64-linux-gnu"
SHARED, STATIC = ["-shared", "-fPIC"], ["-static", "-fno-pie", "-Wl,-no-pie"]
PROGRAMS = {
    "openssl": (X86_64, 1, ["-O2"] + SHARED),
    "openssl-static": (X86_64, 1, ["-O0"] + STATIC),
    "openssl-arm64": (ARM64, 1, ["-Os"] + SHARED),
    "boringssl": (X86_64, 2, ["-O3"] + STATIC),
    "boringssl-arm64": (ARM64, 2, ["-O0", "-Wl,--no-rosegment"] + STATIC),
    "gnutls": (X86_64, 3, ["-Os"] + SHARED),
    "gnutls-arm64": (ARM64, 3, ["-O1"] + SHARED),
    "go-arm64": (ARM64, 5, ["-O2"] + STATIC),
    "reader": (X86_64, 4, ["-O1"] + SHARED),
}


def program(machine, stack, options):
    source = os.path.join(CORPUS, "..", "..", "data", "keylog.c")
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["clang", "-target", machine, "-fuse-ld=lld",
                        "-DSTACK=%d" % stack, "-ffreestanding", "-nostdlib",
                        "-s", "-o", file.name, source] + options, check=True)
        with open(file.name, "rb") as made:
            return made.read()


# --- lines of /proc/PID/maps and mountinfo --------------------------------------

MAPS = {
    "library": "7f0c1000-7f0c2000 r-xp 0001f000 fe:01 333427     /lib/x.so",
    "deleted": "1000-2000 r-xp 00000000 00:1b 7 /a b (deleted)",
    "nothing": "1000-2000 r-xp 00000000 00:00 0 ",
    "overlay": "36 35 0:27 /r /mnt/a\\040b rw shared:5 - overlay over "
               "rw,lowerdir=/l1\\072x:/l2,upperdir=/u,workdir=/w",
    "disk": "36 35 8:1 / / rw - ext4 /dev/sda1 rw",
}

# --- the kernel's records of mappings: where they begin, from the ring's end ---

PERF_LOST, PERF_MMAP2 = 2, 10


def watched(kind, body):
    return struct.pack("<IHH", kind, 2, 8 + len(body)) + body


def mapped(path, pid=7, ino=9):
    return watched(PERF_MMAP2, struct.pack(
        "<IIQQQIIQQII", pid, pid, 0x1000, 0x2000, 0, 8, 1, ino, 1, 5, 2)
        + path + bytes(8 - len(path) % 8))


def ring(before, *records):
    return struct.pack("<H", before) + b"".join(records)


WATCH = {
    "library": ring(4096, mapped(b"/usr/lib/libssl.so.3")),
    "three": ring(4096, mapped(b"/a"), watched(PERF_LOST, bytes(16)),
                  mapped(b"//anon", ino=0)),
    "across": ring(70, mapped(b"/usr/lib/a"), mapped(b"/usr/lib/b")),
    "longest": ring(0, mapped(b"/" + 4096 * b"l")),
    "no-end": ring(0, watched(PERF_MMAP2, mapped(b"/abcdefg")[8:-8])),
    "no-path": ring(8, watched(PERF_MMAP2, bytes(16))),
    "no-length": ring(8, struct.pack("<IHH", PERF_MMAP2, 2, 0)),
    "too-long": ring(8, struct.pack("<IHH", PERF_MMAP2, 2, 80) + b"/"),
}

# --- rtnetlink: interfaces ------------------------------------------------------

DONE, ERROR, NEWLINK, DELLINK = 3, 2, 16, 17
IFNAME, MASTER, LINKINFO = 3, 10, 18


def netlink(kind, body):
    return struct.pack("<IHHII", 16 + len(body), kind, 0, 1, 0) + body


def attribute(kind, value):
    return struct.pack("<HH", 4 + len(value), kind) + value + bytes(
        -len(value) % 4)


def interface(index, *attributes):
    return struct.pack("<BBHiII", 0, 0, 1, index, 0x1003, 0) + b"".join(
        attributes)


NETLINK = {
    "new": netlink(NEWLINK, interface(2, attribute(IFNAME, b"eth0\0"))),
    "two": netlink(NEWLINK, interface(
        3, attribute(IFNAME, b"a0\0"), attribute(LINKINFO, b"\0" * 8))) +
    netlink(DELLINK, interface(4, attribute(MASTER, b"\1\0\0\0"))),
    "no-end": netlink(NEWLINK, interface(5, attribute(IFNAME, b"x" * 20))),
    "done": netlink(DONE, bytes(4)),
    "error": netlink(ERROR, struct.pack("<i", -1) + bytes(16)),
    "cpu": b"online@/devices/system/cpu/cpu12\0ACTION=online\0",
    "module": b"add@/module/nf_tproxy_ipv4\0ACTION=add\0",
    # what a socket says that lost messages, and what is no reason to ask anew
    "no-buffers": netlink(ERROR, struct.pack("<i", -105) + bytes(16)),
}

# --- what /proc says of a process: stat, cgroup, cmdline ------------------------

STAT = (b"1234 (%s) S 99 5 5 0 -1 4194560 9 8 7 6 5 4 3 2 20 0 1 0 500 8192 "
        b"300 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1\n")
CONTAINER = b"0123456789abcdef" * 4

PROCESS = {
    "stat": STAT % b"curl", "stat-name": STAT % b") R 1 (\n",
    "docker": b"0::/docker/" + CONTAINER + b"\n",
    "scope": b"0::/a.slice/cri-containerd-" + CONTAINER + b".scope/b\n",
    "conmon": b"0::/a.slice/libpod-conmon-" + CONTAINER + b".scope\n",
    "hybrid": b"4:memory:/docker/" + CONTAINER + b"\n1:name=systemd:/x\n0::/\n",
    "long": b"3:cpu:/" + b"x/" * 300 + b"\n0::/" + b"y/" * 300 + b"\n",
    "command": b"curl\0-v\0\0https://x\0\0",
}

# --- the cache: how many files of each kind, then what they are -----------------

CACHE = {
    "empty": b"\0\0", "barren": b"\0\3" + bytes(range(96)),
    "fertile": b"\1\1" + bytes(32) + b"/lib/x",
    "both": b"\2\2" + bytes(64),
}

# --- classic filters: a byte of options, then what tcpdump makes of them --------

LINKS = {"EN10MB": 0, "LINUX_SLL": 1, "LINUX_SLL2": 2}
FILTERS = {
    "ip": (0, "EN10MB", "ip"),
    "port": (8, "EN10MB", "tcp port 443 and host 10.0.0.1"),
    "payload": (4, "LINUX_SLL", "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 1"),
    "arithmetic": (12, "LINUX_SLL2", "ip[2:2] / ip[1] > len % 7 << ip[8]"),
    "header": (0, "LINUX_SLL2", "inbound or ifindex 5"),
    "tags": (8, "EN10MB", "ip6 protochain 6 or (vlan and geneve)"),
}


def classic(options, link, expression):
    lines = subprocess.run(
        ["tcpdump", "-ddd", "-y", link, expression], check=True,
        capture_output=True, text=True).stdout.splitlines()[1:]
    return bytes([options | LINKS[link]]) + b"".join(
        struct.pack("=HBBI", *map(int, line.split())) for line in lines)


# Metadata, as only live handles load it: packet type, tag.
METADATA = b"\4" + b"".join(struct.pack("=HBBI", *insn) for insn in (
    (0x28, 0, 0, 0xfffff004), (0x15, 0, 2, 4), (0x30, 0, 0, 0xfffff030),
    (0x15, 0, 1, 1), (0x16, 0, 0, 0), (6, 0, 0, 0)))


# --- pcapng files, and journals: docs/sealing.md ------------------------------

def block(kind, body, order="<"):
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def option(code, value, order="<"):
    return (struct.pack(order + "HH", code, len(value)) + value
            + bytes(-len(value) % 4))


def section(application, order="<"):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)
                 + option(4, application, order) + bytes(4), order)


def interface_(name, order="<"):
    return block(1, struct.pack(order + "HHI", 1, 0, 65535)
                 + option(2, name, order) + option(9, b"\x09", order)
                 + bytes(4), order)


def packet(time, data, options=b"", interface=0, order="<"):
    return block(6, struct.pack(order + "5I", interface, time >> 32,
                                time & 0xFFFFFFFF, len(data), len(data))
                 + data + bytes(-len(data) % 4) + options, order)


def secrets_(lines, order="<"):
    return block(10, struct.pack(order + "II", 0x544C534B, len(lines)) + lines,
                 order)


def statistics(options, interface=0, order="<"):
    return block(5, struct.pack(order + "III", interface, 0, 9) + options
                 + bytes(4), order)


def check_sum(data):
    """ebpftls_mark_check() of less than eight bytes."""
    word = int.from_bytes(data, "little") ^ len(data)
    return (word * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 32


def mark(time, data, slot, options=b""):
    return block(0x80EB7F15, struct.pack("<QIIII", time, len(data), len(data),
                                         check_sum(data), slot) + options)


def ours(pid, process, order="<"):
    return (option(1, b"pid=%d comm=a uid=0" % pid, order)
            + option(8, struct.pack(order + "II", pid, pid), order)
            + option(32769, struct.pack(order + "I", process), order))


def process_(pid, order="<"):
    return block(0x80000001, struct.pack(order + "I", pid)
                 + option(2, b"a", order) + bytes(4), order)


def whole(order):
    return (section(b"Dumpcap", order) + interface_(b"ebpftls:lo", order)
            + process_(1, order) + secrets_(b"CLIENT_RANDOM 00 11\n", order)
            + packet(5, b"abcde", ours(1, 0, order) + bytes(4), 0, order)
            + packet(6, b"f", option(1, b"else", order) + ours(1, 0, order)
                     + bytes(4), 0, order)
            + block(0x123, b"unknown", order)
            + statistics(option(1, b"process pid=1", order), 0, order))


READER = {
    "little": whole("<"), "big": whole(">"), "both": whole(">") + whole("<"),
    "cut": whole("<")[:-20], "bare": section(b""),
}


def journal_of(name, marks, end=b""):
    return (section(b"ebpftls") + interface_(name) + process_(1)
            + secrets_(b"CLIENT_RANDOM 00 11\n" + 40 * b"\n")
            + secrets_(40 * b"\n") + marks + end)


def sealing(file, *journals):
    parts = [file, *journals, b"", b""][:3]
    return struct.pack("<3H", *map(len, parts)) + b"".join(parts)


DUMPED = section(b"Dumpcap") + interface_(b"ebpftls:lo")
DUMPED_TWO = DUMPED + interface_(b"ebpftls:any")
MARKS = (mark(5, b"abcde", 3, ours(1, 0)) + mark(6, b"", 256)
         + mark(7, b"f", 3) + mark(8, b"g", 257, ours(2, 0)))
END = statistics(option(1, b"process pid=1"))
SEAL = {
    "one": sealing(DUMPED + packet(5, b"abcde") + packet(7, b"f")
                   + statistics(b""),
                   journal_of(b"ebpftls:lo", MARKS, END)),
    "no-statistics": sealing(DUMPED + packet(5, b"abcde") + packet(8, b"g"),
                             journal_of(b"ebpftls:lo", MARKS, END)),
    "two": sealing(DUMPED_TWO + packet(5, b"abcde")
                   + packet(5, b"abcde", b"", 1),
                   journal_of(b"ebpftls:lo", MARKS, END),
                   journal_of(b"ebpftls:any", MARKS, END)),
    "plain": sealing(DUMPED_TWO + packet(5, b"abcde", b"", 1)
                     + packet(5, b"abcde"),
                     journal_of(b"ebpftls:lo", MARKS, END)),
    "killed": sealing((DUMPED + packet(5, b"abcde") + packet(9, b"h"))[:-4],
                      journal_of(b"ebpftls:lo", MARKS)[:-8]),
    "other": sealing(DUMPED + packet(5, b"abcdf"),
                     journal_of(b"ebpftls:lo", MARKS, END)),
}


def main():
    for name, content in recorded().items():
        write("flow", name, content)
    for name, content in captures():
        write("report", name, content)
    for name, content in QUIC.items():
        write("quic", name, content)
    for name, arguments in PROGRAMS.items():
        write("elf", name, program(*arguments))
    for name, content in SECRETS.items():
        write("secrets", name, content)
    for name, text in DEVICES.items():
        write("device", name, text.encode())
    for name, content in CONTROL.items():
        write("control", name, content)
    for name, content in RECORDS.items():
        write("records", name, content)
    for name, content in NAMING.items():
        write("naming", name, content)
    for name, line in MAPS.items():
        write("maps", name, line.encode())
    for name, content in NETLINK.items():
        write("netlink", name, content)
    for name, content in WATCH.items():
        write("watch", name, content)
    for name, content in PROCESS.items():
        write("process", name, content)
    for name, content in CACHE.items():
        write("cache", name, content)
    for name, arguments in FILTERS.items():
        write("cbpf", name, classic(*arguments))
    write("cbpf", "metadata", METADATA)
    for name, content in READER.items():
        write("reader", name, content)
    for name, content in SEAL.items():
        write("seal", name, content)


if sys.byteorder != "little":
    sys.exit("seeds.py: the seeds are for little-endian machines")
main()
