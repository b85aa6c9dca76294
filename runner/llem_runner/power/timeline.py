"""Recorded readings, read back: `out/power.csv` or anybody's file with the same columns. Standard library only."""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from llem_runner.power.readings import SLOW_COLUMNS
from llem_runner.power.series import ABSENT, Series

CLOCK_COLUMNS = ("monotonic_s", "unix_s")
ENERGY_COLUMNS = ("counter_mj", "power_w", "power_average_w", "power_instant_w")
UNKNOWN_READ_S = 0.002
"""Assumed length of the call behind a row, where a timeline does not say (`read_s`)."""


class TimelineError(Exception):
    """A timeline that cannot be read: which file, which line, what is wrong."""


@dataclass(frozen=True)
class Evenness:
    """How evenly a series was read, in seconds: mean period, deviation from its median (p50, p99), largest gap."""

    period_s: float
    jitter_p50_s: float
    jitter_p99_s: float
    largest_gap_s: float


@dataclass(frozen=True)
class Timeline:
    """All devices of a recording. `clock` names the time column: `monotonic_s` or `unix_s`."""

    clock: str
    devices: dict[str, Series]

    @classmethod
    def read(cls, path: Path) -> Timeline:
        """Read a whole file. A torn last line is dropped. Raises `TimelineError`, `OSError`."""
        with path.open(newline="", encoding="utf-8") as stream:
            header = stream.readline()
            return cls._parse(header, _whole_lines(stream), str(path))

    @classmethod
    def read_tail(cls, path: Path, length_bytes: int) -> Timeline:
        """Read only the last `length_bytes` of a file that is still being written."""
        with path.open("rb") as stream:
            header = stream.readline()
            end = stream.seek(0, os.SEEK_END)
            start = max(len(header), end - length_bytes)
            stream.seek(start)
            if start > len(header):
                stream.readline()  # the rest of a line that began earlier
            text = stream.read().decode("utf-8", errors="replace")
        return cls._parse(header.decode("utf-8", errors="replace"), _whole_lines(io.StringIO(text)), str(path))

    @classmethod
    def _parse(cls, header: str, lines: Iterable[str], source: str) -> Timeline:
        return cls.of_rows(header.strip().split(","), enumerate(csv.reader(lines), start=2), source)

    @classmethod
    def of_rows(
        cls, header: Sequence[str], rows: Iterable[tuple[int, Sequence[str]]], source: str, clock: str | None = None
    ) -> Timeline:
        """A timeline from its column names and its rows, each with its line in `source`. An empty row says nothing.

        `clock` is the time column to go by; None takes the first of `CLOCK_COLUMNS` that is there. Raises
        `TimelineError`.
        """
        names = [name.strip() for name in header]
        clock = clock or next((name for name in CLOCK_COLUMNS if name in names), None)
        if clock is None or clock not in names or "device" not in names:
            needed = clock or " or ".join(CLOCK_COLUMNS)
            raise TimelineError(f"{source}:1: the first line must name the columns device and {needed}")
        timeline = cls(clock, {})
        for number, cells in rows:
            if not cells:
                continue
            if len(cells) != len(names):
                raise TimelineError(f"{source}:{number}: {len(cells)} cells where the header has {len(names)}")
            timeline._add(dict(zip(names, cells, strict=True)), f"{source}:{number}")
        return timeline

    def _add(self, row: dict[str, str], where: str) -> None:
        middle_s = _number(row[self.clock], self.clock, where)
        if not math.isfinite(middle_s):
            raise TimelineError(f"{where}: {self.clock} is {row[self.clock]!r}, a time is needed")
        read_s = _number(row.get("read_s", ""), "read_s", where)
        half_s = (UNKNOWN_READ_S if math.isnan(read_s) else read_s) / 2
        device = row["device"].strip()
        series = self.devices.setdefault(device, Series(device))
        series.append(
            middle_s - half_s,
            middle_s + half_s,
            **{name: _number(row.get(name, ""), name, where) for name in ENERGY_COLUMNS},
        )
        for name in SLOW_COLUMNS:
            if row.get(name):
                series.slow.setdefault(name, []).append((middle_s, _number(row[name], name, where)))

    def stats(self, until_s: float = -math.inf) -> Evenness | None:
        """Of the device that was read least evenly; None where no device has three readings.

        From a device's last reading to `until_s`, when reading should have gone on, is a gap as well.
        """
        found = [even for even in (_evenness(series, until_s) for series in self.devices.values()) if even is not None]
        return max(found, key=lambda even: even.largest_gap_s, default=None)


def _evenness(series: Series, until_s: float) -> Evenness | None:
    if len(series) < 3:
        return None
    middles = [(before + after) / 2 for before, after in zip(series.before_s, series.after_s, strict=True)]
    periods = sorted(later - earlier for earlier, later in itertools.pairwise(middles))
    median_s = _quantile(periods, 0.5)
    deviations = sorted(abs(period - median_s) for period in periods)
    return Evenness(
        period_s=(middles[-1] - middles[0]) / (len(middles) - 1),
        jitter_p50_s=_quantile(deviations, 0.5),
        jitter_p99_s=_quantile(deviations, 0.99),
        largest_gap_s=max(periods[-1], until_s - middles[-1]),
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def _whole_lines(stream: Iterable[str]) -> Iterator[str]:
    for line in stream:
        if line.endswith("\n"):
            yield line


def _number(cell: str, name: str, where: str) -> float:
    text = cell.strip()
    if not text:
        return ABSENT
    try:
        value = float(text)
    except ValueError as error:
        raise TimelineError(f"{where}: {name} is {cell!r}, which is no number") from error
    # An infinite or negative reading is no reading: a sensor that says so is broken, not powerful.
    return value if math.isfinite(value) and (value >= 0 or name in CLOCK_COLUMNS) else ABSENT
