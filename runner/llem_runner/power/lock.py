"""Brackets of counter steps, narrowed by the rhythm that the steps around them keep. Pure.

A counter steps every T, each step at most J early or late: t_k = phase + n_k·T + j_k, |j_k| ≤ J. Each bracket then
binds all the others; over all T that the brackets allow,

    max over i of (earliest_i + (n_k − n_i)·T) − 2J  ≤  t_k  ≤  min over i of (latest_i + (n_k − n_i)·T) + 2J

J is not known. By how much the brackets miss the best common rhythm shows a part of it, because only a step close to
an end of its bracket tells; so J is taken several times larger than it shows, and never below a floor. Where the
brackets contradict a rhythm, or are wider than a period, each holds alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from llem_runner.power.phase import BLOCK_STEPS, Rhythm, Rhythms, block_of
from llem_runner.power.steps import Steps

_JITTER_FLOOR_S = 0.003
"""An H100's counter steps every 100 ms with 97.8–101.0 ms between its 10th and 90th percentile."""
_JITTER_SHOWN = 4.0
"""Of jitter of any even spread up to 10 ms, some 60 brackets of 47 ms show a quarter or more in nearly all cases."""
_MOST_JITTER = 1 / 9
"""Share of the period: steps that keep a rhythm no better than this are taken one by one."""
_WIDEST = 0.7
"""Share of the period: a bracket wider than this may be taken for that of the step before or after."""
_NARROW = 0.7
"""Share of brackets that has to be narrow: a rhythm may wander where few steps tell of it."""
_PERIOD_SPREAD = 0.01
_CLEARLY_S = 0.005
"""By how much better than any other period the one has to fit; with drop-outs, wrong ones may fit nearly as well."""
_ROUNDS = 40
_PERIODS_TRIED = 9


@dataclass(frozen=True)
class _Ticks:
    """The steps of a block as whole periods of its rhythm, with their brackets, counted from its first moment."""

    rhythm: Rhythm
    number: tuple[int, ...]
    earliest_s: tuple[float, ...]
    latest_s: tuple[float, ...]

    def lowest_phase_s(self, period_s: float) -> float:
        return max(at - n * period_s for at, n in zip(self.earliest_s, self.number, strict=True))

    def highest_phase_s(self, period_s: float) -> float:
        return min(at - n * period_s for at, n in zip(self.latest_s, self.number, strict=True))

    def missed_s(self, period_s: float) -> float:
        """By how much no phase satisfies all brackets at once; negative where some do. Convex in the period."""
        return self.lowest_phase_s(period_s) - self.highest_phase_s(period_s)


@dataclass(frozen=True)
class _Fit:
    """A block's ticks, the period that misses their brackets least, and the jitter that even this shows."""

    ticks: _Ticks
    period_s: float
    shown_s: float


@dataclass(frozen=True)
class _Lock:
    """Where the ticks of a block may lie: for some periods, the range of the phase, jitter included."""

    rhythm: Rhythm
    jitter_s: float
    phases: tuple[tuple[float, float, float], ...]  # period, lowest and highest phase

    def tick(self, n: int) -> tuple[float, float]:
        """Where the step of period `n` may have come."""
        lowest_s = min(low_s + n * period_s for period_s, low_s, _ in self.phases)
        highest_s = max(high_s + n * period_s for period_s, _, high_s in self.phases)
        return self.rhythm.phase_s + lowest_s - 2 * self.jitter_s, self.rhythm.phase_s + highest_s + 2 * self.jitter_s

    def narrowed(self, earliest_s: float, latest_s: float) -> tuple[float, float]:
        """A bracket of polls, narrowed: the poll at `latest_s` saw the last step before it.

        That is the last one that may have come by then; or, where this one may also have come later, the one before. So
        much depends on it that a margin is kept.
        """
        n = self.rhythm.number(latest_s) + 1
        while self.tick(n)[0] > latest_s:
            n -= 1
        lowest_s, highest_s = self.tick(n)
        before_s, surely_s = self.tick(n - 1)
        margin_s = 2 * self.jitter_s
        if highest_s + margin_s > latest_s and surely_s + margin_s >= earliest_s:
            lowest_s = before_s
        lowest_s, highest_s = max(earliest_s, lowest_s), min(latest_s, highest_s)
        return (lowest_s, highest_s) if lowest_s <= highest_s else (earliest_s, latest_s)


