"""Energy of spans of a recorded timeline, for `llem energy`: one entry a span and device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.errors import UsageError
from llem.printable import on_one_line
from llem.results.recorded_timeline import open_table
from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator, SpanEnergy
from llem_runner.power.gain import Gain
from llem_runner.power.timeline import CLOCK_COLUMNS, Timeline


@dataclass(frozen=True)
class Spans:
    """Spans as (start, end) in seconds of the clock that the column `clock` of a timeline shows, in their order."""

    clock: str
    spans: tuple[tuple[float, float], ...]


def read_spans(path: Path, clocks: Sequence[str]) -> Spans:
    """Spans from a CSV file with `start_unix_s,end_unix_s` or `start_monotonic_s,end_monotonic_s`, by the first of
    `clocks` that it has. Other columns are ignored. Raises UsageError: where, and what.
    """
    with open_table(path) as (header, rows):
        clock = next((name for name in clocks if {f"start_{name}", f"end_{name}"} <= set(header)), None)
        if clock is None:
            raise UsageError(on_one_line(_no_clock(path, header, clocks)))
        start, end = header.index(f"start_{clock}"), header.index(f"end_{clock}")
        spans = []
        for line, cells in rows:
            if not cells:
                continue
            if len(cells) != len(header):
                message = f"{path}:{line}: {len(cells)} cells where the header has {len(header)}"
                raise UsageError(on_one_line(message))
            spans.append(
                (_seconds(cells[start], header[start], path, line), _seconds(cells[end], header[end], path, line))
            )
            if spans[-1][1] < spans[-1][0]:
                raise UsageError(on_one_line(f"{path}:{line}: the span ends before its start"))
    return Spans(clock, tuple(spans))


def clocks_of(path: Path) -> tuple[str, ...]:
    """The time columns of a timeline, the one that is best to go by first. Raises UsageError where there is none."""
    if path.suffix == ".parquet":
        names: Sequence[str] = _parquet_columns(path)
    else:
        with open_table(path) as (header, _):
            names = header
    clocks = tuple(clock for clock in CLOCK_COLUMNS if clock in names)
    if not clocks or "device" not in names:
        missing = "device" if clocks else " or ".join(CLOCK_COLUMNS)
        raise UsageError(on_one_line(f"{path}:1: there is no column {missing}"))
    return clocks


def span_energies(timeline: Timeline, spans: Spans, board: str, gain: Gain) -> Iterator[dict[str, Any]]:
    """For each span in order one entry per device, as `llem energy --json` prints it."""
    facts = board_facts(board)
    estimators = [Estimator(series, facts) for series in timeline.devices.values()]
    for start_s, end_s in spans.spans:
        for estimator in estimators:
            yield _entry(gain.applied(estimator.energy(start_s, end_s)), gain)


def _entry(found: SpanEnergy, gain: Gain) -> dict[str, Any]:
    span = {"start": found.start_s, "end": found.end_s, "device": found.device}
    if found.refusal is not None:
        return {**span, "refused": found.refusal}
    return {
        **span,
        "energy_j": found.total_j,
        "lower_j": found.lower_j,
        "upper_j": found.upper_j,
        "method": found.method,
        "systematic_percent": gain.uncertainty_percent,
    }


def _no_clock(path: Path, header: Sequence[str], clocks: Sequence[str]) -> str:
    pairs = " or ".join(f"start_{clock},end_{clock}" for clock in clocks)
    other = [name for name in CLOCK_COLUMNS if name not in clocks and f"start_{name}" in header]
    if other:
        return f"{path}:1: the spans go by {other[0]}, the timeline by {clocks[0]}: columns {pairs} are needed"
    return f"{path}:1: there are no columns {pairs}"


def _seconds(cell: str, name: str, path: Path, line: int) -> float:
    try:
        seconds = float(cell)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise UsageError(on_one_line(f"{path}:{line}: {name} is {cell!r}, a time in seconds is needed"))
    return seconds


def _parquet_columns(path: Path) -> list[str]:
    import pyarrow
    from pyarrow import parquet

    try:
        return list(parquet.read_schema(path).names)
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(on_one_line(f"{path}: this is no Parquet file that can be read ({error})")) from error
