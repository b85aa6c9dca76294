"""How wrong are our joules, and how wrong are those of others? Side by side, on boards whose energy is known exactly.

    make bench-accuracy                 all cells (about 12 minutes); writes docs/validation.md
    make bench-accuracy ARGS=--quick    a sample of them (under 2 minutes); writes nothing
    make bench-accuracy ARGS=--offline  all cells, computed instead of recorded (2 minutes); llem and Zeus only

Every tool measures the same simulated boards, through the same simulated NVML library, in the same windows, in real
time. `--write` lets a quick run write as well.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_TESTS = Path(__file__).resolve().parents[2]
sys.path += [str(_TESTS / "engine" / "nvml"), str(_TESTS / "support"), str(_TESTS.parent)]

import simulated_nvml as nvml  # noqa: E402
from tests.bench.accuracy import grid, offline, table  # noqa: E402
from tests.bench.accuracy.recording import Bench, Score  # noqa: E402
from tests.bench.accuracy.rivals import RivalMissing, Rivals  # noqa: E402
from tests.bench.accuracy.summary import summary  # noqa: E402
from tests.bench.accuracy.windows import plan  # noqa: E402
from tests.bench.validation.document import write  # noqa: E402
from tests.bench.validation.real_part import real_boards  # noqa: E402


@dataclass(frozen=True)
class Extent:
    """How much is measured: each recording's length, and how many windows of each length it holds."""

    recording_s: float
    windows: dict[float, int]


FULL = Extent(37.0, {0.5: 24, 1.0: 24, 5.0: 6, 30.0: 4})
QUICK = Extent(36.0, {0.5: 12, 1.0: 12, 5.0: 4, 30.0: 2})


def measure(cells: list[grid.Cell], extent: Extent, rng: random.Random) -> list[Score]:
    """Record all cells, with progress on standard error. Raises LibraryNotBuilt, RivalMissing."""
    batches = list(grid.batches(cells))
    _say(f"{len(cells)} boards in {len(batches)} recordings of {extent.recording_s:.0f} s; the tools start …")
    scores: list[Score] = []
    with TemporaryDirectory(prefix="llem-bench-accuracy-") as made:
        Bench.prepare(Path(made))
        with Rivals(grid.BOARDS_AT_ONCE, list(extent.windows)) as rivals:
            bench = Bench(Path(made), rivals, rng)
            for number, batch in enumerate(batches, start=1):
                began_s = time.monotonic()
                windows = plan(extent.recording_s, extent.windows, rng)
                scores += bench.record(batch, windows, extent.recording_s)
                _say(f"recording {number} of {len(batches)}: {time.monotonic() - began_s:.0f} s")
    return scores


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench-accuracy", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one recording: a sample of the cells")
    parser.add_argument(
        "--offline", action="store_true", help="compute what is read, without real time; writes nothing"
    )
    parser.add_argument("--write", action="store_true", help="write docs/validation.md after a quick run as well")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    cells = grid.quick_grid(rng) if arguments.quick else grid.full_grid(rng)
    extent = QUICK if arguments.quick else FULL
    try:
        if arguments.offline:
            scores = list(offline.measure(cells, extent.recording_s, extent.windows, rng))
        else:
            scores = measure(cells, extent, rng)
    except (nvml.LibraryNotBuilt, RivalMissing) as error:
        print(error, file=sys.stderr)
        return 1
    found: dict[str, Any] = {"quick": arguments.quick, "boards": len(cells), **summary(scores)}
    print("\n".join(table.markdown(found)))
    if arguments.write or not (arguments.quick or arguments.offline):
        _say(f"written: {write(accuracy=found, real=real_boards())}")
    return 1 if found["misses"] else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
