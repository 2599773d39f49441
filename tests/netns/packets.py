"""Builds frames and IP packets byte by byte, for what no socket call makes."""

import ipaddress
import struct

BROADCAST = b"\xff" * 6


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ether(dst, src, ethertype, payload=b""):
    return dst + src + struct.pack("!H", ethertype) + payload


def tagged(frame, *tags):
    """The frame with VLAN tags put in; each tag is (tpid, tci)."""
    inside = b"".join(struct.pack("!HH", *tag) for tag in tags)
    return frame[:12] + inside + frame[12:]


def llc(dst, src, payload):
    """IEEE 802.3: a length where Ethernet II has a type."""
    return ether(dst, src, len(payload), payload)


def ip4(src, dst, proto, payload, ident=1, frag=0, options=b""):
    """frag is the flags and offset field as it stands in the header."""
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | words, 0,
                       words * 4 + len(payload), ident, frag, 64, proto, 0,
                       ipaddress.ip_address(src).packed,
                       ipaddress.ip_address(dst).packed) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ip6(src, dst, next_header, payload):
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), next_header, 64,
                       ipaddress.ip_address(src).packed,
                       ipaddress.ip_address(dst).packed) + payload


def extension(next_header, body):
    """An IPv6 hop-by-hop, routing or destination options header whose body
    is padded with Pad1 options to a multiple of eight."""
    body += bytes(-(2 + len(body)) % 8)
    return bytes([next_header, (2 + len(body)) // 8 - 1]) + body


def fragment6(next_header, offset, more, ident):
    return struct.pack("!BBHI", next_header, 0, offset | more, ident)


def udp(src, dst, sport, dport, payload):
    """A UDP datagram with its checksum; addresses of either family."""
    src, dst = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    length = 8 + len(payload)
    if src.version == 4:
        pseudo = struct.pack("!4s4sBBH", src.packed, dst.packed, 0, 17, length)
    else:
        pseudo = struct.pack("!16s16sIHBB", src.packed, dst.packed, length,
                             0, 0, 17)
    head = struct.pack("!HHH", sport, dport, length)
    total = checksum(pseudo + head + b"\0\0" + payload) or 0xffff
    return head + struct.pack("!H", total) + payload


def echo(kind, ident, seq, payload):
    """An ICMP echo; for ICMPv6 the kernel fills in the checksum itself."""
    body = struct.pack("!BBHHH", kind, 0, 0, ident, seq) + payload
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def arp(op, sha, spa, tha, tpa):
    return struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, op, sha,
                       ipaddress.ip_address(spa).packed, tha,
                       ipaddress.ip_address(tpa).packed)
