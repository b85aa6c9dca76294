"""The Python twin by itself: shapes integrate exactly, and steps keep their promises. No library is loaded."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_nvml import (
    DEFAULT_EPOCH_UNIX_S,
    Burst,
    Constant,
    Saw,
    Sensor,
    Settings,
    Shape,
    Square,
    Trace,
    Triangle,
    Truth,
    h100,
)
from simulated_nvml.sensor import SensorKind

# Energy of one whole period, worked out by hand.
SHAPES: list[tuple[Shape, float, float]] = [
    (Constant(watts=250.0), 1.0, 250.0),
    (Square(low_w=100.0, high_w=500.0, period_s=0.75, duty=0.2), 0.75, 0.15 * 500 + 0.6 * 100),
    (Square(high_w=500.0, period_s=2.0, duty=1.0), 2.0, 1000.0),
    (Saw(from_w=50.0, to_w=350.0, period_s=3.0), 3.0, 600.0),
    (Triangle(from_w=50.0, to_w=350.0, period_s=0.4), 0.4, 80.0),
    (Burst(high_w=600.0, low_w=10.0, burst_s=0.02, gap_s=0.03, count=3, period_s=1.0), 1.0, 0.06 * 600 + 0.94 * 10),
    (Trace(course=((0.2, 600.0), (0.8, 350.0, 250.0))), 1.0, 120 + 240),
]
NAMES = [type(shape).__name__ for shape, _, _ in SHAPES]
START = DEFAULT_EPOCH_UNIX_S + 20_000_000.25


def truth_of(*shapes: Shape, idle_w: float = 0.0) -> Truth:
    settings = Settings(boards=(h100(idle_w=idle_w, power=shapes),))
    return settings.truth(settings.boards[0].uuid)


@pytest.mark.parametrize(("shape", "period_s", "period_j"), SHAPES, ids=NAMES)
def test_every_shape_has_the_energy_of_its_period_wherever_the_period_is_cut(
    shape: Shape, period_s: float, period_j: float
) -> None:
    truth = truth_of(shape)
    for fraction in (0.0, 0.1, 0.37, 0.9):
        start = START + fraction * period_s
        assert truth.energy_j(start, start + 40 * period_s) == pytest.approx(40 * period_j, abs=0.002)


@pytest.mark.parametrize(("shape", "period_s", "_"), SHAPES, ids=NAMES)
def test_energy_is_the_integral_of_the_power(shape: Shape, period_s: float, _: float) -> None:
    truth = truth_of(shape)
    steps, length_s = 20_000, 1.7 * period_s
    points = (START + (i + 0.5) * length_s / steps for i in range(steps))
    summed_j = math.fsum(truth.power_w(point) for point in points) * length_s / steps
    assert truth.energy_j(START, START + length_s) == pytest.approx(summed_j, rel=1e-3)


def test_shapes_add_up_on_the_idle_floor() -> None:
    shapes = [shape for shape, _, _ in SHAPES]
    alone_j = sum(truth_of(shape).energy_j(START, START + 7.3) for shape in shapes)
    assert truth_of(*shapes, idle_w=60.0).energy_j(START, START + 7.3) == pytest.approx(alone_j + 60 * 7.3, abs=1e-3)


def test_a_phase_moves_a_shape_in_time() -> None:
    here, later = (truth_of(Square(high_w=100.0, period_s=4.0, duty=0.25, phase_s=phase_s)) for phase_s in (0.0, 1.5))
    for seconds in (0.1, 0.9, 1.1, 3.9):
        assert later.power_w(START + 1.5 + seconds) == here.power_w(START + seconds)


SENSORS = st.builds(
    Sensor,
    period_s=st.floats(0.02, 0.5),
    phase_s=st.floats(0, 1),
    jitter_s=st.floats(0, 0.01),
    missed=st.sampled_from([0.0, 0.3, 0.9]),
)


@given(sensor=SENSORS, seed=st.integers(0, 2**64 - 1), at_s=st.floats(1e3, 1e8))
def test_the_last_step_is_the_same_until_the_next_one_and_never_in_the_future(
    sensor: Sensor, seed: int, at_s: float
) -> None:
    step_s = sensor.step_s(at_s, SensorKind.COUNTER, seed)
    assert step_s <= at_s
    assert sensor.step_s((step_s + at_s) / 2, SensorKind.COUNTER, seed) == step_s
    assert sensor.step_s(step_s - 1e-6, SensorKind.COUNTER, seed) < step_s


def step_times(sensor: Sensor, seed: int, count: int) -> list[float]:
    times: list[float] = []
    at_s = 1e6 + count * sensor.period_s
    while len(times) < count:
        times.append(sensor.step_s(at_s, SensorKind.COUNTER, seed))
        at_s = times[-1] - 1e-9
    return times[::-1]


def test_jitter_is_bounded_repeats_itself_and_differs_between_seeds() -> None:
    sensor = Sensor(period_s=0.1, jitter_s=0.004)
    times = step_times(sensor, 7, 500)
    early_s = [t - round(t / 0.1) * 0.1 for t in times]
    assert max(map(abs, early_s)) <= 0.004 + 1e-6
    assert max(early_s) > 0.0035
    assert min(early_s) < -0.0035
    assert times == step_times(sensor, 7, 500)
    assert times != step_times(sensor, 8, 500)


def test_the_asked_share_of_steps_is_missed() -> None:
    times = step_times(Sensor(period_s=0.1, missed=0.2), 3, 4000)
    came = len(times) / ((times[-1] - times[0]) / 0.1 + 1)
    assert came == pytest.approx(0.8, abs=0.02)
