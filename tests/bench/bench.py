"""What ours costs beside the system's tcpdump and dumpcap, in turn on the same
traffic: as a test of a few cases, or ("all") everything, as tables and JSON.

A case is KIND/MODE: packets alone to /dev/null ("null"), or with processes,
order and secrets to a file in memory ("file"). Then rate/KIND/MODE, rejected,
kernel, opening, listing, idle, and what grows: interfaces, connections,
processes, libraries."""
import json
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import time

import measure as m

# kind: units of one run to /dev/null and to a file, which is what memory holds
AMOUNTS = {
    "udp-64": (600000, 600000),
    "udp-512": (600000, 600000),
    "udp-1514": (600000, 400000),
    "udp-64k": (60000, 20000),
    "tcp-bulk": (60000, 20000),
    "tcp-requests": (100000, 100000),
    "tcp-connections": (12000, 12000),
    "tls-handshakes": (2000, 2000),
    "tls-bulk": (60000, 60000),
}
DUMPCAP = ("udp-64", "udp-1514", "tcp-bulk")
LIMITS = {"udp-64": 1600000, "udp-512": 1600000, "udp-1514": 1400000,
          "udp-64k": 160000}

# kind: units of one run of the test
SHORT = {"udp-64": 100000, "udp-1514": 80000, "tcp-requests": 20000}
GROSS = 2  # times the CPU time of tcpdump: a wake-up for each packet costs more

results = {}


def median(values):
    return statistics.median(values)


def say(text):
    print(text, flush=True)


# --- in turn -------------------------------------------------------------------


def rounds(count, ways):
    """ways: name -> function, called in turn. The results by name."""
    found = {name: [] for name in ways}
    for _ in range(count):
        for name, way in ways.items():
            found[name].append(way())
    return found


def ratio(found, key=lambda x: x):
    """The median over the rounds of what ours is, in times of stock."""
    return median([key(o) / key(s) if key(s) else float("nan")
                   for o, s in zip(found["ours"], found["stock"])])


def amount_of(kind, mode):
    return AMOUNTS[kind][mode == "file"]


def cost_ways(command, mode, program="tcpdump", device="a0", options=()):
    def way(ours):
        return lambda: m.measure(command, m.Capture(ours, mode, program,
                                                    device, options))
    return {"stock": way(False), "ours": way(True)}


def all_ways(command, *capture, **options):
    """Without any capture, too."""
    return {"none": lambda: m.measure(command, None),
            **cost_ways(command, *capture, **options)}


COLUMNS = (("rate", "units/s", 1), ("load", "load ns", 1),
           ("consumer", "cons. ns", 1), ("all", "all ns", 1),
           ("lost", "lost %", 100), ("wakeups", "wakes/s", 1),
           ("memory", "MB", 1e-6), ("bytes", "B/packet", 1))


def row(name, runs):
    values = {key: median([r[key] for r in runs]) if key in runs[0] else None
              for key, _, _ in COLUMNS}
    cells = ["-" if values[key] is None else
             f"{values[key] * factor:.{2 if key == 'lost' else 0}f}"
             for key, _, factor in COLUMNS]
    say(f"  {name:10}" + "".join(f"{cell:>11}" for cell in cells))
    return values


def cost(name, count, program="tcpdump"):
    kind, mode = name.split("/")[:2]
    command = m.load(kind, amount_of(kind, mode))
    found = rounds(count, all_ways(command, mode, program))
    say(f"{name}\n  {'':10}" +
        "".join(f"{title:>11}" for _, title, _ in COLUMNS))
    table = {way: row(way, runs) for way, runs in found.items()}
    table["all ratio"] = ratio(found, lambda r: r["all"])
    table["consumer ratio"] = ratio(found, lambda r: r["consumer"])
    none = table["none"]["all"]
    table["added ratio"] = ((table["ours"]["all"] - none) /
                            (table["stock"]["all"] - none))
    for way in ("stock", "ours"):
        table[f"slow-down {way}"] = median(
            [r["rate"] / n["rate"]
             for r, n in zip(found[way], found["none"])])
    say("  ours/stock: all {all ratio:.2f}, added {added ratio:.2f}, "
        "consumer {consumer ratio:.2f}; load's speed with stock "
        "{slow-down stock:.2f}, ours {slow-down ours:.2f}".format(**table))
    return table


def rate(name, count):
    _, kind, mode = name.split("/")
    found = rounds(count, {
        "stock": lambda: m.lossless(False, mode, kind, LIMITS[kind]),
        "ours": lambda: m.lossless(True, mode, kind, LIMITS[kind])})
    return pair(name, found, "packets/s without loss")


