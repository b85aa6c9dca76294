"""Counters that step faster than they are read: their steps' times, and the energy that follows."""

from __future__ import annotations

import random
import statistics

import pytest
from sensor_simulator import Energy, Polls, Sensor, constant, pieces, simulate, square, triangle

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator
from llem_runner.power.fast import FastRhythms
from llem_runner.power.phase import Rhythms
from llem_runner.power.steps import find_steps
from llem_runner.power.times import StepTimes

LENGTH_S = 30.0
CURVES = {
    "constant": constant(300),
    "square": square(100, 500, 0.83),
    "triangle": triangle(80, 420, 3.1),
    "decoding": pieces([520, 520, 240, 250, 260, 270, 280, 290, 90], 0.21),
}


def _away_from(time_s: float, period_s: float, phase_s: float) -> float:
    """Distance from the nearest moment at which the counter stepped."""
    return abs((time_s - phase_s + period_s / 2) % period_s - period_s / 2)


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
@pytest.mark.parametrize("step_s", [0.02, 0.025, 0.033])
def test_steps_that_nobody_sees_come_are_timed_to_a_few_milliseconds(step_s: float, curve: Energy) -> None:
    sensor = Sensor(step_s=step_s, step_phase_s=0.007, step_jitter_s=0.0003)
    steps = find_steps(simulate(curve, sensor, Polls(), LENGTH_S, random.Random(4)))
    times = StepTimes(Rhythms(steps))
    away_s = [_away_from(times.at(step), step_s, 0.007) for step in range(40, len(steps) - 40)]
    # By chance it would be a quarter of the period.
    assert statistics.mean(away_s) < 0.1 * step_s


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_claim_7_10_a_counter_of_20_ms_gives_a_second_within_half_a_percent(curve: Energy) -> None:
    sensor = Sensor(step_s=0.01999, step_phase_s=0.004, step_jitter_s=0.0003, lag_s=0.015)
    series = simulate(curve, sensor, Polls(drop_out=0.02), LENGTH_S, random.Random(5))
    estimator, errors = Estimator(series, board_facts("NVIDIA H100 80GB HBM3")), []
    for n in range(40):
        start_s = 2 + 0.637 * n
        found = estimator.energy(start_s, start_s + 1)
        assert found.total_j is not None
        truth_j = curve(start_s + 1) - curve(start_s)
        errors.append(abs(found.total_j - truth_j) / truth_j)
    assert statistics.mean(errors) < 0.005


@pytest.mark.parametrize(
    ("step_s", "poll_s"), [(0.1, 0.047), (0.5, 0.047), (0.02, 0.007)], ids=["100-ms", "500-ms", "polled-faster"]
)
def test_a_counter_whose_steps_are_seen_has_no_hidden_rhythm(step_s: float, poll_s: float) -> None:
    steps = find_steps(simulate(constant(300), Sensor(step_s=step_s), Polls(poll_s), LENGTH_S, random.Random(6)))
    assert FastRhythms(steps).of(1) is None


def test_a_step_stays_in_its_bracket_whatever_rhythm_a_load_suggests() -> None:
    curve = square(20, 700, 0.094)
    steps = find_steps(simulate(curve, Sensor(step_s=0.02), Polls(), LENGTH_S, random.Random(6)))
    times = StepTimes(Rhythms(steps))
    for step in range(len(steps)):
        assert steps.earliest_s[step] <= times.at(step) <= steps.latest_s[step]


def test_reads_that_are_too_few_have_no_hidden_rhythm() -> None:
    steps = find_steps(simulate(constant(300), Sensor(step_s=0.02), Polls(), 1.5, random.Random(6)))
    assert FastRhythms(steps).of(0) is None
