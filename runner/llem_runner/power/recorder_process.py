"""The recorder: a process of its own that reads the boards evenly and writes each reading at once.

    python3 -m llem_runner.power.recorder_process --out out/power.csv --period 0.047 … GPU-… GPU-…

    tick     |          |          |     (late)    |        absolute deadlines: one that was missed is left out,
    reads    ▮▮         ▮▮         ▮▮         ▮▮   ▮▮       never made up for by a burst

A byte on standard input asks for one reading at once, in between: at the edges of a span, where its energy is decided.
A process and not a thread: the engine's interpreter lock and load do not disturb it, and it does not disturb them. It
ends when its standard input does, when its parent does, or when a board is lost; its last word on standard output is
one JSON line that says why.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import select
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from enum import Enum

from llem_runner.contract.failures import ExitCode
from llem_runner.power.counter_watch import CounterWatch
from llem_runner.power.outcomes import GpuLost, SensorsUnavailable
from llem_runner.power.readings import HEADER, as_line
from llem_runner.power.sensors import Sensors

STOPPED, LOST, DISK, UNAVAILABLE = "stopped", "gpu_lost", "disk", "unavailable"
SLOW_EVERY_TICKS = 11
SOONEST_S, ASKED_EVERY_S = 0.005, 0.1
"""A reading that is asked for so soon after another tells nothing new; and however often somebody asks, as a model does
whose passes take milliseconds, no sensor is to be read in a loop."""
_NICENESS = -10
_PR_SET_PDEATHSIG = 1
_ASKED_BYTES = 4096


def main(arguments: Sequence[str]) -> int:
    """Record until asked to stop; returns the exit code (0 stopped, 6 GPU lost, 1 anything else)."""
    parsed = _parser().parse_args(arguments)
    _tie_to_parent(parsed.parent)
    try:
        with Sensors.open(os.environ) as sensors:
            _record(sensors, parsed.out, parsed.uuids, parsed.period, parsed.unix_offset, _Lifeline(parsed.parent))
    except GpuLost as lost:
        return _last_word(LOST, lost.message, ExitCode.GPU_LOST)
    except SensorsUnavailable as unavailable:
        return _last_word(UNAVAILABLE, unavailable.message, ExitCode.CRASH)
    except OSError as error:
        return _last_word(DISK, f"{parsed.out} cannot be written: {error.strerror}", ExitCode.CRASH)
    return _last_word(STOPPED, "", ExitCode.OK)


class Wake(Enum):
    """Why a wait ended: the next reading is due, one is asked for, or it is time to end."""

    DUE = "due"
    ASKED = "asked"
    OVER = "over"


class _Lifeline:
    """Tells when to read and when to end: standard input ended, or the parent is another one than at the start."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def wait_until(self, deadline_s: float) -> Wake:
        """Wait until `deadline_s` of the monotonic clock, or until the parent says something or is gone."""
        wait_s = max(0.0, deadline_s - time.monotonic())
        spoke, _, _ = select.select([sys.stdin], [], [], wait_s)
        if os.getppid() != self._parent:
            return Wake.OVER
        if not spoke:
            return Wake.DUE
        return Wake.ASKED if os.read(sys.stdin.fileno(), _ASKED_BYTES) else Wake.OVER


def _record(
    sensors: Sensors, out: str, uuids: Sequence[str], period_s: float, unix_offset_s: float, lifeline: _Lifeline
) -> None:
    watches: defaultdict[str, CounterWatch] = defaultdict(CounterWatch)
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def read_all(slow: Collection[str] = ()) -> float:
        """Read and write every board, of `slow` the slow readings as well. Returns when that was."""
        for uuid in uuids:
            reading = sensors.read(uuid, slow=uuid in slow)
            _write_whole(file, as_line(reading, unix_offset_s))
            watches[uuid].look(reading)
        return time.monotonic()

    try:
        _write_whole(file, HEADER)
        tick, deadline_s, asked_s = 0, time.monotonic(), -math.inf
        while True:
            read_s = read_all(_slow_at(tick, uuids))
            tick += 1
            deadline_s = next_deadline(deadline_s, period_s, time.monotonic())
            while (wake := lifeline.wait_until(deadline_s)) is Wake.ASKED:
                now_s = time.monotonic()
                if now_s - read_s >= SOONEST_S and now_s - asked_s >= ASKED_EVERY_S:
                    asked_s, read_s = now_s, read_all()
            if wake is Wake.OVER:
                return
    finally:
        os.close(file)


def _slow_at(tick: int, uuids: Sequence[str]) -> Sequence[str]:
    """Boards take turns with their slow readings, so that no tick but the first has to take all of them."""
    return uuids if tick == 0 else [u for place, u in enumerate(uuids) if (tick + place) % SLOW_EVERY_TICKS == 0]


def next_deadline(last_s: float, period_s: float, now_s: float) -> float:
    """The first moment after `now_s` that is a whole number of periods, at least one, after `last_s`."""
    return last_s + period_s * max(1, math.floor((now_s - last_s) / period_s) + 1)


def _write_whole(file: int, line: str) -> None:
    rest = line.encode()
    while rest:
        # One call as a rule; a disk that fills up takes a part first and says why at the next.
        rest = rest[os.write(file, rest) :]


def _tie_to_parent(parent: int) -> None:
    """End with the parent and with nothing else."""
    # Ctrl-C and SIGTERM reach the whole process group; the runner ends us itself, after its last mark.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # For a parent that ends while a call into NVML hangs, where standard input is never looked at.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(ExitCode.CRASH)
    with suppress(PermissionError):
        os.nice(_NICENESS)


def _last_word(outcome: str, message: str, code: int) -> int:
    with suppress(BrokenPipeError):
        sys.stdout.write(json.dumps({"outcome": outcome, "message": message}) + "\n")
        sys.stdout.flush()
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m llem_runner.power.recorder_process", description=__doc__)
    parser.add_argument("--out", required=True, help="the CSV file to create")
    parser.add_argument("--period", type=float, required=True, help="seconds between readings")
    parser.add_argument("--unix-offset", type=float, required=True, help="realtime less monotonic time, in seconds")
    parser.add_argument("--parent", type=int, required=True, help="the process whose end is ours")
    parser.add_argument("uuids", nargs="+", help="the boards to read")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