def pair(name, found, unit, factor=1):
    table = {way: median(values) * factor for way, values in found.items()}
    table["ratio"] = ratio(found)
    say(f"{name}: stock {table['stock']:.4g}, ours {table['ours']:.4g} {unit}, "
        f"ours/stock {table['ratio']:.2f}")
    return table


# --- single questions ----------------------------------------------------------


def rejected(name, count):
    """What the load has to bear for packets that nobody wants."""
    options = ("tcp", "port", "443")
    command = m.load("udp-64", amount_of("udp-64", "file"))
    found = rounds(count, all_ways(command, "file", options=options))
    none = median([r["load"] for r in found.pop("none")])
    added = {way: [r["load"] - none for r in runs]
             for way, runs in found.items()}
    table = pair(name, added, "ns added to a packet")
    table["wakeups"] = median([r["wakeups"] for r in found["ours"]])
    say(f"  wakeups/s of ours: {table['wakeups']:.0f}")
    return table


def kernel(name, count):
    """Nanoseconds of BPF programs for a packet of each kind."""
    table = {}
    for kind, (_, amount) in AMOUNTS.items():
        command = m.load(kind, amount)
        for mode in ("null", "file"):
            table[f"{kind}/{mode}"] = median(
                [m.kernel_time(command, m.Capture(True, mode))
                 for _ in range(min(count, 3))])
        say(f"{name}: {kind}: {table[kind + '/null']:.0f} ns a packet, with "
            f"all on {table[kind + '/file']:.0f} ns")
    return table


class Beside:
    """A command that runs beside what is measured."""

    def __init__(self, command, ready=False):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE,
                                        start_new_session=True)
        if ready:
            self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def trickle():
    return Beside(m.load("udp-64", 10**9, 1000))


def processes(number):
    return Beside(m.near(m.LOAD, "processes", number), ready=True)


def opening_ways(device="a0"):
    return {"stock": lambda: m.first_packet(False, device)[0],
            "ours": lambda: m.first_packet(True, device)[0]}


def cold():
    m.forget_scans()
    return m.first_packet(True)[0]


def opening(name, count):
    with trickle(), processes(300):
        cold_runs = [cold() for _ in range(3)]
        table = pair(name, rounds(2 * count, opening_ways()),
                     "ms to the first packet, 300 processes, warm", 1e3)
    table["cold"] = median(cold_runs) * 1e3
    say(f"  cold: {table['cold']:.0f} ms")
    return table


