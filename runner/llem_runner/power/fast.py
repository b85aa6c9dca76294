"""The rhythm of a counter that steps more often than it is read: found in how evenly its values then rise. Pure.

steps      |   |   |   |   |   |   |   |         every T; nobody sees one come
reads          r          r          r           each finds the last step before it, which is up to T old
ages          ├┤        ├──┤       ├┤

Every read finds a new value, so that brackets tell nothing. But a read at t holds the energy of the step before it, and
how old that is follows from period and phase alone. With the right two the energy rises evenly from step to step
wherever the power does; with any others, ages that are wrong by some milliseconds make it rise by fits and starts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from llem_runner.power.phase import block_of
from llem_runner.power.steps import Steps

_FASTEST_S = 0.018
"""The fastest counters known step every 20 ms."""
_LONGEST = 1.15
"""Share of the time between reads: of a counter that steps less often, brackets tell more."""
_NEW = 0.6
"""Share of reads that have to find another value than the one just before them."""
_READS, _PLACES = 48, 6
"""The period is looked for in stretches of so many reads, at so many places of the recording."""
_MISPLACED, _PHASES = 0.2, 6
"""Share of the period by which the steps at a stretch's end may be misplaced for want of a finer grid, and how fine
that of the phases is."""
_FINE_SPREAD, _FINE_PERIODS, _FINE_PHASES = 0.001, 11, 20
_NO_AGE_S = 1e-9
_SAME_PERIOD = 0.003
_EVENER = 0.8
"""By how much more evenly the energy has to rise for a rhythm to count as seen. Any rhythm evens out something."""


@dataclass(frozen=True)
class FastRhythm:
    """Steps at `phase_s` + n × `period_s`."""

    period_s: float
    phase_s: float

    def last_by(self, time_s: float) -> float:
        """The last step at or before `time_s`."""
        return time_s - (time_s - self.phase_s) % self.period_s


class FastRhythms:
    """The period of a whole recording, and the phase of each block of its steps, worked out when first asked for."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._blocks: dict[int, FastRhythm | None] = {}

    def of(self, block: int) -> FastRhythm | None:
        """The rhythm of a block; None where its steps show none."""
        if block not in self._blocks:
            self._blocks[block] = self._found(block)
        return self._blocks[block]

    @cached_property
    def period_s(self) -> float | None:
        """The period; None where none was found, or steps come no faster than reads."""
        return _common_period(self._steps)

    def _found(self, block: int) -> FastRhythm | None:
        first, last = block_of(self._steps, block)
        if self.period_s is None or last - first < _READS // 2:
            return None
        reads = _Reads.of(self._steps, first, last)
        away = [_FINE_SPREAD * (2 * n / (_FINE_PERIODS - 1) - 1) for n in range(_FINE_PERIODS)]
        # From the middle outwards: the better the first, the sooner the others are given up.
        return reads.rhythm([self.period_s * (1 + share) for share in sorted(away, key=abs)], _FINE_PHASES)


@dataclass(frozen=True)
class _Reads:
    """Reads in a row, each with a new value: when, since when at the earliest it may have been there, and the value."""

    time_s: Sequence[float]
    since_s: Sequence[float]
    counter_j: Sequence[float]

    @classmethod
    def of(cls, steps: Steps, first: int, last: int) -> _Reads:
        return cls(steps.latest_s[first:last], steps.earliest_s[first:last], steps.counter_j[first:last])

    def rhythm(self, periods_s: Iterable[float], phases: int) -> FastRhythm | None:
        """The rhythm of one of these periods with which the energy rises most evenly; None where none is clearly so."""
        least_s, best = _EVENER * self.uneven_s(_NO_AGE_S, 0.0, math.inf), None
        for period_s in periods_s:
            for n in range(phases):
                phase_s = self.time_s[0] + period_s * n / phases
                uneven_s = self.uneven_s(period_s, phase_s, least_s)
                if uneven_s < least_s:
                    least_s, best = uneven_s, FastRhythm(period_s, phase_s)
        return best

    def uneven_s(self, period_s: float, phase_s: float, limit_s: float) -> float:
        """How far each read's energy is from the straight line between its neighbours', as time, added up.

        A step that would lie before the read that had still found the value before it is wrong by that much. Adding up
        ends where `limit_s` is passed.
        """
        time_s, since_s, counter_j = self.time_s, self.since_s, self.counter_j
        before_s = time_s[0] - (time_s[0] - phase_s) % period_s
        here_s = time_s[1] - (time_s[1] - phase_s) % period_s
        uneven_s = 0.0
        for k in range(1, len(time_s) - 1):
            next_s = time_s[k + 1] - (time_s[k + 1] - phase_s) % period_s
            rise_j = counter_j[k + 1] - counter_j[k - 1]
            share = (counter_j[k] - counter_j[k - 1]) / rise_j if rise_j > 0 else 0.0
            uneven_s += abs(share * (next_s - before_s) - (here_s - before_s)) + max(0.0, since_s[k] - here_s)
            if uneven_s > limit_s:
                break
            before_s, here_s = here_s, next_s
        return uneven_s


def _common_period(steps: Steps) -> float | None:
    """The first period on which two places agree; None where no two do, or steps come no faster than reads."""
    count = len(steps) - 1
    if count < _READS or not _new_with_every_read(steps):
        return None
    found: list[float] = []
    for first in sorted({1 + (count - _READS) * n // (_PLACES - 1) for n in range(_PLACES)}):
        period_s = _period(_Reads.of(steps, first, first + _READS))
        if period_s is None:
            continue
        same = next((other_s for other_s in found if abs(other_s / period_s - 1) < _SAME_PERIOD), None)
        if same is not None:
            return (same + period_s) / 2
        found.append(period_s)
    return None


def _new_with_every_read(steps: Steps) -> bool:
    """Whether most reads found another value than the read just before them."""
    new = sum(steps.earliest_s[k] <= steps.latest_s[k - 1] for k in range(1, len(steps)))
    return new > _NEW * len(steps)


def _period(reads: _Reads) -> float | None:
    distances_s = sorted(later - earlier for earlier, later in zip(reads.since_s, reads.time_s, strict=True))
    longest_s, span_s = _LONGEST * distances_s[len(distances_s) // 2], reads.time_s[-1] - reads.time_s[0]
    found = reads.rhythm(_grid(longest_s, span_s), _PHASES)
    return found.period_s if found else None


def _grid(longest_s: float, span_s: float) -> Iterator[float]:
    """Periods so close that one of them keeps in step over all of a stretch."""
    period_s = _FASTEST_S
    while period_s < longest_s:
        yield period_s
        period_s *= 1 + _MISPLACED * period_s / span_s
