"""Energy of a span from power readings: the counter's cross-check, and its stand-in where there is none. Pure.

The bounds here are weaker than the counter's. Readings see a part of the time, and each is taken about when the last
one was: a load that beats against them may draw power whenever nobody looks. What shows a beat gets wide bounds; what
is in step shows none, and its bounds miss the truth.

    instant   a reading seen at t is the mean of P over [t − lag − window, t − lag]; between windows nobody looked
    average   the same with a window of about 1 s, which overlaps the next: ∫[a, b] P needs the correction below

Sources: measurement of the windows in arXiv 2312.02741; the corrected integral ∫[a, b+W] A dt − W/2·(A(a) + A(b+W)).
"""

from __future__ import annotations

import itertools
import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from llem_runner.power.boards import AVERAGE_WINDOW_MS, BoardFacts, PowerMeaning
from llem_runner.power.series import Series, present

_UPDATE_S = 0.1
"""Power readings are renewed about every 100 ms; an unchanged value is taken as renewed that often."""
_STALE_S = 0.15
"""How old the value that a poll finds may be: one update and one poll."""
_NOISE = 0.005
"""Share by which unseen power may leave the range of the readings around it even under a steady load."""
_BEAT_REACH_S = 4.0
_BEAT_SWINGS = 3
_BEAT_DEPTH = 0.1
"""A load that beats against the sensor swings, in the readings, again and again: so often, so deep (share of the
highest), within so much time around the span. A load that starts and ends swings twice."""
_WIDEST_GAP_S = 1.0
"""Without readings for longer than this nothing is known of the power in between."""

POWER_DRAIN_S = 1.5
"""How long readings must go on after a span, so that the longest window, lag and staleness have passed."""


@dataclass(frozen=True)
class PowerUpdates:
    """The power readings chosen to integrate: when each was first seen, the poll before that, and watts."""

    method: Literal["power", "average_power"]
    earliest_s: array[float] = field(default_factory=lambda: array("d"))
    time_s: array[float] = field(default_factory=lambda: array("d"))
    power_w: array[float] = field(default_factory=lambda: array("d"))


@dataclass(frozen=True)
class PowerEstimate:
    """Energy by power readings, with bounds."""

    method: Literal["power", "average_power"]
    total_j: float
    lower_j: float
    upper_j: float


def chosen_power(series: Series, facts: BoardFacts) -> PowerUpdates | None:
    """The best power readings of the series: instant before average; None if it has none."""
    plain_is_instant = facts.power_usage is PowerMeaning.INSTANT
    candidates: list[tuple[Literal["power", "average_power"], array[float]]] = [
        ("power", series.power_instant_w),
        ("power" if plain_is_instant else "average_power", series.power_w),
        ("average_power", series.power_average_w),
    ]
    for method, values in sorted(candidates, key=lambda candidate: candidate[0] != "power"):
        rows = present(values)
        if rows:
            return _updates(method, series, values, rows)
    return None


def _updates(
    method: Literal["power", "average_power"], series: Series, values: array[float], rows: list[int]
) -> PowerUpdates:
    updates = PowerUpdates(method)
    last_poll_s = series.before_s[rows[0]] - _UPDATE_S
    for row in rows:
        time_s = (series.before_s[row] + series.after_s[row]) / 2
        changed = not updates.power_w or values[row] != updates.power_w[-1]
        if changed or time_s - updates.time_s[-1] >= _UPDATE_S:
            updates.earliest_s.append(last_poll_s)
            updates.time_s.append(time_s)
            updates.power_w.append(values[row])
        last_poll_s = series.before_s[row]
    return updates


def instant_energy(updates: PowerUpdates, start_s: float, end_s: float, facts: BoardFacts) -> PowerEstimate | str:
    """The span by instant readings, or why they do not give it.

    The estimate holds each reading over its window and joins the windows by straight lines. The bounds let the power
    at any moment be anything between the readings whose windows may lie at or next to that moment, over the whole lag,
    and at either end of the span let it swing between nothing and twice the reading within one update. Where the
    readings swing again and again they may show a beat of the load against the sensor, and nothing but their whole
    range is known of the time between windows. A load that repeats exactly in step with the sensor shows it a
    constant, and no reading could tell.
    """
    window = facts.instant_window_ms
    lag = facts.power_lag_ms
    reach_s = (lag.high + window.high) / 1000 + _UPDATE_S
    missing = _missing(updates, start_s, end_s + lag.high / 1000, reach_s)
    if missing:
        return missing
    shift_s = lag.middle / 1000
    curve = _held_windows(updates, start_s + shift_s, end_s + shift_s, window.middle / 1000, reach_s)
    total_j = _area(curve, start_s + shift_s, end_s + shift_s)
    lower_j, upper_j = _instant_bounds(updates, start_s, end_s, facts)
    return PowerEstimate("power", min(max(total_j, lower_j), upper_j), lower_j, upper_j)


