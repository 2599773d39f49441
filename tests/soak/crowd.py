"""What a busy machine has and does, for captures that must stand it.

  crowd.py connections ADDRESS COUNT
	COUNT TCP connections to itself, each used when it has been made. Says
	"open". When it is told "use" it uses all of them again and says "used";
	when it is told "end" it closes them.
  crowd.py processes RATE SECONDS
	RATE processes a second that send a datagram to 10.66.0.2 and end.
  crowd.py interfaces COUNT SECONDS
	COUNT interfaces that come and go, all of them every second.

The last two say how many it were.
"""

import os
import resource
import socket
import subprocess
import sys
import time


def use(pairs):
    for here, there in pairs:
        here.send(b"question")
        there.recv(64)
        there.send(b"answer")
        here.recv(64)


def connections(address, count):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       (min(most, 2 * count + 100), most))
    listener = socket.create_server((address, 0), backlog=100)
    pairs = []
    for _ in range(count):
        here = socket.create_connection(listener.getsockname())
        pairs.append((here, listener.accept()[0]))
    use(pairs)
    print("open", flush=True)
    while sys.stdin.readline() == "use\n":
        use(pairs)
        print("used", flush=True)


def processes(rate, seconds):
    start, count = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        due = int((time.monotonic() - start) * rate)
        while count < due:
            if os.fork() == 0:
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sock.sendto(b"short", ("10.66.0.2", 9))
                os._exit(0)
            os.wait()
            count += 1
        time.sleep(0.01)
    print(count)


def interfaces(count, seconds):
    come = "".join(f"link add x{i} type veth peer name y{i}\n"
                   f"link set x{i} up\nlink set y{i} up\n"
                   for i in range(count // 2))
    go = "".join(f"link del x{i}\n" for i in range(count // 2))
    start, rounds = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        for batch in come, go:
            subprocess.run(["ip", "-batch", "-"], input=batch, text=True,
                           check=True)
            rounds += 1
            time.sleep(max(0, start + rounds / 2 - time.monotonic()))
    print(rounds // 2 * count)


if __name__ == "__main__":
    if sys.argv[1] == "connections":
        connections(sys.argv[2], int(sys.argv[3]))
    else:
        globals()[sys.argv[1]](*map(int, sys.argv[2:]))
