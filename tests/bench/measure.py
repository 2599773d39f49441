"""What one capture of one piece of traffic costs: starts and stops captures and
loads, and reads what the kernel has counted of them."""
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.environ["TOP"] + "/tests")
from netns.bpfprog import bpf  # noqa: E402

NEAR = os.environ["A"]
FAR = os.environ["B"]
SCRATCH = os.environ["scratch"]
CACHE = os.environ["cache"]
CGROUP = os.environ["cgroup"]
# With it a program is what EBPFTLS_RUN runs; that itself would take time, too.
OURS = dict(line.split("=", 1) for line in subprocess.run(
    [os.environ["EBPFTLS_RUN"], "env", "-0"], capture_output=True, check=True,
    text=True).stdout.split("\0") if line)
LOAD = os.environ["BUILD"] + "/test/bench-load"

BPF_ENABLE_STATS = 32
NOTHING_ELSE = ",savefile=pcap,process=off,secrets=off"
QUIET = 0.1  # seconds in which a program does nothing that has done all
NOTHING = 0.05  # of them
PATIENCE = 5  # seconds


def near(*command):
    return ["ip", "netns", "exec", NEAR, *map(str, command)]


def environment(ours):
    return OURS if ours else None


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(condition)
        time.sleep(0.01)


def read(path):
    """What is in a file of /proc, which may have gone."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def numbers(pattern, text):
    return [int(n) for n in re.findall(pattern, text, re.M)]


# --- processes -----------------------------------------------------------------


def agents():
    """Those that a capture of this run has started, with their children."""
    return [pid for pid in map(int, read(CGROUP + "/cgroup.procs").split())
            if read(f"/proc/{pid}/comm").startswith("ebpftls-")]


def cpu_time(pids):
    """Nanoseconds that they have run."""
    return sum(int(read(path).split()[0])
               for pid in pids
               for path in glob.glob(f"/proc/{pid}/task/*/schedstat")
               if read(path))


def ended_time(pids):
    """The same of their children that have ended, in ticks of the clock."""
    ticks = sum(sum(map(int, read(f"/proc/{pid}/stat").split()[15:17]))
                for pid in pids)
    return ticks * 1e9 / os.sysconf("SC_CLK_TCK")


def wakeups(pids):
    return sum(sum(numbers(r"^voluntary_ctxt_switches:\s+(\d+)", read(path)))
               for pid in pids
               for path in glob.glob(f"/proc/{pid}/task/*/status"))


def map_memory(pids):
    """Bytes of BPF maps, each counted once."""
    maps = {}
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
            text = read(path)
            for number in numbers(r"^map_id:\s+(\d+)", text):
                maps[number] = sum(numbers(r"^memlock:\s+(\d+)", text))
    return sum(maps.values())


def ring_memory(pid):
    """Bytes of kernel buffers that the kernel does not count as the process's."""
    sizes = 0
    for mapping in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )",
                            read(f"/proc/{pid}/smaps")):
        name = mapping.split("\n", 1)[0]
        if "perf_event" in name or "socket:" in name:
            if sum(numbers(r"^Rss:\s+(\d+)", mapping)) == 0:
                sizes += sum(numbers(r"^Size:\s+(\d+)", mapping)) * 1024
    return sizes


def memory(pid, helpers):
    own = sum(sum(numbers(r"^Pss:\s+(\d+)", read(f"/proc/{p}/smaps_rollup")))
              for p in [pid, *helpers]) * 1024
    return own + ring_memory(pid) + map_memory(helpers)


def interrupts():
    """The threads that do the kernel's work on packets when it is much."""
    return [int(path.split("/")[2]) for path in glob.glob("/proc/[0-9]*/comm")
            if read(path).startswith("ksoftirqd/")]


INTERRUPTS = interrupts()


def program_time(pids):
    """Nanoseconds in BPF programs, while somebody has them counted."""
    programs = {}
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
            text = read(path)
            spent = numbers(r"^run_time_ns:\s+(\d+)", text)
            if spent:  # else it is a link, which names its program, too
                programs[numbers(r"^prog_id:\s+(\d+)", text)[0]] = spent[0]
    return sum(programs.values())


# --- captures ------------------------------------------------------------------