class LockedSteps:
    """The brackets of steps, each narrowed when it is first asked for."""

    def __init__(self, rhythms: Rhythms) -> None:
        self.steps = rhythms.steps
        self._rhythms = rhythms
        self._fits: dict[int, _Fit | None] = {}
        self._locks: dict[int, _Lock | None] = {}
        self._brackets: dict[int, tuple[float, float]] = {}

    def bracket(self, step: int) -> tuple[float, float]:
        """(earliest, latest) moment of `step`, never outside what the polls around it say."""
        if step not in self._brackets:
            self._brackets[step] = self._narrowed(step)
        return self._brackets[step]

    def last_surely_by(self, time_s: float) -> int:
        """The last step that came surely at or before `time_s`; −1 if none did."""
        step = self.steps.last_surely_by(time_s)
        while step + 1 < len(self.steps) and self.bracket(step + 1)[1] <= time_s:
            step += 1
        return step

    def first_surely_from(self, time_s: float) -> int:
        """The first step that came surely at or after `time_s`; `len(steps)` if none did."""
        step = self.steps.first_surely_from(time_s)
        while step > 0 and self.bracket(step - 1)[0] >= time_s:
            step -= 1
        return step

    def _narrowed(self, step: int) -> tuple[float, float]:
        earliest_s, latest_s = self.steps.earliest_s[step], self.steps.latest_s[step]
        lock = self._lock(step // BLOCK_STEPS)
        if lock is None or step == 0:  # entry 0 is the first poll's, no step that was seen
            return earliest_s, latest_s
        return lock.narrowed(earliest_s, latest_s)

    def _lock(self, block: int) -> _Lock | None:
        """The rhythm of a block with all that its brackets leave open; None where it has none."""
        if block not in self._locks:
            last = (len(self.steps) - 1) // BLOCK_STEPS
            around = [self._fit(each) for each in range(max(0, block - 1), min(last, block + 1) + 1)]
            fit = self._fit(block)
            known = [each for each in around if each is not None]
            agree = fit is not None and all(abs(each.period_s / fit.period_s - 1) < _PERIOD_SPREAD for each in known)
            shown_s = max((each.shown_s for each in known), default=0.0)
            jitter_s = _JITTER_FLOOR_S + _JITTER_SHOWN * shown_s
            self._locks[block] = _locked(fit, jitter_s) if fit is not None and agree else None
        return self._locks[block]

    def _fit(self, block: int) -> _Fit | None:
        if block not in self._fits:
            rhythm = self._rhythms.of(block)
            self._fits[block] = _fit(self.steps, block, rhythm) if rhythm is not None else None
        return self._fits[block]


def _fit(steps: Steps, block: int, rhythm: Rhythm) -> _Fit | None:
    """The rhythm of a block, with its brackets; None where another one may as well be it, or they contradict it."""
    if rhythm.rival_s < rhythm.strain_s + _CLEARLY_S:
        return None
    first, last = block_of(steps, block)
    earliest_s, latest_s = steps.earliest_s[first:last], steps.latest_s[first:last]
    narrow = [k for k in range(len(earliest_s)) if latest_s[k] - earliest_s[k] < _WIDEST * rhythm.period_s]
    number = tuple(rhythm.number((earliest_s[k] + latest_s[k]) / 2) for k in narrow)
    # Two steps in one period, or a period without a step that nobody missed, are no rhythm.
    one_each = all(number[k + 1] - number[k] == 1 for k in range(len(narrow) - 1) if narrow[k + 1] - narrow[k] == 1)
    if len(narrow) < _NARROW * len(earliest_s) or not one_each:
        return None
    ticks = _Ticks(
        rhythm,
        number,
        tuple(earliest_s[k] - rhythm.phase_s for k in narrow),
        tuple(latest_s[k] - rhythm.phase_s for k in narrow),
    )
    period_s = _best_period(ticks, rhythm.period_s)
    return _Fit(ticks, period_s, max(0.0, ticks.missed_s(period_s) / 2))


def _locked(fit: _Fit, jitter_s: float) -> _Lock | None:
    """All phases and periods that the brackets of a fit allow; None where the steps jitter too much to be a rhythm."""
    ticks, period_s = fit.ticks, fit.ticks.rhythm.period_s
    if jitter_s > _MOST_JITTER * period_s:
        return None
    shortest_s = _last_allowed(ticks, fit.period_s, period_s * (1 - _PERIOD_SPREAD), 2 * jitter_s)
    longest_s = _last_allowed(ticks, fit.period_s, period_s * (1 + _PERIOD_SPREAD), 2 * jitter_s)
    tried_s = [shortest_s + (longest_s - shortest_s) * n / (_PERIODS_TRIED - 1) for n in range(_PERIODS_TRIED)]
    phases = tuple((each_s, ticks.lowest_phase_s(each_s), ticks.highest_phase_s(each_s)) for each_s in tried_s)
    return _Lock(ticks.rhythm, jitter_s, phases)


def _best_period(ticks: _Ticks, near_s: float) -> float:
    """The period that misses the brackets least: ternary search, as what is missed is convex in the period."""
    low_s, high_s = near_s * (1 - _PERIOD_SPREAD), near_s * (1 + _PERIOD_SPREAD)
    for _ in range(_ROUNDS):
        left_s, right_s = low_s + (high_s - low_s) / 3, high_s - (high_s - low_s) / 3
        if ticks.missed_s(left_s) <= ticks.missed_s(right_s):
            high_s = right_s
        else:
            low_s = left_s
    return (low_s + high_s) / 2


def _last_allowed(ticks: _Ticks, best_s: float, end_s: float, allowed_s: float) -> float:
    """The period farthest from `best_s` towards `end_s` that misses the brackets by no more than is allowed."""
    inside_s, outside_s = best_s, end_s
    if ticks.missed_s(outside_s) <= allowed_s:
        return outside_s
    for _ in range(_ROUNDS // 2):
        middle_s = (inside_s + outside_s) / 2
        if ticks.missed_s(middle_s) <= allowed_s:
            inside_s = middle_s
        else:
            outside_s = middle_s
    return outside_s
