#!/usr/bin/python3
"""A host that answers: hosts.py ADDRESS PORT COUNT [NAME [silent]]

Listens on COUNT ports from PORT on, by TCP and UDP, until killed; says
"ready". Answers each TCP connection with a page and closes it, and takes
datagrams in silence. NAME is what the process calls itself; "silent" are
clients that connect and say nothing.
"""

import select
import socket
import sys
import threading

PAGE = b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


def listen(address, port, kind, silent):
    sock = socket.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    if kind == socket.SOCK_STREAM:
        if not silent:
            # no packet comes while accept() has said not yet who takes it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        sock.listen()
    return sock


def answer(peer):
    with peer:
        if peer.recv(1000):
            peer.sendall(PAGE)


def main():
    address, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if sys.argv[4:]:
        with open("/proc/self/comm", "w", encoding="ascii") as comm:
            comm.write(sys.argv[4])
    ports = range(first, first + count)
    silent = "silent" in sys.argv[5:]
    streams = [listen(address, p, socket.SOCK_STREAM, silent) for p in ports]
    datagrams = [listen(address, p, socket.SOCK_DGRAM, silent) for p in ports]
    print("ready", flush=True)
    while True:
        for sock in select.select(streams + datagrams, [], [])[0]:
            if sock in datagrams:
                sock.recv(1000)
            else:
                threading.Thread(target=answer, args=sock.accept()[:1],
                                 daemon=True).start()


if __name__ == "__main__":
    main()
