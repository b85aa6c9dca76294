"""When the warm-up ends: pure logic on made-up iterations."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from llem_runner.contract.sections import WarmupConfig
from llem_runner.metrics.scatter import coefficient_of_variation
from llem_runner.workload.warmup import WarmupWatch, temperature_settled


def iterate(
    watch: WarmupWatch,
    seconds_per_token: list[float],
    period_s: float = 1.0,
    temperature_c: Sequence[float | None] | None = None,
) -> list[bool]:
    """Feed iterations of `period_s` each; `done` after each of them."""
    done = []
    for index, value in enumerate(seconds_per_token):
        reading = temperature_c[index] if temperature_c else None
        watch.add((index + 1) * period_s, value, reading)
        done.append(watch.done)
    return done


@pytest.mark.parametrize(
    ("overrides", "values", "expected_iterations", "expected_converged"),
    [
        ({}, [1.0] * 30, 5, True),
        ({"min_iterations": 8}, [1.0] * 30, 8, True),
        ({"min_iterations": 1, "window_size": 3}, [1.0] * 30, 3, True),
        ({}, [5.0, 3.0, 2.0, 1.5] + [1.0] * 30, 9, True),
        ({}, [1.0, 2.0] * 20, 20, False),
        ({"max_iterations": 3}, [1.0] * 30, 3, False),
        ({"convergence_detection": False, "n_warmup": 7}, [1.0, 2.0] * 20, 7, None),
    ],
    ids=["steady", "minimum", "small-window", "settles", "never-settles", "maximum-below-window", "fixed-count"],
)
def test_iterations_until_done_without_a_sensor(
    overrides: dict[str, object], values: list[float], expected_iterations: int, expected_converged: bool | None
) -> None:
    watch = WarmupWatch(WarmupConfig.model_validate(overrides), started_s=0.0, has_sensor=False)
    done = iterate(watch, values[:expected_iterations])
    assert done == [False] * (expected_iterations - 1) + [True]
    assert watch.outcome().iterations == expected_iterations
    assert watch.outcome().converged is expected_converged


@pytest.mark.parametrize("detection", [True, False])
def test_the_thermal_floor_is_the_least_time_under_load_with_or_without_detection(detection: bool) -> None:
    config = WarmupConfig(convergence_detection=detection, thermal_floor_seconds=60.0, n_warmup=5)
    watch = WarmupWatch(config, started_s=0.0, has_sensor=True)
    done = iterate(watch, [1.0] * 60, temperature_c=[50.0] * 60)
    assert done.index(True) == 59


def test_the_maximum_counts_only_after_the_floor() -> None:
    config = WarmupConfig(max_iterations=10, thermal_floor_seconds=30.0)
    watch = WarmupWatch(config, started_s=0.0, has_sensor=True)
    done = iterate(watch, [1.0, 2.0] * 20, temperature_c=[50.0] * 40)
    assert done.index(True) == 29


def test_a_rising_temperature_delays_convergence_until_it_settles() -> None:
    rising: list[float | None] = [40.0 + index for index in range(20)]
    config = WarmupConfig(max_iterations=100, thermal_floor_seconds=5.0)
    watch = WarmupWatch(config, started_s=0.0, has_sensor=True)
    done = iterate(watch, [1.0] * 40, temperature_c=rising + [59.0] * 20)
    assert done.index(True) == 29, "ten seconds after the last rise"


def test_without_a_floor_a_temperature_is_watched_for_ten_seconds_before_it_counts_as_settled() -> None:
    watch = WarmupWatch(WarmupConfig(max_iterations=100, thermal_floor_seconds=0.0), started_s=0.0, has_sensor=True)
    assert iterate(watch, [1.0] * 20, temperature_c=[50.0] * 20).index(True) == 10


def test_a_disabled_warmup_is_done_at_once_and_claims_no_convergence() -> None:
    watch = WarmupWatch(WarmupConfig(enabled=False), started_s=0.0, has_sensor=True)
    assert watch.done
    assert watch.outcome().converged is None
    assert watch.outcome().iterations == 0


def test_cv_is_of_the_last_window_and_unknown_before_it_is_full() -> None:
    watch = WarmupWatch(WarmupConfig(window_size=3), started_s=0.0, has_sensor=False)
    iterate(watch, [9.0, 1.0])
    assert watch.cv is None
    watch.add(3.0, 2.0, None)
    watch.add(4.0, 3.0, None)
    assert watch.cv == pytest.approx(0.5)


def test_coefficient_of_variation_of_nothing_per_token_is_unknown() -> None:
    assert coefficient_of_variation([0.0, 0.0]) is None


@pytest.mark.parametrize(
    ("readings", "settled"),
    [
        ([], True),
        ([(0.0, 50.0), (5.0, 50.9)], False),
        ([(0.0, 50.0), (10.0, 50.9)], True),
        ([(0.0, 50.0), (10.0, 51.0)], False),
        ([(0.0, 40.0), (5.0, 50.0), (15.0, 50.0)], True),
        ([(0.0, 40.0), (6.0, 50.0), (15.0, 50.0)], False),
        ([(0.0, 50.0), (60.0, 55.0)], True),
        ([(0.0, 50.0), (60.0, 57.0)], False),
    ],
    ids=["no-sensor", "not-yet", "small", "one-degree", "old-rise", "rise-inside", "slow", "slow-but-rising"],
)
def test_temperature_is_settled_below_one_degree_in_ten_seconds(
    readings: list[tuple[float, float]], settled: bool
) -> None:
    assert temperature_settled(readings) is settled


# Speeds of the last five iterations, the temperature over the last ten seconds, whether the warm-up has converged.
# Of n values around 1 of which one is off by d the coefficient of variation is d / √n / (1 + d / n).
STEADY_SPEED, RESTLESS_SPEED = [1.0, 1.0, 1.0, 1.0, 1.1], [1.0, 1.0, 1.0, 1.0, 1.2]
CONDITIONS = [
    (STEADY_SPEED, [50.0] * 11, True),
    (STEADY_SPEED, [50.0] * 6 + [50.9] * 5, True),
    (STEADY_SPEED, [50.0] * 6 + [51.0] * 5, False),
    (STEADY_SPEED, [51.0] * 6 + [50.0] * 5, False),
    (RESTLESS_SPEED, [50.0] * 11, False),
    (RESTLESS_SPEED, [50.0] * 6 + [51.0] * 5, False),
]


@pytest.mark.parametrize(("speeds", "temperatures_c", "converged"), CONDITIONS)
def test_claim_8_2_speed_and_temperature_must_both_be_steady(
    speeds: list[float], temperatures_c: list[float], converged: bool
) -> None:
    config = WarmupConfig(cv_threshold=0.05, max_iterations=1000, thermal_floor_seconds=0.0)
    watch = WarmupWatch(config, started_s=0.0, has_sensor=True)
    iterate(watch, [1.0] * 6 + speeds, temperature_c=temperatures_c)
    assert watch.converged is converged
    assert watch.done is converged


def test_claim_8_2_a_scatter_of_exactly_the_threshold_is_not_under_it() -> None:
    cv = coefficient_of_variation(STEADY_SPEED)
    assert cv is not None
    for threshold, converged in ((cv, False), (cv * 1.001, True)):
        watch = WarmupWatch(WarmupConfig(cv_threshold=threshold), started_s=0.0, has_sensor=False)
        iterate(watch, STEADY_SPEED)
        assert watch.converged is converged


def test_claim_8_2_a_warmup_that_never_converges_ends_at_its_maximum_and_says_what_it_did() -> None:
    config = WarmupConfig(max_iterations=12, thermal_floor_seconds=5.0)
    watch = WarmupWatch(config, started_s=0.0, has_sensor=True)
    done = iterate(watch, [1.0, 2.0] * 6, temperature_c=[50.0 + index for index in range(12)])
    assert done == [False] * 11 + [True]
    outcome = watch.outcome()
    assert (outcome.iterations, outcome.converged, outcome.duration_s) == (12, False, 12.0)
    assert outcome.cv == pytest.approx(coefficient_of_variation([2.0, 1.0, 2.0, 1.0, 2.0]))
