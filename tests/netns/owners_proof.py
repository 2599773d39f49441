"""Proves the judge: files made by hand, one of them right, the others each
wrong in one way that it must find."""

import contextlib
import io
import json
import os
import socket
import struct

import owners_judge
import owners_file

BOOT = 1_700_000_000_000_000_000
AT = BOOT + 3600 * 10**9
CLIENT = {"pid": 100, "tid": 100, "uid": 1000, "start": 5000,
          "comm": b"cli ent".hex()}
SERVER = {"pid": 200, "tid": 203, "uid": 33, "start": 6000,
          "comm": b"server".hex()}
LISTENER = {"pid": 150, "tid": 150, "uid": 0, "start": 5500,
            "comm": b"listener".hex()}
ONE = r"pid=100 comm=cli\x20ent uid=1000"
TWO = " to-pid=200 to-comm=server to-uid=33"
LISTENS = " to-pid=150 to-comm=listener to-uid=0"


def block(kind, body):
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def options(*pairs):
    out = b""
    for code, value in pairs:
        out += struct.pack("<HH", code, len(value)) + value
        out += bytes(-len(value) % 4)
    return out + struct.pack("<HH", 0, 0)


def packet(when, flags, *pairs, back=False):
    ports = (20001, 40000) if back else (40000, 20001)
    tcp = struct.pack("!HHIIBBHHH", *ports, 1, 1, 0x50, flags, 99, 0, 0)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0,
                     socket.inet_aton("127.0.0.1"),
                     socket.inet_aton("127.0.0.1"))
    data = bytes(12) + b"\x08\0" + ip + tcp
    data += bytes(-len(data) % 4)
    return block(6, struct.pack("<5I", 0, when >> 32, when & 0xffffffff, 54,
                                54) + data + options(*pairs))


def start(ticks, off=0):
    nano = ticks * 10**7 + BOOT + off
    second = nano // 10**9
    hour, minute = second % 86400 // 3600, second % 3600 // 60
    assert second // 86400 == 19675     # 2023-11-14
    return f"2023-11-14T{hour:02}:{minute:02}:{second % 60:02}." \
        f"{nano % 10**9:09}Z"


def facts(pid, ticks, comm, off=0):
    return 1, f"process pid={pid} start={start(ticks, off)} " \
        f"comm={comm}".encode()


def told(text, first=None, dpib=(), ids=None):
    pairs = [(1, text.encode())] if text else []
    if ids:
        pairs.append((8, struct.pack("<II", *ids)))
    pairs += [(code, struct.pack("<I", index))
              for code, index in zip((32769, 32771), dpib)]
    return pairs + (first or [])


def capture(syn=None, data=None, blocks=True, head=None, end=()):
    """A file of two packets: a SYN, and data after accept()."""
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack("<HHI", 1, 0, 0) + options((9, b"\x09")))
    if blocks:
        for pid, comm in ((100, b"cli ent"), (150, b"listener"),
                          (200, b"server")):
            out += block(owners_file.DARWIN, struct.pack("<I", pid) +
                         options((2, comm)))
    out += packet(AT, 2, *(syn or told(
        ONE + LISTENS, head or [facts(100, 5000, r"cli\x20ent"),
                                facts(150, 5500, "listener")],
        (0, 1), (100, 100))))
    out += packet(AT + 10**9, 0x10, *(data or told(
        ONE + TWO, [facts(200, 6000, "server")], (0, 2), (100, 100))))
    return out + block(5, struct.pack("<III", 0, 0, 0) + options(*end))


def truth(path):
    local, remote = ["127.0.0.1", 40000], ["127.0.0.1", 20001]

    def use(begin, end, mine, other, who):
        return {"what": "use", "ns": "A", "case": "proof", "proto": "tcp",
                "local": mine, "remote": other, "who": who,
                "from": AT + begin, "to": AT + end}

    lines = [
        {"what": "boot", "boot": BOOT},
        use(-9 * 10**8, -8 * 10**8, ["*", 20001], None, LISTENER),
        use(-10**6, 10**6, local, remote, CLIENT),
        use(10**8, 2 * 10**8, remote, local, SERVER),
        {"what": "case", "case": "proof", "seen": ["c"]}]
    with open(path, "w", encoding="ascii") as log:
        for line in lines:
            log.write(json.dumps(line) + "\n")


