#!/usr/bin/python3
"""Judges two captures of the same traffic.

  pcapcmp.py [option...] PLAIN OURS
	A result line per case of the log that traffic.py wrote: the same
	packets byte for byte, the same order within each flow, time stamps
	within a millisecond of each other; and for the files as a whole: the
	link type, the snapshot length, the precision, and that OURS is in the
	order of time.
  pcapcmp.py count FILE
	How many packets the file holds, and how many of those are cut short.
"""

import argparse
import collections
import json
import re
import struct
import sys

MARK = re.compile(rb"ebpftls-mark:([^;]+);")
# The two observers stamp one after the other. When the machine itself stops
# in between, as virtual machines do, the stamps of what is on its way just then
# are late. That happens once, or once in so many packets; what is more than
# that is our fault.
STALLS = 1 / 1000
EN10MB, RAW, SLL, SLL2 = 1, 101, 113, 276
RAW_ALSO = {12, 14, 228, 229}

Packet = collections.namedtuple("Packet", "time length data")
Capture = collections.namedtuple("Capture", "link snaplen unit packets")


class Broken(Exception):
    """The file is not what a capture program may write."""


# --- reading -----------------------------------------------------------------

def read(path):
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 24:
        raise Broken(f"{path}: only {len(data)} bytes")
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        return read_pcapng(path, data)
    return read_pcap(path, data)


def read_pcap(path, data):
    unit = {0xa1b23c4d: 1, 0xa1b2c3d4: 1000}.get(
        struct.unpack_from("<I", data)[0])
    if unit is None:
        raise Broken(f"{path}: no capture file")
    snaplen, link = struct.unpack_from("<II", data, 16)
    packets, at = [], 24
    while at < len(data):
        if at + 16 > len(data):
            raise Broken(f"{path}: ends inside a header")
        sec, frac, caplen, length = struct.unpack_from("<IIII", data, at)
        at += 16
        if at + caplen > len(data):
            raise Broken(f"{path}: ends inside a packet")
        packets.append(Packet(sec * 10**9 + frac * unit, length,
                              data[at:at + caplen]))
        at += caplen
    return Capture(link, snaplen, unit, packets)


def read_pcapng(path, data):
    interfaces, packets, at = [], [], 0
    while at < len(data):
        if at + 12 > len(data):
            raise Broken(f"{path}: ends inside a block")
        kind, size = struct.unpack_from("<II", data, at)
        if size < 12 or size % 4 or at + size > len(data) or \
                struct.unpack_from("<I", data, at + size - 4)[0] != size:
            raise Broken(f"{path}: a block of {size} bytes at {at}")
        body = data[at + 8:at + size - 4]
        if kind == 1:
            link, _, snaplen = struct.unpack_from("<HHI", body)
            interfaces.append((link, snaplen, resolution(body[8:])))
        elif kind == 6:
            number, high, low, caplen, length = struct.unpack_from(
                "<IIIII", body)
            unit = interfaces[number][2]
            packets.append(Packet((high << 32 | low) * unit, length,
                                  body[20:20 + caplen]))
        at += size
    if not interfaces:
        raise Broken(f"{path}: no interface")
    return Capture(*interfaces[0], packets)


def resolution(options):
    at = 0
    while at + 4 <= len(options):
        code, size = struct.unpack_from("<HH", options, at)
        if code == 9:
            return 10 ** (9 - options[at + 4])
        at += 4 + (size + 3) // 4 * 4
    return 1000


# --- flows -------------------------------------------------------------------

def network(link, data):
    """Where the packet goes, as far as its link layer says: (what tells
    directions and devices apart, ethertype, the rest)."""
    if link == RAW or link in RAW_ALSO:
        version = data[0] >> 4 if data else 0
        return b"", {4: 0x800, 6: 0x86dd}.get(version, 0), data
    if link == SLL2:
        return data[4:20], int.from_bytes(data[:2], "big"), data[20:]
    if link == SLL:
        return data[:14], int.from_bytes(data[14:16], "big"), data[16:]
    if link != EN10MB:
        return b"", 0, data
    at = 12
    while data[at:at + 2] in (b"\x81\0", b"\x88\xa8"):
        at += 4
    return data[:at], int.from_bytes(data[at:at + 2], "big"), data[at + 2:]


