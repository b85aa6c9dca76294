"""What the estimator says of real boards' recordings, against the meter: for tests and for docs/validation.md."""

from __future__ import annotations

import math
import random
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from real_boards import Edges, Span, Trace

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator, SpanEnergy
from llem_runner.power.series import Series


@dataclass(frozen=True)
class Answer:
    """What was said of a span, gain taken out."""

    span: Span
    energy_j: float
    lower_j: float
    upper_j: float

    @property
    def error(self) -> float:
        """Distance from the meter's energy, as a share of it."""
        return abs(self.energy_j - self.span.truth_j) / self.span.truth_j

    @property
    def half_width(self) -> float:
        """Half the distance of the bounds, as a share of the answer."""
        return (self.upper_j - self.lower_j) / 2 / self.energy_j

    @property
    def holds(self) -> bool:
        """Whether the bounds reach the meter's energy, give or take the meter's own error."""
        slack_j = self.span.meter_error_j
        return self.lower_j <= self.span.truth_j + slack_j and self.upper_j >= self.span.truth_j - slack_j


def answer(span: Span, found: SpanEnergy, gain: float) -> Answer:
    """The answer, gain taken out. AssertionError for a refusal: it counts as a miss."""
    assert found.refusal is None, found.refusal
    assert found.total_j is not None
    assert found.lower_j is not None
    assert found.upper_j is not None
    return Answer(span, found.total_j / gain, found.lower_j / gain, found.upper_j / gain)


@cache
def answers(trace: Trace, length_s: int = 0) -> list[Answer]:
    """By the readings as they were polled: of all windows of a length, or (0) of all spans."""
    estimator = Estimator(trace.series(), board_facts(trace.board))
    found = [answer(span, estimator.energy(span.start_s, span.end_s), trace.gain) for span in trace.spans()]
    return [
        each for each in found if not length_s or (each.span.kind, round(each.span.length_s)) == ("window", length_s)
    ]


def average_only(series: Series) -> Series:
    """The same rows with nothing but the 1 s average."""
    nothing = array("d", [math.nan]) * len(series)
    return replace(series, power_w=nothing, power_instant_w=nothing)


def with_a_counter(trace: Trace, lag_s: float, poll_s: float, rng: random.Random) -> Series:
    """The meter's energy as a counter of 100 ms with jitter shows it to somebody who polls every `poll_s`."""
    energy_j, first_s, last_s = trace.meter()
    phase_s = first_s + lag_s + rng.random() * 0.1
    steps_s = [phase_s + 0.1 * n + rng.uniform(-0.0015, 0.0015) for n in range(round((last_s - first_s) * 10) + 1)]
    series = Series("0")
    time_s = phase_s + 0.05
    while time_s < last_s:
        read_s = time_s + rng.uniform(0, 0.0005)
        step_s = steps_s[bisect_right(steps_s, read_s) - 1]
        counter_mj = math.floor((energy_j(step_s - lag_s) * trace.gain + 1000) * 1000)
        series.append(read_s - 0.0002, read_s + 0.0002, counter_mj=counter_mj)
        time_s += poll_s
    return series


def with_power_of(trace: Trace, series: Series) -> Series:
    """The same rows with what the board's instant reading had last been polled as beside the counter."""
    polled, power_w = trace.series(), array("d")
    for before_s in series.before_s:
        row = bisect_right(polled.before_s, before_s) - 1
        power_w.append(polled.power_instant_w[row] if row >= 0 else math.nan)
    return replace(series, power_instant_w=power_w)


def counter_answers(
    trace: Trace, board: str, poll_s: float, rng: random.Random, *, beside: bool = False
) -> Iterator[Answer]:
    """Of every span of a recording, by a counter like that of `board` with some lag of its family's interval.

    `beside`: with the recorded board's own power readings beside it, from which a lag may be learnt.
    """
    facts = board_facts(board)
    lag = facts.counter_lag_ms
    series = with_a_counter(trace, rng.uniform(lag.low, lag.high) / 1000, poll_s, rng)
    if beside:
        series, facts = with_power_of(trace, series), replace(board_facts(trace.board), counter_lag_ms=lag)
    estimator = Estimator(series, facts)
    for span in trace.spans():
        if series.before_s[0] + 0.3 < span.start_s and span.end_s < series.after_s[-1] - 0.5:
            made = estimator.energy(span.start_s, span.end_s)
            assert made.method == "counter"
            yield answer(span, made, trace.gain)


def alone(edges: Edges, column: str = "counter_mj") -> Series:
    """The four readings of a load and nothing else, as somebody writes them who notes a time and a counter."""
    series = Series("0")
    times_s = (edges.start_s - 0.001, edges.start_s + 0.001, edges.end_s + 0.001, edges.end_s + 6.0)
    for time_s, counter_mj in zip(times_s, edges.counters_mj, strict=True):
        series.append(time_s - 0.001, time_s + 0.001, **{column: float(counter_mj)})
    return series
