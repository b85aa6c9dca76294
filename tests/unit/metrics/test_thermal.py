"""Temperature and throttling of a span, from made-up readings."""

from __future__ import annotations

import pytest

from llem_runner.metrics.thermal import thermal, within


def test_start_and_highest_temperature_are_the_hottest_devices() -> None:
    found = thermal([[(0.0, 90.0), (5.0, 50.0), (6.0, 60.0)], [(5.5, 55.0), (8.0, 99.0)]], [], 5.0, 7.0)
    assert (found.start_c, found.max_c) == (55.0, 60.0)


def test_where_no_board_tells_nothing_is_claimed() -> None:
    found = thermal([[]], [[]], 0.0, 1.0)
    assert (found.start_c, found.max_c, found.throttled, found.reasons) == (None, None, None, ())


@pytest.mark.parametrize(
    ("mask", "throttled", "reasons"),
    [
        (0x0, False, ()),
        (0x1, False, ()),
        (0x04, False, ("sw_power_cap",)),
        (0x08, True, ("hw_slowdown",)),
        (0x20, True, ("sw_thermal_slowdown",)),
        (0x44, True, ("sw_power_cap", "hw_thermal_slowdown")),
        (0x80, True, ("hw_power_brake_slowdown",)),
    ],
)
def test_heat_and_the_hardware_throttle_and_the_power_limit_does_not(
    mask: int, throttled: bool, reasons: tuple[str, ...]
) -> None:
    found = thermal([], [[(0.5, 0.0), (0.6, float(mask))]], 0.0, 1.0)
    assert (found.throttled, found.reasons) == (throttled, reasons)


@pytest.mark.parametrize(
    ("start_s", "end_s", "values"),
    [
        (1.0, 2.0, [11.0, 12.0]),
        (1.1, 1.2, [11.0]),
        (2.5, 2.6, [12.0]),
        (3.6, 3.7, []),
        (0.0, 0.5, []),
    ],
    ids=["inside", "between", "just-after-the-last", "too-long-after", "before-the-first"],
)
def test_a_short_span_without_a_reading_takes_the_last_before_it(
    start_s: float, end_s: float, values: list[float]
) -> None:
    assert within([(1.0, 11.0), (2.0, 12.0)], start_s, end_s) == values
