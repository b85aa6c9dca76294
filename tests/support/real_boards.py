"""Recordings of real boards in `tests/data/power`: readings, an external meter's energy, counters read at edges."""

from __future__ import annotations

import csv
import gzip
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llem_runner.power.series import Series
from llem_runner.power.timeline import Timeline

FOLDER = Path(__file__).parents[1] / "data" / "power"


@dataclass(frozen=True)
class Trace:
    """A recording. `gain` is given: fitted to the steady parts by those who published it (the folder's README)."""

    name: str
    board: str
    gain: float

    def series(self) -> Series:
        """The readings as they were polled."""
        path = FOLDER / "timelines" / f"{self.name}.csv.gz"
        with gzip.open(path, "rt", newline="") as stream:
            rows = list(csv.reader(stream))
        return Timeline.of_rows(rows[0], enumerate(rows[1:], start=2), str(path)).devices["0"]

    def spans(self) -> list[Span]:
        """The spans of `spans.csv`, with the meter's energy."""
        with (FOLDER / "spans.csv").open(newline="") as stream:
            return [
                Span(row["kind"], float(row["start_unix_s"]), float(row["end_unix_s"]), float(row["truth_j"]))
                for row in csv.DictReader(stream)
                if row["trace"] == self.name
            ]

    def meter(self) -> tuple[Callable[[float], float], float, float]:
        """The meter's energy since it began as a function of time, and its first and last moment."""
        with gzip.open(FOLDER / "meter" / f"{self.name}.csv.gz", "rt", newline="") as stream:
            rows = [(float(row["unix_s"]), float(row["energy_j"])) for row in csv.DictReader(stream)]
        times_s, energies_j = [time_s for time_s, _ in rows], [energy_j for _, energy_j in rows]

        def energy_j(time_s: float) -> float:
            after = min(max(bisect_right(times_s, time_s), 1), len(rows) - 1)
            share = (time_s - times_s[after - 1]) / (times_s[after] - times_s[after - 1])
            return energies_j[after - 1] + (energies_j[after] - energies_j[after - 1]) * share

        return energy_j, times_s[0], times_s[-1]


@dataclass(frozen=True)
class Span:
    """A span and the meter's energy of it, which is right to about ±(1 % + 2 W)."""

    kind: str
    start_s: float
    end_s: float
    truth_j: float

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def meter_error_j(self) -> float:
        return 0.01 * self.truth_j + 2.0 * self.length_s


TRACES = (
    Trace("a100_step", "NVIDIA A100-PCIE-40GB", 0.9609),
    Trace("rtx3090_step", "NVIDIA GeForce RTX 3090", 0.9532),
)


@dataclass(frozen=True)
class Edges:
    """A load, and the counter as it was read just before it, at both its ends, and 6 s after it."""

    board: str
    nominal_s: float
    start_s: float
    end_s: float
    counters_mj: tuple[int, int, int, int]


def counter_edges() -> list[Edges]:
    """All loads of `counter_edges.csv`; times are the monotonic clock's."""
    with (FOLDER / "counter_edges.csv").open(newline="") as stream:
        return [
            Edges(
                row["device"],
                float(row["nominal_load_s"]),
                int(row["load_on_ns"]) / 1e9,
                int(row["load_off_ns"]) / 1e9,
                tuple(int(row[f"counter_{when}_mj"]) for when in ("before", "on", "off", "after")),  # type: ignore[arg-type]
            )
            for row in csv.DictReader(stream)
        ]


LOAD_POWER_W = {
    "NVIDIA H100 80GB HBM3": 279.3,
    "NVIDIA A100-SXM4-80GB": 155.0,
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": 359.2,
}
"""From the differences between loads of 5 s and 2 s (the folder's README); good to about 1.5 % for 0.25–2 s."""
