#!/usr/bin/python3
"""Makes the traffic of the tests.

  run --near NS/DEV --far NS/DEV --log FILE [--prefix TEXT] CASE...
      Runs cases between the ends of a link; after each a marker goes both
      ways. FILE gets a line of JSON per case: what a capture at the near end
      must show, or why the case was skipped. Markers and lines have the names
      of the cases, after TEXT.
  mark --near NS/DEV --far NS/DEV NAME
      Just a marker.
  link tun|tun-offload|tap NS/DEV NS/DEV
      Makes two devices and carries frames between them until killed.
  flood NS/DEV ADDRESS COUNT SIZE [CPU]
      Sends COUNT numbered UDP datagrams to port 9.
  sink NS/DEV
      Holds port 9, so that nobody answers with an ICMP error, until killed.
  apps NS
      HTTP, DNS, SIP and plain UDP over lo of the namespace until killed.
"""

import argparse
import json
import os
import sys

from netns import apps, cases, link, net


def run(args):
    # One CPU for all: the order within a flow is then the same for every
    # observer. The cases that want more CPUs say so themselves.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    path = net.Net(net.Side(args.near), net.Side(args.far))
    with open(args.log, "a", encoding="ascii") as log:
        if not os.path.getsize(args.log):
            path.mark("begin")
        for name in args.case:
            try:
                seen = cases.CASES[name](path)
            except cases.Skip as why:
                seen = {"skip": str(why)}
            name = args.prefix + name
            print(json.dumps({"case": name, **seen}), file=log, flush=True)
            path.mark(name)


def mark(args):
    net.Net(net.Side(args.near), net.Side(args.far)).mark(args.name)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)

    sub = commands.add_parser("run")
    sub.add_argument("--near", required=True)
    sub.add_argument("--far", required=True)
    sub.add_argument("--log", required=True)
    sub.add_argument("--prefix", default="")
    sub.add_argument("case", nargs="+", choices=list(cases.CASES))
    sub.set_defaults(call=run)

    sub = commands.add_parser("mark")
    sub.add_argument("--near", required=True)
    sub.add_argument("--far", required=True)
    sub.add_argument("name")
    sub.set_defaults(call=mark)

    sub = commands.add_parser("link")
    sub.add_argument("kind", choices=list(link.KINDS))
    sub.add_argument("ends", nargs=2)
    sub.set_defaults(call=lambda args: link.carry(args.kind, args.ends))

    sub = commands.add_parser("flood")
    sub.add_argument("near")
    sub.add_argument("address")
    sub.add_argument("count", type=int)
    sub.add_argument("size", type=int)
    sub.add_argument("cpu", type=int, nargs="?")
    sub.set_defaults(call=lambda args: net.flood(
        args.near, args.address, args.count, args.size, args.cpu))

    sub = commands.add_parser("sink")
    sub.add_argument("end")
    sub.set_defaults(call=lambda args: net.sink(args.end))

    sub = commands.add_parser("apps")
    sub.add_argument("ns")
    sub.set_defaults(call=lambda args: apps.serve(args.ns))

    args = parser.parse_args()
    return args.call(args)


if __name__ == "__main__":
    sys.exit(main())
