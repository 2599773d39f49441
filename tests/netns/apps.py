"""What a capture program likes to see on lo: HTTP, HTTPS, DNS, SIP, UDP."""

import socket
import ssl
import struct
import threading
import time

from netns.net import inside

HTTP_PORTS, DNS_PORT, SIP_PORT, UDP_PORT = (80, 8080), 53, 5060, 9999
HTTPS_PORT = 8443
PAUSE = 0.05
HOST = "127.0.0.1"


def as_it_is(connection, **_):
    return connection


def tls(protocol):
    """Wraps connections in TLS that does without a certificate."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH-AES128-SHA:@SECLEVEL=0")
    return context.wrap_socket


def http_server(listener, wrap=as_it_is):
    while True:
        client, _ = listener.accept()
        with wrap(client, server_side=True) as client:
            client.recv(1000)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                           b"Content-Length: 15\r\n\r\nebpftls-answer\n")


def http_client(port, wrap=as_it_is):
    with wrap(socket.create_connection((HOST, port))) as server:
        server.sendall(b"GET /ebpftls-page HTTP/1.1\r\nHost: test.example\r\n"
                       b"User-Agent: ebpftls-test\r\n\r\n")
        while server.recv(1000):
            pass


def bound(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, port))
    return sock


def answer(sock, make):
    while True:
        request, peer = sock.recvfrom(2000)
        sock.sendto(make(request), peer)


def dns_answer(query):
    return query[:2] + b"\x84\0\0\1\0\1\0\0\0\0" + query[12:] + \
        b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + \
        socket.inet_aton("192.0.2.1")


def ask(port, request):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.sendto(request, (HOST, port))
        sock.recv(2000)


def dns_query(number):
    return struct.pack("!HHHHHH", number & 0xffff, 0x100, 1, 0, 0, 0) + \
        b"\4test\7example\0" + struct.pack("!HH", 1, 1)


def sip(first, number):
    return (f"{first}\r\nVia: SIP/2.0/UDP {HOST}:5060;branch=z9hG4bK{number}"
            f"\r\nMax-Forwards: 70\r\nFrom: <sip:a@{HOST}>;tag=1\r\n"
            f"To: <sip:b@{HOST}>\r\nCall-ID: {number}@{HOST}\r\n"
            f"CSeq: 1 INVITE\r\nContact: <sip:a@{HOST}>\r\n"
            "Content-Length: 0\r\n\r\n").encode()


def ask_everything(number):
    for port in HTTP_PORTS:
        http_client(port)
    http_client(HTTPS_PORT, tls(ssl.PROTOCOL_TLS_CLIENT))
    ask(DNS_PORT, dns_query(number))
    ask(SIP_PORT, sip(f"INVITE sip:b@{HOST} SIP/2.0", number))
    ask(UDP_PORT, b"hello %d" % number)


def start(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


def serve(ns):
    with inside(ns):
        for port in HTTP_PORTS:
            start(http_server, socket.create_server((HOST, port)))
        start(http_server, socket.create_server((HOST, HTTPS_PORT)),
              tls(ssl.PROTOCOL_TLS_SERVER))
        for port, make in ((DNS_PORT, dns_answer),
                           (SIP_PORT, lambda _: sip("SIP/2.0 200 OK", 0)),
                           (UDP_PORT, lambda request: request)):
            start(answer, bound(port), make)
        ask_everything(0)
        print("ready", flush=True)
        number = 1
        while True:
            ask_everything(number)
            number += 1
            time.sleep(PAUSE)
