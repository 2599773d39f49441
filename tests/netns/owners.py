#!/usr/bin/python3
"""The oracle of attribution: traffic of programs that know the truth, and the
judge of what captures say of it.

  run --log FILE --go FILE --program FILE [--only CASES] HUB FAR BOX
      Makes sockets in the three network namespaces, says "ready", waits for
      the file --go, uses them and goes on to all other cases.
  judge --log FILE [--mode MODE] [--also LABEL] [--load LEAST [--cut]] CAPTURE
      LABEL FILE...
      Result lines for one capture, by its name, in the namespace LABEL; its
      files one after the other. With --load they are for all cases together;
      --cut: and captures end while there is traffic.
  load --log FILE [--short] HUB FAR
      Much traffic of many kinds, or that of short lives only.
  comments FILE
      The comments of each packet, as tshark prints the field.
  skips --log FILE
      Result lines of the cases that could not be.
  prove FOLDER
      Result lines of the judge on files made by hand: it must find what is
      wrong in them.
"""

import argparse
import os
import re
import sys
import time

import owners_actor
import owners_cases
import owners_file
import owners_judge
import owners_load
import owners_others
import owners_proof
import owners_ways


def ends(args):
    end = owners_cases.End
    hub = end(args.hub, "A", "10.77.0.1", "fd77::1", "a0")
    far = end(args.far, "B", "10.77.0.2", "fd77::2", "b0")
    lo = end(args.hub, "A", "127.0.0.1", "::1", "lo")
    gate = end(args.hub, "A", "10.78.0.1", "fd78::1", "h0")
    box = end(args.box, "C", "10.78.0.2", "fd78::2", "c0")
    return hub, far, lo, gate, box


def boot_time():
    """By the reading of both clocks that was least disturbed."""
    readings = []
    for _ in range(20):
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wall = time.time_ns()
        after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        readings.append((after - before, wall - before))
    return min(readings)[1]


def begin_log(log_fd, *homes):
    log = owners_actor.Log(log_fd, "A", "")
    log.line(what="boot", boot=boot_time())
    for end in homes:
        for address in end.address.values():
            owners_actor.Log(log_fd, end.label, "").line(
                what="home", address=address)
    return log


def run(args):
    log_fd = os.open(args.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    hub, far, lo, gate, box = ends(args)
    log = begin_log(log_fd, hub, far, gate, box)

    def path(name, near, distant):
        made = owners_cases.Path(name, near, distant, log_fd,
                                 {"after": args.program})
        made.hub = hub
        return made

    veth, local = path("veth", hub, far), path("lo", lo, lo)
    boxed, nat = path("box", box, gate), path("nat", box, far)

    def do(which, name, call, seen):
        which.case = f"{which.name}/{name}"
        if args.only and not re.search(args.only, which.case):
            return
        log.case = which.case
        try:
            call(which)
            log.line(what="case", seen=seen)
        except owners_cases.Skip as why:
            log.line(what="skip", why=str(why))
        finally:
            which.over()
        print(which.case, flush=True)

    old = []
    if not args.only or re.search(args.only, "old"):
        for which, seen in ((veth, ["a0", "any"]), (local, ["lo", "any"])):
            which.case = f"{which.name}/old"
            old.append((owners_cases.Old(which), seen))
    print("ready", flush=True)
    while not os.path.exists(args.go):
        time.sleep(0.02)
    for made, seen in old:
        made.use()
        names = {e[0] for e in made.ends} | {"shared"}
        for name in sorted(names):
            log.case = f"{made.path.name}/old-{name}"
            log.line(what="case", seen=seen)
        made.path.over()
    for cases in (owners_cases, owners_others, owners_ways):
        for name, call in cases.CASES.items():
            do(veth, name, call, ["a0", "any"])
            if name not in cases.NOT_ON_LO:
                do(local, name, call, ["lo", "any"])
    for name in owners_cases.BOX_CASES:
        do(boxed, name, owners_cases.CASES[name], ["h0", "c0", "any"])
    for name, (call, seen) in owners_cases.NAT_CASES.items():
        do(nat, name, call, seen)
    print("done", flush=True)


def load(args):
    log_fd = os.open(args.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    args.box = None
    hub, far, lo, _, _ = ends(args)
    told = begin_log(log_fd, hub, far)
    told.case = "load"
    paths = []
    for name, near, distant in (("veth", hub, far), ("lo", lo, lo)):
        path = owners_cases.Path(name, near, distant, log_fd, {})
        path.case = f"{name}/load"
        paths.append(path)
    if args.short:
        owners_load.run(paths, owners_load.starter)
    else:
        owners_load.run(paths)


def judge(args):
    truth = owners_judge.Truth(args.log)
    judged = owners_judge.Judge(truth, args.label, args.also, args.mode)
    try:
        judged.run(args.file)
    except owners_file.Fault as fault:
        print(f"FAIL {args.capture}/file: {fault}")
        return 1
    if args.load:
        return 1 if judged.sum(args.capture, args.load,
                                   args.cut) else 0
    return 1 if judged.report(args.capture, args.like) else 0


def comments(args):
    for packet in owners_file.packets(args.file, []):
        print(b",".join(packet.comments).decode("ascii"))


def skips(args):
    for case, why in owners_judge.Truth(args.log).skipped.items():
        print(f"SKIP {case}: {why}")


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)

    sub = commands.add_parser("run")
    sub.add_argument("--log", required=True)
    sub.add_argument("--go", required=True)
    sub.add_argument("--program", required=True)
    sub.add_argument("--only")
    sub.add_argument("hub")
    sub.add_argument("far")
    sub.add_argument("box")
    sub.set_defaults(call=run)

    sub = commands.add_parser("judge")
    sub.add_argument("--log", required=True)
    sub.add_argument("--mode", default="both",
                     choices=["both", "comment", "block", "off"])
    sub.add_argument("--also", action="append", default=[])
    sub.add_argument("--load", type=int)
    sub.add_argument("--cut", action="store_true")
    sub.add_argument("--like", help="the capture that the cases know")
    sub.add_argument("capture")
    sub.add_argument("label")
    sub.add_argument("file", nargs="+")
    sub.set_defaults(call=judge)

    sub = commands.add_parser("load")
    sub.add_argument("--log", required=True)
    sub.add_argument("--short", action="store_true")
    sub.add_argument("hub")
    sub.add_argument("far")
    sub.set_defaults(call=load)

    sub = commands.add_parser("skips")
    sub.add_argument("--log", required=True)
    sub.set_defaults(call=skips)

    sub = commands.add_parser("comments")
    sub.add_argument("file")
    sub.set_defaults(call=comments)

    sub = commands.add_parser("prove")
    sub.add_argument("folder")
    sub.set_defaults(call=lambda args: owners_proof.prove(args.folder))

    args = parser.parse_args()
    return args.call(args)


if __name__ == "__main__":
    sys.exit(main())
