"""Looks at what sealing did to a file.

sealed.py same SEALED ORIGINAL	is SEALED the ORIGINAL with nothing but secrets,
				process blocks, options of packets and comments
				of statistics put in between?
sealed.py secrets FILE		how many blocks of secrets there are
"""

import struct
import sys

SECTION, STATISTICS, PACKET, SECRETS, PROCESS = (
    0x0A0D0D0A, 5, 6, 10, 0x80000001)
OWNERS = {1, 8, 32769, 32771}


def blocks(data):
    """Type and body of each; what follows the last whole one as None."""
    at = 0
    while at + 12 <= len(data):
        kind, size = struct.unpack_from("<II", data, at)
        if size < 12 or size % 4 or at + size > len(data):
            break
        yield kind, data[at + 8:at + size - 4]
        at += size
    yield None, data[at:]


def options(body, at):
    found = []
    while at + 4 <= len(body):
        code, size = struct.unpack_from("<HH", body, at)
        if code == 0:
            break
        end = at + 4 + (size + 3) // 4 * 4
        found.append((code, body[at:end]))
        at = end
    return found


def start(kind, body):
    if kind == STATISTICS:
        return 12
    return 20 + (struct.unpack_from("<I", body, 12)[0] + 3) // 4 * 4


def only_added(kind, old, new):
    """Whether a block differs only by options that were put to its end."""
    at = start(kind, old)
    before, after = options(old, at), options(new, at)
    added = {code for code, _ in after[len(before):]}
    return (old[:at] == new[:at] and after[:len(before)] == before
            and added <= (OWNERS if kind == PACKET else {1}))


def is_ours(kind, body):
    """Whether a block can only be one that was put in."""
    return kind in (SECRETS, PROCESS) or (
        kind == STATISTICS and {c for c, _ in options(body, 12)} == {1})


def same(sealed, original):
    new = blocks(sealed)
    number = 0
    for kind, body in blocks(original):
        if kind is None:
            break  # half a block, after a crash
        number += 1
        for new_kind, new_body in new:
            if new_kind == kind and (
                    body == new_body or kind in (PACKET, STATISTICS)
                    and only_added(kind, body, new_body)):
                break
            if not is_ours(new_kind, new_body):
                return f"block {number} of the original is not there"
        else:
            return f"block {number} of the original and what follows is gone"
    more = [kind for kind, body in new if body and not is_ours(kind, body)]
    return "there is more at the end" if more else ""


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main(command, *paths):
    if command == "same":
        difference = same(*map(read, paths))
        print(difference, end="")
        sys.exit(difference != "")
    print(sum(kind == SECRETS for kind, _ in blocks(read(paths[0]))))


main(*sys.argv[1:])
