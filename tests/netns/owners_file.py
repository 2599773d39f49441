"""Reads what a capture says of processes, and takes nothing that is not as it
is documented: blocks, options, the two forms of comments."""

import calendar
import re
import struct

import blocks

DARWIN = 0x80000001
VALUE = rb"((?:[\x21-\x3c\x3e-\x5b\x5d-\x7e]|\\x[0-9a-f]{2})*)"
NUMBER = rb"(0|[1-9][0-9]*)"
PACKET = re.compile(
    rb"pid=(?:unknown|" + NUMBER + rb" comm=" + VALUE + rb" uid=" + NUMBER +
    rb")(?: to-pid=(?P<to>unknown|" + NUMBER + rb" to-comm=" + VALUE +
    rb" to-uid=" + NUMBER + rb"))?")
FACTS = ("pid", "parent", "start", "uid", "comm", "exe", "cgroup",
         "container", "cmd")
START = re.compile(
    rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{9})Z")


class Fault(Exception):
    """The file is not what it should be."""


def unescape(text):
    return re.sub(rb"\\x(..)", lambda m: bytes([int(m[1], 16)]), text)


def epoch(text):
    found = START.fullmatch(text)
    if not found:
        raise Fault(f"no time: {text}")
    year, month, day, hour, minute, second, nano = map(int, found.groups())
    return calendar.timegm((year, month, day, hour, minute, second)) * \
        10**9 + nano


def said(pid, comm, uid):
    """What the comment says of one end: None unless it is known."""
    return {"pid": int(pid), "comm": unescape(comm), "uid": int(uid)}


def packet_comment(text):
    """The first and the second end: absent, "unknown" or a process."""
    found = PACKET.fullmatch(text)
    if not found:
        raise Fault(f"no comment of a packet: {text}")
    pid, comm, uid, to, to_pid, to_comm, to_uid = found.groups()
    first = "unknown" if pid is None else said(pid, comm, uid)
    if to is None:
        return first, None
    return first, ("unknown" if to_pid is None else
                   said(to_pid, to_comm, to_uid))


def facts_comment(text):
    facts, last = {}, -1
    for word in text.split(b" ")[1:]:
        name, equals, value = word.partition(b"=")
        name = name.decode("ascii", "replace")
        if not equals or name not in FACTS or FACTS.index(name) <= last or \
                not re.fullmatch(VALUE, value):
            raise Fault(f"facts: {text}")
        last = FACTS.index(name)
        facts[name] = unescape(value)
    for name in ("pid", "parent", "uid"):
        if name in facts:
            facts[name] = int(facts[name])
    if "pid" not in facts or "start" not in facts:
        raise Fault(f"facts without pid or start: {text}")
    facts["start"] = epoch(facts["start"])
    return facts


def option_list(body, at):
    while at < len(body):
        code, size = struct.unpack_from("<HH", body, at)
        if code == 0:
            if size or at + 4 != len(body):
                raise Fault("the end of options is not at the end")
            return
        value = body[at + 4:at + 4 + size]
        if len(value) != size:
            raise Fault(f"option {code} goes past its block")
        yield code, value
        at += 4 + (size + 3) // 4 * 4
    if at != len(body):
        raise Fault("options go past their block")


def number(value):
    if len(value) != 4:
        raise Fault(f"a number of {len(value)} bytes")
    return struct.unpack("<I", value)[0]


class Packet:
    """One EPB: bytes, time, link type, and what is said."""

    def __init__(self, link, time, data, length):
        self.link, self.time, self.data, self.length = link, time, data, length
        self.direction = 0
        self.first = self.second = self.ids = None
        self.named = [None, None]   # by the Darwin blocks
        self.facts = []
        self.comments = []


    def shared(self):
        """Whether it is for more than one on its link."""
        if self.link == 1:
            return bool(self.data[0] & 1)
        return self.data[10 if self.link == 276 else 1] in (1, 2)


def packet_options(packet, body, at, darwin):
    for code, value in option_list(body, at):
        if code == 1:
            packet.comments.append(value)
            if value.startswith(b"process "):
                packet.facts.append(facts_comment(value))
            elif packet.first is not None:
                raise Fault("two comments of one packet")
            else:
                packet.first, packet.second = packet_comment(value)
        elif code == 2:
            packet.direction = number(value) & 3
        elif code == 8:
            if len(value) != 8 or packet.ids is not None:
                raise Fault("option 8 is not two numbers, once")
            packet.ids = struct.unpack("<II", value)
        elif code in (32769, 32771):
            index = number(value)
            if index >= len(darwin):
                raise Fault(f"process block {index} has not been yet")
            packet.named[code != 32769] = darwin[index]


def process_block(body):
    if len(body) < 4:
        raise Fault("a process block without a pid")
    names = [value for code, value in option_list(body, 4) if code == 2]
    if len(names) != 1:
        raise Fault(f"a process block with {len(names)} names")
    return struct.unpack_from("<I", body)[0], names[0]


def late_facts(body):
    """What became known of processes after their last packet."""
    return [facts_comment(value) for code, value in option_list(body, 12)
            if code == 1 and value.startswith(b"process ")]


def packets(path, late):
    """All packets of the file, with what is said of them; facts from the
    file's end are added to `late`."""
    links, darwin = [], []
    try:
        for kind, body in blocks.blocks(blocks.read(path)):
            if kind == "SHB":
                links, darwin = [], []
            elif kind == "IDB":
                link, _, _ = struct.unpack_from("<HHI", body)
                resolution = dict(option_list(body, 8)).get(9, b"\6")[0]
                links.append((link, 10 ** (9 - resolution)))
            elif kind in (hex(DARWIN), blocks.NAMES.get(DARWIN)):
                darwin.append(process_block(body))
            elif kind == "EPB":
                index, high, low, size, length = \
                    struct.unpack_from("<5I", body)
                link, unit = links[index]
                packet = Packet(link, (high << 32 | low) * unit,
                                body[20:20 + size], length)
                packet_options(packet, body, 20 + (size + 3) // 4 * 4, darwin)
                yield packet
            elif kind == "ISB":
                late += late_facts(body)
    except (ValueError, struct.error, IndexError) as error:
        raise Fault(str(error)) from error