def flow(link, data):
    """One direction of one conversation, as finely as it is easy to tell."""
    way, ethertype, rest = network(link, data)
    if ethertype == 0x800 and len(rest) >= 20:
        head = (rest[0] & 15) * 4
        ports = rest[head:head + 4] if rest[9] in (6, 17) and \
            not rest[6] & 0x1f and not rest[7] else rest[4:6]
        return way, rest[12:20], rest[9], ports
    if ethertype == 0x86dd and len(rest) >= 40:
        ports = rest[40:44] if rest[6] in (6, 17) else b""
        return way, rest[8:40], rest[6], ports
    return way, ethertype


# --- the comparison ------------------------------------------------------------

Result = collections.namedtuple(
    "Result", "missing extra late order cases_plain cases_ours delays")


def by_text(packets):
    """Where each marker is seen first."""
    marks = {}
    for number, packet in enumerate(packets):
        mark = MARK.search(packet.data)
        if mark:
            marks.setdefault(mark[1].decode(), number)
    return marks


def by_time(control):
    """The same for a capture that does not hold the markers: the times at
    which another capture of the same traffic has them."""
    times = {name: control[number].time
             for name, number in by_text(control).items()}

    def find(packets):
        ends = {}
        for name, end in times.items():
            before = [number for number, packet in enumerate(packets)
                      if packet.time <= end]
            ends[name] = before[-1] if before else -1
        return ends
    return find


def without_markers(capture, control):
    """Their length is theirs alone. Cut short or filtered they cannot be told
    apart, and the time of one in this capture may be either side of that in
    the other."""
    lengths = {packet.length for packet in control
               if MARK.search(packet.data)}
    return capture._replace(packets=[packet for packet in capture.packets
                                     if packet.length not in lengths])


def since_begin(capture, find):
    """Without what came before the first marker: one of the captures may not
    have been there yet."""
    begin = find(capture.packets).get("begin", -1)
    return capture._replace(packets=capture.packets[begin + 1:])


def by_case(packets, find):
    """For each packet the name of the marker that ends its case."""
    result = []
    for name, number in find(packets).items():
        result += [name] * (number + 1 - len(result))
    return result + [None] * (len(packets) - len(result))


def match(plain, ours):
    """Pairs the n-th occurrence of the same bytes in one with the n-th in
    the other: two lists that give each packet its partner's number."""
    waiting = collections.defaultdict(collections.deque)
    for number, packet in enumerate(ours):
        waiting[packet.length, packet.data].append(number)
    to_ours, to_plain = [None] * len(plain), [None] * len(ours)
    for number, packet in enumerate(plain):
        queue = waiting.get((packet.length, packet.data))
        if queue:
            partner = queue.popleft()
            to_ours[number], to_plain[partner] = partner, number
    return to_ours, to_plain


def disorder(link, plain, ours, to_ours):
    """The numbers of the plain packets that a later one of the same flow has
    overtaken in ours."""
    overtaken, newest = [], {}
    for number, packet in enumerate(plain):
        if to_ours[number] is None:
            continue
        key = flow(link, packet.data)
        if to_ours[number] < newest.get(key, -1):
            overtaken.append(number)
        newest[key] = max(to_ours[number], newest.get(key, -1))
    return overtaken


def compare(plain, ours, find, limit):
    to_ours, to_plain = match(plain.packets, ours.packets)
    cases_plain = by_case(plain.packets, find)
    cases_ours = by_case(ours.packets, find)
    result = Result(*(collections.defaultdict(list) for _ in range(4)),
                    cases_plain, cases_ours, [])
    for number, packet in enumerate(plain.packets):
        name = cases_plain[number]
        if to_ours[number] is None:
            result.missing[name].append(packet)
            continue
        delay = ours.packets[to_ours[number]].time - packet.time
        result.delays.append(delay)
        if abs(delay) > limit + plain.unit:
            result.late[name].append(
                (packet.time, ours.packets[to_ours[number]].time))
    for number, packet in enumerate(ours.packets):
        if to_plain[number] is None:
            result.extra[cases_ours[number]].append(packet)
    for number in disorder(plain.link, plain.packets, ours.packets, to_ours):
        result.order[cases_plain[number]].append(plain.packets[number])
    return result


