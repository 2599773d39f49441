"""Scapy through libpcap (its own packet sockets know no such device)."""

import sys

from scapy.all import conf

conf.use_pcap = True

from scapy.all import sniff     # looks at conf when it is imported

sniff(iface=sys.argv[1], count=5, timeout=8,
      prn=lambda packet: print(packet.payload.src, packet.payload.dst,
                               packet.summary(), flush=True))
