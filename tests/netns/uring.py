"""A ring of io_uring, for one operation at a time."""

import ctypes
import mmap
import os
import struct

SYS_SETUP, SYS_ENTER, SYS_REGISTER = 425, 426, 427
SQPOLL = 2              # a thread of the kernel's takes what is asked for
FIXED_FILE, ASYNC = 1, 16
SEND, RECV, ACCEPT = 26, 27, 13
REGISTER_FILES = 2
GETEVENTS, WAKEUP = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


def call(number, *args):
    result = _libc.syscall(number, *args)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


class Ring:
    """Its three mappings, as io_uring_setup(2) has them."""

    def __init__(self, flags=0):
        params = bytearray(struct.pack("=10I", 0, 0, flags, 0, 100, 0, 0, 0,
                                       0, 0) + bytes(80))
        where = (ctypes.c_char * len(params)).from_buffer(params)
        self.fd = call(SYS_SETUP, 4, where)
        self.sqpoll = flags & SQPOLL
        sq_count, cq_count = struct.unpack_from("=2I", params)
        sq, cq = (struct.unpack_from("=7I", params, at) for at in (40, 80))
        self.sq_tail, self.sq_mask, self.sq_array = sq[1], sq[2], sq[6]
        self.cq_head, self.cq_mask, self.cqes = cq[0], cq[2], cq[5]
        self.sq = mmap.mmap(self.fd, sq[6] + 4 * sq_count, offset=0)
        self.cq = mmap.mmap(self.fd, cq[5] + 16 * cq_count, offset=0x8000000)
        self.sqes = mmap.mmap(self.fd, 64 * sq_count, offset=0x10000000)

    def register(self, fd):
        """From here on it is also the ring's file 0."""
        fds = struct.pack("=i", fd)
        call(SYS_REGISTER, self.fd, REGISTER_FILES, fds, 1)

    def do(self, operation, fd, data=None, flags=0):
        """Returns the result; what is received is thrown away."""
        data = data or bytes(65536)
        buffer = ctypes.create_string_buffer(data, len(data))
        address, length = (ctypes.addressof(buffer), len(data)) \
            if operation != ACCEPT else (0, 0)
        tail, = struct.unpack_from("=I", self.sq, self.sq_tail)
        mask, = struct.unpack_from("=I", self.sq, self.sq_mask)
        at = tail & mask
        self.sqes[64 * at:64 * at + 64] = struct.pack(
            "=BBHiQQIIQ24x", operation, flags, 0, fd, 0, address, length, 0,
            0)
        struct.pack_into("=I", self.sq, self.sq_array + 4 * at, at)
        struct.pack_into("=I", self.sq, self.sq_tail, tail + 1)
        call(SYS_ENTER, self.fd, 0 if self.sqpoll else 1, 1,
             GETEVENTS | (WAKEUP if self.sqpoll else 0), None, 0)
        head, = struct.unpack_from("=I", self.cq, self.cq_head)
        mask, = struct.unpack_from("=I", self.cq, self.cq_mask)
        result, = struct.unpack_from("=i", self.cq,
                                     self.cqes + 16 * (head & mask) + 8)
        struct.pack_into("=I", self.cq, self.cq_head, head + 1)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result