class Capture:
    """A program that captures. what: "null" for the packets alone, to
    /dev/null, or "file" for all there is, to memory."""

    def __init__(self, ours, what="file", program="tcpdump", device="a0",
                 options=()):
        self.file = SCRATCH + "/capture"
        target = self.file if what == "file" else "/dev/null"
        if ours:
            device = "ebpftls:" + device
            if what == "null":
                device += NOTHING_ELSE
        command = [program, "-i", device, "-w", target, *options]
        if program == "tcpdump":
            command.append("-n")
        with open(SCRATCH + "/capture.err", "w") as errors:
            self.process = subprocess.Popen(
                near(*command), env=environment(ours), stderr=errors,
                stdout=subprocess.DEVNULL)
        self.pid = self.process.pid
        wait_until(self.listens)
        self.pids = [self.pid, *(agents() if ours else [])]
        self.settle()

    def said(self):
        return read(SCRATCH + "/capture.err")

    def listens(self):
        if self.process.poll() is not None:
            raise RuntimeError("a capture has ended: " + self.said())
        return "listening on" in self.said() or "File: " in self.said()

    def settle(self):
        """Until it has done all there is; for what other programs of this
        machine do, the agent always has a little."""
        end = time.monotonic() + PATIENCE
        work = QUIET * 1e9
        while work > NOTHING * QUIET * 1e9 and time.monotonic() < end:
            work = cpu_time(self.pids)
            time.sleep(QUIET)
            work = cpu_time(self.pids) - work

    def packets(self):
        """That the interface has seen."""
        text = read(f"/proc/{self.pid}/net/dev")
        fields = re.search(r"a0:(.*)", text).group(1).split()
        return int(fields[1]) + int(fields[9])

    def stop(self):
        """How many packets came and were lost, and the bytes written."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        text = self.said()
        if self.process.returncode != 0:
            raise RuntimeError("a capture has failed: " + text)
        wait_until(lambda: not agents())
        written = (os.path.getsize(self.file)
                   if os.path.exists(self.file) else 0)
        for path in glob.glob(self.file + "*"):
            if not path.endswith(".err"):
                os.unlink(path)
        tcpdump = re.search(r"(\d+) packets? captured\n.*\n"
                            r"(\d+) packets? dropped", text)
        dumpcap = re.search(r"Packets received/dropped .*: (\d+)/(\d+)", text)
        came, lost = map(int, (tcpdump or dumpcap).groups())
        return came, lost, written


def load(kind, amount, rate=0, cpu=-1, connections=8):
    return near(LOAD, kind, amount, FAR, rate, cpu, connections)


def run_loads(*commands):
    """What they say, when all have ended."""
    loads = [subprocess.Popen(c, stdout=subprocess.PIPE) for c in commands]
    said = [one.communicate(timeout=600)[0] for one in loads]
    if any(one.returncode for one in loads):
        raise RuntimeError("a load has failed")
    return [json.loads(text) for text in said]


# --- one measurement -----------------------------------------------------------


def measure(command, capture):
    """What each unit costs the load, and the consumer if it was not lost."""
    pids = capture.pids if capture else []
    soft, consumer, woken = (cpu_time(INTERRUPTS), cpu_time(pids),
                             wakeups(pids[:1]))
    seen = capture.packets() if capture else 0
    said = run_loads(command)[0]
    units = said["units"]
    result = {"rate": units / said["seconds"]}
    soft = cpu_time(INTERRUPTS) - soft
    result["load"] = (said["cpu"] + soft) / units
    result["consumer"] = 0
    if capture:
        capture.settle()
        seen = capture.packets() - seen
        consumer = cpu_time(pids) - consumer
        result["wakeups"] = (wakeups(pids[:1]) - woken) / said["seconds"]
        result["memory"] = memory(capture.pid, pids[1:])
        came, lost, written = capture.stop()
        result["lost"] = lost / max(came + lost, 1)
        result["consumer"] = consumer / (units * max(1 - result["lost"], 1e-6))
        result["bytes"] = written / max(came, 1)
        result["packets"] = seen / units
    result["all"] = result["load"] + result["consumer"]
    return result


def kernel_time(command, capture):
    """Nanoseconds in BPF programs for each packet."""
    stats = bpf(BPF_ENABLE_STATS, "I", 0)
    try:
        before, seen = program_time(capture.pids), capture.packets()
        run_loads(command)
        spent = program_time(capture.pids) - before
        seen = capture.packets() - seen
    finally:
        os.close(stats)
        capture.stop()
    return spent / seen


def drops(rate, ours, what, kind, seconds):
    """Whether packets are lost at that rate, and the rate that was reached."""
    capture = Capture(ours, what)
    cpus = sorted(os.sched_getaffinity(0))[:2]
    amount = int(rate * seconds / len(cpus))
    said = run_loads(*[load(kind, amount, rate / len(cpus), cpu)
                       for cpu in cpus])
    capture.settle()
    lost = capture.stop()[1]
    return lost, sum(one["units"] / one["seconds"] for one in said)


def lossless(ours, what, kind, limit, steps=6, seconds=0.5):
    """The highest rate, by halving, at which nothing is lost."""
    low, high, best = 0, limit, 0
    for _ in range(steps):
        rate = (low + high) / 2 if low else high / 2
        lost, reached = drops(rate, ours, what, kind, seconds)
        if lost:
            high = rate
        else:
            low, best = rate, max(best, reached)
    return best


def first_packet(ours, device="a0"):
    """Seconds from the start of the program to the first packet, all on."""
    device = ("ebpftls:" if ours else "") + device
    command = near("tcpdump", "-i", device, "-U", "-w", "-",
                   "--immediate-mode", "udp")
    start = time.monotonic()
    process = subprocess.Popen(command, env=environment(ours),
                               stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    found = b""
    while b"x" * 20 not in found:
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            raise RuntimeError("a capture has ended")
        found += piece
    took = time.monotonic() - start
    helpers = agents()
    spent = cpu_time([process.pid, *helpers])
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    process.wait(20)
    wait_until(lambda: not agents())
    return took, spent / 1e9


def forget_scans():
    for path in glob.glob(CACHE + "/*"):
        os.unlink(path)
