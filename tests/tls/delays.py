"""How long packets are on their way through a capture into a pipe.

delays.py send ADDRESS PHASE SECONDS	100 datagrams a second with the time in
					them, and the name of the phase
delays.py read FILE	copies a pcapng stream from standard input to FILE; at
			its end a line for each phase: PHASE COUNT MEDIAN MAX,
			in milliseconds from sending to reading
"""

import os
import re
import socket
import statistics
import struct
import sys
import time

PORT = 47808
SENT = re.compile(rb"sent:(\w+):(\d+);")


def send(address, phase, seconds):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(int(float(seconds) * 100)):
        text = f"sent:{phase}:{time.monotonic_ns()};"
        sock.sendto(text.encode(), (address, PORT))
        time.sleep(0.01)


def whole_blocks(data):
    """Takes the blocks that are there from the buffer."""
    while len(data) >= 8:
        size = struct.unpack_from("<I", data, 4)[0]
        if len(data) < size:
            return
        yield bytes(data[:size])
        del data[:size]


def read(path):
    delays = {}
    data = bytearray()
    with open(path, "wb", buffering=0) as copy:
        while part := os.read(0, 1 << 20):
            now = time.monotonic_ns()
            copy.write(part)
            data += part
            for block in whole_blocks(data):
                if found := SENT.search(block):
                    phase, sent = found[1].decode(), int(found[2])
                    delays.setdefault(phase, []).append((now - sent) // 10**6)
    for phase, times in delays.items():
        print(phase, len(times), int(statistics.median(times)), max(times))


def main():
    {"send": send, "read": read}[sys.argv[1]](*sys.argv[2:])


main()
