"""Looks at the blocks of a pcapng file, and makes packets for one.

blocks.py show FILE	one line for each block; fails if one is not what it
			should be, or the file does not end with a whole one
blocks.py count FILE	how many packets there are
blocks.py watch FILE SECONDS NAME	result lines: is the file whole each time
			it is looked at, and how old is what it lacks?
blocks.py send ADDRESS RATE	datagrams with the time in them, for ever
blocks.py flood ADDRESS COUNT	datagrams of 1000 bytes
"""

import bisect
import re
import socket
import struct
import sys
import time

NAMES = {0x0A0D0D0A: "SHB", 1: "IDB", 5: "ISB", 6: "EPB", 10: "DSB",
         0x80000001: "DPB"}
OPTIONS = {
    "SHB": {2: "hardware", 3: "os", 4: "application"},
    "IDB": {2: "name", 3: "description", 9: "tsresol", 11: "filter",
            12: "os"},
    "EPB": {1: "comment", 2: "flags", 4: "dropcount", 8: "thread",
            32769: "process", 32771: "to-process"},
    "ISB": {1: "comment", 2: "start", 3: "end", 4: "ifrecv", 5: "ifdrop",
            7: "osdrop"},
    "DPB": {2: "name"},
}
FIXED = {"SHB": 16, "IDB": 8, "ISB": 12, "DPB": 4}
NUMBERS = {"tsresol": "<B", "flags": "<I", "dropcount": "<Q", "ifrecv": "<Q",
           "ifdrop": "<Q", "osdrop": "<Q", "process": "<I",
           "to-process": "<I"}
PAIRS = {"start": "<II", "end": "<II", "thread": "<II"}
PORT = 47808

# The comments of a packet: whose it is, and what is known of processes.
WORD = r"(?:[!-<>-\[\]-~]|\\x[0-9a-f]{2})+"


def owner(prefix, group):
    return (rf"(?:{prefix}pid=(?P<{group}pid>\d+) "
            rf"{prefix}comm=(?P<{group}comm>(?:{WORD})?) {prefix}uid=\d+|"
            rf"{prefix}pid=unknown)")


COMMENT = re.compile(rf"{owner('', '')}(?: {owner('to-', 'to_')})?")
FACTS = re.compile(
    r"process pid=\d+( parent=\d+)?"
    r"( start=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z)? uid=\d+"
    rf"( comm={WORD})?( exe={WORD})?( cgroup={WORD})?( container={WORD})?"
    rf"( cmd={WORD})?")


def blocks(data):
    at = 0
    while at < len(data):
        if at + 12 > len(data):
            raise ValueError(f"ends inside a block at {at}")
        kind, size = struct.unpack_from("<II", data, at)
        if size < 12 or size % 4 or at + size > len(data):
            raise ValueError(f"a block of {size} bytes at {at} of {len(data)}")
        if struct.unpack_from("<I", data, at + size - 4)[0] != size:
            raise ValueError(f"two sizes of the block at {at}")
        yield NAMES.get(kind, hex(kind)), data[at + 8:at + size - 4]
        at += size


def raw_options(name, body):
    """Code and value of each; there is an end if there are any."""
    if name == "EPB":
        at = 20 + (struct.unpack_from("<I", body, 12)[0] + 3) // 4 * 4
    else:
        at = FIXED.get(name, len(body))
    while at != len(body):
        if at + 4 > len(body):
            raise ValueError(f"{name}: ends inside an option")
        code, size = struct.unpack_from("<HH", body, at)
        value = body[at + 4:at + 4 + size]
        at += 4 + (size + 3) // 4 * 4
        if at > len(body):
            raise ValueError(f"{name}: option {code} of {size} bytes is cut")
        if code == 0:
            if size or at != len(body):
                raise ValueError(f"{name}: something after the last option")
            return
        yield code, value
        if at == len(body):
            raise ValueError(f"{name}: its options have no end")


def options(name, body):
    for code, value in raw_options(name, body):
        what = OPTIONS[name].get(code)
        if what is None:
            raise ValueError(f"{name}: option {code}")
        layout = NUMBERS.get(what) or PAIRS.get(what)
        if layout and struct.calcsize(layout) != len(value):
            raise ValueError(f"{name}: {what} of {len(value)} bytes")
        if what in NUMBERS:
            value = struct.unpack(layout, value)[0]
        elif what == "thread":
            value = "%u/%u" % struct.unpack(layout, value)
        elif what in PAIRS:
            high, low = struct.unpack(layout, value)
            value = high << 32 | low
        else:
            value = value.decode("latin-1")
        yield what, value


