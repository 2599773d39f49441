"""Compares what a capture says of each packet's ends with what the programs
at these ends have logged."""

import collections
import json
import os
import socket
import struct

import owners_file

SLACK = 50_000          # ns between a program's clock and a packet's stamp
TICK = 10_000_000       # of /proc/PID/stat
START = 20_000_000      # what a start time may be off by
# ns in which a process can be looked at
LIVED = 500_000_000 * int(os.environ.get("SLOW", 1))
MARK_PORT = 47806
KERNEL = {"pid": 0, "comm": b"kernel", "uid": 0, "tid": 0}
UNKNOWN = "unknown"
NDP = range(133, 138)
ETHER = {0x0800: 4, 0x86dd: 6}
DETAILS = 6


# --- packets ----------------------------------------------------------------

class Flow:
    """Of one packet: protocol, ends, and what a protocol adds."""

    def __init__(self, proto, src, dst, sport=0, dport=0):
        self.proto, self.src, self.dst = proto, src, dst
        self.sport, self.dport = sport, dport
        self.kind = self.note = ""
        self.syn = self.data = False
        self.quoted = None

    def __str__(self):
        return f"{self.proto} {self.src}:{self.sport} > " \
            f"{self.dst}:{self.dport}{self.kind and ' ' + self.kind}" \
            f"{self.note and ' ' + self.note}"


class Dissector:
    """Flows of packets; remembers the first fragments."""

    def __init__(self):
        self.first = {}

    def flow(self, packet):
        data = packet.data
        if packet.link == 1:
            proto, at = struct.unpack_from("!H", data, 12)[0], 14
        elif packet.link == 276:
            proto, at = struct.unpack_from("!H", data)[0], 20
        elif packet.link == 113:
            proto, at = struct.unpack_from("!H", data, 14)[0], 16
        else:
            raise owners_file.Fault(f"link type {packet.link}")
        if proto == 0x0806:
            return Flow("arp", "", "")
        if ETHER.get(proto) == 4:
            return self.ip4(data[at:])
        if ETHER.get(proto) == 6:
            return self.ip6(data[at:])
        return None

    def ip4(self, data):
        ihl, proto = (data[0] & 15) * 4, data[9]
        ident, frag = struct.unpack_from("!HH", data, 4)
        src, dst = (socket.inet_ntoa(data[i:i + 4]) for i in (12, 16))
        return self.part(proto, src, dst, data[ihl:], ident,
                         (frag & 0x1fff) * 8, frag & 0x2000)

    def ip6(self, data):
        proto, at = data[6], 40
        src, dst = (socket.inet_ntop(socket.AF_INET6, data[i:i + 16])
                    for i in (8, 24))
        ident = offset = more = 0
        while proto in (0, 43, 44, 60):
            if proto == 44:
                frag, ident = struct.unpack_from("!HI", data, at + 2)
                offset, more = frag & 0xfff8, frag & 1
                proto, at = data[at], at + 8
            else:
                proto, at = data[at], at + 8 + data[at + 1] * 8
        return self.part(proto, src, dst, data[at:], ident, offset, more)

    def part(self, proto, src, dst, data, ident, offset, more):
        key = (proto, src, dst, ident)
        if offset:
            flow = self.first.get(key)
            if flow is None:
                return None
            again = Flow(flow.proto, src, dst, flow.sport, flow.dport)
            again.note = f"fragment at {offset}"
            return again
        flow = self.transport(proto, src, dst, data)
        if more and flow:
            self.first[key] = flow
            flow.note = "first fragment"
        return flow

    def transport(self, proto, src, dst, data):
        if proto in (6, 17):
            ports = struct.unpack_from("!HH", data)
            flow = Flow("tcp" if proto == 6 else "udp", src, dst, *ports)
            flow.data = proto == 17 or len(data) > (data[12] >> 4) * 4
            if proto == 6 and len(data) > 13:
                flow.syn = data[13] & 0x12 == 2
                flow.kind = "".join(
                    c for i, c in enumerate("FSRPA") if data[13] >> i & 1)
            return flow
        if proto in (1, 58):
            return self.icmp(proto, src, dst, data)
        return Flow(f"ip{proto}", src, dst)

    def icmp(self, proto, src, dst, data):
        flow = Flow("icmp", src, dst)
        kind = data[0]
        if kind in (8, 128) or proto == 1 and kind == 0 or kind == 129:
            flow.kind = "request" if kind in (8, 128) else "reply"
            ident = struct.unpack_from("!H", data, 4)[0]
            flow.sport = flow.dport = ident
        elif proto == 58 and (kind in NDP or kind == 143):
            flow.kind = "ndp"
        elif proto == 1 and kind in (3, 11, 12) or proto == 58 and kind < 128:
            flow.kind = "error"
            inner = data[8:]
            flow.quoted = Dissector().ip4(inner) if proto == 1 else \
                Dissector().ip6(inner)
        return flow


