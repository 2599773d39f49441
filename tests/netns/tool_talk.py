#!/usr/bin/python3
"""Processes that talk on loopback, and the judge of what `ebpftls watch` said.

  tool_talk.py burst COUNT TABLE   four processes send COUNT datagrams each
  tool_talk.py meet TABLE          a client and a server of TCP
  tool_talk.py judge TABLE OUTPUT  is each packet's process the right one?
  tool_talk.py terminal COMMAND... runs it on a terminal, and shows what is there

TABLE gets a line "PORT NAME[PID]" for each socket; names are as they are to be
shown. What is sent looks like lines of tcpdump's.
"""

import collections
import ctypes
import os
import pty
import re
import socket
import sys
import time

PR_SET_NAME = 15
SINK = 9999
HOSTILE = b"\x1b[31m[1] > a\\"
SHOWN = r"\x1b[31m[1]\x20>\x20a\x5c"
FAKE = b"\n    2  00:00:00.000000 IP 127.0.0.1.20000 > 127.0.0.1.9999: fake\n"


def become(name, shown, port, table):
    ctypes.CDLL(None).prctl(PR_SET_NAME, name)
    table.write(f"{port} {shown}[{os.getpid()}]\n")
    table.flush()


def udp(port):
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.bind(("127.0.0.1", port))
    return end


def send(number, count, table):
    port = 20000 + number
    become(HOSTILE + b"%d" % number, SHOWN + str(number), port, table)
    end = udp(port)
    for i in range(count):
        end.sendto(FAKE[:10 + 15 * number], ("127.0.0.1", SINK))
        if i % 50 == 0:
            time.sleep(0.001)


def burst(count, path):
    with open(path, "w", encoding="ascii") as table:
        become(b"sink", "sink", SINK, table)
        sink = udp(SINK)
        children = []
        for number in range(4):
            child = os.fork()
            if child == 0:
                send(number, count, table)
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        sink.close()


def meet(path):
    with open(path, "w", encoding="ascii") as table:
        become(b"server", "server", 8080, table)
        server = socket.create_server(("127.0.0.1", 8080))
        child = os.fork()
        if child == 0:
            end = socket.socket()
            end.bind(("127.0.0.1", 0))
            become(b"client", "client", end.getsockname()[1], table)
            end.connect(("127.0.0.1", 8080))
            end.sendall(b"question")
            end.recv(100)
            end.close()
            os._exit(0)
        end = server.accept()[0]
        end.recv(100)
        end.sendall(b"answer")
        end.recv(100)
        end.close()
        os.waitpid(child, 0)


FIRST = re.compile(r"(?:(\S+)(?: > (\S+))?)? *\d\d:\d\d:\d\d\.\d{6} ")
PORTS = re.compile(r"127\.0\.0\.1\.(\d+) > 127\.0\.0\.1\.(\d+): ")


def judge(table, output):
    with open(table, encoding="ascii") as lines:
        owner = dict(line.split() for line in lines)
    count, widths = collections.Counter(), []
    said = None
    with open(output, encoding="ascii") as lines:
        for line in lines:
            first = FIRST.match(line)
            if first:
                if said is not None:
                    sys.exit(f"no addresses before: {line}")
                said = first.groups()
                widths.append(re.search(r"\d\d:\d\d:\d\d\.", line).start())
            ports = PORTS.search(line)
            if ports and said is not None:
                right = tuple(owner[port] for port in ports.groups())
                count[said == right] += 1
                if said != right:
                    print(f"{said}, not {right}: {line}", end="")
                said = None
    if widths != sorted(widths):
        sys.exit("the column gets narrower again")
    print(count[True], "right", count[False], "wrong")
    sys.exit(count[False] != 0)


def terminal(command):
    child, screen = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    try:
        while shown := os.read(screen, 4096):
            os.write(1, shown)
    except OSError:             # it has ended
        pass
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    if sys.argv[1] == "burst":
        burst(int(sys.argv[2]), sys.argv[3])
    elif sys.argv[1] == "meet":
        meet(sys.argv[2])
    elif sys.argv[1] == "terminal":
        terminal(sys.argv[2:])
    else:
        judge(sys.argv[2], sys.argv[3])
