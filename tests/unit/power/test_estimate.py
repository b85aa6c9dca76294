"""What the estimator answers, and what it refuses to answer, with the reason."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_simulator import Energy, Polls, Sensor, constant, simulate, square, triangle

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator, drained, energy, total
from llem_runner.power.series import Series

H100 = board_facts("NVIDIA H100 80GB HBM3")
A100 = board_facts("NVIDIA A100-SXM4-80GB")
V100 = board_facts("Tesla V100-SXM2-16GB")


def recording(curve: Energy, sensor: Sensor | None = None, polls: Polls | None = None, length_s: float = 9.0) -> Series:
    return simulate(curve, sensor or Sensor(step_jitter_s=0.0015), polls or Polls(), length_s, random.Random(7))


def rows(*readings: tuple[float, float], power_w: float = math.nan) -> Series:
    series = Series("GPU-a")
    for time_s, counter_mj in readings:
        series.append(time_s, time_s + 0.0001, counter_mj=counter_mj, power_instant_w=power_w)
    return series


def changed(series: Series, **columns: object) -> Series:
    return replace(series, **columns)  # type: ignore[arg-type]


@pytest.mark.parametrize("length_s", [1.0, 5.0])
@pytest.mark.parametrize(
    "curve",
    [constant(300), square(100, 500, 0.75), square(100, 500, 0.2), triangle(100, 500, 4.0)],
    ids=["constant", "square-750ms", "square-200ms", "triangle"],
)
def test_a_known_lag_gives_the_energy_within_one_percent_on_average(curve: Energy, length_s: float) -> None:
    estimator = Estimator(recording(curve), H100)
    starts = [1.0 + 0.17 * n for n in range(12)]
    errors = []
    for start_s in starts:
        found = estimator.energy(start_s, start_s + length_s)
        assert found.total_j is not None
        truth_j = curve(start_s + length_s) - curve(start_s)
        errors.append(abs(found.total_j - truth_j) / truth_j)
    assert sum(errors) / len(errors) < 0.01 / length_s


def test_the_result_says_how_it_was_made() -> None:
    found = energy(recording(constant(300)), 2.0, 4.0, H100)
    assert (found.method, found.lag_ms, found.refusal, found.gpu_lost) == ("counter", 15, None, False)
    assert found.cross_check_j == pytest.approx(600, rel=0.001)
    assert found.mean_power_w == pytest.approx(300, rel=0.01)
    assert found.counter_steps in (19, 20)
    assert found.peak_power_w is not None
    assert found.peak_power_w >= 300


def test_without_a_counter_the_power_readings_are_integrated() -> None:
    series = recording(triangle(100, 500, 4.0), Sensor(has_counter=False))
    found = energy(series, 2.0, 6.0, V100)
    assert found.method == "power"
    assert found.total_j == pytest.approx(1200, rel=0.02)
    assert found.cross_check_j is None


def test_with_only_the_one_second_average_a_whole_load_is_right_within_one_percent() -> None:
    def load(t: float) -> float:
        return 60 * t + 240 * min(max(t - 2.0, 0.0), 6.0)

    sensor = Sensor(has_counter=False, has_instant=False, has_average=True)
    found = energy(recording(load, sensor, length_s=12.0), 2.0, 8.0, board_facts("NVIDIA GeForce RTX 3090"))
    assert found.method == "average_power"
    assert found.total_j == pytest.approx(1800, rel=0.01)


def test_a_load_that_beats_against_the_sensor_gets_a_wide_bound() -> None:
    found = energy(recording(square(100, 500, 0.104), Sensor(has_counter=False)), 2.0, 4.0, V100)
    assert found.lower_j is not None
    assert found.upper_j is not None
    assert found.upper_j - found.lower_j > 0.5 * 600


@pytest.mark.parametrize(
    ("start_s", "end_s", "reason"),
    [
        (-1.0, 2.0, "begins before"),
        (2.0, 12.0, "recording ends"),
        (8.0, 8.99, "recording ends"),
        (3.0, 3.0, "no length"),
        (4.0, 3.0, "no length"),
        (math.nan, 3.0, "no length"),
        (3.0, math.inf, "no length"),
    ],
)
@pytest.mark.parametrize("has_counter", [True, False], ids=["counter", "power"])
def test_a_span_that_the_recording_does_not_reach_around_is_refused(
    start_s: float, end_s: float, reason: str, has_counter: bool
) -> None:
    found = energy(recording(constant(300), Sensor(has_counter=has_counter)), start_s, end_s, H100)
    assert found.refusal is not None
    assert reason in found.refusal
    assert not found.gpu_lost
    assert (found.total_j, found.lower_j, found.upper_j, found.method) == (None, None, None, None)


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        (Series("GPU-a"), "no readings"),
        (rows((1.0, math.nan), (2.0, math.nan)), "neither"),
        (rows((1.0, 5.0)), "recording ends"),
        (rows((3.0, 5.0), (2.0, 6.0), (9.0, 7.0)), "not in order"),
        (rows((0.0, math.nan), (9.0, math.nan), power_w=300.0), "no power was read"),
    ],
    ids=["none", "nothing-answers", "one", "out-of-order", "two-far-apart"],
)
def test_too_few_readings_are_refused(series: Series, reason: str) -> None:
    found = energy(series, 2.0, 3.0, H100)
    assert found.refusal is not None
    assert reason in found.refusal


def test_a_counter_that_goes_backwards_in_the_span_is_a_lost_gpu_and_named() -> None:
    series = recording(constant(300))
    half = len(series) // 2
    for row in range(half, len(series)):
        series.counter_mj[row] -= 9e7
    found = energy(series, 3.0, 6.0, H100)
    assert found.gpu_lost
    assert found.refusal is not None
    assert "backwards" in found.refusal
    assert energy(series, 1.0, 2.0, H100).refusal is None


def test_a_counter_that_stands_still_under_load_is_a_lost_gpu_and_named() -> None:
    series = recording(constant(300))
    half = len(series) // 2
    for row in range(half, len(series)):
        series.counter_mj[row] = series.counter_mj[half]
    found = energy(series, 3.0, 6.0, H100)
    assert found.gpu_lost
    assert found.refusal is not None
    assert "stood still" in found.refusal


def test_a_counter_that_stands_still_without_power_is_no_fault() -> None:
    found = energy(recording(lambda t: 300 * min(t, 1.0)), 1.5, 4.0, H100)
    assert not found.gpu_lost


def test_a_counter_that_jumps_is_not_believed() -> None:
    series = recording(constant(300))
    for row in range(len(series) // 2, len(series)):
        series.counter_mj[row] += 1e9
    found = energy(series, 3.0, 6.0, H100)
    assert found.gpu_lost
    assert found.refusal is not None
    assert "jumped" in found.refusal


def test_duplicate_rows_change_nothing() -> None:
    series = recording(constant(300))
    doubled = Series("GPU-a")
    for row in range(len(series)):
        for _ in range(2):
            doubled.append(
                series.before_s[row],
                series.after_s[row],
                counter_mj=series.counter_mj[row],
                power_instant_w=series.power_instant_w[row],
            )
    once, twice = energy(series, 2.0, 5.0, H100), energy(doubled, 2.0, 5.0, H100)
    assert (once.total_j, once.lower_j, once.upper_j) == (twice.total_j, twice.lower_j, twice.upper_j)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 10),
            st.one_of(st.just(math.nan), st.floats(0, 1e7)),
            st.one_of(st.just(math.nan), st.floats(0, 1e3)),
        ),
        max_size=40,
    ),
    st.booleans(),
    st.floats(-1, 11),
    st.floats(-1, 11),
)
def test_no_rows_however_strange_make_it_fail_or_leave_the_estimate_outside_its_bounds(
    readings: list[tuple[float, float, float]], in_order: bool, start_s: float, end_s: float
) -> None:
    series = Series("GPU-a")
    for time_s, counter_mj, power_w in sorted(readings) if in_order else readings:
        series.append(time_s, time_s + 0.001, counter_mj=counter_mj, power_instant_w=power_w)
    found = energy(series, start_s, end_s, A100)
    if found.refusal is None:
        assert found.total_j is not None
        assert found.lower_j is not None
        assert found.upper_j is not None
        assert 0 <= found.lower_j <= found.total_j <= found.upper_j


def test_devices_add_up_and_one_refusal_refuses_the_sum() -> None:
    one, other = (energy(recording(constant(watts)), 2.0, 4.0, H100) for watts in (300, 100))
    summed = total([one, other])
    assert summed is not None
    assert summed.total_j == pytest.approx(800, rel=0.01)
    assert summed.lower_j < 800 < summed.upper_j
    assert summed.method == "counter"
    assert summed.cross_check_j is not None
    assert total([one, energy(recording(constant(300)), 8.0, 9.5, H100)]) is None
    assert total([]) is None


def test_a_sum_is_called_by_its_weakest_method() -> None:
    counter = energy(recording(constant(300)), 2.0, 4.0, H100)
    power = energy(recording(constant(300), Sensor(has_counter=False)), 2.0, 4.0, H100)
    summed = total([counter, power])
    assert summed is not None
    assert summed.method == "power"
    assert summed.cross_check_j is None


@pytest.mark.parametrize("facts", [H100, A100], ids=["h100", "a100"])
@pytest.mark.parametrize("has_counter", [True, False], ids=["counter", "power"])
def test_a_span_is_drained_only_once_it_can_be_estimated(facts: object, has_counter: bool) -> None:
    facts = H100 if facts is H100 else A100
    whole = recording(constant(300), Sensor(has_counter=has_counter, lag_s=facts.counter_lag_ms.middle / 1000))
    end_s = 4.0
    answers = []
    for rows_read in range(80, len(whole)):
        so_far = changed(
            whole,
            before_s=whole.before_s[:rows_read],
            after_s=whole.after_s[:rows_read],
            counter_mj=whole.counter_mj[:rows_read],
            power_w=whole.power_w[:rows_read],
            power_average_w=whole.power_average_w[:rows_read],
            power_instant_w=whole.power_instant_w[:rows_read],
        )
        answers.append(drained(so_far, end_s, facts))
        if answers[-1]:
            assert energy(so_far, 2.0, end_s, facts).refusal is None
    assert not answers[0]
    assert answers[-1]
    assert answers == sorted(answers)
