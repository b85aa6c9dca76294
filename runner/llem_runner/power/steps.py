"""When the energy counter stepped, as far as the polls around each step tell. Pure.

polls      |b a|      |b a|      |b a|           b, a: before and after the call that read the counter
counter      c0         c0         c1
the step that brought c1 came somewhere in            (b of the last poll that read c0, a of the first that read c1]
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from llem_runner.power.series import Series

SLOWEST_STEP_S = 2.0
"""No counter is known to step more slowly (20–500 ms): one that does not step for so long stands still."""


@dataclass(frozen=True)
class Steps:
    """Counter steps in order. Step k came in (`earliest_s[k]`, `latest_s[k]`] and left the counter at `counter_j[k]`.

    The first entry is no step that was seen: it is the value found by the first poll.
    """

    earliest_s: array[float] = field(default_factory=lambda: array("d"))
    latest_s: array[float] = field(default_factory=lambda: array("d"))
    counter_j: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.counter_j)

    def last_surely_by(self, time_s: float) -> int:
        """The last step that came surely at or before `time_s`; −1 if none did."""
        return bisect_right(self.latest_s, time_s) - 1

    def first_surely_from(self, time_s: float) -> int:
        """The first step that came surely at or after `time_s`; `len(self)` if none did."""
        return bisect_left(self.earliest_s, time_s)


@dataclass(frozen=True)
class BrokenCounter:
    """Why the counter cannot be believed between `start_s` and `end_s`."""

    start_s: float
    end_s: float
    reason: str


def find_steps(series: Series) -> Steps:
    """The steps of a counter that only grows. Rows without a counter are left out."""
    steps = Steps()
    held_mj = math.nan
    last_before_s = -math.inf
    for before_s, after_s, counter_mj in zip(series.before_s, series.after_s, series.counter_mj, strict=True):
        if math.isnan(counter_mj):
            continue
        if counter_mj != held_mj:
            # A counter that steps at least every two seconds brought this value no longer ago than that.
            steps.earliest_s.append(max(last_before_s, before_s - SLOWEST_STEP_S))
            steps.latest_s.append(after_s)
            steps.counter_j.append(counter_mj / 1000)
        held_mj, last_before_s = counter_mj, before_s
    return steps


def steepest_w(steps: Steps) -> float:
    """The highest mean power that the board surely had between two steps; 0 where there are too few."""
    rises = (
        (steps.counter_j[step] - steps.counter_j[step - 1]) / (steps.latest_s[step] - steps.earliest_s[step - 1])
        for step in range(2, len(steps))
        if steps.latest_s[step] > steps.earliest_s[step - 1]
    )
    return max(rises, default=0.0)


HIGHEST_POWER_W = 20_000.0
"""No single board or module draws so much: a counter that rises faster has jumped."""


def find_breaks(series: Series) -> list[BrokenCounter]:
    """Where the counter went backwards, jumped, or stood still although the board drew power."""
    breaks: list[BrokenCounter] = []
    held: tuple[float, float] | None = None  # since when the counter has held which value
    last_before_s = math.nan
    drew_power = False
    for row, counter_mj in enumerate(series.counter_mj):
        if math.isnan(counter_mj):
            continue
        before_s, after_s = series.before_s[row], series.after_s[row]
        if held is None or counter_mj != held[1]:
            if held is not None:
                breaks.extend(wrong_step(held[1], counter_mj, last_before_s, after_s))
            held, drew_power = (after_s, counter_mj), False
        else:
            drew_power = drew_power or _draws_power(series, row)
            if drew_power and before_s - held[0] > SLOWEST_STEP_S:
                reason = f"the energy counter stood still for {before_s - held[0]:.1f} s although the GPU drew power"
                _extend(breaks, BrokenCounter(held[0], after_s, reason))
        last_before_s = before_s
    return breaks


def wrong_step(held_mj: float, counter_mj: float, since_s: float, until_s: float) -> Sequence[BrokenCounter]:
    """What is wrong with a step from `held_mj` to `counter_mj` between two polls; empty where nothing is."""
    if counter_mj < held_mj:
        reason = f"the energy counter went backwards by {(held_mj - counter_mj) / 1000:.3f} J: the GPU was reset"
        return [BrokenCounter(since_s, until_s, reason)]
    could_be_s = until_s - since_s + SLOWEST_STEP_S
    if counter_mj - held_mj > HIGHEST_POWER_W * could_be_s * 1000:
        reason = f"the energy counter jumped by {(counter_mj - held_mj) / 1000:.0f} J in {until_s - since_s:.3f} s"
        return [BrokenCounter(since_s, until_s, reason)]
    return []


def _draws_power(series: Series, row: int) -> bool:
    """Whether row's power readings speak against a standstill; a board without any is taken to draw power."""
    readings = [series.power_w[row], series.power_average_w[row], series.power_instant_w[row]]
    known = [value for value in readings if not math.isnan(value)]
    return not known or max(known) > 1.0


def _extend(breaks: list[BrokenCounter], found: BrokenCounter) -> None:
    if breaks and breaks[-1].start_s == found.start_s and "still" in breaks[-1].reason:
        breaks[-1] = found
    else:
        breaks.append(found)
