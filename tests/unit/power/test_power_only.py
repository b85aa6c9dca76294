"""Claim 5: boards without a counter, and the cross-check of those with one."""

from __future__ import annotations

import math
import random
from array import array
from dataclasses import replace

import pytest
from sensor_simulator import Energy, Polls, Sensor, constant, simulate, square, triangle

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator, SpanEnergy
from llem_runner.power.series import Series
from llem_runner.power.updates import chosen_power

BOARDS = {
    "NVIDIA A100-SXM4-80GB": (0.1, 0.025),
    "NVIDIA GeForce RTX 3090": (0.1, 0.1),
    "Tesla V100-SXM2-16GB": (0.02, 0.01),
    "a board that nobody knows": (0.1, 0.05),
}


def load(low_w: float, high_w: float, begin_s: float, end_s: float) -> Energy:
    return lambda t: low_w * t + (high_w - low_w) * max(0.0, min(t, end_s) - begin_s)


def recording(curve: Energy, board: str, polls: Polls, seed: int, length_s: float = 14.0) -> Series:
    rng = random.Random(seed)
    update_s, window_s = BOARDS[board]
    sensor = Sensor(
        step_s=update_s,
        step_phase_s=rng.random(),
        step_jitter_s=0.0015,
        instant_window_s=window_s,
        power_lag_s=rng.uniform(0, 0.05),
        has_counter=False,
    )
    return simulate(curve, sensor, polls, length_s, rng)


def holds(found: SpanEnergy, truth_j: float) -> bool:
    assert found.refusal is None, found.refusal
    assert found.lower_j is not None
    assert found.upper_j is not None
    return found.lower_j - 0.01 <= truth_j <= found.upper_j + 0.01


@pytest.mark.parametrize("poll_s", [0.001, 0.01, 0.047, 0.1, 0.5])
@pytest.mark.parametrize("board", BOARDS)
def test_claim_7_5_bounds_hold_for_loads_ramps_and_rest_however_often_the_power_was_read(
    board: str, poll_s: float
) -> None:
    for seed in range(8):
        rng = random.Random(seed)
        begin_s = rng.uniform(2, 4)
        curves = (load(80, 400, begin_s, begin_s + rng.uniform(1, 6)), triangle(80, 400, 12.0), constant(250))
        for curve in curves:
            estimator = Estimator(recording(curve, board, Polls(period_s=poll_s), seed), board_facts(board))
            for length_s in (1.0, 2.0, 5.0):
                start_s = rng.uniform(1, 6)
                found = estimator.energy(start_s, start_s + length_s)
                assert found.method == "power"
                assert holds(found, curve(start_s + length_s) - curve(start_s)), (seed, start_s, length_s)


@pytest.mark.parametrize("seed", range(6))
def test_claim_7_5_a_load_of_52_ms_on_and_off_gets_a_wide_bound_where_the_sensor_sees_a_quarter(seed: int) -> None:
    board, curve = "NVIDIA A100-SXM4-80GB", square(60, 250, 0.104)
    found = Estimator(recording(curve, board, Polls(), seed), board_facts(board)).energy(3.0, 4.0)
    assert holds(found, curve(4.0) - curve(3.0))
    assert found.lower_j is not None
    assert found.upper_j is not None
    assert (found.upper_j - found.lower_j) / 2 > 0.3 * 155


@pytest.mark.parametrize("update_s", [0.02, 0.05, 0.1, 0.2, 0.5])
def test_claim_7_5_how_often_a_sensor_renews_its_reading_is_found_in_the_readings(update_s: float) -> None:
    sensor = Sensor(step_s=update_s, has_counter=False)
    series = simulate(triangle(80, 400, 3.1), sensor, Polls(period_s=0.01), 14.0, random.Random(1))
    updates = chosen_power(series, board_facts("?"))
    assert updates is not None
    assert updates.update_s == pytest.approx(update_s, abs=0.012)


def test_claim_7_5_a_steady_reading_of_an_unknown_board_may_be_half_a_second_old() -> None:
    sensor = Sensor(step_s=0.5, has_counter=False)
    curve = load(80, 400, 3.02, 6.0)
    series = simulate(curve, sensor, Polls(period_s=0.01), 12.0, random.Random(1))
    for start_s in (2.5, 2.9, 3.4, 4.0):
        found = Estimator(series, board_facts("?")).energy(start_s, start_s + 3)
        assert holds(found, curve(start_s + 3) - curve(start_s))


@pytest.mark.parametrize("seed", range(8))
def test_claim_7_5_average_only_boards_get_the_whole_load_by_the_corrected_integral(seed: int) -> None:
    rng = random.Random(seed)
    curve = load(90, 350, 2.0, 2.0 + rng.uniform(3, 8))
    sensor = Sensor(
        step_phase_s=rng.random(),
        step_jitter_s=0.0015,
        average_window_s=rng.uniform(1.0, 1.1),
        power_lag_s=rng.uniform(0, 0.05),
        has_counter=False,
        has_instant=False,
        has_average=True,
    )
    end_s = 2.0 + (curve(14.0) - 90 * 14.0) / 260
    series = simulate(curve, sensor, Polls(period_s=0.01), 14.0, rng)
    found = Estimator(series, board_facts("NVIDIA GeForce RTX 4090")).energy(2.0, end_s)
    truth_j = curve(end_s) - curve(2.0)
    assert holds(found, truth_j)
    assert found.method == "average_power"
    assert found.total_j == pytest.approx(truth_j, rel=0.01)


def test_claim_7_5_plain_power_means_what_the_family_makes_of_it() -> None:
    series = recording(triangle(80, 400, 6.0), "NVIDIA A100-SXM4-80GB", Polls(), 3)
    nothing = array("d", [math.nan]) * len(series)
    plain = replace(series, power_w=series.power_instant_w, power_instant_w=nothing)
    methods = {
        board: Estimator(plain, board_facts(board)).energy(3.0, 8.0).method
        for board in ("NVIDIA A100-SXM4-80GB", "Tesla V100", "NVIDIA GeForce RTX 3090", "NVIDIA H100")
    }
    assert list(methods.values()) == ["power", "power", "average_power", "average_power"]


@pytest.mark.parametrize("lag_s", [0.067, 0.125, 0.179])
def test_claim_7_6_counter_and_power_agree_within_three_percent_because_the_lag_is_taken_into_account(
    lag_s: float,
) -> None:
    curve = load(60, 250, 2.0, 7.5)
    sensor = Sensor(step_jitter_s=0.0015, lag_s=lag_s, power_lag_s=0.03)
    series = simulate(curve, sensor, Polls(), 12.0, random.Random(4))
    found = Estimator(series, board_facts("NVIDIA A100-SXM4-80GB")).energy(2.0, 7.5)
    assert found.method == "counter"
    assert found.cross_check_j == pytest.approx(found.total_j, rel=0.03)
