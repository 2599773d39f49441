#!/usr/bin/python3
"""Writes the seeds of the fuzz targets, corpus/TARGET/NAME, again: for when
the layout of records, messages or inputs has changed."""
import os
import struct
import sys

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
}

# --- messages: ebpftls-control.h ---------------------------------------------

OPEN, OPENED, RINGS, ERROR, GONE = range(1, 6)


def message(kind, body, descriptors=0, version=1):
    header = struct.pack("=IHHI", 0x65624c53, version, kind, 12 + len(body))
    whole = header + body
    return struct.pack("<BH", descriptors, len(whole)) + whole


def open_(interface=b"lo", netns=b""):
    return message(OPEN, struct.pack("=IIBB2x16s256s", 65535, 0, 1, 0,
                                     interface, netns))


def opened(present=0xf, rings=1, counters=4, size=4096, descriptors=4):
    return message(OPENED, struct.pack("=IIIII", present, rings, counters,
                                       size, 1), descriptors)


def rings(cpus, descriptors=None):
    count = len(cpus) if descriptors is None else descriptors
    cpus = list(cpus)
    return message(RINGS, struct.pack("=65I", len(cpus),
                                      *(cpus + [0] * (64 - len(cpus)))), count)


def error(reason, text, descriptors=0):
    return message(ERROR, struct.pack("=I256s", reason, text), descriptors)


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
    "version": message(GONE, b"", version=2),
    "open": open_(netns=b"/run/netns/test") + open_(b"x" * 16),
    "empty": struct.pack("<BH", 1, 0),
}

# --- records -----------------------------------------------------------------

ETHERNET = bytes.fromhex("020000000001020000000002" "0800") + b"E" + bytes(40)
TAGGED = ETHERNET[:12] + bytes.fromhex("81002005") + ETHERNET[12:]
LOST = struct.pack("=IHHQQ", 2, 0, 24, 1, 5)


def sample(time, part=ETHERNET, caplen=None, offset=0, tpid=0, tci=0,
           network=14, length=None, protocol=0x0008):
    caplen = offset + len(part) if caplen is None else caplen
    frame = struct.pack("=QIIIIIHHHHHBB", time, length or caplen, caplen,
                        offset, len(part), 2, protocol, tpid, tci, 1,
                        network, 4, 0)
    size = (12 + len(frame) + len(part) + 7) // 8 * 8
    raw = struct.pack("=IHHI", 9, 1, size, size - 12) + frame + part
    return raw.ljust(size, b"\xee")


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


def parts(time, *lengths):
    whole, offset, out = bytes(range(sum(lengths))), 0, b""
    for n in lengths:
        out += sample(time, whole[offset:offset + n], len(whole), offset)
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
    "rest-lost": records(ring(sample(1, b"abc", 9) + sample(2))),
    "orphan": records(ring(sample(1, b"abc", 9, 3) + sample(2))),
    "too-long": records(ring(sample(1)), capacity=54),
    "broken": records(ring(sample(1) + bytes(64))),
    "head": records(ring(sample(1), first=9999)),
    "empty": records(ring(sample(1, b"") + sample(2))),
}


def main():
    for name, text in DEVICES.items():
        write("device", name, text.encode())
    for name, content in CONTROL.items():
        write("control", name, content)
    for name, content in RECORDS.items():
        write("records", name, content)


if sys.byteorder != "little":
    sys.exit("seeds.py: the seeds are for little-endian machines")
main()