# --- the truth --------------------------------------------------------------

class Use:
    """One process had one end at some moment of a span."""

    def __init__(self, begin, end, who, case, speaks=False):
        self.begin, self.end, self.who, self.case = begin, end, who, case
        self.speaks = speaks


class Truth:
    """What the programs have logged."""

    def __init__(self, path):
        self.uses = collections.defaultdict(list)
        self.homes, self.aliases, self.back = {}, {}, {}
        self.closed = {}
        self.facts = collections.defaultdict(list)
        self.left = {}
        self.cases, self.skipped = {}, {}
        self.shared, self.vague = [], []
        self.late = set()
        self.boot = 0
        with open(path, encoding="ascii") as log:
            for line in log:
                item = json.loads(line)
                getattr(self, "add_" + item["what"])(item)
        for uses in self.uses.values():
            uses.sort(key=lambda use: use.begin)
        for key in self.vague:
            self.uses[key] += [Use(u.begin, u.end, UNKNOWN, u.case, u.speaks)
                               for u in self.uses[key]]
        for key, at in self.shared:
            for use in self.uses[key]:
                if use.end < at:
                    use.who = UNKNOWN

    @staticmethod
    def who(item):
        return {**item, "comm": bytes.fromhex(item["comm"])}

    def add_use(self, item):
        self.uses[self.key(item)].append(
            Use(item["from"], item["to"], self.who(item["who"]),
                item["case"], item.get("speaks", False)))
        if item.get("unheard"):
            self.uses[self.key(item)].append(
                Use(item["from"], item["to"], UNKNOWN, item["case"],
                    item.get("speaks", False)))

    @staticmethod
    def key(item):
        host, port = item["local"]
        return (item["ns"], item["proto"], host, port,
                tuple(item["remote"]) if item["remote"] else None)

    def add_shared(self, item):
        self.shared.append((self.key(item), item["at"]))

    def add_vague(self, item):
        self.vague.append(self.key(item))

    def add_home(self, item):
        self.homes[item["address"]] = item["ns"]

    def add_boot(self, item):
        self.boot = item["boot"]

    def add_closed(self, item):
        self.closed[tuple(item["address"])] = item["case"]

    def add_alias(self, item):
        seen, real = tuple(item["seen"][1:]), tuple(item["real"][1:])
        if item.get("late"):
            self.late.add((item["proto"], seen))
        self.aliases[(item["proto"], seen)] = (item["real"][0], real)
        self.back[(item["proto"], real)] = seen

    def add_left(self, item):
        who = self.who(item["who"])
        self.left[(who["pid"], who["start"])] = item["at"]

    def add_case(self, item):
        self.cases[item["case"]] = item["seen"]

    def add_skip(self, item):
        self.skipped[item["case"]] = item["why"]

    def add_facts(self, item):
        who = self.who(item["who"])
        self.facts[(who["pid"], who["start"])].append(
            {"comm": who["comm"], "at": item["at"], "parent": item["parent"],
             "exe": bytes.fromhex(item["exe"]),
             # without what fills up a title that a program gives itself
             "cmd": bytes.fromhex(item["cmd"]).rstrip(b"\0").replace(
                 b"\0", b" "),
             "cgroup": bytes.fromhex(item["cgroup"])})


