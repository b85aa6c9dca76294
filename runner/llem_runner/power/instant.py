"""Energy of a span from instant power readings: a counter's cross-check, and its stand-in where there is none. Pure.

A reading that appears at t is the mean of P over a window that ended a lag before it:

    readings        r1          r2          r3
    windows      ├──┤ ·····  ├──┤ ·····  ├──┤ ·····      in a window the energy is the reading's, whatever P does there;
                                                         between windows nobody looked (on some boards there is no
                                                         between): P is taken to lie between the readings around it

The bounds here are weaker than the counter's: each reading is taken about when the last one was, and a load that beats
against them may draw power whenever nobody looks. What shows a beat gets wide bounds; what is in step shows none, and
its bounds miss the truth. Source of the windows: arXiv 2312.02741.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llem_runner.power.boards import BoardFacts
from llem_runner.power.updates import PowerEstimate, PowerUpdates, area, value

_NOISE = 0.005
"""Share by which unseen power may leave the range of the readings around it even under a steady load."""
_SEES_ALL = 0.9
"""Share of the time that the windows have to cover so that nothing hides between them."""
_BEAT_REACH_S = 4.0
_BEAT_SWINGS = 3
_BEAT_DEPTH = 0.1
"""A load that beats against the sensor swings, in the readings, again and again: so often, so deep (share of the
highest), within so much time around the span. A load that starts and ends swings twice."""
_LAGS_TRIED = 6
_WIDEST_GAP_S = 2.0


def instant_energy(updates: PowerUpdates, start_s: float, end_s: float, facts: BoardFacts) -> PowerEstimate | str:
    """The span by instant readings, or why they do not give it.

    The estimate holds each reading over its window and joins the windows by straight lines. The bounds are the worst
    over all of the lag; between windows the power may be anything between the readings on both sides, or between all
    readings where these swing again and again; and at either end of the span it may swing between nothing and twice the
    reading within one update. A load that repeats exactly in step with the sensor shows it a constant, and no reading
    could tell.
    """
    window, lag = facts.instant_window_ms, facts.power_lag_ms
    reach_s = (lag.high + window.high) / 1000 + updates.update_s
    missing = updates.missing(start_s, end_s + lag.high / 1000, reach_s=reach_s, widest_gap_s=_WIDEST_GAP_S)
    if missing:
        return missing
    near = slice(
        max(0, bisect_left(updates.time_s, start_s - reach_s) - 2), bisect_right(updates.time_s, end_s + reach_s) + 2
    )
    tiles = [
        _Tile(updates.earliest_s[k], updates.time_s[k], updates.power_w[k]) for k in range(len(updates.time_s))[near]
    ]
    curve = _held_windows(tiles, window.middle / 1000)
    shift_s = lag.middle / 1000
    total_j = area(curve, start_s + shift_s, end_s + shift_s)
    lower_j, upper_j = _bounds(updates, tiles, start_s, end_s, facts)
    return PowerEstimate("power", min(max(total_j, lower_j), upper_j), lower_j, upper_j)


@dataclass(frozen=True)
class _Tile:
    """A reading: it appeared after `earliest_s` and was there at `time_s`."""

    earliest_s: float
    time_s: float
    power_w: float

    @property
    def middle_s(self) -> float:
        return (self.earliest_s + self.time_s) / 2


def _held_windows(tiles: Sequence[_Tile], window_s: float) -> list[tuple[float, float]]:
    """The power curve through the readings' windows, as corners (time, watt), at the times when they were seen."""
    corners: list[tuple[float, float]] = []
    for tile in tiles:
        opened_s = tile.time_s - window_s
        if corners:
            opened_s = max(opened_s, corners[-1][0])
        corners.append((opened_s, tile.power_w))
        corners.append((tile.time_s, tile.power_w))
    return corners