def unescape(value):
    return re.sub(r"\\x([0-9a-f]{2})",
                  lambda match: chr(int(match[1], 16)), value)


def check_owners(packet, processes):
    """Comments in their form; options and blocks must say the same."""
    comments = [value for what, value in packet if what == "comment"]
    rest = {what: value for what, value in packet if what != "comment"}
    if comments:
        owners = COMMENT.fullmatch(comments[0])
        if owners is None:
            raise ValueError(f"a comment '{comments[0]}'")
        for facts in comments[1:]:
            if FACTS.fullmatch(facts) is None:
                raise ValueError(f"a comment '{facts}'")
    for what, prefix in ("process", ""), ("to-process", "to_"):
        if what not in rest:
            continue
        if rest[what] >= len(processes):
            raise ValueError(f"{what} {rest[what]} of {len(processes)}")
        pid, name = processes[rest[what]]
        if comments and (owners[prefix + "pid"] != str(pid) or unescape(
                owners[prefix + "comm"]) != unescape(name)):
            raise ValueError(f"{what} is {pid} {name}, not '{comments[0]}'")
    if comments and "thread" in rest and (
            rest["thread"].split("/")[0] != owners["pid"]):
        raise ValueError(f"thread {rest['thread']}, not '{comments[0]}'")


def contents(data):
    """Each block with its options; process blocks also have a pid."""
    processes = []
    for name, body in blocks(data):
        if name not in NAMES.values():
            raise ValueError(f"a block of type {name}")
        found = list(options(name, body))
        if name == "SHB":
            processes = []
        if name == "DPB":
            pid = struct.unpack_from("<I", body)[0]
            if [what for what, _ in found] != ["name"]:
                raise ValueError("a process block without one name")
            processes.append((pid, found[0][1]))
            found.insert(0, ("pid", pid))
        if name == "EPB":
            check_owners(found, processes)
        yield name, found


def read(path):
    with open(path, "rb") as file:
        return file.read()


def show(path):
    for name, found in contents(read(path)):
        line = " ".join(f"{name} {what}={value!s}" for what, value in found)
        print(name, line.replace("\n", "\\n"))


def count(path):
    print(sum(name == "EPB" for name, _ in blocks(read(path))))


def sent(path):
    """When the packets in the file were sent, by their sender's clock."""
    for name, body in blocks(read(path)):
        at = body.find(b"sent:") if name == "EPB" else -1
        if at >= 0:
            yield struct.unpack_from("<d", body, at + 5)[0]


def late(looks, times):
    """How old the oldest packet was that a look did not find, at most."""
    worst = 0
    for now, newest in looks:
        missing = bisect.bisect_right(times, newest)
        if missing < len(times):
            worst = max(worst, now - times[missing])
    return worst


def watch(path, seconds, test):
    """What was sent more than two seconds ago must be there."""
    end = time.monotonic() + float(seconds)
    looks, times, fault = [], [], None
    # in the end, until that shows all that the last look could have found
    while fault is None and (time.monotonic() < end or not looks or
                             times[-1] < looks[-1][0]):
        now = time.monotonic()
        try:
            times = list(sent(path))
        except ValueError as error:
            fault = f"look {len(looks)}: {error}"
        if times and now < end:
            looks.append((now, times[-1]))
        if now > end + 30:
            fault = "no more packets came"
        time.sleep(0.01)
    if fault is None and len(looks) < 20:
        fault = f"only {len(looks)} looks found packets"
    if fault is None:
        print(f"PASS {test}/whole-at-any-time")
    else:
        print(f"FAIL {test}/whole-at-any-time: {fault}")
    worst = late(looks, times)
    if worst > 2:
        fault = f"a packet was {worst:.3f} s old and not there"
        print(f"FAIL {test}/two-seconds: {fault}")
    else:
        print(f"PASS {test}/two-seconds")
        print(f"  what was not there was at most {worst:.3f} s old")
    return 0 if fault is None else 1


def send(address, rate):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        sock.sendto(b"sent:" + struct.pack("<d", time.monotonic()),
                    (address, PORT))
        time.sleep(1 / float(rate))


def flood(address, number):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for i in range(int(number)):
        sock.sendto(i.to_bytes(4, "big") * 250, (address, PORT))
        if i % 100 == 0:
            time.sleep(0.01)


def main():
    command = {"show": show, "count": count, "watch": watch, "send": send,
               "flood": flood}[sys.argv[1]]
    try:
        return command(*sys.argv[2:])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
