"""Opens and closes a device over and over in one process, and fails when that
costs descriptors, memory or processes.

  openclose.py DEVICE COUNT
"""

import ctypes
import os
import sys
import time

WARM_UP = 20            # what is allocated once is there after so many
GROWTH = 1024           # KiB of memory that are noise
ERRBUF = 256

pcap = ctypes.CDLL("libpcap.so.0.8")
pcap.pcap_create.restype = ctypes.c_void_p
pcap.pcap_geterr.restype = ctypes.c_char_p
for name in ("set_snaplen", "set_promisc", "set_timeout"):
    getattr(pcap, f"pcap_{name}").argtypes = ctypes.c_void_p, ctypes.c_int
for name in ("activate", "close", "geterr"):
    getattr(pcap, f"pcap_{name}").argtypes = (ctypes.c_void_p,)
pcap.pcap_setnonblock.argtypes = ctypes.c_void_p, ctypes.c_int, \
    ctypes.c_char_p
pcap.pcap_dispatch.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, \
    ctypes.c_void_p
HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p,
                           ctypes.c_void_p)
ignore = HANDLER(lambda *_: None)
errbuf = ctypes.create_string_buffer(ERRBUF)


def cycle(device):
    handle = pcap.pcap_create(device, errbuf)
    if not handle:
        sys.exit(f"pcap_create: {errbuf.value.decode()}")
    pcap.pcap_set_snaplen(handle, 2000)
    pcap.pcap_set_promisc(handle, 1)
    pcap.pcap_set_timeout(handle, 10)
    if pcap.pcap_activate(handle) < 0 or \
            pcap.pcap_setnonblock(handle, 1, errbuf) < 0 or \
            pcap.pcap_dispatch(handle, -1, ignore, None) < 0:
        sys.exit(f"{device.decode()}: {pcap.pcap_geterr(handle).decode()}")
    pcap.pcap_close(handle)


def has_child():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def usage():
    with open("/proc/self/status", encoding="ascii") as status:
        fields = dict(line.split(":", 1) for line in status)
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": int(fields["Threads"]),
        "mappings": sum(1 for _ in open("/proc/self/maps", "rb")),
        "resident KiB": int(fields["VmRSS"].split()[0]),
        "address space KiB": int(fields["VmSize"].split()[0]),
    }


def main():
    device, count = sys.argv[1].encode(), int(sys.argv[2])
    for _ in range(min(WARM_UP, count)):
        cycle(device)
    before, start = usage(), time.monotonic()
    for _ in range(count):
        cycle(device)
        if has_child():
            sys.exit("the application has got a child process")
    seconds = time.monotonic() - start
    after = usage()
    print(f"{sys.argv[1]}: {count} times in {seconds:.1f} s; " + ", ".join(
        f"{name} {before[name]} -> {after[name]}" for name in before))
    for name, value in before.items():
        if after[name] > value + (GROWTH if "KiB" in name else 0):
            sys.exit(f"{name} grew from {value} to {after[name]}")


if __name__ == "__main__":
    main()
