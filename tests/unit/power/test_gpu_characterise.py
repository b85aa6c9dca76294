"""What a sensor was given is what its readings tell of it, when the load's times are known."""

from __future__ import annotations

import itertools
import random
from functools import cache

import pytest
import sensor_simulator as pure
from tests.gpu.activity import Activity, Pulse, beating_pulses, long_pulses, short_pulses
from tests.gpu.characterise import (
    CounterFound,
    PowerFound,
    TooLittle,
    counter_found,
    integration_found,
    power_found,
    reference_j,
)

from llem_runner.power.series import Series

IDLE_W, LOAD_W, BEFORE_S = 90.0, 540.0, 2.0


def activity_of(pulses: list[Pulse]) -> Activity:
    ends_s = itertools.accumulate((on_s + off_s for on_s, off_s in pulses), initial=BEFORE_S)
    return Activity(tuple((start_s, start_s + on_s) for start_s, (on_s, _) in zip(ends_s, pulses, strict=False)))


def energy_of(activity: Activity, drift_w_per_s: float = 0.0) -> pure.Energy:
    return lambda t: (
        IDLE_W * t + (LOAD_W - IDLE_W) * float(activity.on_s(t)) + drift_w_per_s * max(0.0, t - BEFORE_S) ** 2 / 2
    )


def readings(sensor: pure.Sensor, activity: Activity, poll_s: float = 0.003, drift_w_per_s: float = 0.0) -> Series:
    polls = pure.Polls(poll_s, jitter_s=0.001, drop_out=0.01)
    energy = energy_of(activity, drift_w_per_s)
    return pure.simulate(energy, sensor, polls, activity.end_s + 2.0, random.Random(4))


SHORT = activity_of(short_pulses(60, random.Random(1)))
LONG = activity_of(long_pulses(10, random.Random(2)))


@pytest.mark.parametrize(("step_s", "lag_s"), [(0.09998, 0.015), (0.1, 0.125), (0.05, 0.0), (0.02, 0.075), (0.5, 0.03)])
def test_claim_7_15_the_counters_period_and_lag_are_found(step_s: float, lag_s: float) -> None:
    sensor = pure.Sensor(step_s=step_s, step_phase_s=0.013, step_jitter_s=0.015 * step_s, lag_s=lag_s)
    found = counter_found(readings(sensor, SHORT, drift_w_per_s=0.3), SHORT)
    assert found.period_s == pytest.approx(step_s, rel=0.002)
    # Polls 3 ms apart: that much is open about every step.
    assert found.lag_s == pytest.approx(lag_s, abs=0.004)
    assert found.lag_low_s - 0.001 <= found.lag_s <= found.lag_high_s + 0.001
    assert found.period_p10_s <= found.period_s <= found.period_p90_s + 0.002
    assert found.load_w - found.idle_w == pytest.approx(LOAD_W - IDLE_W, rel=0.02)
    assert found.drift_w == pytest.approx(0.3 * found.length_s, abs=4)
    assert found.unit_mj == 1


def test_claim_7_15_the_counters_unit_is_what_all_its_rises_are_multiples_of() -> None:
    series = readings(pure.Sensor(), SHORT)
    for row, counter_mj in enumerate(series.counter_mj):
        series.counter_mj[row] = counter_mj // 250 * 250
    assert counter_found(series, SHORT).unit_mj == 250


@pytest.mark.parametrize(("window_s", "step_s"), [(0.025, 0.1), (0.1, 0.1), (0.01, 0.02), (0.05, 0.1)])
def test_claim_7_15_the_window_and_lag_of_a_quick_power_reading_are_found(window_s: float, step_s: float) -> None:
    sensor = pure.Sensor(step_s=step_s, step_phase_s=0.03, instant_window_s=window_s, power_lag_s=0.02)
    found = power_found(readings(sensor, SHORT), "power_instant_w", SHORT)
    assert found.window_s == pytest.approx(window_s, abs=0.006)
    assert found.lag_s == pytest.approx(0.02, abs=0.006)
    assert found.update_s == pytest.approx(step_s, rel=0.1)


@pytest.mark.parametrize("window_s", [1.0, 1.1])
def test_claim_7_15_the_window_of_an_average_is_found_with_long_loads(window_s: float) -> None:
    sensor = pure.Sensor(has_average=True, average_window_s=window_s, power_lag_s=0.02)
    found = power_found(readings(sensor, LONG), "power_average_w", LONG)
    assert found.window_s == pytest.approx(window_s, abs=0.02)
    assert found.lag_s == pytest.approx(0.02, abs=0.01)


@cache
def known() -> tuple[CounterFound, PowerFound]:
    series = readings(pure.Sensor(step_phase_s=0.03), SHORT)
    return counter_found(series, SHORT), power_found(series, "power_instant_w", SHORT)


def beating(*, whole: bool) -> tuple[Series, Activity]:
    """52 ms on and off, seen by a counter that adds up all of it, or only the last 25 ms of every 100."""
    activity = activity_of(beating_pulses(15.0))
    # The lag of both is the counter's here: such a counter adds up the very readings.
    series = readings(pure.Sensor(step_phase_s=0.03, power_lag_s=0.015), activity)
    if whole:
        return series, activity
    counted_mj, held_mj = 1e6, series.counter_mj[0]
    for row in range(len(series)):
        if series.counter_mj[row] != held_mj:
            held_mj = series.counter_mj[row]
            counted_mj += round(100 * series.power_instant_w[row])
        series.counter_mj[row] = counted_mj
    return series, activity


@pytest.mark.parametrize(("whole", "verdict"), [(True, "all"), (False, "part")])
def test_claim_7_15_a_load_of_52_ms_tells_a_counter_of_everything_from_one_of_25_ms(whole: bool, verdict: str) -> None:
    series, activity = beating(whole=whole)
    found = integration_found(series, activity, *known())
    assert found.verdict == verdict
    assert min(found.left_by_all, found.left_by_part) < 0.1


def test_claim_7_15_where_the_power_reading_sees_everything_the_question_stays_open() -> None:
    series, activity = beating(whole=True)
    counter, power = known()
    whole = PowerFound(power.column, power.update_s, counter.period_s, counter.lag_s)
    assert integration_found(series, activity, counter, whole).verdict == "unclear"


def test_claim_7_15_the_reference_of_a_span_is_its_energy_within_a_percent() -> None:
    series = readings(pure.Sensor(), SHORT, drift_w_per_s=0.5)
    found, energy = counter_found(series, SHORT), energy_of(SHORT, 0.5)
    for start_s, length_s in ((4.0, 0.5), (7.3, 1.0), (20.1, 5.0)):
        truth_j = energy(start_s + length_s) - energy(start_s)
        assert reference_j(found, SHORT, start_s, start_s + length_s) == pytest.approx(truth_j, rel=0.01)


def test_a_recording_that_is_too_short_says_so() -> None:
    activity = activity_of([(0.3, 0.3)])
    series = readings(pure.Sensor(), activity)
    with pytest.raises(TooLittle, match="the counter stepped"):
        counter_found(series, activity)
    with pytest.raises(TooLittle, match="power_instant_w changed"):
        power_found(series, "power_instant_w", activity)
