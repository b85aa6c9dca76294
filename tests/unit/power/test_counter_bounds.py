"""Claim 8: the bounds contain the truth whatever the power does, and for any rhythm, lag and polls of the sensor.

`LLEM_BOUND_EXAMPLES` sets how many random cases each test tries.
"""

from __future__ import annotations

import os
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sensor_simulator import Energy, Polls, Sensor, constant, pieces, simulate, square, triangle

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator

BOARDS = (
    "NVIDIA H100 80GB HBM3 (simulated)",
    "NVIDIA A100-SXM4-80GB (simulated)",
    "NVIDIA RTX PRO 6000 Blackwell",
    "?",
)
TOLERANCE_J = 1e-6
power_w = st.floats(0, 700)
seeds = st.integers(0, 2**32)
examples = int(os.environ.get("LLEM_BOUND_EXAMPLES", "150"))
thorough = settings(
    max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)


@st.composite
def curves(draw: st.DrawFn) -> Energy:
    kind = draw(st.sampled_from(["constant", "square", "triangle", "pieces"]))
    if kind == "constant":
        return constant(draw(power_w))
    low_w, high_w = sorted((draw(power_w), draw(power_w)))
    phase_s = draw(st.floats(0, 5))
    if kind == "square":
        return square(low_w, high_w, draw(st.floats(0.01, 3)), draw(st.floats(0.05, 0.95)), phase_s)
    if kind == "triangle":
        return triangle(low_w, high_w, draw(st.floats(0.05, 5)), phase_s)
    return pieces(draw(st.lists(power_w, min_size=2, max_size=20)), draw(st.floats(0.005, 0.5)))


@st.composite
def sensors(draw: st.DrawFn, board: str) -> Sensor:
    lag = board_facts(board).counter_lag_ms
    step_s = draw(st.floats(0.02, 0.5))
    return Sensor(
        step_s=step_s,
        step_phase_s=draw(st.floats(0, 1)),
        step_jitter_s=draw(st.sampled_from([0.0, 0.0015, 0.01, 0.45])) * min(1.0, step_s),
        lag_s=draw(st.floats(lag.low, lag.high)) / 1000,
        has_average=draw(st.booleans()),
    )


polls = st.builds(
    Polls,
    period_s=st.sampled_from([0.047, 0.05, 0.02, 0.1]),
    jitter_s=st.sampled_from([0.0, 0.002, 0.03]),
    drop_out=st.sampled_from([0.0, 0.05, 0.4]),
    read_s=st.sampled_from([0.0, 0.0002, 0.01]),
)


@thorough
@given(st.data(), st.sampled_from(BOARDS), curves(), polls, seeds, st.floats(1, 3), st.floats(0.005, 4))
def test_claim_8_counter_bounds_contain_the_truth_for_any_power_rhythm_lag_and_polls(
    data: st.DataObject, board: str, energy: Energy, how: Polls, seed: int, start_s: float, length_s: float
) -> None:
    sensor = data.draw(sensors(board))
    series = simulate(energy, sensor, how, 9.0, random.Random(seed))
    found = Estimator(series, board_facts(board)).energy(start_s, start_s + length_s)
    if found.refusal:
        assert "stood still" in found.refusal or "recording ends" in found.refusal, found.refusal
        assert found.total_j is None
        return
    truth_j = energy(start_s + length_s) - energy(start_s)
    assert found.lower_j is not None
    assert found.upper_j is not None
    assert found.total_j is not None
    assert found.lower_j - TOLERANCE_J <= truth_j <= found.upper_j + TOLERANCE_J
    assert found.lower_j <= found.total_j <= found.upper_j


@thorough
@given(st.floats(0.02, 0.5), st.floats(0, 1), st.floats(0.01, 1.5), st.floats(0, 1), st.floats(0.1, 0.9), seeds)
def test_claim_8_a_square_wave_of_any_period_and_phase_stays_inside_the_bounds(
    step_s: float, step_phase_s: float, period_s: float, phase_s: float, duty: float, seed: int
) -> None:
    rng = random.Random(seed)
    energy = square(100, 500, period_s, duty, phase_s)
    sensor = Sensor(step_s=step_s, step_phase_s=step_phase_s, lag_s=rng.uniform(0.005, 0.030))
    estimator = Estimator(simulate(energy, sensor, Polls(), 8.0, rng), board_facts("H100"))
    for length_s in (0.1, 0.5, 1.0, 3.0):
        start_s = rng.uniform(1, 2)
        found = estimator.energy(start_s, start_s + length_s)
        truth_j = energy(start_s + length_s) - energy(start_s)
        assert found.refusal is None
        assert found.lower_j is not None
        assert found.upper_j is not None
        assert found.lower_j - TOLERANCE_J <= truth_j <= found.upper_j + TOLERANCE_J


@thorough
@given(st.data(), curves(), polls, seeds, st.floats(1.5, 3), st.floats(0.005, 4))
def test_average_power_bounds_contain_the_truth_for_any_power(
    data: st.DataObject, energy: Energy, how: Polls, seed: int, start_s: float, length_s: float
) -> None:
    sensor = Sensor(
        step_s=0.1,
        step_phase_s=data.draw(st.floats(0, 1)),
        average_window_s=data.draw(st.floats(1.0, 1.1)),
        power_lag_s=data.draw(st.floats(0, 0.05)),
        has_counter=False,
        has_instant=False,
        has_average=True,
    )
    series = simulate(energy, sensor, how, 10.0, random.Random(seed))
    found = Estimator(series, board_facts("NVIDIA GeForce RTX 3090")).energy(start_s, start_s + length_s)
    if found.refusal:
        assert found.total_j is None
        return
    truth_j = energy(start_s + length_s) - energy(start_s)
    assert found.method == "average_power"
    assert found.lower_j is not None
    assert found.upper_j is not None
    assert found.lower_j - 0.01 <= truth_j <= found.upper_j + 0.01
