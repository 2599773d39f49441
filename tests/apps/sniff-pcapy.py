"""pcapy; without loop(), whose callback does not get on with Python 3.10."""

import sys

import pcapy

capture = pcapy.open_live(sys.argv[1], 65535, 1, 100)
capture.setfilter("udp port 9999")
seen = 0
while seen < 4:
    header, data = capture.next()
    if header is not None:
        seen += 1
        print(header.getlen(), data[42:47].decode(), flush=True)