DATA = [facts(200, 6000, "server")]
LATE = [facts(100, 5000, r"cli\x20ent"), facts(150, 5500, "listener")]
RIGHT = {
    "right": {},
    "facts at the second packet": {
        "head": LATE[1:],
        "data": told(ONE + TWO, DATA + LATE[:1], (0, 2), (100, 100))},
    "facts at the end": {"head": LATE[1:], "end": LATE[:1]},
}
WRONG = {
    "another pid": {"data": told(ONE.replace("100", "200") + TWO, DATA)},
    "another comm": {"data": told(ONE.replace("cli", "clj") + TWO, DATA)},
    "another uid": {"data": told(ONE.replace("1000", "0") + TWO, DATA)},
    "another receiver": {"data": told(ONE + LISTENS, DATA, (0, 1),
                                      (100, 100))},
    "the acceptor before accept()": {"syn": told(
        ONE + TWO, [facts(100, 5000, r"cli\x20ent"),
                    facts(200, 6000, "server")], (0, 2), (100, 100))},
    "the kernel's": {"data": told("pid=0 comm=kernel uid=0" + TWO, DATA)},
    "another start": {"head": [facts(100, 5000, r"cli\x20ent", 30_000_000),
                               facts(150, 5500, "listener")]},
    "no facts": {"head": [facts(150, 5500, "listener")]},
    "facts twice": {"data": told(
        ONE + TWO, DATA + [facts(100, 5000, r"cli\x20ent")], (0, 2),
        (100, 100))},
    "unknown": {"data": told("pid=unknown" + TWO, DATA, (), None)},
    "no receiver": {"data": told(ONE, None, (0,), (100, 100))},
    "no comment": {"data": [(2, b"\1\0\0\0")]},
    "another tid": {"data": told(ONE + TWO, DATA, (0, 2), (100, 101))},
    "no option 8": {"data": told(ONE + TWO, DATA, (0, 2))},
    "no block": {"data": told(ONE + TWO, DATA, (), (100, 100))},
    "another block": {"data": told(ONE + TWO, DATA, (1, 2), (100, 100))},
    "a block that is not": {"blocks": False},
    "another start at the second packet": {
        "head": LATE[1:],
        "data": told(ONE + TWO, DATA + [
            facts(100, 5000, r"cli\x20ent", 30_000_000)], (0, 2),
            (100, 100))},
    "late facts of another process": {"end": [facts(300, 7000, "late")]},
    "an unescaped space": {"data": told(
        ONE.replace(r"\x20", " ") + TWO, DATA, (0, 2), (100, 100))},
    "another order": {"data": told(
        "comm=x pid=100 uid=1000" + TWO, DATA, (0, 2), (100, 100))},
}


def verdict(folder, data, mode="both"):
    path, log = os.path.join(folder, "p.pcapng"), os.path.join(folder, "p.log")
    with open(path, "wb") as file:
        file.write(data)
    truth(log)
    judge = owners_judge.Judge(owners_judge.Truth(log), "A", (), mode)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            judge.run([path])
            bad = judge.report("c")
        except owners_file.Fault as fault:
            print(f"FAIL file: {fault}")
            bad = 1
    return bad, out.getvalue()


def prove(folder):
    failures = 0

    def line(name, good, text):
        nonlocal failures
        if good:
            print(f"PASS judge/{name}")
            return
        failures += 1
        print(f"FAIL judge/{name}: it says")
        print("".join(f"  | {t}\n" for t in text.splitlines()), end="")

    for name, how in RIGHT.items():
        bad, text = verdict(folder, capture(**how))
        line(name.replace(" ", "-"), not bad, text)
    for name, how in WRONG.items():
        bad, text = verdict(folder, capture(**how))
        line(name.replace(" ", "-"), bad, text)
    for mode in ("comment", "block", "off"):
        bad, text = verdict(folder, capture(), mode)
        line(f"not-{mode}", bad, text)
    return 1 if failures else 0
