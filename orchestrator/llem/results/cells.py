"""Numbers, values, names and levels as they stand in a cell of a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llem.results.statistics import Statistic
from llem_runner.contract.result import Quality

NOTHING = "–"


def measure(measured: Statistic | None, scale: float = 1.0) -> str:
    """The mean, times `scale`, ± half its 95 % interval where there is one."""
    if measured is None or measured.mean is None:
        return NOTHING
    if measured.ci95_half_width is None:
        return digits(measured.mean * scale, 4)
    return f"{digits(measured.mean * scale, 4)} ± {digits(measured.ci95_half_width * scale, 2)}"


def digits(value: float, count: int) -> str:
    """`value` with so many significant digits, and never with an exponent where it can be read without one."""
    text = f"{value:.{count}g}"
    return f"{value:.0f}" if "e+" in text else text


def cell(value: Any) -> str:
    """A value of a study file."""
    if value is None:
        return NOTHING
    return str(value).lower() if isinstance(value, bool) else str(value)


def short_names(paths: Sequence[str]) -> tuple[str, ...]:
    """The last name of each path where that is clear, the whole path where two would look alike."""
    last = [path.rpartition(".")[2] for path in paths]
    return tuple(name if last.count(name) == 1 else path for path, name in zip(paths, last, strict=True))


def level_of(quality: Quality | None, simulated: bool) -> str:
    """The level, with "simulated" beside it where a simulated board was read."""
    if quality is None:
        return NOTHING
    return quality.level + (", simulated" if simulated else "")