def list_devices(ours):
    start = time.monotonic()
    subprocess.run(m.near("tcpdump", "-D"), env=m.environment(ours),
                   stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - start


def listing(name, count):
    ways = {"stock": lambda: list_devices(False),
            "ours": lambda: list_devices(True)}
    return pair(name, rounds(4 * count, ways), "ms", 1e3)


def idle_wakeups(ours, seconds=5):
    """Of the program, and of its agent, which hears of all processes."""
    capture = m.Capture(ours)
    pids = capture.pids[:1], capture.pids[1:]
    before = [m.wakeups(some) for some in pids]
    time.sleep(seconds)
    woken = [m.wakeups(some) - b for some, b in zip(pids, before)]
    capture.stop()
    return [number / seconds for number in woken]


def idle(name, count):
    del count
    table = {"stock": idle_wakeups(False)[0]}
    table["ours"], table["agent"] = idle_wakeups(True)
    say(f"{name}: stock {table['stock']:.1f}, ours {table['ours']:.1f} "
        f"wakeups/s, its agent {table['agent']:.1f}")
    return table


# --- what grows ----------------------------------------------------------------


def links(wanted):
    """The namespace has so many interfaces, lo and a0 among them: pairs."""
    pairs = range((wanted - 2) // 2)
    text = "".join(f"link add d{i} up type veth peer name e{i}\n"
                   f"link set e{i} up\n" for i in pairs)
    subprocess.run(["ip", "-n", m.NEAR, "-batch", "-"], input=text.encode(),
                   check=True)


def no_links(wanted):
    text = "".join(f"link del d{i}\n" for i in range((wanted - 2) // 2))
    subprocess.run(["ip", "-n", m.NEAR, "-batch", "-"], input=text.encode(),
                   check=True)


def interfaces(name, count):
    table = {}
    for number in (2, 16, 64):
        links(number)
        with trickle():
            found = rounds(count, opening_ways("any"))
            table[f"{number} opening"] = pair(
                f"{name}: {number} with any", found, "ms to the first packet",
                1e3)
        command = m.load("udp-512", amount_of("udp-512", "null"))
        found = rounds(count, cost_ways(command, "null", device="any"))
        table[f"{number} cost"] = pair(
            f"{name}: {number} with any",
            {way: [r["all"] for r in runs] for way, runs in found.items()},
            "ns a packet in all")
        no_links(number)
    return table


def connections(name, count):
    table = {}
    for number in (10, 100, 1000, 10000):
        command = m.load("tcp-requests", amount_of("tcp-requests", "file"),
                         connections=number)
        found = rounds(count, cost_ways(command, "file"))
        table[number] = pair(
            f"{name}: {number}",
            {way: [r["all"] for r in runs] for way, runs in found.items()},
            "ns a request in all")
    return table


def growing_processes(name, count):
    table = {}
    for number in (10, 300, 2000):
        with trickle(), processes(number):
            m.first_packet(True)
            table[number] = pair(f"{name}: {number}",
                                 rounds(count, opening_ways()),
                                 "ms to the first packet, warm", 1e3)
    return table


class Libraries:
    """Files of TLS code that differ, which this process has mapped."""

    def __init__(self, number):
        self.folder = m.SCRATCH + "/libraries"
        os.mkdir(self.folder)
        self.maps = [self.map(i) for i in range(number)]

    def map(self, i):
        path = f"{self.folder}/libssl-{i}.so"
        shutil.copy(self.original(), path)
        with open(path, "ab+") as file:
            file.write(b"%d" % i)
            file.flush()
            return mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE,
                             mmap.PROT_READ | mmap.PROT_EXEC)

    @staticmethod
    def original():
        said = subprocess.run(["ldd", m.LOAD], stdout=subprocess.PIPE,
                              check=True, text=True).stdout
        return next(line.split()[2] for line in said.splitlines()
                    if "libssl" in line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.maps:
            one.close()
        shutil.rmtree(self.folder)


def scan(forget):
    """Until all that is there is hooked: seconds, and those of CPU time."""
    if forget:
        m.forget_scans()
    start = time.monotonic()
    capture = m.Capture(True)
    took = time.monotonic() - start - m.QUIET
    spent = (m.cpu_time(capture.pids) + m.ended_time(capture.pids)) / 1e9
    capture.stop()
    return took, spent


def libraries(name, count):
    table = {}
    for number in (1, 50, 500):
        with Libraries(number):
            runs = {way: [scan(way == "cold") for _ in range(min(count, 3))]
                    for way in ("cold", "warm")}
        table[number] = {way: [1e3 * median(column) for column in zip(*values)]
                         for way, values in runs.items()}
        say(f"{name}: {number}: " + ", ".join(
            f"{way} {took:.0f} ms, CPU {spent:.0f} ms"
            for way, (took, spent) in table[number].items()))
    return table


# --- the whole -----------------------------------------------------------------


def cases():
    """name -> function of the name and how many rounds."""
    found = {f"{kind}/{mode}": cost for kind in AMOUNTS
             for mode in ("null", "file")}
    for kind in DUMPCAP:
        found[f"{kind}/file/dumpcap"] = (
            lambda name, count: cost(name, count, "dumpcap"))
    found.update({f"rate/{kind}/{mode}": rate for kind in LIMITS
                  for mode in ("null", "file")})
    found.update({
        "rejected": rejected, "kernel": kernel, "opening": opening,
        "listing": listing, "idle": idle, "interfaces": interfaces,
        "connections": connections, "processes": growing_processes,
        "libraries": libraries})
    return found


def everything(wanted):
    count = int(os.environ.get("ROUNDS", "5"))
    m.Capture(True).stop()  # the scan cache is warm from now on
    for name, function in cases().items():
        if not wanted or any(name.startswith(w) for w in wanted):
            few = name.startswith("rate/")
            results[name] = function(name, min(count, 3) if few else count)
    path = os.environ["BUILD"] + "/bench.json"
    with open(path, "w") as file:
        json.dump(results, file, indent=1)
    say(f"(all of it: {path})")


def short():
    failed = False
    m.Capture(True).stop()
    for kind, amount in SHORT.items():
        ways = cost_ways(m.load(kind, amount), "file")
        found = ratio(rounds(3, ways), lambda r: r["all"])
        if found < GROSS:
            say(f"PASS cost/{kind}: {found:.2f} times that of tcpdump")
        else:
            say(f"FAIL cost/{kind}: {found:.2f} times the CPU time of tcpdump")
            failed = True
    return failed


if __name__ == "__main__":
    if sys.argv[1:2] == ["all"]:
        everything(sys.argv[2:])
    else:
        sys.exit(short())
