"""Two tun or tap devices in two namespaces with a wire between them."""

import fcntl
import os
import select
import struct
import subprocess

from netns import net

TUNSETIFF = 0x400454ca
TUNSETOFFLOAD = 0x400454d0
TUNSETVNETHDRSZ = 0x400454d8
IFF_TUN, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 1, 2, 0x1000, 0x4000
OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6 = 1, 2, 4

KINDS = {
    "tun": IFF_TUN | IFF_NO_PI,
    "tun-offload": IFF_TUN | IFF_NO_PI | IFF_VNET_HDR,
    "tap": IFF_TAP | IFF_NO_PI,
}


def device(kind, end):
    ns, name = end.split("/", 1)
    with net.inside(ns):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        flags = KINDS[kind]
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(),
                                               flags))
        if flags & IFF_VNET_HDR:
            fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", 10))
            fcntl.ioctl(fd, TUNSETOFFLOAD,
                        OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6)
    subprocess.run(["ip", "-n", ns, "link", "set", name, "up"], check=True,
                   timeout=net.BOUND)
    return fd


def carry(kind, ends):
    """The header of a frame with offloads is good for the other end as it
    is, so frames are passed on unread."""
    fds = [device(kind, end) for end in ends]
    other = {fds[0]: fds[1], fds[1]: fds[0]}
    print("ready", flush=True)
    while True:
        for fd in select.select(fds, [], [])[0]:
            os.write(other[fd], os.read(fd, 70000))
