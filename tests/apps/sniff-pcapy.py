"""pcapy; without loop(), whose callback does not get on with Python 3.10."""

import sys

import pcapy

capture = pcapy.open_live(sys.argv[1], 65535, 1, 100)
capture.setfilter("tcp or udp")
savefile = capture.dump_open("file")
while True:
    header, data = capture.next()
    if header is not None:
        savefile.dump(header, data)
        print("packet of", header.getlen(), flush=True)