def _bounds(
    updates: PowerUpdates, tiles: Sequence[_Tile], start_s: float, end_s: float, facts: BoardFacts
) -> tuple[float, float]:
    window_s = facts.instant_window_ms.low / 1000
    around = slice(
        max(0, bisect_left(updates.time_s, start_s - _BEAT_REACH_S) - 1),
        bisect_right(updates.time_s, end_s + _BEAT_REACH_S) + 1,
    )
    powers_w = updates.power_w[around]
    sees_all = window_s >= _SEES_ALL * updates.update_s
    hidden = None if sees_all or _swings(powers_w) < _BEAT_SWINGS else (min(powers_w), max(powers_w))
    lowest, highest = _curves(tiles, window_s, hidden)
    low_s, high_s = facts.power_lag_ms.low / 1000, facts.power_lag_ms.high / 1000
    step_s = (high_s - low_s) / (_LAGS_TRIED - 1)
    lags_s = [low_s + n * step_s for n in range(_LAGS_TRIED)]
    lower_j = min(lowest.energy_j(start_s + lag_s, end_s + lag_s) for lag_s in lags_s)
    upper_j = max(highest.energy_j(start_s + lag_s, end_s + lag_s) for lag_s in lags_s)
    # Within one update P may be anything in [0, 2 × reading] with that mean: its energy then leaves the straight line
    # by at most a quarter of the update's.
    curve = _held_windows(tiles, window_s)
    ends_w = sum(max(value(curve, edge_s + low_s), value(curve, edge_s + high_s)) for edge_s in (start_s, end_s))
    ends_j = ends_w * updates.update_s / 4
    below_j, above_j = (_misplaced_j(tiles, sees_all, step_s, extreme) for extreme in (min, max))
    return max(0.0, lower_j * (1 - _NOISE) - ends_j - below_j), upper_j * (1 + _NOISE) + ends_j + above_j


class _Staircase:
    """A power that is constant from one step to the next; before the first and after the last it stays."""

    def __init__(self, begin_s: float, power_w: float) -> None:
        self._begin_s, self._power_w, self._before_j = [begin_s], [power_w], [0.0]

    def add(self, begin_s: float, power_w: float) -> None:
        """A step, not earlier than the last."""
        self._before_j.append(self._before_j[-1] + self._power_w[-1] * (begin_s - self._begin_s[-1]))
        self._begin_s.append(begin_s)
        self._power_w.append(power_w)

    def energy_j(self, first_s: float, last_s: float) -> float:
        """Energy between two moments."""
        return self._since_first_j(last_s) - self._since_first_j(first_s)

    def _since_first_j(self, time_s: float) -> float:
        step = max(0, bisect_right(self._begin_s, time_s) - 1)
        return self._before_j[step] + self._power_w[step] * (time_s - self._begin_s[step])


def _curves(
    tiles: Sequence[_Tile], window_s: float, hidden_w: tuple[float, float] | None
) -> tuple[_Staircase, _Staircase]:
    """The least and the highest that the power may have been; between windows all of `hidden_w` where that is given.

    Every window is put where it most likely was; by how much that may be wrong is `_misplaced_j`.
    """
    first = tiles[0]
    lowest, highest = _Staircase(first.middle_s, first.power_w), _Staircase(first.middle_s, first.power_w)
    for before, tile in itertools.pairwise(tiles):
        opened_s = max(before.middle_s, tile.middle_s - window_s)
        if opened_s > before.middle_s:
            seen_w = sorted((before.power_w, tile.power_w))
            low_w, high_w = hidden_w or (seen_w[0], seen_w[1])
            lowest.add(before.middle_s, low_w)
            highest.add(before.middle_s, high_w)
        lowest.add(opened_s, tile.power_w)
        highest.add(opened_s, tile.power_w)
    return lowest, highest


def _misplaced_j(
    tiles: Sequence[_Tile], sees_all: bool, lag_step_s: float, extreme: Callable[[float, float], float]
) -> float:
    """By how much a bound may be wrong because each window is known only to within the polls around it.

    A window that is moved takes time from what lies on one side of it, for which the bound has the lower (or the
    higher) of two readings, and gives that to the other side; where windows follow each other without a gap, only the
    border between two moves.
    """
    wrong_j = 0.0
    for before, tile, after in zip(tiles, tiles[1:], tiles[2:], strict=False):
        left_w, right_w = extreme(before.power_w, tile.power_w), extreme(tile.power_w, after.power_w)
        moved_w = abs(after.power_w - tile.power_w) if sees_all else abs(right_w - left_w)
        wrong_j += (tile.time_s - tile.earliest_s + lag_step_s) / 2 * moved_w
    return wrong_j


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
