"""The counter's rhythm from the brackets of its steps."""

from __future__ import annotations

import random

import pytest
from sensor_simulator import Polls, Sensor, constant, simulate

from llem_runner.power.phase import Rhythms, fit_rhythm
from llem_runner.power.steps import find_steps
from llem_runner.power.times import StepTimes


def brackets(step_s: float, jitter_s: float, polls: Polls, seed: int) -> tuple[list[float], list[float], float]:
    """Earliest and latest time of 60 steps, and the phase they were made with."""
    rng = random.Random(seed)
    phase_s = rng.uniform(0, step_s)
    sensor = Sensor(step_s=step_s, step_phase_s=phase_s, step_jitter_s=jitter_s)
    steps = find_steps(simulate(constant(300), sensor, polls, 61 * step_s, rng))
    return list(steps.earliest_s[1:]), list(steps.latest_s[1:]), phase_s


@pytest.mark.parametrize("step_s", [0.08, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_many_brackets_of_47_ms_fix_period_and_phase_to_a_few_milliseconds(step_s: float, seed: int) -> None:
    earliest_s, latest_s, phase_s = brackets(step_s, 0.001, Polls(), seed)
    rhythm = fit_rhythm(earliest_s, latest_s)
    assert rhythm is not None
    assert rhythm.period_s == pytest.approx(step_s, rel=0.003)
    middle_s = phase_s + 30 * step_s
    assert abs(rhythm.nearest(middle_s) - middle_s) < 0.006


@pytest.mark.parametrize("seed", range(40))
def test_two_polls_are_not_taken_for_the_period_of_a_slightly_slower_counter(seed: int) -> None:
    earliest_s, latest_s, _ = brackets(0.1, 0.0015, Polls(), seed)
    rhythm = fit_rhythm(earliest_s, latest_s)
    assert rhythm is not None
    assert rhythm.period_s == pytest.approx(0.1, rel=0.01)


def test_steps_faster_than_the_polls_and_too_few_steps_have_no_rhythm() -> None:
    earliest_s, latest_s, _ = brackets(0.02, 0.0, Polls(), 1)
    assert fit_rhythm(earliest_s, latest_s) is None
    earliest_s, latest_s, _ = brackets(0.1, 0.0, Polls(), 1)
    assert fit_rhythm(earliest_s[:5], latest_s[:5]) is None


def test_a_step_time_never_leaves_its_own_bracket() -> None:
    rng = random.Random(3)
    series = simulate(constant(300), Sensor(step_jitter_s=0.04), Polls(drop_out=0.2, jitter_s=0.02), 30.0, rng)
    steps = find_steps(series)
    times = StepTimes(Rhythms(steps))
    for step in range(len(steps)):
        assert steps.earliest_s[step] <= times.at(step) <= steps.latest_s[step]
