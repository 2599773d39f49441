"""Programs for tests/netns/elsewhere, each known by the name of its link.

elsewhere.py serve PORT		TCP listeners and datagram sockets, any address
elsewhere.py beside PORT [DEVICE]	such that others may have the port, too
elsewhere.py member PORT GROUP	a datagram socket that has joined the group on lo
elsewhere.py stranger PORT	one that wants what is sent to no group
elsewhere.py say HOST PORT SPORT SIZE...	a datagram of each size
elsewhere.py knock HOST PORT	a SYN
elsewhere.py forge FLAGS SOURCE SPORT HOST PORT	a TCP header from that address

The servers print "ready" and stay.
"""

import signal
import socket
import struct
import sys

ALL = socket.IP_MULTICAST_ALL if hasattr(socket, "IP_MULTICAST_ALL") else 49


def wait():
    print("ready", flush=True)
    signal.pause()


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def bound(port, family, kind, option=socket.SO_REUSEADDR, device=""):
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, option, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                    device.encode())
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", int(port)))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


def datagrams(port, family=socket.AF_INET, device=""):
    return bound(port, family, socket.SOCK_DGRAM, device=device)


def serve(port):
    _keep = [bound(port, family, kind)
             for family in (socket.AF_INET, socket.AF_INET6)
             for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
    wait()


def beside(port, device=""):
    """Of two listeners the kernel takes the last one, but with IPv6."""
    _keep = [bound(port, socket.AF_INET, socket.SOCK_STREAM,
                   socket.SO_REUSEPORT, device),
             datagrams(port, socket.AF_INET, device),
             datagrams(port, socket.AF_INET6, device)]
    wait()


def member(port, group):
    sock = datagrams(port)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                    socket.inet_aton(group) + socket.inet_aton("127.0.0.1"))
    wait()


def stranger(port):
    datagrams(port).setsockopt(socket.IPPROTO_IP, ALL, 0)
    wait()


def say(host, port, sport, *sizes):
    sock = datagrams(sport, family_of(host))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                    socket.inet_aton("127.0.0.1"))
    for size in sizes:
        sock.sendto(bytes(int(size)), socket.getaddrinfo(
            host, int(port), sock.family)[0][4])


def knock(host, port):
    sock = socket.socket(family_of(host))
    sock.setblocking(False)
    sock.connect_ex((host, int(port)))


def forge(flags, source, sport, host, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64,
                         socket.IPPROTO_TCP, 0, socket.inet_aton(source),
                         socket.inet_aton(host))
    header += struct.pack(">HHIIBBHHH", int(sport), int(port), 1, 1, 0x50,
                          int(flags, 0), 1024, 0, 0)
    sock.sendto(header, (host, 0))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
