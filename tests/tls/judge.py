"""Holds a capture against what the programs did: a result line for each row.

judge.py rows ROWS LOG CAPTURE		exit status 1: a row failed; CAPTURE may
					be "-", which is judged when it ends
judge.py secrets CAPTURE		print the lines of all secrets in a pcapng

ROWS has a line for each row: NAME ROLE VERSION MODE COUNT HANDSHAKE HOW. The
row's requests have paths that start with /NAME/ROLE/VERSION/MODE/. LOG has a
line for each request that was answered (peer.py), of which there must be COUNT
at least, by the HANDSHAKE that the row is about: "full", "resumed" (the first
may be full) or "any". Stock tshark reads the capture once, with the key log in
KEYLOG if there is one. HOW the request is
known to be decrypted: "http", and its response too, "request", or "text" in
what no dissector knows; "hidden" if it must not be.
"""

import collections
import os
import re
import struct
import subprocess
import sys

FIELDS = ("tcp.stream", "http.request.uri", "http.response_for.uri",
          "tls.segment.data", "data.data", "quic.stream_data")
PATH = re.compile(rb"/[-.\w]+/(?:client|server)/[.\d]+/[-.\w]+/[-\w]+")
SECRETS = struct.pack("<I", 0x544c534b)


def paths_in(text):
    return [path.decode() for path in PATH.findall(text)]


def raw(value):
    """The bytes of one or several fields of a frame."""
    return b" ".join(bytes.fromhex(part.replace(":", ""))
                     for part in value.split(",")
                     if part and part != "<MISSING>")


def frames(capture):
    """The fields of each frame that has one of interest, as a dictionary."""
    known = subprocess.run(["tshark", "-G", "fields"], capture_output=True,
                           text=True, check=True).stdout
    fields = [f for f in FIELDS if f"\t{f}\t" in known]
    command = ["tshark", "-n", "-r", capture, "-T", "fields",
               "-Y", " or ".join(fields[1:])]
    if os.environ.get("KEYLOG"):
        command += ["-o", f"tls.keylog_file:{os.environ['KEYLOG']}"]
    for field in fields:
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    empty = dict.fromkeys(FIELDS, "")
    for line in out.stdout.splitlines():
        yield empty | dict(zip(fields, line.split("\t")))


def decrypted(capture):
    """How often each path stands in a request, a response, other text."""
    requests, responses, text = (collections.Counter() for _ in range(3))
    asked = {}
    for frame in frames(capture):
        stream = frame["tcp.stream"]
        for path in paths_in(frame["http.request.uri"].encode()):
            requests[path] += 1
            asked[stream] = path
        # A response that lasts until the connection ends never gets a line
        # of its own from tshark, but its segments are there.
        if stream in asked and (
                frame["http.response_for.uri"].endswith(asked[stream]) or
                raw(frame["tls.segment.data"]).startswith(b"HTTP/1.")):
            responses[asked.pop(stream)] += 1
        for field in ("data.data", "quic.stream_data"):
            text.update(paths_in(raw(frame[field])))
    return requests, responses, text


def judge(row, log, requests, responses, text):
    """Why the row fails, or None, and what to say of it."""
    name, role, version, mode, count, handshake, how = row
    prefix = f"/{name}/{role}/{version}/{mode}/"
    mine = [entry for entry in log if entry[0].startswith(prefix)]
    if len(mine) < int(count):
        return f"only {len(mine)} of {count} requests were made", ""
    if any(entry[1] != version for entry in mine):
        return f"a connection was not TLS {version}", ""
    if handshake == "full" and any(entry[2] == "resumed" for entry in mine):
        return "a session was resumed", ""
    if handshake == "resumed" and any(e[2] == "full" for e in mine[1:]):
        return "a session was not resumed", ""
    made = collections.Counter(entry[0] for entry in mine)
    total = sum(made.values())
    if how == "hidden":
        if any(requests[path] or responses[path] for path in made):
            return "decrypted, although neither end can be looked into", ""
        return None, f"0 of {total} requests"
    missing = []
    for path, times in sorted(made.items()):
        if how == "http":
            shown = min(requests[path], responses[path])
        elif how == "request":
            shown = requests[path]
        else:
            shown = text[path]
        missing += [path] * max(times - shown, 0)
    said = f"{total - len(missing)} of {total} requests"
    if missing:
        few = " ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        return f"{said} decrypted, not {few}", ""
    return None, said


def rows(rows_file, log_file, capture):
    counters = decrypted(capture)
    with open(rows_file, encoding="ascii") as file:
        wanted = [line.split() for line in file]
    with open(log_file, encoding="ascii") as file:
        log = [line.split() for line in file]
    failed = False
    for row in wanted:
        why, said = judge(row, log, *counters)
        title = f"{row[0]} {row[1]} tls{row[2]} {row[3]}"
        print(f"FAIL {title}: {why}" if why else f"PASS {title}: {said}")
        failed = failed or why is not None
    return failed


def blocks(file):
    while head := file.read(8):
        kind, length = struct.unpack("<II", head)
        body = file.read(length - 12)
        file.read(4)
        yield kind, body


def secrets(capture):
    lines = set()
    with open(capture, "rb") as file:
        for kind, body in blocks(file):
            if kind == 0xA and body[:4] == SECRETS:
                length = struct.unpack_from("<I", body, 4)[0]
                lines.update(body[8:8 + length].split(b"\n"))
    for line in sorted(lines):
        if line.strip(b"\0\r") and not line.startswith(b"#"):
            print(line.decode("ascii"))


def main():
    if sys.argv[1] == "secrets":
        secrets(sys.argv[2])
    else:
        sys.exit(rows(*sys.argv[2:]))


main()