# --- TCP without the segmentation ----------------------------------------------

def merge_segments(link, packets, find):
    """Replaces the TCP packets that carry data by one packet per flow and
    case with all of the flow's bytes, at the place of the first of them. A
    device that cannot segment shows plain tcpdump the pieces, and the
    traffic control layer the whole. The checksum of the others is blanked:
    it is computed between the two."""
    names = by_case(packets, find)
    streams, result = {}, []
    for number, packet in enumerate(packets):
        key, seq, body, rest = tcp_data(link, packet.data)
        if key is None:
            result.append(packet)
        elif not body:
            result.append(packet._replace(data=rest))
        else:
            key = (names[number], key)
            if key not in streams:
                streams[key] = (len(result), {})
                result.append(packet)
            streams[key][1][seq] = max(
                body, streams[key][1].get(seq, b""), key=len)
    for place, parts in streams.values():
        whole = join(parts)
        result[place] = result[place]._replace(length=len(whole), data=whole)
    return result


def tcp_data(link, data):
    way, ethertype, rest = network(link, data)
    if ethertype == 0x800 and rest[9] == 6:
        at = (rest[0] & 15) * 4
        end = int.from_bytes(rest[2:4], "big") or len(rest)
        key = (way, rest[12:20], rest[at:at + 4])
    elif ethertype == 0x86dd and rest[6] == 6:
        at, end = 40, len(rest)
        key = (way, rest[8:40], rest[40:44])
    else:
        return None, 0, b"", b""
    seq = int.from_bytes(rest[at + 4:at + 8], "big")
    body = rest[at + (rest[at + 12] >> 4) * 4:end]
    return key, seq, body, rest[:at + 16] + bytes(2) + rest[at + 18:]


def join(parts):
    whole = bytearray()
    first = next(iter(parts))
    for seq, body in sorted(parts.items(),
                            key=lambda one: (one[0] - first) % 2**32):
        at = (seq - first) % 2**32
        if at > len(whole):
            whole += b"?"           # a hole: it will not be equal
        else:
            whole[at:at + len(body)] = body
    return bytes(whole)


# --- the verdict -----------------------------------------------------------------

class Verdict:
    def __init__(self, label):
        self.label = label
        self.failed = False

    def say(self, name, faults):
        name = f"{self.label}/{name}"
        if not faults:
            print(f"PASS {name}")
            return
        self.failed = True
        print(f"FAIL {name}: {'; '.join(faults)}")


def show(packets):
    one = packets[0]
    return f"{len(packets)} (length {one.length}, {one.data[:54].hex()})"


def judge_file(verdict, plain, ours, args):
    faults = []
    for what in ("link", "snaplen", "unit"):
        want, got = getattr(plain, what), getattr(ours, what)
        if want != got:
            faults.append(f"{what} is {got}, not {want}")
    verdict.say("header", faults)
    if args.unordered:  # the clock was set back, or both files are plain
        return
    faults = []
    newest = 0
    for number, packet in enumerate(ours.packets):
        if packet.time < newest:
            faults = [f"packet {number} is {newest - packet.time} ns earlier"
                      " than one before it"]
        newest = max(newest, packet.time)
    verdict.say("time-order", faults)


def judge_reference(entry, packets, args):
    """Faults of the traffic or of plain tcpdump itself: a case must not pass
    because nothing happened."""
    if not packets:
        return ["the plain capture has no packet of it"]
    if args.part:
        return []
    faults = []
    if len(packets) < entry["packets"]:
        faults.append(f"the plain capture has {len(packets)} packets, "
                      f"{entry['packets']} were sent")
    longest = max(packet.length for packet in packets)
    if longest < entry["longest"]:
        faults.append(f"the longest packet has {longest} bytes, "
                      f"{entry['longest']} were expected")
    for text in entry["texts"]:
        if not any(text.encode() in packet.data for packet in packets):
            faults.append(f"the plain capture does not have '{text}'")
    return faults


