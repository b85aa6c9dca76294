"""The lag of a counter, learnt from the power readings beside it, where a board's family leaves it wide open. Pure.

power            ________/‾‾‾‾‾‾‾‾‾‾\\_______
power readings   _________/‾‾‾‾‾‾‾‾‾‾\\______       each is the mean of a window that ended just before it appeared
counter's rise   _____________/‾‾‾‾‾‾‾‾‾‾\\__       late by the lag

Both tell of one power. The lag at which they agree best is the likeliest, and how fast they disagree beside it says how
likely any other is: used is the mean over the family's interval, weighted by that. A steady load tells nothing and
leaves the interval's middle. Bounds cover the whole interval, whatever was learnt.
"""

from __future__ import annotations

import heapq
import itertools
import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llem_runner.power.boards import BoardFacts
from llem_runner.power.steps import Steps
from llem_runner.power.times import StepTimes
from llem_runner.power.updates import PowerUpdates

_READINGS_LATE_S = 0.005
"""An A100's and an RTX 3090's readings fit an external meter best with 0–5 ms between a window and its reading, where
clocks agree to 5 ms (`tests/data/power`)."""
_TRIED_EVERY_S = 0.005
_BLOCK_READINGS, _MOST_BLOCKS = 50, 16
"""Of hours of readings those blocks are taken in which the power varies most."""
_VARIES = 0.05
"""Share of the highest power by which it has to vary for a block to tell anything."""
_NOISE = 0.01
"""Share of the mean by which readings and the counter may disagree under any load."""
_COUNTS_AS = 0.5
"""How many readings one counts as: what the counter does not show of a change, two or three miss alike."""
_STEPS_THAT_TELL = 100


class _Renewal(NamedTuple):
    """A reading, and when it was renewed."""

    time_s: float
    power_w: float


def learnt_lag_ms(steps: Steps, times: StepTimes, updates: PowerUpdates | None, facts: BoardFacts) -> float:
    """The counter's likeliest lag in its family's interval; the interval's middle where nothing tells of another.

    Nothing tells of an interval that is no wider than that of the readings' own lag, nor do averages over a second.
    """
    lag, power_lag = facts.counter_lag_ms, facts.power_lag_ms
    if updates is None or updates.method != "power" or lag.high - lag.low <= power_lag.high - power_lag.low:
        return lag.middle
    tried = round((lag.high - lag.low) / 1000 / _TRIED_EVERY_S)
    lags_s = [(lag.low + (lag.high - lag.low) * n / tried) / 1000 for n in range(tried + 1)]
    window_s = facts.instant_window_ms.middle / 1000
    reach_s = lag.high / 1000 + window_s
    blocks = _telling_blocks(steps, updates, _renewed_every_s(times, len(steps)), reach_s)
    if not blocks:
        return lag.middle
    missed = [0.0] * len(lags_s)
    for block in blocks:
        curve = _Curve.of(steps, times, block[0].time_s - reach_s, block[-1].time_s + reach_s)
        for n, lag_s in enumerate(lags_s):
            missed[n] += curve.missed(block, lag_s - _READINGS_LATE_S, window_s)
    return 1000 * _likeliest(lags_s, missed, [reading.power_w for block in blocks for reading in block])


def _likeliest(lags_s: Sequence[float], missed: Sequence[float], powers_w: Sequence[float]) -> float:
    """The mean lag, each weighted by how likely what it misses is beside what the best misses."""
    variance = max(min(missed) / len(powers_w), (_NOISE * statistics.fmean(powers_w)) ** 2)
    weights = [math.exp(_COUNTS_AS * (min(missed) - each) / (2 * variance)) for each in missed]
    return sum(weight * lag_s for weight, lag_s in zip(weights, lags_s, strict=True)) / sum(weights)


@dataclass(frozen=True)
class _Curve:
    """The counter by the most likely times of its steps, straight between them."""

    time_s: Sequence[float]
    counter_j: Sequence[float]

    @classmethod
    def of(cls, steps: Steps, times: StepTimes, from_s: float, to_s: float) -> _Curve:
        """The steps around [`from_s`, `to_s`]."""
        first, last = max(1, bisect_left(steps.latest_s, from_s) - 1), bisect_right(steps.earliest_s, to_s) + 1
        return cls([times.at(k) for k in range(first, min(last, len(steps)))], steps.counter_j[first:last])

    def missed(self, readings: Sequence[_Renewal], shift_s: float, window_s: float) -> float:
        """Squares of what the readings miss the counter's own means by, added up: windows end `shift_s` later here."""
        missed = 0.0
        for time_s, power_w in readings:
            end_s = time_s + shift_s
            missed += ((self._at(end_s) - self._at(end_s - window_s)) / window_s - power_w) ** 2
        return missed

    def _at(self, time_s: float) -> float:
        after = min(max(bisect_right(self.time_s, time_s), 1), len(self.time_s) - 1)
        before_s, length_s = self.time_s[after - 1], self.time_s[after] - self.time_s[after - 1]
        before_j, risen_j = self.counter_j[after - 1], self.counter_j[after] - self.counter_j[after - 1]
        return before_j + risen_j * min(1.0, max(0.0, (time_s - before_s) / length_s)) if length_s > 0 else before_j


def _telling_blocks(steps: Steps, updates: PowerUpdates, renewed_s: float, reach_s: float) -> list[Sequence[_Renewal]]:
    """The blocks of readings in which the power varies most, of those that the counter's steps reach around."""
    inside = (
        reading
        for reading in _renewals(updates, renewed_s)
        if steps.latest_s[0] + reach_s < reading.time_s < steps.earliest_s[-1] - reach_s
    )
    blocks = iter(lambda: list(itertools.islice(inside, _BLOCK_READINGS)), [])
    return heapq.nlargest(_MOST_BLOCKS, (block for block in blocks if _spread(block) > _VARIES), key=_spread)


def _spread(block: Sequence[_Renewal]) -> float:
    """From the lowest to the highest power, as a share of the highest; 0 of readings too few to tell."""
    powers_w = [reading.power_w for reading in block]
    enough = len(block) > _BLOCK_READINGS // 2 and max(powers_w) > 0
    return 1 - min(powers_w) / max(powers_w) if enough else 0.0


def _renewals(updates: PowerUpdates, renewed_s: float) -> Iterator[_Renewal]:
    """When each reading was renewed, in the middle of what the polls leave open.

    A value that stays was renewed every `renewed_s` since it changed: polls alone would show it too old at the end of a
    plateau, where the next renewal is the one that changes it.
    """
    changes = [k for k in range(len(updates.power_w)) if k == 0 or updates.power_w[k] != updates.power_w[k - 1]]
    for k, after in zip(changes, [*changes[1:], None], strict=True):
        seen_s = updates.poll_s[-1] if after is None else updates.earliest_s[after]
        time_s = updates.time_s[k] - min(renewed_s, updates.time_s[k] - updates.earliest_s[k]) / 2
        yield _Renewal(time_s, updates.power_w[k])
        for n in range(1, int((seen_s - time_s) / renewed_s) + 1):
            yield _Renewal(time_s + n * renewed_s, updates.power_w[k])


def _renewed_every_s(times: StepTimes, steps: int) -> float:
    """Readings are taken to be renewed as often as the counter steps, as an A100's and an H100's are (100 ms)."""
    if times.hidden_period_s is not None:
        return times.hidden_period_s
    distances_s = [times.at(k) - times.at(k - 1) for k in range(2, min(steps, _STEPS_THAT_TELL))]
    return max(statistics.median(distances_s), _TRIED_EVERY_S) if distances_s else math.inf