def _instant_bounds(updates: PowerUpdates, start_s: float, end_s: float, facts: BoardFacts) -> tuple[float, float]:
    around = slice(
        max(0, bisect_left(updates.time_s, start_s - _BEAT_REACH_S) - 1),
        bisect_right(updates.time_s, end_s + _BEAT_REACH_S) + 1,
    )
    powers_w = updates.power_w[around]
    seen_all = facts.instant_window_ms.low / 1000 >= _UPDATE_S
    if not seen_all and _swings(powers_w) >= _BEAT_SWINGS:
        lower_j, upper_j = min(powers_w) * (end_s - start_s), max(powers_w) * (end_s - start_s)
    else:
        lag, window = facts.power_lag_ms, facts.instant_window_ms
        lower_j, upper_j = _envelope(updates, start_s, end_s, lag.low / 1000, (lag.high + window.high) / 1000)
    # Within one update P may be anything in [0, 2 × reading] with that mean: its energy then leaves the straight line
    # by at most a quarter of the update's.
    ends_j = sum(_value(updates, edge_s) for edge_s in (start_s, end_s)) * _UPDATE_S / 4
    return max(0.0, lower_j * (1 - _NOISE) - ends_j), upper_j * (1 + _NOISE) + ends_j


def _swings(powers_w: Sequence[float]) -> int:
    """How often the power turns round after a rise or fall of at least `_BEAT_DEPTH` of its highest."""
    depth_w = _BEAT_DEPTH * max(powers_w)
    turns, rising = 0, None
    low_w = high_w = powers_w[0]
    for power_w in powers_w:
        low_w, high_w = min(low_w, power_w), max(high_w, power_w)
        if rising is not True and power_w - low_w >= depth_w:
            turns, rising, high_w = turns + 1, True, power_w
        elif rising is not False and high_w - power_w >= depth_w:
            turns, rising, low_w = turns + 1, False, power_w
    return turns


def average_energy(updates: PowerUpdates, start_s: float, end_s: float, facts: BoardFacts) -> PowerEstimate | str:
    """The span by 1 s averages, or why they do not give it.

    The integral of the averages holds all of the span's energy, and unknown shares of what flowed in the window before
    each end; the estimate takes half of each, the bounds none and all.
    """
    longest_s = AVERAGE_WINDOW_MS.high / 1000
    stale_s = facts.power_lag_ms.high / 1000 + _STALE_S
    missing = _missing(updates, start_s, end_s + longest_s + stale_s, _WIDEST_GAP_S)
    if missing:
        return missing
    near = slice(
        max(0, bisect_left(updates.time_s, start_s) - 2), bisect_right(updates.time_s, end_s + longest_s + stale_s) + 2
    )
    curve = list(zip(updates.time_s[near], updates.power_w[near], strict=True))
    shift_s, window_s = facts.power_lag_ms.middle / 1000, AVERAGE_WINDOW_MS.middle / 1000
    first_s, last_s = start_s + shift_s, end_s + window_s + shift_s
    half_j = window_s / 2 * (_value(updates, first_s) + _value(updates, last_s))
    total_j = _area(curve, first_s, last_s) - half_j
    areas = [
        _area(curve, start_s + delay_s, end_s + window_s + delay_s)
        for window_s in (AVERAGE_WINDOW_MS.low / 1000, longest_s)
        for delay_s in (facts.power_lag_ms.low / 1000, stale_s)
    ]
    # Between two updates the average may rise and fall again unseen, by what flowed meanwhile.
    unseen_j = _highest(updates, start_s, end_s + longest_s + stale_s) * _UPDATE_S / 2
    # What the averages at either end say of their windows may be seen only later, as may its falling.
    ends_w = sum(_highest(updates, edge_s - stale_s, edge_s + stale_s) for edge_s in (start_s, end_s + longest_s))
    lower_j = max(0.0, min(areas) - longest_s * ends_w - unseen_j) * (1 - _NOISE)
    upper_j = (max(areas) + unseen_j) * (1 + _NOISE)
    return PowerEstimate("average_power", min(max(total_j, lower_j), upper_j), lower_j, upper_j)


