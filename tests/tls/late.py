"""An HTTPS client that loads its TLS library when it is connected.

late.py LIBRARY PORT PATH [BEFORE]

Before that it makes a request of the path BEFORE by Python's own, which may
be another one, as LD_LIBRARY_PATH has it.
"""

import ctypes
import socket
import ssl
import sys


def request(path):
    return (f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Connection: close\r\n\r\n").encode()


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port), 15)
    sock.setblocking(True)
    return sock


def before(port, path):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    with made.wrap_socket(connect(port)) as conn:
        conn.sendall(request(path))
        while conn.recv(65536):
            pass


def load(path):
    lib = ctypes.CDLL(path)
    for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
        getattr(lib, name).restype = ctypes.c_void_p
    return lib


def late(path, port, asked):
    sock = connect(port)
    lib = load(path)
    method = ctypes.c_void_p(lib.TLS_client_method())
    conn = ctypes.c_void_p(
        lib.SSL_new(ctypes.c_void_p(lib.SSL_CTX_new(method))))
    lib.SSL_set_fd(conn, sock.fileno())
    if lib.SSL_connect(conn) != 1:
        sys.exit("no handshake")
    lib.SSL_write(conn, asked, len(asked))
    answer = ctypes.create_string_buffer(65536)
    if lib.SSL_read(conn, answer, len(answer)) <= 0:
        sys.exit("no answer")


def main():
    library, port, path = sys.argv[1:4]
    if len(sys.argv) > 4:
        before(int(port), sys.argv[4])
    late(library, int(port), request(path))


main()
