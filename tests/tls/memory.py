"""Captures handshakes through libpcap's calls, closes all, and stays; or looks
for secrets in the memory of a process.

memory.py capture DEVICE FILE	prints "listening"; at a line of input closes
				the file and the capture, prints "closed" and
				waits for the end of its input
memory.py look PID KEYLOG	fails if a secret of the key log is in the
				process's memory, as bytes or in hexadecimal
"""

import ctypes
import select
import sys

ERRBUF = 256


def capture(device, path):
    pcap = ctypes.CDLL("libpcap.so.0.8")
    pcap.pcap_create.restype = ctypes.c_void_p
    pcap.pcap_dump_open.restype = ctypes.c_void_p
    errbuf = ctypes.create_string_buffer(ERRBUF)
    handle = ctypes.c_void_p(pcap.pcap_create(device.encode(), errbuf))
    pcap.pcap_set_timeout(handle, 50)
    if pcap.pcap_activate(handle) < 0:
        sys.exit("pcap_activate")
    dumper = ctypes.c_void_p(pcap.pcap_dump_open(handle, path.encode()))
    if not dumper:
        sys.exit("pcap_dump_open")
    if pcap.pcap_setnonblock(handle, 1, errbuf) != 0:
        sys.exit("pcap_setnonblock")
    print("listening", flush=True)
    descriptor = pcap.pcap_get_selectable_fd(handle)
    while True:
        ready, _, _ = select.select([sys.stdin, descriptor], [], [])
        pcap.pcap_dispatch(handle, -1, pcap.pcap_dump, dumper)
        if sys.stdin in ready:
            sys.stdin.readline()
            break
    pcap.pcap_dump_close(dumper)
    pcap.pcap_close(handle)
    print("closed", flush=True)
    sys.stdin.read()


def memory(pid):
    with open(f"/proc/{pid}/maps") as maps, \
            open(f"/proc/{pid}/mem", "rb", 0) as file:
        for line in maps:
            span, mode = line.split()[:2]
            if not mode.startswith("rw") or "[vvar" in line:
                continue
            begin, end = (int(part, 16) for part in span.split("-"))
            try:
                file.seek(begin)
                yield line.strip(), file.read(end - begin)
            except OSError:
                pass


def look(pid, keylog):
    with open(keylog) as file:
        secrets = [line.split()[2] for line in file
                   if not line.startswith("#")]
    found = set()
    for where, data in memory(pid):
        for secret in secrets:
            if secret.encode() in data or secret.upper().encode() in data:
                found.add(f"in hexadecimal: {where}")
            if bytes.fromhex(secret) in data:
                found.add(f"as bytes: {where}")
    for where in sorted(found):
        print(where)
    if not secrets:
        sys.exit("there are no secrets to look for")
    print(f"{len(secrets)} secrets looked for")
    return 1 if found else 0


if __name__ == "__main__":
    command = {"capture": capture, "look": look}[sys.argv[1]]
    sys.exit(command(*sys.argv[2:]))
