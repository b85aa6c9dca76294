"""`power.parquet` of 8 devices over an hour: its size, and how long the host takes to write it.

    python tests/bench/timeline_file.py

The readings are made up (a power that wanders, a counter that follows it) and written as the recorder writes them.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

_TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_TESTS / "support"))

import pandas  # noqa: E402
from results_factory import result_record  # noqa: E402

from llem.results.timeline import save_timeline  # noqa: E402
from llem_runner.contract import ExperimentResult  # noqa: E402
from llem_runner.power.readings import HEADER, NOT_READ, Reading, Slow, as_line  # noqa: E402
from llem_runner.power.recorder_process import SLOW_EVERY_TICKS  # noqa: E402

DEVICES = 8
SECONDS = 3600.0
PERIOD_S, STEP_S, READ_S = 0.047, 0.09998, 2e-4
UNIX_OFFSET_S = 1.76e9
REPEATS = 3


class Board:
    """A board whose power wanders and whose counter follows."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.uuid = f"GPU-51300000-1111-4000-8000-00000000000{number}"
        self._rng, self._phase_s = rng, rng.uniform(0, STEP_S)
        self._step, self._counter_mj, self._watts = 0, 16_289_038_079_240 + number, 400.0

    def read(self, now_s: float, slow: bool) -> Reading:
        """What it says at `now_s`."""
        rng = self._rng
        while self._step < int((now_s + self._phase_s) / STEP_S):
            self._step += 1
            self._watts = min(700.0, max(70.0, self._watts + rng.gauss(0, 15)))
            self._counter_mj += int(self._watts * STEP_S * 1000)
        seen = Slow(50 + rng.randrange(3), 1980 - 15 * rng.randrange(4), 2619, rng.randrange(90, 101), 70 * 2**30, 4, 1)
        return Reading(
            self.uuid,
            now_s,
            now_s + READ_S + rng.uniform(0, 5e-5),
            self._counter_mj,
            power_average_w=round(self._watts + rng.gauss(0, 2), 3),
            power_instant_w=round(self._watts, 3),
            slow=seen if slow else NOT_READ,
        )


def lines(rng: random.Random) -> Iterator[str]:
    """The whole `power.csv`."""
    boards = [Board(number, rng) for number in range(DEVICES)]
    yield HEADER
    for tick in range(int(SECONDS / PERIOD_S)):
        tick_s = tick * PERIOD_S + rng.gauss(0, 4e-5)
        for place, board in enumerate(boards):
            due = tick == 0 or (tick + place) % SLOW_EVERY_TICKS == 0
            yield as_line(board.read(15_000.0 + tick_s + place * READ_S, due), UNIX_OFFSET_S)


def main() -> None:
    """Write it, convert it, read it back, and say what that took."""
    result = ExperimentResult.model_validate(result_record())
    with TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        source, kept = folder / "out" / "power.csv", folder / "power.parquet"
        source.parent.mkdir()
        with source.open("w") as file:
            file.writelines(lines(random.Random(7)))
        wall_s, cpu_s = [], []
        for _ in range(REPEATS):
            wall, cpu = time.perf_counter(), time.process_time()
            problem = save_timeline(folder, result)
            wall_s.append(time.perf_counter() - wall)
            cpu_s.append(time.process_time() - cpu)
            if problem:
                sys.exit(problem)
        start = time.perf_counter()
        rows = len(pandas.read_parquet(kept))
        read_s = time.perf_counter() - start
        csv_bytes, kept_bytes = source.stat().st_size, kept.stat().st_size
    print(f"{DEVICES} devices × {SECONDS / 3600:.0f} h: {rows:,} readings")
    print(f"power.csv        {csv_bytes / 1e6:7.1f} MB   {csv_bytes / rows:5.1f} bytes a reading")
    print(f"power.parquet    {kept_bytes / 1e6:7.1f} MB   {kept_bytes / rows:5.1f} bytes a reading")
    print(f"written in       {min(wall_s):7.2f} s    best of {REPEATS}; {min(cpu_s):.2f} s of one core")
    print(f"read by pandas in{read_s:7.2f} s")


if __name__ == "__main__":
    main()
