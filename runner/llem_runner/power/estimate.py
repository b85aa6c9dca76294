"""Energy of any span of a recording, per device, with bounds. Pure: standard library only; the host imports it too.

    idle ── load ── resident ── warmup ── measure ── drain        one recording, sliced later
                                         |       |
                                     start_s   end_s

The counter, interpolated between timed steps and shifted by the lag, is primary; power readings are its cross-check,
and its stand-in where a board has no counter.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from llem_runner.power.average import average_energy
from llem_runner.power.boards import BoardFacts
from llem_runner.power.counter import Counter, OutsideRecording, counter_estimate
from llem_runner.power.instant import instant_energy
from llem_runner.power.lag import learnt_lag_ms
from llem_runner.power.lock import LockedSteps
from llem_runner.power.phase import Rhythms
from llem_runner.power.series import Series
from llem_runner.power.steps import find_breaks, find_steps, steepest_w
from llem_runner.power.times import StepTimes
from llem_runner.power.updates import PowerEstimate, chosen_power

Method = Literal["counter", "power", "average_power"]

SYSTEMATIC_PERCENT = 5.0
"""A board's own gain error, which no bound here can know, where it was never calibrated."""


@dataclass(frozen=True)
class SpanEnergy:
    """Energy of one device over one span, or why there is none.

    With `refusal` None: `lower_j` ≤ the sensor's truth ≤ `upper_j`, and `total_j` lies between them. Of method
    `counter` that is proven; of the others it holds unless the load beats against the sensor without showing it: one
    that repeats in step with the readings looks steady to them, and no bound could tell. `method` names
    what it was made from; `lag_ms` is the lag used for `total_j`; `cross_check_j` is the same span by the power
    readings, where the counter is primary. Powers in watt. `counter_steps` counts the steps that came in the span.

    With a `refusal`: every number is None. `gpu_lost` then says that the sensor broke (the counter went backwards or
    stood still), which ends a run, and not merely that the readings do not suffice.
    """

    device: str
    start_s: float
    end_s: float
    total_j: float | None = None
    lower_j: float | None = None
    upper_j: float | None = None
    method: Method | None = None
    lag_ms: float | None = None
    cross_check_j: float | None = None
    mean_power_w: float | None = None
    peak_power_w: float | None = None
    counter_steps: int = 0
    refusal: str | None = None
    gpu_lost: bool = False


class Estimator:
    """Energy of spans of one device's series; holds what all spans share."""

    def __init__(self, series: Series, facts: BoardFacts) -> None:
        self._series = series
        self._facts = facts
        self._disorder = series.disorder()
        self._has_counter = series.has_counter
        self._breaks = find_breaks(series)
        self._steps = find_steps(series)
        rhythms = Rhythms(self._steps)
        self._times = StepTimes(rhythms)
        self._counter = Counter(LockedSteps(rhythms), facts.counter_lag_ms, self._highest_w())
        self._power_updates = chosen_power(series, facts)

    def energy(self, start_s: float, end_s: float) -> SpanEnergy:
        """Energy between two moments of the recording's clock. Never raises: what cannot be known is a refusal."""
        if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
            return self._refuse(start_s, end_s, "the span has no length: its end must come after its start")
        if self._disorder:
            return self._refuse(start_s, end_s, self._disorder)
        if not len(self._series):
            return self._refuse(start_s, end_s, "there are no readings of this device")
        if self._has_counter:
            return self._by_counter(start_s, end_s)
        return self._by_power(start_s, end_s)

    @cached_property
    def _lag_ms(self) -> float:
        """The lag that the estimate uses; the bounds use all that are possible."""
        return learnt_lag_ms(self._steps, self._times, self._power_updates, self._facts)

    def _highest_w(self) -> float:
        """More than the board ever drew: what its family never exceeds, and twice all that was seen of it."""
        columns = (self._series.power_instant_w, self._series.power_w, self._series.power_average_w)
        seen_w = max((value for column in columns for value in column if not math.isnan(value)), default=0.0)
        return max(self._facts.highest_power_w, 2 * seen_w, 2 * steepest_w(self._steps))

    def _refuse(self, start_s: float, end_s: float, reason: str, *, gpu_lost: bool = False) -> SpanEnergy:
        return SpanEnergy(self._series.device, start_s, end_s, refusal=reason, gpu_lost=gpu_lost)

    def _by_counter(self, start_s: float, end_s: float) -> SpanEnergy:
        lag = self._facts.counter_lag_ms
        # The bounds use one step more than the span and its lag: that one has to be sound as well.
        beyond = self._steps.first_surely_from(end_s + lag.high / 1000)
        used_until_s = self._steps.latest_s[beyond] if beyond < len(self._steps) else math.inf
        for broken in self._breaks:
            if broken.start_s <= used_until_s and broken.end_s >= start_s:
                return self._refuse(start_s, end_s, broken.reason, gpu_lost=True)
        try:
            bounds = self._counter.bounds(start_s, end_s)
        except OutsideRecording as outside:
            return self._refuse(start_s, end_s, str(outside))
        estimate_j = counter_estimate(self._steps, self._times, start_s, end_s, self._lag_ms / 1000)
        power = self._power(start_s, end_s)
        return self._result(
            start_s,
            end_s,
            total_j=min(max(estimate_j, bounds.lower_j), bounds.upper_j),
            lower_j=bounds.lower_j,
            upper_j=bounds.upper_j,
            method="counter",
            lag_ms=self._lag_ms,
            cross_check_j=None if isinstance(power, str) else power.total_j,
        )

    def _by_power(self, start_s: float, end_s: float) -> SpanEnergy:
        power = self._power(start_s, end_s)
        if isinstance(power, str):
            return self._refuse(start_s, end_s, power)
        return self._result(
            start_s,
            end_s,
            total_j=power.total_j,
            lower_j=power.lower_j,
            upper_j=power.upper_j,
            method=power.method,
            lag_ms=self._facts.power_lag_ms.middle,
            cross_check_j=None,
        )

    def _power(self, start_s: float, end_s: float) -> PowerEstimate | str:
        """The span by its power readings, or why they do not give it."""
        chosen = self._power_updates
        if chosen is None:
            return "this device has neither an energy counter nor power readings"
        integrate = instant_energy if chosen.method == "power" else average_energy
        return integrate(chosen, start_s, end_s, self._facts)

    def _result(
        self,
        start_s: float,
        end_s: float,
        *,
        total_j: float,
        lower_j: float,
        upper_j: float,
        method: Method,
        lag_ms: float,
        cross_check_j: float | None,
    ) -> SpanEnergy:
        mean_power_w = total_j / (end_s - start_s)
        first, last = self._steps.first_surely_from(start_s), self._steps.last_surely_by(end_s)
        return SpanEnergy(
            device=self._series.device,
            start_s=start_s,
            end_s=end_s,
            total_j=total_j,
            lower_j=lower_j,
            upper_j=upper_j,
            method=method,
            lag_ms=lag_ms,
            cross_check_j=cross_check_j,
            mean_power_w=mean_power_w,
            peak_power_w=max(mean_power_w, _peak_w(self._series, start_s, end_s)),
            counter_steps=max(0, last - first + 1),
        )


