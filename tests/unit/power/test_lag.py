"""A counter's lag, learnt from the power readings beside it."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import replace

import pytest
from real_board_answers import with_a_counter, with_power_of
from real_boards import TRACES, Trace
from sensor_simulator import Energy, Polls, Sensor, constant, pieces, simulate, square, triangle

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator
from llem_runner.power.series import ABSENT, Series

UNKNOWN, GA100, HOPPER = (board_facts(name) for name in ("Something New", "NVIDIA A100-SXM4-80GB", "NVIDIA H100"))
CURVES = {
    "square": square(100, 500, 0.83),
    "long-square": square(100, 500, 3.17, 0.3),
    "triangle": triangle(80, 420, 3.13),
    "decoding": pieces([520, 520, 240, 250, 260, 270, 280, 290, 90], 0.21),
}


def used_ms(series: Series, board: str) -> float:
    """The lag that the estimate of a span uses."""
    middle_s = (series.before_s[0] + series.before_s[-1]) / 2
    found = Estimator(series, board_facts(board)).energy(middle_s, middle_s + 1)
    assert found.lag_ms is not None
    return found.lag_ms


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
@pytest.mark.parametrize("step_s", [0.02, 0.1])
def test_claim_7_10_an_unknown_lag_is_learnt_from_a_load_that_changes(curve: Energy, step_s: float) -> None:
    away_ms = []
    for seed, lag_ms in enumerate((5, 40, 75, 110, 145)):
        sensor = Sensor(
            step_s=step_s, step_phase_s=0.013, step_jitter_s=0.0003, lag_s=lag_ms / 1000, instant_window_s=0.05,
            power_lag_s=0.005,
        )  # fmt: skip
        away_ms.append(abs(used_ms(simulate(curve, sensor, Polls(), 40.0, random.Random(seed)), "?") - lag_ms))
    # Its middle would be wrong by 42 ms on average.
    assert statistics.mean(away_ms) < 15


@pytest.mark.parametrize("board", ["Something New", "NVIDIA A100-SXM4-80GB"])
@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_claim_7_9_beside_the_readings_of_a_real_board_the_lag_is_learnt_from_one_load(
    trace: Trace, board: str
) -> None:
    """The meter's energy as a counter with some lag of the interval, and the board's own readings beside it."""
    rng, lag = random.Random(3), board_facts(board).counter_lag_ms
    facts = replace(board_facts(trace.board), counter_lag_ms=lag)
    learnt_ms, middle_ms = [], []
    for n in range(8):
        lag_ms = lag.low + (lag.high - lag.low) * (n + 0.5) / 8
        series = with_power_of(trace, with_a_counter(trace, lag_ms / 1000, 0.047, rng))
        start_s = series.before_s[0] + 4
        found = Estimator(series, facts).energy(start_s, start_s + 1)
        assert found.lag_ms is not None
        learnt_ms.append(abs(found.lag_ms - lag_ms))
        middle_ms.append(abs(lag.middle - lag_ms))
    assert statistics.mean(learnt_ms) < 0.7 * statistics.mean(middle_ms)


def test_a_steady_load_teaches_nothing_and_leaves_the_middle_of_the_interval() -> None:
    series = simulate(constant(300), Sensor(lag_s=0.01), Polls(), 30.0, random.Random(1))
    assert used_ms(series, "Something New") == UNKNOWN.counter_lag_ms.middle
    assert used_ms(series, "NVIDIA A100-SXM4-80GB") == GA100.counter_lag_ms.middle


def test_a_lag_that_is_known_as_well_as_that_of_the_readings_is_not_learnt() -> None:
    series = simulate(CURVES["square"], Sensor(lag_s=0.03), Polls(), 30.0, random.Random(1))
    assert used_ms(series, "NVIDIA H100 80GB HBM3") == HOPPER.counter_lag_ms.middle


def test_without_instant_readings_the_lag_is_not_learnt() -> None:
    series = simulate(CURVES["square"], Sensor(has_average=True), Polls(), 30.0, random.Random(1))
    for row in range(len(series)):
        series.power_instant_w[row] = ABSENT
    assert used_ms(series, "Something New") == UNKNOWN.counter_lag_ms.middle


@pytest.mark.parametrize("length_s", [2.0, 3.0, 5.0])
def test_what_is_learnt_of_a_short_recording_stays_in_the_interval(length_s: float) -> None:
    for seed in range(5):
        series = simulate(CURVES["decoding"], Sensor(lag_s=0.12), Polls(), length_s, random.Random(seed))
        found = Estimator(series, GA100).energy(0.5, 1.0)
        assert found.refusal is None
        assert found.lag_ms is not None
        assert math.isfinite(found.lag_ms)
        assert GA100.counter_lag_ms.low <= found.lag_ms <= GA100.counter_lag_ms.high