def right_at(uses, when, speaks):
    """Who may be said to have the end at that time; and whether one of them
    had it for sure. What somebody is just sending is nobody else's."""
    if speaks:
        found = [u for u in uses if u.speaks and u.begin <= when <= u.end]
        if found:
            return found, True
    before = [u for u in uses if u.end < when - SLACK]
    last = max(before, key=lambda u: u.end, default=None)
    found = [u for u in uses if u.begin <= when + SLACK and
             (last is None or u.end >= last.begin)]
    return found, last is not None


class Side:
    """One end of a packet: who is right, and where that is."""

    def __init__(self, home=None, case=None, right=(), optional=False):
        self.home, self.case, self.right = home, case, right
        self.optional = optional


class Ends:
    """Finds the ends of the packets of one capture, in their order."""

    def __init__(self, truth, here):
        self.truth, self.here = truth, here
        self.since, self.met = {}, set()

    def side(self, proto, mine, peer, when, speaks=False):
        """`speaks`: the packet is what somebody sends just then."""
        truth = self.truth
        home, host = truth.homes.get(mine[0], self.here), mine
        if (proto, mine) in truth.aliases:
            home, host = truth.aliases[(proto, mine)]
        if mine in truth.closed:
            return Side(home, truth.closed[mine], [KERNEL])
        peers = [peer, truth.back.get((proto, peer)),
                 truth.aliases.get((proto, peer), (0, None))[1]]
        since = self.since.get((proto, mine, peer), 0)
        found, sure = [], False
        for other in filter(None, peers):
            uses = [u for address in (host[0], "*") for u in truth.uses.get(
                (home, proto, address, host[1], other), ())
                    if u.end >= since]
            if uses:
                found, sure = right_at(uses, when, speaks)
                break
        if not sure:
            for address in (host[0], "*"):
                uses = truth.uses.get((home, proto, address, host[1], None))
                if uses:
                    found = found + right_at(uses, when, speaks)[0]
                    break
        if not found:
            return Side(home)
        return Side(home, found[0].case, [u.who for u in found])

    def is_early(self, flow, src, dst):
        """Nothing knows yet where it is translated to."""
        if (flow.proto, dst) not in self.truth.late:
            return False
        key = (flow.proto, src, dst)
        first = key not in self.met
        self.met.add(key)
        return flow.syn or first

    def ends(self, flow, when, outgoing, shared):
        """The sender's and the receiver's side. `shared`: for all on the
        link."""
        src, dst = (flow.src, flow.sport), (flow.dst, flow.dport)
        if flow.syn:
            self.since[(flow.proto, src, dst)] = when - SLACK
            self.since[(flow.proto, dst, src)] = when - SLACK
        if flow.proto in ("tcp", "udp"):
            sender = self.side(flow.proto, src, dst, when, flow.data)
            receiver = self.side(flow.proto, dst, src, when)
            receiver.optional |= receiver.right == [KERNEL]
            if self.is_early(flow, src, dst):
                receiver.optional = True
                receiver.right.append(UNKNOWN)
            return sender, receiver
        case = "kernel"
        if flow.proto == "arp" or flow.kind == "ndp":
            out, there = self.here, "elsewhere"
            return (Side(out if outgoing else there, case, [KERNEL]),
                    Side(there if outgoing else out, case, [KERNEL], shared))
        homes = [self.truth.homes.get(a, self.here)
                 for a in (flow.src, flow.dst)]
        kernel = [Side(home, None, [KERNEL]) for home in homes]
        if flow.kind == "request":
            kernel[1].optional = True
            return self.side("icmp", src, dst, when), kernel[1]
        if flow.kind == "reply":
            return kernel[0], self.side("icmp", dst, src, when)
        if flow.quoted:
            inner = flow.quoted
            return kernel[0], self.side(
                inner.proto, (inner.src, inner.sport),
                (inner.dst, inner.dport), when)
        receiver = Side(homes[1], None, [], True)
        return self.side(flow.proto, src, dst, when), receiver


# --- the comparison ---------------------------------------------------------

class Score:
    """Of one case in one capture."""

    def __init__(self):
        self.right = self.unknown = self.wrong = self.missing = 0
        self.optional = 0
        self.details = []

    def total(self):
        return self.right + self.unknown + self.wrong + self.missing

    def bad(self):
        return self.unknown + self.wrong + self.missing

    def tell(self, text):
        if len(self.details) < DETAILS:
            self.details.append(text)


