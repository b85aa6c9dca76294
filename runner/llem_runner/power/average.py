"""Energy of a span from the power readings that are an average over about a second. Pure.

    A(t) = (E(t) − E(t − W)) / W          ∫[a, b+W] A dt holds all of the span's energy, and shares of what flowed in
                                          the window before each end, which the correction takes off again

Source of the corrected integral ∫[a, b+W] A dt − W/2·(A(a) + A(b+W)): measured on boards of the SC'24 paper
(arXiv 2312.02741), W 1.0–1.1 s.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from llem_runner.power.boards import AVERAGE_WINDOW_MS, BoardFacts
from llem_runner.power.updates import PowerEstimate, PowerUpdates, area, value

_NOISE = 0.005
"""Share by which readings of a steady load differ."""
_POLL_S = 0.05
"""A value is found by a poll, so much later at most than it appeared; slower polls show it by their own distance."""
_WIDEST_GAP_S = AVERAGE_WINDOW_MS.high / 1000
"""Averages that are farther apart than their window leave time that none of them holds."""
_MISSED_UPDATES = 2.5
"""A value that stays for less than so many updates was not renewed, though others were: a changing average never
stays the same."""


def average_energy(updates: PowerUpdates, start_s: float, end_s: float, facts: BoardFacts) -> PowerEstimate | str:
    """The span by averages, or why they do not give it.

    The integral of the averages holds all of the span's energy, and unknown shares of what flowed in the window before
    each end; the estimate takes half of each, the bounds none and all.
    """
    window_ms, lag = AVERAGE_WINDOW_MS, facts.power_lag_ms
    longest_s = window_ms.high / 1000
    stale_s = lag.high / 1000 + updates.update_s + _POLL_S
    missing = updates.missing(start_s, end_s + longest_s + stale_s, reach_s=longest_s, widest_gap_s=_WIDEST_GAP_S)
    if missing:
        return missing
    near = slice(
        max(0, bisect_left(updates.time_s, start_s) - 2), bisect_right(updates.time_s, end_s + longest_s + stale_s) + 2
    )
    curve = _curve(updates.time_s[near], updates.power_w[near], updates.update_s)
    window_s = window_ms.middle / 1000
    first_s, last_s = start_s + lag.middle / 1000, end_s + window_s + lag.middle / 1000
    total_j = area(curve, first_s, last_s) - window_s / 2 * (value(curve, first_s) + value(curve, last_s))
    areas = [
        area(curve, start_s + delay_s, end_s + window_s + delay_s)
        for window_s in (window_ms.low / 1000, longest_s)
        for delay_s in (lag.low / 1000, stale_s)
    ]
    # Between two updates the average may rise and fall again unseen, by what flowed meanwhile.
    unseen_j = updates.highest(start_s, end_s + longest_s + stale_s) * updates.update_s / 2
    # What the averages at either end say of their windows may be seen only later, as may its falling.
    ends_w = sum(updates.highest(edge_s - stale_s, edge_s + stale_s) for edge_s in (start_s, end_s + longest_s))
    lower_j = max(0.0, min(areas) - longest_s * ends_w - unseen_j) * (1 - _NOISE)
    upper_j = (max(areas) + unseen_j) * (1 + _NOISE)
    return PowerEstimate("average_power", min(max(total_j, lower_j), upper_j), lower_j, upper_j)


def _curve(time_s: Sequence[float], power_w: Sequence[float], update_s: float) -> list[tuple[float, float]]:
    """The averages as a polyline: straight from one value to the next, and level where one stays for long."""
    corners: list[tuple[float, float]] = []
    for kept_w, run in itertools.groupby(zip(time_s, power_w, strict=True), key=lambda seen: seen[1]):
        first_s = next(run)[0]
        if corners and first_s - corners[-1][0] > _MISSED_UPDATES * update_s:
            corners.append((first_s - update_s, corners[-1][1]))
        corners.append((first_s, kept_w))
    return [*corners, (max(time_s[-1], corners[-1][0]), corners[-1][1])]