def stops(late):
    """How often the machine must have stopped at least, for these pairs of
    stamps to be so far apart."""
    count, last = 0, None
    for begin, end in sorted(map(sorted, late), key=lambda pair: pair[1]):
        if last is None or begin > last:
            count, last = count + 1, end
    return count


def judge_case(name, allowed, result):
    if name not in result.cases_plain:
        return ["the plain capture lacks the marker"]
    if name not in result.cases_ours:
        return ["our capture lacks the marker"]
    faults = []
    for what in ("missing", "extra"):
        wrong = getattr(result, what)[name]
        if wrong:
            faults.append(f"{what} in ours: {show(wrong)}")
    if result.order[name]:
        faults.append(f"overtaken within the flow: {show(result.order[name])}")
    late = result.late[name]
    if stops(late) > allowed:
        worst = max((ours - plain for plain, ours in late), key=abs)
        faults.append(f"{len(late)} time stamps are off, in {stops(late)} "
                      f"places, by up to {worst} ns")
    return faults


def summary(label, plain, ours, result):
    delays = sorted(result.delays)
    if delays:
        print(f"  {label}: {len(plain.packets)} packets in plain, "
              f"{len(ours.packets)} in ours; time stamps of ours against "
              f"plain: median {delays[len(delays) // 2]} ns, "
              f"from {delays[0]} to {delays[-1]} ns")


def judge(args):
    verdict = Verdict(args.label)
    try:
        plain, ours = read(args.plain), read(args.ours)
    except (OSError, Broken) as error:
        verdict.say("file", [str(error)])
        return 1
    judge_file(verdict, plain, ours, args)
    with open(args.log, encoding="ascii") as log:
        entries = [json.loads(line) for line in log]
    find = by_text
    if args.control:
        control = read(args.control).packets
        find = by_time(control)
        plain, ours = (without_markers(one, control) for one in (plain, ours))
    plain, ours = (since_begin(one, find) for one in (plain, ours))
    reference = list(zip(plain.packets, by_case(plain.packets, find)))
    if args.segments:
        plain, ours = (one._replace(packets=merge_segments(
            one.link, one.packets, find)) for one in (plain, ours))
    result = compare(plain, ours, find, args.limit * 10**6)
    for entry in entries:
        if args.case and entry["case"] not in args.case:
            continue
        if "skip" in entry:
            print(f"SKIP {args.label}/{entry['case']}: {entry['skip']}")
        else:
            packets = [packet for packet, case in reference
                       if case == entry["case"]
                       and not MARK.search(packet.data)]
            verdict.say(entry["case"],
                        judge_reference(entry, packets, args)
                        + judge_case(entry["case"], max(
                            args.late, len(packets) * STALLS), result))
    summary(args.label, plain, ours, result)
    return int(verdict.failed)


def count(path):
    packets = read(path).packets
    short = sum(len(packet.data) < packet.length for packet in packets)
    print(len(packets), short)
    return 0


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "count":
        return count(*sys.argv[2:])
    parser = argparse.ArgumentParser()
    parser.add_argument("--label", required=True,
                        help="stands before the names of the results")
    parser.add_argument("--log", required=True)
    parser.add_argument("--unordered", action="store_true",
                        help="do not ask OURS to be in the order of time")
    parser.add_argument("--part", action="store_true",
                        help="the captures were asked for only a part of the"
                        " traffic or of its bytes")
    parser.add_argument("--segments", action="store_true",
                        help="compare TCP as streams of bytes")
    parser.add_argument("--control", metavar="FILE",
                        help="a capture that has the markers, when these do"
                        " not")
    parser.add_argument("--limit", type=int, default=1, metavar="MS",
                        help="how far apart the two time stamps of a packet"
                        " may be")
    parser.add_argument("--late", type=int, default=1, metavar="N",
                        help="as many stops of the machine, between the two"
                        " time stamps of a packet, a case may have")
    parser.add_argument("--case", action="append", help="only this case")
    parser.add_argument("plain")
    parser.add_argument("ours")
    return judge(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
