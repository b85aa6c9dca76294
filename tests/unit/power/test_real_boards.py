"""Claim 9: what the estimator says of real boards, against an external meter, on every change.

No constant of the estimator comes from these files but by way of the publications that they belong to: lags, windows
and periods are those of the SC'24 paper and of `counter_edges` as a whole, gains those of the folder's README.
"""

from __future__ import annotations

import math
import random
import statistics
from array import array
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cache

import pytest
from real_boards import LOAD_POWER_W, TRACES, Edges, Span, Trace, counter_edges

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator, SpanEnergy
from llem_runner.power.series import Series

IDS = [trace.name for trace in TRACES]


@dataclass(frozen=True)
class Answer:
    """What was said of a span, gain taken out."""

    span: Span
    energy_j: float
    lower_j: float
    upper_j: float

    @property
    def error(self) -> float:
        return abs(self.energy_j - self.span.truth_j) / self.span.truth_j

    @property
    def half_width(self) -> float:
        return (self.upper_j - self.lower_j) / 2 / self.energy_j

    @property
    def holds(self) -> bool:
        slack_j = self.span.meter_error_j
        return self.lower_j <= self.span.truth_j + slack_j and self.upper_j >= self.span.truth_j - slack_j


def answer(span: Span, found: SpanEnergy, gain: float) -> Answer:
    assert found.refusal is None, found.refusal  # a refusal counts as a miss
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


@pytest.mark.parametrize("trace", TRACES, ids=IDS)
def test_claim_7_9_bounds_hold_on_every_span_of_a_real_board(trace: Trace) -> None:
    assert len(answers(trace)) == 37
    assert [each.span for each in answers(trace) if not each.holds] == []


@pytest.mark.parametrize(("length_s", "most"), [(1, 0.025), (2, 0.015), (5, 0.006), (8, 0.006)])
@pytest.mark.parametrize("trace", TRACES, ids=IDS)
def test_claim_7_9_the_mean_error_is_small_at_every_length(trace: Trace, length_s: int, most: float) -> None:
    assert statistics.mean(each.error for each in answers(trace, length_s)) <= most


@pytest.mark.parametrize(("length_s", "most"), [(2, 0.04), (5, 0.03), (8, 0.03)])
@pytest.mark.parametrize("trace", TRACES, ids=IDS)
def test_claim_7_9_the_median_half_width_of_the_bounds_is_small(trace: Trace, length_s: int, most: float) -> None:
    assert statistics.median(each.half_width for each in answers(trace, length_s)) <= most


@pytest.mark.parametrize("poll_s", [0.02, 0.047, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("trace", TRACES, ids=IDS)
def test_claim_7_9_bounds_hold_as_well_for_whoever_polls_less_often(trace: Trace, poll_s: float) -> None:
    whole, due_s = trace.series(), -math.inf
    thinned = Series("0")
    for row, time_s in enumerate(whole.before_s):
        if time_s >= due_s:
            due_s = time_s + poll_s
            thinned.append(time_s, whole.after_s[row], power_instant_w=whole.power_instant_w[row])
    estimator = Estimator(thinned, board_facts(trace.board))
    made = [answer(span, estimator.energy(span.start_s, span.end_s), trace.gain) for span in trace.spans()]
    assert [each.span for each in made if not each.holds] == []
    if poll_s < 0.1:
        assert statistics.median(each.half_width for each in made if round(each.span.length_s) == 5) <= 0.03


def average_only(series: Series) -> Series:
    nothing = array("d", [math.nan]) * len(series)
    return replace(series, power_w=nothing, power_instant_w=nothing)


def test_claim_7_9_with_only_the_one_second_average_left_the_whole_load_is_right_within_one_percent() -> None:
    trace = TRACES[1]
    estimator = Estimator(average_only(trace.series()), board_facts(trace.board))
    found = [(span, estimator.energy(span.start_s, span.end_s)) for span in trace.spans()]
    [load] = [answer(span, energy, trace.gain) for span, energy in found if span.kind == "load"]
    assert load.error <= 0.01
    assert all(answer(span, energy, trace.gain).holds for span, energy in found)


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


@pytest.mark.parametrize("poll_s", [0.013, 0.047])
@pytest.mark.parametrize("board", ["NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "NVIDIA Something New"])
def test_claim_7_9_with_a_counter_the_bounds_hold_and_are_narrow_where_its_lag_is_known(
    board: str, poll_s: float
) -> None:
    rng = random.Random(9)
    lag = board_facts(board).counter_lag_ms
    found: dict[int, list[Answer]] = {}
    for trace in TRACES:
        for _ in range(6):
            series = with_a_counter(trace, rng.uniform(lag.low, lag.high) / 1000, poll_s, rng)
            estimator = Estimator(series, board_facts(board))
            for span in trace.spans():
                if series.before_s[0] + 0.3 < span.start_s and span.end_s < series.after_s[-1] - 0.5:
                    made = estimator.energy(span.start_s, span.end_s)
                    assert made.method == "counter"
                    found.setdefault(round(span.length_s), []).append(answer(span, made, trace.gain))
    # The meter is what the counter counted: here its own error is none of the bounds'.
    for each in (each for made in found.values() for each in made):
        assert each.lower_j - 0.01 <= each.span.truth_j <= each.upper_j + 0.01
    widths = {length_s: statistics.median(each.half_width for each in made) for length_s, made in found.items()}
    assert widths[8] <= 0.03
    if "H100" in board:
        assert widths[5] <= 0.025


def alone(edges: Edges, column: str = "counter_mj") -> Series:
    """The four readings of a load and nothing else, as somebody writes them who notes a time and a counter."""
    series = Series("0")
    times_s = (edges.start_s - 0.001, edges.start_s + 0.001, edges.end_s + 0.001, edges.end_s + 6.0)
    for time_s, counter_mj in zip(times_s, edges.counters_mj, strict=True):
        series.append(time_s - 0.001, time_s + 0.001, **{column: float(counter_mj)})
    return series


@pytest.mark.parametrize("board", LOAD_POWER_W)
def test_claim_7_9_bounds_hold_for_every_load_from_the_four_readings_of_each_alone(board: str) -> None:
    loads = [edges for edges in counter_edges() if edges.board == board and 0.25 <= edges.nominal_s <= 2]
    assert len(loads) == 8
    for edges in loads:
        found = Estimator(alone(edges), board_facts(board)).energy(edges.start_s, edges.end_s)
        assert found.refusal is None, found.refusal
        assert found.lower_j is not None
        assert found.upper_j is not None
        truth_j = LOAD_POWER_W[board] * (edges.end_s - edges.start_s)
        assert found.lower_j <= 1.015 * truth_j
        assert found.upper_j >= 0.985 * truth_j
