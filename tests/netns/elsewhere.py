"""Programs for tests/netns/elsewhere, each known by the name of its link.

elsewhere.py serve PORT		a TCP listener and a datagram socket, any address
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


def datagrams(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", port))
    return sock


def serve(port):
    _keep = datagrams(int(port))
    listener = socket.create_server(("0.0.0.0", int(port)))
    wait()
    listener.close()


def member(port, group):
    sock = datagrams(int(port))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                    socket.inet_aton(group) + socket.inet_aton("127.0.0.1"))
    wait()


def stranger(port):
    datagrams(int(port)).setsockopt(socket.IPPROTO_IP, ALL, 0)
    wait()


def say(host, port, sport, *sizes):
    sock = datagrams(int(sport))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                    socket.inet_aton("127.0.0.1"))
    for size in sizes:
        sock.sendto(bytes(int(size)), (host, int(port)))


def knock(host, port):
    sock = socket.socket()
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
