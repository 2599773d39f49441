"""Copies a shared OpenSSL so that nobody finds its secrets.

blind.py FROM TO

A connection has two ends, and the secrets of either decrypt it. For a row that
asks after one end's library, the other end must be one that cannot be looked
into: a library that works the same, but the labels of the key log, by which
its code is found, say something else, and its build id is its own.
"""

import re
import sys

LABELS = (rb"CLIENT_RANDOM", rb"TRAFFIC_SECRET", rb"EXPORTER_SECRET",
          rb"CLIENT_EARLY", rb"CLIENT_HANDSHAKE", rb"SERVER_HANDSHAKE")
GNU_NOTE = re.escape(b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0")


def main():
    with open(sys.argv[1], "rb") as source:
        data = source.read()
    for label in LABELS:
        data = data.replace(label, label[::-1])
    data, notes = re.subn(GNU_NOTE + rb"(.{20})",
                          lambda m: m[0][:-20] + m[1][::-1], data, flags=re.S)
    if notes != 1:
        sys.exit(f"{sys.argv[1]}: {notes} build ids")
    with open(sys.argv[2], "wb") as copy:
        copy.write(data)


main()
