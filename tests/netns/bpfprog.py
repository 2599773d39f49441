#!/usr/bin/python3
"""Somebody else's TC programs, put together by hand so that they need neither
compiler nor library, and pinned so that they need no process.

  pin-count DIR VERDICT			counts packets and returns VERDICT
  pin-tag DIR TPID TCI IFINDEX		puts a VLAN tag beside the packet, as
					drivers do, and sends it on
  link DIR NS DEV ingress|egress	attaches the program by a TCX link
  count DIR				what it has counted
  list					all programs, maps and links there are

DIR lies in a bpf file system; "tc filter ... bpf da object-pinned DIR/prog"
attaches it to a clsact qdisc.
"""

import ctypes
import os
import platform
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from netns.net import inside

SYSCALL = {"x86_64": 321, "aarch64": 280}
MAP_CREATE, MAP_LOOKUP, PROG_LOAD, OBJ_PIN, OBJ_GET, LINK_CREATE = \
    0, 1, 5, 6, 7, 28
NEXT_ID = {"prog": 11, "map": 12, "link": 31}
ARRAY, SCHED_CLS = 2, 3
TCX = {"ingress": 46, "egress": 47}
LOOKUP, VLAN_PUSH, REDIRECT = 1, 18, 23     # helper functions

_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, layout, *values):
    """The system call; bytes are passed by address."""
    keep = [ctypes.create_string_buffer(v) if isinstance(v, bytes) else v
            for v in values]
    words = [v if isinstance(v, int) else ctypes.addressof(v) for v in keep]
    attr = ctypes.create_string_buffer(struct.pack("=" + layout, *words), 144)
    result = _libc.syscall(SYSCALL[platform.machine()], command, attr, 144)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf({command}): {os.strerror(code)}")
    if command == MAP_LOOKUP:
        return keep[3].raw
    return result


def instruction(code, dst=0, src=0, off=0, imm=0):
    return struct.pack("=BBhi", code, dst | src << 4, off, imm)


def move(dst, imm):
    return instruction(0xb7, dst, imm=imm)


def call(helper):
    return instruction(0x85, imm=helper)


EXIT = instruction(0x95)


def counter(map_fd, verdict):
    return b"".join([
        instruction(0x62, 10, off=-4),              # *(u32 *)(fp - 4) = 0
        instruction(0xbf, 2, 10),                   # r2 = fp - 4
        instruction(0x07, 2, imm=-4),
        instruction(0x18, 1, 1, imm=map_fd),        # r1 = the map
        instruction(0),
        call(LOOKUP),
        instruction(0x15, 0, off=2),                # if r0 == 0 skip two
        move(1, 1),
        instruction(0xdb, 0, 1),                    # atomic *(u64 *)r0 += r1
        move(0, verdict), EXIT])


def tagger(tpid, tci, ifindex):
    return b"".join([
        move(2, socket.htons(tpid)), move(3, tci), call(VLAN_PUSH),
        move(1, ifindex), move(2, 0), call(REDIRECT), EXIT])


def load(code):
    return bpf(PROG_LOAD, "IIQQIIQII", SCHED_CLS, len(code) // 8,
               code, b"GPL", 0, 0, 0, 0, 0)


def pin(fd, path):
    bpf(OBJ_PIN, "QI", path.encode(), fd)


def pinned(path):
    return bpf(OBJ_GET, "QI", path.encode(), 0)


def pin_count(folder, verdict):
    map_fd = bpf(MAP_CREATE, "IIII", ARRAY, 4, 8, 1)
    pin(map_fd, f"{folder}/map")
    pin(load(counter(map_fd, int(verdict))), f"{folder}/prog")


def pin_tag(folder, tpid, tci, ifindex):
    pin(load(tagger(int(tpid, 0), int(tci, 0), int(ifindex))),
        f"{folder}/prog")


def link(folder, ns, dev, way):
    with inside(ns):
        fd = bpf(LINK_CREATE, "IIII", pinned(f"{folder}/prog"),
                 socket.if_nametoindex(dev), TCX[way], 0)
    pin(fd, f"{folder}/link")


def count(folder):
    value = bpf(MAP_LOOKUP, "IIQQ", pinned(f"{folder}/map"), 0, bytes(4),
                bytes(8))
    print(int.from_bytes(value[:8], sys.byteorder))


def list_all():
    """Without opening them, as bpftool does: of an array of programs that
    somebody opens while it is being taken down the kernel loses count, and
    keeps it for ever."""
    for kind, command in NEXT_ID.items():
        attr = ctypes.create_string_buffer(144)
        while _libc.syscall(SYSCALL[platform.machine()], command, attr,
                            144) == 0:
            number, = struct.unpack_from("=I", attr, 4)
            print(kind, number)
            attr = ctypes.create_string_buffer(struct.pack("=I", number), 144)


if __name__ == "__main__":
    {"pin-count": pin_count, "pin-tag": pin_tag, "link": link,
     "count": count, "list": list_all}[sys.argv[1]](*sys.argv[2:])
