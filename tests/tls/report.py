"""Changes the secrets of a pcapng file, or its packets.

report.py secrets IN OUT		takes them all out
report.py behind IN OUT			puts them behind everything else
report.py behind-one LABEL IN OUT	the first with this label
report.py without LABEL IN OUT		takes the first with this label out
report.py flip LABEL IN OUT		changes one bit of it
report.py packets NUMBERS IN OUT	takes these packets out
report.py cut SIZE IN OUT		cuts packets as a snap length does

LABEL may go on with a blank and a client random: that one's.
"""

import re
import struct
import sys

PACKET = 6
SECRETS = 10
TLS_LOG = struct.pack("<I", 0x544c534b)


def blocks(content):
    at = 0
    while at < len(content):
        kind, length = struct.unpack_from("<II", content, at)
        yield kind, content[at:at + length]
        at += length


def lines_of(block):
    length, = struct.unpack_from("<I", block, 12)
    return block[16:16 + length]


def secrets(lines):
    body = TLS_LOG + struct.pack("<I", len(lines)) + lines
    body += bytes(-len(body) % 4)
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", SECRETS) + length + body + length


def other(line):
    """The line with one bit of the secret changed, far from its ends."""
    at = len(line) - 20
    return line[:at] + (b"1" if line[at:at + 1] == b"0" else b"0") + (
        line[at + 1:])


def with_secrets(content, what, label):
    everything = b"".join(lines_of(block) for kind, block in blocks(content)
                          if kind == SECRETS)
    line = re.search(rb"^" + label.encode() + rb"( [0-9a-f]+)+$",
                     everything, re.MULTILINE)
    kept, taken = [], []
    for kind, block in blocks(content):
        if kind != SECRETS:
            kept.append(block)
        elif what == "behind":
            taken.append(block)
        elif what != "secrets":
            lines = lines_of(block)
            left = lines.replace(line[0] + b"\n", b"")
            if what == "flip":
                left = lines.replace(line[0], other(line[0]))
            elif what == "behind-one" and left != lines:
                taken = [secrets(line[0] + b"\n")]
            kept.append(secrets(left))
    return kept + taken


def without_packets(content, numbers):
    packets = 0
    for kind, block in blocks(content):
        packets += kind == PACKET
        if kind != PACKET or packets not in numbers:
            yield block


def cut_packets(content, size):
    for kind, block in blocks(content):
        if kind == PACKET:
            caplen, = struct.unpack_from("<I", block, 20)
            caplen = min(caplen, size)
            body = block[8:20] + struct.pack("<I", caplen) + block[24:28] + (
                block[28:28 + caplen]) + bytes(-caplen % 4)
            length = struct.pack("<I", 12 + len(body))
            block = block[:4] + length + body + length
        yield block


def main():
    what, which, (source, to) = sys.argv[1], sys.argv[2], sys.argv[-2:]
    with open(source, "rb") as file:
        content = file.read()
    if what == "packets":
        made = without_packets(content, {int(x) for x in which.split()})
    elif what == "cut":
        made = cut_packets(content, int(which))
    else:
        made = with_secrets(content, what, which)
    with open(to, "wb") as file:
        file.writelines(made)


main()
