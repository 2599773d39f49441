"""Disturbs the wall clock and puts it right again.

  step SECONDS		sets the clock forward; back when standard input ends
  step-twice SECONDS	each time in two halves
  slew PPM SECONDS	lets it run fast for a while, then slow for as long

Says "disturbed" and "restored". Ends with status 77 when the machine refuses.
"""

import ctypes
import select
import sys
import time

ADJ_FREQUENCY = 2
BOUND = 10              # seconds that the clock is wrong at most
BETWEEN = 0.1           # seconds from one half of a step to the other
SCALED_PPM = 65536


class Timex(ctypes.Structure):
    """The beginning of struct timex; the rest is of no interest."""
    _fields_ = [("modes", ctypes.c_uint), ("offset", ctypes.c_long),
                ("freq", ctypes.c_long), ("rest", ctypes.c_long * 40)]


def adjtimex(modes=0, freq=0):
    timex = Timex(modes=modes, freq=freq)
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return timex.freq


def offset():
    """The wall clock's lead over the monotonic clock in ns."""
    def reading():
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        return after - before, wall - (before + after) // 2
    return min(reading() for _ in range(50))[1]


def set_offset(value):
    """Returns by how much it is too late."""
    time.clock_settime_ns(time.CLOCK_REALTIME, time.monotonic_ns() + value)
    return offset() - value


def step(seconds, halves=False):
    right, wrong = offset(), int(seconds) * 10**9
    late = set_offset(right + (wrong // 2 if halves else wrong))
    try:
        if halves:
            time.sleep(BETWEEN)
            set_offset(right - late + wrong)
        print("disturbed", flush=True)
        select.select([sys.stdin], [], [], BOUND)
        if halves:
            set_offset(right - late + wrong // 2)
            time.sleep(BETWEEN)
    finally:
        set_offset(right - late)
    print("restored", offset() - right, "ns off", flush=True)


def step_twice(seconds):
    step(seconds, halves=True)


def slew(ppm, seconds):
    right = adjtimex()
    adjtimex(ADJ_FREQUENCY, right + int(ppm) * SCALED_PPM)
    try:
        print("disturbed", flush=True)
        time.sleep(float(seconds))
        adjtimex(ADJ_FREQUENCY, right - int(ppm) * SCALED_PPM)
        time.sleep(float(seconds))
    finally:
        adjtimex(ADJ_FREQUENCY, right)
    print("restored", flush=True)


if __name__ == "__main__":
    try:
        {"step": step, "step-twice": step_twice,
         "slew": slew}[sys.argv[1]](*sys.argv[2:])
    except PermissionError as error:
        print(f"refused: {error}", flush=True)
        sys.exit(77)
