"""What the recorder costs with 8 devices: CPU, evenness, and the speed of what it is recorded beside.

    python tests/bench/recorder_cost.py

The real recorder process on 8 boards of the simulated NVML library, whose calls take little: a real driver's calls take
longer, and most of that time the recorder waits. CPU is the process's own, from /proc, in percent of one core. The
effect is that on a computation of one thread that runs for itself, timed in pairs with and without, in turns.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_TESTS / "engine" / "nvml"))

import simulated_nvml as nvml  # noqa: E402

from llem_runner.power.recorder import Recorder  # noqa: E402
from llem_runner.power.timeline import Evenness, Timeline  # noqa: E402

DEVICES = 8
PERIOD_S = 0.047
RECORDED_S = 30.0
LOADED_CORES = 2
PAIRS = 150
STINT_ROUNDS = 4_000_000
_SPIN = "while True: pass"


@dataclass(frozen=True)
class Cost:
    """CPU share of one core, and how evenly the boards were read."""

    cpu_percent: float
    even: Evenness


def cpu_s(pid: int) -> float:
    """CPU time that a process was given so far, in seconds (the scheduler's own account, in nanoseconds)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


@contextmanager
def busy(cores: int) -> Iterator[None]:
    """So many cores' worth of load beside us."""
    spinning = [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(cores)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def cost(folder: Path, uuids: list[str], name: str) -> Cost:
    """Record for a while and see what it took, start-up left out."""
    path = folder / f"{name}.csv"
    with Recorder.start(path, uuids, PERIOD_S) as recorder:
        begun_s, used_s = time.monotonic(), cpu_s(recorder.pid)
        time.sleep(RECORDED_S)
        share = (cpu_s(recorder.pid) - used_s) / (time.monotonic() - begun_s)
    even = Timeline.read(path).stats()
    if even is None:
        sys.exit("nothing was recorded")
    return Cost(100 * share, even)


def stint() -> tuple[float, float]:
    """Seconds for a fixed piece of work of one thread: by the clock, and of CPU time."""
    wall_s, used_s = time.perf_counter(), time.process_time()
    total = 0
    for number in range(STINT_ROUNDS):
        total += number & 7
    return time.perf_counter() - wall_s, time.process_time() - used_s


def slowdowns(folder: Path, uuids: list[str]) -> tuple[list[float], list[float]]:
    """Ratios of the work's time beside the recorder to its time alone, pair by pair: by the clock, and of CPU time.

    Which comes first is drawn. The recorder stands still in between: starting it anew would cost more than what is
    looked for.
    """
    rng, pairs = random.Random(3), []
    with Recorder.start(folder / "pairs.csv", uuids, PERIOD_S) as recorder:
        for _ in range(PAIRS):
            times = {}
            for recorded in rng.sample([True, False], 2):
                os.kill(recorder.pid, signal.SIGCONT if recorded else signal.SIGSTOP)
                times[recorded] = stint()
            pairs.append([beside / alone for beside, alone in zip(times[True], times[False], strict=True)])
        os.kill(recorder.pid, signal.SIGCONT)
    by_clock, of_cpu = zip(*pairs, strict=True)
    return sorted(by_clock), sorted(of_cpu)


def show_slowdown(name: str, ratios: list[float]) -> None:
    """The median and its 95 % interval by the binomial distribution: what else runs makes single pairs useless."""
    beside = round(0.98 * len(ratios) ** 0.5)
    middle = len(ratios) // 2
    lower, median, upper = (100 * (ratios[at] - 1) for at in (middle - beside, middle, middle + beside))
    print(f"{name:22} {median:+8.2f} % (95 % interval {lower:+.2f} … {upper:+.2f} %, {len(ratios)} pairs)")


def show(name: str, found: Cost) -> None:
    """One line of the table."""
    even = found.even
    milliseconds = (even.period_s, even.jitter_p50_s, even.jitter_p99_s, even.largest_gap_s)
    print(f"{name:22} {found.cpu_percent:8.2f} " + " ".join(f"{1000 * value:10.2f}" for value in milliseconds))


def main() -> None:
    """Idle, beside a load, and the effect on a computation."""
    shape = nvml.Square(high_w=400.0, period_s=0.75)
    boards = tuple(nvml.h100(number, power=(shape,)) for number in range(DEVICES))
    uuids = [board.uuid for board in boards]
    with TemporaryDirectory() as name:
        folder = Path(name)
        nvml.Settings(boards=boards).write(folder / "nvml.conf")
        os.environ.update(nvml.simulated_environment(folder / "nvml.conf"))
        load = os.getloadavg()[0]
        print(f"{DEVICES} devices every {1000 * PERIOD_S:.0f} ms, {RECORDED_S:.0f} s each; {os.cpu_count()} cores, "
              f"load average {load:.1f} before we began")  # fmt: skip
        print(f"{'':22} {'CPU %':>8} {'period ms':>10} {'jitter p50':>10} {'p99':>10} {'worst gap':>10}")
        show("idle", cost(folder, uuids, "idle"))
        with busy(LOADED_CORES):
            show(f"beside {LOADED_CORES} busy cores", cost(folder, uuids, "busy"))
        by_clock, of_cpu = slowdowns(folder, uuids)
    print("A computation of one thread, beside the recorder or alone:")
    show_slowdown("longer by the clock", by_clock)
    show_slowdown("more CPU time", of_cpu)


if __name__ == "__main__":
    main()