def energy(series: Series, start_s: float, end_s: float, facts: BoardFacts) -> SpanEnergy:
    """Energy of one device over one span; for many spans of one series keep an `Estimator`."""
    return Estimator(series, facts).energy(start_s, end_s)


def _peak_w(series: Series, start_s: float, end_s: float) -> float:
    """The highest power reading that was seen in the span; 0 where there is none."""
    first, last = bisect_left(series.after_s, start_s), bisect_right(series.before_s, end_s)
    columns = (series.power_instant_w, series.power_w, series.power_average_w)
    return max((value for column in columns for value in column[first:last] if not math.isnan(value)), default=0.0)


@dataclass(frozen=True)
class TotalEnergy:
    """The sum over devices. Bounds add up, because each device's error may have the same sign."""

    total_j: float
    lower_j: float
    upper_j: float
    method: Method
    lag_ms: float
    cross_check_j: float | None


def total(spans: Sequence[SpanEnergy]) -> TotalEnergy | None:
    """One span over several devices added up; None where any device refused, or there are none.

    `method` is the weakest that any device used, `lag_ms` the mean of those used.
    """
    if not spans or any(span.refusal for span in spans):
        return None
    order: tuple[Method, ...] = ("counter", "power", "average_power")
    checks = [span.cross_check_j for span in spans if span.cross_check_j is not None]
    return TotalEnergy(
        total_j=sum(span.total_j or 0.0 for span in spans),
        lower_j=sum(span.lower_j or 0.0 for span in spans),
        upper_j=sum(span.upper_j or 0.0 for span in spans),
        method=max((span.method or "counter" for span in spans), key=order.index),
        lag_ms=sum(span.lag_ms or 0.0 for span in spans) / len(spans),
        cross_check_j=sum(checks) if len(checks) == len(spans) else None,
    )


_DRAIN_STEPS = 2
POWER_DRAIN_S = 1.5
"""How long readings must go on after a span, so that the longest window, lag and staleness have passed."""


def drained(series: Series, end_s: float, facts: BoardFacts) -> bool:
    """Whether the readings so far show all of a span that ended at `end_s`.

    With a counter: it has stepped twice more since, and the last of these steps came later than the longest lag.
    Without: the power readings reach past the longest lag and window.
    """
    if series.has_counter:
        steps = find_steps(series)
        seen = len(steps) - steps.first_surely_from(end_s)
        return seen >= _DRAIN_STEPS and steps.earliest_s[-1] >= end_s + facts.counter_lag_ms.high / 1000
    return bool(len(series)) and series.before_s[-1] >= end_s + POWER_DRAIN_S
