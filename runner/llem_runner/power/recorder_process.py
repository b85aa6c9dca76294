"""The recorder: a process of its own that reads the boards evenly and writes each reading at once.

    python3 -m llem_runner.power.recorder_process --out out/power.csv --period 0.047 … GPU-… GPU-…

    tick     |          |          |     (late)    |        absolute deadlines: one that was missed is left out,
    reads    ▮▮         ▮▮         ▮▮         ▮▮   ▮▮       never made up for by a burst

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
from collections.abc import Sequence
from contextlib import suppress

from llem_runner.contract.failures import ExitCode
from llem_runner.power.counter_watch import CounterWatch
from llem_runner.power.outcomes import GpuLost, SensorsUnavailable
from llem_runner.power.readings import HEADER, as_line
from llem_runner.power.sensors import Sensors

STOPPED, LOST, DISK, UNAVAILABLE = "stopped", "gpu_lost", "disk", "unavailable"
SLOW_EVERY_TICKS = 11
_NICENESS = -10
_PR_SET_PDEATHSIG = 1


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


class _Lifeline:
    """Tells when to end: standard input ended or spoke, or the parent is another one than at the start."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def holds_until(self, deadline_s: float) -> bool:
        """Wait until `deadline_s` of the monotonic clock; False as soon as it is time to end."""
        wait_s = max(0.0, deadline_s - time.monotonic())
        spoke, _, _ = select.select([sys.stdin], [], [], wait_s)
        return not spoke and os.getppid() == self._parent


def _record(
    sensors: Sensors, out: str, uuids: Sequence[str], period_s: float, unix_offset_s: float, lifeline: _Lifeline
) -> None:
    watches: defaultdict[str, CounterWatch] = defaultdict(CounterWatch)
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        _write_whole(file, HEADER)
        tick, deadline_s = 0, time.monotonic()
        while True:
            for place, uuid in enumerate(uuids):
                # Boards take turns with their slow readings, so that no tick has to take all of them.
                due = tick == 0 or (tick + place) % SLOW_EVERY_TICKS == 0
                reading = sensors.read(uuid, slow=due)
                _write_whole(file, as_line(reading, unix_offset_s))
                watches[uuid].look(reading)
            tick += 1
            deadline_s = next_deadline(deadline_s, period_s, time.monotonic())
            if not lifeline.holds_until(deadline_s):
                return
    finally:
        os.close(file)


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
