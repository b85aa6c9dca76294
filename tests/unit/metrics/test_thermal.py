"""Temperature and throttling of a span, from made-up readings."""

from __future__ import annotations

import pytest

from llem_runner.metrics.thermal import thermal, within


def test_start_and_highest_temperature_are_the_hottest_devices() -> None:
    temperatures = {"a": [(0.0, 90.0), (5.0, 50.0), (6.0, 60.0)], "b": [(5.5, 55.0), (8.0, 99.0)]}
    found = thermal(temperatures, {}, 5.0, 7.0)
    assert (found.start_c, found.max_c) == (55.0, 60.0)
    assert [(each.uuid, each.start_c, each.max_c) for each in found.devices] == [("a", 50.0, 60.0), ("b", 55.0, 55.0)]


def test_where_no_board_tells_nothing_is_claimed() -> None:
    found = thermal({"a": []}, {"a": []}, 0.0, 1.0)
    assert (found.start_c, found.max_c, found.throttled, found.reasons) == (None, None, None, ())


@pytest.mark.parametrize(
    ("mask", "throttled", "reasons"),
    [
        (0x0, False, ()),
        (0x1, False, ()),
        (0x02, False, ("applications_clocks_setting",)),
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
    found = thermal({}, {"a": [(0.5, 0.0), (0.6, float(mask))]}, 0.0, 1.0)
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


def durations(masks: list[tuple[float, float]], start_s: float, end_s: float) -> dict[str, tuple[float, float]]:
    """Reason → (seconds, share) of one device."""
    [device] = thermal({}, {"a": masks}, start_s, end_s).devices
    return {reason.name: (round(reason.duration_s, 6), round(reason.share, 6)) for reason in device.reasons}


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        # Until the next reading, and the last until the window's end.
        ([(10.0, 0), (10.5, 8), (11.0, 8), (11.5, 0)], {"hw_slowdown": (1.0, 0.5)}),
        ([(10.0, 0), (11.0, 0), (11.5, 8)], {"hw_slowdown": (0.5, 0.25)}),
        # The first stands for the time before it, too.
        ([(9.9, 0), (10.4, 8), (10.8, 0), (11.5, 0)], {"hw_slowdown": (0.8, 0.4)}),
        # Two at once, and one that goes on.
        ([(10.0, 0x0C), (11.0, 0x04)], {"sw_power_cap": (2.0, 1.0), "hw_slowdown": (1.0, 0.5)}),
        # None but what was read long before: nothing is known.
        ([(8.0, 8)], {}),
        # A short window between two readings has the state of the one before.
        ([(9.5, 8), (12.5, 0)], {"hw_slowdown": (1.0, 1.0)}),
    ],
    ids=["between", "to-the-end", "from-the-start", "two", "too-old", "no-reading-inside"],
)
def test_claim_8_7_each_reason_has_the_time_for_which_it_was_set(
    masks: list[tuple[float, float]], expected: dict[str, tuple[float, float]]
) -> None:
    assert durations(masks, 10.0, 12.0) == expected


def test_claim_8_7_time_without_readings_is_not_observed_and_shares_are_of_the_time_that_is() -> None:
    [device] = thermal({}, {"a": [(0.0, 8.0), (0.5, 0.0), (10.0, 8.0)]}, 0.0, 11.0).devices
    # 0.5 s of the first, 1.5 s of the second at most, and the last until the end.
    assert device.observed_s == pytest.approx(0.5 + 1.5 + 1.0)
    [reason] = device.reasons
    assert reason.duration_s == pytest.approx(1.5)
    assert reason.share == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("first", "second", "throttled"),
    [([(0.5, 0.0)], [(0.5, 0.0)], False), ([(0.5, 8.0)], [], True), ([(0.5, 0.0)], [], None)],
)
def test_claim_8_7_a_board_that_does_not_tell_leaves_throttling_unknown(
    first: list[tuple[float, float]], second: list[tuple[float, float]], throttled: bool | None
) -> None:
    assert thermal({}, {"a": first, "b": second}, 0.0, 1.0).throttled is throttled
