"""The power readings of a series, as updates of the sensor: when each value appeared. Pure.

polls      |     |     |     |     |        a value that first appears at a poll came up after the poll before it;
reading    p0    p0    p1    p1    p1       one that stays is taken as renewed in step with the change that ends it
"""

from __future__ import annotations

import itertools
import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from llem_runner.power.boards import BoardFacts, PowerMeaning
from llem_runner.power.series import Series, present

PowerMethod = Literal["power", "average_power"]

_FASTEST_UPDATE_S = 0.02
_SLOWEST_UPDATE_S = 1.5
_FASTER = 0.75
"""Share of the time between renewals that polls may be apart to see them all, with jitter."""
_CHANGES_THAT_TELL = 8


@dataclass(frozen=True)
class PowerUpdates:
    """The power readings chosen to integrate: when each was first seen, the poll before that, and watts.

    `update_s` is how often the sensor renews its reading; at `poll_s` it was read.
    """

    method: PowerMethod
    update_s: float
    earliest_s: array[float] = field(default_factory=lambda: array("d"))
    time_s: array[float] = field(default_factory=lambda: array("d"))
    power_w: array[float] = field(default_factory=lambda: array("d"))
    poll_s: array[float] = field(default_factory=lambda: array("d"))

    def highest(self, first_s: float, last_s: float) -> float:
        """The highest reading that was held at any moment of [first_s, last_s]."""
        first = max(0, bisect_right(self.time_s, first_s) - 1)
        return max(self.power_w[first : bisect_right(self.time_s, last_s) + 1])

    def missing(self, first_s: float, last_s: float, *, reach_s: float, widest_gap_s: float) -> str | None:
        """Why the readings do not cover [first_s, last_s], or None if they do.

        They may begin `reach_s` after it does. Without a reading for longer than `widest_gap_s` nothing is known of the
        power in between.
        """
        times = self.poll_s
        if times[0] > first_s + reach_s:
            return "the span begins before the first power reading"
        if times[-1] < last_s:
            return "the recording ends before the power readings had shown all of the span"
        begin, end = max(0, bisect_left(times, first_s) - 1), min(len(times), bisect_right(times, last_s) + 1)
        gap_s = max((times[k + 1] - times[k] for k in range(begin, end - 1)), default=math.inf)
        if gap_s > widest_gap_s:
            return f"no power was read for {gap_s:.1f} s in or beside the span"
        return None


@dataclass(frozen=True)
class PowerEstimate:
    """Energy by power readings, with bounds."""

    method: PowerMethod
    total_j: float
    lower_j: float
    upper_j: float


def chosen_power(series: Series, facts: BoardFacts) -> PowerUpdates | None:
    """The best power readings of the series: instant before average; None if it has none."""
    plain_is_instant = facts.power_usage is PowerMeaning.INSTANT
    candidates: list[tuple[PowerMethod, array[float]]] = [
        ("power", series.power_instant_w),
        ("power" if plain_is_instant else "average_power", series.power_w),
        ("average_power", series.power_average_w),
    ]
    for method, values in sorted(candidates, key=lambda candidate: candidate[0] != "power"):
        rows = present(values)
        if rows:
            return _updates(method, series, values, rows, facts)
    return None


def _updates(
    method: PowerMethod, series: Series, values: array[float], rows: list[int], facts: BoardFacts
) -> PowerUpdates:
    update_s = _update_s(series, values, rows, facts.power_update_ms / 1000)
    updates = PowerUpdates(method, update_s)
    last_poll_s, held_w = series.before_s[rows[0]] - update_s, math.nan
    for row in rows:
        time_s = (series.before_s[row] + series.after_s[row]) / 2
        updates.poll_s.append(time_s)
        if values[row] != held_w:
            held_w = values[row]
            _renew(updates, time_s, last_poll_s)
            updates.earliest_s.append(last_poll_s)
            updates.time_s.append(time_s)
            updates.power_w.append(held_w)
        last_poll_s = series.before_s[row]
    _renew(updates, updates.poll_s[-1], last_poll_s)
    return updates


def _renew(updates: PowerUpdates, until_s: float, seen_s: float) -> None:
    """Renewals that changed nothing: whole periods before the one at `until_s`, which did (or before the end).

    The value was seen until `seen_s`; what came of it after that nobody knows.
    """
    if not updates.time_s:
        return
    first_s, held_w = updates.time_s[-1], updates.power_w[-1]
    for periods in range(int((until_s - first_s) / updates.update_s - 0.5), 0, -1):
        time_s = until_s - periods * updates.update_s
        if time_s > seen_s:
            break
        updates.earliest_s.append(time_s)
        updates.time_s.append(time_s)
        updates.power_w.append(held_w)


def _update_s(series: Series, values: array[float], rows: list[int], usual_s: float) -> float:
    """How often a new reading is seen: as often as it usually changes, where it is polled more often than that.

    Of a steady load some renewals change nothing, which makes gaps too long, never too short: hence the lower quartile.
    Where too few changes tell, the board's family does. Of polls that are no faster some renewals are never seen: the
    next is then a poll and a renewal away.
    """
    changes_s = [series.before_s[row] for last, row in itertools.pairwise(rows) if values[row] != values[last]]
    gaps_s = sorted(later - earlier for earlier, later in itertools.pairwise(changes_s))
    renewed_s = gaps_s[len(gaps_s) // 4] if len(changes_s) >= _CHANGES_THAT_TELL else usual_s
    polls_s = sorted(series.before_s[row] - series.before_s[last] for last, row in itertools.pairwise(rows))
    polled_s = polls_s[len(polls_s) // 2] if polls_s else 0.0
    seen_s = renewed_s if polled_s <= _FASTER * renewed_s else usual_s + polled_s
    return min(max(seen_s, _FASTEST_UPDATE_S), _SLOWEST_UPDATE_S)


Corners = Sequence[tuple[float, float]]
"""A curve of power: (time, watt) at its corners, straight between them."""


def area(corners: Corners, first_s: float, last_s: float) -> float:
    """∫ of the polyline through `corners` over [first_s, last_s]; its ends are held beyond the corners."""
    area_j = 0.0
    padded = [(-math.inf, corners[0][1]), *corners, (math.inf, corners[-1][1])]
    for (left_s, left_w), (right_s, right_w) in itertools.pairwise(padded):
        from_s, to_s = max(left_s, first_s), min(right_s, last_s)
        if to_s <= from_s:
            continue
        if math.isinf(left_s) or math.isinf(right_s):
            area_j += left_w * (to_s - from_s)
            continue
        slope = (right_w - left_w) / (right_s - left_s)
        middle_s = (from_s + to_s) / 2
        area_j += (left_w + slope * (middle_s - left_s)) * (to_s - from_s)
    return area_j


def value(corners: Corners, time_s: float) -> float:
    """The polyline at `time_s`; its ends are held beyond the corners."""
    after = bisect_right(corners, time_s, key=lambda corner: corner[0])
    if after == 0:
        return corners[0][1]
    if after == len(corners):
        return corners[-1][1]
    (left_s, left_w), (right_s, right_w) = corners[after - 1], corners[after]
    return left_w + (right_w - left_w) * (time_s - left_s) / (right_s - left_s)
