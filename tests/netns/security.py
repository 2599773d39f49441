"""Processes of a user that the test security looks at: some that speak TLS in
a way that curl does not, and consumers that do not speak to the service as
libpcap does. Their results are lines on standard output.

  security.py dropped UID PORT NAME	TLS after giving up root, in one program
  security.py again PORT NAME		TLS of a user's own, the same program
  security.py exec UID PROGRAM ARG...	the program as that user
  security.py KIND SOCKET		a consumer
"""

import array
import os
import select
import socket
import ssl
import struct
import sys
import time

MAGIC, VERSION = 0x65624C53, 1
OPEN, SECRETS, HOOKED, FILTER = 1, 6, 11, 13
OPEN_SIZE, HOOKED_SIZE, FILTER_SIZE = 17472, 40, 2028
LIMIT = 20              # seconds for what should happen at once


def speak_tls(port, name):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as raw, \
            context.wrap_socket(raw, server_hostname=name) as tls:
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
        tls.recv(1000)


def drop(uid):
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


# --- messages -----------------------------------------------------------------

def header(kind, size, version=VERSION, magic=MAGIC):
    return struct.pack("<IHHI", magic, version, kind, size)


def request(device=b"lo", snaplen=262144):
    text = header(OPEN, OPEN_SIZE) + struct.pack(
        "<IIBBBB16s", snaplen, 1 << 20, 0, 0, 1, 0, device)
    return text.ljust(OPEN_SIZE, b"\0")


def question(number=1, pid=1):
    return header(HOOKED, HOOKED_SIZE) + struct.pack(
        "<IQQII", pid, 1, number, 0, 0)


def filter_part(total=1, first=0, count=1):
    text = header(FILTER, FILTER_SIZE) + struct.pack(
        "<IIII", 0, total, first, count) + struct.pack("<HBBI", 6, 0, 0, 0)
    return text.ljust(FILTER_SIZE, b"\0")


def connect(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(path)
    sock.settimeout(LIMIT)
    return sock


def send(sock, text, fds=()):
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                array.array("i", fds))] if fds else []
    sock.sendmsg([text], control)


def receive(sock):
    """The next message's type, 0 at the end; closes descriptors."""
    try:
        text, control, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(4 * 64))
    except ConnectionResetError:
        return 0
    for _, _, data in control:
        fds = array.array("i")
        fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
        for fd in fds:
            os.close(fd)
    return struct.unpack_from("<IHH", text)[2] if len(text) >= 8 else 0


def capture(path):
    """A connection with a capture on it."""
    sock = connect(path)
    send(sock, request())
    if receive(sock) != 2:
        raise SystemExit("no capture")
    while select.select([sock], [], [], 0.2)[0]:
        receive(sock)
    return sock


def has_ended(sock):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if receive(sock) == 0:
            return True
    return False


def is_alive(sock):
    """It answers a question, about a process that is not ours: no hooks."""
    send(sock, question(number=77))
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        kind = receive(sock)
        if kind in (0, HOOKED):
            return kind == HOOKED
    return False


def is_closed(reading):
    """Nobody has the other end of the pipe any more."""
    poll = select.poll()
    poll.register(reading, 0)
    return bool(poll.poll(LIMIT * 1000))


def check(name, good):
    print("PASS" if good else "FAIL", "hostile/" + name +
          ("" if good else ": not so"), flush=True)


# --- consumers ------------------------------------------------------------------

def silent(path):
    """Connects, and says nothing."""
    sock = connect(path)
    sock.settimeout(60)
    print("connected", flush=True)
    print("ended" if has_ended(sock) else "not ended", flush=True)


def crowd(path):
    """Connects as often as it can, and keeps what it gets."""
    kept = []
    for _ in range(2000):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(path)
        except OSError:
            sock.close()
            continue
        kept.append(sock)
        if len(kept) > 200:
            kept = [one for one in kept
                    if not select.select([one], [], [], 0)[0]]
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        ready = select.select(kept, [], [], 0.5)[0]
        if not ready:
            break
        kept = [one for one in kept if one not in ready]
    print("held", len(kept), flush=True)
    time.sleep(60)


def garbage(path):
    """What is no request, and what is no message of a capture."""
    bad = {
        "byte": b"x",
        "half-a-header": header(OPEN, OPEN_SIZE)[:7],
        "half-a-request": request()[:8000],
        "too-long": request() + bytes(1000),
        "other-version": header(OPEN, OPEN_SIZE, 9) + request()[12:],
        "other-magic": header(OPEN, OPEN_SIZE, magic=1) + request()[12:],
        "no-such-type": header(99, 12),
        "answer": header(2, 12),
        "name-without-end": request(device=b"x" * 16),
        "no-snaplen": request(snaplen=0),
    }
    for name, text in bad.items():
        sock = connect(path)
        send(sock, text)
        check("request/" + name, has_ended(sock))
        sock.close()
    for name, text in {"byte": b"x", "request": request(),
                       "answer": header(2, 12),
                       "filter-from-the-middle": filter_part(9, 5, 2),
                       }.items():
        sock = capture(path)
        send(sock, text)
        check("message/" + name, has_ended(sock))
        sock.close()


def passing(path):
    """Descriptors that nobody has asked for."""
    # more than one make no request wrong
    for name, text, count in (("request", request(), 60),
                              ("garbage", b"x", 60),
                              ("filter", filter_part(), 2)):
        sock = capture(path) if name == "filter" else connect(path)
        reading, writing = os.pipe()
        send(sock, text, [writing] * count)
        os.close(writing)
        check("passed-with-" + name, is_closed(reading))
        sock.close()
        os.close(reading)
    sock = capture(path)
    reading, writing = os.pipe()
    for number in range(100):
        send(sock, question(number + 1), [writing] * 60)
    os.close(writing)
    check("passed-with-questions", is_closed(reading))
    check("passed-with-questions-goes-on", is_alive(sock))


def flood(path):
    """Questions whose answers it does not read; and filters."""
    sock = capture(path)
    sock.setblocking(False)
    sent = 0
    end = time.monotonic() + 2
    while time.monotonic() < end and sent < 100000:
        try:
            send(sock, question(sent + 1))
            sent += 1
        except BlockingIOError:
            select.select([], [sock], [], 0.1)
    sock.setblocking(True)
    check("flood-of-questions", sent > 100)
    sock.close()
    sock = capture(path)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for _ in range(200):
        send(sock, filter_part(4096, 0, 1), [theirs.fileno()])
    check("flood-of-filters", is_alive(sock))
    ours.close()


def deaf(path):
    """Has a filter answered where it has seen to it that there is no room."""
    sock = capture(path)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    try:
        while True:
            theirs.send(bytes(1000))
    except BlockingIOError:
        theirs.setblocking(True)
    send(sock, filter_part(), [theirs.fileno()])
    check("deaf-to-a-filter", is_alive(sock))
    ours.close()


def captures(path):
    """Several captures, for somebody to kill."""
    kept = [capture(path) for _ in range(5)]
    print("open", len(kept), flush=True)
    time.sleep(600)


def main():
    kind = sys.argv[1]
    if kind == "dropped":
        drop(int(sys.argv[2]))
        speak_tls(int(sys.argv[3]), sys.argv[4])
    elif kind == "exec":
        drop(int(sys.argv[2]))
        os.execv(sys.argv[3], sys.argv[3:])
    elif kind == "again":
        speak_tls(int(sys.argv[2]), sys.argv[3])
    else:
        {"silent": silent, "crowd": crowd, "garbage": garbage,
         "passing": passing, "flood": flood, "deaf": deaf,
         "captures": captures}[kind](sys.argv[2])


main()
