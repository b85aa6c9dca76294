"""Energy of a span from the energy counter: the estimate, and bounds that hold whatever the power did. Pure.

A step that came at t left the counter at E(t − lag), where E is the energy since some start. E never falls, so

    E(x) ≥ counter of every step with  latest(t)   − lag ≤ x        nothing else is assumed: not the shape of the
    E(x) ≤ counter of every step with  earliest(t) − lag ≥ x        power, not the rhythm of the steps

The lag is the board's own constant, known only as an interval: the bounds are the worst over all of it. Between the
span's two ends it may wander by `LAG_WANDER_S` (a real board's counter is itself computed from sampled power).
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llem_runner.power.boards import Interval
from llem_runner.power.phase import StepTimes
from llem_runner.power.steps import Steps

LAG_WANDER_S = 0.010
_ROUNDING_J = 0.002
"""The counter holds whole millijoules; each end of a difference may be one off."""


class OutsideRecording(Exception):
    """The recorded steps do not reach around the span: says which end, and what is missing."""


@dataclass(frozen=True)
class CounterBounds:
    """Surely `lower_j` ≤ energy ≤ `upper_j`."""

    lower_j: float
    upper_j: float


def counter_bounds(steps: Steps, start_s: float, end_s: float, lag_ms: Interval) -> CounterBounds:
    """Bounds of the energy between `start_s` and `end_s`. Raises `OutsideRecording`."""
    low_s, high_s = lag_ms.low / 1000, lag_ms.high / 1000
    _check_reach(steps, start_s, end_s, low_s, high_s)
    lower_j, upper_j = float("inf"), 0.0
    for lag_s in _lags_that_matter(steps, start_s, end_s, low_s, high_s):
        less_s, more_s = max(low_s, lag_s - LAG_WANDER_S), min(high_s, lag_s + LAG_WANDER_S)
        lower_j = min(lower_j, _at_least(steps, end_s + less_s) - _at_most(steps, start_s + more_s))
        upper_j = max(upper_j, _at_most(steps, end_s + more_s) - _at_least(steps, start_s + less_s))
    return CounterBounds(max(0.0, lower_j - _ROUNDING_J), upper_j + _ROUNDING_J)


def _at_least(steps: Steps, time_s: float) -> float:
    return steps.counter_j[steps.last_surely_by(time_s)]


def _at_most(steps: Steps, time_s: float) -> float:
    return steps.counter_j[steps.first_surely_from(time_s)]


def _check_reach(steps: Steps, start_s: float, end_s: float, low_s: float, high_s: float) -> None:
    if steps.last_surely_by(start_s + low_s) < 0:
        raise OutsideRecording("the span begins before the first reading of the energy counter")
    if steps.first_surely_from(end_s + high_s) >= len(steps):
        raise OutsideRecording("the recording ends before the energy counter had shown all of the span")


def _lags_that_matter(steps: Steps, start_s: float, end_s: float, low_s: float, high_s: float) -> Iterator[float]:
    """One lag for each set of steps that the bounds can choose: between two of these nothing changes."""
    breaks = {low_s, high_s}
    for edge_s in (start_s, end_s):
        for shift_s in (-LAG_WANDER_S, 0.0, LAG_WANDER_S):
            for times in (steps.earliest_s, steps.latest_s):
                breaks.update(time - edge_s - shift_s for time in _between(times, edge_s + shift_s, low_s, high_s))
    ordered = sorted(breaks)
    yield from ordered
    for left, right in itertools.pairwise(ordered):
        yield (left + right) / 2


def _between(times: Sequence[float], edge_s: float, low_s: float, high_s: float) -> Sequence[float]:
    return times[bisect_left(times, edge_s + low_s) : bisect_right(times, edge_s + high_s)]


def counter_estimate(steps: Steps, times: StepTimes, start_s: float, end_s: float, lag_s: float) -> float:
    """The most likely energy between `start_s` and `end_s`: both ends interpolated between timed steps."""
    return _energy_at(steps, times, end_s + lag_s) - _energy_at(steps, times, start_s + lag_s)


def _energy_at(steps: Steps, times: StepTimes, time_s: float) -> float:
    """The counter, interpolated, as it would have been read at `time_s`."""
    after = bisect_right(steps.latest_s, time_s)
    while after < len(steps) and times.at(after) < time_s:
        after += 1
    while after > 1 and times.at(after - 1) >= time_s:
        after -= 1
    if after <= 0:
        return steps.counter_j[0]
    if after >= len(steps):
        return steps.counter_j[-1]
    before_s, after_s = times.at(after - 1), times.at(after)
    if after_s <= before_s:
        return steps.counter_j[after]
    share = min(1.0, max(0.0, (time_s - before_s) / (after_s - before_s)))
    return steps.counter_j[after - 1] + _share_of_energy(steps, times, after, share) * _step_j(steps, after)


def _share_of_energy(steps: Steps, times: StepTimes, step: int, share: float) -> float:
    """Which share of a step's energy had flowed after `share` of its time.

    If the mean power lies between that of the steps on both sides, the power changed from one to the other inside
    this step, and the energy says when. Otherwise nothing is known of the shape: a straight line.
    """
    before_w, own_w, after_w = (_mean_power_w(steps, times, step + offset) for offset in (-1, 0, 1))
    if before_w is None or after_w is None or not own_w or not min(before_w, after_w) < own_w < max(before_w, after_w):
        return share
    changed = (after_w - own_w) / (after_w - before_w)
    flowed_w = before_w * min(share, changed) + after_w * max(0.0, share - changed)
    return flowed_w / own_w


def _mean_power_w(steps: Steps, times: StepTimes, step: int) -> float | None:
    """Mean power over the step; None where it has no beginning that was seen or no length."""
    if not 2 <= step < len(steps):
        return None
    length_s = times.at(step) - times.at(step - 1)
    return _step_j(steps, step) / length_s if length_s > 0 else None


def _step_j(steps: Steps, step: int) -> float:
    return steps.counter_j[step] - steps.counter_j[step - 1]
