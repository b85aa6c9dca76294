"""How wrong are our joules? Windows of recordings whose true energy is known exactly, one table.

    python tests/bench/energy_error.py

Records simulated boards with the real recorder process through the simulated NVML library, where that can be built;
otherwise the readings come from the pure-Python simulator of the unit tests. The first line says which.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_TESTS = Path(__file__).resolve().parent.parent
sys.path += [str(_TESTS / "engine" / "nvml"), str(_TESTS / "unit" / "power")]

import sensor_simulator as pure  # noqa: E402
import simulated_nvml as nvml  # noqa: E402

from llem_runner.power.boards import board_facts  # noqa: E402
from llem_runner.power.estimate import Estimator  # noqa: E402
from llem_runner.power.recorder import Recorder  # noqa: E402
from llem_runner.power.series import Series  # noqa: E402
from llem_runner.power.timeline import Timeline  # noqa: E402

RECORDING_S = 20.0
MARGIN_S = 1.5
WINDOWS_S = (1.0, 5.0)
WINDOWS_PER_CELL = 40
PERIOD_S = 0.047

# Each shape lies on an idle floor of 72 W (H100) or 60 W (A100).
SHAPES: dict[str, nvml.Shape] = {
    "constant 300 W": nvml.Constant(watts=228.0),
    "square 0.75 s": nvml.Square(high_w=400.0, period_s=0.75),
    "square 0.2 s": nvml.Square(high_w=400.0, period_s=0.2),
    "ramp 4 s": nvml.Triangle(to_w=400.0, period_s=4.0),
}
BOARDS = {"H100": nvml.h100, "A100": nvml.a100}


@dataclass(frozen=True)
class Recorded:
    """One board's recording: its readings, and the true energy between two moments of the readings' clock."""

    board: str
    shape: str
    name: str
    series: Series
    truth_j: Callable[[float, float], float]
    start_s: float


def record_library(folder: Path) -> list[Recorded]:
    """All shapes on all boards in one real recording. Raises `LibraryNotBuilt`."""
    places = [(board, shape) for board in BOARDS for shape in SHAPES]
    boards = tuple(BOARDS[board](n, power=(SHAPES[shape],)) for n, (board, shape) in enumerate(places))
    settings = nvml.Settings(boards=boards)
    settings.write(folder / "nvml.conf")
    os.environ.update(nvml.simulated_environment(folder / "nvml.conf"))
    path = folder / "power.csv"
    with Recorder.start(path, [board.uuid for board in boards], PERIOD_S) as recorder:
        start_s, offset_s = time.monotonic(), time.time() - time.monotonic()
        time.sleep(RECORDING_S)
        recorder.check()
    devices = Timeline.read(path).devices

    def truth_of(uuid: str) -> Callable[[float, float], float]:
        truth = settings.truth(uuid)
        return lambda from_s, to_s: truth.energy_j(from_s + offset_s, to_s + offset_s)

    return [
        Recorded(kind, shape, board.name, devices[board.uuid], truth_of(board.uuid), start_s)
        for board, (kind, shape) in zip(boards, places, strict=True)
    ]


def record_pure(rng: random.Random) -> list[Recorded]:
    """The same shapes by the pure simulator."""
    curves = {
        "constant 300 W": pure.constant(300),
        "square 0.75 s": pure.square(72, 472, 0.75),
        "square 0.2 s": pure.square(72, 472, 0.2),
        "ramp 4 s": pure.triangle(72, 472, 4.0),
    }
    found = []
    for board in BOARDS:
        lag_s = board_facts(board).counter_lag_ms.middle / 1000
        for shape, curve in curves.items():
            sensor = pure.Sensor(step_phase_s=rng.random(), step_jitter_s=0.0015, lag_s=lag_s)
            series = pure.simulate(curve, sensor, pure.Polls(), RECORDING_S, rng)
            found.append(Recorded(board, shape, board, series, lambda a, b, curve=curve: curve(b) - curve(a), 0.0))
    return found


def rows(recorded: Recorded, rng: random.Random) -> Iterator[str]:
    """One line of the table per window length."""
    estimator = Estimator(recorded.series, board_facts(recorded.name))
    for window_s in WINDOWS_S:
        errors, widths, holds = [], [], 0
        for _ in range(WINDOWS_PER_CELL):
            start_s = recorded.start_s + rng.uniform(MARGIN_S, RECORDING_S - window_s - MARGIN_S)
            found = estimator.energy(start_s, start_s + window_s)
            if found.total_j is None or found.lower_j is None or found.upper_j is None:
                sys.exit(f"{recorded.board}, {recorded.shape}: refused: {found.refusal}")
            truth_j = recorded.truth_j(start_s, start_s + window_s)
            errors.append(100 * abs(found.total_j - truth_j) / truth_j)
            widths.append(100 * (found.upper_j - found.lower_j) / truth_j)
            holds += found.lower_j <= truth_j <= found.upper_j
        yield (
            f"{recorded.board:6} {recorded.shape:16} {window_s:6.0f} s {statistics.mean(errors):9.2f} "
            f"{max(errors):9.2f} {statistics.mean(widths):12.1f} {100 * holds / WINDOWS_PER_CELL:10.0f}"
        )


def main() -> None:
    """Record, slice, print."""
    rng = random.Random(20)
    try:
        with tempfile.TemporaryDirectory() as folder:
            recordings = record_library(Path(folder))
        print(f"Readings: the real recorder on the simulated NVML library, {RECORDING_S:.0f} s")
    except nvml.LibraryNotBuilt as error:
        recordings = record_pure(rng)
        print(f"Readings: the pure-Python simulator ({error})")
    print(f"{WINDOWS_PER_CELL} windows a row; errors and the whole width of the bounds in percent of the truth")
    print("board  shape            window    mean err worst err  bounds width bounds hold %")
    for recorded in recordings:
        for line in rows(recorded, rng):
            print(line)


if __name__ == "__main__":
    main()
