"""Looks at the blocks of a pcapng file, and makes packets for one.

blocks.py show FILE	one line for each block; fails if the file does not end
			with a whole one
blocks.py count FILE	how many packets there are
blocks.py watch FILE SECONDS NAME	result lines: is the file whole each time
			it is looked at, and how old is what it lacks?
blocks.py send ADDRESS RATE	datagrams with the time in them, for ever
blocks.py flood ADDRESS COUNT	datagrams of 1000 bytes
"""

import socket
import struct
import sys
import time

NAMES = {0x0A0D0D0A: "SHB", 1: "IDB", 5: "ISB", 6: "EPB", 10: "DSB"}
OPTIONS = {
    "SHB": {2: "hardware", 3: "os", 4: "application"},
    "IDB": {2: "name", 3: "description", 9: "tsresol", 11: "filter",
            12: "os"},
    "EPB": {2: "flags", 4: "dropcount"},
    "ISB": {1: "comment", 2: "start", 3: "end", 4: "ifrecv", 5: "ifdrop",
            7: "osdrop"},
}
FIXED = {"SHB": 16, "IDB": 8, "ISB": 12}
NUMBERS = {"tsresol": "<B", "flags": "<I", "dropcount": "<Q", "ifrecv": "<Q",
           "ifdrop": "<Q", "osdrop": "<Q"}
TIMES = ("start", "end")
PORT = 47808


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


def options(name, body):
    if name == "EPB":
        at = 20 + (struct.unpack_from("<I", body, 12)[0] + 3) // 4 * 4
    else:
        at = FIXED.get(name, len(body))
    while at + 4 <= len(body):
        code, size = struct.unpack_from("<HH", body, at)
        if code == 0:
            return
        value = body[at + 4:at + 4 + size]
        what = OPTIONS[name].get(code, str(code))
        if what in NUMBERS:
            value = struct.unpack(NUMBERS[what], value)[0]
        elif what in TIMES:
            high, low = struct.unpack("<II", value)
            value = high << 32 | low
        else:
            value = value.decode("latin-1")
        yield what, value
        at += 4 + (size + 3) // 4 * 4


def read(path):
    with open(path, "rb") as file:
        return file.read()


def show(path):
    for name, body in blocks(read(path)):
        print(name, " ".join(f"{name} {what}={value!s}"
                             for what, value in options(name, body)))


def count(path):
    print(sum(name == "EPB" for name, _ in blocks(read(path))))


def watch(path, seconds, test):
    """What was sent more than two seconds ago must be there."""
    end = time.monotonic() + float(seconds)
    looks, worst, fault = 0, 0, None
    while time.monotonic() < end and fault is None:
        now = time.monotonic()
        newest = 0
        try:
            for name, body in blocks(read(path)):
                at = body.find(b"sent:") if name == "EPB" else -1
                if at >= 0:
                    newest = struct.unpack_from("<d", body, at + 5)[0]
        except ValueError as error:
            fault = f"look {looks}: {error}"
        if newest:
            looks += 1
            worst = max(worst, now - newest)
        time.sleep(0.01)
    if fault is None and looks < 20:
        fault = f"only {looks} looks found packets"
    if fault is None:
        print(f"PASS {test}/whole-at-any-time")
    else:
        print(f"FAIL {test}/whole-at-any-time: {fault}")
    if worst > 2:
        fault = f"the newest packet was {worst:.1f} s old"
        print(f"FAIL {test}/two-seconds: {fault}")
    else:
        print(f"PASS {test}/two-seconds")
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