def _highest(updates: PowerUpdates, first_s: float, last_s: float) -> float:
    """The highest reading that was held at any moment of [first_s, last_s]."""
    first = max(0, bisect_right(updates.time_s, first_s) - 1)
    return max(updates.power_w[first : bisect_right(updates.time_s, last_s) + 1])


def _missing(updates: PowerUpdates, first_s: float, last_s: float, reach_s: float) -> str | None:
    """Why the readings do not cover [first_s, last_s], or None if they do."""
    times = updates.time_s
    if times[0] > first_s + reach_s:
        return "the span begins before the first power reading"
    if times[-1] < last_s:
        return "the recording ends before the power readings had shown all of the span"
    begin, end = max(0, bisect_left(times, first_s) - 1), min(len(times), bisect_right(times, last_s) + 1)
    gap_s = max((times[k + 1] - times[k] for k in range(begin, end - 1)), default=math.inf)
    if gap_s > _WIDEST_GAP_S:
        return f"no power was read for {gap_s:.1f} s in or beside the span"
    return None


def _held_windows(
    updates: PowerUpdates, first_s: float, last_s: float, window_s: float, reach_s: float
) -> list[tuple[float, float]]:
    """The power curve through the readings' windows, as corners (time, watt) around [first_s, last_s]."""
    begin = max(0, bisect_left(updates.time_s, first_s - reach_s) - 1)
    end = min(len(updates.time_s), bisect_right(updates.time_s, last_s + reach_s) + 1)
    corners: list[tuple[float, float]] = []
    for time_s, power_w in zip(updates.time_s[begin:end], updates.power_w[begin:end], strict=True):
        opened_s = time_s - window_s
        if corners:
            opened_s = max(opened_s, corners[-1][0])
        corners.append((opened_s, power_w))
        corners.append((time_s, power_w))
    return corners


def _area(corners: list[tuple[float, float]], first_s: float, last_s: float) -> float:
    """∫ of the polyline through `corners` over [first_s, last_s]; its ends are held beyond the corners."""
    area = 0.0
    padded = [(-math.inf, corners[0][1]), *corners, (math.inf, corners[-1][1])]
    for (left_s, left_w), (right_s, right_w) in itertools.pairwise(padded):
        from_s, to_s = max(left_s, first_s), min(right_s, last_s)
        if to_s <= from_s:
            continue
        if math.isinf(left_s) or math.isinf(right_s):
            area += left_w * (to_s - from_s)
            continue
        slope = (right_w - left_w) / (right_s - left_s)
        middle_s = (from_s + to_s) / 2
        area += (left_w + slope * (middle_s - left_s)) * (to_s - from_s)
    return area


def _value(updates: PowerUpdates, time_s: float) -> float:
    """The reading that was held at `time_s`."""
    return updates.power_w[max(0, bisect_right(updates.time_s, time_s) - 1)]


def _envelope(
    updates: PowerUpdates, start_s: float, end_s: float, least_s: float, most_s: float
) -> tuple[float, float]:
    """∫ of the least and of the highest reading whose window may lie at each moment, or next to it.

    A window begins at most `most_s` before its reading came and ends at least `least_s` before it was seen.
    """
    lower_j = upper_j = 0.0
    near = slice(bisect_left(updates.time_s, start_s + least_s), bisect_right(updates.earliest_s, end_s + most_s))
    changes = {start_s, end_s}
    changes.update(time_s - least_s for time_s in updates.time_s[near])
    changes.update(time_s - most_s for time_s in updates.earliest_s[near])
    ordered = sorted(change for change in changes if start_s <= change <= end_s)
    for left_s, right_s in itertools.pairwise(ordered):
        middle_s = (left_s + right_s) / 2
        first = bisect_left(updates.time_s, middle_s + least_s)
        last = bisect_right(updates.earliest_s, middle_s + most_s) - 1
        around = updates.power_w[max(0, first - 1) : max(first, last + 1) + 1]
        lower_j += min(around) * (right_s - left_s)
        upper_j += max(around) * (right_s - left_s)
    return lower_j, upper_j
