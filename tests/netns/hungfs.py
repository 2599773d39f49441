"""A filesystem in user space with one file, for which it answers slowly, or
never: while it is stopped, whoever touches it waits.

  hungfs.py MOUNTPOINT FILE

The file has the name and the content of FILE. Says "ready".
"""

import ctypes
import os
import stat
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ = 1, 2, 3, 14, 15
STATFS, RELEASE, FLUSH, INIT, OPENDIR, READDIR = 17, 18, 25, 26, 27, 28
RELEASEDIR, INTERRUPT, BATCH_FORGET = 29, 36, 42
ROOT, FILE = 1, 2
MAX_WRITE = 1 << 17


class Missing(Exception):
    def __init__(self, error):
        super().__init__()
        self.error = error


def attributes(node, size):
    mode = stat.S_IFDIR | 0o755 if node == ROOT else stat.S_IFREG | 0o755
    return struct.pack("=6Q10I", node, size, (size + 511) // 512, 1, 1, 1,
                       0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(opcode, node, body, name, content):
    size = len(content) if node == FILE else 0
    if opcode == INIT:
        return struct.pack("=4I2H2I2H8I", 7, 31, MAX_WRITE, 0, 8, 6,
                           MAX_WRITE, 1, 32, 0, *[0] * 8)
    if opcode == LOOKUP:
        if body.rstrip(b"\0") != name:
            raise Missing(2)
        # of no validity: each time it is looked at it is asked for
        return struct.pack("=4Q2I", FILE, 1, 0, 0, 0, 0) + \
            attributes(FILE, len(content))
    if opcode == GETATTR:
        return struct.pack("=Q2I", 0, 0, 0) + attributes(node, size)
    if opcode in (OPEN, OPENDIR):
        return struct.pack("=Q2I", 0, 0, 0)
    if opcode == READ:
        offset, length = struct.unpack_from("=8xQI", body)
        return content[offset:offset + length]
    if opcode == STATFS:
        return struct.pack("=5Q4I6I", 0, 0, 0, 1, 0, 4096, 255, 4096, 0,
                           *[0] * 6)
    if opcode in (READDIR, FLUSH, RELEASE, RELEASEDIR):
        return b""
    raise Missing(38)


def serve(fd, name, content):
    while True:
        try:
            request = os.read(fd, MAX_WRITE + 8192)
        except OSError:
            return
        _, opcode, unique, node = struct.unpack_from("=2I2Q", request)
        if opcode in (FORGET, INTERRUPT, BATCH_FORGET):
            continue
        error, body = 0, b""
        try:
            body = answer(opcode, node, request[40:], name, content)
        except Missing as missing:
            error = -missing.error
        os.write(fd, struct.pack("=IiQ", 16 + len(body), error, unique) + body)
        if opcode == INIT:
            print("ready", flush=True)


def main():
    point, path = sys.argv[1:]
    with open(path, "rb") as file:
        content = file.read()
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hungfs", point.encode(), b"fuse.hungfs", 0,
                  options.encode()) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    serve(fd, os.path.basename(path).encode(), content)


if __name__ == "__main__":
    main()
