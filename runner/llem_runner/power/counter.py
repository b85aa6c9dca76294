"""Energy of a span from the energy counter: the estimate, and bounds that hold whatever the power did. Pure.

A step that came at t left the counter c at E(t − lag), where E is the energy since some start. E never falls, and never
faster than by the board's highest power H (twice what it is rated for, `boards`), so

    E(x) ≥ c − H · max(0, latest(t) − lag − x)       of every step; nothing is assumed of the shape of the power.
    E(x) ≤ c + H · max(0, x − earliest(t) + lag)     The steps are bracketed as in `lock`.

The lag is the board's own constant, known only as an interval: the bounds are the worst over all of it. Between the
span's two ends it may wander by `LAG_WANDER_S` (a real board's counter is itself computed from sampled power).
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from llem_runner.power.boards import Interval
from llem_runner.power.lock import LockedSteps
from llem_runner.power.steps import Steps
from llem_runner.power.times import StepTimes

LAG_WANDER_S = 0.004
"""An H100's steps come 97.8–101.0 ms apart between the 10th and the 90th percentile. If they are what is uneven, and
not the moments that they tell of, the lag wanders by as much: some 2 ms, twice that in the tails."""
_START_REACH_S = 0.05
"""A span may begin so long before the first reading: for that little the highest power bounds it."""
_ROUNDING_J = 0.002
"""The counter holds whole millijoules; each end of a difference may be one off."""


class OutsideRecording(Exception):
    """The recorded steps do not reach around the span: says which end, and what is missing."""


@dataclass(frozen=True)
class CounterBounds:
    """Surely `lower_j` ≤ energy ≤ `upper_j`."""

    lower_j: float
    upper_j: float


@dataclass(frozen=True)
class Counter:
    """The counter of one board: its bracketed steps, the interval of its lag, and the highest power of the board."""

    locked: LockedSteps
    lag_ms: Interval
    highest_w: float

    def bounds(self, start_s: float, end_s: float) -> CounterBounds:
        """Bounds of the energy between `start_s` and `end_s`. Raises `OutsideRecording`."""
        low_s, high_s = self.lag_ms.low / 1000, self.lag_ms.high / 1000
        self._check_reach(start_s + low_s, end_s + high_s)
        lower_j, upper_j = float("inf"), 0.0
        for lag_s in self._lags_that_matter(start_s, end_s, low_s, high_s):
            less_s, more_s = max(low_s, lag_s - LAG_WANDER_S), min(high_s, lag_s + LAG_WANDER_S)
            lower_j = min(lower_j, self.at_least(end_s + less_s) - self.at_most(start_s + more_s))
            upper_j = max(upper_j, self.at_most(end_s + more_s) - self.at_least(start_s + less_s))
        return CounterBounds(max(0.0, lower_j - _ROUNDING_J), upper_j + _ROUNDING_J)

    def at_least(self, time_s: float) -> float:
        """The least that the counter may have stood for at `time_s`, lag left aside."""
        steps, last = self.locked.steps, self.locked.last_surely_by(time_s)
        known_j = steps.counter_j[last] if last >= 0 else -float("inf")
        for step in range(last + 1, min(len(steps), max(self.locked.first_surely_from(time_s), last + 1) + 1)):
            latest_s = self.locked.bracket(step)[1]
            known_j = max(known_j, steps.counter_j[step] - self.highest_w * max(0.0, latest_s - time_s))
        return known_j

    def at_most(self, time_s: float) -> float:
        """The most that the counter may have stood for at `time_s`, lag left aside."""
        steps, first = self.locked.steps, self.locked.first_surely_from(time_s)
        known_j = steps.counter_j[first] if first < len(steps) else float("inf")
        for step in range(max(0, min(self.locked.last_surely_by(time_s), first - 1)), first):
            earliest_s = self.locked.bracket(step)[0]
            known_j = min(known_j, steps.counter_j[step] + self.highest_w * max(0.0, time_s - earliest_s))
        return known_j

    def _check_reach(self, first_s: float, last_s: float) -> None:
        if first_s < self.locked.steps.latest_s[0] - _START_REACH_S:
            raise OutsideRecording("the span begins before the first reading of the energy counter")
        if self.locked.first_surely_from(last_s) >= len(self.locked.steps):
            raise OutsideRecording("the recording ends before the energy counter had shown all of the span")

    def _lags_that_matter(self, start_s: float, end_s: float, low_s: float, high_s: float) -> Iterator[float]:
        """The lags at which a bound can be worst: where one of its straight pieces ends, and between these."""
        breaks = {low_s, high_s, min(high_s, low_s + LAG_WANDER_S), max(low_s, high_s - LAG_WANDER_S)}
        for edge_s in (start_s, end_s):
            for shift_s in (-LAG_WANDER_S, 0.0, LAG_WANDER_S):
                for time_s in self._corners(edge_s + shift_s + low_s, edge_s + shift_s + high_s):
                    breaks.add(min(max(time_s - edge_s - shift_s, low_s), high_s))
        ordered = sorted(breaks)
        yield from ordered
        for left, right in itertools.pairwise(ordered):
            yield (left + right) / 2

    def _corners(self, from_s: float, to_s: float) -> Iterator[float]:
        """Where `at_least` and `at_most` begin and cease to rise, as far as that concerns [from_s, to_s]."""
        steps = self.locked.steps
        first = max(0, bisect_left(steps.latest_s, from_s) - 1)
        for step in range(first, min(len(steps), bisect_right(steps.earliest_s, to_s) + 1)):
            earliest_s, latest_s = self.locked.bracket(step)
            yield earliest_s
            yield latest_s
            for other in (step - 2, step - 1):
                if other >= 0:
                    rise_s = (steps.counter_j[step] - steps.counter_j[other]) / self.highest_w
                    yield latest_s - rise_s
                    yield self.locked.bracket(other)[0] + rise_s


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
