"""An HTTPS client and server for the rows, with Python's ssl module.

peer.py serve [OPTION...]		print "ready", serve until killed
peer.py get [OPTION...] PATH...		a connection for each path
peer.py flood [OPTION...] PREFIX COUNT	COUNT paths by --clients at once
peer.py stop [OPTION...] -- COMMAND...	serve one request, by this client, which
			stands still for --delay when it gets the ServerHello

Each request that was answered is a line in --log: its path, the version of
TLS, and "resumed" or "full". With --keylog FILE the secrets are logged.
"""

import argparse
import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
PAGE = b"<!doctype html><title>page</title>\n"
TIMEOUT = 15


class Log:
    """Lines of several threads and processes, each written at once."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def request(self, path, tls, resumed):
        mode = "resumed" if resumed else "full"
        version = tls.version().replace("TLSv", "")
        os.write(self.fd, f"{path} {version} {mode}\n".encode())


def context(args):
    if args.command in ("serve", "stop"):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(args.cert, args.key)
        if args.client_ca:
            made.load_verify_locations(args.client_ca)
            made.verify_mode = ssl.CERT_REQUIRED
    else:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        if args.cert:
            made.load_cert_chain(args.cert, args.key)
    if args.version:
        made.minimum_version = made.maximum_version = VERSIONS[args.version]
    if args.group:
        made.set_ecdh_curve(args.group)
    if args.keylog:
        made.keylog_filename = args.keylog
    return made


def answer(body):
    return (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body))


def body_of(path):
    """A path that ends in "/page-N" is a page that wants N others."""
    name, _, count = path.rpartition("/page-")
    if not name:
        return PAGE
    return PAGE + b"".join(b'<img src="%s/%d">\n' % (name.encode(), i + 1)
                           for i in range(int(count)))


def path_of(request):
    return request.split(b"\r\n")[0].split(b" ")[1].decode()


# --- blocking -----------------------------------------------------------------

def serve_one(sock, tls, log):
    try:
        with tls.wrap_socket(sock, server_side=True) as conn:
            request = b""
            while b"\r\n\r\n" not in request:
                part = conn.recv(65536)
                if not part:
                    return
                request += part
            path = path_of(request)
            conn.sendall(answer(body_of(path)))
            log.request(path, conn, conn.session_reused)
            conn.settimeout(1)
            conn.unwrap()
    except OSError:
        pass


def serve(args):
    tls = context(args)
    log = Log(args.log)
    listener = socket.create_server((args.address, args.port), backlog=512)
    print("ready", flush=True)
    while True:
        sock = listener.accept()[0]
        sock.settimeout(TIMEOUT)
        threading.Thread(target=serve_one, args=(sock, tls, log),
                         daemon=True).start()


def get(args, tls, log, path, session):
    """One request; the session to resume the next time."""
    sock = socket.create_connection((args.address, args.port), TIMEOUT)
    with tls.wrap_socket(sock, session=session) as conn:
        conn.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                     f"Connection: close\r\n\r\n".encode())
        reply = b""
        try:
            while part := conn.recv(65536):
                reply += part
        except ssl.SSLError:
            pass  # some servers close without saying so
        if not reply.startswith(b"HTTP/1."):
            raise OSError(f"{path}: no answer: {reply[:80]}")
        log.request(path, conn, conn.session_reused)
        return conn.session if args.resume else None


def get_all(args, tls, log, paths):
    session = None
    for path in paths:
        session = get(args, tls, log, path, session)


def flood(args, tls, log):
    """--clients processes, so that they really are at once."""
    prefix, count = args.paths[0], int(args.paths[1])
    children = []
    for client in range(args.clients):
        pid = os.fork()
        if pid == 0:
            try:
                get_all(args, tls, log,
                        [f"{prefix}/{i + 1}" for i in range(count)
                         if i % args.clients == client])
                os._exit(0)
            except OSError as error:
                print(error, file=sys.stderr, flush=True)
            os._exit(1)
        children.append(pid)
    return all(os.waitpid(pid, 0)[1] == 0 for pid in children)


# --- memory BIO -----------------------------------------------------------------

async def async_serve(args):
    tls = context(args)
    log = Log(args.log)

    async def client(reader, writer):
        try:
            path = path_of(await reader.readuntil(b"\r\n\r\n"))
            conn = writer.get_extra_info("ssl_object")
            writer.write(answer(body_of(path)))
            log.request(path, conn, conn.session_reused)
            await writer.drain()
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            pass

    server = await asyncio.start_server(client, args.address, args.port,
                                        ssl=tls)
    print("ready", flush=True)
    await server.serve_forever()


async def async_get(args, tls, log):
    """asyncio has no place for a session, so these are full handshakes."""
    for path in args.paths:
        reader, writer = await asyncio.open_connection(
            args.address, args.port, ssl=tls)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                     f"Connection: close\r\n\r\n".encode())
        conn = writer.get_extra_info("ssl_object")
        if not (await reader.read()).startswith(b"HTTP/1."):
            raise OSError(f"{path}: no answer")
        log.request(path, conn, conn.session_reused)
        writer.close()


# --- a client that stands still ---------------------------------------------

class Halting:
    """A server's side of a connection, whose client is stopped before the
    first bytes reach it, and goes on some time after that."""

    def __init__(self, sock, tls, client, delay):
        self.sock, self.client, self.delay = sock, client, delay
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.conn = tls.wrap_bio(self.incoming, self.outgoing,
                                 server_side=True)

    def flush(self):
        if not self.outgoing.pending:
            return
        if self.delay is not None:
            os.kill(self.client.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self.client.pid, os.WSTOPPED | os.WNOWAIT)
        self.sock.sendall(self.outgoing.read())
        if self.delay is not None:
            time.sleep(self.delay)
            os.kill(self.client.pid, signal.SIGCONT)
            self.delay = None

    def do(self, step, *args):
        while True:
            try:
                result = step(*args)
            except ssl.SSLWantReadError:
                self.flush()
                part = self.sock.recv(65536)
                if not part:
                    raise OSError("the client left") from None
                self.incoming.write(part)
                continue
            self.flush()
            return result


def stop(args, tls, log):
    with socket.create_server((args.address, args.port)) as listener:
        listener.settimeout(TIMEOUT)
        with subprocess.Popen(args.paths) as client:
            sock = listener.accept()[0]
            sock.settimeout(TIMEOUT)
            side = Halting(sock, tls, client, args.delay)
            side.do(side.conn.do_handshake)
            request = b""
            while b"\r\n\r\n" not in request:
                request += side.do(side.conn.read, 65536)
            path = path_of(request)
            side.do(side.conn.write, answer(PAGE))
            log.request(path, side.conn, side.conn.session_reused)
            try:
                side.do(side.conn.unwrap)
            except OSError:
                pass
            sock.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("serve", "get", "flood", "stop"))
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", default="/dev/null")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--client-ca")
    parser.add_argument("--version", choices=VERSIONS)
    parser.add_argument("--group")
    parser.add_argument("--keylog")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--asyncio", action="store_true")
    parser.add_argument("--delay", type=float)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("paths", nargs="*")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    args = parser.parse_intermixed_args(words[:end])
    args.paths += words[end + 1:]
    if args.command == "serve":
        if args.asyncio:
            asyncio.run(async_serve(args))
        serve(args)
    tls = context(args)
    log = Log(args.log)
    if args.command == "stop":
        stop(args, tls, log)
    elif args.command == "flood":
        sys.exit(not flood(args, tls, log))
    elif args.asyncio:
        asyncio.run(async_get(args, tls, log))
    else:
        get_all(args, tls, log, args.paths)


main()
