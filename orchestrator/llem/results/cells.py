"""Numbers, values, names and levels as they stand in a cell of a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llem.printable import on_one_line
from llem.results.statistics import Statistic
from llem_runner.contract.result import Quality

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A table under a title; the lines of a cell are joined by line ends."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def measure(measured: Statistic | None, scale: float = 1.0, count: int = 4) -> str:
    """The mean, times `scale`, with `count` significant digits ± half its 95 % interval where there is one."""
    if measured is None or measured.mean is None:
        return NOTHING
    if measured.ci95_half_width is None:
        return digits(measured.mean * scale, count)
    return f"{digits(measured.mean * scale, count)} ± {digits(measured.ci95_half_width * scale, 2)}"


def digits(value: float, count: int) -> str:
    """`value` with so many significant digits, and never with an exponent where it can be read without one."""
    text = f"{value:.{count}g}"
    return f"{value:.0f}" if "e+" in text else text


def cell(value: Any) -> str:
    """A value of a study file; nothing in it moves the cursor or begins a line."""
    if value is None:
        return NOTHING
    return str(value).lower() if isinstance(value, bool) else on_one_line(str(value))


def short_names(paths: Sequence[str]) -> tuple[str, ...]:
    """The last name of each path where that is clear, the whole path where two would look alike."""
    last = [path.rpartition(".")[2] for path in paths]
    return tuple(name if last.count(name) == 1 else path for path, name in zip(paths, last, strict=True))


def level_of(quality: Quality | None, simulated: bool) -> str:
    """The level, with "simulated" beside it where a simulated board was read."""
    if quality is None:
        return NOTHING
    return quality.level + (", simulated" if simulated else "")
