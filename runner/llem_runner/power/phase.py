"""The counter's rhythm: brackets of many steps together fix period and phase far better than one alone. Pure.

Polls every 47 ms see a step of a 100 ms counter late by a different share each time, so that the brackets of some
dozens of steps have only a few milliseconds in common. Here the most likely rhythm, for the estimate; what is sure,
for the bounds, is in `lock`. Of a counter that steps faster than it is polled brackets tell nothing: see `fast`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llem_runner.power.steps import Steps

BLOCK_STEPS = 32
_OVERLAP_STEPS = 16
_FEWEST_STEPS = 8
_COARSE_CANDIDATES = 80
_COARSE_SPREAD = 0.06
_FINE_ROUNDS = 30
_ANOTHER_PERIOD = 0.02
_COST_OF_LEAVING_OUT_S = 0.002


@dataclass(frozen=True)
class Rhythm:
    """Steps come at `phase_s` + n × `period_s`.

    `misfit_s` is by how much some bracket is missed (jitter); `left_out` is how many moments had no step to them, or
    more than one. `rival_s` is the strain of the best that has another period.
    """

    period_s: float
    phase_s: float
    misfit_s: float
    left_out: int
    rival_s: float = math.inf

    @property
    def strain_s(self) -> float:
        """How badly it fits. A period close to a whole number of polls hits every bracket if it may leave out steps."""
        return self.misfit_s + _COST_OF_LEAVING_OUT_S * self.left_out

    def nearest(self, time_s: float) -> float:
        """The moment of the rhythm that is nearest to `time_s`."""
        return self.phase_s + self.number(time_s) * self.period_s

    def number(self, time_s: float) -> int:
        """How many periods after `phase_s` the moment nearest to `time_s` is."""
        return round((time_s - self.phase_s) / self.period_s)


class Rhythms:
    """The rhythm of each block of steps, worked out when first asked for."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self._fits: dict[int, Rhythm | None] = {}

    def of(self, block: int) -> Rhythm | None:
        """The rhythm of a block; None where there is none."""
        if block not in self._fits:
            first, last = block_of(self.steps, block)
            self._fits[block] = fit_rhythm(self.steps.earliest_s[first:last], self.steps.latest_s[first:last])
        return self._fits[block]


def block_of(steps: Steps, block: int) -> tuple[int, int]:
    """First step, and first that is beyond, of the steps that fix a block's rhythm: its own and some on either side."""
    first = max(1, block * BLOCK_STEPS - _OVERLAP_STEPS)  # entry 0 is the first poll's, no step that was seen
    return first, min(len(steps), (block + 1) * BLOCK_STEPS + _OVERLAP_STEPS)


def fit_rhythm(earliest_s: Sequence[float], latest_s: Sequence[float]) -> Rhythm | None:
    """The rhythm that fits the brackets best, or None where they are too few or too wide to fix one."""
    if len(earliest_s) < _FEWEST_STEPS:
        return None
    guess_s = _mean_period(earliest_s, latest_s)
    if guess_s is None:
        return None
    candidates = [
        guess_s * (1 + _COARSE_SPREAD * (2 * n / (_COARSE_CANDIDATES - 1) - 1)) for n in range(_COARSE_CANDIDATES)
    ]
    fits = [_fit_phase(earliest_s, latest_s, candidate_s) for candidate_s in candidates]
    best = min(fits, key=lambda fit: fit.strain_s)
    others = (fit.strain_s for fit in fits if abs(fit.period_s / best.period_s - 1) > _ANOTHER_PERIOD)
    rhythm = replace(_refine(earliest_s, latest_s, best), rival_s=min(others, default=math.inf))
    # A misfit of a quarter period is no rhythm: the steps are irregular, or several hide in one bracket.
    return rhythm if rhythm.misfit_s < rhythm.period_s / 4 else None


def _mean_period(earliest_s: Sequence[float], latest_s: Sequence[float]) -> float | None:
    """The mean distance of steps, without those across a drop-out; None if brackets are wider than the period."""
    widths = sorted(latest - earliest for earliest, latest in zip(earliest_s, latest_s, strict=True))
    typical_s = widths[len(widths) // 2]
    middles = [(earliest + latest) / 2 for earliest, latest in zip(earliest_s, latest_s, strict=True)]
    usual = [latest - earliest < 1.5 * typical_s for earliest, latest in zip(earliest_s, latest_s, strict=True)]
    distances = [middles[k] - middles[k - 1] for k in range(1, len(middles)) if usual[k] and usual[k - 1]]
    if len(distances) < _FEWEST_STEPS // 2:
        return None
    period_s = sum(distances) / len(distances)
    return period_s if period_s > 1.1 * typical_s else None


def _fit_phase(earliest_s: Sequence[float], latest_s: Sequence[float], period_s: float) -> Rhythm:
    """The phase for a given period that keeps the worst violation of a bracket smallest.

    The brackets' middles, taken modulo the period around their first, are assigned to whole periods one after the
    other, each relative to the running phase, so that errors do not add up.
    """
    phase_s = (earliest_s[0] + latest_s[0]) / 2
    low_s, high_s = earliest_s[0] - phase_s, latest_s[0] - phase_s
    left_out, last = 0, -1
    for earliest, latest in zip(earliest_s, latest_s, strict=True):
        centre_s = (low_s + high_s) / 2
        periods = round(((earliest + latest) / 2 - phase_s - centre_s) / period_s)
        left_out, last = left_out + abs(periods - last - 1), periods
        offset_s = phase_s + periods * period_s
        low_s, high_s = max(low_s, earliest - offset_s), min(high_s, latest - offset_s)
    return Rhythm(period_s, phase_s + (low_s + high_s) / 2, max(0.0, (low_s - high_s) / 2), left_out)


def _refine(earliest_s: Sequence[float], latest_s: Sequence[float], start: Rhythm) -> Rhythm:
    """Narrow the period down around `start` to the middle of those that fit equally well."""
    spread_s = start.period_s * 2 * _COARSE_SPREAD / (_COARSE_CANDIDATES - 1)
    candidates = [start.period_s + spread_s * (2 * n / (_FINE_ROUNDS - 1) - 1) for n in range(_FINE_ROUNDS)]
    fits = [_fit_phase(earliest_s, latest_s, candidate_s) for candidate_s in candidates]
    least_s = min(fit.strain_s for fit in fits)
    good = [fit for fit in fits if fit.strain_s <= least_s + 1e-6]
    return good[len(good) // 2]