def name(who):
    if who is None or who == UNKNOWN:
        return str(who)
    more = f" tid {who['tid']}" if who.get("tid", who["pid"]) != who["pid"] \
        else ""
    return f"{who['pid']} {who['comm'].decode('latin-1')!r} " \
        f"uid {who['uid']}{more}"


class Judge:
    """Goes through one capture."""

    def __init__(self, truth, here, also, mode="both"):
        self.truth, self.here, self.mode = truth, here, mode
        self.senders = {here, *also}
        self.ends = Ends(truth, here)
        self.scores = collections.defaultdict(Score)
        self.latest = {}                # facts by pid
        self.first = {}                 # for packets before any
        self.late = []
        self.claimed = set()            # pids
        self.lived = 0                  # processes that must have all facts
        self.form = Score()             # of comments and blocks
        self.facts = Score()
        self.stray = Score()
        self.packets = 0

    def run(self, paths):
        dissector = Dissector()
        for path in paths:
            self.latest, self.late, self.claimed = {}, [], set()
            packets = list(owners_file.packets(path, self.late))
            self.first = {}
            for facts in [f for p in packets for f in p.facts] + self.late:
                self.first.setdefault(facts["pid"], facts)
            self.one(packets, dissector)
            self.check_known()

    def one(self, packets, dissector):
        for index, packet in enumerate(packets, 1):
            try:
                flow = dissector.flow(packet)
            except (struct.error, IndexError):
                flow = None
            self.take_facts(packet, index)
            if flow and MARK_PORT in (flow.sport, flow.dport):
                continue
            self.packets += 1
            self.packet(packet, flow, f"#{index} {flow}")

    def packet(self, packet, flow, text):
        outgoing = packet.direction == 2
        if packet.link == 276:
            outgoing = packet.data[10] == 4
        if flow is None:
            self.stray.wrong += 1
            self.stray.tell(f"{text}: what is it?")
            return
        sender, receiver = self.ends.ends(flow, packet.time, outgoing,
                                          packet.shared())
        case = sender.case or receiver.case
        score = self.scores[case] if case else self.stray
        first, second = self.said(packet, text)
        need_s = sender.home in self.senders and not sender.optional
        need_r = receiver.home == self.here and not receiver.optional
        need_s = need_s and bool(sender.right)
        need_r = need_r and bool(receiver.right)
        claims = [first, second]
        if second is None and first is not None:
            claims = self.place(packet, first, sender, receiver,
                                need_s, need_r)
        tell = f"{text} {'out' if outgoing else 'in'}"
        for side, claim, need, which in (
                (sender, claims[0], need_s, "sender"),
                (receiver, claims[1], need_r, "receiver")):
            self.weigh(score, packet, side, claim, need, f"{tell}: {which}")

    def said(self, packet, text):
        """What the packet says of its ends, however that is told."""
        self.check_form(packet, text)
        if self.mode == "block":
            def of(named):
                return named and {"pid": named[0], "comm": named[1]}
            return of(packet.named[0]), of(packet.named[1])
        return packet.first, packet.second

    def place(self, packet, claim, sender, receiver, need_s, need_r):
        """One end only is told of: which?"""
        if claim == UNKNOWN:
            if UNKNOWN in sender.right or need_s and \
                    UNKNOWN not in receiver.right:
                return [claim, None]
            return [None, claim]
        if not need_s and not need_r:
            fits = self.fits(packet, claim, receiver) is None
            return [None, claim] if fits else [claim, None]
        if need_s and self.fits(packet, claim, sender) is None:
            return [claim, None]
        if need_r and self.fits(packet, claim, receiver) is None:
            return [None, claim]
        if self.fits(packet, claim, sender) is None:
            return [claim, None]
        return [claim, None] if need_s else [None, claim]

    def fits(self, packet, claim, side):
        """None, or why the claim is wrong."""
        if claim == UNKNOWN:
            return None if UNKNOWN in side.right else "unknown"
        why = "no process is there" if not side.right else "another process"
        for who in side.right:
            if who == UNKNOWN or who["pid"] != claim["pid"]:
                continue
            why = self.differs(packet, claim, who)
            if why is None:
                return None
        return why

    def differs(self, packet, claim, who):
        if who["comm"] != claim["comm"]:
            return "comm"
        if "uid" in claim and who["uid"] != claim["uid"]:
            return "uid"
        if who is KERNEL:
            return None
        mine = claim is packet.first or self.mode == "block" and \
            packet.named[0] == (claim["pid"], claim["comm"])
        if mine and packet.ids and (packet.ids[0] != who["pid"] or
                                    who["tid"] not in (packet.ids[1], None)):
            return f"option 8 says {packet.ids}"
        if self.mode == "block":
            return None
        facts = self.latest.get(claim["pid"]) or self.first.get(claim["pid"])
        if facts is None:
            return "no facts"
        true = who["start"] * TICK + self.truth.boot
        if abs(facts["start"] - true) > START:
            return f"start is {(facts['start'] - true) / 1e6:.1f} ms off"
        return None

    def weigh(self, score, packet, side, claim, need, text):
        true = " or ".join(sorted({name(w) for w in side.right})) or "nobody"
        if claim is None:
            if need:
                score.missing += 1
                score.tell(f"{text} missing, is {true}")
            return
        why = self.fits(packet, claim, side)
        if why is None:
            if need:
                score.right += 1
            else:
                score.optional += 1
        elif claim == UNKNOWN:
            if need:
                score.unknown += 1
                score.tell(f"{text} unknown, is {true}")
        else:
            score.wrong += 1
            score.tell(f"{text} is said to be {name(claim)}, is {true}: {why}")

    # --- the form ---------------------------------------------------------

    def check_form(self, packet, text):
        """Comment, option 8 and blocks must tell the same, as the mode is."""
        fault = None
        comments, blocks = self.mode in ("both", "comment"), \
            self.mode in ("both", "block")
        known = [isinstance(c, dict) and c["pid"] != 0
                 for c in (packet.first, packet.second)]
        if not comments and packet.comments:
            fault = "a comment"
        elif not blocks and (packet.ids or any(packet.named)):
            fault = "option 8 or a block"
        elif blocks and comments:
            if known[0] and packet.ids is None:
                fault = "no option 8"
            elif packet.ids and (not isinstance(packet.first, dict) or
                                 packet.ids[0] != packet.first["pid"]):
                fault = f"option 8 {packet.ids} and {name(packet.first)}"
            for claim, named, sure in zip((packet.first, packet.second),
                                          packet.named, known):
                if sure and named is None:
                    fault = fault or f"no block of {name(claim)}"
                elif named and not self.is_block(named, claim):
                    fault = fault or f"a block of {named}, {name(claim)}"
        if fault:
            self.form.wrong += 1
            self.form.tell(f"{text}: {fault}")
        else:
            self.form.right += 1

    @staticmethod
    def is_block(named, claim):
        """A name that is no text is escaped there too."""
        return isinstance(claim, dict) and named[0] == claim["pid"] and \
            claim["comm"] in (named[1], owners_file.unescape(named[1]))

    def take_facts(self, packet, index):
        self.claimed.update(c["pid"] for c in (packet.first, packet.second)
                            if isinstance(c, dict))
        for facts in packet.facts:
            before = self.latest.get(facts["pid"])
            self.latest[facts["pid"]] = facts
            fault = self.facts_fault(packet, facts, before)
            if fault:
                self.facts.wrong += 1
                self.facts.tell(f"#{index} pid {facts['pid']}: {fault}")
            else:
                self.facts.right += 1

    def facts_fault(self, packet, facts, before):
        told = [c["pid"] for c in (packet.first, packet.second)
                if isinstance(c, dict)]
        if facts["pid"] not in told:
            return "not a process of this packet"
        if facts == before:
            return "told again"
        return self.facts_wrong(facts)

    def facts_wrong(self, facts):
        versions, _ = self.version(facts)
        if not versions:
            return None
        faults = []
        for key in ("parent", "exe", "cmd", "cgroup", "comm"):
            have = facts.get(key)
            if have is not None and not any(
                    have == v[key] or key == "cmd" and len(have) >= 1000 and
                    v[key].startswith(have) for v in versions):
                faults.append(f"{key} is {have!r}, not "
                              f"{' or '.join(repr(v[key]) for v in versions)}")
        return "; ".join(faults)

    def version(self, facts):
        for (pid, start), versions in self.truth.facts.items():
            if pid == facts["pid"] and abs(
                    facts["start"] - start * TICK - self.truth.boot) <= START:
                left = self.truth.left.get((pid, start), versions[-1]["at"])
                return versions, left - versions[-1]["at"]
        return [], 0

    def check_known(self):
        """What lived long enough has all facts, if only at the end."""
        told = list(self.latest.values())
        for facts in self.late:
            fault = self.facts_wrong(facts)
            if fault or facts["pid"] not in self.claimed:
                self.facts.wrong += 1
                self.facts.tell(f"end: pid {facts['pid']}: "
                                f"{fault or 'not a process of the file'}")
        known = {(f["pid"], f["start"]): f for f in told + self.late}
        self.lived += sum(self.version(f)[1] >= LIVED for f in known.values())
        for facts in known.values():
            versions, lived = self.version(facts)
            lacking = [k for k in ("exe", "cmd", "cgroup", "parent", "uid")
                       if facts.get(k) is None]
            if versions and lacking and lived >= LIVED:
                self.facts.missing += 1
                self.facts.tell(f"pid {facts['pid']} {versions[-1]['comm']!r}"
                                f" lacks {', '.join(lacking)} though it was "
                                f"there for {lived / 1e9:.1f} s")

    # --- the result -------------------------------------------------------

    def line(self, title, score, least=1):
        counts = f"{score.right} right of {score.total()}: " \
            f"{score.unknown} unknown, {score.wrong} wrong, " \
            f"{score.missing} missing"
        if score.optional:
            counts += f"; {score.optional} told beyond need"
        if score.bad() == 0 and score.right >= least:
            print(f"PASS {title} ({counts})")
            return 0
        print(f"FAIL {title}: {counts}")
        for detail in score.details:
            print("  |", detail)
        return 1

    def sum(self, capture, least, cut):
        """The result line of a load: all of its cases together. `cut`: files
        end before all facts of their last packets can be read."""
        whole = Score()
        for score in [*self.scores.values(), self.stray]:
            whole.right += score.right
            whole.unknown += score.unknown
            whole.wrong += score.wrong
            whole.missing += score.missing
            for detail in score.details:
                whole.tell(detail)
        total = whole.total()
        share = 100 * whole.right / total if total else 0
        print(f"  {capture}: {self.packets} packets, {total} ends on this "
              f"machine, {share:.3f} % known")
        names = ((f"{capture}/wrong", whole.wrong == 0,
                  f"{whole.wrong} of {total}"),
                 (f"{capture}/known", share >= 99.9,
                  f"{whole.unknown} unknown and {whole.missing} missing "
                  f"of {total}"),
                 (f"{capture}/enough", self.packets >= least,
                  f"only {self.packets} packets"))
        failures = 0
        for title, good, why in names:
            print(f"PASS {title}" if good else f"FAIL {title}: {why}")
            failures += not good
        if failures:
            for detail in whole.details:
                print("  |", detail)
        if cut:
            self.facts.missing = 0
        failures += self.line(f"{capture}/facts", self.facts)
        return failures + self.line(f"{capture}/form", self.form)

    def report(self, capture, like=None):
        """The result lines of all cases that `like`, or it, must show."""
        like = like or capture
        if self.mode == "off":
            return self.line(f"{capture}/form", self.form)
        failures = 0
        for case, seen in self.truth.cases.items():
            if like in seen or case in self.scores:
                failures += self.line(f"{capture}/{case}", self.scores[case],
                                      1 if like in seen else 0)
        if self.scores["kernel"].total():
            failures += self.line(f"{capture}/kernel", self.scores["kernel"])
        failures += self.line(f"{capture}/others", self.stray, 0)
        if self.mode in ("both", "comment"):
            print(f"  {capture}: {self.lived} processes could be looked at")
            failures += self.line(f"{capture}/facts", self.facts)
        failures += self.line(f"{capture}/form", self.form)
        return failures
