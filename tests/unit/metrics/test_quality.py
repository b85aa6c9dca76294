"""Each quality check at its limit, on both sides of it, and where it cannot be made; and the level that follows."""

from __future__ import annotations

from typing import Any

import pytest

from llem_runner.contract.result import Check, Energy, Warmup
from llem_runner.metrics import quality


def energy(**keys: Any) -> Energy:
    measured: dict[str, Any] = {"source": "nvml", "method": "counter", "total_j": 100.0, "cross_check_j": 100.0}
    return Energy(**{**measured, "lower_j": 99.0, "upper_j": 101.0, **keys})


@pytest.mark.parametrize(("duration_s", "passed"), [(9.999, False), (10.0, True), (10.1, True)])
def test_the_window_is_long_enough_from_ten_seconds_on(duration_s: float, passed: bool) -> None:
    check = quality.window_length(duration_s)
    assert (check.passed, check.value, check.limit) == (passed, duration_s, 10.0)


@pytest.mark.parametrize(
    ("keys", "duration_s", "passed", "value"),
    [
        ({"cross_check_j": 102.9}, 5.0, True, 2.9),
        ({"cross_check_j": 103.0}, 5.0, True, 3.0),
        ({"cross_check_j": 97.0}, 5.0, True, 3.0),
        ({"cross_check_j": 103.1}, 5.0, False, 3.1),
        ({"cross_check_j": 96.9}, 5.0, False, 3.1),
        ({"cross_check_j": 150.0}, 4.999, None, 50.0),
        ({"cross_check_j": None}, 60.0, None, None),
        ({"method": "power"}, 60.0, None, None),
        ({"total_j": None}, 60.0, None, None),
        ({"total_j": 0.0}, 60.0, None, None),
    ],
)
def test_counter_and_power_agree_within_three_percent_over_five_seconds(
    keys: dict[str, Any], duration_s: float, passed: bool | None, value: float | None
) -> None:
    check = quality.counter_agrees(energy(**keys), duration_s)
    assert check.passed is passed
    assert check.value == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("keys", "passed", "value"),
    [
        ({"lower_j": 97.1, "upper_j": 102.9}, True, 2.9),
        ({"lower_j": 97.0, "upper_j": 103.0}, True, 3.0),
        ({"lower_j": 96.9, "upper_j": 100.0}, False, 3.1),
        ({"lower_j": 100.0, "upper_j": 103.1}, False, 3.1),
        ({"method": "power"}, None, 1.0),
        ({"method": "average_power"}, None, 1.0),
        ({"method": "power", "upper_j": 110.0}, False, 10.0),
        ({"lower_j": None}, None, None),
        ({"total_j": None}, None, None),
    ],
)
def test_bounds_within_three_percent_pass_only_where_a_counter_proves_them(
    keys: dict[str, Any], passed: bool | None, value: float | None
) -> None:
    check = quality.bounds_width(energy(**keys))
    assert check.passed is passed
    assert check.value == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("warmup", "passed"),
    [
        (Warmup(iterations=5, converged=True, cv=0.01), True),
        (Warmup(iterations=20, converged=False, cv=0.4), False),
        (Warmup(iterations=5, converged=None), None),
        (Warmup(iterations=0, converged=None), False),
    ],
)
def test_no_warmup_fails_and_one_that_was_not_watched_is_unknown(warmup: Warmup, passed: bool | None) -> None:
    assert quality.warmup_converged(warmup, 0.05).passed is passed


@pytest.mark.parametrize(("cached", "passed"), [(0, True), (1, False), (None, None)])
def test_tokens_from_a_cache_across_passes_fail(cached: int | None, passed: bool | None) -> None:
    assert quality.prefix_cache(cached).passed is passed


@pytest.mark.parametrize(("throttled", "passed"), [(False, True), (True, False), (None, None)])
def test_throttling_fails_and_where_no_board_tells_it_is_unknown(throttled: bool | None, passed: bool | None) -> None:
    assert quality.throttling(throttled).passed is passed


@pytest.mark.parametrize(
    ("share", "passed", "value"), [(0.799, False, 79.9), (0.8, True, 80.0), (1.0, True, 100.0), (None, None, None)]
)
def test_claim_8_7_saturation_asks_for_80_percent_of_the_window(
    share: float | None, passed: bool | None, value: float | None
) -> None:
    check = quality.saturation(share)
    assert check.passed is passed
    assert check.value == (None if value is None else pytest.approx(value))
    assert check.limit == 80.0


@pytest.mark.parametrize("real", [True, False])
def test_only_real_weights_pass(real: bool) -> None:
    assert quality.real_weights(real).passed is real


def test_checks_that_were_not_made_are_there_as_unknown() -> None:
    checks = quality.complete([quality.window_length(11.0)])
    assert [check.name for check in checks] == list(quality.B_CHECKS)
    assert [check.passed for check in checks if check.name != "window_length"] == [None] * (len(checks) - 1)


@pytest.mark.parametrize(
    ("passed", "keys", "level"),
    [
        ([True, True], {}, "B"),
        ([True, False], {}, "C"),
        ([True, None], {}, "C"),
        ([True, True], {"total_j": None}, "D"),
        ([True, None], {"source": "zeus", "method": None, "lower_j": None, "upper_j": None}, "C"),
    ],
)
def test_the_level_is_the_worst_that_holds(passed: list[bool | None], keys: dict[str, Any], level: str) -> None:
    assert quality.level([Check(name="x", passed=each) for each in passed], energy(**keys)) == level
